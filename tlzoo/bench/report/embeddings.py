"""Features before and after adaptation, side by side, as stored by cells of one seed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlzoo.bench.report.lines import Line
from tlzoo.bench.report.plot import Plot
from tlzoo.bench.report.svg import CYCLE, new_panels, style, to_svg
from tlzoo.bench.report.tables import Table
from tlzoo.bench.store import Store

__all__ = ["embedding_plots"]

_MOST = 6

Picture = dict[str, NDArray[Any]]


def embedding_plots(table: Table, store: Store) -> Iterator[Plot]:
    """Return the features of the reference beside those of the best methods, at most six, if any are stored.

    The reference of domain groups is trained on the source only: its features are those before adaptation.
    """
    if table.task is None:
        return
    pictures = {line.label: picture for line in table.lines if (picture := _picture(line, store)) is not None}
    shown = [line for line in _chosen(table) if line.label in pictures][:_MOST]
    if len(shown) < 2 or not any(line.label == table.reference for line in shown):
        return
    few = all(int(pictures[line.label]["embedding_class"].max()) < len(CYCLE) for line in shown)
    with style():
        figure, places = new_panels(len(shown))
        for axes, line in zip(places, shown, strict=True):
            axes.set_title(f"{line.label} (before)" if line.label == table.reference else line.label, fontsize=9)
            axes.set_xticks([])
            axes.set_yticks([])
            _draw(axes, pictures[line.label], by_class=few)
        colors = "colors: classes" if few else "colors: source and target"
        caption = (
            f"Features before ({table.reference}) and after adaptation, seed 0: first two principal components of "
            f"source (o) and target (x) data; {colors}."
        )
        yield Plot(caption, to_svg(figure, f"embedding {table.title}"))


def _chosen(table: Table) -> list[Line]:
    """Return the reference, then the others from best to worst, and the oracle last."""
    sign = -1 if table.group.better == "higher" else 1
    lines = [line for line in table.lines if not math.isnan(line.summary.mean)]
    return sorted(lines, key=lambda line: (line.label != table.reference, line.oracle, sign * line.summary.mean))


def _picture(line: Line, store: Store) -> Picture | None:
    for record in line.records:
        found = store.predictions(record.cell) if record.cell.kind == "domain" and record.cell.seed == 0 else {}
        if "embedding" in found:
            return found
    return None


def _draw(axes: Any, picture: Picture, *, by_class: bool) -> None:
    points = picture["embedding"].astype(np.float64)
    for side, marker in enumerate("ox"):
        for group in range(len(CYCLE)) if by_class else (side,):
            own = picture["embedding_side"] == side
            if by_class:
                own &= picture["embedding_class"] == group
            if own.any():
                axes.plot(*points[own].T, marker, color=CYCLE[group], markersize=3, fillstyle="none", linewidth=0)
