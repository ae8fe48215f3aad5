"""DSelect-k: a smooth gate that selects k experts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tlzoo.nn.named_modules import NamedModules
from tlzoo.nn.sharing.experts import ExpertSharing, mixed
from tlzoo.types import Backbone

__all__ = ["DSelectK", "smooth_step"]


def smooth_step(values: Tensor, gamma: float = 1.0) -> Tensor:
    """Return 0 below -gamma/2, 1 above gamma/2, and in between the cubic that joins them smoothly.

    >>> smooth_step(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    scaled = (values / gamma).clamp(-0.5, 0.5)
    return -2 * scaled**3 + 1.5 * scaled + 0.5


class DSelectK(ExpertSharing):
    """DSelect-k (Hazimeh et al., NeurIPS 2021), https://arxiv.org/abs/2106.03760.

    Each of k selectors encodes an expert in binary digits. Each digit is a smooth step of a linear function of the
    features, and a softmax weights the selectors. Once all steps are saturated, exactly k experts are in use.

    Differs from the paper: no entropy penalty, which speeds up the selection. The number of experts is a power of 2, so
    the penalty on codes without an expert is not needed.

    Args:
        backbone: the shared network below the experts.
        tasks: names of the tasks.
        experts: K, a power of 2.
        selected: k.
        width: W of each expert's output, and of the features.
        gamma: width of the smooth step.
    """

    codes: Tensor

    def __init__(
        self,
        backbone: Backbone,
        tasks: Sequence[str],
        *,
        experts: int = 4,
        selected: int = 2,
        width: int = 256,
        gamma: float = 1.0,
    ) -> None:
        super().__init__(backbone, tasks, experts=experts, width=width)
        digits = int(math.log2(experts))
        if 2**digits != experts or experts < 2 or not 1 <= selected <= experts:
            raise ValueError(f"{selected} of {experts} experts; expected a power of 2, and at most as many selected")
        self.selected, self.gamma = selected, gamma
        places = torch.arange(experts)[:, None] >> torch.arange(digits)
        self.register_buffer("codes", (places & 1).bool())
        inputs = backbone.num_features
        self.digits = NamedModules({task: nn.Linear(inputs, selected * digits) for task in self.tasks})
        self.scores = NamedModules({task: nn.Linear(inputs, selected) for task in self.tasks})
        for gate in self.digits.values():
            assert isinstance(gate, nn.Linear)
            for parameter in gate.parameters():  # close to the middle of the step, where it is steepest
                nn.init.uniform_(parameter, -gamma / 100, gamma / 100)

    def weights(self, features: Tensor, task: str) -> Tensor:
        """Return the weights (B, K) of the experts; they sum to 1."""
        steps = smooth_step(self.digits[task](features), self.gamma)
        steps = steps.view(len(features), self.selected, 1, -1)
        chosen = torch.where(self.codes, steps, 1 - steps).prod(dim=3)
        return torch.einsum("bs,bsk->bk", self.scores[task](features).softmax(dim=1), chosen)

    def private(self, shared: tuple[Tensor, ...], task: str) -> Tensor:
        """Mix the selected experts."""
        features, experts = shared
        return mixed(self.weights(features, task), experts)
