"""Scores from labelled source data and the unlabelled target; higher is always better."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional import standardization
from tlzoo.functional.checks import check_choice, check_pair
from tlzoo.functional.precision import at_least_float32, matmul
from tlzoo.types import Prediction

__all__ = [
    "FEWEST",
    "OF_VALUES",
    "SOURCE_SCORES",
    "blocks",
    "deep_embedded_validation",
    "density_ratio",
    "dev_risk",
    "negative_discrepancy",
    "negative_source_risk",
    "reverse_validation",
    "ridge_logits",
]

_BLOCK = 512


def negative_source_risk(source: Prediction) -> Tensor:
    """Return the negative mean cross-entropy of held-out, labelled source predictions (N, C).

    In a regression it is minus the squared error of values (N, T), in units of the variance of the labels.

    Raises:
        ValueError: there are no labels.
    """
    return -_risks(source).mean()


def negative_discrepancy(source: Prediction, target: Prediction) -> Tensor:
    """Return the negative squared MMD (Gaussian, mean bandwidth, biased) of source (N, D) and target (M, D) features.

    It equals :func:`tlzoo.functional.mmd` but works by blocks of rows: without a gradient, there is no need to keep the
    whole kernel.

    Raises:
        ValueError: the widths differ, or a side is empty.
    """
    joint = torch.cat(check_pair(source.features, target.features)).detach()
    joint = joint - joint.mean(dim=0)
    norms = joint.square().sum(dim=1)
    mean = 2 * norms.mean()  # mean squared distance of all pairs, from the joint mean
    mean = torch.where(mean > torch.finfo(joint.dtype).tiny, mean, torch.ones_like(mean))
    signs = torch.full_like(norms, 1 / len(source.features))
    signs[len(source.features) :] = -1 / len(target.features)
    total = norms.new_zeros(())
    for first, rows in blocks(joint):
        own = slice(first, first + len(rows))
        squared = (norms[own, None] + norms - 2 * matmul(rows, joint.T)).clamp_min_(0)
        total += signs[own].dot(matmul(squared.div_(-2 * mean).exp_(), signs))
    return -total


def blocks(points: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Yield blocks of rows of points (N, D), small enough to compare with all points in a cache, and their offsets."""
    for first in range(0, len(points), _BLOCK):
        yield first, points[first : first + _BLOCK]


def dev_risk(losses: Tensor, weights: Tensor) -> Tensor:
    r"""Return the importance-weighted target risk with a control variate (You et al., ICML 2019).

    .. math::

        \overline{w \ell} + \eta \overline{w} - \eta, \qquad
        \eta = -\frac{\mathrm{cov}(w \ell, w)}{\mathrm{var}(w)}

    If all weights are equal, eta is 0, which leaves the mean loss. Source:
    https://proceedings.mlr.press/v97/you19a.html.

    Args:
        losses: (N,) of held-out source examples.
        weights: (N,) density ratios target / source.

    Raises:
        ValueError: the sizes differ, or there are fewer than two examples.

    >>> dev_risk(torch.tensor([1.0, 3.0]), torch.ones(2)).item()
    2.0
    """
    if losses.shape != weights.shape or losses.ndim != 1 or len(losses) < 2:
        raise ValueError(
            f"losses and weights have shapes {tuple(losses.shape)} and {tuple(weights.shape)}; expected (N,) of both "
            "with N at least 2"
        )
    losses, weights = at_least_float32(losses), at_least_float32(weights)
    weighted = weights * losses
    spread = weights.var()
    covariance = ((weighted - weighted.mean()) * (weights - weights.mean())).sum() / (len(weights) - 1)
    level = torch.where(spread > torch.finfo(spread.dtype).eps, -covariance / spread.clamp_min(1e-30), 0 * spread)
    return weighted.mean() + level * (weights.mean() - 1)


