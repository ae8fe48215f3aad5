"""Weights of task gradients from their inner products G = J J^T: small problems, solved exactly on the CPU.

Each function takes G (T, T) of any float type and returns weights (T,) in float64 on the CPU. Rows are first scaled to
unit length, so that gradients of very different length keep their digits; rows of zeros are allowed. Eigenvalues below
the rounding of G's type count as zero, which decides which gradients depend linearly on others.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = [
    "cagrad_weights",
    "dual_cone_weights",
    "fair_weights",
    "left_singular",
    "min_norm_weights",
    "resolved_gramian",
]

Matrix = NDArray[np.float64]

_TINY = 1e-150
_CONVERGED = 1e-10
_STATIONARY = 1e-6
"""Share of the rows' length below which a convex combination of them counts as zero; G knows it to 1e-6."""
_LARGEST = 1e3
"""The most that CAGrad multiplies its convex combination by."""
_NO_GRADIENT = 1e-5
"""Share of the longest row's length below which a row is that of a task without gradient for CAGrad."""
_NO_RADIUS = 1e-12
"""Share of the rows' length below which their mean is rounding."""


def left_singular(gramian: Tensor) -> tuple[Tensor, Tensor]:
    r"""Return U (T, r) and s (r,) of :math:`J = U \mathrm{diag}(s) V^\top`, in float64 on the CPU.

    r is the rank of the gradients at unit length, and :math:`G^+ = U \mathrm{diag}(s^{-2}) U^\top`.

    >>> vectors, values = left_singular(torch.tensor([[4.0, 4.0], [4.0, 4.0]]))
    >>> vectors.abs(), values
    (tensor([[0.7071],
            [0.7071]], dtype=torch.float64), tensor([2.8284], dtype=torch.float64))
    """
    rows = _rows(gramian)
    vectors, values, _ = np.linalg.svd(rows, full_matrices=False)
    kept = values > len(rows) * np.finfo(np.float64).eps * values.max(initial=0.0)
    return torch.from_numpy(vectors[:, kept]), torch.from_numpy(values[kept])


def resolved_gramian(gramian: Tensor, *, gradients: torch.dtype = torch.float64) -> Tensor:
    """Return G in float64 on the CPU, free of the rounding of G and of the gradients.

    Rounding turns a gradient that depends on others into one that points slightly out of their span, and a method that
    divides by small eigenvalues then follows that direction. So eigenvalues of the cosines that rounding explains are
    set to zero.

    Args:
        gramian: (T, T), of any float type.
        gradients: the type in which the gradients were computed; it may be less exact than G.
    """
    cosines, lengths = _cosines(gramian)
    values, vectors = np.linalg.eigh(cosines)
    lost = values < _rounding(gramian.dtype, gradients) * values[-1]
    if not lost.any():
        return gramian.detach().cpu().double()
    root = lengths[:, None] * vectors * np.sqrt(np.where(lost, 0.0, values))
    return torch.from_numpy(root @ root.T)


def _rounding(gramian: torch.dtype, gradients: torch.dtype = torch.float64) -> float:
    """Return the share of the largest eigenvalue below which the others are rounding.

    Float64 sums of a million products are off by 1e-13, float32 sums of a thousand by 1e-7. Gradients backpropagated
    through several layers are off by one unit of rounding or two, as a share of their length; eigenvalues are squares
    of lengths.
    """
    products = 1e-12 if gramian == torch.float64 else 8 * torch.finfo(gramian).eps
    return float(max(products, (4 * torch.finfo(gradients).eps) ** 2))


def min_norm_weights(gramian: Tensor) -> Tensor:
    r"""Return the weights of the shortest vector in the convex hull of the task gradients.

    .. math:: \min_w w^\top G w \quad \text{with} \quad w \ge 0, \; \sum_t w_t = 1

    As a least-distance problem this is one non-negative least-squares problem, which is solved exactly (Lawson & Hanson
    1974, https://doi.org/10.1137/1.9781611971217).

    >>> min_norm_weights(torch.tensor([[1.0, 0.0], [0.0, 3.0]]))
    tensor([0.7500, 0.2500], dtype=torch.float64)
    """
    return torch.from_numpy(_shortest(_rows(gramian)))


