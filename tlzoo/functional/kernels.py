"""Maximum mean discrepancy with Gaussian kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from tlzoo.functional.checks import check_choice, check_pair
from tlzoo.functional.precision import at_least_float32, matmul

__all__ = [
    "Bandwidth",
    "Estimator",
    "check_kernel",
    "gaussian_kernel",
    "joint_mmd",
    "local_mmd",
    "mmd",
    "pairwise_squared_distances",
]

Estimator = Literal["biased", "unbiased", "linear"]
Bandwidth = Literal["mean", "legacy"]


def check_kernel(*, scales: Sequence[float], estimator: Estimator = "biased", bandwidth: Bandwidth = "mean") -> None:
    """Check the settings of :func:`mmd`.

    Raises:
        ValueError: no scale, a scale that is not positive, an unknown estimator or bandwidth.
    """
    check_choice(estimator, get_args(Estimator), what="estimator")
    check_choice(bandwidth, get_args(Bandwidth), what="bandwidth")
    if not scales or not min(scales) > 0:
        raise ValueError(f"scales {list(scales)}; expected one number > 0 or more")


def pairwise_squared_distances(points: Tensor) -> Tensor:
    """Return the (N, N) squared Euclidean distances among points (N, D).

    The mean is subtracted first, which leaves distances unchanged: in float32 the product form loses digits if the mean
    is large compared with the spread.
    """
    points = at_least_float32(points)
    centered = points - points.mean(dim=0).detach()
    products = matmul(centered, centered.T)
    squares = products.diagonal()
    return (squares[:, None] + squares[None, :] - 2 * products).clamp_min(0)


def gaussian_kernel(points: Tensor, *, scales: Sequence[float] = (1.0,), bandwidth: Bandwidth = "mean") -> Tensor:
    r"""Return the (N, N) sum of Gaussian kernels of points (N, D), with the mean squared distance as their unit.

    .. math:: k(x, y) = \sum_a \exp\left(-\frac{\lVert x - y \rVert^2}{2 a m}\right)

    Args:
        points: (N, D).
        scales: the factors a.
        bandwidth: ``"mean"``: m is the mean squared distance over all N^2 pairs, including the zero diagonal;
            ``"legacy"``: over the other N^2 - N pairs, the rule of the first DAN code. m is detached.

    Raises:
        ValueError: there is no scale, a scale is not positive, or the bandwidth is unknown.

    >>> points = torch.tensor([[0.0], [2.0]])  # squared distances 0 and 4, m = 2
    >>> round(gaussian_kernel(points)[0, 1].item(), 4)  # exp(-1)
    0.3679
    """
    check_kernel(scales=scales, bandwidth=bandwidth)
    distances = pairwise_squared_distances(at_least_float32(points))  # whose squares do not underflow
    count = len(points)
    pairs = count * count if bandwidth == "mean" else count * count - count
    mean = distances.detach().sum() / max(pairs, 1)
    # points that all coincide have kernel 1 and gradient 0 whatever the bandwidth; one of 0 would give NaN for both
    mean = torch.where(mean > torch.finfo(mean.dtype).tiny, mean, torch.ones_like(mean))
    scaled = distances / (-2 * mean)
    return torch.stack([(scaled / scale).exp() for scale in scales]).sum(dim=0)


def mmd(
    source: Tensor,
    target: Tensor,
    *,
    scales: Sequence[float] = (1.0,),
    estimator: Estimator = "biased",
    bandwidth: Bandwidth = "mean",
) -> Tensor:
    r"""Squared maximum mean discrepancy (Gretton et al., JMLR 2012), https://jmlr.org/papers/v13/gretton12a.html.

    The biased estimator:

    .. math::

        \frac{1}{N^2} \sum_{i,j} k(s_i, s_j) + \frac{1}{M^2} \sum_{i,j} k(t_i, t_j)
        - \frac{2}{N M} \sum_{i,j} k(s_i, t_j)

    The unbiased one leaves out the pairs of a point with itself. The linear one, with indices modulo N:

    .. math:: \frac{1}{N} \sum_i k(s_i, s_{i+1}) + k(t_i, t_{i+1}) - k(s_i, t_{i+1}) - k(s_{i+1}, t_i)

    Args:
        source: (N, D) features.
        target: (M, D) features.
        scales: factors of the mean squared distance of the joint sample, one kernel each; DAN sums 2^-3 ... 2^1.
        estimator: which estimator to use; only the biased one is never negative.
        bandwidth: see :func:`gaussian_kernel`; detached.

    Returns:
        A scalar. Only the biased estimator works with a single point per side.

    Raises:
        ValueError: the widths differ, a side is empty (or has a single point, for unbiased and linear), the sizes
            differ (for linear), or the estimator or bandwidth is unknown.

    >>> mmd(torch.zeros(3, 2), torch.zeros(2, 2)).item()
    0.0
    """
    _check_estimable(source, target, estimator)
    kernel = gaussian_kernel(torch.cat([source, target]), scales=scales, bandwidth=bandwidth)
    return kernel_discrepancy(kernel, len(source), estimator=estimator)


def joint_mmd(
    source: Tensor,
    target: Tensor,
    source_probabilities: Tensor,
    target_probabilities: Tensor,
    *,
    scales: Sequence[float] = (0.125, 0.25, 0.5, 1.0, 2.0),
    width: float = 0.92,
    estimator: Estimator = "biased",
    bandwidth: Bandwidth = "mean",
) -> Tensor:
    r"""Joint maximum mean discrepancy (Long et al., ICML 2017), https://arxiv.org/abs/1605.06636.

    This is the discrepancy of :func:`mmd` with the product of two kernels, one on features f (a sum of Gaussians) and
    one on class probabilities p:

    .. math:: k((f, p), (f', p')) = k(f, f') \, \exp\left(-\frac{\lVert p - p' \rVert^2}{2 \sigma^2}\right)

    Args:
        source: (N, D) features.
        target: (M, D) features.
        source_probabilities: (N, C).
        target_probabilities: (M, C).
        scales: of the kernels on features, see :func:`gaussian_kernel`.
        width: sigma of the kernel on probabilities; fixed, not a multiple of distances.
        estimator: see :func:`mmd`.
        bandwidth: of the kernels on features.

    Raises:
        ValueError: see :func:`mmd`; or a width that is not positive.

    >>> x, p = torch.tensor([[0.0], [1.0]]), torch.eye(2)
    >>> joint_mmd(x, x, p, p).item(), bool(joint_mmd(x, x, p, p.flip(0)) > 0)
    (0.0, True)
    """
    _check_estimable(source, target, estimator)
    check_pair(source_probabilities, target_probabilities, what="probabilities")
    if width <= 0:
        raise ValueError(f"width {width}; expected a number > 0")
    on_features = gaussian_kernel(torch.cat([source, target]), scales=scales, bandwidth=bandwidth)
    distances = pairwise_squared_distances(torch.cat([source_probabilities, target_probabilities]))
    kernel = on_features * torch.exp(distances / (-2 * width * width))
    return kernel_discrepancy(kernel, len(source), estimator=estimator)


def local_mmd(
    source: Tensor,
    target: Tensor,
    source_probabilities: Tensor,
    target_probabilities: Tensor,
    *,
    scales: Sequence[float] = (0.125, 0.25, 0.5, 1.0, 2.0),
    bandwidth: Bandwidth = "legacy",
) -> Tensor:
    r"""Local maximum mean discrepancy, class by class (Zhu et al., TNNLS 2021), https://doi.org/10.1109/TNNLS.2020.2988928.

    It is the mean over classes of the biased discrepancy, with each example weighted by its probability of the class:

    .. math::

        \frac{1}{C} \sum_{c=1}^{C} \left\lVert \sum_i w_{ic}^s \phi(s_i) - \sum_j w_{jc}^t \phi(t_j) \right\rVert^2,
        \qquad w_{ic} = \frac{p_{ic}}{\sum_j p_{jc}}

    The weights are detached. A class without examples on one side does not count; without any class left the value is
    0.

    Args:
        source: (N, D) features.
        target: (M, D) features.
        source_probabilities: (N, C), one-hot labels.
        target_probabilities: (M, C), predictions.
        scales: see :func:`gaussian_kernel`.
        bandwidth: see :func:`gaussian_kernel`.

    Raises:
        ValueError: the widths differ, or a side is empty.

    >>> x = torch.tensor([[0.0], [1.0]])
    >>> local_mmd(x, x, torch.eye(2), torch.eye(2)).item()
    0.0
    """
    check_pair(source, target)
    probabilities = check_pair(source_probabilities, target_probabilities, what="probabilities")
    kernel = gaussian_kernel(torch.cat([source, target]), scales=scales, bandwidth=bandwidth)
    masses = [p.detach().sum(dim=0) for p in probabilities]
    tiny = torch.finfo(kernel.dtype).tiny
    ours, theirs = (p.detach() / mass.clamp_min(tiny) for p, mass in zip(probabilities, masses, strict=True))
    signed = torch.cat([ours, -theirs])  # (N + M, C): column c holds the weights of class c
    both = (masses[0] > 0) & (masses[1] > 0)
    by_class = (matmul(kernel, signed) * signed).sum(dim=0)
    return (by_class * both).sum() / both.sum().clamp_min(1)


def _check_estimable(source: Tensor, target: Tensor, estimator: Estimator) -> None:
    check_choice(estimator, get_args(Estimator), what="estimator")
    check_pair(source, target, least=1 if estimator == "biased" else 2)
    if estimator == "linear" and len(source) != len(target):
        raise ValueError(
            f"the linear estimator pairs source and target points; got {len(source)} and {len(target)} points; "
            "use equal batch sizes or estimator='unbiased'"
        )


def kernel_discrepancy(kernel: Tensor, num_source: int, *, estimator: Estimator = "biased") -> Tensor:
    """Return the squared discrepancy from the kernel matrix (N + M, N + M), source points first.

    Raises:
        ValueError: the estimator is unknown.
    """
    check_choice(estimator, get_args(Estimator), what="estimator")
    n, m = num_source, len(kernel) - num_source
    if estimator == "linear":
        here = torch.arange(n, device=kernel.device)
        after = (here + 1) % n
        pairs = kernel[here, after] + kernel[n + here, n + after]
        return (pairs - kernel[here, n + after] - kernel[after, n + here]).mean()
    if estimator == "unbiased":
        kernel = kernel - torch.diag(kernel.diagonal())
        same_source, same_target = n * (n - 1), m * (m - 1)
    else:
        same_source, same_target = n * n, m * m
    within = kernel[:n, :n].sum() / same_source + kernel[n:, n:].sum() / same_target
    return within - 2 * kernel[:n, n:].mean()
