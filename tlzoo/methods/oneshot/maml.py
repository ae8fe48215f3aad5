"""MAML: learn an initialization from which a few steps suffice."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional.checks import check_choice
from tlzoo.methods.meta_learning import MetaLearner, check_way
from tlzoo.nn.batch_statistics import Statistics
from tlzoo.nn.separate_networks import SeparateNetworks
from tlzoo.paper import Paper

__all__ = ["MAML", "EpisodeLoss"]

EpisodeLoss = Callable[[Tensor, Tensor], Tensor]
"""Maps the outputs (N, way) and the labels of an episode to its loss."""

_LOSSES: dict[str, EpisodeLoss] = {"cross_entropy": F.cross_entropy, "mse": F.mse_loss}


class MAML(MetaLearner):
    r"""MAML (Finn, Abbeel & Levine, ICML 2017), https://arxiv.org/abs/1703.03400.

    For each episode, the parameters take steps of gradient descent on the support; the loss of the queries at the
    adapted parameters trains the initial ones, through the steps:

    .. math::

        \min_\theta \; L_{\text{query}}(\theta_K), \qquad
        \theta_{k+1} = \theta_k - \eta \nabla L_{\text{support}}(\theta_k), \qquad \theta_0 = \theta

    All episodes of a batch adapt at once if the network's layers allow it (:class:`tlzoo.nn.separate_networks`).
    Parameters that the loss does not depend on do not change.

    Args:
        rate: learning rate of the steps.
        steps: number of steps of gradient descent.
        loss: loss of support and queries: ``"cross_entropy"``; ``"mse"`` for values, where ``way`` is the number of
            outputs and labels are floats (E, N) or (E, N, way); or a function of the outputs (N, way) and the unchecked
            labels of one episode.
        statistics: which statistics normalize the queries in batch normalization without running statistics:
            ``"support"``, so each query is classified on its own, or ``"batch"`` (those of the queries), as in the
            authors' code. The latter makes predictions transductive, and the benchmark refuses it.

    Differs from the paper: ``statistics="support"`` by default.

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

    def __init__(
        self,
        *,
        rate: float = 0.01,
        steps: int = 5,
        loss: str | EpisodeLoss = "cross_entropy",
        statistics: Statistics = "support",
    ) -> None:
        super().__init__()
        if rate <= 0 or steps < 1:
            raise ValueError(f"rate {rate}, steps {steps}; expected a number > 0 and at least 1")
        if isinstance(loss, str):
            check_choice(loss, _LOSSES, what="loss")
        self.rate, self.steps, self.statistics = rate, steps, statistics
        self.classifies = loss == "cross_entropy"
        self.criterion = _LOSSES[loss] if isinstance(loss, str) else loss
        self.networks = SeparateNetworks(type(self).__name__)

    def answer(self, model: nn.Module, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map E episodes of inputs, support (E, S, ...) and query (E, Q, ...), to query logits (E, Q, way)."""
        parameters = self.adapted(model, support, support_labels, way=way)
        if self.statistics == "batch":
            return self.networks(model, parameters, query, rows=query.shape[1])
        shots = support.shape[1]
        return self.networks(model, parameters, torch.cat([support, query], dim=1), rows=shots)[:, shots:]

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over episodes of the loss of outputs (E, N, way) and labels (E, N) or (E, N, way)."""
        if self.classifies:
            return super().loss(logits, labels)
        losses = [self.criterion(*_fitted(own, wanted)) for own, wanted in zip(logits, labels, strict=True)]
        return torch.stack(losses).mean()

    def adapted(self, model: nn.Module, inputs: Tensor, labels: Tensor, *, way: int) -> dict[str, Tensor]:
        """Return the adapted parameters, each with a leading dimension of E episodes.

        Args:
            model: maps (N, ...) to logits (N, way).
            inputs: (E, S, ...) to adapt to.
            labels: (E, S) of them.
            way: number of classes per episode.

        Raises:
            ValueError: there is nothing to adapt, the network has the wrong number of outputs or was created under
                ``torch.inference_mode``, or its normalization layers update running statistics.
        """
        _refuse(model)
        start = {name: p for name, p in model.named_parameters() if p.requires_grad}
        chosen = [name for name in start if self.adapts(name)]
        if not chosen:
            raise ValueError(f"{type(self).__name__} has nothing to adapt among {', '.join(start) or 'no parameters'}")
        through = self.second_order and torch.is_grad_enabled()
        with torch.enable_grad():
            parameters = {name: p.expand(len(inputs), *p.shape) for name, p in start.items()}
        for _ in range(self.steps):
            with torch.enable_grad():
                logits = self.networks(model, parameters, inputs, rows=inputs.shape[1], twice=through)
                check_way(self, logits, way)
                # a sum over episodes: each has its own parameters, which get its own gradient
                loss = len(inputs) * self.loss(logits, labels)
                part = [parameters[name] for name in chosen]
                slopes = torch.autograd.grad(loss, part, create_graph=through, allow_unused=True)
            # None for parameters that the loss does not depend on, which torch's types leave out
            steps = {name: slope for name, slope in zip(chosen, slopes, strict=True) if isinstance(slope, Tensor)}
            for name, slope in steps.items():
                parameters[name] = self.moved(name, parameters[name], slope)
                if not torch.is_grad_enabled():
                    parameters[name].requires_grad_()
        return parameters

    def adapts(self, name: str) -> bool:
        """Return whether the parameter of that name takes part in the steps."""
        return True

    def moved(self, name: str, parameter: Tensor, slope: Tensor) -> Tensor:
        """Return a parameter after one step."""
        return parameter - self.rate * slope


def _fitted(outputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the outputs (N, way) of an episode and its labels as a loss takes them: one value an item is (N,)."""
    values = labels.is_floating_point() and labels.ndim == 1 and outputs.shape[1] == 1
    return outputs.squeeze(1) if values else outputs, labels


def _refuse(model: nn.Module) -> None:
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_inference():
            raise ValueError(
                f"{name} was made under torch.inference_mode, which forbids gradients of it; build or load the network "
                "outside"
            )
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats and module.training:
            raise ValueError(
                f"{name} updates running statistics, which episodes that adapt at once cannot share; use a network "
                "without them (conv4 has none), or switch it to evaluation mode"
            )
