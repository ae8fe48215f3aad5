"""Multitask: weightings of task losses or gradients."""

from tlzoo.methods.multitask.aligned_mtl import AlignedMTL
from tlzoo.methods.multitask.cagrad import CAGrad
from tlzoo.methods.multitask.config import ConFIG
from tlzoo.methods.multitask.db_mtl import DBMTL
from tlzoo.methods.multitask.dual_proj import DualProj
from tlzoo.methods.multitask.dwa import DWA
from tlzoo.methods.multitask.equal import Equal
from tlzoo.methods.multitask.excess_mtl import ExcessMTL
from tlzoo.methods.multitask.fairgrad import FairGrad
from tlzoo.methods.multitask.famo import FAMO
from tlzoo.methods.multitask.fixed import Fixed
from tlzoo.methods.multitask.geometric import Geometric
from tlzoo.methods.multitask.graddrop import GradDrop
from tlzoo.methods.multitask.gradnorm import GradNorm
from tlzoo.methods.multitask.gradvac import GradVac
from tlzoo.methods.multitask.imtl import IMTL
from tlzoo.methods.multitask.imtl_g import IMTLG
from tlzoo.methods.multitask.imtl_l import IMTLL
from tlzoo.methods.multitask.mgda import MGDA
from tlzoo.methods.multitask.nash_mtl import NashMTL
from tlzoo.methods.multitask.pcgrad import PCGrad
from tlzoo.methods.multitask.rlw import RLW
from tlzoo.methods.multitask.sdmgrad import SDMGrad
from tlzoo.methods.multitask.stch import STCH
from tlzoo.methods.multitask.uncertainty import Uncertainty
from tlzoo.methods.multitask.uncertainty_softmax import UncertaintySoftmax
from tlzoo.methods.multitask.upgrad import UPGrad

__all__ = [
    "DBMTL",
    "DWA",
    "FAMO",
    "IMTL",
    "IMTLG",
    "IMTLL",
    "MGDA",
    "RLW",
    "STCH",
    "AlignedMTL",
    "CAGrad",
    "ConFIG",
    "DualProj",
    "Equal",
    "ExcessMTL",
    "FairGrad",
    "Fixed",
    "Geometric",
    "GradDrop",
    "GradNorm",
    "GradVac",
    "NashMTL",
    "PCGrad",
    "SDMGrad",
    "UPGrad",
    "Uncertainty",
    "UncertaintySoftmax",
]
