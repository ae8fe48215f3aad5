"""Plots as inline SVG whose colors follow the page, light or dark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tlzoo.bench.report.critical_difference import rank_diagrams
from tlzoo.bench.report.embeddings import embedding_plots
from tlzoo.bench.report.health import health_plots, is_sign
from tlzoo.bench.report.lines import mean_curve
from tlzoo.bench.report.plot import Plot
from tlzoo.bench.report.svg import ACCENT, CYCLE, DASHES, FAINT, INK, new_figure, style, to_svg
from tlzoo.bench.report.tables import Table
from tlzoo.bench.store import Store

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plots"]


def plots(table: Table, store: Store) -> list[Plot]:
    """Return the plots of a table: means with intervals, ranks, curves, the protocol's own series, features, health."""
    drawn = [_intervals(table), *rank_diagrams(table), *_curves(table), *_series(table)]
    drawn += [*embedding_plots(table, store), *health_plots(table)]
    return [plot for plot in drawn if plot is not None]


def _scaled(value: float, table: Table) -> float:
    return 100 * value if table.group.percent else value


def _axis_name(table: Table) -> str:
    return table.group.metric + (" (%)" if table.group.percent else "")


def _intervals(table: Table) -> Plot | None:
    lines = [line for line in table.lines if not math.isnan(line.summary.mean)]
    if not lines:
        return None
    with style():
        figure, axes = new_figure(0.7 + 0.3 * len(lines))
        for place, line in enumerate(reversed(lines)):
            s = line.summary
            low, high = (s.low, s.high) if s.n > 1 else (s.mean - line.within, s.mean + line.within)
            if s.n == 1 and table.group.percent and 0 <= s.mean <= 1:
                low, high = max(low, 0.0), min(high, 1.0)
            color = FAINT if line.oracle else ACCENT if line.best else INK
            if not math.isnan(low):
                ends = [_scaled(low, table), _scaled(high, table)]
                axes.plot(ends, [place, place], color=color, linewidth=2, solid_capstyle="round")
            axes.plot(_scaled(s.mean, table), place, "o", color=color, markersize=6)
            runs = [_scaled(value, table) for value in line.values.values()]
            if len(runs) > 1:
                axes.plot(runs, [place] * len(runs), "|", color=color, markersize=7, alpha=0.6)
        against = next((line for line in lines if line.label == table.reference), None)
        if against:
            axes.axvline(_scaled(against.summary.mean, table), color=INK, linestyle="--", linewidth=0.8)
        axes.set_yticks(range(len(lines)), [line.label for line in reversed(lines)])
        axes.set_ylim(-0.6, len(lines) - 0.4)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(_axis_name(table))
        ruler = f"; dashed: {table.reference}" if against else ""
        return Plot(f"Mean, 95 % interval and single runs{ruler}.", to_svg(figure, f"interval {table.title}"))


def _curves(table: Table) -> Iterable[Plot]:
    names = list(dict.fromkeys(name for line in table.lines for r in line.records for name in r.curves))
    if table.task is None:
        return
    for name in (name for name in names if name != "step" and not is_sign(name)):
        drawn = [(line, curve) for line in table.lines if (curve := mean_curve(line, name)) is not None]
        with style():
            figure, axes = new_figure(3.2)
            for place, (line, (x, y)) in enumerate(drawn):
                shown = [_scaled(value, table) for value in y] if name == table.group.metric else y
                _draw(axes, place, x, shown, line.label, oracle=line.oracle)
            axes.set_xlabel(
                "step" if any("step" in r.curves for ln in table.lines for r in ln.records) else "checkpoint"
            )
            axes.set_ylabel(_axis_name(table) if name == table.group.metric else name)
            _legend(axes, len(drawn))
            yield Plot(
                f"{name} over training, mean over runs.",
                to_svg(figure, f"curve {name} {table.title}"),
                minor=name.split("/")[0] != table.group.metric.split("/")[0],
            )


def _series(table: Table) -> Iterable[Plot]:
    names = list(dict.fromkeys(name for line in table.lines for r in line.records for name in r.series))
    if table.task is None:
        return
    for name in names:
        with style():
            figure, axes = new_figure(3.2)
            count = 0
            for line in table.lines:
                tables = [record.series[name] for record in line.records if name in record.series]
                for axis, x, column, y in _columns(tables):
                    several = len(tables[0]) > 2
                    _draw(axes, count, x, y, f"{line.label}, {column}" if several else line.label, oracle=line.oracle)
                    count += 1
                    axes.set_xlabel(axis)
                    axes.set_ylabel("" if several else column)
            _legend(axes, count)
            yield Plot(f"{name}.", to_svg(figure, f"series {name} {table.title}"))


def _columns(tables: Sequence[Any]) -> Iterable[tuple[str, list[float], str, list[float]]]:
    """Return (axis name, axis, column name, column) as means over the runs with the axis of the first."""
    if not tables:
        return
    first = tables[0]
    axis, *columns = first
    same = [table for table in tables if table.keys() == first.keys() and table[axis] == first[axis]]
    for column in columns:
        yield axis, first[axis], column, np.mean([table[column] for table in same], axis=0).tolist()


def _draw(axes: Axes, place: int, x: Sequence[float], y: Sequence[float], label: str, *, oracle: bool) -> None:
    color = FAINT if oracle else CYCLE[place % len(CYCLE)]
    dash = DASHES[(place // len(CYCLE)) % len(DASHES)]
    axes.plot(x, y, color=color, linestyle=dash, label=label, marker="o" if len(x) <= 12 else "", markersize=3)


def _legend(axes: Axes, count: int) -> None:
    if 1 < count <= _BESIDE:
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    elif count > _BESIDE:
        figure: Any = axes.figure
        width, height = figure.get_size_inches()
        figure.set_size_inches(width, height + 0.2 * math.ceil(count / _BELOW))
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=_BELOW, frameon=False, fontsize=8)


_BESIDE = 12
"""Number of names that fit beside a plot; more are placed below."""

_BELOW = 3
"""Number of columns of names below a plot."""
