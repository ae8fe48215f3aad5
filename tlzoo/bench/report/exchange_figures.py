"""Two figures of exchange rates: what each way is worth, and accuracy over labelled examples from each start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tlzoo.bench.report.exchange_tables import spelled_worth

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["in_words", "savings_figure", "worth_figure"]

_STYLE = "another style's labels"
_WORDS = {
    "class names": "class names alone",
    "class names and keywords": "names and keywords",
    "class names and keywords, and 1 label": "… and 1 label",
    f"{_STYLE} (tuned logistic)": _STYLE,
    f"class names and keywords, and {_STYLE} (tuned logistic)": "… and names",
    "source only": "… by a network",
    f"{_STYLE}, no second task": "… by a multitask network",
    f"{_STYLE} and a second task": "… and a second task",
    "TENT": "… adapted at test time",
    "DANN": "… and unlabelled, confusion",
    "DAN": "… and unlabelled, adaptation",
    f"{_STYLE} and 1 label": "… and 1 label",
    "the same, unlabelled images and 1 label": "… and unlabelled and 1 label",
    "six other styles' labels": "six styles' labels",
    "six other styles' labels and unlabelled images": "… and unlabelled",
    "larger encoder, 1 label": "1 label, larger encoder",
    "larger encoder, 4 labels": "4 labels, larger encoder",
}
_PARTS = (
    ("#b45309", ("class names", "class names and keywords", "class names and keywords, and 1 label")),
    (
        "#0b62a4",
        (
            f"{_STYLE} (tuned logistic)",
            f"class names and keywords, and {_STYLE} (tuned logistic)",
            f"{_STYLE}, no second task",
            f"{_STYLE} and a second task",
            "source only",
            "TENT",
            "DANN",
            "DAN",
            f"{_STYLE} and 1 label",
            "the same, unlabelled images and 1 label",
        ),
    ),
    ("#6d28d9", ("six other styles' labels", "six other styles' labels and unlabelled images")),
    ("#6b7280", ("larger encoder, 1 label", "larger encoder, 4 labels")),
)
"""Color and rows of each part of the picture: words, another domain, all other domains, the control."""

_OUT = 0.48
"""How far beyond the ends of the curve, as a factor, what lies outside of it is drawn."""


def in_words(way: str) -> str:
    """Return what a way is called in a picture, below the one that it adds to."""
    return _WORDS.get(way.replace("domain", "style"), way).replace("style", "domain" if "domain" in way else "style")


def worth_figure(family: Mapping[str, Any], *, unit: str = "a class") -> Figure:
    """Draw what each way is worth, with its interval; small dots are the single targets.

    Args:
        family: see :func:`tlzoo.bench.report.exchange_tables.as_data`.
        unit: what so many labelled examples are for.
    """
    from matplotlib.figure import Figure

    rates, shots = family["overall"]["rates"], family["shots"]
    renamed = {way.replace("domain", "style"): way for way in rates}  # of tasks of one's own
    parts = [(color, [renamed[way] for way in ways if way in renamed]) for color, ways in _PARTS]
    parts = [(color, ways) for color, ways in parts if ways]
    rows = [(way, color) for color, ways in parts for way in ways]
    figure = Figure(figsize=(5.1, 1.5 + 0.32 * len(rows)))
    axis = figure.add_subplot()
    for place, (way, color) in enumerate(rows):
        targets = [own["rates"][way]["worth"] for own in family["targets"].values() if way in own["rates"]]
        _draw_row(axis, place, rates[way], targets, shots, color)
    axis.set_yticks(range(len(rows)), [in_words(way) for way, _ in rows])
    edge = -0.5
    for _, ways in parts[:-1]:
        edge += len(ways)
        axis.axhline(edge, color="#bbbbbb", linewidth=0.8)
    _lay_out(axis, shots, len(rows))
    figure.text(0.01, 0.99, f"Worth how many labelled examples {unit}?", fontsize=12, weight="bold", va="top")
    several = len(family["targets"]) > 1
    told = f"bar: {100 * family['confidence']:.0f} % interval" + ("; strokes: the single targets" if several else "")
    figure.text(0.01, 0.01, told, fontsize=10, color="#6b7280")
    height = figure.get_figheight()
    figure.tight_layout(rect=(0, 0.22 / height, 1, 1 - 0.38 / height))
    return figure


def _draw_row(
    axis: Axes, place: int, rate: Mapping[str, Any], targets: Sequence[float | str], shots: Sequence[int], color: str
) -> None:
    worth, low, high = (_drawn(rate[name], shots) for name in ("worth", "low", "high"))
    outside = isinstance(rate["worth"], str)
    axis.plot([low, high], [place, place], color=color, linewidth=5, alpha=0.3, solid_capstyle="butt")
    axis.plot([_drawn(each, shots) for each in targets], [place] * len(targets), "|", color=color, markersize=8)
    marker = "o" if not outside else "<" if rate["worth"] == "<" else ">"
    axis.plot(worth, place, marker, color=color, markersize=8)
    axis.annotate(
        spelled_worth(rate["worth"], shots),
        (1.01, place),
        xycoords=("axes fraction", "data"),
        va="center",
        fontsize=10.5,
        fontweight="bold",
        color=color,
        annotation_clip=False,
    )


def _drawn(worth: float | str, shots: Sequence[int]) -> float:
    if isinstance(worth, str):
        return shots[0] * _OUT if worth == "<" else shots[-1] / _OUT
    return worth


def _lay_out(axis: Axes, shots: Sequence[int], rows: int) -> None:
    first, last = shots[0], shots[-1]
    axis.set_xscale("log")
    axis.set_xlim(first * _OUT * 0.85, last / _OUT / 0.85)
    for low, high in ((0.01, first), (last, 1e4)):
        axis.axvspan(low, high, color="#888888", alpha=0.12, linewidth=0, zorder=0)
    axis.set_xticks([first * _OUT, *shots, last / _OUT], ["less", *map(str, shots), "more"], fontsize=10.5)
    axis.minorticks_off()
    axis.tick_params(axis="x", top=True, labeltop=True)
    axis.tick_params(axis="y", left=False, labelsize=11)
    axis.set_ylim(rows - 0.4, -0.6)
    axis.grid(axis="x", linewidth=0.4)
    axis.set_axisbelow(True)
    axis.spines[["top", "right", "left", "bottom"]].set_visible(False)


_STARTS: tuple[tuple[str, str, dict[int, str]], ...] = (
    ("another style's labels", "#0b62a4", {0: "source only", 1: f"{_STYLE} and 1 label"}),
    ("… and unlabelled images", "#be185d", {0: "DAN", 1: "the same, unlabelled images and 1 label"}),
    (
        "names and keywords",
        "#b45309",
        {0: "class names and keywords", 1: "class names and keywords, and 1 label"},
    ),
    ("larger encoder", "#6b7280", {1: "larger encoder, 1 label", 4: "larger encoder, 4 labels"}),
    ("from scratch", "#999999", {k: f"from scratch, {k} label{'s' if k > 1 else ''}" for k in (1, 4, 8)}),
)
"""Name and color of a start, and its ways by number of labelled examples."""


def savings_figure(family: Mapping[str, Any]) -> Figure:
    """Draw accuracy over labelled examples, from scratch and from each start, and over steps of training."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 7.6))
    over_labels, over_steps = figure.subplots(2, 1)
    _over_labels(over_labels, family)
    _over_steps(over_steps, family)
    figure.tight_layout()
    return figure


