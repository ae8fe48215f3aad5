"""Guards of methods on source and target."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor

from tlzoo.methods.guards.checks import check_inputs, check_matrix, check_output
from tlzoo.types import Losses, Prediction, Sees, is_withheld

if TYPE_CHECKING:
    from tlzoo.methods.adapting import SourceFree, TestTime
    from tlzoo.methods.alternating import Alternating
    from tlzoo.methods.base import Alignment, DomainMethod
    from tlzoo.methods.transforms import FeatureTransform

__all__ = [
    "guard_alignment",
    "guard_answers",
    "guard_phase",
    "guard_target",
    "guard_transform",
    "guard_transform_fit",
]


def guard_alignment(forward: Callable[..., Losses]) -> Callable[..., Losses]:
    """Check the sides that the method declares, then its loss."""

    @functools.wraps(forward)
    def guarded(self: Alignment, source: Prediction, target: Prediction, **settings: Any) -> Losses:
        return _checked(self, lambda: forward(self, source, target, **settings), source, target)

    return guarded


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
    sides = {"source": (source, Sees.SOURCE_INPUTS), "target": (target, Sees.TARGET_INPUTS)}
    seen = {name: side for name, (side, sees) in sides.items() if side is not None and sees in method.sees}
    for name, side in seen.items():
        _check_side(method, name, side)
    shown = {name: side for name, side in seen.items() if _shows(side)}
    shown |= {f"{name}.{view}": said for name, side in shown.items() for view, said in side.views.items()}
    inputs = {f"{name}.{part}": getattr(side, part) for name, side in shown.items() for part in _PARTS}
    check_inputs(method, inputs)  # first: a decomposition fails on them, a bounded function hides them
    terms = compute()
    check_output(method, terms["loss"], inputs, what="the loss")
    return terms


_PARTS = ("features", "logits")


def _shows(side: Prediction) -> bool:
    return not is_withheld(side, "features")


def _check_side(method: DomainMethod, name: str, side: Prediction) -> None:
    if not _shows(side):
        return
    features, logits = side.features, side.logits
    if features.ndim != 2 or logits.ndim != 2 or len(features) != len(logits):
        raise ValueError(
            f"{type(method).__name__}: {name} features and logits have shapes {tuple(features.shape)} and "
            f"{tuple(logits.shape)}; expected (B, D) and (B, C)"
        )
    if features.shape[1] != method.num_features:
        raise ValueError(
            f"{type(method).__name__}: {name} features have width {features.shape[1]}; it was built with "
            f"num_features={method.num_features}"
        )
    if not len(features):
        raise ValueError(f"{type(method).__name__}: the {name} batch is empty; expected one example or more")


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
