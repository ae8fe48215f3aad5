"""Reptile: move toward the parameters that episodes adapt to."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlzoo.methods.oneshot.fomaml import FOMAML
from tlzoo.paper import Paper

__all__ = ["Reptile"]


class Reptile(FOMAML):
    r"""Reptile (Nichol, Achiam & Schulman, 2018), https://arxiv.org/abs/1803.02999.

    The parameters move toward the mean of the parameters adapted to each episode, support and queries together:

    .. math:: \frac{1}{2 E} \sum_e \lVert \theta - \theta_e \rVert^2

    One step of SGD at rate 1 goes all the way. Predictions are those of MAML.

    Args:
        rate: learning rate of the steps.
        steps: number of steps of gradient descent.
        loss: of an episode, see MAML.
        statistics: statistics of batch normalization, see MAML.

    Differs from the paper: each step takes the whole episode instead of a part of it; ``statistics="support"`` by
    default.
    """

    paper = Paper(
        title="On First-Order Meta-Learning Algorithms",
        authors=("Nichol", "Achiam", "Schulman"),
        venue="arXiv",
        year=2018,
        arxiv="1803.02999",
    )

    def training_loss(
        self,
        model: nn.Module,
        support: Tensor,
        support_labels: Tensor,
        query: Tensor,
        query_labels: Tensor,
        *,
        way: int,
    ) -> Tensor:
        """Return half the squared distance between the parameters and the adapted ones, averaged over episodes."""
        adapted = self.adapted(
            model, torch.cat([support, query], dim=1), torch.cat([support_labels, query_labels], dim=1), way=way
        )
        distances = [
            (p - adapted[name].detach()).square().flatten(1).sum(dim=1)
            for name, p in model.named_parameters()
            if name in adapted
        ]
        return torch.stack(distances).sum(dim=0).mean() / 2
