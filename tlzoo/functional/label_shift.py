"""Class proportions of unlabelled data, out of the predictions of a classifier that was trained under other ones."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional.checks import check_counts
from tlzoo.functional.transport import transport_plans

__all__ = ["bbse_prior", "em_prior", "otter_shares"]


def em_prior(probabilities: Tensor, source: Tensor, *, steps: int = 1000, tolerance: float = 1e-8) -> Tensor:
    r"""Return the most likely class proportions (C,) of items with probabilities (N, C) (Saerens et al., 2002).

    .. math:: q_c \leftarrow \frac{1}{N} \sum_i \frac{(q_c / \pi_c) \, p_{ic}}{\sum_k (q_k / \pi_k) \, p_{ik}}

    until it stays. Probabilities must be calibrated.

    Args:
        probabilities: of a classifier, under the proportions of the source.
        source: pi (C,), the proportions of the source, all above 0.
        steps: the largest number of iterations.
        tolerance: the largest change of a proportion at which it stays.

    Raises:
        ValueError: there is no item, or a proportion of the source is not above 0.

    >>> em_prior(torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9]]), torch.tensor([0.5, 0.5])).round(decimals=4)
    tensor([0.7083, 0.2917])
    """
    check_counts(steps=steps)
    if not len(probabilities) or bool((source <= 0).any()):
        raise ValueError(
            f"{len(probabilities)} items under source proportions {source.tolist()}; expected items, and all above 0"
        )
    target = source.double() / source.double().sum()  # small proportions shrink by small factors, many times
    ratios = probabilities.double() / target
    for _ in range(steps):
        weighted = ratios * target
        found = (weighted / weighted.sum(dim=1, keepdim=True)).mean(dim=0)
        done = bool((found - target).abs().max() < tolerance)
        target = found
        if done:
            break
    return target.to(probabilities.dtype)


def bbse_prior(source_probabilities: Tensor, source_labels: Tensor, probabilities: Tensor) -> Tensor:
    r"""Return class proportions (C,) by black-box shift estimation (Lipton et al., ICML 2018), https://arxiv.org/abs/1802.03916.

    .. math:: w = K^{-1} m, \qquad K_{jc} = \hat P_s(\hat y = j, y = c), \quad m_j = \hat P_t(\hat y = j)

    and the proportions are those of the source times w, negative ones set to 0, scaled to 1. Predictions are hard, and
    may be of any classifier whose confusion matrix can be inverted; where it cannot, w is the shortest solution.

    Args:
        source_probabilities: (N, C) of held-out source items.
        source_labels: (N,) of these.
        probabilities: (M, C) of target items.

    Raises:
        ValueError: there is no item of either.
    """
    if not len(source_labels) or not len(probabilities):
        raise ValueError(f"{len(source_labels)} source and {len(probabilities)} target items; expected some of both")
    classes = probabilities.shape[1]
    joint = probabilities.new_zeros(classes, classes)
    pairs = (source_probabilities.argmax(dim=1), source_labels)
    joint = joint.index_put(pairs, joint.new_ones(()), accumulate=True) / len(source_labels)
    shown = probabilities.argmax(dim=1).bincount(minlength=classes) / len(probabilities)
    weights = torch.linalg.pinv(joint) @ shown.to(joint)
    target: Tensor = (joint.sum(dim=0) * weights).clamp_min(0)
    return target / target.sum()


def otter_shares(log_probabilities: Tensor, prior: Tensor) -> Tensor:
    r"""Return how much (N, C) of each item every class gets, if all get what a prior says (Shin et al., NeurIPS 2024).

    .. math:: N \arg\min_{\gamma \ge 0} - \sum_{ic} \gamma_{ic} \ln p(c \mid x_i) \quad \text{with} \quad
        \gamma 1 = \tfrac{1}{N} 1, \; \gamma^\top 1 = \pi

    Most rows have one class. The plan is exact, and the same whatever is added to a row or multiplies all: logits or
    similarities do as well. Source: https://arxiv.org/abs/2404.08461.

    Args:
        log_probabilities: (N, C) of all items, by any classifier.
        prior: pi (C,), all above 0, scaled to sum to 1.

    Raises:
        ValueError: there is no item, a proportion is not above 0, or their number is another than that of the classes.

    >>> otter_shares(torch.tensor([[0.9, 0.1], [0.8, 0.2]]).log(), torch.tensor([1.0, 1.0])).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    count, classes = log_probabilities.shape
    if not count or prior.shape != (classes,) or bool((prior <= 0).any()):
        raise ValueError(
            f"{count} items of {classes} classes under proportions {prior.tolist()}; expected items, and one for each "
            "class, above 0"
        )
    costs = -log_probabilities[None]
    return count * transport_plans(costs, costs.new_ones(1, count), prior[None].to(costs))[0]
