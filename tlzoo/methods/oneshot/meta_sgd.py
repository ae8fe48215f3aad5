"""Meta-SGD: MAML with learned step sizes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlzoo.methods.oneshot.maml import MAML, EpisodeLoss
from tlzoo.nn.batch_statistics import Statistics
from tlzoo.nn.named_modules import attribute_name
from tlzoo.paper import Paper

__all__ = ["MetaSGD"]


class MetaSGD(MAML):
    """Meta-SGD (Li, Zhou, Chen & Li, 2017), https://arxiv.org/abs/1707.09835.

    MAML in which every entry of every parameter has its own rate, learned with the parameters.

    Args:
        rate: initial value of the rates.
        steps: number of steps of gradient descent, 1 in the paper.
        loss: of an episode, see MAML.
        statistics: statistics of batch normalization, see MAML.

    Differs from the paper: rates start at the same value instead of random ones; ``statistics="support"`` by default.
    """

    label = "Meta-SGD"
    paper = Paper(
        title="Meta-SGD: Learning to Learn Quickly for Few-Shot Learning",
        authors=("Li", "Zhou", "Chen", "Li"),
        venue="arXiv",
        year=2017,
        arxiv="1707.09835",
    )

    def __init__(
        self,
        *,
        rate: float = 0.01,
        steps: int = 1,
        loss: str | EpisodeLoss = "cross_entropy",
        statistics: Statistics = "support",
    ) -> None:
        super().__init__(rate=rate, steps=steps, loss=loss, statistics=statistics)
        self.rates = nn.ParameterDict()

    def prepare(self, model: nn.Module) -> None:
        """Create a rate for each entry of the model's trainable parameters."""
        self.rates = nn.ParameterDict(
            {_key(name): torch.full_like(p, self.rate) for name, p in model.named_parameters() if p.requires_grad}
        )

    def moved(self, name: str, parameter: Tensor, slope: Tensor) -> Tensor:
        """Return a parameter after one step.

        Raises:
            RuntimeError: this network has no rates yet.
        """
        if _key(name) not in self.rates:
            raise RuntimeError(f"MetaSGD has no rates for {name}; call prepare(model) once, before training")
        rates: Tensor = self.rates[_key(name)]
        return parameter - rates * slope


def _key(name: str) -> str:
    return attribute_name(name.replace(".", "/"), nn.ParameterDict)  # torch keeps dots for itself
