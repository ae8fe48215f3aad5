"""Delta-m: the gain or loss of a multitask network over single-task networks, in percent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["DeltaM", "Measured", "delta_m"]

Variant = Literal["nash_mtl", "libmtl"]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One metric of one task, for the multitask network and its single-task base."""

    value: float
    base: float
    higher_is_better: bool = True

    @property
    def relative(self) -> float:
        """The relative change (M - B) / |B| in percent; NaN if the base is 0."""
        return 100 * (self.value - self.base) / abs(self.base) if self.base else math.nan


@dataclass(frozen=True, kw_only=True)
class DeltaM:
    """Delta-m with everything needed to interpret it.

    Attributes:
        value: in percent.
        variant: ``"nash_mtl"``: mean over all metrics, lower is better. ``"libmtl"``: mean within each task first,
            higher is better.
        metrics: task -> metric -> the two values compared.
    """

    value: float
    variant: Variant
    metrics: Mapping[str, Mapping[str, Measured]]

    @property
    def higher_is_better(self) -> bool:
        """Whether higher is better."""
        return self.variant == "libmtl"


def delta_m(metrics: Mapping[str, Mapping[str, Measured]], *, variant: Variant = "libmtl") -> DeltaM:
    r"""Return the mean relative change over tasks, in one of the two common variants.

    ``"nash_mtl"`` averages over all K metrics, with l = 1 for metrics where higher is better and 0 for the others, so a
    lower error counts as negative (Maninis et al. 2019, as reported by Navon et al. 2022,
    https://arxiv.org/abs/2202.01017):

    .. math:: \Delta_m = \frac{100}{K} \sum_{k=1}^{K} (-1)^{l_k} \frac{M_k - B_k}{|B_k|}

    ``"libmtl"`` has the opposite sign and averages within each task before it averages over tasks, so a task with many
    metrics counts once (https://arxiv.org/abs/2203.14338).

    Args:
        metrics: task -> metric -> :class:`Measured`.
        variant: which of the two.

    Raises:
        ValueError: there is no metric, or the variant is unknown.

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
