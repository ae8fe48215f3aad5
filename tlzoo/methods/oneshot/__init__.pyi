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
from .text_only import TextOnly as TextOnly
from .tip_adapter_f import TipAdapterF as TipAdapterF
from .gda import GDA as GDA
from .lp_plus_plus import LPPlusPlus as LPPlusPlus
from .clap import CLAP as CLAP
from .task_res import TaskRes as TaskRes
from .cross_modal import CrossModal as CrossModal
from .trans_clip import TransCLIP as TransCLIP
from .tda import TDA as TDA
