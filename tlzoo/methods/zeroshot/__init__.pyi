# One row per method, in the order of tables: tlzoo.registry and type checkers read this file, nothing else lists them.
# ruff: noqa: I001

from .cosine import Cosine as Cosine
from .ridge import Ridge as Ridge
from .eszsl import ESZSL as ESZSL
from .sae import SAE as SAE
from .dap import DAP as DAP
from .conse import ConSE as ConSE
from .devise import DeViSE as DeViSE
from .sje import SJE as SJE
from .ale import ALE as ALE
from .latem import LatEm as LatEm
from .bilinear_softmax import BilinearSoftmax as BilinearSoftmax
from .dual_encoder import DualEncoder as DualEncoder
from .feature_generation import FeatureGeneration as FeatureGeneration
from .f_clswgan import FCLSWGAN as FCLSWGAN
from .f_vaegan import FVAEGAN as FVAEGAN
from .tf_vaegan import TFVAEGAN as TFVAEGAN
from .cada_vae import CADAVAE as CADAVAE
from .nli import NLI as NLI
from .csls import CSLS as CSLS
from .inverted_softmax import InvertedSoftmax as InvertedSoftmax
from .class_prior import ClassPrior as ClassPrior
from .otter import OTTER as OTTER
from .calibrated_stacking import CalibratedStacking as CalibratedStacking
from .tip_adapter import TipAdapter as TipAdapter
