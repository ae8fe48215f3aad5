"""Search spaces of settings, declared by methods and suites; every draw is independent.

A draw depends only on the seed, the method, the name of the parameter and the number of the trial. If a method gains a
parameter or a suite gains a method, all other draws stay the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from tlzoo.errors import InputError
from tlzoo.randomness import Stream, numpy_generator
from tlzoo.spelling import nearest

__all__ = ["Choice", "Distribution", "LogUniform", "Space", "Uniform", "described", "draw", "read_distribution"]


@dataclass(frozen=True)
class Uniform:
    """A number between two bounds, uniformly distributed."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not -math.inf < self.low < self.high < math.inf:
            raise InputError(f"uniform from {self.low} to {self.high}; expected two numbers, the lower one first")

    def at(self, share: float) -> float:
        """Return the quantile ``share`` in [0, 1), to six significant digits."""
        return float(f"{self.low + share * (self.high - self.low):.6g}")


@dataclass(frozen=True)
class LogUniform:
    """A positive number between two bounds with a uniformly distributed logarithm, for weights and learning rates.

    >>> LogUniform(0.1, 10.0).at(0.5)
    1.0
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high < math.inf:
            raise InputError(f"log-uniform from {self.low} to {self.high}; expected two numbers > 0, the lower first")

    def at(self, share: float) -> float:
        """Return the quantile ``share`` in [0, 1), to six significant digits."""
        return float(f"{self.low * (self.high / self.low) ** share:.6g}")


@dataclass(frozen=True)
class Choice:
    """One of a few values, all equally likely."""

    options: tuple[Any, ...]

    def __post_init__(self) -> None:
        if len(self.options) < 2:
            raise InputError(f"a choice among {list(self.options)}; expected two options or more")

    def at(self, share: float) -> Any:
        """Return the option at ``share`` in [0, 1)."""
        return self.options[int(share * len(self.options))]


Distribution: TypeAlias = Uniform | LogUniform | Choice


class Space(Mapping[str, Distribution]):
    """An immutable mapping from each setting to its distribution.

    >>> Space(weight=LogUniform(0.1, 10.0))["weight"].at(0.0)
    0.1
    """

    def __init__(self, **distributions: Distribution) -> None:
        self._distributions = distributions

    def __getitem__(self, name: str) -> Distribution:
        return self._distributions[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._distributions)

    def __len__(self) -> int:
        return len(self._distributions)


def draw(distribution: Distribution, *, seed: int, method: str, parameter: str, trial: int) -> Any:
    """Return the value of one parameter in one trial.

    Args:
        distribution: distribution of the parameter.
        seed: seed of the run.
        method: full name of the method.
        parameter: name of the parameter.
        trial: number of the trial, counted from 0.
    """
    return distribution.at(numpy_generator(seed, Stream.SEARCH, method, parameter, trial).random())


def described(distribution: Distribution) -> dict[str, list[Any]]:
    """Return a distribution as plain data; :func:`read_distribution` reads it back."""
    if isinstance(distribution, Choice):
        return {"choice": list(distribution.options)}
    name = "uniform" if isinstance(distribution, Uniform) else "log_uniform"
    return {name: [distribution.low, distribution.high]}


def read_distribution(data: Any) -> Distribution:
    """Return the distribution described by plain data such as ``{"log_uniform": [0.1, 10]}``.

    Raises:
        ValueError: the data describe no distribution.

    >>> read_distribution({"choice": ["a", "b"]}).at(0.5)
    'b'
    """
    if not isinstance(data, Mapping) or len(data) != 1:
        raise InputError(f"distribution {data!r}; expected one of log_uniform, uniform or choice, such as {_EXAMPLE}")
    ((name, values),) = data.items()
    if name not in ("log_uniform", "uniform", "choice"):
        raise InputError(nearest(str(name), ("log_uniform", "uniform", "choice"), kind="distribution"))
    if name == "choice":
        return Choice(tuple(_listed(values, "the options")))
    ends = _listed(values, "two numbers")
    if len(ends) != 2 or not all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in ends):
        raise InputError(f"{name} of {values!r}; expected two numbers, such as {_EXAMPLE}")
    return (Uniform if name == "uniform" else LogUniform)(float(ends[0]), float(ends[1]))


def _listed(values: Any, what: str) -> list[Any]:
    if isinstance(values, list):
        return values
    raise InputError(f"a distribution of {values!r}; expected a list of {what}, such as {_EXAMPLE}")


_EXAMPLE = "{log_uniform: [0.1, 10]}"
