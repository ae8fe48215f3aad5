"""Adaptation and confusion: two batches of predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.methods.base import Method
from tlzoo.methods.conformance.networks import SmallNetwork
from tlzoo.methods.conformance.scenario import SHAPE, Inputs, Scenario, Subject, as_scalar, normal, reordered
from tlzoo.methods.domain_method import DomainMethod
from tlzoo.types import Need, Prediction, Sees, withheld

__all__ = ["AlignmentScenario"]

_D, _C = SHAPE["num_features"], SHAPE["num_classes"]
_VIEWS = ("weak", "strong")
_PARTS = ("features", "logits")


class AlignmentScenario(Scenario):
    """Two batches of predictions, with what the method may see."""

    watched: ClassVar[Mapping[str, str]] = {
        f"{side}.{part}": f"{side}.{part} (row 1)"
        for side in ("source", "target", *(f"target.{view}" for view in _VIEWS))
        for part in _PARTS
    }

    @property
    def _views(self) -> tuple[str, ...]:
        """The views that the method is given."""
        views: tuple[str, ...] = getattr(self.cls, "views", _VIEWS)
        return views

    def assemble(self, method: Method) -> Subject:
        """Add a small network for the method, and the method's own head if it has one."""
        assert isinstance(method, DomainMethod)
        subject = Subject(method, model=SmallNetwork(), head=method.make_head())
        subject.method.prepare(subject.networks["model"])
        return subject

    def make_ready(self, subject: Subject, inputs: Inputs) -> None:
        """Show the method the target, as at the start of an epoch."""
        subject.method.on_epoch(self._side(subject, inputs, "target"))

    def inputs(
        self, *, seed: int = 1, dtype: torch.dtype = torch.float64, fit: bool = False, sizes: tuple[int, int] = (6, 6)
    ) -> Inputs:
        """Return two batches; the target is shifted."""
        generator = torch.Generator().manual_seed(seed)
        made: Inputs = {}
        for side, size, shift in zip(("source", "target"), sizes, (0.0, 0.5), strict=True):
            made[f"{side}.features"] = normal(generator, size, _D, dtype=dtype) + shift
            made[f"{side}.logits"] = normal(generator, size, _C, dtype=dtype)
            made[f"{side}.labels"] = torch.arange(size) % _C
            made[f"{side}.domains"] = torch.arange(size) % 2
            made[f"{side}.indices"] = torch.arange(size)
        for view in self._views if Need.VIEWS in self.cls.needs else ():
            # predictions for weak views are certain, because some methods only learn from such views
            scale = 16.0 if view == "weak" else 1.0
            made[f"target.{view}.features"] = scale * normal(generator, sizes[1], _D, dtype=dtype)
            made[f"target.{view}.logits"] = scale * normal(generator, sizes[1], _C, dtype=dtype)
        return made

    def loss(self, subject: Subject, inputs: Inputs) -> Tensor:
        """Return the term that is added to the supervised loss."""
        source, target = self._side(subject, inputs, "source"), self._side(subject, inputs, "target")
        terms = subject.method(source, target, progress=0.5, model=subject.networks["model"])
        return as_scalar(self, terms["loss"])

    def _side(self, subject: Subject, inputs: Inputs, side: str) -> Prediction:
        needs = subject.method.needs
        shown = [name for name in self._views if f"{side}.{name}.logits" in inputs]
        views = {name: self._said(subject, inputs, f"{side}.{name}") for name in shown}
        whole = replace(
            self._said(subject, inputs, side),
            labels=inputs[f"{side}.labels"],
            indices=inputs[f"{side}.indices"] if Need.INDICES in needs else None,
            domains=inputs[f"{side}.domains"] if Need.DOMAINS in needs else None,
            views=views,
        )
        why = f"{self.cls.__name__} does not declare that it sees this"
        if Sees(f"{side} inputs") not in self.cls.sees:
            return withheld(whole, "features", "logits", "labels", "indices", "domains", "views", "inputs", why=why)
        return whole if Sees(f"{side} labels") in self.cls.sees else withheld(whole, "labels", why=why)

    def _said(self, subject: Subject, inputs: Inputs, name: str) -> Prediction:
        features, logits = inputs[f"{name}.features"], inputs[f"{name}.logits"]
        if "head" in subject.networks and features.shape[1] == _D:
            logits = subject.networks["head"](features)
        raw = features if Need.MODEL in subject.method.needs else None
        return Prediction(features=features, logits=logits, inputs=raw)

    def reached(self, subject: Subject, inputs: Inputs) -> list[Tensor]:
        """Return the target: a method that uses it must train the network behind it."""
        if Sees.TARGET_INPUTS not in self.cls.sees:
            return []
        return [inputs[name] for name in inputs if name.startswith("target.") and name.endswith(_PARTS)]

    def permuted(self, inputs: Inputs) -> Inputs:
        """Return both batches in another order."""
        for seed, side in enumerate(("source", "target")):
            inputs = reordered(inputs, {name: 0 for name in inputs if name.startswith(side)}, seed=seed)
        return inputs

    def hard(self) -> dict[str, Inputs]:
        """Return small, one-sided and constant batches."""
        usual = self.inputs()
        features = [name for name in usual if name.endswith("features")]
        one_class = {name: torch.zeros_like(value) if "labels" in name else value for name, value in usual.items()}
        for side in ("source", "target"):
            one_class[f"{side}.logits"] = one_class[f"{side}.logits"] + 40 * F.one_hot(torch.tensor(0), _C)
        return {
            "more source than target": self.inputs(sizes=(6, 4)),
            "more target than source": self.inputs(sizes=(4, 6)),
            "one sample a side": self.inputs(sizes=(1, 1)),
            "one source sample": self.inputs(sizes=(1, 5)),
            "one target sample": self.inputs(sizes=(5, 1)),
            "one class": one_class,
            "features that coincide": usual | {name: torch.ones(6, _D).double() for name in features},
            "features of zeros": usual | {name: torch.zeros(6, _D).double() for name in features},
        }

    def invalid(self) -> dict[str, Inputs]:
        """Return empty sides and features of another width, on the sides that the method sees."""
        sides = {"source": (0, 4), "target": (4, 0)}
        seen = {side: sizes for side, sizes in sides.items() if Sees(f"{side} inputs") in self.cls.sees}
        made = {f"an empty {side}": self.inputs(sizes=sizes) for side, sizes in seen.items()}
        for side in seen:
            usual = self.inputs()
            made[f"{side} features of another width"] = usual | {f"{side}.features": torch.ones(6, _D + 1).double()}
        return made
