"""Nash-MTL: the Nash bargaining solution among task gradients."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from tlzoo.functional.checks import check_choice
from tlzoo.functional.gramians import fair_weights
from tlzoo.methods.multitask.gramian import GramianWeighting
from tlzoo.paper import Paper

__all__ = ["NashMTL"]


class NashMTL(GramianWeighting):
    r"""Nash bargaining over the direction (Navon et al., ICML 2022), https://arxiv.org/abs/2202.01017.

    .. math:: w_i (G w)_i = 1

    gives the direction that maximizes the product of the tasks' gains. It does not depend on the scale of any loss. If
    the gradients are Pareto stationary, no such w exists and the weights are zero.

    Differs from the paper: damped Newton steps solve the convex problem :math:`\min_w w^\top G w / 2 - \sum_i \log
    w_i`; the paper runs a sequence of convex programs. The direction is not clipped (the trainer clips gradients), and
    w is solved for at every step. Heads follow their own losses; the authors' code weights them (``heads="weighted"``),
    and these weights grow without bound as the shared gradients vanish.

    Args:
        num_tasks: T.
        heads: what parameters of single tasks follow: each its ``"own"`` loss, or ``"weighted"``, times w.

    >>> import torch
    >>> NashMTL(2).weights(torch.ones(2), torch.diag(torch.tensor([4.0, 1.0])))
    tensor([0.5000, 1.0000])
    """

    label = "Nash-MTL"
    paper = Paper(
        title="Multi-Task Learning as a Bargaining Game",
        authors=("Navon", "Shamsian", "Achituve", "Maron", "Kawaguchi", "Chechik", "Fetaya"),
        venue="ICML",
        year=2022,
        arxiv="2202.01017",
    )

    variants = ({}, {"heads": "weighted"})

    def __init__(self, num_tasks: int, *, heads: Literal["own", "weighted"] = "own") -> None:
        super().__init__(num_tasks)
        check_choice(heads, ("own", "weighted"), what="heads")
        self.heads = heads

    def solve(self, gramian: Tensor, tasks: Tensor) -> Tensor:
        """Return w with w_i (G w)_i = 1."""
        return fair_weights(gramian)
