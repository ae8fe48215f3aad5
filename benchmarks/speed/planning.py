"""How long a finished suite takes to plan and report, and what memory: python benchmarks/speed/planning.py [--cells N].

Fills a store with made-up results of N cells (5,000), then runs, in a process of its own, what ``tlzoo bench run`` does
before it knows that nothing is missing, and what ``tlzoo bench report`` does.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tlzoo.bench import Outcome
from tlzoo.bench.plan import Plan, make_plan
from tlzoo.bench.store import Store
from tlzoo.bench.suite_reader import load_suite

METHODS = ("source_only", "target_only", "dan", "deep_coral", "mcc", "bnm", "dann", "cdan", "mdd", "jan")
PAIRS = ("google->twitter", "google->windows", "apple->samsung", "twitter->apple", "windows->google")


def suite(cells: int) -> str:
    """Return a suite of that many cells."""
    return f"""\
suite: planning
seeds: {cells // (len(METHODS) * len(PAIRS))}
groups:
  - title: Planning
    kind: domain
    tasks: [{", ".join(f'"emoji/category:{pair}"' for pair in PAIRS)}]
    backbones: [efficientnet_lite0]
    budget: {{steps: 400, batch_size: 36}}
    module: {{frozen: true}}
    methods: [{", ".join(METHODS)}]
"""


def fill(plan: Plan, store: Store) -> None:
    """Store made-up outcomes of the size of real ones."""
    random = np.random.default_rng(0)
    os.fsync = lambda _: None  # type: ignore[assignment]  # made-up results need not survive a power cut
    for cell in plan.cells:
        curve = random.uniform(size=10).tolist()
        outcome = Outcome(
            metrics={"test/accuracy": curve[-1], "oracle/accuracy": max(curve), "source/accuracy": 0.5},
            curves=dict.fromkeys(("step", "test", "source", "validation/snd", "validation/entropy"), curve),
            receipt={"sees": plan.sees[cell.method], "declared": True},
            predictions={"logits": random.normal(size=(200, 8))},
        )
        store.write(cell, outcome, {"seconds": 10.0, "processor": "made up"})


def measure(path: str, root: str, what: str) -> dict[str, Any]:
    """Return seconds of CPU and the peak memory of this process, in MB, of planning or reporting."""
    begun = time.process_time()
    plan, store = make_plan(load_suite(path)), Store(root)
    finished = len(store.finished(plan.cells))
    if what == "report":
        from tlzoo.bench.report import build_auxiliary_tables, build_tables, render

        tables = build_tables(plan, store)
        render(tables, "markdown", build_auxiliary_tables(tables, store))
    seconds = time.process_time() - begun
    return {
        "cells": len(plan.cells),
        "finished": finished,
        "seconds": seconds,
        "torch": "torch" in sys.modules,
        "megabytes": peak_megabytes(),
    }


def peak_megabytes() -> float:
    """Return the peak of this program's memory; getrusage would give that of the process that started it, too."""
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    return int(kilobytes) / 1024


def main() -> None:
    """Print the figures of planning and reporting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=5000)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(*arguments.measure)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path, root = Path(folder) / "planning.yaml", Path(folder) / "runs"
        path.write_text(suite(arguments.cells), encoding="utf-8")
        fill(make_plan(load_suite(str(path))), Store(root))
        for what in ("plan", "report"):
            command = [sys.executable, __file__, "--measure", str(path), str(root), what]
            found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            took = f"{found['seconds']:.2f} s of CPU, {found['megabytes']:.0f} MB"
            took += ", torch loaded" if found["torch"] else ""
            print(f"{what}: {found['finished']} of {found['cells']} cells finished, {took}")


if __name__ == "__main__":
    main()
