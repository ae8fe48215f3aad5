"""HRA: reflections turn the inputs of frozen layers, through peft."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlzoo.functional.checks import check_counts
from tlzoo.methods.adapters import AdapterStrategy
from tlzoo.paper import Paper

if TYPE_CHECKING:
    from peft import PeftConfig

__all__ = ["HRA"]


class HRA(AdapterStrategy):
    r"""Householder reflection adaptation (Yuan, Liu & Xu, NeurIPS 2024), https://arxiv.org/abs/2405.17484.

    .. math:: W \mapsto W \prod_{i=1}^{r} \left(I - 2 \frac{u_i u_i^\top}{\lVert u_i \rVert^2}\right)

    with W frozen, for every linear layer and every ungrouped convolution. Reflections come in equal pairs at the start,
    which leaves W as it is.

    Differs from the paper: no penalty holds the reflections orthogonal to each other (its lambda is 0).

    Args:
        rank: r, the number of reflections, even.

    Raises:
        ValueError: the rank is odd.
    """

    paper = Paper(
        title="Bridging The Gap between Low-rank and Orthogonal Adaptation via Householder Reflection Adaptation",
        authors=("Yuan", "Liu", "Xu"),
        venue="NeurIPS",
        year=2024,
        arxiv="2405.17484",
    )
    prefix = "hra_"

    def __init__(self, *, rank: int = 8) -> None:
        super().__init__()
        check_counts(rank=rank)
        if rank % 2:
            raise ValueError(f"rank {rank}; expected an even number, because reflections start in equal pairs")
        self.rank = rank

    def config(self, pattern: str) -> PeftConfig:
        """Return peft's configuration."""
        from peft import HRAConfig

        return HRAConfig(r=self.rank, target_modules=pattern)
