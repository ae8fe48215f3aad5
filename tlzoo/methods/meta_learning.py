"""Methods that learn through the network: an episode changes its parameters, not a classifier on its features."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional.checks import is_finite, where_not_finite
from tlzoo.methods.base import Method
from tlzoo.methods.guards import check_filled, check_output
from tlzoo.types import Sees

__all__ = ["MetaLearner", "check_way"]


def _guard_adaptation(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Check the shapes of episodes, then the logits."""

    @functools.wraps(forward)
    def guarded(
        self: MetaLearner, model: nn.Module, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int
    ) -> Tensor:
        name = type(self).__name__
        fits = support.ndim == query.ndim >= 2 and support_labels.shape == support.shape[:2]
        if not fits or len(support) != len(query) or support.shape[2:] != query.shape[2:]:
            raise ValueError(
                f"{name}: support, support_labels and query have shapes {tuple(support.shape)}, "
                f"{tuple(support_labels.shape)} and {tuple(query.shape)}; expected (E, S, ...), (E, S) and (E, Q, ...)"
            )
        check_filled(self, support=support, query=query)
        _check_inputs(name, {"support": support, "query": query})
        _check_labels(name, support_labels, way)
        logits = forward(self, model, support, support_labels, query, way=way)
        check_way(self, logits, way)
        check_output(self, logits, {"support": support, "query": query}, what="the logits", unit="episode")
        return logits

    return guarded


def check_way(method: Method, logits: Tensor, way: int) -> None:
    """Check that a network's logits (..., way) are as many as an episode's classes.

    Raises:
        ValueError: they are not.
    """
    if logits.shape[-1] != way:
        raise ValueError(
            f"{type(method).__name__}: the network has {logits.shape[-1]} outputs for {way}-way episodes; build it "
            f"for {way}"
        )


def _check_inputs(name: str, inputs: Mapping[str, Tensor]) -> None:
    for side, values in inputs.items():
        if not is_finite(values):  # what a network makes of them may well be finite
            where = where_not_finite(values.flatten(1), unit="episode")
            raise FloatingPointError(f"{name}: NaN or Inf in {side} ({where}); drop or repair it")


def _check_labels(name: str, labels: Tensor, way: int) -> None:
    if labels.device.type != "cpu":  # asking would stall the queue
        return
    for episode, row in enumerate(labels.tolist()):
        if set(row) != set(range(way)):
            raise ValueError(
                f"{name}: the support of episode {episode} has labels {sorted(set(row))}; expected each of range({way})"
            )


class MetaLearner(Method):
    """Adapts a network to a support set and answers queries with it; E episodes of one shape at once."""

    sees = frozenset({Sees.TARGET_INPUTS, Sees.TARGET_LABELS})
    guarded: ClassVar[Mapping[str, Callable[..., Any]]] = {"forward": _guard_adaptation}

    def prepare(self, model: nn.Module) -> None:
        """Make what the method learns beside the model, once its parameters are known."""

    def forward(self, model: nn.Module, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map support (E, S, ...), support_labels (E, S) and query (E, Q, ...) to logits (E, Q, way).

        Args:
            model: maps inputs (N, ...) to logits (N, way); its own parameters stay as they are.
            support: inputs of the network.
            support_labels: in ``range(way)``, each class there.
            query: inputs of the network.
            way: classes an episode.

        Raises:
            ValueError: shapes that do not fit, or a class of an episode without support.
            FloatingPointError: NaN or Inf in the logits; the episode is named. Looked at on the CPU only.
        """
        raise NotImplementedError

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the scalar of query logits (E, Q, way) and labels (E, Q) that training goes backward from."""
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten())

    def objective(
        self,
        model: nn.Module,
        support: Tensor,
        support_labels: Tensor,
        query: Tensor,
        query_labels: Tensor,
        *,
        way: int,
    ) -> Tensor:
        """Return the scalar that a training step goes backward from; the queries' loss by default."""
        return self.loss(self(model, support, support_labels, query, way=way), query_labels)
