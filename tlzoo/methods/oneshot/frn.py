"""FRN: a query is of the class whose support reconstructs it best."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.paper import Paper

__all__ = ["FRN"]


class FRN(EpisodeClassifier):
    r"""Feature map reconstruction network (Wertheimer, Tang & Hariharan, CVPR 2021), https://arxiv.org/abs/2012.01506.

    .. math:: \text{logits}_c = -\gamma \lVert \bar q_c - q \rVert^2, \quad
        \bar q_c = e^{\beta} q S_c^\top (S_c S_c^\top + \lambda I)^{-1} S_c, \quad \lambda = \frac{k}{D} e^{\alpha}

    with the k support features S of a class, and alpha, beta and gamma trained over episodes. It is ridge regression of
    the query on each class's support.

    Differs from the paper: it reconstructs a feature vector from those of the support, while the paper reconstructs the
    places of a feature map from all places of the support's maps.

    Args:
        num_features: D.
    """

    paper = Paper(
        title="Few-Shot Classification with Feature Map Reconstruction Networks",
        authors=("Wertheimer", "Tang", "Hariharan"),
        venue="CVPR",
        year=2021,
        arxiv="2012.01506",
    )
    rotation_invariant = True

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features
        self.alpha, self.beta = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))
        self.gamma = nn.Parameter(torch.ones(()))

    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way)."""
        members = F.one_hot(support_labels, way).to(support).mT.unsqueeze(-1)  # (E, way, S, 1)
        products, seen = support @ support.mT, (query @ support.mT).unsqueeze(1)
        ridge = (
            members.sum(dim=(2, 3), keepdim=True) / (self.num_features or support.shape[-1]) * self.alpha.exp() + 1e-6
        )
        own = products.unsqueeze(1) * members * members.mT
        system = own + ridge * torch.eye(own.shape[-1], dtype=own.dtype, device=own.device)
        weights = self.beta.exp() * torch.linalg.solve(system, (seen * members.mT).mT).mT  # (E, way, Q, S)
        size = ((weights @ products.unsqueeze(1)) * weights).sum(dim=-1) - 2 * (weights * seen).sum(dim=-1)
        distance = size + query.square().sum(dim=-1).unsqueeze(1)
        logits: Tensor = -self.gamma * distance.mT
        return logits
