"""How runs are going: small plots of their health, and which of them collapsed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tlzoo.bench.report.lines import Line, mean_curve
from tlzoo.bench.report.plot import Plot
from tlzoo.bench.report.svg import CYCLE, DASHES, FAINT, new_panels, style, to_svg
from tlzoo.bench.report.tables import Table
from tlzoo.bench.store import Record

__all__ = ["COLLAPSED", "collapsed", "health_plots", "is_sign"]

COLLAPSED = 0.1
"""Least spread of answers over classes at the end of a run (:func:`tlzoo.selection.health.prediction_diversity`)."""

_NAMES = {
    "health/domain_accuracy": "accuracy of the discriminator",
    "health/feature_gradient": "gradient at the features",
    "health/a_distance": "proxy A-distance",
    "health/diversity": "spread of answers over classes",
    "health/rank": "effective rank of the features",
}
_CONFLICTS = ("train/cosine_", "train/length_")


def is_sign(name: str) -> bool:
    """Return whether a curve is shown in a small plot here."""
    return name.startswith(("health/", *_CONFLICTS))


def collapsed(record: Record) -> bool:
    """Return whether a run ended with one predicted class for nearly all unlabelled target data."""
    curve = record.curves.get("health/diversity")
    return curve is not None and len(curve) > 0 and curve[-1] < COLLAPSED


def health_plots(table: Table) -> Iterator[Plot]:
    """Return a figure of small plots of the health of runs, and one of the conflicts among tasks."""
    if table.task is None:
        return
    names = list(dict.fromkeys(name for line in table.lines for r in line.records for name in r.curves))
    signs = sorted((n for n in names if n.startswith("health/")), key=lambda n: list(_NAMES).index(n))
    if signs:
        caption = (
            "Health over training, mean over runs. A discriminator at 0.5 is fooled, at 1 it wins; a proxy A-distance "
            f"of 0 says that a linear classifier cannot tell the domains apart; a spread below {COLLAPSED} at the end "
            "is a collapse."
        )
        yield Plot(caption, _panels(table, {name: _NAMES[name] for name in signs}, "health"))
    conflicts = {n: n.removeprefix("train/").replace("_", " ") for n in names if n.startswith(_CONFLICTS)}
    if conflicts:
        caption = "Cosines of task gradients, and their lengths in relation to the mean length, mean over runs."
        yield Plot(caption, _panels(table, conflicts, "conflicts"))


def _panels(table: Table, titles: dict[str, str], what: str) -> str:
    lines = [line for line in table.lines if any(name in r.curves for r in line.records for name in titles)]
    with style():
        figure, places = new_panels(len(titles), legend=len(lines))
        for axes, (name, title) in zip(places, titles.items(), strict=True):
            axes.set_title(title, fontsize=9)
            axes.tick_params(labelsize=8)
            for place, line in enumerate(lines):
                if (curve := mean_curve(line, name)) is not None:
                    axes.plot(*curve, label=line.label, linewidth=1.2, **_look(place, line))
        _shared_legend(figure, lines)
        return to_svg(figure, f"{what} {table.title}")


def _look(place: int, line: Line) -> dict[str, Any]:
    color = FAINT if line.oracle else CYCLE[place % len(CYCLE)]
    return {"color": color, "linestyle": DASHES[(place // len(CYCLE)) % len(DASHES)]}


def _shared_legend(figure: Any, lines: Sequence[Line]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], **_look(place, line)) for place, line in enumerate(lines)]
    figure.legend(
        handles, [line.label for line in lines], loc="outside lower center", ncols=4, frameon=False, fontsize=8
    )
