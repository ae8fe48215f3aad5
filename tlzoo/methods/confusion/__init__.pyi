# One row per method, in the order of tables: tlzoo.registry and type checkers read this file, nothing else lists them.
# ruff: noqa: I001

from .dann import DANN as DANN
from .cdan import CDAN as CDAN
from .domain_confusion import DomainConfusionLoss as DomainConfusionLoss
from .mdd import MDD as MDD
from .daln import DALN as DALN
from .to_align import ToAlign as ToAlign
from .symnets import SymNets as SymNets
from .gvb import GVB as GVB
from .pada import PADA as PADA
from .iwan import IWAN as IWAN
from .osbp import OSBP as OSBP
from .dance import DANCE as DANCE
from .ovanet import OVANet as OVANet
from .mme import MME as MME
from .vada import VADA as VADA
from .dirt_t import DIRTT as DIRTT
from .adda import ADDA as ADDA
from .mcd import MCD as MCD
from .wdgrl import WDGRL as WDGRL
