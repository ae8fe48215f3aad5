"""Generalized zero-shot learning: the trade-off between seen and unseen accuracy.

Accuracies are means over classes (Xian et al., TPAMI 2019, https://arxiv.org/abs/1707.00600). Calibrated stacking
subtracts a constant gamma from the scores of the seen classes (Chao et al., ECCV 2016,
https://arxiv.org/abs/1605.04253); raising gamma trades seen for unseen accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["SeenUnseenCurve", "harmonic_mean", "seen_unseen_curve"]


def harmonic_mean(seen: Tensor, unseen: Tensor) -> Tensor:
    """Return the harmonic mean 2 S U / (S + U) of two accuracies of the same shape; 0 if both are 0.

    >>> harmonic_mean(torch.tensor([0.5, 0.0]), torch.tensor([0.25, 0.0]))
    tensor([0.3333, 0.0000])
    """
    return 2 * seen * unseen / (seen + unseen).clamp_min(torch.finfo(seen.dtype).tiny)


@dataclass(frozen=True, kw_only=True)
class SeenUnseenCurve:
    """Accuracies at every gamma that changes a prediction.

    Attributes:
        gamma: (G,) in ascending order, starting at -Inf. An entry stands for all gammas from it (inclusive) to the
            next.
        seen: (G,) mean accuracy per class on examples of seen classes; never rises.
        unseen: (G,) the same on examples of unseen classes; never falls.
    """

    gamma: Tensor
    seen: Tensor
    unseen: Tensor

    @property
    def area(self) -> float:
        """AUSUC: the area under the curve of (seen, unseen), by the trapezoid rule."""
        return float(torch.trapezoid(self.unseen.flip(0), self.seen.flip(0)))

    @property
    def harmonic(self) -> Tensor:
        """(G,) harmonic means."""
        return harmonic_mean(self.seen, self.unseen)

    def best_gamma(self) -> float:
        """Return a gamma with the highest harmonic mean: the middle of its range, and the first range among equals.

        Call it on validation classes only: on the test set, this gamma is an oracle.
        """
        best = int(self.harmonic.argmax())
        low = float(self.gamma[best])
        high = float(self.gamma[best + 1]) if best + 1 < len(self.gamma) else low
        return high if low == float("-inf") else (low + high) / 2

    def at(self, gamma: float) -> tuple[float, float]:
        """Return the (seen, unseen) accuracies at a gamma."""
        place = int(torch.searchsorted(self.gamma, gamma, right=True)) - 1
        return float(self.seen[max(place, 0)]), float(self.unseen[max(place, 0)])

    def seen_where_unseen(self, least: Tensor) -> Tensor:
        """Return (N,) the highest seen accuracy where the unseen accuracy reaches ``least`` (N,); 0 if it never does.

        This puts the curves of several runs or methods on one axis, for plots and averages.
        """
        reached = self.unseen >= least[:, None] - 1e-9
        return torch.where(reached, self.seen, 0.0).amax(dim=1)


def seen_unseen_curve(scores: Tensor, labels: Tensor, seen: Tensor) -> SeenUnseenCurve:
    """Return the accuracies of the predictions argmax(scores - gamma * seen) for all gammas.

    Every prediction changes once: where gamma reaches the lead of the best seen class over the best unseen class. At
    that gamma itself, the unseen class wins.

    Args:
        scores: (N, C) scores of all classes.
        labels: (N,) in ``range(C)``.
        seen: (C,) True for the classes of the training set.

    Raises:
        ValueError: the seen or the unseen side has no candidate or no example.

    >>> scores = torch.tensor([[2.0, 1.0], [3.0, 0.0]])
    >>> curve = seen_unseen_curve(scores, torch.tensor([1, 0]), torch.tensor([True, False]))
    >>> curve.gamma.tolist(), curve.seen.tolist(), curve.unseen.tolist()
    ([-inf, 1.0, 3.0], [1.0, 1.0, 0.0], [0.0, 1.0, 1.0])
    >>> curve.area, curve.best_gamma()
    (1.0, 2.0)
    """
    of_seen = seen[labels]
    if bool(seen.all()) or not bool(seen.any()) or bool(of_seen.all()) or not bool(of_seen.any()):
        raise ValueError(
            f"{int(seen.sum())} of {len(seen)} candidates are seen, {int(of_seen.sum())} of {len(labels)} examples are "
            "of seen classes; a curve needs some of both, seen and unseen"
        )
    scores = scores.double()
    best_seen, answer_seen = scores.masked_fill(~seen, -torch.inf).max(dim=1)
    best_unseen, answer_unseen = scores.masked_fill(seen, -torch.inf).max(dim=1)
    leads, order = (best_seen - best_unseen).sort()
    shares = _shares(labels, of_seen)
    lost = torch.where(of_seen & (answer_seen == labels), shares, 0.0)[order]
    won = torch.where(~of_seen & (answer_unseen == labels), shares, 0.0)[order]
    # answers that change at one gamma change together
    last = torch.cat([leads[1:] != leads[:-1], leads.new_ones(1).bool()])
    zero = leads.new_zeros(1)
    return SeenUnseenCurve(
        gamma=torch.cat([zero - torch.inf, leads[last]]),
        seen=torch.cat([lost.sum()[None], (lost.flip(0).cumsum(0).flip(0) - lost)[last]]),
        unseen=torch.cat([zero, won.cumsum(0)[last]]),
    )


def _shares(labels: Tensor, of_seen: Tensor) -> Tensor:
    """Return (N,) the weight of each example in the mean over the classes of its side."""
    counts = torch.bincount(labels).double()
    classes = torch.stack([torch.bincount(labels[side]).count_nonzero() for side in (~of_seen, of_seen)])
    return 1 / (counts[labels] * classes[of_seen.long()])
