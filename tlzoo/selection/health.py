"""Signs of how an adaptation is going, from features and predictions only; nothing is selected by them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["COLLAPSED", "effective_rank", "health", "prediction_diversity", "proxy_a_distance"]

COLLAPSED = 0.1
"""A model with a :func:`prediction_diversity` below this has collapsed: it predicts one class nearly everywhere."""

_MOST = 256
"""Number of rows used per side: enough for two digits, at a small part of the cost of a measuring pass."""


def proxy_a_distance(source: Tensor, target: Tensor, *, penalty: float = 1.0) -> float:
    r"""Return the proxy A-distance of features (N, D) and (M, D): 0 if the domains look the same, at most 2.

    .. math:: 2 (1 - 2 \epsilon)

    with the error of a linear domain classifier, each domain counting one half (Ben-David et al., NIPS 2006,
    https://papers.nips.cc/paper/2983-analysis-of-representations-for-domain-adaptation). The classifier is a ridge
    regression on standardized features, in closed form. It is fitted on every other row of at most 256 per domain, and
    the rest measures the error. By chance the error can exceed 1/2, which counts as 0. Fewer than four rows per domain
    give NaN.

    Args:
        source: (N, D).
        target: (M, D).
        penalty: ridge penalty per row.

    >>> near, far = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)), torch.full((40, 3), 50.0)
    >>> proxy_a_distance(near, near + far)
    2.0
    """
    sides = [_spread_rows(side).double() for side in (source, target)]
    if min(map(len, sides)) < 4:
        return math.nan
    fitted, held_out = [side[::2] for side in sides], [side[1::2] for side in sides]
    rows = torch.cat(fitted)
    mean, deviation = rows.mean(dim=0), rows.std(dim=0).clamp_min(torch.finfo(rows.dtype).eps)
    signs = torch.cat([torch.full((len(side),), sign).to(rows) for side, sign in zip(fitted, (1.0, -1.0), strict=True)])
    balance = torch.cat([rows.new_full((len(side),), 1 / len(side)) for side in fitted]).sqrt()
    # the dual problem: at most 256 equations, however wide the features are
    inputs = torch.cat([(rows - mean) / deviation, rows.new_ones(len(rows), 1)], dim=1) * balance[:, None]
    kernel = inputs @ inputs.T + penalty / len(rows) * torch.eye(len(rows)).to(rows)
    weights = inputs.T @ torch.linalg.solve(kernel, signs * balance)
    scores = [((side - mean) / deviation) @ weights[:-1] + weights[-1] for side in held_out]
    error = 0.5 * ((scores[0] <= 0).double().mean() + (scores[1] > 0).double().mean())
    return max(0.0, 2.0 * (1.0 - 2.0 * float(error)))


def effective_rank(features: Tensor) -> float:
    r"""Return the effective rank of centered features (N, D), from at most 256 rows; 0 if all rows are equal.

    .. math:: \exp\left( -\sum_i p_i \log p_i \right), \qquad p_i = \frac{\sigma_i}{\sum_j \sigma_j}

    with the singular values (Roy & Vetterli, EUSIPCO 2007), https://ieeexplore.ieee.org/document/7098875.

    >>> round(effective_rank(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])), 6)
    2.0
    """
    rows = _spread_rows(features).double()
    centered = rows - rows.mean(dim=0)
    # singular values from the smaller of the two products: several times faster, with an error below 1e-8
    gramian = centered.T @ centered if centered.shape[1] <= len(centered) else centered @ centered.T
    values = torch.linalg.eigvalsh(gramian).clamp_min(0).sqrt()
    if not float(values.sum()) > 0:
        return 0.0
    shares = values / values.sum()
    return math.exp(float(-torch.special.xlogy(shares, shares).sum()))


def prediction_diversity(logits: Tensor) -> float:
    r"""Return how evenly the predictions (N, C) spread over the classes, from 0 (one class) to 1 (all equally often).

    .. math:: \frac{e^H - 1}{C - 1}

    with the entropy H of the predicted class frequencies.

    >>> prediction_diversity(torch.eye(4)), prediction_diversity(torch.eye(4)[[0, 0, 0]])
    (1.0, 0.0)
    """
    if logits.shape[1] < 2:
        return 1.0
    counts = torch.bincount(logits.argmax(dim=1), minlength=logits.shape[1]).double()
    shares = counts / counts.sum()
    classes = math.exp(float(-torch.special.xlogy(shares, shares).sum()))
    return min(max(round((classes - 1) / (logits.shape[1] - 1), 12), 0.0), 1.0)


def health(features: Tensor, logits: Tensor | None, source: Tensor | None = None) -> dict[str, float]:
    """Return all signs of a model by name.

    Args:
        features: (N, D) of target inputs.
        logits: (N, C) of target inputs; None in a regression, which has no classes to spread over.
        source: (M, D) features of the source; None without a source.
    """
    found = {} if logits is None else {"diversity": prediction_diversity(logits)}
    found["rank"] = effective_rank(features)
    if source is not None:
        found["a_distance"] = proxy_a_distance(source, features)
    return found


def _spread_rows(rows: Tensor) -> Tensor:
    """Return at most 256 rows, spread evenly over the set, because sets are often sorted by class."""
    if len(rows) <= _MOST:
        return rows
    return rows[torch.linspace(0, len(rows) - 1, _MOST, device=rows.device).round().long()]
