"""TDA: caches of the queries that came before."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tlzoo.functional.checks import check_at_least, check_counts
from tlzoo.methods.image_text_classifier import ImageTextClassifier
from tlzoo.paper import Paper
from tlzoo.types import Sees

__all__ = ["TDA"]


class TDA(ImageTextClassifier):
    r"""Training-free dynamic adapter (Karmanov et al., CVPR 2024), https://arxiv.org/abs/2403.18293.

    .. math:: \tau q^\top t_c + \alpha_+ \sum_{i : \hat y_i = c} e^{-\beta_+ (1 - q^\top q_i)}
        - \alpha_- \sum_j 1[l < p_{jc} < u] \, e^{-\beta_- (1 - q^\top q_j)}

    with a positive cache of the queries of lowest entropy for each predicted class, and a negative one of those whose
    entropy is between two shares of the largest, which says which classes they are not. Queries come one after the
    other: each enters the caches before it is answered. It uses no support.

    Differs from the paper: the settings are those for ImageNet, on all data; the paper has others for each set.

    Args:
        scale: tau.
        positive: capacity a class, alpha and beta of the positive cache; the paper's for ImageNet.
        negative: the same of the negative cache.
        entropies: shares of the largest entropy between which a query enters the negative cache.
        probabilities: l and u.
    """

    paper = Paper(
        title="Efficient Test-Time Adaptation of Vision-Language Models",
        authors=("Karmanov", "Guan", "Lu", "El Saddik", "Xing"),
        venue="CVPR",
        year=2024,
        arxiv="2403.18293",
    )
    sees = ImageTextClassifier.sees | {Sees.TEST_INPUTS}

    def __init__(
        self,
        *,
        scale: float = 100.0,
        positive: tuple[int, float, float] = (3, 2.0, 5.0),
        negative: tuple[int, float, float] = (2, 0.117, 1.0),
        entropies: tuple[float, float] = (0.2, 0.5),
        probabilities: tuple[float, float] = (0.03, 1.0),
    ) -> None:
        super().__init__(scale=scale)
        check_counts(positive=positive[0], negative=negative[0])
        check_at_least(0, alpha=min(positive[1], negative[1]), beta=min(positive[2], negative[2]))
        self.positive, self.negative = positive, negative
        self.entropies, self.probabilities = entropies, probabilities

    @property
    def order_matters(self) -> bool:
        """Whether the order of queries matters: it does."""
        return True

    def answer(self, support: Tensor, labels: Tensor, query: Tensor, texts: Tensor, *, way: int) -> Tensor:
        """Return the logits."""
        logits = self.text_logits(query, texts)
        probabilities = logits.softmax(dim=-1)
        entropy = -(probabilities * logits.log_softmax(dim=-1)).sum(dim=-1)
        # the authors divide entropies in nats by a maximum in bits
        share = entropy / math.log2(max(texts.shape[1], 2))
        lower, upper = self.probabilities
        not_these = ((probabilities > lower) & (probabilities < upper)).to(logits)
        sure = _Cache(query, entropy, logits.argmax(dim=-1), self.positive[0], texts.shape[1])
        unsure = _Cache(query, entropy, logits.argmax(dim=-1), self.negative[0], texts.shape[1])
        between = (share > self.entropies[0]) & (share < self.entropies[1])
        answers = []
        for place in range(query.shape[1]):
            sure.take(place, torch.ones_like(between[:, place]))
            unsure.take(place, between[:, place])
            plus = sure.similar(place, self.positive[2]).sum(dim=-1)
            near = unsure.similar(place, self.negative[2]).flatten(1).unsqueeze(1)
            minus = (near @ unsure.of_items(not_these).flatten(1, 2)).squeeze(1)
            answers.append(logits[:, place] + self.positive[1] * plus - self.negative[1] * minus)
        return torch.stack(answers, dim=1)


class _Cache:
    """For each of E episodes and C classes, the places of the queries of lowest entropy that were predicted as it."""

    def __init__(self, query: Tensor, entropy: Tensor, predicted: Tensor, capacity: int, classes: int) -> None:
        self.products, self.entropy, self.predicted = query @ query.mT, entropy, predicted
        shape = (len(query), classes, capacity)
        self.items = torch.zeros(shape, dtype=torch.long, device=query.device)
        self.losses = torch.full(shape, torch.inf, dtype=entropy.dtype, device=query.device)
        self.rows = torch.arange(len(query), device=query.device)

    def take(self, place: int, admitted: Tensor) -> None:
        """Let the query at a place enter the cache where it is admitted (E,), replacing the item of highest entropy."""
        rows, label, loss = self.rows, self.predicted[:, place], self.entropy[:, place].detach()
        losses = torch.cat([self.losses[rows, label], loss[:, None]], dim=1)
        items = torch.cat([self.items[rows, label], torch.full_like(label, place)[:, None]], dim=1)
        order = losses.argsort(dim=1, stable=True)[:, :-1]
        kept = admitted[:, None]
        own = rows, label
        # out of place: what was read before has a gradient
        self.losses = self.losses.index_put(own, torch.where(kept, losses.gather(1, order), self.losses[own]))
        self.items = self.items.index_put(own, torch.where(kept, items.gather(1, order), self.items[own]))

    def similar(self, place: int, beta: float) -> Tensor:
        """Return the affinities (E, C, capacity) of a query to the cached ones; zero in empty places."""
        product = self.products[:, place].gather(1, self.items.flatten(1)).view_as(self.items)
        return torch.exp(-beta * (1 - product)) * self.losses.isfinite()

    def of_items(self, values: Tensor) -> Tensor:
        """Return values (E, Q, C') of the cached queries: (E, C, capacity, C')."""
        return values[self.rows[:, None, None], self.items]
