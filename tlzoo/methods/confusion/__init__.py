"""Confusion: adversaries: a network that tells domains apart, and is fooled."""

from tlzoo.methods.confusion.adda import ADDA
from tlzoo.methods.confusion.cdan import CDAN
from tlzoo.methods.confusion.dann import DANN
from tlzoo.methods.confusion.dirt_t import DIRTT
from tlzoo.methods.confusion.domain_confusion import DomainConfusionLoss
from tlzoo.methods.confusion.gvb import GVB
from tlzoo.methods.confusion.iwan import IWAN
from tlzoo.methods.confusion.mcd import MCD
from tlzoo.methods.confusion.mdd import MDD
from tlzoo.methods.confusion.mme import MME
from tlzoo.methods.confusion.osbp import OSBP
from tlzoo.methods.confusion.pada import PADA
from tlzoo.methods.confusion.symnets import SymNets
from tlzoo.methods.confusion.vada import VADA
from tlzoo.methods.confusion.wdgrl import WDGRL

__all__ = [
    "ADDA",
    "CDAN",
    "DANN",
    "DIRTT",
    "GVB",
    "IWAN",
    "MCD",
    "MDD",
    "MME",
    "OSBP",
    "PADA",
    "VADA",
    "WDGRL",
    "DomainConfusionLoss",
    "SymNets",
]
