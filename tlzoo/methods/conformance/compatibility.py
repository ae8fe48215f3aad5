"""Zero-shot learning: features and class descriptions."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.methods.conformance.scenario import (
    SHAPE,
    Inputs,
    Scenario,
    Subject,
    as_scalar,
    normal,
    reordered,
    require_shape,
)

__all__ = ["CompatibilityScenario"]

_D, _C, _A = SHAPE["num_features"], SHAPE["num_classes"], SHAPE["num_embedding"]


class CompatibilityScenario(Scenario):
    """Features of seen classes to fit, others to score among candidates."""

    watched: ClassVar[Mapping[str, str]] = {
        "features": "features (row 1)",
        "class_embeddings": "class embeddings (row 1)",
        "train.features": "features (row 1)",
    }

    def make_ready(self, subject: Subject, inputs: Inputs) -> None:
        """Fit it on the seen classes, or show it these once if it is trained step by step."""
        method, seen = subject.method, [inputs[name] for name in ("train.features", "train.labels", "class_embeddings")]
        method.fit(*seen)
        if method.trained:
            method.loss(*seen)

    def _width(self) -> int:
        # a method without a width of the descriptions learns no map, so these are in the feature space
        return _A if "num_embedding" in inspect.signature(self.cls).parameters else _D

    def inputs(self, *, seed: int = 1, dtype: torch.dtype = torch.float64, fit: bool = False) -> Inputs:
        """Return features to score, candidates, and with ``fit`` examples."""
        generator = torch.Generator().manual_seed(seed)
        made = {
            "features": normal(generator, 6, _D, dtype=dtype),
            "labels": torch.arange(6) % _C,
            "class_embeddings": normal(generator, _C, self._width(), dtype=dtype),
        }
        train = {"train.features": normal(generator, 8, _D, dtype=dtype), "train.labels": torch.arange(8) % _C}
        return made | train if fit else made

    def loss(self, subject: Subject, inputs: Inputs) -> Tensor:
        """Return the cross-entropy of the scores, plus the loss if the method is trained step by step."""
        if "train.features" in inputs:
            subject = copy.deepcopy(subject)
            self.make_ready(subject, inputs)
        embeddings = inputs["class_embeddings"]
        score = subject.method.bind(embeddings, seen=torch.ones(len(embeddings), dtype=torch.bool))
        scores = score(inputs["features"])
        require_shape(self, scores, (len(inputs["features"]), len(embeddings)))
        total = F.cross_entropy(scores, inputs["labels"])
        if subject.method.trained:
            terms = subject.method.loss(inputs["features"], inputs["labels"], embeddings)
            total = total + as_scalar(self, terms["loss"])
        return total

    def reached(self, subject: Subject, inputs: Inputs) -> list[Tensor]:
        """Return the features."""
        return [inputs["features"]]

    def permuted(self, inputs: Inputs) -> Inputs:
        """Return features and examples in another order."""
        return reordered(inputs, {name: 0 for name in inputs if name != "class_embeddings"})

    def hard(self) -> dict[str, Inputs]:
        """Return fits and predictions on very small sets."""
        usual = self.inputs(fit=True)
        return {
            "one example to fit": usual | {name: usual[name][:1] for name in ("train.features", "train.labels")},
            "one class to fit": usual | {"train.labels": torch.zeros(8).long()},
            "one candidate": usual
            | {"class_embeddings": usual["class_embeddings"][:1]}
            | {name: torch.zeros_like(usual[name]) for name in ("labels", "train.labels")},
            "one to score": usual | {name: usual[name][:1] for name in ("features", "labels")},
            "features of zeros": usual | {name: 0 * usual[name] for name in ("features", "train.features")},
        }

    def invalid(self) -> dict[str, Inputs]:
        """Return fits and candidates of wrong shapes."""
        usual = self.inputs(fit=True)
        made = {"no candidates": usual | {"class_embeddings": usual["class_embeddings"][:0]}}
        made["no example to fit"] = usual | {name: usual[name][:0] for name in ("train.features", "train.labels")}
        made["a label without class"] = usual | {"train.labels": usual["train.labels"] + 1}
        return made
