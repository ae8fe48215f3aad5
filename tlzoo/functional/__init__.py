"""Stateless torch: formulas of papers, two or three lines each."""

from tlzoo.functional.adversarial import (
    entropy_weights,
    gradient_reversal,
    multilinear_map,
    reversal_coefficient,
)
from tlzoo.functional.distributed import gather_with_gradient
from tlzoo.functional.information import entropy, information_maximization
from tlzoo.functional.kernels import gaussian_kernel, mmd, pairwise_squared_distances
from tlzoo.functional.moments import coral_loss, covariance
from tlzoo.functional.prototypes import negative_squared_distances, prototypes

__all__ = [
    "coral_loss",
    "covariance",
    "entropy",
    "entropy_weights",
    "gather_with_gradient",
    "gaussian_kernel",
    "gradient_reversal",
    "information_maximization",
    "mmd",
    "multilinear_map",
    "negative_squared_distances",
    "pairwise_squared_distances",
    "prototypes",
    "reversal_coefficient",
]
