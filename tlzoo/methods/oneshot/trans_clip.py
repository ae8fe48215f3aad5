"""TransCLIP: Gaussians of all queries at once, held by texts and neighbors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.checks import check_at_least, check_counts
from tlzoo.methods.image_text_classifier import ImageTextClassifier, one_hot
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Sees

__all__ = ["TransCLIP"]

_CONFIDENT, _TEMPERATURE, _INNER = 8, 50.0, 5


class TransCLIP(ImageTextClassifier):
    r"""TransCLIP (Zanella, Gérin & Ben Ayed, NeurIPS 2024), https://arxiv.org/abs/2406.01837.

    Alternates between the assignments z of the queries,

    .. math:: z_i \propto \hat y_i^{\lambda} \exp\left(\tfrac{1}{50} \ln p_i + \tfrac{1}{2k} \sum_j w_{ij} z_j\right)

    and the means and the diagonal covariance of Gaussians p of the classes, fitted to queries by z and to the support
    by its labels, weighted by :math:`\gamma`. The predictions :math:`\hat y` are those of the texts, w the
    similarities to the k nearest neighbors. A class without support starts from the queries that its text is surest of.

    Differs from the paper: gamma is a setting; the paper picks it from 0.002 to 0.2 on validation data. With support,
    the authors' code reads similarities of one order of items beside assignments of another; here both are in one.

    Args:
        scale: tau.
        text_weight: lambda.
        support_weight: gamma.
        neighbors: k.
        rounds: number of alternations.
    """

    label = "TransCLIP"
    paper = Paper(
        title="Boosting Vision-Language Models with Transduction",
        authors=("Zanella", "Gérin", "Ben Ayed"),
        venue="NeurIPS",
        year=2024,
        arxiv="2406.01837",
    )
    sees = ImageTextClassifier.sees | {Sees.TEST_INPUTS}

    space = Space(support_weight=LogUniform(0.002, 2.0), text_weight=LogUniform(0.05, 1.0))

    def __init__(
        self,
        *,
        scale: float = 100.0,
        text_weight: float = 0.5,
        support_weight: float = 0.02,
        neighbors: int = 3,
        rounds: int = 10,
    ) -> None:
        super().__init__(scale=scale)
        check_at_least(0, text_weight=text_weight, support_weight=support_weight)
        check_counts(neighbors=neighbors, rounds=rounds)
        self.text_weight, self.support_weight = text_weight, support_weight
        self.neighbors, self.rounds = neighbors, rounds

    def answer(self, support: Tensor, labels: Tensor, query: Tensor, texts: Tensor, *, way: int) -> Tensor:
        """Return the logarithms of the assignments."""
        log_guess = self.text_logits(query, texts).log_softmax(dim=-1)
        targets = F.pad(one_hot(labels, way, support), (0, texts.shape[1] - way))
        between, shown = self._neighbors(query, query, alone=True), self._neighbors(support, query).mT @ targets
        logits, assigned = log_guess, log_guess.exp()
        means = _first_means(assigned, query, support, targets)
        variances = torch.full_like(query[:, 0], 1 / query.shape[-1])
        share = self.support_weight * _TEMPERATURE / support.shape[1]
        for place in range(self.rounds + 1):
            likelihood = _log_gaussians(query, means, variances)
            for _ in range(_INNER):
                smooth = (between.mT @ assigned + shown + between @ assigned) / (2 * self.neighbors)
                logits = (self.text_weight * log_guess + likelihood / _TEMPERATURE + smooth).log_softmax(dim=-1)
                assigned = logits.exp()
            if place < self.rounds:
                means, variances = _moments(query, assigned / query.shape[1], support, share * targets)
        return logits

    def _neighbors(self, rows: Tensor, query: Tensor, *, alone: bool = False) -> Tensor:
        """Return the similarities (E, N, Q) of rows to their nearest queries, zero elsewhere.

        Rows ``alone`` are the queries, none of which is its own neighbor.
        """
        similar = rows @ query.mT
        count = similar.shape[2]
        itself = torch.eye(count, dtype=torch.bool, device=rows.device) if alone else torch.zeros_like(similar).bool()
        values, places = similar.masked_fill(itself, -torch.inf).topk(min(self.neighbors, count - alone), dim=2)
        return torch.zeros_like(similar).scatter(2, places, values)


def _first_means(assigned: Tensor, query: Tensor, support: Tensor, targets: Tensor) -> Tensor:
    """Return the first means (E, C, D): of the support; without any, of the queries that the texts are surest of."""
    values, places = assigned.topk(min(_CONFIDENT, query.shape[1]), dim=1)
    sure = torch.zeros_like(assigned).scatter(1, places, values).mT @ query
    supported = targets.sum(dim=1).unsqueeze(-1) > 0
    return F.normalize(torch.where(supported, targets.mT @ support, sure), dim=-1)


def _log_gaussians(query: Tensor, means: Tensor, variances: Tensor) -> Tensor:
    """Return -1/2 sum_d (q_d - mu_d)^2 / v_d: (E, Q, C)."""
    inverse = 1 / variances.unsqueeze(1)
    own = (query.square() * inverse).sum(dim=-1, keepdim=True)
    theirs = (means.square() * inverse).sum(dim=-1).unsqueeze(1)
    return (query * inverse) @ means.mT - own / 2 - theirs / 2


def _moments(query: Tensor, soft: Tensor, support: Tensor, hard: Tensor) -> tuple[Tensor, Tensor]:
    """Return means (E, C, D) of length 1 and the variances (E, D) of weighted queries and support."""
    weights, points = torch.cat([soft, hard], dim=1), torch.cat([query, support], dim=1)
    sums = weights.mT @ points
    means = F.normalize(sums, dim=-1)
    amount = weights.sum(dim=1).unsqueeze(-1)
    squares = (weights.sum(dim=2, keepdim=True) * points.square()).sum(dim=1)
    spread = squares - 2 * (sums * means).sum(dim=1) + (amount * means.square()).sum(dim=1)
    return means, (spread / amount.sum(dim=1)).clamp_min(1e-12)
