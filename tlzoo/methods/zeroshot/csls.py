"""CSLS: penalize classes that are close to everything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from tlzoo.functional.checks import check_counts
from tlzoo.methods.compatibility import Compatibility
from tlzoo.methods.zeroshot.correction import Correction
from tlzoo.paper import Paper

__all__ = ["CSLS"]


class CSLS(Correction):
    """Cross-domain similarity local scaling (Conneau et al., ICLR 2018), https://arxiv.org/abs/1710.04087.

    .. math:: 2 s(x, c) - r(x) - r(c)

    with the mean r(x) of the ``neighbors`` highest scores of a query x over the candidates, and r(c) that of a
    candidate c over the queries. A hub, a class close to many queries, has a high r(c), which lowers its scores.

    Args:
        num_features: D, for the base.
        num_embedding: A, for the base.
        base: name of the method to correct, or a compatibility; its scores should be comparable across classes, like
            cosines.
        base_settings: settings of a base given by name.
        neighbors: number of neighbors; 10 in the paper. With fewer, all of them.

    Its scorer takes all queries at once: a prediction depends on the other queries (``TEST_INPUTS``).

    >>> import torch
    >>> csls = CSLS(base="cosine", neighbors=1)
    >>> score = csls.bind(torch.tensor([[1.0, 0.0], [0.6, 0.8]]), seen=torch.zeros(2).bool())
    >>> score(torch.tensor([[0.0, 1.0], [0.6, 0.8]])).argmax(dim=1).tolist()
    [1, 1]
    """

    paper = Paper(
        title="Word Translation Without Parallel Data",
        authors=("Conneau", "Lample", "Ranzato", "Denoyer", "Jégou"),
        venue="ICLR",
        year=2018,
        arxiv="1710.04087",
    )
    variants = ({"base": "ridge"}, {"base": "sje", "neighbors": 2})

    def __init__(
        self,
        num_features: int | None = None,
        num_embedding: int | None = None,
        *,
        base: str | Compatibility,
        base_settings: Mapping[str, Any] | None = None,
        neighbors: int = 10,
    ) -> None:
        super().__init__(num_features, num_embedding, base=base, base_settings=base_settings)
        check_counts(neighbors=neighbors)
        self.neighbors = neighbors

    def corrected(self, scores: Tensor, seen: Tensor) -> Tensor:
        """Map scores (B, C) of all queries to scaled ones (B, C)."""
        queries, candidates = scores.shape
        of_query = scores.topk(min(self.neighbors, candidates), dim=1).values.mean(dim=1, keepdim=True)
        of_class = scores.topk(min(self.neighbors, queries), dim=0).values.mean(dim=0, keepdim=True)
        return 2 * scores - of_query - of_class