def density_ratio(
    source: Tensor,
    target: Tensor,
    points: Tensor,
    *,
    classifier: Literal["logistic", "mlp"] = "logistic",
    penalty: float = 1.0,
    steps: int = 20,
) -> Tensor:
    r"""Return the (P,) ratio of target to source density at points (P, D), from a classifier of the domain.

    .. math:: w(x) = \frac{N}{M} \, \frac{p(\text{target} \mid x)}{p(\text{source} \mid x)}

    Args:
        source: (N, D).
        target: (M, D).
        points: (P, D).
        classifier: ``"logistic"``: Newton's method fits a logistic regression on standardized features with an L2
            penalty; scikit-learn's classifier gives the same, but only on the CPU. ``"mlp"``: the authors' network with
            hidden layers (D, D, 2), with the penalty, of nine, that does best on a held-out fifth; scikit-learn needs
            minutes for it.
        penalty: of the logistic regression: weight of ||w||^2 / 2 relative to the sum of losses.
        steps: number of Newton steps.
    """
    check_choice(classifier, ("logistic", "mlp"), what="classifier")
    if classifier == "mlp":
        return _mlp_density_ratio(source, target, points)
    joint = torch.cat([source, target]).double()
    center, scale = joint.mean(dim=0), joint.std(dim=0).clamp_min(1e-12)

    def standardized(x: Tensor) -> Tensor:
        return torch.cat([(x.double() - center) / scale, x.new_ones(len(x), 1, dtype=torch.float64)], dim=1)

    rows = standardized(joint)
    labels = torch.cat([joint.new_zeros(len(source)), joint.new_ones(len(target))])
    # the way to the minimum in half the time; the last steps, which double the digits, in float64
    rough = _newton(rows.float(), labels.float(), rows.new_zeros(rows.shape[1]).float(), penalty, steps, least=1e-2)
    weights = _newton(rows, labels, rough.double(), penalty, steps, least=1e-8)
    ratio = torch.exp((standardized(points) @ weights).clamp(-30, 30)) * len(source) / len(target)
    return ratio.to(at_least_float32(points).dtype)


def _newton(rows: Tensor, labels: Tensor, weights: Tensor, penalty: float, steps: int, *, least: float) -> Tensor:
    """Return the weights (D,) of a logistic regression, by Newton steps until none exceeds ``least``.

    From weights that are not finite it starts at zero.
    """
    if not bool(weights.isfinite().all()):
        weights = torch.zeros_like(weights)
    ridge = torch.full_like(weights, penalty)
    ridge[-1] = 1e-6  # the intercept is free
    for _ in range(steps):
        answers = torch.sigmoid(rows @ weights)
        gradient = rows.T @ (answers - labels) + ridge * weights
        curvature = (rows * (answers * (1 - answers))[:, None]).T @ rows + torch.diag(ridge)
        step = torch.linalg.solve(curvature, gradient)
        weights = weights - step
        if not float(step.abs().max()) >= least:
            break
    return weights