def dual_cone_weights(gramian: Tensor, vectors: Tensor, *, regularization: float = 0.0) -> Tensor:
    r"""Return the weights of :math:`J^\top u` projected onto the cone of directions that conflict with no task.

    .. math:: \min_v v^\top G v \quad \text{with} \quad v \ge u

    Args:
        gramian: (T, T).
        vectors: (..., T), each a u.
        regularization: share of the trace of G to add to its diagonal; with 0, :math:`J d \ge 0` holds exactly.

    Source: Quinton & Rey 2024, proposition 1, https://arxiv.org/abs/2406.16232

    >>> g = torch.tensor([[1.0, -1.0], [-1.0, 4.0]])
    >>> dual_cone_weights(g, torch.tensor([1.0, 0.0]))
    tensor([1.0000, 0.2500], dtype=torch.float64)
    """
    from scipy.optimize import nnls

    if regularization:
        gramian = gramian.double() + regularization * gramian.double().trace() * torch.eye(len(gramian)).to(gramian)
    rows = _rows(gramian)
    lengths = np.linalg.norm(rows, axis=1)
    inverse = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > _TINY)
    units = (rows * inverse[:, None]).T
    flat = vectors.detach().cpu().double().reshape(-1, len(rows)).numpy()
    found = [u + inverse * nnls(units, -(u @ rows))[0] for u in flat]
    return torch.from_numpy(np.stack(found)).view(vectors.shape)


def cagrad_weights(gramian: Tensor, c: float) -> Tensor:
    r"""Return the weights of the CAGrad direction :math:`d = g_0 + k g_w`, with :math:`g_0` the mean gradient.

    .. math::

        g_w = \arg\min_{g \in \text{hull}} \; \langle g, g_0 \rangle + c \lVert g_0 \rVert \lVert g \rVert,
        \qquad k = c \frac{\lVert g_0 \rVert}{\lVert g_w \rVert}

    :math:`g_w` is the shortest vector in the hull of the points :math:`g_i + g_0 / k`, and :math:`k \lVert g_w \rVert`
    grows with k, so bisection finds k, up to 1,000. If the worst task can hardly be served, because the gradients are
    Pareto stationary or one of them is short, this bound is reached and d stays closer to the mean than
    :math:`c \lVert g_0 \rVert`: it then maximizes the smallest
    :math:`\langle g_i, d \rangle - \lVert d - g_0 \rVert^2 / 2000`. Rows shorter than 1e-5 of the longest count in
    :math:`g_0` only.

    Args:
        gramian: (T, T).
        c: radius of the ball around :math:`g_0`, as a share of its length; >= 0.

    Source: Liu et al., NeurIPS 2021, https://arxiv.org/abs/2110.14048

    >>> cagrad_weights(torch.diag(torch.tensor([1.0, 1.0, 0.0])), 0.5)
    tensor([0.5000, 0.5000, 0.3333], dtype=torch.float64)
    """
    from scipy.optimize import brentq

    rows = _rows(gramian)
    uniform = np.full(len(rows), 1 / len(rows))
    lengths = np.linalg.norm(rows, axis=1)
    scale = float(np.sqrt((lengths**2).mean()))
    if c == 0 or scale <= _TINY:
        return torch.from_numpy(uniform)
    there = lengths > _NO_GRADIENT * lengths.max()
    mean = uniform @ rows / scale
    rows = rows[there] / scale
    radius = c * float(np.linalg.norm(mean))
    if radius <= _NO_RADIUS:
        return torch.zeros(len(uniform), dtype=torch.float64)

    def weights(log_k: float) -> Matrix:
        return _shortest(rows + mean * np.exp(-log_k))

    def excess(log_k: float) -> float:
        # a little more than the radius, as any large k gives it where the mean is to be undone: the least is meant
        return float(np.exp(log_k) * np.linalg.norm(weights(log_k) @ rows)) - (1 - _CONVERGED) * radius

    low, high = np.log(min(radius, 1.0) / 10), np.log(_LARGEST)
    root = high
    if excess(high) > 0:
        while excess(low) > 0:
            low -= 5
        root = float(brentq(excess, low, high, xtol=1e-13, rtol=1e-14))
    uniform[there] += np.exp(root) * weights(root)
    return torch.from_numpy(uniform)


