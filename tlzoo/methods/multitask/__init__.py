"""Multitask: weightings of task losses or gradients."""

from tlzoo.methods.multitask.equal import Equal
from tlzoo.methods.multitask.fixed import Fixed
from tlzoo.methods.multitask.uncertainty import Uncertainty

__all__ = [
    "Equal",
    "Fixed",
    "Uncertainty",
]
