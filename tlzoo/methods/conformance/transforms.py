"""Transforms of frozen features: two sets for the fit, and others to transform."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from tlzoo.methods.conformance.scenario import SHAPE, Inputs, Scenario, Subject, normal, reordered, require_shape
from tlzoo.types import Sees

__all__ = ["FitScenario", "TransformScenario"]

_D = SHAPE["num_features"]
_FIT = ("train.source", "train.target")


class TransformScenario(Scenario):
    """Source and target features with different scale and mean for the fit, and others to transform."""

    watched: ClassVar[Mapping[str, str]] = {
        "train.source": "source features (row 1)",
        "train.target": "target features (row 1)",
        "source": "features (row 1)",
        "target": "features (row 1)",
    }

    def make_ready(self, subject: Subject, inputs: Inputs) -> None:
        """Fit it, with the target only if it sees that."""
        sees_target = Sees.TARGET_INPUTS in self.cls.sees
        target = inputs["train.target"] if sees_target else None
        subject.method.fit(inputs["train.source"], target, inputs["train.labels"])

    def inputs(
        self,
        *,
        seed: int = 1,
        dtype: torch.dtype = torch.float64,
        fit: bool = False,
        sizes: tuple[int, int] = (12, 10),
        width: int = _D,
    ) -> Inputs:
        """Return features to transform, and with ``fit`` also those for the fit."""
        generator = torch.Generator().manual_seed(seed)
        made = {side: normal(generator, 5, _D, dtype=dtype) for side in ("source", "target")}
        train = {name: normal(generator, size, width, dtype=dtype) for name, size in zip(_FIT, sizes, strict=True)}
        train["train.target"] = 2 * train["train.target"] + 0.5
        train["train.labels"] = torch.arange(sizes[0]) % SHAPE["num_classes"]
        return made | train if fit else made

    def loss(self, subject: Subject, inputs: Inputs) -> Tensor:
        """Return the mean square of both transformed sides."""
        if "train.source" in inputs:
            subject = copy.deepcopy(subject)
            self.make_ready(subject, inputs)
        method = subject.method
        mapped = method.transform_source(inputs["source"]), method.transform_target(inputs["target"])
        for side, result in zip(("source", "target"), mapped, strict=True):
            require_shape(self, result, (len(inputs[side]), method.width))
        size: Tensor = mapped[0].square().mean() + mapped[1].square().mean()
        return size + self.fitted(method)

    def fitted(self, method: Any) -> Tensor:
        """Return what else the fit gave, as a scalar; 0 for transforms."""
        return torch.zeros(())

    def reached(self, subject: Subject, inputs: Inputs) -> list[Tensor]:
        """Return the features to transform, because a network before them may be trained."""
        return [inputs["source"], inputs["target"]]

    def permuted(self, inputs: Inputs) -> Inputs:
        """Return all sets in another order."""
        return reordered(inputs, dict.fromkeys(inputs, 0))

    def hard(self) -> dict[str, Inputs]:
        """Return small and constant sets."""
        usual = self.inputs(fit=True)
        flat = {name: torch.cat([usual[name][:, :-1], 0 * usual[name][:, -1:]], dim=1) for name in _FIT}
        return {
            "fewer examples than dimensions": self.inputs(fit=True, sizes=(3, 3)),
            "two examples a side": self.inputs(fit=True, sizes=(2, 2)),
            "one example a side": self.inputs(fit=True, sizes=(1, 1)),
            "one target example": self.inputs(fit=True, sizes=(9, 1)),
            "features that coincide": usual | {name: torch.ones_like(usual[name]) for name in _FIT},
            "features of zeros": usual | {name: torch.zeros_like(usual[name]) for name in _FIT},
            "a feature of zeros": usual | flat,
        }

    def invalid(self) -> dict[str, Inputs]:
        """Return empty sets and features of another width."""
        usual = self.inputs(fit=True)
        made = {
            "no source": self.inputs(fit=True, sizes=(0, 4)),
            "features of another width": self.inputs(fit=True, width=_D + 1),
            "other features to map": usual | {"source": torch.ones(5, _D + 1).double()},
        }
        if Sees.TARGET_INPUTS in self.cls.sees:
            made["no target"] = self.inputs(fit=True, sizes=(4, 0))
        return made


class FitScenario(TransformScenario):
    """The same for methods whose fit gives weights of the source or labels of the target."""

    def fitted(self, method: Any) -> Tensor:
        """Return the mean square of the weights or probabilities."""
        name = "weights" if "weights" in dict(method.named_buffers()) else "probabilities"
        found: Tensor = method.get_buffer(name).square().mean()
        return found
