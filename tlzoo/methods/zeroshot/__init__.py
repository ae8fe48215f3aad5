"""Zeroshot: compatibilities of features and class descriptions."""

from tlzoo.methods.zeroshot.cosine import Cosine
from tlzoo.methods.zeroshot.eszsl import ESZSL
from tlzoo.methods.zeroshot.ridge import Ridge

__all__ = [
    "ESZSL",
    "Cosine",
    "Ridge",
]
