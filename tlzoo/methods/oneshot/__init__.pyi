# One row per method, in the order of tables: tlzoo.registry and type checkers read this file, nothing else lists them.
# ruff: noqa: I001

from .protonet import ProtoNet as ProtoNet
from .simpleshot import SimpleShot as SimpleShot
from .matching_net import MatchingNet as MatchingNet
from .relation_net import RelationNet as RelationNet
from .siamese import Siamese as Siamese
from .r2d2 import R2D2 as R2D2
from .metaoptnet import MetaOptNet as MetaOptNet
from .feat import FEAT as FEAT
from .linear_baseline import LinearBaseline as LinearBaseline
from .baseline_pp import BaselinePP as BaselinePP
from .logistic import Logistic as Logistic
from .finetune import Finetune as Finetune
from .bd_cspn import BDCSPN as BDCSPN
from .laplacian_shot import LaplacianShot as LaplacianShot
from .label_propagation import LabelPropagation as LabelPropagation
from .tim import TIM as TIM
from .alpha_tim import AlphaTIM as AlphaTIM
from .pt_map import PTMAP as PTMAP
from .transductive_finetuning import TransductiveFinetuning as TransductiveFinetuning
from .maml import MAML as MAML
from .fomaml import FOMAML as FOMAML
from .anil import ANIL as ANIL
from .meta_sgd import MetaSGD as MetaSGD
from .reptile import Reptile as Reptile
from .setfit import SetFit as SetFit