def fair_weights(gramian: Tensor, alpha: float = 1.0) -> Tensor:
    r"""Return the positive weights that give the tasks alpha-fair gains; alpha = 1 is the Nash bargaining solution.

    .. math:: (G w)_i = w_i^{-1 / \alpha}

    They minimize a convex function and are found by damped Newton steps. Tasks without a gradient get weight zero. If
    the gradients are Pareto stationary, no such w exists and all weights are zero.

    Args:
        gramian: (T, T).
        alpha: > 0; 1 is proportional fairness, large values approach max-min fairness.

    Source: Navon et al., ICML 2022, https://arxiv.org/abs/2202.01017; Ban & Ji, ICML 2024,
        https://arxiv.org/abs/2402.15638

    >>> fair_weights(torch.diag(torch.tensor([4.0, 1.0])))
    tensor([0.5000, 1.0000], dtype=torch.float64)
    """
    rows = _rows(gramian)
    lengths = np.linalg.norm(rows, axis=1)
    there = lengths > _TINY
    result = np.zeros(len(rows))
    units = rows[there] / lengths[there, None]
    if there.any() and np.linalg.norm(_shortest(units) @ units) > _STATIONARY:
        power = 1 / alpha
        # with v = w * length the condition is (C v)_i = p_i v_i^(-1/alpha), C of unit rows
        factors = lengths[there] ** (power - 1)
        # v = scale * x turns it into (C x)_i = q_i x_i^(-1/alpha) with q of size 1
        scale = float(np.exp(np.log(factors).mean() / (1 + power)))
        x = _newton(units @ units.T, factors / scale ** (1 + power), power)
        result[there] = scale * x / lengths[there]
    return torch.from_numpy(result)


def _newton(matrix: Matrix, factors: Matrix, power: float, steps: int = 200) -> Matrix:
    """Minimize x^T C x / 2 - sum of q_i u(x_i), with u' = x^-power, over x > 0."""

    def utility(x: Matrix) -> Matrix:
        return np.log(x) if power == 1 else x ** (1 - power) / (1 - power)

    def value(x: Matrix) -> float:
        return float(x @ matrix @ x / 2 - factors @ utility(x))

    def residual(x: Matrix) -> float:
        return float(np.abs(matrix @ x * x**power / factors - 1).max())

    x = factors ** (1 / (1 + power))
    for _ in range(steps):
        if (now := residual(x)) <= _CONVERGED:
            break
        gradient = matrix @ x - factors * x**-power
        step: Matrix = np.asarray(-np.linalg.solve(matrix + np.diag(power * factors * x ** (-power - 1)), gradient))
        length = _into_the_domain(x, step)
        needed = 1e-4 * float(-gradient @ step)
        while length > _CONVERGED and not value(x + length * step) <= value(x) - length * needed:
            length /= 2
        if length <= _CONVERGED:  # values are equal but for rounding; the residual shows the rest
            length = _into_the_domain(x, step)
            if not residual(x + length * step) < now:
                break
        x = x + length * step
    return x


def _into_the_domain(x: Matrix, step: Matrix) -> float:
    """Return the longest step, at most 1, that leaves at least a tenth of every entry."""
    falling = step < 0
    return min(1.0, float((0.9 * x[falling] / -step[falling]).min())) if falling.any() else 1.0


def _shortest(points: Matrix) -> Matrix:
    """Return the convex weights of the shortest vector in the hull of points (T, R)."""
    from scipy.optimize import nnls

    lengths = np.linalg.norm(points, axis=1)
    least = float(lengths.min())
    if least <= _TINY:
        zero = (lengths <= _TINY).astype(float)
        return np.asarray(zero / zero.sum())
    # min |P^T x|^2 + (sum x - 1)^2, in units of the shortest point and of each point's own length
    shares = least / lengths
    system = np.concatenate([(points / lengths[:, None]).T, shares[None]])
    goal = np.zeros(len(system))
    goal[-1] = 1
    found: Matrix = nnls(system, goal)[0] * shares
    return np.asarray(found / found.sum())


def _rows(gramian: Tensor) -> Matrix:
    """Return R (T, r) with R R^T = G and r its rank, each row as exact as its length allows."""
    cosines, lengths = _cosines(gramian)
    values, vectors = np.linalg.eigh(cosines)
    kept = values > _rounding(gramian.dtype) * max(values[-1], 0.0)
    factor: Matrix = lengths[:, None] * vectors[:, kept] * np.sqrt(values[kept])
    return factor


def _cosines(gramian: Tensor) -> tuple[Matrix, Matrix]:
    """Return the inner products (T, T) of the gradients at unit length, and their lengths (T,)."""
    matrix = gramian.detach().cpu().double().numpy()
    lengths = np.sqrt(np.clip(np.diagonal(matrix), 0, None))
    inverse = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > _TINY)
    return matrix * inverse * inverse[:, None], lengths
