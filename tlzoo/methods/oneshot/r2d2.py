"""R2-D2: ridge regression in closed form."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlzoo.functional import memberships
from tlzoo.functional.checks import check_positive
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.paper import Paper

__all__ = ["R2D2"]


class R2D2(EpisodeClassifier):
    r"""R2-D2 (Bertinetto, Henriques, Torr & Vedaldi, ICLR 2019), https://arxiv.org/abs/1805.08136.

    .. math:: W = X^\top (X X^\top + \lambda I)^{-1} Y, \qquad \text{logits} = s \, Q W + b

    with the support features X and one-hot labels Y. The penalty lambda, the scale s and the offset b are learned over
    episodes.

    Args:
        penalty: initial penalty; 1 in the paper. The mean squared length of the support features scales it, so it means
            the same for any backbone.

    Differs from the paper: the scaling; the paper's features have a length near 1.

    >>> support, labels, query = torch.eye(2).unsqueeze(0), torch.tensor([[0, 1]]), torch.tensor([[[1.0, 0.0]]])
    >>> R2D2()(support, labels, query, way=2).argmax(dim=-1).tolist()
    [[0]]
    """

    paper = Paper(
        title="Meta-learning with differentiable closed-form solvers",
        authors=("Bertinetto", "Henriques", "Torr", "Vedaldi"),
        venue="ICLR",
        year=2019,
        arxiv="1805.08136",
    )
    rotation_invariant = True

    def __init__(self, *, penalty: float = 1.0) -> None:
        super().__init__()
        check_positive(penalty=penalty)
        self.log_penalty = nn.Parameter(torch.tensor(float(penalty)).log())
        self.scale = nn.Parameter(torch.ones(()))
        self.offset = nn.Parameter(torch.zeros(()))

    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way)."""
        members = memberships(support_labels, way, dtype=support.dtype)
        products = support @ support.transpose(1, 2)
        size = products.diagonal(dim1=1, dim2=2).mean(dim=1).clamp_min(torch.finfo(support.dtype).tiny)
        ridge = (self.log_penalty.exp() * size)[:, None, None] * torch.eye(support.shape[1]).to(support)
        factor, _ = torch.linalg.cholesky_ex(products + ridge)  # NaN stays NaN, and is reported with its episode
        duals = torch.cholesky_solve(members, factor)
        return self.scale * (query @ (support.transpose(1, 2) @ duals)) + self.offset
