"""Guards of methods on source and target."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor

from tlzoo.methods.checks import check_inputs, check_matrix, check_output, check_terms
from tlzoo.types import Losses, Prediction, Sees

if TYPE_CHECKING:
    from tlzoo.methods.adapting import SourceFree, TestTime
    from tlzoo.methods.alternating import Alternating
    from tlzoo.methods.domain_method import DomainMethod
    from tlzoo.methods.transforms import FeatureTransform

__all__ = [
    "guard_answers",
    "guard_phase",
    "guard_target",
    "guard_transform",
    "guard_transform_fit",
]


def guard_phase(loss: Callable[..., Losses]) -> Callable[..., Losses]:
    """Check the sides that the method declares, then the loss of a phase."""

    @functools.wraps(loss)
    def guarded(self: Alternating, phase: str, source: Prediction, target: Prediction, **settings: Any) -> Losses:
        return _checked(self, lambda: loss(self, phase, source, target, **settings), source, target)

    return guarded


def guard_target(loss: Callable[..., Losses]) -> Callable[..., Losses]:
    """Check the target, then the loss."""

    @functools.wraps(loss)
    def guarded(self: SourceFree, target: Prediction, **settings: Any) -> Losses:
        return _checked(self, lambda: loss(self, target, **settings), None, target)

    return guarded


def guard_answers(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Check a test batch, then the answers."""

    @functools.wraps(forward)
    def guarded(self: TestTime, inputs: Any) -> Tensor:
        if not len(inputs):
            raise ValueError(f"{type(self).__name__}: the test batch is empty; expected one example or more")
        given = {"inputs": inputs} if isinstance(inputs, Tensor) else {}
        check_inputs(self, given)
        logits = forward(self, inputs)
        check_output(self, logits, given, what="the logits")
        return logits

    return guarded


def _checked(
    method: DomainMethod, compute: Callable[[], Losses], source: Prediction | None, target: Prediction
) -> Losses:
    from tlzoo.methods.domain_method import check_sides  # while guards last

    sides = {"target": target} if source is None else {"source": source, "target": target}
    inputs = check_sides(method, **sides)
    terms = compute()
    check_terms(method, terms, inputs)
    return terms


def guard_transform_fit(fit: Callable[..., FeatureTransform]) -> Callable[..., FeatureTransform]:
    """Check the features of both domains, the target's where the method sees them."""

    @functools.wraps(fit)
    def guarded(self: FeatureTransform, source: Tensor, target: Tensor | None) -> FeatureTransform:
        _check_width(self, source, "source features")
        if Sees.TARGET_INPUTS not in self.sees:
            return fit(self, source, None)
        if target is None:
            raise ValueError(f"{type(self).__name__}: the target is None, and what it aligns is source and target")
        _check_width(self, target, "target features")
        return fit(self, source, target)

    return guarded


def guard_transform(transform: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Check features, then what became of them."""

    @functools.wraps(transform)
    def guarded(self: FeatureTransform, features: Tensor) -> Tensor:
        _check_width(self, features, "features")
        result = transform(self, features)
        check_output(self, result, {"features": features}, what="the transformed features")
        return result

    return guarded


def _check_width(method: DomainMethod, features: Tensor, what: str) -> None:
    check_matrix(method, features, what, "(N, D)")
    if features.shape[1] != method.num_features:
        raise ValueError(
            f"{type(method).__name__}: {what} have width {features.shape[1]}; it was built with "
            f"num_features={method.num_features}"
        )
