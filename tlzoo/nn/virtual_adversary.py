"""The perturbations of virtual adversarial training, with their random starting points."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlzoo.functional import virtual_adversarial_divergence
from tlzoo.functional.checks import check_positive
from tlzoo.nn.batch_statistics import resting_statistics
from tlzoo.nn.network import after_preprocessing
from tlzoo.nn.random_stream import RandomStream
from tlzoo.types import Prediction

__all__ = ["VirtualAdversary"]


class VirtualAdversary(nn.Module):
    """Measures how much a network's predictions change within a radius of its inputs (Miyato et al., TPAMI 2019).

    Source: https://arxiv.org/abs/1704.03976. The perturbation acts on the input of the network's first layer:
    preprocessed pixels, or frozen features. Batch normalization uses the statistics of the perturbed batch, and running
    statistics do not change.

    Args:
        radius: Euclidean length of a perturbation, in the units of those inputs.

    Raises:
        ValueError: the radius is not positive.
    """

    def __init__(self, radius: float) -> None:
        super().__init__()
        check_positive(radius=radius)
        self.radius = radius
        self.random = RandomStream()

    def forward(self, model: nn.Module, **sides: Prediction) -> dict[str, Tensor]:
        """Return (B,) divergences for each side by name; all sides pass through the network as one batch.

        Args:
            model: maps raw inputs to a :class:`~tlzoo.types.Prediction`.
            sides: predictions with their inputs, as ``source`` or ``target``.

        Raises:
            ValueError: the inputs are not numbers after preprocessing.
        """
        prepared = [
            after_preprocessing(model, said.inputs, "source" if side == "source" else "target")
            for side, said in sides.items()
        ]
        inputs, answer = torch.cat([own for own, _ in prepared]), prepared[0][1]
        start = torch.randn(inputs.shape, generator=self.random.next(), dtype=torch.float64).to(inputs)
        with resting_statistics(model):
            found = virtual_adversarial_divergence(lambda x: answer(x).logits, inputs, start, radius=self.radius)
        return dict(zip(sides, torch.split(found, [len(own) for own, _ in prepared]), strict=True))
