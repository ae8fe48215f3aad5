"""A cache of a few labelled examples on top of zero-shot scores, without training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.checks import check_at_least, check_positive
from tlzoo.methods.base import fitted
from tlzoo.methods.compatibility import Compatibility, places_of
from tlzoo.methods.zeroshot.correction import Correction
from tlzoo.paper import Paper
from tlzoo.types import Scorer, Sees

__all__ = ["TipAdapter"]


class TipAdapter(Correction):
    r"""Tip-Adapter (Zhang et al., ECCV 2022), https://arxiv.org/abs/2207.09519.

    .. math:: \tau s(f, c) + \alpha \sum_{i : y_i = c} e^{-\beta (1 - f^\top f_i)}

    adds to the scores of the base a cache of fitted examples, looked up by cosine. Features are normalized to length 1.
    Classes without examples (unseen ones) only have the first term.

    Args:
        num_features: D.
        num_embedding: A, for the base.
        base: name of the method that gives the zero-shot scores, or a compatibility; if it needs a fit, it is fitted on
            the same examples.
        base_settings: settings of a base given by name.
        alpha: weight of the cache.
        beta: sharpness of the affinity.
        scale: tau, factor of the base's scores; the paper uses that of CLIP, 100.

    If none of the candidates is seen, it equals the base.

    >>> adapter = TipAdapter(base="cosine", scale=1.0, beta=0.0)
    >>> _ = adapter.fit(torch.eye(2), torch.tensor([0, 0]), torch.eye(2))
    >>> adapter.bind(torch.eye(2), seen=torch.ones(2).bool())(torch.eye(2)).tolist()
    [[3.0, 0.0], [2.0, 1.0]]

    Differs from the paper: the cache holds each example once, not averaged over ten random crops. The trained variant
    (Tip-Adapter-F) is missing.
    """

    label = "Tip-Adapter"
    revision = 2
    paper = Paper(
        title="Tip-Adapter: Training-free Adaption of CLIP for Few-shot Classification",
        authors=("Zhang", "Zhang", "Fang", "Gao", "Li", "Dai", "Qiao", "Li"),
        venue="ECCV",
        year=2022,
        arxiv="2207.09519",
    )
    adds = frozenset({Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS})
    sees = Compatibility.sees
    variants: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"base": "ridge"},
        {"base": "eszsl", "alpha": 2.0, "beta": 1.0},
    )

    def __init__(
        self,
        num_features: int | None = None,
        num_embedding: int | None = None,
        *,
        base: str | Compatibility = "cosine",
        base_settings: Mapping[str, Any] | None = None,
        alpha: float = 1.0,
        beta: float = 5.5,
        scale: float = 100.0,
    ) -> None:
        super().__init__(num_features, num_embedding, base=base, base_settings=base_settings)
        check_at_least(0, alpha=alpha, beta=beta)
        check_positive(scale=scale)
        if self.base.trained:
            raise ValueError(
                f"{self.base.name} is trained step by step, and the cache needs a fit; choose another base"
            )
        self.alpha, self.beta, self.scale = alpha, beta, scale
        self.reserve("keys", 1, 1)
        self.reserve("values", 1, 1)
        self.reserve("known", 1, 1)

    def learn(self, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> None:
        """Fit the base, and keep the examples."""
        self.base.fit(features, labels, class_embeddings)
        self.keys = F.normalize(features, dim=1)
        self.values = F.one_hot(labels, len(class_embeddings)).to(features)
        self.known = class_embeddings.detach().clone()

    def scorer(self, class_embeddings: Tensor, seen: Tensor) -> Scorer:
        """Return the scorer among candidates; seen ones are known by their embeddings, in whatever order they stand.

        If none has an embedding of the fit, because all are worded anew, they stand in the order of the fit.

        Raises:
            ValueError: some candidates are seen, but not all classes of the fit are among them.
        """
        scorer = self.base.bind(class_embeddings, seen=seen)
        keys, values = fitted(self, "keys"), fitted(self, "values")
        count = int(seen.sum())
        places = places_of(fitted(self, "known"), class_embeddings, seen)
        if bool((places < 0).all()):
            places = seen.nonzero()[:, 0]
        if count not in (0, values.shape[1]) or bool((places < 0).any()):
            raise ValueError(
                f"{count} candidates are seen, and the cache has examples of {values.shape[1]} classes; bind all "
                "of these, with the embeddings of the fit or in its order, or none"
            )

        def score(features: Tensor) -> Tensor:
            scores = self.scale * self._scored(scorer, features)
            if not len(places):
                return scores
            affinity = torch.exp(-self.beta * (1 - F.normalize(features, dim=1) @ keys.T))
            return scores.index_add(1, places, self.alpha * affinity @ values)

        return score
