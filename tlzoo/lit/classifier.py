"""The base of modules that map examples to logits, and their tests."""

from __future__ import annotations

from torch import Tensor

from tlzoo.data.tasks import DomainTask
from tlzoo.lit.module import TransferModule
from tlzoo.scoring import ClassScores, scorer
from tlzoo.types import Examples

__all__ = ["Classifier"]


class Classifier(TransferModule):
    """Base of modules that map inputs to logits (B, C).

    ``trainer.test`` logs ``test/FIGURE`` for all figures of :class:`~tlzoo.scoring.ClassScores`. Of a
    :class:`~tlzoo.lit.DomainData` the task says what is scored beside them: each of several targets, unknown classes.
    """

    num_classes: int

    def on_test_start(self) -> None:
        """Reset the scores."""
        task = getattr(getattr(self.trainer, "datamodule", None), "task", None)
        scores = scorer(task) if isinstance(task, DomainTask) else ClassScores(self.num_classes)
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

    def labels_of(self, batch: Examples) -> Tensor:
        """Return the labels (B,) to score the predictions against.

        Raises:
            ValueError: there are none.
        """
        if batch.labels is None:
            raise ValueError("examples without labels cannot be scored; use trainer.predict to get predictions only")
        return batch.labels
