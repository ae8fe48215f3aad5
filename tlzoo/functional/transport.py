"""Losses that transport source to target."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tlzoo.functional.checks import check_pair
from tlzoo.functional.precision import matmul

__all__ = ["regularized_plan", "sinkhorn_plan", "sliced_wasserstein", "transport_plan", "transport_plans"]


def sliced_wasserstein(first: Tensor, second: Tensor, directions: Tensor) -> Tensor:
    r"""Return the mean squared 2-Wasserstein distance of projections of first (N, D) and second (M, D).

    .. math:: \frac{1}{K} \sum_{k} W_2^2\left(X \theta_k, Y \theta_k\right)

    In one dimension the optimal plan sorts both sides. Sides of unequal size are compared at the union of their
    quantile levels.

    Args:
        first: (N, D).
        second: (M, D).
        directions: (D, K), usually of length 1.

    Raises:
        ValueError: the widths differ, or a side is empty.

    >>> sliced_wasserstein(torch.tensor([[0.0], [4.0]]), torch.tensor([[5.0], [1.0]]), torch.ones(1, 1)).item()
    1.0
    """
    ours, theirs = (matmul(side, directions.to(side.dtype)) for side in check_pair(first, second, what="points"))
    ours, theirs = ours.sort(dim=0).values, theirs.sort(dim=0).values
    n, m = len(ours), len(theirs)
    if n == m:
        return (ours - theirs).square().mean()
    # between two neighboring levels both quantile functions are constant
    levels = torch.unique(torch.cat([torch.arange(1, n + 1) * m, torch.arange(1, m + 1) * n]))  # times 1 / (n m)
    masses = torch.diff(levels, prepend=levels.new_zeros(1)).to(ours) / (n * m)
    rows, columns = ((levels - 1) // count for count in (m, n))
    gaps = (ours[rows.to(ours.device)] - theirs[columns.to(ours.device)]).square()
    return (masses[:, None] * gaps).sum(dim=0).mean()


def transport_plan(cost: Tensor) -> Tensor:
    r"""Return the exact (N, M) optimal plan between uniform masses for a cost (N, M), detached.

    .. math:: \min_{\gamma \ge 0} \langle \gamma, C \rangle \quad \text{with} \quad
        \gamma 1 = \tfrac{1}{N} 1, \; \gamma^\top 1 = \tfrac{1}{M} 1

    POT's network simplex solves it on the CPU.

    Raises:
        ValueError: a side is empty.

    >>> transport_plan(torch.tensor([[0.0, 1.0], [1.0, 0.0]])).tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    if cost.ndim != 2 or not cost.numel():
        raise ValueError(f"cost of shape {tuple(cost.shape)}; expected (N, M) with one row and column or more")
    import ot  # here: it loads SciPy's solvers, which nobody else needs

    values = cost.detach().double().cpu().numpy()
    n, m = values.shape
    plan = ot.emd(np.full(n, 1 / n), np.full(m, 1 / m), values)
    return torch.from_numpy(plan).to(cost)


def transport_plans(costs: Tensor, first: Tensor, second: Tensor) -> Tensor:
    r"""Return the exact optimal plans (B, N, M) for B costs (B, N, M) between masses, detached.

    Masses are scaled to sum to 1. POT's network simplex solves one problem after the other on the CPU. Problems with
    NaN or Inf have plans of NaN.

    Args:
        costs: (B, N, M).
        first: (B, N) masses above 0.
        second: (B, M) masses above 0.

    Raises:
        ValueError: the shapes do not fit.

    >>> transport_plans(torch.tensor([[[0.0, 1.0]]]), torch.ones(1, 1), torch.tensor([[1.0, 3.0]]))
    tensor([[[0.2500, 0.7500]]])
    """
    if costs.ndim != 3 or first.shape != costs.shape[:2] or second.shape != (len(costs), costs.shape[2]):
        shapes = ", ".join(str(tuple(each.shape)) for each in (costs, first, second))
        raise ValueError(f"costs and masses of shapes {shapes}; expected (B, N, M), (B, N) and (B, M)")
    import ot  # here: it loads SciPy's solvers, which nobody else needs

    given = [each.detach().double().cpu() for each in (first, second, costs)]
    shares = [(masses / masses.sum(dim=1, keepdim=True)).numpy() for masses in given[:2]]
    plans = np.full(given[2].shape, np.nan)
    for place, cost in enumerate(given[2].numpy()):
        ours, theirs = shares[0][place], shares[1][place]
        if all(np.isfinite(each).all() for each in (ours, theirs, cost)):
            plans[place] = ot.emd(ours, theirs / theirs.sum() * ours.sum(), np.ascontiguousarray(cost))
    return torch.from_numpy(plans).to(costs)


def regularized_plan(
    source: Tensor, target: Tensor, *, entropy: float, labels: Tensor | None = None, class_penalty: float = 0.0
) -> Tensor:
    r"""Return the (N, M) plan between uniform masses for squared distances divided by their median, detached.

    .. math:: \min_\gamma \; \langle \gamma, C \rangle - \epsilon H(\gamma) + \eta \sum_j \sum_c
        \lVert \gamma_{I_c, j} \rVert_1^{1/2}

    POT solves it in float64 on the CPU: the network simplex without entropy, Sinkhorn's algorithm with it, and
    majorization with labels.

    Args:
        source: (N, D).
        target: (M, D).
        entropy: epsilon; 0 for the exact plan.
        labels: (N,) classes of the source for the last term, or None.
        class_penalty: eta.

    Raises:
        ValueError: the widths differ, or a side is empty.
    """
    source, target = check_pair(source, target)
    cost = torch.cdist(source.detach().double().cpu(), target.detach().double().cpu()).square()
    cost = cost / (cost.median() or 1.0)
    if not entropy and labels is None:
        return transport_plan(cost).to(source)
    plan = sinkhorn_plan(cost, entropy)
    if labels is None:
        return plan.to(source)
    members = torch.nn.functional.one_hot(labels.cpu()).to(cost)
    for _ in range(_MAJORIZATIONS):  # the penalty is concave: its tangent at the plan found before bounds it from above
        slopes = 0.5 * (members.T @ plan + _SMALLEST_MASS).rsqrt()
        plan = sinkhorn_plan(cost + class_penalty * (members @ slopes), entropy)
    return plan.to(source)


_MAJORIZATIONS = 10
_SMALLEST_MASS = 1e-3
_LARGEST_EXPONENT = 300
"""Of a cost divided by the entropy: smaller ones do not underflow."""


def sinkhorn_plan(cost: Tensor, entropy: float) -> Tensor:
    """Return the (N, M) plan between uniform masses for a cost (N, M) with entropy, by POT in float64, detached.

    Raises:
        ValueError: the entropy has no weight.

    >>> sinkhorn_plan(torch.zeros(2, 2), 1.0).tolist()
    [[0.25, 0.25], [0.25, 0.25]]
    """
    if entropy <= 0:
        raise ValueError(f"entropy {entropy}; expected a number > 0, or the exact plan of transport_plan")
    import ot  # here: it loads SciPy's solvers, which nobody else needs

    values = cost.detach().double().cpu().numpy()
    masses = [np.full(size, 1 / size) for size in values.shape]
    method = "sinkhorn" if values.max() < _LARGEST_EXPONENT * entropy else "sinkhorn_log"  # the latter is much slower
    plan = ot.sinkhorn(*masses, values, entropy, method=method, numItermax=2000, stopThr=1e-9, warn=False)
    return torch.from_numpy(plan).to(cost)
