"""Adaptation: alignments: a statistic of source and target that is made small."""

from tlzoo.methods.adaptation.dan import DAN
from tlzoo.methods.adaptation.deep_coral import DeepCORAL
from tlzoo.methods.adaptation.source_only import SourceOnly
from tlzoo.methods.adaptation.target_only import TargetOnly

__all__ = [
    "DAN",
    "DeepCORAL",
    "SourceOnly",
    "TargetOnly",
]
