"""Alternating methods: two batches of predictions, and one loss per phase."""

from __future__ import annotations

from torch import Tensor

from tlzoo.methods.alternating import Alternating
from tlzoo.methods.base import Method
from tlzoo.methods.conformance.alignment import AlignmentScenario
from tlzoo.methods.conformance.scenario import Inputs, Subject, as_scalar

__all__ = ["AlternatingScenario"]


class AlternatingScenario(AlignmentScenario):
    """All phases late in training, with the sum of their losses."""

    def assemble(self, method: Method) -> Subject:
        """Also let the method create the networks of its phases."""
        subject = super().assemble(method)
        assert isinstance(method, Alternating)
        for phase in method.phases(1.0):
            method.source_network(phase.name, subject.networks["model"])
        return subject

    def loss(self, subject: Subject, inputs: Inputs) -> Tensor:
        """Return the sum of the losses of all phases; each one is a scalar."""
        source, target = self._side(subject, inputs, "source"), self._side(subject, inputs, "target")
        names = {phase.name for progress in (0.0, 1.0) for phase in subject.method.phases(progress)}
        losses = [as_scalar(self, subject.method.loss(name, source, target)["loss"]) for name in sorted(names)]
        total: Tensor = sum(losses[1:], losses[0])
        return total
