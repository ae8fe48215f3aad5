"""What every method declares; the abstract classes of the kinds of methods are in the modules beside this one.

Every method is a plain ``nn.Module`` without trainer or Lightning. Anything random or learned is a parameter or a
buffer, so that a checkpoint holds it.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from tlzoo.functional.checks import read_value
from tlzoo.paper import Paper
from tlzoo.registry import registered_name
from tlzoo.signatures import check_arguments
from tlzoo.space import Space
from tlzoo.types import Need, Sees

__all__ = ["Method", "fitted"]


class _Constructed:
    """Keeps the constructor arguments of an object, except networks and tensors, which belong to its state."""

    def __new__(cls, *arguments: Any, **settings: Any) -> Self:
        """Create the object; see ``__init__`` of its class for the arguments."""
        made = super().__new__(cls)
        check_arguments(cls, arguments, settings)
        given = tuple(map(_described, arguments)), {name: _described(value) for name, value in settings.items()}
        object.__setattr__(made, "_given", given)
        return made


class _Word(str):
    """Replaces a value that is not kept; shown without quotes."""

    __repr__ = str.__str__


def _described(value: Any) -> Any:
    if isinstance(value, nn.Module):
        return _Word(type(value).__name__)
    return _Word(f"Tensor{tuple(value.shape)}") if isinstance(value, Tensor) else value


class Method(_Constructed, nn.Module):
    """Base of methods.

    Each kind of method has a final function that users call. It checks the inputs, calls the function that the method
    implements, and checks the result, so that the method's own function only holds the formula of its paper.

    Attributes:
        label: name in tables if the paper's spelling is no Python name; otherwise empty.
        paper: the source; None for plain baselines.
        sees: its supervision; it gets nothing else. A composition narrows it to that of its parts when it is built.
        parts: settings that name another method, and the setting that holds the other's settings. The other method,
            including its revision, counts as part of this one.
        needs: what it needs besides features, logits and labels.
        revision: raised when its numbers change; part of a benchmark cell's hash.
        space: settings worth tuning, with the distributions that benchmarks draw from (``trials`` of a suite).
        implements: the function that a method of this kind implements, for errors.
        variants: settings with which :mod:`tlzoo.methods.conformance` checks it: the default first, then those that
            take another path. Each includes all settings without a default; widths are those of that package's
            ``SHAPE``.
    """

    label: ClassVar[str] = ""
    paper: ClassVar[Paper | None] = None
    sees: frozenset[Sees]
    parts: ClassVar[Mapping[str, str]] = {}
    needs: frozenset[Need] = frozenset()
    revision: ClassVar[int] = 1
    variants: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    space: ClassVar[Space] = Space()
    implements: ClassVar[str] = ""
    _given: tuple[tuple[Any, ...], dict[str, Any]]

    def __init__(self) -> None:
        super().__init__()
        self._reserved: set[str] = set()

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        for name in vars(cls):
            owner = next((base for base in cls.__mro__[1:] if name in vars(base)), None)
            if owner is not None and getattr(vars(owner)[name], "__final__", False):
                raise TypeError(
                    f"{cls.__name__} overrides {owner.__name__}.{name}, which checks inputs and results; "
                    f"implement {cls.implements} instead"
                )

    @property
    def name(self) -> str:
        """The full name in the registry, or the class name of a user's method."""
        return registered_name(type(self))

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor arguments with their values, including defaults."""
        arguments, settings = self._given
        bound = inspect.signature(type(self)).bind_partial(*arguments, **settings)
        bound.apply_defaults()
        return {name: vars(self).get(name, value) for name, value in bound.arguments.items()}

    def extra_repr(self) -> str:
        """Return the settings for printed modules."""
        return ", ".join(f"{name}={value!r}" for name, value in self.settings.items())

    @property
    def order_matters(self) -> bool:
        """Whether the order of the items in a batch changes the result (linear estimators, sampled orders)."""
        return False

    def reserve(self, name: str, *shape: int) -> None:
        """Register a buffer that is NaN until something is learned.

        It takes the shape and dtype of the learned value, or of a loaded state.
        """
        self.register_buffer(name, torch.full(shape, torch.nan))
        self._reserved.add(name)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        for name in self._reserved:
            if (stored := state_dict.get(prefix + name)) is not None:
                setattr(self, name, torch.empty_like(stored, device=self.get_buffer(name).device))
        super()._load_from_state_dict(state_dict, prefix, *rest)


def fitted(method: Method, buffer: str, *, by: str = "fit first") -> Tensor:
    """Return a buffer that ``by`` fills; until then it holds NaN, which is checked on the CPU only.

    Raises:
        RuntimeError: it has not been filled.
    """
    value = method.get_buffer(buffer)
    if read_value(value.isnan().any()):
        raise RuntimeError(f"{type(method).__name__}: {buffer} is not known yet; call {by}")
    return value
