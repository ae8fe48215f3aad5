"""MAML: an initialization from which a few steps are enough."""

from __future__ import annotations

from contextlib import nullcontext
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional as F

from tlzoo.methods.meta_learning import MetaLearner, check_way
from tlzoo.nn.batch_statistics import Statistics, statistics_of, uses_batch_statistics
from tlzoo.paper import Paper

__all__ = ["MAML"]


class MAML(MetaLearner):
    """MAML (Finn, Abbeel & Levine, ICML 2017), https://arxiv.org/abs/1703.03400.

    The network's parameters take ``steps`` steps of gradient descent on the support's cross-entropy, anew for each
    episode; the network after them answers the queries, and the queries' loss trains the parameters before them,
    through the steps. All episodes of a batch step at once.

    Args:
        rate: of the steps.
        steps: of gradient descent.
        statistics: what batch normalization without running statistics takes its own from when queries are answered:
            ``"support"``, so that each query is answered on its own, or ``"batch"``, the queries, as in the authors'
            code. The latter makes answers transductive, and the benchmark refuses it.

    Differs from the paper: ``statistics="support"``, unless it is set otherwise.

    >>> model = nn.Linear(1, 2)
    >>> support, labels, query = torch.tensor([[[-1.0], [1.0]]]), torch.tensor([[0, 1]]), torch.tensor([[[2.0], [-2]]])
    >>> MAML(rate=1.0, steps=10)(model, support, labels, query, way=2).argmax(dim=-1).tolist()
    [[1, 0]]
    """

    paper = Paper(
        title="Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks",
        authors=("Finn", "Abbeel", "Levine"),
        venue="ICML",
        year=2017,
        arxiv="1703.03400",
    )

    second_order: ClassVar[bool] = True

    def __init__(self, *, rate: float = 0.01, steps: int = 5, statistics: Statistics = "support") -> None:
        super().__init__()
        if rate <= 0 or steps < 1:
            raise ValueError(f"rate {rate}, steps {steps}; expected a number > 0 and at least 1")
        self.rate, self.steps, self.statistics = rate, steps, statistics

    def answer(self, model: nn.Module, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map E episodes of inputs, support (E, S, ...) and query (E, Q, ...), to query logits (E, Q, way)."""
        parameters = self.adapted(model, support, support_labels, way=way)
        if self.statistics == "batch":
            return _outputs(model, parameters, query, rows=query.shape[1])
        shots = support.shape[1]
        return _outputs(model, parameters, torch.cat([support, query], dim=1), rows=shots)[:, shots:]

    def adapted(self, model: nn.Module, inputs: Tensor, labels: Tensor, *, way: int) -> dict[str, Tensor]:
        """Return the adapted parameters, each with a leading dimension of E episodes.

        Args:
            model: maps (N, ...) to logits (N, way).
            inputs: (E, S, ...) to adapt to.
            labels: (E, S) of them.
            way: classes an episode.

        Raises:
            ValueError: nothing to adapt, a network of another number of outputs, or normalization layers that update
                running statistics.
        """
        _refuse_running_statistics(model)
        start = {name: p for name, p in model.named_parameters() if p.requires_grad}
        chosen = [name for name in start if self.adapts(name)]
        if not chosen:
            raise ValueError(f"{type(self).__name__} has nothing to adapt among {', '.join(start) or 'no parameters'}")
        through = self.second_order and torch.is_grad_enabled()
        with torch.enable_grad():
            parameters = {name: p.expand(len(inputs), *p.shape) for name, p in start.items()}
        for _ in range(self.steps):
            with torch.enable_grad():
                logits = _outputs(model, parameters, inputs, rows=inputs.shape[1])
                check_way(self, logits, way)
                # the sum over episodes: each has its own parameters, and they get its own gradient
                loss = len(inputs) * F.cross_entropy(logits.flatten(0, 1), labels.flatten())
                part = [parameters[name] for name in chosen]
                slopes = torch.autograd.grad(loss, part, create_graph=through)
            for name, slope in zip(chosen, slopes, strict=True):
                parameters[name] = self.moved(name, parameters[name], slope)
                if not torch.is_grad_enabled():
                    parameters[name].requires_grad_()
        return parameters

    def adapts(self, name: str) -> bool:
        """Say whether the parameter of that name takes part in the steps."""
        return True

    def moved(self, name: str, parameter: Tensor, slope: Tensor) -> Tensor:
        """Return a parameter after one step."""
        return parameter - self.rate * slope


def _outputs(model: nn.Module, parameters: dict[str, Tensor], inputs: Tensor, *, rows: int) -> Tensor:
    """Return the outputs (E, N, ...) of a model for inputs (E, N, ...), each episode under its own parameters.

    Batches are normalized by the statistics of the first ``rows``.
    """

    def output(parameters: dict[str, Tensor], inputs: Tensor) -> Tensor:
        result: Tensor = functional_call(model, parameters, (inputs,))
        return result

    one_by_one = _faster_one_by_one(model, inputs.device)
    # under vmap even where the rows are all: torch's own batch normalization has a wrong second derivative there (2.14:
    # MAML's gradient through conv4 is off in the third digit)
    plain = not uses_batch_statistics(model) or (one_by_one and rows == inputs.shape[1])
    with nullcontext() if plain else statistics_of(rows):
        if one_by_one:
            apart = [{name: p[place] for name, p in parameters.items()} for place in range(len(inputs))]
            return torch.stack([output(own, episode) for own, episode in zip(apart, inputs, strict=True)])
        stacked: Tensor = vmap(output)(parameters, inputs)
        return stacked


def _faster_one_by_one(model: nn.Module, device: torch.device) -> bool:
    """Say whether the model convolves on a CPU.

    Filters of each episode's own become a grouped convolution, which takes a CPU 1.3 times as long as the convolutions
    of conv4 one after the other: these keep it busy already.
    """
    return device.type == "cpu" and any(isinstance(module, nn.modules.conv._ConvNd) for module in model.modules())


def _refuse_running_statistics(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats and module.training:
            raise ValueError(
                f"{name} updates running statistics, which episodes that adapt at once cannot share; use a network "
                "without them (conv4 has none), or put it into evaluation mode"
            )
