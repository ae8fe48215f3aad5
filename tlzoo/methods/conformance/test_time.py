"""Test-time methods: a source model and a sequence of test batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from tlzoo.methods.conformance.networks import SourceModel
from tlzoo.methods.conformance.scenario import SHAPE, Inputs, Scenario, Subject, normal, reordered, require_shape

__all__ = ["TestTimeScenario"]

_D, _C = SHAPE["num_features"], SHAPE["num_classes"]


class TestTimeScenario(Scenario):
    """A sequence of test batches."""

    __test__ = False
    watched: ClassVar[Mapping[str, str]] = {"inputs": "row 1"}
    positional: ClassVar[frozenset[str]] = frozenset({"model"})

    def arguments(self) -> dict[str, Any]:
        """Return a small source model, and the settings."""
        return {"model": SourceModel()} | self.settings

    def make_ready(self, subject: Subject, inputs: Inputs) -> None:
        """Predict one batch, so that the method has a memory."""
        subject.method(inputs["inputs"])

    def inputs(self, *, seed: int = 1, dtype: torch.dtype = torch.float64, fit: bool = False, size: int = 6) -> Inputs:
        """Return one test batch."""
        generator = torch.Generator().manual_seed(seed)
        return {"inputs": normal(generator, size, _D, dtype=dtype) + 0.5}

    def loss(self, subject: Subject, inputs: Inputs) -> Tensor:
        """Return the mean square of two predictions for the batch; the second uses the adapted model."""
        answers = [subject.method(inputs["inputs"]) for _ in range(2)]
        for logits in answers:
            require_shape(self, logits, (len(inputs["inputs"]), _C))
            if logits.requires_grad:
                raise AssertionError(f"{self!r}: its predictions carry a gradient; return them detached")
        return torch.stack([logits.square().mean() for logits in answers]).mean()

    def permuted(self, inputs: Inputs) -> Inputs:
        """Return the batch in another order."""
        return reordered(inputs, {"inputs": 0})

    def hard(self) -> dict[str, Inputs]:
        """Return batches of one item, and of equal items."""
        return {
            "one test item": self.inputs(size=1),
            "two test items": self.inputs(size=2),
            "items that coincide": {"inputs": torch.ones(6, _D).double()},
            "items of zeros": {"inputs": torch.zeros(6, _D).double()},
        }

    def invalid(self) -> dict[str, Inputs]:
        """Return an empty batch."""
        return {"an empty test batch": self.inputs(size=0)}
