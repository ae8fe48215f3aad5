"""Makes tlzoo/bench/advice.json of the committed results, and judges the advice: python benchmarks/advice.py [--write].

Every task on frozen features is left out in turn; so is, in a second judgement, every task of the same classes.
Accuracies are those of the committed files, measures those of the tasks of today.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tlzoo.bench.advice import Known, measures, recommended
from tlzoo.bench.baselines import Rival, reference
from tlzoo.bench.cell import Cell
from tlzoo.data import load_task
from tlzoo.lit.frozen_features import with_features

ROOT = Path(__file__).parents[1]
OUT = ROOT / "tlzoo" / "bench" / "advice.json"
PAGE = ROOT / "docs" / "advice.md"
BEGIN, END = "<!-- written by benchmarks/advice.py -->", "<!-- end of written part -->"
SUITES = ("emoji-adaptation", "emoji-shifted", "sentiment-adaptation")


def collected(suites: Sequence[str] = SUITES) -> list[tuple[str, Known]]:
    """Return the suite and what is known of every task that a committed suite has on frozen features."""
    found: dict[str, tuple[str, Known]] = {}
    for suite in suites:
        cells = json.loads((ROOT / "benchmarks" / "results" / f"{suite}.json").read_text("utf-8"))["cells"]
        for task in dict.fromkeys(cell["task"] for cell in cells):
            own = [cell for cell in cells if cell["task"] == task]
            found.setdefault(task, (suite, _known(task, own)))
            print(task, file=sys.stderr)
    return list(found.values())


def _known(task: str, cells: Sequence[dict[str, Any]]) -> Known:
    loaded: Any = load_task(task)
    metric = f"test/{loaded.metric}"
    rows: dict[str, list[dict[str, Any]]] = {}
    for cell in cells:
        rows.setdefault(cell["label"], []).append(cell)
    figures = {label: _known_mean(task, label, own, metric) for label, own in rows.items()}
    rivals = [
        Rival(
            Cell(**{name: own[0][name] for name in ("kind", "task", "method", "module") if name in own[0]}),
            _mean(own, f"source/{loaded.metric}"),
            figures[label],
        )
        for label, own in rows.items()
    ]
    place = reference("domain", rivals)
    assert place is not None
    sees = {label: set(own[0]["receipt"]["sees"]) for label, own in rows.items()}
    methods = {
        label: round(figure, 4)
        for label, figure in figures.items()
        if "target inputs" in sees[label] and not {"target labels", "test inputs"} & sees[label]
    }
    found = measures(with_features(loaded, cells[0]["backbone"]))
    rounded = {name: round(value, 4) for name, value in found.items()}
    return Known(task, rounded, round(rivals[place[0]].test, 4), methods)


def _mean(cells: Sequence[dict[str, Any]], metric: str) -> float:
    known = [cell["metrics"][metric] for cell in cells if cell["metrics"].get(metric) is not None]
    return float(np.mean(known)) if known else float("nan")


def _known_mean(task: str, label: str, cells: Sequence[dict[str, Any]], metric: str) -> float:
    found = _mean(cells, metric)
    if np.isnan(found):
        raise SystemExit(f"{label} on {task} has no {metric} in the committed file: run its suite again")
    return found


def judged(tasks: Sequence[tuple[str, Known]], is_left_out: Callable[[Any, Any], bool]) -> dict[str, list[float]]:
    """Return the accuracy on each task of the advice and of its rivals, from the tasks that are not left out."""
    found: dict[str, list[float]] = {
        name: [] for name in ("advice", "always the baseline", "always the best on average", "best of all, known after")
    }
    for own in tasks:
        known = [task for place in tasks if not is_left_out(place, own) for task in [place[1]]]
        task = own[1]
        method, *_ = recommended(task.measures, known)
        shared = set.intersection(*(set(each.methods) for each in known)) & set(task.methods)
        average = max(shared, key=lambda name: float(np.mean([each.methods[name] - each.baseline for each in known])))
        found["advice"].append(task.methods.get(method, task.baseline))
        found["always the baseline"].append(task.baseline)
        found["always the best on average"].append(task.methods[average])
        found["best of all, known after"].append(max(*task.methods.values(), task.baseline))
    return found


def _classes(place: tuple[str, Known]) -> str:
    """Return what tasks of the same classes have in common: the beginning of their names."""
    return place[1].task.partition(":")[0]


def table(tasks: Sequence[tuple[str, Known]]) -> str:
    """Return the Markdown table of both judgements."""
    ways: dict[str, Callable[[Any, Any], bool]] = {
        "one task left out": lambda other, own: other[1].task == own[1].task,
        "its classes left out": lambda other, own: _classes(other) == _classes(own),
    }
    lines = [f"| mean accuracy over {len(tasks)} tasks (%) | {' | '.join(ways)} |", "|---|---:|---:|"]
    results = [judged(tasks, is_left_out) for is_left_out in ways.values()]
    figures = {name: " | ".join(f"{100 * np.mean(each[name]):.1f}" for each in results) for name in results[0]}
    return "\n".join([*lines, *(f"| {name} | {shown} |" for name, shown in figures.items())])


def main() -> None:
    """Print the judgement, or write it and what advice rests on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", nargs="+", default=SUITES)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    tasks = collected(arguments.suites)
    text = table(tasks)
    print(text)
    if arguments.write:
        OUT.write_text(json.dumps({"tasks": [asdict(task) for _, task in tasks]}, indent=1) + "\n", encoding="utf-8")
        before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
