"""Exports results: Parquet for your own analysis, and a compact file to commit."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tlzoo.bench.cell import Cell
from tlzoo.bench.exchange import exchange_of, has_exchange
from tlzoo.bench.plan import Plan
from tlzoo.bench.report.exchange_tables import as_data
from tlzoo.bench.report.summaries import summaries
from tlzoo.bench.report.tables import build_tables
from tlzoo.bench.report.validators import judged
from tlzoo.bench.store import Record, Store
from tlzoo.errors import InputError
from tlzoo.storage import replace_file

__all__ = ["described", "write_metrics", "write_parquet"]

_USUAL = "test/accuracy"
"""Main metric of groups that the file says nothing about."""

_MANIFEST = ("tlzoo", "commit", "python", "platform", "processor", "versions")


def described(plan: Plan, store: Store) -> Iterator[tuple[dict[str, Any], Record]]:
    """Yield every finished cell: what was run, in plain columns, and its record."""
    for group, cells in plan.groups:
        for cell, record in store.finished(cells).items():
            about = {
                **{"hash": cell.hash, "group": group.title},
                **{name: getattr(cell, name) for name in ("kind", "task", "backbone", "method", "label", "seed")},
                **{name: json.dumps(cell.to_json()[name]) for name in ("settings", "module", "budget", "candidates")},
                "sees": "; ".join(record.receipt.get("sees", plan.sees[cell.method])),
                "seconds": record.provenance.get("seconds"),
            }
            yield about, record


def write_parquet(path: Path, plan: Plan, store: Store) -> int:
    """Write one line per cell and metric; return the number of lines."""
    import pandas as pd

    lines = [
        {**about, "metric": name, "value": value}
        for about, record in described(plan, store)
        for name, value in record.metrics.items()
    ]
    buffer = io.BytesIO()
    pd.DataFrame(lines).to_parquet(buffer, index=False)
    replace_file(path, buffer.getvalue())
    return len(lines)


def write_metrics(path: Path, plan: Plan, store: Store) -> int:
    """Write the compact metrics file of a suite, one line per cell; return the number of cells.

    It holds no times, so the same results give the same file; but exchange rates (:mod:`tlzoo.bench.exchange`) say how
    many times as long as the reference a way takes.

    Raises:
        ValueError: cells were computed by a checkout with uncommitted changes: nobody could compute them again.
    """
    records = store.finished(plan.cells)
    _refuse_uncommitted(records)
    titles: dict[str, str] = {}  # of the first group that a cell is in
    for group, cells in plan.groups:
        titles = {cell.hash: group.title for cell in cells} | titles
    manifests = [{name: record.provenance.get(name) for name in _MANIFEST} for record in records.values()]
    unique = [json.loads(text) for text in sorted({json.dumps(each, sort_keys=True) for each in manifests})]
    lines = []
    for cell, record in records.items():
        entry: dict[str, Any] = {
            "hash": cell.hash,
            "group": titles[cell.hash],
            **{key: value for key, value in cell.to_json().items() if key != "root" and value not in ({}, None)},
            "metrics": {name: _short(value) for name, value in sorted(record.metrics.items())},
            "receipt": record.receipt,
        }
        lines.append(json.dumps(entry, sort_keys=True, ensure_ascii=False))
    head: dict[str, Any] = {"suite": plan.suite.name, "question": plan.suite.question, "made_with": unique}
    if metrics := {group.title: group.metric for group, _ in plan.groups if group.metric != _USUAL}:
        head["metrics"] = metrics
    if judgements := _judgements(plan, store):
        head["judgements"] = judgements
    if tables := summaries(build_tables(plan, store)):
        head["tables"] = tables
    if has_exchange(plan) and (rates := as_data(exchange_of(plan, store))):
        head["exchange"] = rates
    opening = json.dumps(head, sort_keys=True, ensure_ascii=False)[:-1]
    body = ",\n".join(lines)
    replace_file(path, f'{opening}, "cells": [\n{body}\n]}}\n'.encode())
    return len(lines)


def _refuse_uncommitted(records: Mapping[Cell, Record]) -> None:
    dirty = [cell for cell, record in records.items() if str(record.provenance.get("commit") or "").endswith("+")]
    if dirty:
        raise InputError(
            f"{len(dirty)} of {len(records)} cells ({dirty[0]} is the first) come from a checkout with uncommitted "
            "changes; commit them and run these cells again: results that are kept must be reproducible"
        )


def _judgements(plan: Plan, store: Store) -> dict[str, list[dict[str, Any]]]:
    """Return how well each label-free validator ranks, by group title."""
    found = {group.title: judged(list(store.finished(cells).values())) for group, cells in plan.groups}
    return {
        title: [
            {name: value if name == "name" else _short(value) for name, value in asdict(each).items()} for each in own
        ]
        for title, own in found.items()
        if own
    }


def _short(value: float) -> float | None:
    """Return six significant digits; None for values that JSON cannot represent."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
