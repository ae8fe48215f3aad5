"""Zeroshot: compatibilities of features and class descriptions."""

from tlzoo.methods.zeroshot.ale import ALE
from tlzoo.methods.zeroshot.bilinear_softmax import BilinearSoftmax
from tlzoo.methods.zeroshot.calibrated_stacking import CalibratedStacking
from tlzoo.methods.zeroshot.class_prior import ClassPrior
from tlzoo.methods.zeroshot.conse import ConSE
from tlzoo.methods.zeroshot.cosine import Cosine
from tlzoo.methods.zeroshot.csls import CSLS
from tlzoo.methods.zeroshot.dap import DAP
from tlzoo.methods.zeroshot.devise import DeViSE
from tlzoo.methods.zeroshot.dual_encoder import DualEncoder
from tlzoo.methods.zeroshot.eszsl import ESZSL
from tlzoo.methods.zeroshot.feature_generation import FeatureGeneration
from tlzoo.methods.zeroshot.inverted_softmax import InvertedSoftmax
from tlzoo.methods.zeroshot.latem import LatEm
from tlzoo.methods.zeroshot.nli import NLI
from tlzoo.methods.zeroshot.ridge import Ridge
from tlzoo.methods.zeroshot.sae import SAE
from tlzoo.methods.zeroshot.sje import SJE
from tlzoo.methods.zeroshot.tip_adapter import TipAdapter

__all__ = [
    "ALE",
    "CSLS",
    "DAP",
    "ESZSL",
    "NLI",
    "SAE",
    "SJE",
    "BilinearSoftmax",
    "CalibratedStacking",
    "ClassPrior",
    "ConSE",
    "Cosine",
    "DeViSE",
    "DualEncoder",
    "FeatureGeneration",
    "InvertedSoftmax",
    "LatEm",
    "Ridge",
    "TipAdapter",
]
