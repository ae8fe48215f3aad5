"""Whether a long run stays as it began: memory, handles, threads, processes and temporary files over many small cells.

    python benchmarks/speed/long_run.py [--cells 5000] [--executor in_process] [--steps 2]

Every cell trains a network on a toy task with Lightning, one of six methods in turn, and is stored as in any run.
Printed are resident memory, open files, threads, child processes and temporary files as cells finish; the run fails
where one of them grows after the first tenth: memory by more than 16 MB per thousand cells and in all, the others at
all. What is left when the run is over is printed last.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil

from tlzoo.bench import Cell
from tlzoo.bench.execution.executor_names import EXECUTORS
from tlzoo.bench.store import Store
from tlzoo.data import DomainTask, ExampleSet

METHODS = (
    "adaptation/source_only",
    "adaptation/dan",
    "adaptation/mcc",
    "confusion/dann",
    "confusion/cdan",
    "confusion/vada",
)
WIDTH, CLASSES = 6, 3
MEGABYTES = 16.0


def toy() -> DomainTask:
    """Return a small task."""

    def drawn(count: int, seed: int) -> ExampleSet:
        random = np.random.default_rng(seed)
        labels = random.permutation(np.arange(count) % CLASSES)
        inputs = (np.eye(CLASSES, WIDTH)[labels] * 3 + random.normal(size=(count, WIDTH))).astype(np.float32)
        return ExampleSet(inputs=inputs, modality="features", labels=labels, checksum=f"toy {seed}")

    sets = {name: drawn(40, seed) for seed, name in enumerate(("source_train", "source_test", "target_train"))}
    return DomainTask(name="toy", class_names=tuple("abc"), target_test=drawn(40, 9), **sets)


def cells(count: int, steps: int) -> list[Cell]:
    """Return cells of all methods in turn, another seed each round."""
    return [
        Cell(
            kind="domain",
            task=f"{Path(__file__).resolve()}:toy",
            backbone="identity",
            method=METHODS[number % len(METHODS)],
            module={"bottleneck": 8, "backbone_settings": {"num_features": WIDTH}},
            budget={"steps": steps, "batch_size": 12},
            seed=number // len(METHODS),
        )
        for number in range(count)
    ]


@dataclass(frozen=True)
class Usage:
    """What a run holds at a moment, its child processes included."""

    megabytes: float
    files: int
    threads: int
    processes: int
    temporary: int

    @classmethod
    def now(cls, temporary: Path) -> Usage:
        """Measure."""
        own = psutil.Process()
        every = [own, *own.children(recursive=True)]
        return cls(
            megabytes=sum(each.memory_info().rss for each in every) / 1e6,
            files=sum(each.num_fds() for each in every),
            threads=sum(each.num_threads() for each in every),
            processes=len(every) - 1,
            temporary=sum(1 for _ in temporary.rglob("*")),
        )


class Watch:
    """Measures as cells finish."""

    def __init__(self, count: int, temporary: Path) -> None:
        self.every, self.temporary = max(count // 20, 1), temporary
        self.done, self.begun = 0, time.monotonic()
        self.seen: list[tuple[int, Usage]] = []

    def progress(self, cell: Cell, fraction: float) -> None:
        """Pass over it."""

    def finished(self, cell: Cell, error: str | None) -> None:
        """Measure every so many cells.

        Raises:
            RuntimeError: the cell failed.
        """
        if error is not None:
            raise RuntimeError(f"{cell}: {error}")
        self.done += 1
        if self.done % self.every == 0:
            self.seen.append((self.done, Usage.now(self.temporary)))
            self.show(f"{self.done:6d} cells", self.seen[-1][1])

    def show(self, what: str, usage: Usage) -> None:
        """Print a line."""
        figures = "  ".join(
            f"{name} {value:7.1f}" if name == "megabytes" else f"{name} {value:3d}"
            for name, value in asdict(usage).items()
        )
        print(f"{time.monotonic() - self.begun:7.0f} s  {what}  {figures}", flush=True)


def grown(seen: list[tuple[int, Usage]]) -> list[str]:
    """Return what grew after the first tenth of the measurements."""
    later = seen[max(len(seen) // 10, 1) :]
    counts = np.array([count for count, _ in later]) / 1000
    problems = []
    slope = float(np.polyfit(counts, [usage.megabytes for _, usage in later], 1)[0])
    print(f"memory: {slope:+.1f} MB per thousand cells")
    if slope > MEGABYTES and slope * float(counts[-1] - counts[0]) > MEGABYTES:
        problems.append(f"memory by {slope:.1f} MB per thousand cells")
    half = len(later) // 2
    for name in ("files", "threads", "processes", "temporary"):
        before, after = (
            statistics.median_high([getattr(usage, name) for _, usage in part]) for part in (later[:half], later[half:])
        )
        if after > before:
            problems.append(f"{name} from {before} to {after}")
    return problems


def main() -> int:
    """Run, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=5000)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--executor", default="in_process", choices=("in_process", "pool"))
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / "temporary"
        temporary.mkdir()
        home = str(Path(folder) / "home")
        # torch keeps a cache among temporary files, one a user; it is none of the run's
        os.environ |= {"TMPDIR": str(temporary), "TLZOO_HOME": home, "TORCHINDUCTOR_CACHE_DIR": home}
        tempfile.tempdir = None  # look at TMPDIR again
        before = Usage.now(temporary)
        watch = Watch(options.cells, temporary)
        store = Store(Path(folder) / "runs")
        wanted = cells(options.cells, options.steps)
        executor = EXECUTORS[options.executor](options.workers, None, None)
        executor.run(wanted, store, "tlzoo.bench.protocols", watch)
        after = Usage.now(temporary)
        watch.show("before      ", before)
        watch.show("after       ", after)
        problems = grown(watch.seen)
        names = [path.name for path in store.root.rglob("*") if path.is_file()]
        if odd := [name for name in names if not name.endswith((".json", ".npz"))] or len(names) != 2 * options.cells:
            problems.append(f"files of the store: {odd}")
        if after.processes or after.temporary:
            problems.append(f"{after.processes} processes and {after.temporary} temporary files are left")
    print("grown: " + "; ".join(problems) if problems else "nothing grows, nothing is left")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
