"""Calibrated stacking: subtract a constant from the scores of seen classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from tlzoo.functional.checks import check_shares
from tlzoo.functional.generalized import seen_unseen_curve
from tlzoo.methods.base import fitted
from tlzoo.methods.compatibility import Compatibility
from tlzoo.methods.zeroshot.correction import Correction
from tlzoo.nn.random_stream import RandomStream
from tlzoo.paper import Paper
from tlzoo.types import Sees

__all__ = ["CalibratedStacking"]


class CalibratedStacking(Correction):
    r"""Calibrated stacking (Chao et al., ECCV 2016), https://arxiv.org/abs/1605.04253.

    .. math:: s(x, c) - \gamma \, \mathbf{1}[c \text{ is seen}]

    It corrects the bias toward seen classes in generalized zero-shot learning.

    Without a given gamma, ``fit`` chooses it from its own examples. A share of the seen classes plays the unseen part,
    the base is fitted on some examples of the other classes, and gamma maximizes the harmonic mean on the held-out
    examples (:meth:`~tlzoo.functional.SeenUnseenCurve.best_gamma`). Then the base is fitted on all examples. No test
    class takes part.

    Args:
        num_features: D, for the base.
        num_embedding: A, for the base.
        base: name of the method to calibrate, or a compatibility.
        base_settings: settings of a base given by name.
        gamma: the constant; None chooses it in ``fit``, which a base trained step by step does not have.
        share: share of classes that play unseen, and share of the other examples to hold out, for that choice.

    >>> score = CalibratedStacking(base="cosine", gamma=0.5).bind(torch.eye(2), seen=torch.tensor([True, False]))
    >>> score(torch.eye(2)).tolist()
    [[0.5, 0.0], [-0.5, 1.0]]
    """

    label = "calibrated stacking"
    paper = Paper(
        title="An Empirical Study and Analysis of Generalized Zero-Shot Learning for Object Recognition in the Wild",
        authors=("Chao", "Changpinyo", "Gong", "Sha"),
        venue="ECCV",
        year=2016,
        arxiv="1605.04253",
    )
    revision = 2
    adds: ClassVar[frozenset[Sees]] = frozenset()
    sees = Compatibility.sees
    variants = ({"base": "ridge", "gamma": 0.3}, {"base": "sje", "gamma": 0.3}, {"base": "ridge", "share": 0.4})

    def __init__(
        self,
        num_features: int | None = None,
        num_embedding: int | None = None,
        *,
        base: str | Compatibility,
        base_settings: Mapping[str, Any] | None = None,
        gamma: float | None = None,
        share: float = 0.2,
    ) -> None:
        super().__init__(num_features, num_embedding, base=base, base_settings=base_settings)
        check_shares(above_zero=True, below_one=True, share=share)
        if gamma is None and self.base.trained:
            raise ValueError(
                f"{type(self.base).__name__} is trained step by step, so gamma cannot be chosen in fit; give gamma"
            )
        self.chooses, self.share = gamma is None, share
        self.random = RandomStream()
        self.register_buffer("gamma", torch.tensor(torch.nan if gamma is None else float(gamma)))

    @property
    def order_matters(self) -> bool:
        """Whether order matters: the choice of gamma holds out examples by their position."""
        return self.chooses or super().order_matters

    def learn(self, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> None:
        """Choose gamma, if none was given, and fit the base.

        Raises:
            ValueError: there are too few classes or examples to choose gamma.
        """
        if self.chooses:
            self.get_buffer("gamma").fill_(self._chosen(features, labels, class_embeddings))
        super().learn(features, labels, class_embeddings)

    @torch.no_grad()
    def _chosen(self, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> float:
        unseen, kept = self._rehearsal(labels.cpu(), len(class_embeddings))
        unseen, kept = unseen.to(labels.device), kept.to(labels.device)
        counted = (~unseen).cumsum(0) - 1  # indices of the classes that stay seen
        self.base.fit(features[kept], counted[labels[kept]], class_embeddings[~unseen])
        scores = self._scored(self.base.bind(class_embeddings, seen=~unseen), features[~kept])
        return seen_unseen_curve(scores, labels[~kept], ~unseen).best_gamma()

    def _rehearsal(self, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
        """Return which classes (C,) play unseen, and which examples (N,) the base is fitted on."""
        generator = self.random.constant()
        there = torch.unique(labels)
        shuffled = there[torch.randperm(len(there), generator=generator)]
        unseen = torch.zeros(classes, dtype=torch.bool)
        unseen[shuffled[: round(self.share * len(there))]] = True
        of_seen = torch.nonzero(~unseen[labels]).flatten()
        out = of_seen[torch.randperm(len(of_seen), generator=generator)[: round(self.share * len(of_seen))]]
        kept = ~unseen[labels]
        kept[out] = False
        if not bool(unseen.any()) or not len(out) or not bool(kept.any()):
            raise ValueError(
                f"{len(labels)} examples of {len(there)} classes are too few to hold out a share of {self.share} of "
                "both and choose gamma; give gamma, or a larger share"
            )
        return unseen, kept

    def corrected(self, scores: Tensor, seen: Tensor) -> Tensor:
        """Map scores (B, C) to scores (B, C), lowered by gamma for seen classes.

        Raises:
            RuntimeError: gamma is not given, and ``fit`` has not run.
        """
        return scores - fitted(self, "gamma") * seen.to(scores)
