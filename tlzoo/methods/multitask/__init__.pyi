# One row per method, in the order of tables: tlzoo.registry and type checkers read this file, nothing else lists them.
# ruff: noqa: I001

from .equal import Equal as Equal
from .fixed import Fixed as Fixed
from .uncertainty import Uncertainty as Uncertainty
from .uncertainty_softmax import UncertaintySoftmax as UncertaintySoftmax
from .dwa import DWA as DWA
from .rlw import RLW as RLW
from .geometric import Geometric as Geometric
from .imtl_l import IMTLL as IMTLL
from .famo import FAMO as FAMO
from .stch import STCH as STCH
from .gradnorm import GradNorm as GradNorm
from .mgda import MGDA as MGDA
from .pcgrad import PCGrad as PCGrad
from .gradvac import GradVac as GradVac
from .graddrop import GradDrop as GradDrop
from .cagrad import CAGrad as CAGrad
from .imtl_g import IMTLG as IMTLG
from .imtl import IMTL as IMTL
from .nash_mtl import NashMTL as NashMTL
from .aligned_mtl import AlignedMTL as AlignedMTL
from .config import ConFIG as ConFIG
from .upgrad import UPGrad as UPGrad
from .dual_proj import DualProj as DualProj
from .fairgrad import FairGrad as FairGrad
from .sdmgrad import SDMGrad as SDMGrad
from .moco import MoCo as MoCo
from .modo import MoDo as MoDo
from .excess_mtl import ExcessMTL as ExcessMTL
from .db_mtl import DBMTL as DBMTL
from .task_arithmetic import TaskArithmetic as TaskArithmetic
from .ties import TIES as TIES
from .dare import DARE as DARE
from .fisher import Fisher as Fisher
from .reg_mean import RegMean as RegMean
from .adamerging import AdaMerging as AdaMerging
