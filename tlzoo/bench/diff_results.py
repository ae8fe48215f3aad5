"""Differences between two sets of results, such as those of two versions or two machines."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlzoo.bench.cell import canonical
from tlzoo.bench.store import Store
from tlzoo.errors import InputError, MissingFileError

__all__ = ["Difference", "Figures", "difference", "read_figures"]

_RUN = (
    *("kind", "task", "backbone", "method", "settings", "module", "budget", "trainer", "candidates"),
    *("seed", "threads"),
)
"""The fields that make two cells the same run; revisions and the data's checksum may differ."""

Figures = Mapping[str, tuple[Mapping[str, Any], Mapping[str, float]]]
"""Run -> its cell as JSON data, and its metrics."""


@dataclass(frozen=True)
class Difference:
    """Whether two sets of results are the same, with a sentence and the differences."""

    same: bool
    sentence: str
    lines: tuple[str, ...]


def read_figures(path: Path) -> Figures:
    """Return the metrics of a folder of results, or of the file that ``tlzoo bench export --metrics`` writes.

    Figures of a folder are rounded to six significant digits, like those of a file.

    Raises:
        FileNotFoundError: neither is there.
        ValueError: the file is of another kind.
    """
    if path.is_dir():
        store = Store(path)
        records = [store.read(file.stem) for file in sorted(path.glob("*.json")) if "." not in file.stem]
        cells = [(record.cell.to_json(), record.metrics) for record in records if record is not None]
    elif path.is_file():
        try:
            cells = [(cell, _metrics(cell)) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise InputError(f"{path} is no metrics file; tlzoo bench export SUITE --metrics writes one") from None
    else:
        raise MissingFileError(f"no results {path}; give a folder of results or a metrics file")
    return {_run(cell): (cell, {name: _short(value) for name, value in metrics.items()}) for cell, metrics in cells}


def _metrics(cell: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics of a cell of a metrics file.

    Raises:
        ValueError: the cell is no cell, or a metric is no number; likewise other errors.
    """
    names = [cell["task"], cell["method"], cell.get("label") or "", cell.get("backbone") or ""]
    metrics: dict[str, Any] = cell["metrics"]
    numbers = all(value is None or type(value) in (int, float) for value in metrics.values())
    if not numbers or not all(isinstance(name, str) for name in names):
        raise InputError("no cell of a metrics file")
    _run(cell)
    return metrics


def _run(cell: Mapping[str, Any]) -> str:
    # a metrics file leaves out what is empty
    return canonical({name: cell.get(name) or None for name in _RUN})


def _short(value: float | None) -> float:
    return math.nan if value is None else float(f"{value:.6g}")


def difference(old: Figures, new: Figures, *, tolerance: float = 0.0) -> Difference:
    """Return what differs between two sets of results, run by run.

    Args:
        old: figures before.
        new: figures now.
        tolerance: figures that differ by no more are equal.
    """
    both = [run for run in old if run in new]
    lines = [line for run in both for line in _lines(old[run], new[run], tolerance)]
    alone = [f"{_name(old[run][0])}: gone" for run in old if run not in new]
    alone += [f"{_name(new[run][0])}: new" for run in new if run not in old]
    changed = len({line.split(": ")[0] for line in lines})
    counts = f"{len(both)} runs in both, {len(old) - len(both)} only before, {len(new) - len(both)} only now"
    head = f"{changed} of them differ" if lines else "all figures equal" if both else "nothing to hold together"
    return Difference(not lines and not alone, f"{counts}; {head}.", (*lines, *alone))


def _lines(
    old: tuple[Mapping[str, Any], Mapping[str, float]],
    new: tuple[Mapping[str, Any], Mapping[str, float]],
    tolerance: float,
) -> Iterator[str]:
    name = _name(old[0])
    why = [key for key in ("revisions", "task_checksum") if old[0].get(key) != new[0].get(key)]
    reason = f" ({' and '.join(why)} changed)" if why else ""
    for metric in sorted({*old[1], *new[1]}):
        a, b = old[1].get(metric), new[1].get(metric)
        if a is None or b is None:
            yield f"{name}: {metric} {'is new' if a is None else 'is gone'}{reason}"
        elif not (a == b or abs(a - b) <= tolerance or (math.isnan(a) and math.isnan(b))):
            yield f"{name}: {metric} {a:g} -> {b:g} ({b - a:+.4g}){reason}"


def _name(cell: Mapping[str, Any]) -> str:
    where = f"{cell['task']} on {cell['backbone']}" if cell.get("backbone") else cell["task"]
    return f"{cell.get('label') or cell['method']}, {where}, seed {cell.get('seed', 0)}"
