"""The figure of README, made from the committed results: ``python docs/figures.py``.

Rows are well-known methods of each type, whether they help or not, and the best of each kind of supervision; all rows
are in the tables.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from results import FOLDER, measured_by_today

from tlzoo.bench.report.tables import compared_by
from tlzoo.stats import summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FIGURE", "digest", "draw"]

FIGURE = Path(__file__).parent / "figures" / "five_types.svg"
"""Where the figure lies."""


@dataclass(frozen=True)
class _Panel:
    """Rows of one table of a committed suite; the best row of each kind joins them."""

    title: str
    suite: str
    baselines: tuple[str, ...]
    rows: tuple[str, ...]
    group: str | None = None

    def takes(self, cell: dict[str, Any]) -> bool:
        """Tell whether a cell of the suite is one of the panel's table."""
        return cell.get("group") == self.group


PANELS = (
    _Panel(
        title="adaptation: 4 emoji pairs",
        suite="emoji-adaptation",
        baselines=("linear classifier", "source only", "target only"),
        rows=("DAN", "JAN", "Deep CORAL", "MCC"),
        group="Eight categories",
    ),
    _Panel(
        title="confusion: the same pairs",
        suite="emoji-adaptation",
        baselines=("linear classifier", "source only", "target only"),
        rows=("DANN", "CDAN", "ADDA", "MCD", "MDD"),
        group="Eight categories",
    ),
    _Panel(
        title="multitask: two overlaid digits",
        suite="multidigits",
        baselines=("single task", "fixed (tuned)"),
        rows=("uncertainty weighting", "PCGrad", "CAGrad", "Nash-MTL", "FAMO"),
    ),
    _Panel(
        title="one-shot: 20 new emoji, one shot",
        suite="emoji-oneshot",
        baselines=("nearest centroid", "CL2N, whitened within classes", "logistic regression, whitened within classes"),
        rows=("matching network", "MAML", "SimpleShot CL2N", "TIM"),
        group="20-way, 1-shot",
    ),
    _Panel(
        title="zero-shot: 200 new emoji",
        suite="emoji-zeroshot",
        baselines=("ridge",),
        rows=("ConSE", "DeViSE", "ALE", "ESZSL"),
        group="Zero-shot learning, 200 unseen emoji",
    ),
)


_LEAST_WIDTH = 20.0
"""Points that an axis spans at least: half a point does not look large."""


def draw(path: Path = FIGURE) -> None:
    """Draw the figure: mean accuracy of each row with its 95 % interval."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "tlzoo", "font.size": 9})
    heights = [len(_names(panel)) + 0.5 for panel in PANELS]
    figure = Figure(figsize=(8, 0.27 * sum(heights) + 2))
    axes = figure.subplots(len(PANELS), 1, gridspec_kw={"height_ratios": heights})
    for axis, panel in zip(axes, PANELS, strict=True):
        _draw(axis, panel)
    axes[-1].set_xlabel("accuracy on test data (%); hollow: baselines; squares: see the whole test")
    figure.tight_layout()
    figure.savefig(path, format="svg", metadata={"Date": None, "Description": digest()})


def digest() -> str:
    """Return what the figure's numbers and choices hash to: a figure that says another is not of these results."""
    shown = [[panel.title, _kind(panel), *((row, *_interval(panel, row)) for row in _names(panel))] for panel in PANELS]
    return hashlib.sha256(json.dumps(shown).encode()).hexdigest()


def _draw(axis: Axes, panel: _Panel) -> None:
    names = _names(panel)
    apart = [_is_transductive(panel, name) for name in names]
    places = [place + 0.5 * own for place, own in enumerate(apart)]
    for place, name, whole_test in zip(places, names, apart, strict=True):
        mean, low, high = _interval(panel, name)
        is_baseline = name in panel.baselines
        color = "#555555" if is_baseline else "#a4500b" if whole_test else "#0b62a4"
        axis.plot([low, high], [place, place], color=color, linewidth=2, solid_capstyle="butt")
        shape, face = "s" if whole_test else "o", "white" if is_baseline else color
        axis.plot(mean, place, shape, color=color, markerfacecolor=face, markersize=5)
        axis.annotate(f"{mean:.1f}", (high, place), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8)
    axis.set_yticks(places, names)
    axis.set_ylim(places[-1] + 0.5, -0.5)
    axis.margins(x=0.12)
    low, high = axis.get_xlim()
    missing = max(_LEAST_WIDTH - (high - low), 0) / 2
    axis.set_xlim(low - missing, min(high + missing, 100))
    when = "" if measured_by_today(_cells(panel.suite)) else ", older protocol"
    axis.set_title(f"{panel.title} (95 %, {_kind(panel)}{when})", loc="left", fontsize=9, fontweight="bold")
    axis.grid(axis="x", linewidth=0.4)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(left=False)


