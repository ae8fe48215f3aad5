"""Runs a stored cell again and compares the results."""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tlzoo.bench.cell import SCHEMA_REVISION, Cell
from tlzoo.bench.execution.one_cell import execute, provenance
from tlzoo.bench.planning_cache import Facts
from tlzoo.bench.shared_extensions import changed_code
from tlzoo.bench.store import Record, Store
from tlzoo.errors import InputError

__all__ = ["Reproduction", "find_cell", "reproduce"]

_SAME_MACHINE = ("platform", "processor", "python", "versions")
_TOLERANCE = 0.01
"""Tolerance on other machines, relative to the largest value: processors differ in the order of summation."""


@dataclass(frozen=True)
class Reproduction:
    """Whether a cell matches, with a sentence and the differences."""

    matches: bool
    sentence: str
    differences: tuple[str, ...] = ()


def find_cell(prefix: str, root: Path | None = None) -> tuple[Store, Record]:
    """Return the only finished cell whose hash begins with ``prefix``, and its store.

    Args:
        prefix: beginning of the hash.
        root: folder of results; by default all folders in ``runs/``.

    Raises:
        ValueError: there is no such cell, or there are several.
    """
    if not re.fullmatch("[0-9a-f]{1,16}", prefix):
        raise InputError(f"cell {prefix!r}; expected the beginning of a hash: up to 16 of the digits 0 to 9 and a to f")
    folders = [root] if root is not None else sorted(path for path in Path("runs").glob("*") if path.is_dir())
    stems = {path.stem: folder for folder in folders for path in folder.glob(f"{prefix}*.json") if "." not in path.stem}
    found = [(Store(folder), record) for stem, folder in stems.items() if (record := Store(folder).read(stem))]
    where = ", ".join(map(str, folders)) or "runs/ (which is not here; give --store)"
    if not found:
        raise InputError(f"no finished cell {prefix!r} in {where}; the report lists the hashes of all cells")
    if len(found) > 1:
        hashes = ", ".join(record.cell.hash for _, record in found)
        raise InputError(f"{prefix!r} is a prefix of several cells: {hashes}; give a longer one")
    return found[0]


def reproduce(record: Record, store: Store, protocol: str) -> Reproduction:
    """Run a stored cell again, in this process and in a temporary folder.

    The same machine and versions must give the same bytes; elsewhere values may differ by rounding.

    Raises:
        ValueError: the revision of the code or the data differs from the cell's.
    """
    _check_revisions(record.cell, protocol)
    with tempfile.TemporaryDirectory() as folder:
        fresh = Store(folder)
        error = execute(record.cell, fresh, protocol, lambda _: None)
        again = fresh.read(record.cell)
        if again is None:
            return Reproduction(False, f"It failed this time: {error}")
        strict = not (changed := _changed_surroundings(record.provenance))
        differences = tuple(_differences(record, again, store, fresh, tolerance=0.0 if strict else _TOLERANCE))
        exact = strict or not list(_differences(record, again, store, fresh, tolerance=0.0))
    where = "same machine and versions" if strict else f"{', '.join(changed)} differ"
    if differences:
        return Reproduction(False, f"It does not match ({where}):", differences)
    how = "bit for bit" if exact else f"within {_TOLERANCE:.0%} of the largest figure"
    return Reproduction(True, f"It matches {how} ({where}).")


def _check_revisions(cell: Cell, protocol: str) -> None:
    """Refuse to compare a cell with other code or data."""
    facts = Facts(protocol)
    now = {
        "method": facts.method(cell.method)["revision"],
        "protocol": facts.protocol_of(cell.kind)["revision"],
        "schema": SCHEMA_REVISION,
        "data": facts.task(cell.given_task, cell.root)["checksum"],
    }
    stored: dict[str, Any] = {**cell.revisions, "data": cell.task_checksum}
    changed = [
        f"{name} {stored.get(name)} then, {value} now" for name, value in now.items() if stored.get(name) != value
    ]
    if changed := [*changed, *changed_code(cell)]:
        raise InputError(
            f"cell {cell.hash} cannot be reproduced: {'; '.join(changed)}; check out the commit that made it"
        )


def _changed_surroundings(then: Mapping[str, Any]) -> list[str]:
    now = provenance()
    return [name for name in _SAME_MACHINE if then.get(name) != now.get(name)]


def _differences(old: Record, new: Record, store: Store, fresh: Store, *, tolerance: float) -> Iterator[str]:
    # metrics, curves and predictions that a later version added do not matter
    for name, a in sorted(old.metrics.items()):
        b = new.metrics.get(name)
        if b is None:
            yield f"{name}: gone"
        elif not _equal([a], [b], tolerance):
            yield f"{name}: {a!r} before, {b!r} now"
    for name in sorted(old.curves):
        if not _equal(old.curves.get(name, []), new.curves.get(name, []), tolerance):
            yield f"curve {name} differs"
    before, now = store.predictions(old.cell), fresh.predictions(new.cell)
    for name in sorted(before):
        if name not in now or not _equal(before[name], now[name], tolerance):
            yield f"prediction {name} differs"


def _equal(first: Any, second: Any, tolerance: float) -> bool:
    if np.asarray(first).dtype.kind == "U":  # names of classes
        return np.array_equal(first, second)
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape:
        return False
    largest = float(np.max(np.abs(a), initial=0.0, where=np.isfinite(a)))
    scale = largest if math.isfinite(largest) else 0.0
    return bool(np.isclose(a, b, rtol=0.0, atol=tolerance * scale, equal_nan=True).all())
