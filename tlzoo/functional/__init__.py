"""Stateless torch functions: the formulas of papers, two or three lines each."""

from tlzoo.functional.adversarial import (
    entropy_weights,
    gradient_reversal,
    multilinear_map,
    reversal_coefficient,
)
from tlzoo.functional.distributed import average_gradients, gather_with_gradient, mean_over_processes
from tlzoo.functional.generalized import SeenUnseenCurve, harmonic_mean, seen_unseen_curve
from tlzoo.functional.information import divergence, entropy, information_maximization
from tlzoo.functional.joining import AlignedSpace, aligned_space
from tlzoo.functional.kernels import gaussian_kernel, joint_mmd, local_mmd, mmd, pairwise_squared_distances
from tlzoo.functional.label_shift import bbse_prior, em_prior, otter_shares
from tlzoo.functional.merging import average_weights, dare, greedy_soup, interpolate_weights, task_arithmetic, ties
from tlzoo.functional.moments import (
    central_moment_discrepancy,
    coral_loss,
    covariance,
    higher_order_moment_loss,
    moment_distance,
    standardization,
    symmetric_power,
)
from tlzoo.functional.norms import fixed_norm_loss, spectral_penalty, stepwise_norm_loss
from tlzoo.functional.predictions import (
    batch_nuclear_norm_loss,
    classifier_discrepancy,
    margin_disparity,
    minimum_class_confusion,
    uniform_confusion,
)
from tlzoo.functional.prototypes import (
    cosine_similarities,
    memberships,
    nearest_neighbors,
    negative_squared_distances,
    prototypes,
)
from tlzoo.functional.regression import inverse_gram_distance, subspace_distance
from tlzoo.functional.simplex import project_on_simplex
from tlzoo.functional.smoothness import adversarial_direction, virtual_adversarial_divergence
from tlzoo.functional.transfer_components import mean_contrasts, transfer_components
from tlzoo.functional.transport import (
    regularized_plan,
    sinkhorn_plan,
    sliced_wasserstein,
    transport_plan,
    transport_plans,
)
from tlzoo.functional.weighted_merging import fisher_merge, reg_mean

__all__ = [
    "AlignedSpace",
    "SeenUnseenCurve",
    "adversarial_direction",
    "aligned_space",
    "average_gradients",
    "average_weights",
    "batch_nuclear_norm_loss",
    "bbse_prior",
    "central_moment_discrepancy",
    "classifier_discrepancy",
    "coral_loss",
    "cosine_similarities",
    "covariance",
    "dare",
    "divergence",
    "em_prior",
    "entropy",
    "entropy_weights",
    "fisher_merge",
    "fixed_norm_loss",
    "gather_with_gradient",
    "gaussian_kernel",
    "gradient_reversal",
    "greedy_soup",
    "harmonic_mean",
    "higher_order_moment_loss",
    "information_maximization",
    "interpolate_weights",
    "inverse_gram_distance",
    "joint_mmd",
    "local_mmd",
    "margin_disparity",
    "mean_contrasts",
    "mean_over_processes",
    "memberships",
    "minimum_class_confusion",
    "mmd",
    "moment_distance",
    "multilinear_map",
    "nearest_neighbors",
    "negative_squared_distances",
    "otter_shares",
    "pairwise_squared_distances",
    "project_on_simplex",
    "prototypes",
    "reg_mean",
    "regularized_plan",
    "reversal_coefficient",
    "seen_unseen_curve",
    "sinkhorn_plan",
    "sliced_wasserstein",
    "spectral_penalty",
    "standardization",
    "stepwise_norm_loss",
    "subspace_distance",
    "symmetric_power",
    "task_arithmetic",
    "ties",
    "transfer_components",
    "transport_plan",
    "transport_plans",
    "uniform_confusion",
    "virtual_adversarial_divergence",
]
