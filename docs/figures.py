"""The figure of README, made from the committed results: ``python docs/figures.py``.

Rows are well-known methods of each type, whether they help or not; all rows are in the tables.
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

from results import FOLDER

from tlzoo.stats import summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FIGURE", "digest", "draw"]

FIGURE = Path(__file__).parent / "figures" / "five_types.svg"
"""Where the figure lies."""


@dataclass(frozen=True)
class _Panel:
    """Rows of one committed suite, baselines first, in a group or at a way of its episodes where it has several."""

    title: str
    suite: str
    baselines: tuple[str, ...]
    rows: tuple[str, ...]
    group: str | None = None
    way: int | None = None

    def takes(self, cell: dict[str, Any]) -> bool:
        """Tell whether a cell of the suite is one of the panel's."""
        fits = cell["label"] in (*self.baselines, *self.rows) and cell.get("group") == self.group
        return fits and self.way in (None, cell["budget"].get("way"))


PANELS = (
    _Panel(
        title="adaptation: 6 pairs of emoji vendors",
        suite="emoji-adaptation",
        baselines=("source only", "target only"),
        rows=("DAN", "JAN", "Deep CORAL", "MCC"),
        group="Eight categories",
    ),
    _Panel(
        title="confusion: the same pairs",
        suite="emoji-adaptation",
        baselines=("source only", "target only"),
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
        title="one-shot: 20 new emoji, one example each",
        suite="emoji-oneshot",
        baselines=("nearest centroid",),
        rows=("matching network", "MAML", "SimpleShot CL2N", "TIM"),
        way=20,
    ),
    _Panel(
        title="zero-shot: 200 new emoji, no example",
        suite="emoji-zeroshot",
        baselines=("ridge",),
        rows=("ConSE", "DeViSE", "ALE", "ESZSL"),
    ),
)


def draw(path: Path = FIGURE) -> None:
    """Draw the figure: mean accuracy of each row with its 95 % interval."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "tlzoo", "font.size": 9})
    heights = [len(panel.baselines) + len(panel.rows) for panel in PANELS]
    figure = Figure(figsize=(8, 8.6))
    axes = figure.subplots(len(PANELS), 1, gridspec_kw={"height_ratios": heights})
    for axis, panel in zip(axes, PANELS, strict=True):
        _draw(axis, panel)
    axes[-1].set_xlabel("accuracy on test data (%), mean and 95 % interval; baselines hollow")
    figure.tight_layout()
    figure.savefig(path, format="svg", metadata={"Date": None, "Description": digest()})


def digest() -> str:
    """Return what the figure's numbers and choices hash to: a figure that says another is not of these results."""
    shown = [[panel.title, *((row, *_interval(panel, row)) for row in _names(panel))] for panel in PANELS]
    return hashlib.sha256(json.dumps(shown).encode()).hexdigest()


def _draw(axis: Axes, panel: _Panel) -> None:
    names = _names(panel)
    for place, name in enumerate(names):
        mean, low, high = _interval(panel, name)
        is_baseline = name in panel.baselines
        color = "#555555" if is_baseline else "#0b62a4"
        axis.plot([low, high], [place, place], color=color, linewidth=2, solid_capstyle="butt")
        axis.plot(mean, place, "o", color=color, markerfacecolor="white" if is_baseline else color, markersize=5)
        axis.annotate(f"{mean:.1f}", (high, place), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8)
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.margins(x=0.12)
    axis.set_title(panel.title, loc="left", fontsize=9, fontweight="bold")
    axis.grid(axis="x", linewidth=0.4)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(left=False)


@lru_cache
def _cells(suite: str) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads((FOLDER / f"{suite}.json").read_text("utf-8"))["cells"]
    return cells


def _names(panel: _Panel) -> Sequence[str]:
    return [*panel.baselines, *panel.rows]


def _interval(panel: _Panel, label: str) -> tuple[float, float, float]:
    """Return mean, low and high of a row, in percent: over seeds; within a run where seeds make no difference."""
    own = [cell for cell in _cells(panel.suite) if panel.takes(cell) and cell["label"] == label]
    if not own:
        raise ValueError(f"{panel.suite} has no row {label!r} for the panel {panel.title!r}")
    by_seed: dict[int, list[float]] = {}
    for cell in own:
        by_seed.setdefault(cell.get("seed", 0), []).append(100 * cell["metrics"]["test/accuracy"])
    found = summary([math.fsum(figures) / len(figures) for figures in by_seed.values()])
    if found.n > 1 and found.low < found.high:
        return found.mean, found.low, found.high
    half = 100 * own[0]["metrics"]["test/interval"]
    return found.mean, found.mean - half, found.mean + half


if __name__ == "__main__":
    draw()
    print(FIGURE.name, "is up to date", file=sys.stderr)
