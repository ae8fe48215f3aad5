"""Guards of weightings of several tasks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor

from tlzoo.methods.checks import check_output

if TYPE_CHECKING:
    from tlzoo.methods.base import Weighting

__all__ = ["guard_jacobian", "guard_tasks"]


def guard_tasks(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Check that there is one loss a task, then the result."""

    @functools.wraps(function)
    def guarded(self: Weighting, losses: Tensor, *rest: Any, **settings: Any) -> Tensor:
        _check_tasks(self, losses, (self.num_tasks,), "losses")
        gramian = settings.get("gramian", rest[0] if rest else None)
        if gramian is not None:
            _check_tasks(self, gramian, (self.num_tasks, self.num_tasks), "gramian")
            squares = gramian.diagonal()
            check_output(self, squares, {"gramian": squares}, what="the squared gradient norm", unit="task")
        result = function(self, losses, *rest, **settings)
        check_output(self, result, {"losses": losses}, what=_called(function), unit="task")
        return result

    return guarded


def _check_tasks(method: Weighting, value: Tensor, shape: tuple[int, ...], what: str) -> None:
    if value.shape != shape:
        raise ValueError(
            f"{type(method).__name__}: {what} of shape {tuple(value.shape)}; it was built with "
            f"num_tasks={method.num_tasks}"
        )


def guard_jacobian(direction: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Check the direction made from task gradients."""

    @functools.wraps(direction)
    def guarded(self: Weighting, jacobian: Tensor) -> Tensor:
        _check_tasks(self, jacobian, (self.num_tasks, *jacobian.shape[1:2]), "jacobian")
        result = direction(self, jacobian)
        check_output(self, result, {"jacobian": jacobian}, what="the direction", unit="task")
        return result

    return guarded


def _called(function: Callable[..., Any]) -> str:
    return {"forward": "the total", "weights": "the weights", "objective": "the objective"}[function.__name__]
