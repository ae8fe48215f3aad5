"""The risk of a source weighted to look like the target."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.precision import at_least_float32
from tlzoo.selection.source_validators import FEWEST, density_ratio
from tlzoo.types import Prediction

__all__ = ["importance_weighted_validation"]


@torch.no_grad()
def importance_weighted_validation(
    source: Prediction, target: Prediction, *, classifier: Literal["logistic", "mlp"] = "logistic"
) -> Tensor:
    r"""Importance-weighted validation (Sugiyama et al., JMLR 2007), https://jmlr.org/papers/v8/sugiyama07a.html.

    .. math:: -\frac{1}{N} \sum_i w(x_i) \, \mathrm{CE}(x_i, y_i)

    over held-out source examples, with the density ratio w of their features, which is fitted on the target and on
    every other source example, and applied to the rest. Without the control variate of
    :func:`~tlzoo.selection.source_validators.deep_embedded_validation`, its variance is that of the weights.

    Differs from the paper: the ratio is that of features, by a classifier of the domain.

    Args:
        source: four or more held-out, labelled source predictions.
        target: unlabelled target predictions.
        classifier: of the domains, see :func:`~tlzoo.selection.source_validators.density_ratio`.

    Raises:
        ValueError: there are no labels, or fewer than four source examples.
    """
    if source.labels is None:
        raise ValueError("the source has no labels; its risk needs them")
    if len(source) < FEWEST["dev"]:
        raise ValueError(f"{len(source)} source examples; expected four or more: half of them fit the density ratio")
    weights = density_ratio(source.features[::2], target.features, source.features[1::2], classifier=classifier)
    losses = F.cross_entropy(at_least_float32(source.logits[1::2]), source.labels[1::2], reduction="none")
    return -(weights * losses).mean()
