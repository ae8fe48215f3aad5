"""The exchange rates of a suite as plain data, to be stored and shown, and as tables of text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tlzoo.bench.exchange import CONFIDENCE, Family
from tlzoo.bench.report.exchange_words import in_words, other_place
from tlzoo.stats import Exchange

__all__ = ["as_data", "currency_line", "rate_lines", "spelled_rate", "spelled_worth"]

_DIGITS = 4


def as_data(families: Sequence[Family]) -> list[dict[str, Any]]:
    """Return the rates as JSON data: numbers outside the curve are ``"<"`` and ``">"``."""
    return [
        {
            "family": family.name,
            "currency": family.currency,
            "shots": family.overall.curve.shots.tolist(),
            "confidence": CONFIDENCE,
            "chance": _short(family.chance),
            **{name: getattr(family, name) for name in ("way", "draws", "tests")},
            "overall": _exchange(family.overall),
            "targets": {target: _exchange(found) for target, found in family.by_target.items()},
            "other_curves": {row: [_short(value) for value in own] for row, own in family.other_curves.items()},
            "sees": dict(family.sees),
            "progress": {
                label: [[_short(value) for value in column] for column in columns]
                for label, columns in family.progress.items()
            },
            "seconds": dict(family.seconds),
        }
        for family in families
    ]


def _exchange(found: Exchange) -> dict[str, Any]:
    return {
        "form": found.form,
        "measured": [_short(value) for value in found.measured.tolist()],
        "low": [_short(value) for value in found.low.tolist()],
        "high": [_short(value) for value in found.high.tolist()],
        "rates": {
            way: {name: _short(value) for name, value in vars(rate).items()} for way, rate in found.rates.items()
        },
    }


def _short(value: float) -> float | str:
    if math.isinf(value):
        return ">" if value > 0 else "<"
    return float(f"{value:.{_DIGITS}g}")


def spelled_worth(worth: float | str, shots: Sequence[int]) -> str:
    """Return a number of labelled examples in words.

    >>> spelled_worth(1.42, [1, 12]), spelled_worth(">", [1, 12]), spelled_worth("<", [1, 12])
    ('1.4', '> 12', '< 1')
    """
    if isinstance(worth, str):
        return f"< {shots[0]}" if worth == "<" else f"> {shots[-1]}"
    return f"{worth:.1f}"


def spelled_rate(rate: Mapping[str, Any], shots: Sequence[int]) -> str:
    """Return what a way is worth with its interval; one of the two where both ends lie outside the same side.

    >>> spelled_rate({"worth": 1.42, "low": "<", "high": 2.1}, [1, 12])
    '1.4 [< 1, 2.1]'
    """
    worth, low, high = (spelled_worth(rate[name], shots) for name in ("worth", "low", "high"))
    return worth if worth == low == high else f"{worth} [{low}, {high}]"


def currency_line(family: Mapping[str, Any]) -> str:
    """Return the sentence that says what the rates of a family are counted in."""
    shots, measured = family["shots"], family["overall"]["measured"]
    points = ", ".join(f"{number}: {100 * value:.1f}" for number, value in zip(shots, measured, strict=True))
    tests, targets, draws = family["tests"], len(family["targets"]), family["draws"]
    of = f" ({targets} targets, {draws} draws of classes each)" if targets * draws == tests and draws > 1 else ""
    return (
        f"{family['way']} classes, {tests} test{'s' if tests > 1 else ''}{of}; the largest class alone has "
        f"{100 * family['chance']:.1f} %. Accuracy (%) by labelled examples a class, {family['currency']}: {points}."
    )


def rate_lines(family: Mapping[str, Any], domain: str | None = None) -> Iterator[tuple[str, ...]]:
    """Yield the header of the table of a family, then one line per way, the best first.

    Args:
        family: see :func:`as_data`.
        domain: what another domain of the data is called; None for what the labels call it.
    """
    shots, targets = family["shots"], family["targets"]
    yield "way", "labelled examples a class", "accuracy (%)", *targets
    rates = family["overall"]["rates"]  # a file has them by name
    domain = domain or other_place(rates)
    for way, rate in sorted(rates.items(), key=lambda pair: -pair[1]["accuracy"]):
        own = (spelled_worth(found["rates"][way]["worth"], shots) for found in targets.values())
        yield in_words(way, domain), spelled_rate(rate, shots), f"{100 * rate['accuracy']:.1f}", *own