def _mlp_density_ratio(source: Tensor, target: Tensor, points: Tensor) -> Tensor:
    from sklearn.exceptions import ConvergenceWarning  # here: few ask for it
    from sklearn.model_selection import train_test_split
    from sklearn.neural_network import MLPClassifier

    features = torch.cat([source, target]).detach().cpu().numpy()
    is_source = [1] * len(source) + [0] * len(target)
    train, test, train_labels, test_labels = train_test_split(features, is_source, train_size=0.8, random_state=0)
    width = features.shape[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 200 passes, as in the authors' code, are often too few
        classifiers = [
            MLPClassifier(hidden_layer_sizes=(width, width, 2), alpha=alpha, random_state=0).fit(train, train_labels)
            for alpha in (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5)
        ]
    best = max(classifiers, key=lambda one: float(one.score(test, test_labels)))  # of equal ones the first
    shares = torch.from_numpy(best.predict_proba(points.detach().cpu().numpy())).to(points)
    return shares[:, 0] / shares[:, 1] * (len(source) / len(target))


@torch.no_grad()
def deep_embedded_validation(
    source: Prediction, target: Prediction, *, classifier: Literal["logistic", "mlp"] = "logistic"
) -> Tensor:
    """Deep embedded validation (You et al., ICML 2019), https://proceedings.mlr.press/v97/you19a.html.

    It is the negative risk of held-out source examples, weighted by the density ratio of their features. The ratio is
    fitted on the target and on every other source example, and applied to the rest.

    Differs from the paper: the ratio is that of a logistic regression by default, of a network there; losses are
    cross-entropies, in the authors' code errors.

    Args:
        source: four or more held-out, labelled source predictions.
        target: unlabelled target predictions.
        classifier: of the domains, see :func:`density_ratio`.

    Raises:
        ValueError: there are no labels, or fewer than four source examples.
    """
    losses = _risks(source)
    if len(source) < FEWEST["dev"]:
        raise ValueError(f"{len(source)} source examples; expected four or more: half of them fit the density ratio")
    fitted_on, used_on = source.features[::2], source.features[1::2]
    weights = density_ratio(fitted_on, target.features, used_on, classifier=classifier)
    return -dev_risk(losses[1::2], weights)


def ridge_logits(features: Tensor, labels: Tensor, points: Tensor, *, num_classes: int, penalty: float = 1.0) -> Tensor:
    """Return (P, C) scores of points from a ridge regression to one-hot labels, in closed form.

    Features are standardized by their own mean and deviation, and targets are centered. The weights minimize the mean
    squared error plus ``penalty`` * ||W||^2. The smaller of the (N, N) and (D, D) systems is solved.

    Args:
        features: (N, D).
        labels: (N,).
        points: (P, D).
        num_classes: C.
        penalty: penalty of the weights; 1 equals the variance of each feature.
    """
    rows = features.double()
    mean, deviation = standardization(rows)
    rows = (rows - mean) / deviation
    wanted = F.one_hot(labels, num_classes).to(rows)
    level = wanted.mean(dim=0)
    count, width = rows.shape
    if count <= width:
        system = rows @ rows.T + count * penalty * torch.eye(count).to(rows)
        weights = rows.T @ torch.linalg.solve(system, wanted - level)
    else:
        system = rows.T @ rows + count * penalty * torch.eye(width).to(rows)
        weights = torch.linalg.solve(system, rows.T @ (wanted - level))
    scores: Tensor = ((points.double() - mean) / deviation) @ weights + level
    return scores.to(at_least_float32(points))


def reverse_validation(source: Prediction, target: Prediction) -> Tensor:
    """Reverse validation (Zhong et al., ECML PKDD 2010), https://doi.org/10.1007/978-3-642-15939-8_35.

    A classifier learns the target from the model's predictions and is tested on labelled source data. A high accuracy
    means that predictions keep the classes apart in both directions. Ganin et al. chose their settings this way,
    https://arxiv.org/abs/1505.07818.

    Differs from the papers: the way back is a ridge classifier on the model's features (:func:`ridge_logits`) instead
    of the whole method trained again from target to source. It is tested on held-out source examples; the model was
    trained on all others.

    Args:
        source: held-out, labelled source predictions.
        target: unlabelled target predictions.

    Raises:
        ValueError: there are no labels, or no target example.
    """
    labels = _labels(source)
    if not len(target):
        raise ValueError("no target predictions to learn from; expected one row or more")
    classes = max(target.logits.shape[1], int(labels.max()) + 1)
    answers = ridge_logits(target.features, target.logits.argmax(dim=1), source.features, num_classes=classes)
    return (answers.argmax(dim=1) == labels).to(answers).mean()


def _risks(source: Prediction) -> Tensor:
    """Return the losses (N,) of labelled predictions: cross-entropies, or squared errors of values."""
    labels, answers = _labels(source), at_least_float32(source.logits)
    if not labels.is_floating_point():
        return F.cross_entropy(answers, labels, reduction="none")
    spread = labels.var(dim=0, correction=0)
    errors: Tensor = ((answers - labels).square() / torch.where(spread > 0, spread, 1.0)).mean(dim=1)
    return errors


def _labels(source: Prediction) -> Tensor:
    if source.labels is None:
        raise ValueError("the source has no labels; its risk needs them")
    return source.labels


SOURCE_SCORES: dict[str, Callable[[Prediction, Prediction], Tensor]] = {
    "source_risk": lambda source, _: negative_source_risk(source),
    "mmd": negative_discrepancy,
    "dev": deep_embedded_validation,
    "reverse_validation": reverse_validation,
}
"""Name -> score of held-out, labelled source predictions and unlabelled target predictions; higher is better."""

OF_VALUES = frozenset({"source_risk", "mmd", "dev"})
"""Names of the scores that also judge a regression, which has no probabilities."""

FEWEST = {"dev": 4}
"""Name -> how many source examples it needs, if more than one."""
