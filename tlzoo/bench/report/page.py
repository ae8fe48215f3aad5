"""The report of a suite as one static page without network access."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlzoo.bench.exchange import exchange_of, has_exchange
from tlzoo.bench.plan import Plan
from tlzoo.bench.report.auxiliary_tables import build_auxiliary_tables
from tlzoo.bench.report.conclusions import findings
from tlzoo.bench.report.exchange_figures import worth_figure
from tlzoo.bench.report.exchange_tables import as_data, currency_line, rate_lines
from tlzoo.bench.report.per_class import ByClass, by_class
from tlzoo.bench.report.plot import Plot
from tlzoo.bench.report.plots import plots
from tlzoo.bench.report.svg import style, to_svg
from tlzoo.bench.report.table_layout import Layout, layout
from tlzoo.bench.report.tables import Table
from tlzoo.bench.store import Failure, Store
from tlzoo.bench.stored_labels import Labels
from tlzoo.storage import replace_file

__all__ = ["render_page", "write_page"]

_TEMPLATES = Path(__file__).parent.parent / "templates"


@dataclass(frozen=True)
class _Block:
    """A table with its plots and auxiliary tables for the template."""

    anchor: str
    table: Table
    layout: Layout
    plots: list[Plot]
    auxiliary: list[Layout]
    classes: list[ByClass]


def write_page(path: Path, plan: Plan, store: Store, tables: Sequence[Table], *, command: str) -> None:
    """Write :func:`render_page` to a file atomically."""
    replace_file(path, render_page(plan, store, tables, command=command).encode())


def render_page(plan: Plan, store: Store, tables: Sequence[Table], *, command: str) -> str:
    """Return the HTML of a suite's report.

    Args:
        plan: the suite and its cells.
        store: the store with their outcomes.
        tables: from :func:`~tlzoo.bench.report.build_tables`.
        command: the command that reproduces the results.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    found, labels = findings(tables), Labels()
    return environment.get_template("report.html.j2").render(
        suite=plan.suite,
        findings=found,
        blocks=[_block(place, table, store, labels) for place, table in enumerate(tables)],
        exchange=_exchange(plan, store),
        currency_line=currency_line,
        rate_lines=rate_lines,
        links=_links(tables),
        failures=_failures(tables),
        manifest=_manifest(plan, store),
        cells=plan.cells,
        command=command,
        isnan=math.isnan,
    )


def _exchange(plan: Plan, store: Store) -> list[tuple[dict[str, Any], str]]:
    """Return the exchange rates of each family of tasks, with their picture."""
    families = as_data(exchange_of(plan, store)) if has_exchange(plan) else []
    with style():
        return [(family, to_svg(worth_figure(family), family["family"])) for family in families]


def _block(place: int, table: Table, store: Store, labels: Labels) -> _Block:
    return _Block(
        anchor=f"table-{place}",
        table=table,
        layout=layout(table),
        plots=plots(table, store),
        auxiliary=build_auxiliary_tables([table], store),
        classes=by_class(table, store, labels),
    )


def _links(tables: Sequence[Table]) -> list[tuple[str, str]]:
    """Return one link per group, to the first of its tables."""
    first: dict[str, str] = {}
    for place, table in enumerate(tables):
        first.setdefault(table.group.title, f"table-{place}")
    return [(anchor, title) for title, anchor in first.items()]


def _failures(tables: Iterable[Table]) -> list[Failure]:
    every = [failure for table in tables for line in table.lines for failure in line.failures]
    return list({failure.cell.hash: failure for failure in every}.values())


def _manifest(plan: Plan, store: Store) -> list[tuple[str, str]]:
    """Return the provenance of the results; if runs differ, all values."""
    records = list(store.finished(plan.cells).values())
    notes = [record.provenance for record in records]

    def every(key: str) -> str:
        return ", ".join(sorted({str(note[key]) for note in notes if note.get(key) is not None})) or "not recorded"

    versions = [note.get("versions", {}) for note in notes]
    names = sorted({name for each in versions for name in each})
    spelled = [f"{name} {' / '.join(sorted({str(v[name]) for v in versions if name in v}))}" for name in names]
    seconds = sum(float(note.get("seconds", 0.0)) for note in notes)
    return [
        ("suite", f"{plan.suite.name} ({plan.suite.path.name})"),
        ("cells", f"{len(records)} of {len(plan.cells)} finished"),
        ("time in cells", f"{seconds:.0f} s"),
        ("first begun", min((str(note["began"]) for note in notes if "began" in note), default="not recorded")),
        ("tlzoo", every("tlzoo")),
        ("commit", every("commit")),
        ("python", every("python")),
        ("platform", every("platform")),
        ("processor", f"{every('processor')}, {every('cores')} cores"),
        ("versions", ", ".join(spelled) or "not recorded"),
    ]
