"""StatA: Gaussians of the queries, anchored at those of the texts."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.checks import check_at_least, check_counts, check_positive
from tlzoo.methods.image_text_classifier import ImageTextClassifier
from tlzoo.paper import Paper
from tlzoo.types import Sees

__all__ = ["StatA"]

_TEMPERATURE, _INNER, _TINY = 50.0, 5, 1e-12


class StatA(ImageTextClassifier):
    r"""Statistical anchor (Zanella et al., CVPR 2025), https://arxiv.org/abs/2501.03729.

    As :class:`~tlzoo.methods.oneshot.trans_clip.TransCLIP` without support, alternates between the assignments of the
    queries and Gaussians of the classes, here each with its own diagonal covariance. The statistics of class c are
    blended with those of its text by

    .. math:: \beta_c = \frac{n_c}{\alpha + n_c}

    where :math:`n_c` queries are of the class: classes that are absent keep the text's, so that queries may be of some
    of the classes only. It uses no support.

    Args:
        scale: tau.
        anchor: alpha.
        text_weight: weight of the texts' predictions.
        smoothness: weight of the neighbors.
        neighbors: number of nearest neighbors of a query.
        rounds: number of alternations.
    """

    label = "StatA"
    paper = Paper(
        title="Realistic Test-Time Adaptation of Vision-Language Models",
        authors=("Zanella", "Fuchs", "De Vleeschouwer", "Ben Ayed"),
        venue="CVPR",
        year=2025,
        arxiv="2501.03729",
    )
    sees = ImageTextClassifier.sees | {Sees.TEST_INPUTS}

    def __init__(
        self,
        *,
        scale: float = 100.0,
        anchor: float = 1.0,
        text_weight: float = 1.0,
        smoothness: float = 1.0,
        neighbors: int = 3,
        rounds: int = 10,
    ) -> None:
        super().__init__(scale=scale)
        check_positive(anchor=anchor)
        check_at_least(0, text_weight=text_weight, smoothness=smoothness)
        check_counts(neighbors=neighbors, rounds=rounds)
        self.anchor, self.text_weight, self.smoothness = anchor, text_weight, smoothness
        self.neighbors, self.rounds = neighbors, rounds

    def answer(self, support: Tensor, labels: Tensor, query: Tensor, texts: Tensor, *, way: int) -> Tensor:
        """Return the logarithms of the assignments."""
        log_guess = self.text_logits(query, texts).log_softmax(dim=-1)
        logits, assigned = log_guess, log_guess.exp()
        near, means = self._neighbors(query), texts
        first = _spread(query, texts, assigned).sum(dim=1, keepdim=True) / query.shape[1]
        first = variances = first.expand_as(texts).clamp_min(_TINY)
        for place in range(self.rounds + 1):
            likelihood = _log_gaussians(query, means, variances)
            for _ in range(_INNER):
                smooth = self.smoothness * (near.mT @ assigned + near @ assigned) / (2 * self.neighbors)
                logits = (self.text_weight * log_guess + likelihood / _TEMPERATURE + smooth).log_softmax(dim=-1)
                assigned = logits.exp()
            if place < self.rounds:
                counts = F.one_hot(assigned.argmax(dim=-1), texts.shape[1]).sum(dim=1).to(query)
                share = (counts / (self.anchor + counts)).unsqueeze(-1)
                found = F.normalize(assigned.mT @ query, dim=-1)
                means = F.normalize(share * found + (1 - share) * texts, dim=-1)
                own = _spread(query, means, assigned) / assigned.sum(dim=1).clamp_min(_TINY).unsqueeze(-1)
                anchored = first + (texts - means).square()
                variances = (share * own + (1 - share) * anchored).clamp_min(_TINY)
        return logits

    def _neighbors(self, query: Tensor) -> Tensor:
        """Return the similarities (E, Q, Q) of queries to their nearest others, zero elsewhere."""
        similar = query @ query.mT
        count = similar.shape[2]
        itself = torch.eye(count, dtype=torch.bool, device=query.device)
        values, places = similar.masked_fill(itself, -torch.inf).topk(min(self.neighbors, count - 1), dim=2)
        return torch.zeros_like(similar).scatter(2, places, values)


def _spread(query: Tensor, means: Tensor, assigned: Tensor) -> Tensor:
    """Return sum_q z_qc (x_qd - mu_cd)^2: (E, C, D)."""
    squares, sums = assigned.mT @ query.square(), assigned.mT @ query
    total = squares - 2 * means * sums + assigned.sum(dim=1).unsqueeze(-1) * means.square()
    return total.clamp_min(0)


def _log_gaussians(query: Tensor, means: Tensor, variances: Tensor) -> Tensor:
    """Return the logarithms (E, Q, C) of the densities of Gaussians with their own variances (E, C, D)."""
    inverse = 1 / variances
    distances = query.square() @ inverse.mT - 2 * query @ (means * inverse).mT
    constant = (means.square() * inverse + variances.log()).sum(dim=-1)
    return -(distances + constant.unsqueeze(1)) / 2