def _over_labels(axis: Axes, family: Mapping[str, Any]) -> None:
    overall, shots = family["overall"], family["shots"]
    rates = overall["rates"]
    places = list(range(1, len(shots) + 1))
    low, high = ([100 * value for value in overall[end]] for end in ("low", "high"))
    axis.fill_between(places, low, high, color="#15803d", alpha=0.15)
    axis.plot(places, [100 * v for v in overall["measured"]], "o-", color="#15803d", label="pretrained features")
    position = {0: 0, **dict(zip(shots, places, strict=True))}
    for name, color, way_at in _STARTS:
        points = [(k, rates[way]["accuracy"]) for k in position if (way := way_at.get(k)) in rates]
        if len(points) > 1:
            axis.plot([position[k] for k, _ in points], [100 * v for _, v in points], "s--", color=color, label=name)
    axis.axhline(100 * family["chance"], color="#bbbbbb", linewidth=1, linestyle=":")
    axis.annotate("chance", (len(shots), 100 * family["chance"]), fontsize=9, va="bottom", ha="right", color="#888888")
    axis.set_xticks([0, *places], ["0", *map(str, shots)])
    axis.set_xlabel("labelled examples a class in the target style")
    axis.set_ylabel("accuracy on the test (%)")
    _bare(axis)


def _over_steps(axis: Axes, family: Mapping[str, Any]) -> None:
    for way, color, name in (
        ("source only", "#0b62a4", "another style's labels"),
        ("DAN", "#be185d", "… and unlabelled images"),
        (f"{_STYLE} and 1 label", "#15803d", "another style's labels, and 1 label"),
        ("from scratch, 8 labels", "#999999", "from scratch, 8 labels"),
    ):
        if way in family["progress"]:
            steps, accuracy = family["progress"][way]
            axis.plot(steps, [100 * value for value in accuracy], "-", color=color, label=name)
    axis.set_xlabel("steps of training")
    axis.set_ylabel("accuracy on the test (%)")
    axis.set_ylim(bottom=0)
    _bare(axis)


def _bare(axis: Axes) -> None:
    axis.grid(linewidth=0.4)
    axis.spines[["top", "right"]].set_visible(False)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize=9, loc="upper left", bbox_to_anchor=(0, -0.18), ncols=2, frameon=False)
