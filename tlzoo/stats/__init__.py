"""Intervals, paired differences and ranks; NumPy and SciPy only."""

from tlzoo.stats.comparison import PairedDifference, average_ranks, paired_difference
from tlzoo.stats.intervals import Summary, summary

__all__ = ["PairedDifference", "Summary", "average_ranks", "paired_difference", "summary"]
