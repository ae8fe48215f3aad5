"""Tables of the committed results (benchmarks/results/*.json), grouped by what methods saw."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tlzoo.bench.report.tables import compared_by
from tlzoo.stats import summary

__all__ = ["FOLDER", "results"]

FOLDER = Path(__file__).parent.parent / "benchmarks" / "results"
_METRIC = "test/accuracy"
_TUNED = "†"
_SHAPE = ("way", "shot", "query", "dirichlet", "episodes")
"""Of a budget, what makes another question of it: rows of one table have it in common."""


def results(table: Callable[..., str], folder: Path = FOLDER) -> str:
    """Return one table a suite, task and backbone, or the sentence that there is none.

    Args:
        table: makes a table of a header and rows.
        folder: where ``tlzoo bench export SUITE --metrics`` wrote.
    """
    files = sorted(folder.glob("*.json"))
    if not files:
        return "No results are committed yet; `tlzoo bench run quickstart` makes some in minutes."
    return "\n\n".join(part for file in files for part in _suite(json.loads(file.read_text("utf-8")), table))


def _suite(suite: dict[str, Any], table: Callable[..., str]) -> Iterator[str]:
    yield f"**{suite['suite']}.** {suite['question']} Accuracy on test data, in percent."
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for cell in suite["cells"]:
        budget = cell.get("budget", {})
        shape = "".join(f", {name} {budget[name]}" for name in _SHAPE if name in budget)
        groups.setdefault((cell["task"], cell.get("backbone") or "no backbone", shape), []).append(cell)
    for (task, backbone, shape), cells in groups.items():
        yield f"`{task}` on `{backbone}`{shape}"
        rows = list(_rows(cells))
        yield table(("what methods see", "method", "mean", "95 % interval", "runs"), rows)
        if any(method.endswith(_TUNED) for _, method, *_ in rows):
            yield f"{_TUNED} settings chosen on validation labels"


def _percent(value: float | None) -> float:
    return float("nan") if value is None else 100 * value  # JSON has no NaN


def _rows(cells: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    runs: dict[tuple[str, str], list[float]] = {}
    within: dict[tuple[str, str], float | None] = {}
    for cell in cells:
        seen = tuple(cell["receipt"]["sees"])
        compared = compared_by(seen)
        row = ", ".join(compared) or "nothing", cell["label"] + ("" if compared == seen else f" {_TUNED}")
        runs.setdefault(row, []).append(_percent(cell["metrics"][_METRIC]))
        within[row] = cell["metrics"].get("test/interval")
    before = ""
    for seen, label in sorted(runs, key=lambda key: key[0]):
        found, half = summary(runs[seen, label]), within[seen, label]
        alone = "one run" if half is None else f"± {100 * half:.1f}, within the run"
        interval = f"{found.low:.1f} to {found.high:.1f}" if found.n > 1 else alone
        yield ("" if seen == before else seen), label, f"{found.mean:.1f}", interval, str(found.n)
        before = seen
