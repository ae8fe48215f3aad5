"""Two figures of exchange rates: what each way is worth, and accuracy over labelled examples from each start."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tlzoo.bench.report.exchange_tables import spelled_worth
from tlzoo.bench.report.exchange_words import STYLE, blocks_of, examples_used, other_place

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["savings_figure", "worth_figure"]

_OUT = 0.5
"""How far beyond the ends of the curve, as a factor, what lies outside of it is drawn."""

_LEFT, _RIGHT = 0.425, 0.8
"""Edges of the axis, as shares of the figure's width: names stand to the left of it and numbers to the right."""

_MUTED = "#6b7280"


def worth_figure(family: Mapping[str, Any], *, unit: str = "a class") -> Figure:
    """Draw what each way is worth, with its interval; short strokes are the single targets.

    Args:
        family: see :func:`tlzoo.bench.report.exchange_tables.as_data`.
        unit: what so many labelled examples are for.
    """
    from matplotlib.figure import Figure

    rates, shots = family["overall"]["rates"], family["shots"]
    blocks = list(blocks_of(rates, other_place(rates)))
    count = sum(1 + len(rows) for _, _, rows in blocks)
    height = 2.1 + 0.285 * count
    figure = Figure(figsize=(6.2, height))
    axis = figure.add_axes((_LEFT, 1.21 / height, _RIGHT - _LEFT, 1 - 1.98 / height))
    place = 0
    for heading, color, rows in blocks:
        _write(axis, place, heading, 0.01, color=color, weight="bold")
        if place:
            axis.axhline(place - 0.55, xmin=-_LEFT, color="#dddddd", linewidth=0.8)
        for way, name in rows:
            place += 1
            _write(axis, place, name, 0.03, color="#111827")
            targets = [own["rates"][way]["worth"] for own in family["targets"].values() if way in own["rates"]]
            _draw_row(axis, place, way, rates[way], targets, shots, color)
        place += 1
    _lay_out(axis, shots, count)
    figure.text(
        0.01, 1 - 0.05 / height, f"Worth how many labelled examples {unit}?", fontsize=12.5, weight="bold", va="top"
    )
    figure.text(0.01, 1 - 0.34 / height, _subject(family), fontsize=10, color=_MUTED, va="top")
    figure.text(0.01, 0.05 / height, _legend(family), fontsize=9, color=_MUTED, va="bottom", linespacing=1.35)
    return figure


def _subject(family: Mapping[str, Any]) -> str:
    targets = list(family["targets"])
    of = f" in {len(targets)} targets: {', '.join(targets)}" if targets else ""
    return f"{family['family'].replace('/', ', ')}: {family['way']} classes{of}"


def _legend(family: Mapping[str, Any]) -> str:
    several = len(family["targets"]) > 1
    bar = f"bar: {100 * family['confidence']:.0f} % interval for {'these targets' if several else 'this target'}"
    dot = f"dot: as good as so many labels{', all targets together' if several else ''}"
    strokes = "strokes: the single targets, which may overlap\n" if several else ""
    ring = "ring: target labels that the row itself uses, to be taken off"
    return f"{dot}\n{bar}; +: added to the first row of the block\n{strokes}{ring}\ntriangle: no better than one label"


def _write(axis: Axes, place: int, text: str, left: float, **style: Any) -> None:
    """Write a name beside a row, ``left`` of the figure's width from its edge."""
    axis.annotate(
        text,
        ((left - _LEFT) / (_RIGHT - _LEFT), place),
        xycoords=("axes fraction", "data"),
        va="center",
        fontsize=10.5,
        annotation_clip=False,
        **style,
    )


def _draw_row(
    axis: Axes,
    place: int,
    way: str,
    rate: Mapping[str, Any],
    targets: Sequence[float | str],
    shots: Sequence[int],
    color: str,
) -> None:
    worth, low, high = (_drawn(rate[name], shots) for name in ("worth", "low", "high"))
    outside = isinstance(rate["worth"], str)
    axis.plot([low, high], [place, place], color=color, linewidth=6, alpha=0.28, solid_capstyle="butt")
    strokes = [_drawn(each, shots) for each in targets]
    axis.plot(strokes, [place] * len(targets), "|", color=color, markersize=12, markeredgewidth=1.1)
    marker = "o" if not outside else "<" if rate["worth"] == "<" else ">"
    axis.plot(worth, place, marker, color=color, markersize=7)
    if used := examples_used(way):
        axis.plot([used, worth], [place, place], ":", color=color, linewidth=1.2, zorder=1.5)
        _note_saving(axis, place, rate["worth"], used)
        axis.plot(used, place, "o", markerfacecolor="white", markeredgecolor=color, markersize=6, zorder=2.5)
    axis.annotate(
        spelled_worth(rate["worth"], shots),
        (1.02, place),
        xycoords=("axes fraction", "data"),
        va="center_baseline",
        fontsize=10.5,
        fontweight="bold",
        color=color,
        annotation_clip=False,
    )


def _note_saving(axis: Axes, place: int, worth: float | str, used: int) -> None:
    """Write what a row saves beyond the labelled examples that it uses itself."""
    saved = 0.0 if worth == "<" else worth - used if not isinstance(worth, str) else math.inf
    told = "more" if saved == math.inf else f"saves {max(saved, 0):.1f}"
    where = (1.19, place)
    fraction = ("axes fraction", "data")
    axis.annotate(
        told, where, xycoords=fraction, va="center_baseline", fontsize=8.5, color=_MUTED, annotation_clip=False
    )


def _drawn(worth: float | str, shots: Sequence[int]) -> float:
    if isinstance(worth, str):
        return shots[0] * _OUT if worth == "<" else shots[-1] / _OUT
    return worth


