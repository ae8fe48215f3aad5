"""Intervals, paired tests, ranks, aggregates and calibration, on NumPy and SciPy only."""

from tlzoo.stats.aggregate import (
    Estimate,
    interquartile_mean,
    iqm,
    performance_profile,
    probability_of_improvement,
)
from tlzoo.stats.calibration import expected_calibration_error, macro_f1, negative_log_likelihood
from tlzoo.stats.comparison import PairedDifference, average_ranks, paired_difference
from tlzoo.stats.crossed import by_cluster, crossed_difference, crossed_summary
from tlzoo.stats.exchange import Answers, Exchange, Rate, exchange_rates
from tlzoo.stats.intervals import Summary, bounded_interval, mean_of_known, summary
from tlzoo.stats.ranking import Ranking, friedman
from tlzoo.stats.shot_curve import ShotCurve, choose_form, fit_shot_curves
from tlzoo.stats.significance import holm, paired_bootstrap, wilcoxon

__all__ = [
    "Answers",
    "Estimate",
    "Exchange",
    "PairedDifference",
    "Ranking",
    "Rate",
    "ShotCurve",
    "Summary",
    "average_ranks",
    "bounded_interval",
    "by_cluster",
    "choose_form",
    "crossed_difference",
    "crossed_summary",
    "exchange_rates",
    "expected_calibration_error",
    "fit_shot_curves",
    "friedman",
    "holm",
    "interquartile_mean",
    "iqm",
    "macro_f1",
    "mean_of_known",
    "negative_log_likelihood",
    "paired_bootstrap",
    "paired_difference",
    "performance_profile",
    "probability_of_improvement",
    "summary",
    "wilcoxon",
]
