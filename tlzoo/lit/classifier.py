"""The base of modules that map examples to logits, and their tests."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tlzoo.data.tasks import DomainTask
from tlzoo.errors import InputError
from tlzoo.lit.module import TransferModule
from tlzoo.lit.predicting import Predictions, as_predictions, as_values
from tlzoo.scoring import ClassScores, RegressionScores, scorer
from tlzoo.types import Examples

__all__ = ["Classifier"]


class Classifier(TransferModule):
    """Base of modules that map inputs to logits (B, C).

    ``trainer.test`` logs ``test/SCORE`` for all scores of :class:`~tlzoo.scoring.ClassScores`. With a
    :class:`~tlzoo.lit.DomainData`, the task may add scores of each of several targets or of unknown classes.
    """

    num_classes: int

    @property
    def label_classes(self) -> int:
        """The number of classes."""
        return self.num_classes

    def plain_scores(self) -> ClassScores | RegressionScores:
        """Return the scores of labels of which nothing but their number is known."""
        if self.label_values is None:
            return ClassScores(self.num_classes)
        return RegressionScores([f"target{place}" for place in range(self.label_values)])

    def on_test_start(self) -> None:
        """Reset the scores."""
        task = getattr(getattr(self.trainer, "datamodule", None), "task", None)
        scores = scorer(task) if isinstance(task, DomainTask) else self.plain_scores()
        self.test_scores = scores.to(self.device)

    def test_step(self, batch: Examples, batch_idx: int) -> None:
        """Score the predictions for test examples."""
        self.test_scores.update(self(batch.inputs), self.labels_of(batch), self._groups(batch))

    def _groups(self, batch: Examples) -> Tensor | None:
        return batch.domains if self.test_scores.groups else None

    def on_test_epoch_end(self) -> None:
        """Log the scores."""
        self.log_scores("test/", self.test_scores)

    def predict_step(self, batch: Examples, batch_idx: int) -> Tensor:
        """Return the logits (B, C)."""
        return self(batch.inputs)  # type: ignore[no-any-return]

    def answers(self, inputs: Any) -> Tensor:
        """Map raw inputs (B, ...) to probabilities (B, C); in a regression to values (B, T)."""
        answers: Tensor = self(inputs)
        return answers.softmax(dim=1) if self.label_values is None else answers

    @torch.no_grad()
    def predict(self, items: Any, *, batch_size: int = 256) -> Predictions:
        """Return answers to new items, with all that the training data passed before the network.

        Args:
            items: files or uint8 pictures (N, H, W, C), texts, series (N, time, channels) or features (N, D), as the
                task that the module was trained on held them. A network on features of a frozen backbone takes raw
                items, which pass that backbone first, or its features.
            batch_size: items per batch.

        Raises:
            ValueError: the module does not know its data, or items are of another kind.
        """
        parts = [self.answers(batch) for batch in self.batches_of(items, batch_size)]
        if self.label_values is not None:
            return as_values(parts, num_values=self.label_values)
        return as_predictions(parts, self.facts.class_names if self.facts else (), num_classes=self.num_classes)

    def labels_of(self, batch: Examples) -> Tensor:
        """Return the labels (B,) to score the predictions against.

        Raises:
            ValueError: there are none.
        """
        if batch.labels is None:
            raise InputError("examples without labels cannot be scored; use trainer.predict to get predictions only")
        return batch.labels
