"""Confusion: adversaries: a network that tells domains apart, and is fooled."""

from tlzoo.methods.confusion.cdan import CDAN
from tlzoo.methods.confusion.dann import DANN

__all__ = [
    "CDAN",
    "DANN",
]
