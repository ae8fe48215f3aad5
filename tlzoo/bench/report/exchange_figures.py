"""Two figures of exchange rates: what each way is worth, and accuracy over labelled examples from each start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tlzoo.bench.report.exchange_tables import spelled_worth

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["in_words", "savings_figure", "worth_figure"]

_WORDS = {
    "class names": "only the names of the classes",
    "class names and keywords": "names and keywords",
    "class names and keywords, and 1 label": "names and keywords, and 1 label",
    "class names and keywords, and another style's labels (tuned logistic)": "names, and another style's labels",
    "another style's labels (tuned logistic)": "another style's labels",
    "source only": "another style's labels (network)",
    "DAN": "… and unlabelled images: adaptation",
    "DANN": "… and unlabelled images: confusion",
    "TENT": "… adapted at test time",
    "another style's labels and a second task": "… and a second task",
    "another style's labels and 1 label": "another style's labels, and 1 label",
    "the same, unlabelled images and 1 label": "… and unlabelled images, and 1 label",
    "six other styles' labels": "six other styles' labels",
    "six other styles' labels and unlabelled images": "… and unlabelled images",
    "larger encoder, 1 label": "a larger encoder, and 1 label",
    "larger encoder, 4 labels": "a larger encoder, and 4 labels",
}
_GROUPS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "words",
        "#b45309",
        ("class names", "class names and keywords", "class names and keywords, and 1 label"),
    ),
    (
        "labels elsewhere",
        "#0b62a4",
        (
            "another style's labels (tuned logistic)",
            "source only",
            "another style's labels and a second task",
            "TENT",
            "DANN",
            "DAN",
            "another style's labels and 1 label",
            "the same, unlabelled images and 1 label",
            "class names and keywords, and another style's labels (tuned logistic)",
            "six other styles' labels",
            "six other styles' labels and unlabelled images",
        ),
    ),
    ("control", "#555555", ("larger encoder, 1 label", "larger encoder, 4 labels")),
)
"""Title, color and rows of each part of the picture."""

_OUT = 0.62
"""How far beyond the ends of the curve, as a factor, what lies outside of it is drawn."""


def in_words(way: str) -> str:
    """Return what a way is called in a picture."""
    return _WORDS.get(way, way)


def worth_figure(family: Mapping[str, Any], *, unit: str = "a class") -> Figure:
    """Draw what each way is worth, with its interval; small dots are the single targets.

    Args:
        family: see :func:`tlzoo.bench.report.exchange_tables.as_data`.
        unit: what the labelled examples are counted by.
    """
    from matplotlib.figure import Figure

    rates, shots = family["overall"]["rates"], family["shots"]
    groups = [(title, color, [way for way in ways if way in rates]) for title, color, ways in _GROUPS]
    if not any(ways for _, _, ways in groups):
        groups = [("", "#0b62a4", list(reversed(rates)))]
    rows = [(way, color) for _, color, ways in groups for way in ways]
    figure = Figure(figsize=(6.0, 0.9 + 0.34 * len(rows)))
    axis = figure.add_subplot()
    for place, (way, color) in enumerate(rows):
        targets = [own["rates"][way]["worth"] for own in family["targets"].values() if way in own["rates"]]
        _draw_row(axis, place, rates[way], targets, shots, color)
    axis.set_yticks(range(len(rows)), [in_words(way) for way, _ in rows])
    edges = [len(ways) for _, _, ways in groups]
    for edge in (sum(edges[: count + 1]) for count in range(len(edges) - 1)):
        axis.axhline(edge - 0.5, color="#cccccc", linewidth=0.8)
    _lay_out(axis, shots, len(rows), unit)
    figure.tight_layout()
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


def _lay_out(axis: Axes, shots: Sequence[int], rows: int, unit: str) -> None:
    first, last = shots[0], shots[-1]
    axis.set_xscale("log")
    axis.set_xlim(first * _OUT * 0.85, last / _OUT / 0.85)
    for low, high in ((0.01, first), (last, 1e4)):
        axis.axvspan(low, high, color="#f1f1f1", zorder=0)
    ticks = [first * _OUT, *shots, last / _OUT]
    axis.set_xticks(ticks, [f"< {first}", *map(str, shots), f"> {last}"], fontsize=10)
    axis.minorticks_off()
    axis.tick_params(axis="y", left=False, labelsize=10.5)
    axis.set_ylim(rows - 0.4, -0.6)
    axis.grid(axis="x", linewidth=0.4)
    axis.set_axisbelow(True)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.set_xlabel(f"is worth this many labelled examples {unit}", fontsize=10.5)
    axis.xaxis.set_label_coords(0.5, -1.6 / (rows + 2))


def savings_figure(family: Mapping[str, Any]) -> Figure:
    """Draw accuracy over labelled examples, from scratch and from each start, and over steps of training."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 6.6))
    over_labels, over_steps = figure.subplots(2, 1)
    _over_labels(over_labels, family)
    _over_steps(over_steps, family)
    figure.tight_layout()
    return figure


