"""A method with small random data of its family, so that a check runs on all kinds of methods."""

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
"""The widths for checking methods; settings in ``variants`` must fit them."""

Inputs = dict[str, Tensor]


class ConformanceError(AssertionError):
    """A method lacks a property that every method must have."""


class Subject(nn.Module):
    """A method that is ready to run, with its networks."""

    def __init__(self, method: Method, **networks: nn.Module | None) -> None:
        super().__init__()
        self.method: Any = method  # its functions depend on its kind
        self.networks = nn.ModuleDict({name: network for name, network in networks.items() if network is not None})


class Scenario(ABC):
    """How to build and run methods of one kind.

    Args:
        cls: the method's class.
        settings: one of its ``variants``.

    Attributes:
        watched: inputs in which NaN or Inf must be reported, and the name of their second row in the report.
        positional: constructor arguments that need no keyword.
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
        """Return the widths that the constructor takes, and the settings."""
        taken = inspect.signature(self.cls).parameters
        return {name: width for name, width in SHAPE.items() if name in taken} | self.settings

    def build(self, *, seed: int = 0, dtype: torch.dtype = torch.float64, ready: bool = True) -> Subject:
        """Return the method with its networks for ``seed``; with ``ready``, after preparation such as a fit."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            subject = self.assemble(self.create()).to(dtype)
            if ready:
                self.make_ready(subject, self.inputs(seed=seed, dtype=dtype, fit=True))
        return subject

    def assemble(self, method: Method) -> Subject:
        """Combine the method with its networks."""
        return Subject(method)

    def make_ready(self, subject: Subject, inputs: Inputs) -> None:  # noqa: B027 - most kinds need nothing
        """Prepare the method for use, with inputs that were made with ``fit``."""

    @abstractmethod
    def inputs(self, *, seed: int = 1, dtype: torch.dtype = torch.float64, fit: bool = False) -> Inputs:
        """Return random inputs by name; with ``fit``, also those from which :meth:`loss` first prepares a copy."""

    @abstractmethod
    def loss(self, subject: Subject, inputs: Inputs) -> Tensor:
        """Return the scalar training loss."""

    def reached(self, subject: Subject, inputs: Inputs) -> list[Tensor]:
        """Return the tensors of which at least one must get a gradient."""
        return []

    def permuted(self, inputs: Inputs) -> Inputs:
        """Return the inputs with the items of every batch in another order."""
        return inputs

    def hard(self) -> dict[str, Inputs]:
        """Return degenerate inputs, for which a method gives a result or raises ``ValueError``."""
        return {}

    def invalid(self) -> dict[str, Inputs]:
        """Return inputs for which every method raises ``ValueError``."""
        return {}


def require(condition: bool, scenario: Scenario, message: str) -> None:
    """Require a condition; the error names the method and its settings.

    Raises:
        ConformanceError: the condition does not hold.
    """
    if not condition:
        raise ConformanceError(f"{scenario!r}: {message}")


def normal(generator: torch.Generator, *shape: int, dtype: torch.dtype) -> Tensor:
    """Return random numbers, drawn in float64 so that all precisions get the same."""
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def reordered(inputs: Inputs, names: Mapping[str, int], *, seed: int = 0) -> Inputs:
    """Return inputs with dimension ``names[name]`` of each named tensor permuted, the same way for tensors of one size.

    The order is random, so neighbors do not stay together, and the first item always moves.
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
        AssertionError: the shape is wrong.
    """
    if value.shape != shape:
        raise AssertionError(f"{scenario!r} returned shape {tuple(value.shape)}; expected {shape}")


def as_scalar(scenario: Scenario, value: Tensor) -> Tensor:
    """Return a loss after checking that it is a scalar.

    Raises:
        AssertionError: it is not a scalar.
    """
    require_shape(scenario, value, ())
    return value
