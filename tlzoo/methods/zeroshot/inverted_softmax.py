"""Inverted softmax: normalize over queries instead of classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from tlzoo.functional.checks import check_positive
from tlzoo.methods.compatibility import Compatibility
from tlzoo.methods.zeroshot.correction import Correction
from tlzoo.paper import Paper

__all__ = ["InvertedSoftmax"]


class InvertedSoftmax(Correction):
    r"""Inverted softmax (Smith et al., ICLR 2017), https://arxiv.org/abs/1702.03859.

    .. math:: \beta s(x, c) - \log \sum_{x'} e^{\beta s(x', c)}

    summed over the queries. A hub, which scores high for many queries, gets little probability for each.

    Args:
        num_features: D, for the base.
        num_embedding: A, for the base.
        base: name of the method to correct, or a compatibility.
        base_settings: settings of a base given by name.
        scale: beta, the inverse temperature; the paper fits it on training pairs, we choose it by validation.

    Its scorer takes all queries at once: a prediction depends on the other queries (``TEST_INPUTS``). It favors classes
    of equal size, because every class has the same total probability.

    >>> import torch
    >>> inverted = InvertedSoftmax(base="cosine", scale=1.0)
    >>> score = inverted.bind(torch.eye(2), seen=torch.zeros(2).bool())
    >>> score(torch.eye(2)).exp().sum(dim=0).tolist()
    [1.0, 1.0]
    """

    label = "inverted softmax"
    paper = Paper(
        title="Offline Bilingual Word Vectors, Orthogonal Transformations and the Inverted Softmax",
        authors=("Smith", "Turban", "Hamblin", "Hammerla"),
        venue="ICLR",
        year=2017,
        arxiv="1702.03859",
    )
    variants = ({"base": "ridge"}, {"base": "eszsl", "scale": 5.0})

    def __init__(
        self,
        num_features: int | None = None,
        num_embedding: int | None = None,
        *,
        base: str | Compatibility,
        base_settings: Mapping[str, Any] | None = None,
        scale: float = 20.0,
    ) -> None:
        super().__init__(num_features, num_embedding, base=base, base_settings=base_settings)
        check_positive(scale=scale)
        self.scale = scale

    def corrected(self, scores: Tensor, seen: Tensor) -> Tensor:
        """Map scores (B, C) of all queries to log-probabilities over the queries (B, C)."""
        return (self.scale * scores).log_softmax(dim=0)
