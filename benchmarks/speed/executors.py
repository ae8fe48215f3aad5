"""How much faster two workers are than one process, on cells of a benchmark: all in one run, on one machine.

    python benchmarks/speed/executors.py [--cells 40] [--steps 400]

Cells train DAN, DANN, CDAN and the source alone on frozen features of emoji, a seed each. They run in a pool of two
workers of one thread, one after the other on one thread, and one after the other on two threads, each time into an
empty store. Features are extracted before, and a first cell of each warms up what is loaded once. Printed are seconds
and the ratios of the others to the pool; figures of pool and single thread must be the same to the last bit.

Two threads are another cell, with a hash of its own: threads are part of what its numbers depend on.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace

from tlzoo.bench import Cell
from tlzoo.bench.execution.local_executors import Executor, InProcess, Pool
from tlzoo.bench.execution.runner import run_cells
from tlzoo.bench.planning_cache import DEFAULT_PROTOCOL
from tlzoo.bench.store import Store

METHODS = ("adaptation/source_only", "adaptation/dan", "confusion/dann", "confusion/cdan")


def cells(count: int, steps: int) -> list[Cell]:
    """Return cells of the four methods in turn, another seed each round."""
    return [
        Cell(
            kind="domain",
            task="emoji/category:google->twitter",
            backbone="efficientnet_lite0",
            method=METHODS[number % len(METHODS)],
            module={"frozen": True, "scale": True, "bottleneck": 256},
            budget={"steps": steps, "batch_size": 36},
            seed=number // len(METHODS),
        )
        for number in range(count)
    ]


def timed(executor: Executor, wanted: Sequence[Cell]) -> tuple[float, list[tuple[dict[str, float], bytes]]]:
    """Return the seconds that an executor takes for cells, and what comes of each: metrics and predictions."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        begun = time.perf_counter()
        summary = run_cells(wanted, store, executor=executor, protocol=DEFAULT_PROTOCOL)
        seconds = time.perf_counter() - begun
        if summary.failed:
            raise RuntimeError(f"cells failed: {next(iter(summary.failed.values()))}")
        records = [store.read(cell) for cell in wanted]
        outcomes = [
            (dict(record.metrics), store.files(record.cell)[f"{record.cell.hash}.npz"]) for record in records if record
        ]
    return seconds, outcomes


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=40)
    parser.add_argument("--steps", type=int, default=400)
    options = parser.parse_args()
    one = cells(options.cells, options.steps)
    two = [replace(cell, threads=2) for cell in one]
    timed(InProcess(), [replace(one[0], budget={"steps": 10, "batch_size": 36})])  # downloads, features, imports
    pool, pooled = timed(Pool(2), one)
    alone, single = timed(InProcess(), one)
    threaded, _ = timed(InProcess(), two)
    print(f"{options.cells} cells of {options.steps} steps")
    print(f"pool of two workers, one thread each  {pool:7.1f} s")
    print(f"one process, one thread               {alone:7.1f} s  {alone / pool:5.2f} times the pool (asked: 1.8)")
    print(
        f"one process, two threads              {threaded:7.1f} s  {threaded / pool:5.2f} times the pool (asked: 1.0)"
    )
    print(f"metrics and predictions of pool and single process: {'equal' if pooled == single else 'DIFFERENT'}")


if __name__ == "__main__":
    main()
