"""Delta-m: what a multitask network gains or loses over single-task ones, in percent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["DeltaM", "Measured", "delta_m"]

Variant = Literal["nash_mtl", "libmtl"]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One metric of one task, of the multitask network and of its single-task base."""

    value: float
    base: float
    higher_is_better: bool = True

    @property
    def relative(self) -> float:
        """(M - B) / |B| in percent; NaN where the base is 0."""
        return 100 * (self.value - self.base) / abs(self.base) if self.base else math.nan


@dataclass(frozen=True, kw_only=True)
class DeltaM:
    """The figure with all that is needed to read it.

    Attributes:
        value: in percent.
        variant: ``"nash_mtl"``: mean over all metrics, lower is better. ``"libmtl"``: mean within each task first,
            higher is better.
        metrics: task -> metric -> what was compared.
    """

    value: float
    variant: Variant
    metrics: Mapping[str, Mapping[str, Measured]]

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger figure is a better one."""
        return self.variant == "libmtl"


def delta_m(metrics: Mapping[str, Mapping[str, Measured]], *, variant: Variant = "libmtl") -> DeltaM:
    """Return the mean relative change over tasks, in one of the two variants in use.

    ``"nash_mtl"``: mean over all K metrics of (-1)^higher_is_better (M - B) / B * 100, so that a drop of the error is
    negative (Maninis et al. 2019 as Navon et al. 2022 report it, https://arxiv.org/abs/2202.01017). ``"libmtl"``: the
    opposite sign, averaged within a task before over tasks, so that a task of many metrics counts once
    (https://arxiv.org/abs/2203.14338).

    Args:
        metrics: task -> metric -> :class:`Measured`.
        variant: which of the two.

    Raises:
        ValueError: no metric, or an unknown variant.

    >>> accuracy, error = Measured(value=0.9, base=0.8), Measured(value=2.2, base=2.0, higher_is_better=False)
    >>> round(delta_m({"a": {"accuracy": accuracy}, "b": {"error": error}}).value, 6)
    1.25
    """
    if variant not in ("nash_mtl", "libmtl"):
        raise ValueError(f"unknown variant {variant!r}; expected nash_mtl or libmtl")
    if not metrics or not all(metrics.values()):
        raise ValueError(f"metrics of {len(metrics)} tasks; expected a task or more, each with a metric or more")
    gains = [[m.relative if m.higher_is_better else -m.relative for m in own.values()] for own in metrics.values()]
    if variant == "libmtl":
        value = _mean([_mean(own) for own in gains])
    else:
        value = -_mean([gain for own in gains for gain in own])
    return DeltaM(value=value, variant=variant, metrics=metrics)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