def _lay_out(axis: Axes, shots: Sequence[int], rows: int) -> None:
    first, last = shots[0], shots[-1]
    axis.set_xscale("log")
    axis.set_xlim(first * _OUT * 0.8, last / _OUT / 0.8)
    for low, high in ((0.01, first), (last, 1e4)):
        axis.axvspan(low, high, color="#888888", alpha=0.12, linewidth=0, zorder=0)
    numbers = [shot for shot in shots if shot in (1, 2, 4, 8) or shot == last]
    numbers = [shot for shot in numbers if shot == last or last / shot > 1.3]
    axis.set_xticks([first * _OUT, *numbers, last / _OUT], ["less", *map(str, numbers), "more"], fontsize=10.5)
    axis.minorticks_off()
    axis.tick_params(axis="x", top=True, labeltop=True, length=0)
    axis.set_yticks([])
    axis.set_ylim(rows - 0.4, -0.6)
    axis.grid(axis="x", linewidth=0.4)
    axis.set_axisbelow(True)
    axis.spines[["top", "right", "left", "bottom"]].set_visible(False)


_LINES: tuple[tuple[str, str, dict[int, str]], ...] = (
    ("one other style, network", "#0b62a4", {0: "source only", 1: f"{STYLE} and 1 label"}),
    ("the same + unlabelled (DAN)", "#be185d", {0: "DAN", 1: "the same, unlabelled images and 1 label"}),
    ("names and keywords", "#b45309", {0: "class names and keywords", 1: "class names and keywords, and 1 label"}),
    ("from scratch", "#9ca3af", {k: f"from scratch, {k} label{'s' if k > 1 else ''}" for k in (1, 4, 8)}),
)
"""Name and color of a start, and its ways by number of labelled examples."""

_LARGER = {1: "larger encoder, whitened, 1 label", 4: "larger encoder, whitened, 4 labels"}


def savings_figure(family: Mapping[str, Any]) -> Figure:
    """Draw accuracy over labelled examples, from scratch and from each start, and over steps of training."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 8.6))
    over_labels, over_steps = figure.subplots(2, 1)
    _over_labels(over_labels, family)
    _over_steps(over_steps, family)
    figure.tight_layout(h_pad=2)
    return figure


def _over_labels(axis: Axes, family: Mapping[str, Any]) -> None:
    overall, shots = family["overall"], family["shots"]
    rates = overall["rates"]
    low, high = ([100 * value for value in overall[end]] for end in ("low", "high"))
    band = f"its {100 * family['confidence']:.0f} % interval"
    axis.plot(shots, [100 * v for v in overall["measured"]], "o-", color="#15803d", label="labelled examples alone")
    axis.fill_between(shots, low, high, color="#15803d", alpha=0.13, linewidth=0, label=band)
    for name, color, way_at in _LINES:
        points = [(k, rates[way]["accuracy"]) for k, way in way_at.items() if way in rates]
        if len(points) > 1:
            axis.plot([k for k, _ in points], [100 * v for _, v in points], "s--", color=color, label=name)
    larger = [(k, 100 * rates[way]["accuracy"]) for k, way in _LARGER.items() if way in rates]
    if larger:
        axis.plot(*zip(*larger, strict=True), "D", color="#111827", markerfacecolor="none", label="larger encoder")
    _mark_saving(axis, rates.get("source only"))
    axis.axhline(100 * family["chance"], color="#bbbbbb", linewidth=1, linestyle=":")
    axis.annotate(
        "largest class alone", (shots[-1], 100 * family["chance"]), fontsize=9, va="bottom", ha="right", color="#888888"
    )
    axis.set_xticks([0, *shots])
    axis.set_title(
        "Labels saved: accuracy by labelled examples of the target", fontsize=10.5, loc="left", weight="bold"
    )
    axis.set_xlabel("labelled examples a class in the target style")
    _bare(axis)


def _mark_saving(axis: Axes, rate: Mapping[str, Any] | None) -> None:
    """Draw from a way without labelled examples to the place of the curve that is as high."""
    if rate is None or isinstance(rate["worth"], str):
        return
    level = 100 * rate["accuracy"]
    arrow = {"arrowstyle": "<->", "color": "#0b62a4", "linewidth": 1, "shrinkA": 4, "shrinkB": 0}
    axis.annotate("", (rate["worth"], level), (0, level), arrowprops=arrow)
    axis.annotate(
        f"{rate['worth']:.1f} saved", (rate["worth"] + 0.15, level - 0.5), fontsize=9, color="#0b62a4", va="top"
    )


def _over_steps(axis: Axes, family: Mapping[str, Any]) -> None:
    for way, color, name in (
        ("source only", "#0b62a4", "one other style, network"),
        ("DAN", "#be185d", "the same + unlabelled (DAN)"),
        (f"{STYLE} and 1 label", "#0b62a4", "the same + 1 example"),
        ("from scratch, 8 labels", "#9ca3af", "from scratch, 8 examples"),
    ):
        if way in family["progress"]:
            steps, accuracy = family["progress"][way]
            line = "o--" if name == "the same + 1 example" else "o-"
            axis.plot(steps, [100 * value for value in accuracy], line, markersize=4, color=color, label=name)
    axis.set_title("Training saved: accuracy by steps", fontsize=10.5, loc="left", weight="bold")
    axis.set_xlabel("steps of training")
    axis.set_ylim(bottom=0)
    _bare(axis)


def _bare(axis: Axes) -> None:
    axis.set_ylabel("accuracy on the test (%)")
    axis.grid(linewidth=0.4)
    axis.spines[["top", "right"]].set_visible(False)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize=9, loc="upper left", bbox_to_anchor=(-0.08, -0.16), ncols=2, frameon=False)
