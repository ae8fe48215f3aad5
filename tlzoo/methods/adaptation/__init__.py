"""Adaptation: alignments: a statistic of source and target that is made small."""

from tlzoo.methods.adaptation.adabn import AdaBN
from tlzoo.methods.adaptation.atdoc import ATDOC
from tlzoo.methods.adaptation.bnm import BNM
from tlzoo.methods.adaptation.bsp import BSP
from tlzoo.methods.adaptation.cmd import CMD
from tlzoo.methods.adaptation.coral import CORAL
from tlzoo.methods.adaptation.cotta import CoTTA
from tlzoo.methods.adaptation.dan import DAN
from tlzoo.methods.adaptation.deep_coral import DeepCORAL
from tlzoo.methods.adaptation.deep_jdot import DeepJDOT
from tlzoo.methods.adaptation.dsan import DSAN
from tlzoo.methods.adaptation.eata import EATA
from tlzoo.methods.adaptation.entropy_minimization import EntropyMinimization
from tlzoo.methods.adaptation.fixmatch import FixMatch
from tlzoo.methods.adaptation.hafn import HAFN
from tlzoo.methods.adaptation.homm import HoMM
from tlzoo.methods.adaptation.information_maximization import InformationMaximization
from tlzoo.methods.adaptation.jan import JAN
from tlzoo.methods.adaptation.lame import LAME
from tlzoo.methods.adaptation.linear_ot import LinearOT
from tlzoo.methods.adaptation.m3sda import M3SDA
from tlzoo.methods.adaptation.mcc import MCC
from tlzoo.methods.adaptation.nrc import NRC
from tlzoo.methods.adaptation.pseudo_label import PseudoLabel
from tlzoo.methods.adaptation.safn import SAFN
from tlzoo.methods.adaptation.sar import SAR
from tlzoo.methods.adaptation.self_ensembling import SelfEnsembling
from tlzoo.methods.adaptation.shot import SHOT
from tlzoo.methods.adaptation.source_only import SourceOnly
from tlzoo.methods.adaptation.standardization import Standardization
from tlzoo.methods.adaptation.subspace_alignment import SubspaceAlignment
from tlzoo.methods.adaptation.swd import SWD
from tlzoo.methods.adaptation.t3a import T3A
from tlzoo.methods.adaptation.target_only import TargetOnly
from tlzoo.methods.adaptation.tent import TENT
from tlzoo.methods.adaptation.unaligned import Unaligned

__all__ = [
    "ATDOC",
    "BNM",
    "BSP",
    "CMD",
    "CORAL",
    "DAN",
    "DSAN",
    "EATA",
    "HAFN",
    "JAN",
    "LAME",
    "M3SDA",
    "MCC",
    "NRC",
    "SAFN",
    "SAR",
    "SHOT",
    "SWD",
    "T3A",
    "TENT",
    "AdaBN",
    "CoTTA",
    "DeepCORAL",
    "DeepJDOT",
    "EntropyMinimization",
    "FixMatch",
    "HoMM",
    "InformationMaximization",
    "LinearOT",
    "PseudoLabel",
    "SelfEnsembling",
    "SourceOnly",
    "Standardization",
    "SubspaceAlignment",
    "TargetOnly",
    "Unaligned",
]
