"""Generalized zero-shot learning: seen against unseen accuracy as one constant moves scores from the one to the other.

Accuracies are means over classes (Xian et al., TPAMI 2019, https://arxiv.org/abs/1707.00600); the constant gamma is
taken from the scores of seen classes (calibrated stacking, Chao et al., ECCV 2016, https://arxiv.org/abs/1605.04253).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["SeenUnseenCurve", "harmonic_mean", "seen_unseen_curve"]


def harmonic_mean(seen: Tensor, unseen: Tensor) -> Tensor:
    """Return 2 S U / (S + U) of accuracies of one shape, 0 where both are 0.

    >>> harmonic_mean(torch.tensor([0.5, 0.0]), torch.tensor([0.25, 0.0]))
    tensor([0.3333, 0.0000])
    """
    return 2 * seen * unseen / (seen + unseen).clamp_min(torch.finfo(seen.dtype).tiny)


@dataclass(frozen=True, kw_only=True)
class SeenUnseenCurve:
    """Accuracies under every gamma that changes an answer.

    Attributes:
        gamma: (G,) ascending; -Inf first. An entry stands for all gammas from it (inclusive) to the next.
        seen: (G,) mean accuracy per class on examples of seen classes; never rises.
        unseen: (G,) the same on examples of unseen classes; never falls.
    """

    gamma: Tensor
    seen: Tensor
    unseen: Tensor

    @property
    def area(self) -> float:
        """AUSUC, the area under the curve of (seen, unseen), by trapezoids."""
        return float(torch.trapezoid(self.unseen.flip(0), self.seen.flip(0)))

    @property
    def harmonic(self) -> Tensor:
        """(G,) harmonic means."""
        return harmonic_mean(self.seen, self.unseen)

    def best_gamma(self) -> float:
        """Return a gamma of the highest harmonic mean: the middle of its range, the first of equals.

        To be asked of validation classes only: gamma of the test's own curve is an oracle.
        """
        best = int(self.harmonic.argmax())
        low = float(self.gamma[best])
        high = float(self.gamma[best + 1]) if best + 1 < len(self.gamma) else low
        return high if low == float("-inf") else (low + high) / 2

    def at(self, gamma: float) -> tuple[float, float]:
        """Return (seen, unseen) accuracies at a gamma."""
        place = int(torch.searchsorted(self.gamma, gamma, right=True)) - 1
        return float(self.seen[max(place, 0)]), float(self.unseen[max(place, 0)])

    def seen_where_unseen(self, least: Tensor) -> Tensor:
        """Return (N,) the highest seen accuracies where the unseen ones are at ``least`` (N,); 0 where they never are.

        Curves of several runs or methods are drawn, and averaged, on one axis this way.
        """
        reached = self.unseen >= least[:, None] - 1e-9
        return torch.where(reached, self.seen, 0.0).amax(dim=1)


def seen_unseen_curve(scores: Tensor, labels: Tensor, seen: Tensor) -> SeenUnseenCurve:
    """Return the accuracies under all gammas of the answers argmax (scores - gamma * seen).

    Every example changes its answer once: where gamma passes the lead of its best seen class over its best unseen one.
    At that gamma itself the unseen class wins.

    Args:
        scores: (N, C) scores among all classes.
        labels: (N,) in ``range(C)``.
        seen: (C,) True where a class was trained on.

    Raises:
        ValueError: no candidate, or no example, of one of the sides; the curve has two.

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
    """Return (N,) what an example counts in the mean over the classes of its side."""
    counts = torch.bincount(labels).double()
    classes = torch.stack([torch.bincount(labels[side]).count_nonzero() for side in (~of_seen, of_seen)])
    return 1 / (counts[labels] * classes[of_seen.long()])