def _over_labels(axis: Axes, family: Mapping[str, Any]) -> None:
    overall, shots = family["overall"], family["shots"]
    rates = overall["rates"]
    places = list(range(1, len(shots) + 1))
    axis.fill_between(
        places, *([100 * v for v in overall[end]] for end in ("low", "high")), color="#0b62a4", alpha=0.15
    )
    axis.plot(places, [100 * v for v in overall["measured"]], "o-", color="#0b62a4", label="pretrained features")
    position = {0: 0, **dict(zip(shots, places, strict=True))}
    starts: dict[str, list[tuple[int, float]]] = {}
    for way, rate in rates.items():
        for prefix in ("from scratch", "larger encoder"):
            if way.startswith(f"{prefix}, "):
                starts.setdefault(prefix, []).append((int(way.split()[-2]), rate["accuracy"]))
    for name, way in (
        ("another style's labels", ("source only", "another style's labels and 1 label")),
        ("… and unlabelled images", ("DAN", "the same, unlabelled images and 1 label")),
        ("names and keywords", ("class names and keywords", "class names and keywords, and 1 label")),
    ):
        if all(each in rates for each in way):
            starts[name] = [(count, rates[each]["accuracy"]) for count, each in enumerate(way)]
    colors = ("#999999", "#555555", "#7c3aed", "#be185d", "#b45309")
    for color, (name, points) in zip(colors, starts.items(), strict=False):
        known = sorted(points)
        axis.plot([position[k] for k, _ in known], [100 * v for _, v in known], "s--", color=color, label=name)
    axis.axhline(100 * family["chance"], color="#bbbbbb", linewidth=1, linestyle=":")
    axis.annotate("chance", (len(shots), 100 * family["chance"]), fontsize=9, va="bottom", ha="right", color="#888888")
    axis.set_xticks([0, *places], ["0", *map(str, shots)])
    axis.set_xlabel("labelled examples a class in the target style")
    axis.set_ylabel("accuracy on the test (%)")
    _bare(axis)


def _over_steps(axis: Axes, family: Mapping[str, Any]) -> None:
    for way, color in (
        ("source only", "#7c3aed"),
        ("DAN", "#be185d"),
        ("from scratch, 8 labels", "#999999"),
        ("from scratch, 1 label", "#cccccc"),
    ):
        if way in family["progress"]:
            steps, accuracy = family["progress"][way]
            axis.plot(steps, [100 * value for value in accuracy], "-", color=color, label=in_words(way))
    axis.set_xlabel("steps of training")
    axis.set_ylabel("accuracy on the test (%)")
    _bare(axis)


def _bare(axis: Axes) -> None:
    axis.grid(linewidth=0.4)
    axis.spines[["top", "right"]].set_visible(False)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize=9, frameon=False)
