"""Answers of a module to items that no data module holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from tlzoo.errors import InputError, InputTypeError
from tlzoo.lit.predicting import DataFacts
from tlzoo.lit.resuming import Resumable

__all__ = ["Answering"]


class Answering(Resumable):
    """Base of modules that know what their inputs are.

    Attributes:
        facts: what they must know of the data to answer new items; None until a data module tells.
    """

    facts: DataFacts | None

    def batches_of(self, items: Any, batch_size: int | None) -> Iterator[Any]:
        """Yield new items in batches, as the network takes them; it is in evaluation mode meanwhile.

        Args:
            items: see :meth:`~tlzoo.lit.predicting.DataFacts.batches`.
            batch_size: items per batch; None for all at once.

        Raises:
            ValueError: the module does not know its data, or items are of another kind.
        """
        if self.facts is None:
            raise InputError(
                f"{type(self).__name__} does not know what its inputs are: build it with for_data, train or test it "
                "with a tlzoo data module, or set module.facts = tlzoo.lit.DataFacts(modality=...)"
            )
        dtype = next((p.dtype for p in self.parameters() if p.is_floating_point()), torch.float32)
        was_training = self.training
        self.eval()
        try:
            for batch in self.facts.batches(items, batch_size, dtype=dtype):
                yield batch.to(self.device) if isinstance(batch, Tensor) else batch
        finally:
            self.train(was_training)

    def answers(self, inputs: Any) -> Any:
        """Map raw inputs (B, ...) to what :meth:`predict` returns, as tensors.

        Raises:
            TypeError: the module needs more than inputs to answer.
        """
        raise InputTypeError(
            f"{type(self).__name__} answers only with a support set; use predict, or export its backbone"
        )
