"""Methods that adapt the parameters of the network to an episode, instead of a classifier on its features."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional.checks import is_finite, where_not_finite
from tlzoo.labels import as_column, class_labels
from tlzoo.methods.base import Method
from tlzoo.methods.checks import check_output
from tlzoo.methods.episode_checks import Episodes, take_episodes, usable
from tlzoo.types import Sees

__all__ = ["MetaLearner", "check_way"]


class MetaLearner(Method):
    """Adapts a network to a support set and classifies queries with it, for E episodes of one shape at once.

    Users call the method; a method implements :meth:`answer`. Inputs are inputs of the network, tensors or NumPy
    arrays. Methods also take gradient steps under ``torch.no_grad`` and ``torch.inference_mode``.

    Attributes:
        classifies: whether labels are classes in ``range(way)``; otherwise they are targets of the loss, (E, S, ...).
    """

    sees = frozenset({Sees.TARGET_INPUTS, Sees.TARGET_LABELS})
    implements: ClassVar[str] = "answer(model, support, support_labels, query, way=...)"
    classifies: bool = True

    def prepare(self, model: nn.Module) -> None:
        """Create what the method learns besides the model, once the parameters are known."""

    @final  # type: ignore[misc]  # torch declares forward a variable, which mypy never takes as final
    def forward(self, model: nn.Module, support: Any, support_labels: Any, query: Any, *, way: int) -> Tensor:
        """Return the logits (E, Q, way) of E episodes of one shape, or (Q, way) for a single episode without E.

        Args:
            model: maps inputs (N, ...) to logits (N, way); its parameters do not change.
            support: inputs (E, S, ...) of the network, or (S, ...).
            support_labels: (E, S) or (S,) in ``range(way)``, with every class present.
            query: inputs (E, Q, ...) of the network, or (Q, ...).
            way: number of classes per episode, or of outputs of the network.

        Raises:
            ValueError: the shapes do not fit, a label is out of range, or a class has no support.
            FloatingPointError: NaN or Inf in inputs or logits; the message names the episode. Checked on the CPU only.
        """
        with _without_inference_mode():
            episodes = self._taken(support, support_labels, query, way)
            logits = self.answer(model, episodes.support, episodes.labels, episodes.query, way=way)
        check_way(self, logits, way)
        inputs: dict[str, Tensor | None] = {"support": episodes.support, "query": episodes.query}
        check_output(self, logits, inputs, what="the logits", unit="episode")
        return logits[0] if episodes.alone else logits

    if TYPE_CHECKING:
        __call__ = forward

    @final
    def objective(
        self, model: nn.Module, support: Any, support_labels: Any, query: Any, query_labels: Any, *, way: int
    ) -> Tensor:
        """Return the scalar loss of a training step.

        Args:
            model: as in :meth:`forward`; the gradient reaches its parameters.
            support: as in :meth:`forward`.
            support_labels: as in :meth:`forward`.
            query: as in :meth:`forward`.
            query_labels: (E, Q) or (Q,) in ``range(way)``.
            way: number of classes per episode.

        Raises:
            ValueError: the shapes do not fit, a label is out of range, or a class has no support.
            FloatingPointError: NaN or Inf in the inputs or the scalar. Checked on the CPU only.
        """
        with _without_inference_mode():
            episodes = self._taken(support, support_labels, query, way)
            labels = self._query_labels(query_labels, episodes, way)
            loss = self.training_loss(model, episodes.support, episodes.labels, episodes.query, labels, way=way)
        check_output(self, loss, {}, what="the loss")
        return loss

    def _query_labels(self, query_labels: Any, episodes: Episodes, way: int) -> Tensor:
        """Return checked labels (E, Q, ...) of the queries."""
        what = f"{type(self).__name__}: query_labels"
        labels = as_column(query_labels, what=what)
        if self.classifies:
            labels = class_labels(labels, num_classes=way, complete=True, dims=1 if episodes.alone else 2, what=what)
        labels = (labels.unsqueeze(0) if episodes.alone else labels).to(episodes.query.device)
        if labels.shape[:2] != episodes.query.shape[:2]:
            raise ValueError(
                f"{what} have shape {tuple(labels.shape)}; expected one for each query, "
                f"{tuple(episodes.query.shape[:2])}"
            )
        return usable(labels)

    def answer(self, model: nn.Module, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map support (E, S, ...), support_labels (E, S) and query (E, Q, ...) to logits (E, Q, way)."""
        raise NotImplementedError(f"{type(self).__name__} implements no {self.implements}")

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
        """Return the scalar of :meth:`objective` from checked episodes; by default the loss of the queries."""
        return self.loss(self.answer(model, support, support_labels, query, way=way), query_labels)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the scalar loss of query logits (E, Q, way) and labels (E, Q)."""
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten())

    def _taken(self, support: Any, support_labels: Any, query: Any, way: int) -> Episodes:
        episodes = take_episodes(self, support, support_labels, query, way=way, classes=self.classifies)
        for side, values in {"support": episodes.support, "query": episodes.query}.items():
            if not is_finite(values):  # the network's outputs may still be finite
                where = where_not_finite(values.flatten(1), unit="episode")
                raise FloatingPointError(f"{type(self).__name__}: NaN or Inf in {side} ({where}); drop or repair it")
        return episodes


@contextmanager
def _without_inference_mode() -> Iterator[None]:
    """Allow gradients inside; results carry none if inference mode was on."""
    if not torch.is_inference_mode_enabled():
        yield
        return
    with torch.inference_mode(False), torch.no_grad():
        yield


def check_way(method: Method, logits: Tensor, way: int) -> None:
    """Check that a network has one logit (..., way) per class of an episode.

    Raises:
        ValueError: the numbers differ.
    """
    if logits.shape[-1] != way:
        raise ValueError(
            f"{type(method).__name__}: the network has {logits.shape[-1]} outputs for {way}-way episodes; build it "
            f"for {way}"
        )
