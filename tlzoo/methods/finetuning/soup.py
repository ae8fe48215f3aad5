"""Model soup: the mean of several fine-tuned networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tlzoo.functional.checks import check_counts
from tlzoo.methods.finetuning.lp_ft import LPFT
from tlzoo.methods.kept_weights import KeptWeights
from tlzoo.paper import Paper
from tlzoo.types import Backbone

__all__ = ["Soup"]


class Soup(LPFT):
    """Uniform model soup (Wortsman et al., ICML 2022), https://arxiv.org/abs/2203.05482.

    A linear probe first; then ``ingredients`` networks are fine-tuned one after the other from the same probe, in equal
    shares of the steps, and predictions are those of their mean weights.

    Differs from the paper: ingredients differ in the batches that they see, not in hyperparameters, and share the steps
    of one training; with a schedule that decays, later ones train more slowly, so give it a constant rate. The greedy
    recipe needs held-out labels: :func:`tlzoo.functional.greedy_soup`.

    Args:
        probe: share of the training in which the head trains alone.
        ingredients: number of fine-tuned networks.
    """

    label = "uniform soup"
    paper = Paper(
        title="Model Soups: Averaging Weights of Multiple Fine-tuned Models Improves Accuracy without Increasing "
        "Inference Time",
        authors=("Wortsman", "Ilharco", "Gadre", "Roelofs", "Gontijo-Lopes", "Morcos", "Namkoong", "Farhadi"),
        venue="ICML",
        year=2022,
        arxiv="2203.05482",
    )
    done: Tensor

    def __init__(self, *, probe: float = 0.5, ingredients: int = 4) -> None:
        super().__init__(probe=probe)
        check_counts(ingredients=ingredients)
        self.ingredients = ingredients
        self.start, self.mean = KeptWeights(), KeptWeights()
        self.register_buffer("done", torch.zeros((), dtype=torch.long))

    def on_step(
        self, backbone: Backbone, head: nn.Module, progress: float, *, optimizer: Optimizer | None = None
    ) -> None:
        """Freeze the backbone until the probe is trained; then return to the probe where an ingredient is done."""
        super().on_step(backbone, head, progress, optimizer=optimizer)
        if progress == 0:
            self.start.clear()
            self.mean.clear()
            self.done.zero_()
        if progress < self.probe:
            return
        if not self.start.kept:
            self.start.keep(backbone, head)
        share = (progress - self.probe) / (1 - self.probe) if self.probe < 1 else 1.0
        if min(int(share * self.ingredients + 1e-9), self.ingredients - 1) > int(self.done):
            self.mean.replace(self._mean(backbone, head))
            self.done += 1
            start = self.start.weights(backbone, head)
            for name, value in KeptWeights.of(backbone, head).items():
                value.copy_(start[name])
            if optimizer is not None:
                optimizer.state.clear()

    def answering(self, backbone: Backbone, head: nn.Module) -> dict[str, Tensor] | None:
        """Return the mean of the ingredients, the one in training included; None before the first."""
        return self._mean(backbone, head) if self.start.kept else None

    def _mean(self, backbone: Backbone, head: nn.Module) -> dict[str, Tensor]:
        now = KeptWeights.of(backbone, head)
        if not self.mean.kept:
            return now
        before = self.mean.weights(backbone, head)
        count = self.done + 1  # a tensor, so that a program can be exported
        return {name: before[name] + (value - before[name]) / count for name, value in now.items()}
