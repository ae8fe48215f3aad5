"""Source-free methods: a source model and a target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from tlzoo.methods.base import Method
from tlzoo.methods.conformance.alignment import AlignmentScenario
from tlzoo.methods.conformance.networks import SourceModel
from tlzoo.methods.conformance.scenario import SHAPE, Inputs, Subject, as_scalar, normal

__all__ = ["SourceFreeScenario"]

_D = SHAPE["num_features"]


class SourceFreeScenario(AlignmentScenario):
    """A target batch of predictions, after the method has seen the source model and the whole target."""

    watched: ClassVar[Mapping[str, str]] = {f"target.{part}": "row 1" for part in ("features", "logits")}

    def assemble(self, method: Method) -> Subject:
        """Give the method a source model."""
        subject = Subject(method, model=SourceModel().double())
        generator = torch.Generator().manual_seed(3)
        batches = [normal(generator, 5, _D, dtype=torch.float64) for _ in range(2)]
        subject.method.prepare(subject.networks["model"])
        subject.method.start(subject.networks["model"], batches)
        return subject

    def loss(self, subject: Subject, inputs: Inputs) -> Tensor:
        """Return the loss of the target batch."""
        terms = subject.method.loss(
            self._side(subject, inputs, "target"), progress=0.5, model=subject.networks["model"]
        )
        return as_scalar(self, terms["loss"])

    def reached(self, subject: Subject, inputs: Inputs) -> list[Tensor]:
        """Return the target, for methods that learn."""
        return super().reached(subject, inputs) if self.cls.learns else []
