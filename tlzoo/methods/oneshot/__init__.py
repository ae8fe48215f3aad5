"""Oneshot: episode classifiers and meta-learners: support set in, query logits out."""

from tlzoo.methods.oneshot.alpha_tim import AlphaTIM
from tlzoo.methods.oneshot.anil import ANIL
from tlzoo.methods.oneshot.baseline_pp import BaselinePP
from tlzoo.methods.oneshot.bd_cspn import BDCSPN
from tlzoo.methods.oneshot.feat import FEAT
from tlzoo.methods.oneshot.finetune import Finetune
from tlzoo.methods.oneshot.fomaml import FOMAML
from tlzoo.methods.oneshot.label_propagation import LabelPropagation
from tlzoo.methods.oneshot.laplacian_shot import LaplacianShot
from tlzoo.methods.oneshot.linear_baseline import LinearBaseline
from tlzoo.methods.oneshot.logistic import Logistic
from tlzoo.methods.oneshot.maml import MAML
from tlzoo.methods.oneshot.matching_net import MatchingNet
from tlzoo.methods.oneshot.meta_sgd import MetaSGD
from tlzoo.methods.oneshot.metaoptnet import MetaOptNet
from tlzoo.methods.oneshot.protonet import ProtoNet
from tlzoo.methods.oneshot.pt_map import PTMAP
from tlzoo.methods.oneshot.r2d2 import R2D2
from tlzoo.methods.oneshot.relation_net import RelationNet
from tlzoo.methods.oneshot.reptile import Reptile
from tlzoo.methods.oneshot.setfit import SetFit
from tlzoo.methods.oneshot.siamese import Siamese
from tlzoo.methods.oneshot.simpleshot import SimpleShot
from tlzoo.methods.oneshot.tim import TIM
from tlzoo.methods.oneshot.transductive_finetuning import TransductiveFinetuning

__all__ = [
    "ANIL",
    "BDCSPN",
    "FEAT",
    "FOMAML",
    "MAML",
    "PTMAP",
    "R2D2",
    "TIM",
    "AlphaTIM",
    "BaselinePP",
    "Finetune",
    "LabelPropagation",
    "LaplacianShot",
    "LinearBaseline",
    "Logistic",
    "MatchingNet",
    "MetaOptNet",
    "MetaSGD",
    "ProtoNet",
    "RelationNet",
    "Reptile",
    "SetFit",
    "Siamese",
    "SimpleShot",
    "TransductiveFinetuning",
]
