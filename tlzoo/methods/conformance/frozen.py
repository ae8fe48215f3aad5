"""Holds detached values constant, so that finite differences give the expected gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from tlzoo.functional import adversarial

__all__ = ["FrozenParts"]


class FrozenParts:
    """Records the constants of a computation, and reuses them when it runs again on other inputs.

    Constants are the results of ``detach`` and of everything that runs without gradient. A reversed input x becomes x_0
    - c (x - x_0) around the recorded x_0, the function whose gradient is the reversed one. The second run is thus an
    ordinary function, whose finite differences are the expected gradient.

    >>> parts = FrozenParts()
    >>> def loss(x):
    ...     return x * x.detach()
    >>> with parts.recorded():
    ...     _ = loss(torch.tensor(3.0))
    >>> with parts.frozen():
    ...     loss(torch.tensor(5.0)).item()
    15.0
    """

    def __init__(self) -> None:
        self._constants: list[Any] = []
        self._reversed: list[Tensor] = []

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Record everything that runs inside, with gradient."""
        self._constants.clear()
        self._reversed.clear()

        def note(function: Callable[..., Any], *args: Any, **settings: Any) -> Any:
            result = function(*args, **settings)
            self._constants.append(result.detach().clone() if isinstance(result, Tensor) else result)
            return result

        def reverse(x: Tensor, coefficient: float) -> Tensor:
            with torch._C.DisableTorchFunction():  # operations in here are not constants of the computation
                self._reversed.append(x.detach().clone())
                result: Tensor = original(x, coefficient)
            return result

        original = adversarial._Reversal.apply
        with _Intercepted(note), mock.patch.object(adversarial._Reversal, "apply", reverse):
            yield

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Run everything inside with the recorded constants.

        Raises:
            AssertionError: the second run detaches more or less often than the recorded one.
        """
        constants, points = iter(self._constants), iter(self._reversed)

        def recall(*_: Any, **__: Any) -> Any:
            constant = next(constants, _NOTHING)
            if constant is _NOTHING:
                raise AssertionError("run again, it detaches more than before")
            return constant.clone() if isinstance(constant, Tensor) else constant

        def reverse(x: Tensor, coefficient: float) -> Tensor:
            point = next(points)
            return point - coefficient * (x - point)

        with _Intercepted(recall), mock.patch.object(adversarial._Reversal, "apply", reverse):
            yield
        if next(constants, _NOTHING) is not _NOTHING:
            raise AssertionError("run again, it detaches less than before")


_NOTHING = object()


class _Intercepted(TorchFunctionMode):
    """Sends every call that cuts the gradient through ``handler``."""

    def __init__(self, handler: Callable[..., Any]) -> None:
        super().__init__()
        self._handler = handler

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        cuts = func in _CUTS or not torch.is_grad_enabled()
        if cuts and func is not torch._C._set_grad_enabled:
            return self._handler(func, *args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


_CUTS = (Tensor.detach, Tensor.data.__get__)  # type: ignore[attr-defined]
