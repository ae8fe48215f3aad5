"""Critical-difference diagrams: average ranks over tasks, and which are too close to call (Demšar, 2006)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tlzoo.bench.report.lines import Line
from tlzoo.bench.report.plot import Plot
from tlzoo.bench.report.svg import ACCENT, FAINT, INK, new_figure, style, to_svg
from tlzoo.bench.report.tables import Section, Table
from tlzoo.stats import Ranking, friedman

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["rank_diagrams", "ranking"]

_LEAST_TASKS = 3
_LEAST_METHODS = 3


def ranking(section: Section, table: Table) -> tuple[list[Line], Ranking] | None:
    """Return the ranked lines of a section with Friedman's test, or None.

    Ranking needs at least three methods and three common tasks.
    """
    lines = [line for line in section.lines if line.by_task and not line.oracle and not math.isnan(line.rank)]
    lines = [line for line in lines if not all(math.isnan(value) for value in line.by_task)]
    if len(lines) < _LEAST_METHODS:
        return None
    scores = list(zip(*(line.by_task for line in lines), strict=True))
    found = friedman(scores, better=table.group.better)
    return (lines, found) if found.tasks >= _LEAST_TASKS else None


def rank_diagrams(table: Table) -> Iterator[Plot]:
    """Return a diagram for every section whose methods have ranks."""
    for section in table.sections:
        found = ranking(section, table) if table.task is None else None
        if found is not None:
            lines, ranks = found
            yield Plot(_caption(section, ranks), _diagram([line.label for line in lines], ranks, table, section))


def _caption(section: Section, ranks: Ranking) -> str:
    p = "undefined" if math.isnan(ranks.p_value) else f"{ranks.p_value:.2g}"
    verdict = "" if ranks.p_value <= ranks.level else " (no difference among them can be told)"
    return (
        f"Average ranks over {ranks.tasks} tasks, {section.title}; 1 is best. Bars join what is within the critical "
        f"difference, {ranks.critical_difference:.2f} (Nemenyi, 95 %). Friedman: p = {p}{verdict}."
    )


def _diagram(labels: Sequence[str], ranks: Ranking, table: Table, section: Section) -> str:
    order = sorted(range(len(labels)), key=lambda place: ranks.ranks[place])
    with style():
        figure, axes = new_figure(0.9 + 0.28 * len(labels) + 0.12 * len(ranks.cliques))
        rows = {place: -1.0 - row for row, place in enumerate(order)}
        for place in order:
            rank = ranks.ranks[place]
            color = ACCENT if place == order[0] else INK
            axes.plot([rank, rank], [0, rows[place]], color=FAINT, linewidth=0.8)
            axes.plot(rank, rows[place], "o", color=color, markersize=5)
            axes.annotate(
                f"{labels[place]} ({rank:.2f})",
                (rank, rows[place]),
                xytext=(7, 0),
                textcoords="offset points",
                va="center",
                color=color,
                fontsize=9,
            )
        _bars(axes, ranks, rows)
        axes.set_xlim(1 - 0.1, len(labels) + 0.1)
        axes.set_ylim(-len(labels) - 0.8, 0.6 + 0.35 * len(ranks.cliques))
        axes.set_yticks([])
        axes.set_xlabel("average rank")
        return to_svg(figure, f"ranks {table.title} {section.title}")


def _bars(axes: Axes, ranks: Ranking, rows: dict[int, float]) -> None:
    for level, clique in enumerate(ranks.cliques):
        ends = [ranks.ranks[clique[0]], ranks.ranks[clique[-1]]]
        height = 0.35 * (level + 1)
        axes.plot(ends, [height, height], color=INK, linewidth=3, solid_capstyle="round")
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.plot(1, min(rows.values()), alpha=0)  # the axis begins at the best rank there is
