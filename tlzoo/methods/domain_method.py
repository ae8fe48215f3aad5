"""What methods on source and target share: hooks, and checks of both sides of a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tlzoo.errors import InputError
from tlzoo.functional.checks import check_counts
from tlzoo.functional.precision import full_precision, working_dtype
from tlzoo.labels import class_labels, value_matrix
from tlzoo.methods.base import Method
from tlzoo.methods.checks import check_inputs, check_width
from tlzoo.registry import METHODS, method_class, registered_name, short_name
from tlzoo.types import Context, Prediction, Sees, is_withheld

__all__ = ["DomainMethod", "are_values", "check_for_regression", "check_sides", "own_precision"]

_PARTS = ("features", "logits")
_INPUTS = {"source": Sees.SOURCE_INPUTS, "target": Sees.TARGET_INPUTS}
_LABELS = {"source": Sees.SOURCE_LABELS, "target": Sees.TARGET_LABELS}


class DomainMethod(Method):
    """The base of methods on source and target.

    Args:
        num_features: D, width of the features.
        num_classes: C; in a regression T, the number of targets.

    Attributes:
        for_regression: whether it also takes real-numbered targets: then logits and labels are (B, T) numbers. True of
            methods that use features only.
    """

    for_regression: ClassVar[bool] = False
    sees = frozenset({Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS, Sees.TARGET_INPUTS})
    views: tuple[str, ...] = ("weak", "strong")
    """The views that a method with ``Need.VIEWS`` is given: kinds of views; ``KIND again`` is another one of a kind."""

    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__()
        check_counts(num_features=num_features, num_classes=num_classes)
        self.num_features, self.num_classes = num_features, num_classes

    @property
    def transformable(self) -> bool:
        """Whether ``torch.func.grad`` and ``vmap`` work on its loss.

        They fail on a loss with a memory, random numbers, gradients within the loss, or a solver outside torch.
        """
        return True

    def make_head(self) -> nn.Module | None:
        """Return the method's own head for training and prediction, or None for the usual one.

        It may also be a submodule of the method if a loss needs it.
        """
        return None

    def prepare(self, network: nn.Module) -> None:
        """Receive the network before training; a method that needs a copy makes it here."""

    def on_epoch(self, target: Prediction) -> None:
        """Receive the predictions for the whole unlabelled target training set."""

    def after_step(self, network: nn.Module) -> None:
        """Follow the network after an optimizer step, for example with a moving average of its weights."""

    def validate(self, progress: float, held_out: Callable[[], Prediction]) -> None:
        """Look at labelled source examples that training batches lack, if the method declares ``Need.HELD_OUT``.

        Args:
            progress: share of training done, the step just taken included.
            held_out: passes all of them through the network as it is, in evaluation mode; call it only when needed.
        """

    def answering(self, network: nn.Module) -> Mapping[str, Tensor] | None:
        """Return the weights and buffers, by name, that predictions use in place of the network's; None for its own."""
        return None

    def _context(self, progress: float, model: nn.Module | None) -> Context:
        return Context(progress=progress, network=model, method=type(self).__name__)


def check_sides(method: DomainMethod, **sides: Prediction) -> tuple[dict[str, Prediction], dict[str, Tensor]]:
    """Check and convert the sides of a batch that a method declares to see.

    Args:
        method: the method.
        sides: predictions by ``"source"`` and ``"target"``.

    Returns:
        The sides, with features and logits in the dtype of the method's weights (without weights, at least float32) and
        labels as int64; and features and logits of the sides and their views by name, for
        :func:`tlzoo.methods.checks.check_terms`.

    Raises:
        ValueError: a side is empty, has the wrong widths, or has labels that are no classes.
        FloatingPointError: NaN or Inf; the message names it. Checked on the CPU only.
    """
    inputs: dict[str, Tensor] = {}
    weights = list(method.parameters())
    for name, side in tuple(sides.items()):
        if _INPUTS[name] not in method.sees or is_withheld(side, "features"):
            continue
        _check_side(method, name, side)
        dtype = working_dtype(weights, side.features, side.logits)
        sides[name] = taken = _with_checked_labels(method, name, _with_dtype(side, dtype))
        inputs[f"{name}.features"], inputs[f"{name}.logits"] = taken.features, taken.logits
        for view, said in taken.views.items():
            inputs[f"{name}.{view}.features"], inputs[f"{name}.{view}.logits"] = said.features, said.logits
    check_inputs(method, inputs)  # first, because decompositions fail on them and bounded functions hide them
    return sides, inputs


