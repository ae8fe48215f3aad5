"""The base of corrections, which change the scores of another compatibility."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from tlzoo.methods.compatibility import Compatibility
from tlzoo.registry import accepted_settings, create_method
from tlzoo.types import Losses, Scorer, Sees

__all__ = ["Correction"]


class Correction(Compatibility):
    """A compatibility that corrects the scores of another one, its ``base``, by :meth:`corrected`.

    It is fitted or trained like its base, and sees what the base sees plus what the correction adds.

    Args:
        num_features: D, for a base given by name that needs it.
        num_embedding: A, for a base given by name that needs it.
        base: name of a zero-shot method, or a compatibility.
        base_settings: settings of a base given by name.

    Attributes:
        adds: what the correction sees in addition to its base.
    """

    adds: ClassVar[frozenset[Sees]] = frozenset({Sees.TEST_INPUTS})
    sees = Compatibility.sees | frozenset({Sees.TEST_INPUTS})
    parts: ClassVar[Mapping[str, str]] = {"base": "base_settings"}

    def __init__(
        self,
        num_features: int | None = None,
        num_embedding: int | None = None,
        *,
        base: str | Compatibility,
        base_settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if isinstance(base, str):
            name = base if "/" in base or ":" in base else f"zeroshot/{base}"
            shape = accepted_settings(name, num_features=num_features, num_embedding=num_embedding)
            base = create_method(name, **shape | dict(base_settings or {}))  # type: ignore[assignment]
        if not isinstance(base, Compatibility):
            raise TypeError(f"base is a {type(base).__name__}; {type(self).__name__} corrects a Compatibility")
        self.base = base
        self.sees = base.sees | self.adds

    @property
    def trained(self) -> bool:
        """Whether its base is trained step by step."""
        return self.base.trained

    @property
    def order_matters(self) -> bool:
        """Whether the order of a batch matters to its base."""
        return self.base.order_matters

    def learn(self, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> None:
        """Fit the base."""
        self.base.fit(features, labels, class_embeddings)

    def batch_loss(self, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> Losses:
        """Return the loss of the base."""
        return self.base.loss(features, labels, class_embeddings)

    def scorer(self, class_embeddings: Tensor, seen: Tensor) -> Scorer:
        """Return the base's scores, corrected."""
        scorer = self.base.bind(class_embeddings, seen=seen)
        return lambda features: self.corrected(self._scored(scorer, features), seen)

    def _scored(self, scorer: Scorer, features: Tensor) -> Tensor:
        try:
            return scorer(features)
        except FloatingPointError as error:
            raise FloatingPointError(f"{type(self).__name__} of {error}") from error

    def corrected(self, scores: Tensor, seen: Tensor) -> Tensor:
        """Map scores (B, C) to corrected scores (B, C); ``seen`` (C,) is True for classes of the training set."""
        raise NotImplementedError
