"""Methods that learn through the network: an episode changes its parameters, not a classifier on its features."""

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
    """Adapts a network to a support set and answers queries with it; E episodes of one shape at once.

    Users call the method; a method implements :meth:`answer`. Inputs are what the network takes, tensors or NumPy
    arrays. Methods take gradient steps under ``torch.no_grad`` and ``torch.inference_mode``, too.

    Attributes:
        classifies: whether labels are classes in ``range(way)``; else they are what the loss takes, (E, S, ...).
    """

    sees = frozenset({Sees.TARGET_INPUTS, Sees.TARGET_LABELS})
    implements: ClassVar[str] = "answer(model, support, support_labels, query, way=...)"
    classifies: bool = True

    def prepare(self, model: nn.Module) -> None:
        """Make what the method learns beside the model, once its parameters are known."""

    @final  # type: ignore[misc]  # torch declares forward a variable, which mypy never takes as final
    def forward(self, model: nn.Module, support: Any, support_labels: Any, query: Any, *, way: int) -> Tensor:
        """Return the logits (E, Q, way) of E episodes of one shape; (Q, way) of one that comes without E.

        Args:
            model: maps inputs (N, ...) to logits (N, way); its own parameters stay as they are.
            support: inputs (E, S, ...) of the network, or (S, ...).
            support_labels: (E, S) or (S,) in ``range(way)``, each class there.
            query: inputs (E, Q, ...) of the network, or (Q, ...).
            way: classes an episode, or outputs of the network.

        Raises:
            ValueError: shapes that do not fit, a label out of range, or a class of an episode without support.
            FloatingPointError: NaN or Inf in inputs or logits; the episode is named. Looked at on the CPU only.
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
        """Return the scalar that a training step goes backward from.

        Args:
            model: as in :meth:`forward`; the gradient reaches its parameters.
            support: as in :meth:`forward`.
            support_labels: as in :meth:`forward`.
            query: as in :meth:`forward`.
            query_labels: (E, Q) or (Q,) in ``range(way)``.
            way: classes an episode.

        Raises:
            ValueError: shapes that do not fit, a label out of range, or a class of an episode without support.
            FloatingPointError: NaN or Inf in the inputs or the scalar. Looked at on the CPU only.
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
        """Return the scalar of :meth:`objective` from episodes that were checked; the queries' loss by default."""
        return self.loss(self.answer(model, support, support_labels, query, way=way), query_labels)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the scalar loss of query logits (E, Q, way) and labels (E, Q)."""
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten())

    def _taken(self, support: Any, support_labels: Any, query: Any, way: int) -> Episodes:
        episodes = take_episodes(self, support, support_labels, query, way=way, classes=self.classifies)
        for side, values in {"support": episodes.support, "query": episodes.query}.items():
            if not is_finite(values):  # what a network makes of them may well be finite
                where = where_not_finite(values.flatten(1), unit="episode")
                raise FloatingPointError(f"{type(self).__name__}: NaN or Inf in {side} ({where}); drop or repair it")
        return episodes


@contextmanager
def _without_inference_mode() -> Iterator[None]:
    """Inside, gradients can be taken; where inference mode was on, results carry none."""
    if not torch.is_inference_mode_enabled():
        yield
        return
    with torch.inference_mode(False), torch.no_grad():
        yield


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
