"""BSP: the largest singular values of features are kept small."""

from __future__ import annotations

from tlzoo.functional import spectral_penalty
from tlzoo.methods.alignment import Alignment
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Context, Losses, Prediction

__all__ = ["BSP"]


class BSP(Alignment):
    """Batch spectral penalization (Chen et al., ICML 2019), https://proceedings.mlr.press/v97/chen19i.html.

    loss = weight * (sum of the ``count`` largest squared singular values of f_s and of f_t). It keeps an adversary
    from sacrificing what tells classes apart; meant to stand beside one: ``bsp+dann``, ``bsp+cdan``.

    Args:
        num_features: D.
        num_classes: C.
        count: singular values a side.
        weight: trade-off of the term, as in the authors' code.
    """

    paper = Paper(
        title="Transferability vs. Discriminability: Batch Spectral Penalization for Adversarial Domain Adaptation",
        authors=("Chen", "Wang", "Long", "Wang"),
        venue="ICML",
        year=2019,
        page="https://proceedings.mlr.press/v97/chen19i.html",
    )
    space = Space(weight=LogUniform(2e-05, 0.002))
    variants = ({}, {"count": 2})

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        count: int = 1,
        weight: float = 2e-4,
    ) -> None:
        super().__init__(num_features, num_classes)
        self.count, self.weight = count, weight
        if count < 1:
            raise ValueError(f"count {count}; expected at least one singular value")

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the weighted penalty of features (N, D) and (M, D)."""
        penalty = spectral_penalty(source.features, target.features, count=self.count)
        return {"loss": self.weight * penalty, "spectral_penalty": penalty.detach()}
