"""How much longer a cell takes than its bare steps: python benchmarks/speed/cell_cost.py [--steps 400] [--rounds 3].

A cell of cached features loads its task, trains through Lightning, measures test, transductive and source accuracy and
all label-free validators at five checkpoints, and states its receipt. The bare loop takes the same number of steps of
the same network and method on the same batches (:mod:`lightning_step`). Both run in turn in one process with one
thread; times are the process's CPU time, the median over rounds after a first cell, which imports and extracts.
``--profile`` prints where the time of a cell goes.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import time

import torch
from lightning_step import by_hand

from tlzoo.bench import protocols
from tlzoo.bench.cell import Cell
from tlzoo.bench.execution.one_cell import reproducible
from tlzoo.bench.protocols.domain import domain_data, domain_module
from tlzoo.data import load_task

TASK = "emoji/category:google->windows:unpaired"
METHODS = ("adaptation/source_only", "adaptation/mcc", "adaptation/dan")


def make_cell(method: str, steps: int, seed: int) -> Cell:
    """Return a cell on cached features, as the suites have them."""
    return Cell(
        kind="domain",
        task=TASK,
        backbone="efficientnet_lite0",
        method=method,
        module={"frozen": True, "scale": True, "bottleneck": 256},
        budget={"steps": steps, "batch_size": 36},
        seed=seed,
    )


def cell_seconds(cell: Cell) -> float:
    """Return the CPU seconds of a cell."""
    begun = time.process_time()
    with reproducible(cell.seed, 1):
        protocols.run(cell, lambda _: None)
    return time.process_time() - begun


def bare_seconds(cell: Cell) -> float:
    """Return the CPU seconds of the steps of a cell in a hand-written loop."""
    torch.manual_seed(cell.seed)
    data = domain_data(cell, load_task(cell.task))  # type: ignore[arg-type]
    module = domain_module(cell, data, {})
    steps = int(cell.budget["steps"])
    return by_hand(module, data, steps) * steps / 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cell_seconds(make_cell(METHODS[0], 10, 0))
    for method in options.methods:
        cells = [make_cell(method, options.steps, seed) for seed in range(options.rounds)]
        bare, whole = zip(*((bare_seconds(cell), cell_seconds(cell)) for cell in cells), strict=True)
        ratio = statistics.median(w / b for w, b in zip(whole, bare, strict=True))
        print(
            f"{method:24} bare {statistics.median(bare):5.2f} s, cell {statistics.median(whole):5.2f} s, "
            f"{ratio:.2f} times as long"
        )
        if options.profile:
            profile = cProfile.Profile()
            profile.runcall(cell_seconds, cells[0])
            pstats.Stats(profile).sort_stats("cumtime").print_stats(40)


if __name__ == "__main__":
    main()
