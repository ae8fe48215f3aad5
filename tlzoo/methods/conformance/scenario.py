"""A method with small random data of its family, so that one check runs on all kinds of methods."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tlzoo.methods.base import Method

__all__ = [
    "SHAPE",
    "ConformanceError",
    "Inputs",
    "Scenario",
    "Subject",
    "as_scalar",
    "normal",
    "reordered",
    "require",
    "require_shape",
]

SHAPE: Mapping[str, int] = {"num_features": 4, "num_classes": 3, "num_tasks": 3, "num_embedding": 5}
"""The widths that methods are checked at; settings in ``variants`` must fit them."""

Inputs = dict[str, Tensor]


class ConformanceError(AssertionError):
    """A method does not hold what every method must hold."""


class Subject(nn.Module):
    """A method that is ready to run, with the networks that it works on."""

    def __init__(self, method: Method, **networks: nn.Module | None) -> None:
        super().__init__()
        self.method: Any = method  # what it offers depends on its kind
        self.networks = nn.ModuleDict({name: network for name, network in networks.items() if network is not None})


class Scenario(ABC):
    """How methods of one kind are built, fed and asked.

    Args:
        cls: the method's class.
        settings: one of its ``variants``.

    Attributes:
        watched: inputs in which NaN or Inf must be reported, and what the report must call their second row.
        positional: arguments of constructors that need no keyword.
    """

    watched: ClassVar[Mapping[str, str]] = {}
    positional: ClassVar[frozenset[str]] = frozenset(SHAPE)

    def __init__(self, cls: type[Method], settings: Mapping[str, Any]) -> None:
        self.cls: type[Any] = cls
        self.settings = dict(settings)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        return f"{self.cls.__name__}({shown})"

    def create(self) -> Method:
        """Build the method."""
        method: Method = self.cls(**self.arguments())
        return method

    def arguments(self) -> dict[str, Any]:
        """Return the widths that the method's constructor takes, and the settings."""
        taken = inspect.signature(self.cls).parameters
        return {name: width for name, width in SHAPE.items() if name in taken} | self.settings

    def build(self, *, seed: int = 0, dtype: torch.dtype = torch.float64, ready: bool = True) -> Subject:
        """Return the method with its networks, from ``seed``; ``ready`` after what precedes its use (a fit)."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            subject = self.assemble(self.create()).to(dtype)
            if ready:
                self.make_ready(subject, self.inputs(seed=seed, dtype=dtype, fit=True))
        return subject

    def assemble(self, method: Method) -> Subject:
        """Put the method together with the networks that it works on."""
        return Subject(method)

    def make_ready(self, subject: Subject, inputs: Inputs) -> None:  # noqa: B027 - most need nothing
        """Do what precedes the use of the method, from inputs that were made with ``fit``."""

    @abstractmethod
    def inputs(self, *, seed: int = 1, dtype: torch.dtype = torch.float64, fit: bool = False) -> Inputs:
        """Return random inputs by name; with ``fit`` those, too, from which :meth:`loss` makes a copy ready first."""

    @abstractmethod
    def loss(self, subject: Subject, inputs: Inputs) -> Tensor:
        """Return the scalar that training goes backward from."""

    def reached(self, subject: Subject, inputs: Inputs) -> list[Tensor]:
        """Return the tensors that a gradient must arrive at, at one of them at least."""
        return []

    def permuted(self, inputs: Inputs) -> Inputs:
        """Return the inputs with the items of every batch in another order."""
        return inputs

    def hard(self) -> dict[str, Inputs]:
        """Return degenerate inputs, for which a method is defined or raises ``ValueError``."""
        return {}

    def invalid(self) -> dict[str, Inputs]:
        """Return inputs for which every method raises ``ValueError``."""
        return {}


def require(condition: bool, scenario: Scenario, message: str) -> None:
    """Raise with the method and its settings where a condition does not hold.

    Raises:
        ConformanceError: it does not.
    """
    if not condition:
        raise ConformanceError(f"{scenario!r}: {message}")


def normal(generator: torch.Generator, *shape: int, dtype: torch.dtype) -> Tensor:
    """Return random numbers; drawn in float64, so that all precisions see the same."""
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def reordered(inputs: Inputs, names: Mapping[str, int], *, seed: int = 0) -> Inputs:
    """Return inputs with dimension ``names[name]`` of each named tensor in another order, the same for all of one size.

    The order is random, so that it keeps no neighbors together, but for the first item, which moves for sure.
    """
    return inputs | {
        name: inputs[name].index_select(dim, _order(inputs[name].shape[dim], seed))
        for name, dim in names.items()
        if name in inputs
    }


def _order(size: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(size, generator=generator)
    while size > 1 and order[0] == 0:
        order = torch.randperm(size, generator=generator)
    return order


def require_shape(scenario: Scenario, value: Tensor, shape: tuple[int, ...]) -> None:
    """Check the shape of what a method returns.

    Raises:
        AssertionError: it has another one.
    """
    if value.shape != shape:
        raise AssertionError(f"{scenario!r} returned shape {tuple(value.shape)}; expected {shape}")


def as_scalar(scenario: Scenario, value: Tensor) -> Tensor:
    """Return a loss after checking that it is a scalar.

    Raises:
        AssertionError: it is not.
    """
    require_shape(scenario, value, ())
    return value