def own_precision(inputs: Mapping[str, Tensor]) -> AbstractContextManager[object]:
    """Return a context without autocast for a computation on ``inputs``."""
    return full_precision(next(iter(inputs.values()))) if inputs else nullcontext()


def _with_dtype(side: Prediction, dtype: torch.dtype) -> Prediction:
    """Return a side with features and logits, including those of views, in one dtype."""
    if side.features.dtype == side.logits.dtype == dtype and not side.views:
        return side
    if all(getattr(said, part).dtype == dtype for said in (side, *side.views.values()) for part in _PARTS):
        return side
    views = {name: _with_dtype(view, dtype) for name, view in side.views.items()}
    return _changed(side, features=side.features.to(dtype), logits=side.logits.to(dtype), views=views)


def are_values(labels: Any) -> bool:
    """Return whether labels are the real numbers (N, T) of a regression: floats in two dimensions, not one-hot rows.

    >>> are_values(torch.zeros(3, 1)), are_values(torch.zeros(3))
    (True, False)
    """
    dtype = getattr(labels, "dtype", None)
    floating = dtype.is_floating_point if isinstance(dtype, torch.dtype) else getattr(dtype, "kind", "") == "f"
    if getattr(labels, "ndim", 0) != 2 or not floating:
        return False
    if labels.shape[1] == 1 or (isinstance(labels, Tensor) and labels.device.type != "cpu"):
        return True
    return not bool((((labels == 0) | (labels == 1)).all()) and (labels.sum(1) == 1).all())


def check_for_regression(method: type[Method] | Method, what: str) -> None:
    """Check that a method takes real-numbered targets.

    Args:
        method: a method or its class.
        what: the regression, for the message.

    Raises:
        ValueError: it needs classes; the message lists methods that do not.
    """
    if not getattr(method, "for_regression", False):
        name = method.name if isinstance(method, Method) else registered_name(method)
        known = [short_name(each) for each in METHODS if getattr(method_class(each), "for_regression", False)]
        raise InputError(f"{name} needs classes, and {what} is a regression; take one of {', '.join(known)}")


def _with_checked_labels(method: DomainMethod, name: str, side: Prediction) -> Prediction:
    """Return a side whose labels, if the method sees any, are class indices, or values in a regression."""
    if _LABELS[name] not in method.sees or is_withheld(side, "labels") or side.labels is None:
        return side
    what, size = f"{type(method).__name__}: {name} labels", len(side.features)
    if method.for_regression and are_values(side.labels):
        values = value_matrix(side.labels, num_values=method.num_classes, size=size, complete=True, what=what)
        return _changed(side, labels=values.to(side.logits.dtype))
    labels = class_labels(side.labels, num_classes=method.num_classes, size=size, complete=True, what=what)
    return side if labels is side.labels else _changed(side, labels=labels)


def _changed(side: Prediction, **parts: Any) -> Prediction:
    """Return a side with some parts changed; withheld parts stay withheld."""
    copy = object.__new__(type(side))
    for part, value in {**vars(side), **{name: parts[name] for name in parts if not is_withheld(side, name)}}.items():
        object.__setattr__(copy, part, value)
    return copy


def _check_side(method: DomainMethod, name: str, side: Prediction) -> None:
    who, features, logits = type(method).__name__, side.features, side.logits
    if features.ndim != 2 or logits.ndim != 2 or len(features) != len(logits):
        raise ValueError(
            f"{who}: {name} features and logits have shapes {tuple(features.shape)} and {tuple(logits.shape)}; "
            "expected (B, D) and (B, C)"
        )
    check_width(method, features, f"{name} features", num_features=method.num_features)
    own_head = type(method).make_head is not DomainMethod.make_head  # which may have more outputs than classes
    if not own_head:
        check_width(method, logits, f"{name} logits", num_classes=method.num_classes)
    if not len(features):
        raise ValueError(f"{who}: the {name} batch is empty; expected at least one example")