@lru_cache
def _file(suite: str) -> dict[str, Any]:
    file: dict[str, Any] = json.loads((FOLDER / f"{suite}.json").read_text("utf-8"))
    return file


def _cells(suite: str) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = _file(suite)["cells"]
    return cells


def _summaries(panel: _Panel) -> dict[str, dict[str, Any]]:
    """Return what the file says of the rows of the panel's table; nothing in files of older versions."""
    tables = (table for table in _file(panel.suite).get("tables", ()) if table["group"] == panel.group)
    return {row["label"]: row for table in tables for row in table["rows"]}


def _table(panel: _Panel) -> dict[str, list[dict[str, Any]]]:
    """Return the cells of each row of the panel's table, one for each task and seed.

    Raises:
        ValueError: a row has two cells of a task and seed: two tables would be averaged.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    for cell in filter(panel.takes, _cells(panel.suite)):
        rows.setdefault(cell["label"], []).append(cell)
    for label, cells in rows.items():
        if len({(cell["task"], cell.get("seed", 0)) for cell in cells}) < len(cells):
            raise ValueError(f"{panel.suite}: {panel.title!r} takes several cells of {label!r} for one task and seed")
    return rows


def _names(panel: _Panel) -> Sequence[str]:
    """Return the labels of rows, baselines first, those that see the whole test last, with the best of each kind."""
    table = _table(panel)
    best: dict[tuple[str, ...], str] = {}
    for label, cells in table.items():
        kind = compared_by(tuple(cells[0]["receipt"]["sees"]))
        if kind not in best or _mean(cells) > _mean(table[best[kind]]):
            best[kind] = label
    if missing := [name for name in (*panel.baselines, *panel.rows) if name not in table]:
        raise ValueError(f"{panel.suite} has no row {missing[0]!r} for the panel {panel.title!r}")
    names = list(dict.fromkeys([*panel.baselines, *panel.rows, *best.values()]))
    return sorted(names, key=lambda name: (name not in panel.baselines, _is_transductive(panel, name)))


def _mean(cells: Sequence[dict[str, Any]]) -> float:
    return math.fsum(cell["metrics"]["test/accuracy"] for cell in cells) / len(cells)


def _is_transductive(panel: _Panel, label: str) -> bool:
    return any("test inputs" in cell["receipt"]["sees"] for cell in _table(panel)[label])


def _by_seed(cells: Sequence[dict[str, Any]]) -> list[float]:
    """Return the mean over tasks of each seed, in percent."""
    found: dict[int, list[float]] = {}
    for cell in cells:
        found.setdefault(cell.get("seed", 0), []).append(100 * cell["metrics"]["test/accuracy"])
    return [math.fsum(figures) / len(figures) for figures in found.values()]


def _kind(panel: _Panel) -> str:
    """Return what the intervals of a panel are over, the same for all its rows."""
    if said := _summaries(panel):
        # rows without a seed have test examples alone, which the longer name holds
        return "over " + max((str(said[name]["over"]) for name in _names(panel)), key=len)
    several = any(len({cell.get("seed", 0) for cell in cells}) > 1 for cells in _table(panel).values())
    return "over seeds" if several else "over episodes"


def _interval(panel: _Panel, label: str) -> tuple[float, float, float]:
    """Return mean, low and high of a row, in percent; without an interval where seeds make no difference."""
    if said := _summaries(panel).get(label):
        return 100 * said["mean"], 100 * said["low"], 100 * said["high"]
    own = _table(panel)[label]
    if _kind(panel) == "over seeds":
        found = summary(_by_seed(own))
        return (found.mean, found.low, found.high) if found.n > 1 else (found.mean, found.mean, found.mean)
    mean, half = 100 * _mean(own), 100 * own[0]["metrics"]["test/interval"]
    return mean, mean - half, mean + half


if __name__ == "__main__":
    draw()
    print(FIGURE.name, "is up to date", file=sys.stderr)
