"""Multitask learning: task losses and gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from tlzoo.methods.conformance.scenario import SHAPE, Inputs, Scenario, Subject, as_scalar, normal, require_shape
from tlzoo.methods.weighting import Weighting

__all__ = ["WeightingScenario"]

_T = SHAPE["num_tasks"]


class WeightingScenario(Scenario):
    """Three task losses, and a matrix of task gradients for methods that need them."""

    watched: ClassVar[Mapping[str, str]] = {"losses": "losses (task 1)", "jacobian": "(task 1)"}

    def inputs(self, *, seed: int = 1, dtype: torch.dtype = torch.float64, fit: bool = False) -> Inputs:
        """Return three losses and, if needed, task gradients."""
        generator = torch.Generator().manual_seed(seed)
        made = {"losses": normal(generator, _T, dtype=dtype).abs() + 0.5}
        if self.cls.order != "losses":
            made["jacobian"] = normal(generator, _T, 7, dtype=dtype)
        return made

    def loss(self, subject: Subject, inputs: Inputs) -> Tensor:
        """Return the weighted total with the objective, or the length of the direction."""
        jacobian = inputs.get("jacobian")
        if type(subject.method).combine is not Weighting.combine:
            assert jacobian is not None
            direction: Tensor = subject.method.direction(jacobian, losses=inputs["losses"].detach())
            require_shape(self, direction, (jacobian.shape[1],))
            return direction.square().sum()
        gramian = None if jacobian is None else (jacobian @ jacobian.T).detach()
        if subject.method.weights(inputs["losses"].detach(), gramian).requires_grad:
            raise AssertionError(f"{self!r}: its weights carry a gradient; return them detached")
        return as_scalar(self, subject.method(inputs["losses"], gramian))

    def reached(self, subject: Subject, inputs: Inputs) -> list[Tensor]:
        """Return the losses."""
        return [inputs["losses"]] if self.cls.order != "jacobian" else []

    def hard(self) -> dict[str, Inputs]:
        """Return very small and very large losses."""
        usual = self.inputs()
        made = {
            "losses of zero": {"losses": torch.zeros(_T).double()},
            "losses of 1e6": {"losses": torch.full((_T,), 1e6)},
        }
        if "jacobian" in usual:
            made["gradients of zero"] = {"jacobian": torch.zeros_like(usual["jacobian"])}
        return {name: usual | {key: value.double() for key, value in some.items()} for name, some in made.items()}

    def invalid(self) -> dict[str, Inputs]:
        """Return more losses than tasks."""
        more = {"losses": torch.ones(_T + 1).double()}
        if "jacobian" in self.inputs():
            more["jacobian"] = torch.ones(_T + 1, 7).double()
        return {"one task too many": more}
