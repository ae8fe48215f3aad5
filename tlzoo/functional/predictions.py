"""Losses on class predictions: confusion, nuclear norm, disparity of two classifiers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.information import entropy
from tlzoo.functional.precision import at_least_float32, matmul

__all__ = [
    "batch_nuclear_norm_loss",
    "classifier_discrepancy",
    "log_complement",
    "margin_disparity",
    "minimum_class_confusion",
    "uniform_confusion",
]


def minimum_class_confusion(logits: Tensor, *, temperature: float = 2.5) -> Tensor:
    r"""Minimum class confusion (Jin et al., ECCV 2020), https://arxiv.org/abs/1912.03699.

    .. math::

        \frac{1}{C} \sum_{c \ne c'} \frac{K_{cc'}}{\sum_{c''} K_{cc''}}, \qquad K = P^\top \mathrm{diag}(w) P,
        \qquad w_i = B \frac{1 + e^{-H_i}}{\sum_j 1 + e^{-H_j}}

    with :math:`P = \mathrm{softmax}(\text{logits} / T)` and its entropies H; w is detached. 0 for a single class.

    Args:
        logits: (B, C) of target examples.
        temperature: T.

    Raises:
        ValueError: an empty batch, or a temperature that is not positive.

    >>> minimum_class_confusion(100 * torch.eye(3)).item()  # each class is told apart
    0.0
    """
    _check_logits(logits)
    if temperature <= 0:
        raise ValueError(f"temperature {temperature}; expected a number > 0")
    scaled = at_least_float32(logits) / temperature
    probabilities = scaled.softmax(dim=1)
    certainty = 1 + torch.exp(-entropy(scaled.detach()))
    weights = len(logits) * certainty / certainty.sum()
    confusion = matmul(probabilities.T, probabilities * weights[:, None])
    # a class that nobody is near has a row of zeros: it confuses nothing
    confusion = confusion / confusion.sum(dim=1, keepdim=True).clamp_min(torch.finfo(confusion.dtype).tiny)
    return (confusion.sum() - confusion.trace()) / logits.shape[1]


def batch_nuclear_norm_loss(logits: Tensor) -> Tensor:
    r"""Batch nuclear-norm maximization (Cui et al., CVPR 2020), https://arxiv.org/abs/2003.12237.

    .. math:: -\frac{1}{B} \lVert \mathrm{softmax}(\text{logits}) \rVert_*

    for logits (B, C). It is lowest when predictions are certain and diverse.

    Raises:
        ValueError: the batch is empty.

    >>> round(batch_nuclear_norm_loss(100 * torch.eye(2)).item(), 6)
    -1.0
    """
    _check_logits(logits)
    norm: Tensor = torch.linalg.svdvals(at_least_float32(logits).softmax(dim=1)).sum()
    return -norm / len(logits)


def classifier_discrepancy(first: Tensor, second: Tensor) -> Tensor:
    r"""Return the discrepancy between two classifiers in MCD (Saito et al., CVPR 2018).

    .. math:: \frac{1}{B C} \sum_{i, c} |p_{ic} - q_{ic}|

    with the softmax p and q of logits (B, C). Source: https://arxiv.org/abs/1712.02560.

    Raises:
        ValueError: an empty batch, or shapes that differ.

    >>> classifier_discrepancy(torch.zeros(1, 2), torch.zeros(1, 2)).item()
    0.0
    """
    _check_alike(first, second)
    ours, theirs = (at_least_float32(logits).softmax(dim=1) for logits in (first, second))
    return (ours - theirs).abs().mean()


def log_complement(logits: Tensor, classes: Tensor) -> Tensor:
    """Return (B,) log(1 - p), with p the probability that logits (B, C) give to ``classes`` (B,).

    It is computed as the log-sum-exp of the other logits minus that of all, which stays finite when p rounds to 1.

    Raises:
        ValueError: there are fewer than two classes.

    >>> round(log_complement(torch.tensor([[50.0, 0.0]]), torch.tensor([0])).item(), 3)
    -50.0
    """
    if logits.shape[1] < 2:
        raise ValueError(f"{logits.shape[1]} class; expected at least two, else the complement is empty")
    logits = at_least_float32(logits)
    chosen = classes[:, None] == torch.arange(logits.shape[1], device=classes.device)  # one_hot does not pass vmap
    return logits.masked_fill(chosen, -torch.inf).logsumexp(dim=1) - logits.logsumexp(dim=1)


def margin_disparity(
    source_logits: Tensor,
    source_adversary: Tensor,
    target_logits: Tensor,
    target_adversary: Tensor,
    *,
    margin: float = 4.0,
) -> Tensor:
    r"""Margin disparity discrepancy (Zhang et al., ICML 2019), https://arxiv.org/abs/1904.05801.

    .. math::

        \frac{1}{M} \sum_j \log\left(1 - p'_{h(x_j)}(x_j)\right)
        + \frac{\gamma}{N} \sum_i \log p'_{h(x_i)}(x_i)

    with target examples j, source examples i, the adversary's probabilities p', and the class h that the classifier
    predicts, detached. The adversary maximizes it (training minimizes its negative); the features get the reversed
    gradient.

    Args:
        source_logits: (N, C) of the classifier.
        source_adversary: (N, C) logits of the adversary.
        target_logits: (M, C) of the classifier.
        target_adversary: (M, C) logits of the adversary.
        margin: gamma, the factor of the source term.

    Raises:
        ValueError: an empty side, fewer than two classes, or shapes that differ.

    >>> agree = 9 * torch.eye(2)
    >>> disagree = agree.flip(0)
    >>> bool(margin_disparity(agree, agree, agree, disagree) > margin_disparity(agree, agree, agree, agree))
    True
    """
    _check_alike(source_logits, source_adversary)
    _check_alike(target_logits, target_adversary)
    on_source = F.cross_entropy(at_least_float32(source_adversary), source_logits.detach().argmax(dim=1))
    on_target = log_complement(target_adversary, target_logits.detach().argmax(dim=1)).mean()
    return on_target - margin * on_source


def uniform_confusion(logits: Tensor) -> Tensor:
    r"""Return the domain confusion loss (Tzeng et al., ICCV 2015), https://arxiv.org/abs/1510.02192.

    .. math:: -\frac{1}{2 B} \sum_i \log d_i + \log (1 - d_i)

    with :math:`d = \mathrm{sigmoid}(\text{logits})`: the cross-entropy of the domain predictions with one half. It is
    lowest, log 2, at logits of 0.

    Raises:
        ValueError: there are no logits.

    >>> round(uniform_confusion(torch.zeros(3)).exp().item(), 4)
    2.0
    """
    _check_logits(logits)
    logits = at_least_float32(logits)
    return 0.5 * (F.softplus(logits) + F.softplus(-logits)).mean()


def _check_logits(logits: Tensor) -> None:
    if not len(logits):
        raise ValueError("an empty batch of logits; expected one row or more")


def _check_alike(first: Tensor, second: Tensor) -> None:
    _check_logits(first)
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(
            f"two classifiers gave logits of shapes {tuple(first.shape)} and {tuple(second.shape)}; "
            "expected (B, C) of both"
        )
