r"""Transferability: which pretrained backbone suits a labelled task, judged without training on it; higher is better.

Every score is a statistic of frozen features, or of a source model's class probabilities, and the task's training
labels. All are computed in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

__all__ = ["TRANSFERABILITY", "gbc", "h_score", "leep", "log_me", "nce", "trans_rate"]


def log_me(features: ArrayLike | Tensor, labels: ArrayLike | Tensor, *, steps: int = 100) -> float:
    r"""Return LogME (You et al., ICML 2021), https://arxiv.org/abs/2102.11005.

    The log evidence per example of a Bayesian linear regression from features to one class indicator, maximized over
    the prior's precision alpha and the noise's precision beta, and averaged over classes:

    .. math::
        \frac1n \log \mathcal N\!\left(y;\, 0,\; \beta^{-1} I + \alpha^{-1} F F^\top\right)

    The fixed point of MacKay is run on the singular values of F, as in the authors' code.

    Args:
        features: (N, D).
        labels: (N,) class indices.
        steps: at most so many iterations a class.

    Raises:
        ValueError: shapes that do not fit, NaN or Inf, a label below 0, or fewer than two classes.
    """
    rows, targets = _checked(features, labels)
    left, singular, _ = torch.linalg.svd(rows, full_matrices=False)
    evidences = [
        _evidence(left, singular, (targets == label).to(rows), width=rows.shape[1], steps=steps)
        for label in range(int(targets.max()) + 1)
    ]
    return float(torch.stack(evidences).mean())


def _evidence(left: Tensor, singular: Tensor, indicator: Tensor, *, width: int, steps: int) -> Tensor:
    """Return the maximized log evidence per example of one indicator (N,), from F = left diag(singular) V^T."""
    count = len(indicator)
    inside = left.T @ indicator  # the indicator in the coordinates of F's column space
    outside = (indicator @ indicator - inside @ inside).clamp_min(0)
    squares, tiny = singular**2, torch.finfo(indicator.dtype).tiny
    alpha, beta = indicator.new_ones(()), indicator.new_ones(())

    def moments() -> tuple[Tensor, Tensor]:
        """Return the squared norm of the posterior mean, and the squared residual."""
        shrunk = beta * singular * inside / (alpha + beta * squares)
        residual = ((inside - singular * shrunk) ** 2).sum() + outside
        return (shrunk**2).sum(), residual

    for _ in range(steps):
        norm, residual = moments()
        effective = (beta * squares / (alpha + beta * squares)).sum()
        ratio = alpha / beta
        alpha = effective / norm.clamp_min(tiny)
        beta = (count - effective) / residual.clamp_min(tiny)
        if (alpha / beta - ratio).abs() <= 1e-3 * ratio.abs():
            break
    norm, residual = moments()
    spectrum = (alpha + beta * squares).log().sum() + (width - len(singular)) * alpha.log()
    log_evidence = (
        count * beta.log() + width * alpha.log() - count * math.log(2 * math.pi) - beta * residual - alpha * norm
    )
    return (log_evidence - spectrum) / (2 * count)


def h_score(features: ArrayLike | Tensor, labels: ArrayLike | Tensor, *, shrinkage: float | None = None) -> float:
    r"""Return the H-score with a shrunk covariance (Ibrahim et al., 2021), https://arxiv.org/abs/2110.06893.

    .. math:: \operatorname{tr}\!\left(\Sigma_a^{-1} (1 - a)\, \operatorname{cov}(E[f \mid y])\right), \qquad
        \Sigma_a = (1 - a) \operatorname{cov}(f) + a\,\tfrac{\operatorname{tr} \operatorname{cov}(f)}{D} I

    ``shrinkage=0`` is the original (Bao et al., ICIP 2019, https://arxiv.org/abs/2212.10082), whose inverse is a
    pseudo-inverse where features are linearly dependent.

    Args:
        features: (N, D).
        labels: (N,) class indices.
        shrinkage: a, in [0, 1]; None for that of Ledoit and Wolf.

    Raises:
        ValueError: shapes that do not fit, NaN or Inf, a label below 0, fewer than two classes, or a shrinkage outside
            [0, 1].
    """
    rows, targets = _checked(features, labels)
    if shrinkage is None:
        from sklearn.covariance import ledoit_wolf_shrinkage

        shrinkage = float(ledoit_wolf_shrinkage(rows.numpy()))
    if not 0 <= shrinkage <= 1:
        raise ValueError(f"shrinkage {shrinkage}; expected a number in [0, 1]")
    centered = rows - rows.mean(dim=0)
    means = torch.stack([centered[targets == label].mean(dim=0) for label in targets])
    covariance = centered.T @ centered / len(rows)
    identity = torch.eye(rows.shape[1], dtype=rows.dtype)
    shrunk = (1 - shrinkage) * covariance + shrinkage * covariance.trace() / rows.shape[1] * identity
    between = (1 - shrinkage) * means.T @ means / len(rows)
    return float((torch.linalg.pinv(shrunk, hermitian=True) * between).sum())


def trans_rate(features: ArrayLike | Tensor, labels: ArrayLike | Tensor, *, epsilon: float = 1e-4) -> float:
    r"""Return TransRate (Huang et al., ICML 2022), https://arxiv.org/abs/2106.09735.

    The coding rate of all features less that of the features within classes:

    .. math:: R(Z) - \sum_c \tfrac{n_c}{n} R(Z_c), \qquad
        R(Z) = \tfrac12 \log\det\!\left(I + \tfrac{1}{n \epsilon} Z^\top Z\right)

    with features centered by their overall mean. Differs from the paper's listing, which weighs classes equally: the
    formula above it, and this function, weigh them by their examples. The two agree on balanced classes.

    Args:
        features: (N, D).
        labels: (N,) class indices.
        epsilon: squared distortion of the code.

    Raises:
        ValueError: shapes that do not fit, NaN or Inf, a label below 0, fewer than two classes, or an epsilon that is
            not positive.
    """
    rows, targets = _checked(features, labels)
    if epsilon <= 0:
        raise ValueError(f"epsilon {epsilon}; expected a number > 0")
    centered = rows - rows.mean(dim=0)

    def rate(points: Tensor) -> Tensor:
        squares = torch.linalg.svdvals(points) ** 2
        return 0.5 * torch.log1p(squares / (len(points) * epsilon)).sum()

    parts = [centered[targets == label] for label in range(int(targets.max()) + 1)]
    within = torch.stack([rate(part) * len(part) / len(rows) for part in parts]).sum()
    return float(rate(centered) - within)


def gbc(features: ArrayLike | Tensor, labels: ArrayLike | Tensor, *, components: int | None = 64) -> float:
    r"""Return the Gaussian Bhattacharyya coefficient (Pándy et al., CVPR 2022), https://arxiv.org/abs/2111.12780.

    Minus the overlap of all pairs of classes, each a Gaussian with a diagonal covariance:

    .. math:: -\sum_{i \neq j} e^{-B(i, j)}, \qquad
        B = \tfrac18 (\mu_i - \mu_j)^\top \Sigma^{-1} (\mu_i - \mu_j)
            + \tfrac12 \log \frac{|\Sigma|}{\sqrt{|\Sigma_i| |\Sigma_j|}}, \quad \Sigma = \tfrac12 (\Sigma_i + \Sigma_j)

    Args:
        features: (N, D).
        labels: (N,) class indices; each class needs two examples.
        components: principal components that are kept, as in the paper; None for all of the features' dimensions.

    Raises:
        ValueError: shapes that do not fit, NaN or Inf, a label below 0, fewer than two classes, a class of one example,
            or fewer than one component.
    """
    rows, targets = _checked(features, labels)
    if components is not None:
        if components < 1:
            raise ValueError(f"{components} components; expected at least one")
        centered = rows - rows.mean(dim=0)
        _, _, right = torch.linalg.svd(centered, full_matrices=False)
        rows = centered @ right[:components].T
    classes = range(int(targets.max()) + 1)
    if single := [label for label in classes if int((targets == label).sum()) < 2]:
        raise ValueError(f"class {single[0]} has one example, which has no variance; expected at least two a class")
    means = torch.stack([rows[targets == label].mean(dim=0) for label in classes])
    floor = 1e-10 * rows.var(dim=0).mean().clamp_min(torch.finfo(rows.dtype).tiny)
    variances = torch.stack([rows[targets == label].var(dim=0, correction=0) for label in classes]).clamp_min(floor)
    joint = (variances[:, None] + variances[None]) / 2
    distance = ((means[:, None] - means[None]) ** 2 / joint).sum(dim=2) / 8
    distance += 0.5 * (joint.log() - (variances.log()[:, None] + variances.log()[None]) / 2).sum(dim=2)
    overlap = (-distance).exp()
    return -float(overlap.sum() - overlap.trace())


def leep(probabilities: ArrayLike | Tensor, labels: ArrayLike | Tensor) -> float:
    r"""Return LEEP (Nguyen et al., ICML 2020), https://arxiv.org/abs/2002.12462.

    The mean log likelihood of the labels y under the source model's class probabilities :math:`\theta(x)_z`, passed
    through the empirical conditional of y given z:

    .. math:: \frac1n \sum_i \log \sum_z \hat P(y_i \mid z)\, \theta(x_i)_z

    Args:
        probabilities: (N, Z) of the source model's classes; rows sum to 1.
        labels: (N,) class indices of the task.

    Raises:
        ValueError: shapes that do not fit, rows that are no probabilities, a label below 0, or fewer than two classes.
    """
    rows, targets = _checked_probabilities(probabilities, labels)
    joint = rows.new_zeros(int(targets.max()) + 1, rows.shape[1]).index_add_(0, targets, rows) / len(rows)
    conditional = joint / joint.sum(dim=0).clamp_min(torch.finfo(rows.dtype).tiny)
    return float((conditional[targets] * rows).sum(dim=1).log().mean())


def nce(probabilities: ArrayLike | Tensor, labels: ArrayLike | Tensor) -> float:
    r"""Return the negative conditional entropy -H(y | z) (Tran et al., ICCV 2019), https://arxiv.org/abs/1908.08142.

    z is the class that the source model predicts.

    Args:
        probabilities: (N, Z) of the source model's classes; rows sum to 1.
        labels: (N,) class indices of the task.

    Raises:
        ValueError: shapes that do not fit, rows that are no probabilities, a label below 0, or fewer than two classes.
    """
    rows, targets = _checked_probabilities(probabilities, labels)
    hard = torch.nn.functional.one_hot(rows.argmax(dim=1), rows.shape[1]).to(rows)
    return leep(hard, targets)  # with certain predictions the likelihood is the conditional of y given z


TRANSFERABILITY: dict[str, Callable[[ArrayLike | Tensor, ArrayLike | Tensor], float]] = {
    "log_me": log_me,
    "h_score": h_score,
    "trans_rate": trans_rate,
    "gbc": gbc,
}
"""Scores of frozen features by name; :func:`leep` and :func:`nce` need a source model's class probabilities."""


def _checked(features: ArrayLike | Tensor, labels: ArrayLike | Tensor) -> tuple[Tensor, Tensor]:
    """Return features (N, D) in float64 and the places (N,) of the labels among the classes that occur, on the CPU."""
    rows = torch.as_tensor(np.asarray(features) if not isinstance(features, Tensor) else features.detach()).cpu()
    given = torch.as_tensor(np.asarray(labels) if not isinstance(labels, Tensor) else labels).cpu()
    if rows.ndim != 2 or given.shape != rows.shape[:1]:
        raise ValueError(
            f"features of shape {tuple(rows.shape)} and labels of shape {tuple(given.shape)}; expected (N, D) and (N,)"
        )
    rows, targets = rows.double(), given.long()
    if not bool(rows.isfinite().all()):
        first = int((~rows.isfinite()).any(dim=1).nonzero()[0])
        raise ValueError(f"NaN or Inf in features (row {first}); drop or repair it")
    if not bool((given == targets).all()) or bool((targets < 0).any()):
        raise ValueError("labels are no class indices; expected integers from 0")
    classes, places = np.unique(targets.numpy(), return_inverse=True)
    if len(classes) < 2:
        raise ValueError("one class alone cannot be told apart; expected examples of at least two")
    return rows, torch.from_numpy(places)


def _checked_probabilities(probabilities: ArrayLike | Tensor, labels: ArrayLike | Tensor) -> tuple[Tensor, Tensor]:
    rows, targets = _checked(probabilities, labels)
    if bool((rows < 0).any()) or bool(((rows.sum(dim=1) - 1).abs() > 1e-3).any()):
        raise ValueError("rows are no probabilities; expected numbers of at least 0 that sum to 1 (softmax the logits)")
    return rows, targets
