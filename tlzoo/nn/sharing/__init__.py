"""Architectures that share a network among several tasks, by name and as classes.

>>> sorted(SHARING)
['cgc', 'cross_stitch', 'dselect_k', 'hard', 'mmoe', 'mtan', 'none', 'ple']
"""

from tlzoo.nn.sharing.base import Sharing
from tlzoo.nn.sharing.cross_stitch import CrossStitch
from tlzoo.nn.sharing.dselect_k import DSelectK
from tlzoo.nn.sharing.hard import HardSharing
from tlzoo.nn.sharing.merged import MergedNetworks
from tlzoo.nn.sharing.mmoe import MMoE
from tlzoo.nn.sharing.mtan import MTAN
from tlzoo.nn.sharing.none import NoSharing
from tlzoo.nn.sharing.ple import CGC, PLE

__all__ = [
    "CGC",
    "MTAN",
    "PLE",
    "SHARING",
    "CrossStitch",
    "DSelectK",
    "HardSharing",
    "MMoE",
    "MergedNetworks",
    "NoSharing",
    "Sharing",
]

SHARING: dict[str, type[Sharing]] = {
    "hard": HardSharing,
    "none": NoSharing,
    "cross_stitch": CrossStitch,
    "mmoe": MMoE,
    "cgc": CGC,
    "ple": PLE,
    "mtan": MTAN,
    "dselect_k": DSelectK,
}
"""Name -> class."""
