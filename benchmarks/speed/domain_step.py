"""What a training step of each alignment costs, as a ratio to a step on the source alone in the same run.

    python benchmarks/speed/domain_step.py [--threads 2] [--rounds 7] [--methods dann cdan dan deep_coral mcc ...]

A step is the plain loop of ``lightning_step.py``: 36 source and 36 target features of width 1,280, a linear bottleneck
of 256 with batch norm, a head of 52 classes, Nesterov's SGD. The methods take turns within a round; printed is the
median over rounds of each one's wall time over the source-only step of the same round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import torch
from lightning_step import BATCH, by_hand, make_module, make_task

from tlzoo.lit import DomainData

BASELINE = "source_only"


def measure(methods: list[str], *, steps: int, rounds: int) -> dict[str, list[float]]:
    """Return each method's ratios by round; ``name:{"setting": value}`` gives settings."""
    task = make_task()
    ratios: dict[str, list[float]] = {method: [] for method in methods}
    for number in range(rounds + 1):  # the first round warms up
        seconds = {}
        for method in [BASELINE, *methods]:
            name, _, settings = method.partition(":")
            module = make_module(name, **json.loads(settings or "{}"))
            begun = time.perf_counter()
            by_hand(module, DomainData(task, batch_size=BATCH), steps)
            seconds[method] = time.perf_counter() - begun
        if number:
            for method in methods:
                ratios[method].append(seconds[method] / seconds[BASELINE])
    return ratios


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--methods", nargs="+", default=["dann", "cdan", "dan", "deep_coral", "mcc"])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for method, ratios in measure(options.methods, steps=options.steps, rounds=options.rounds).items():
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"{method:30} {statistics.median(ratios):6.2f} of a source-only step ({spread})")


if __name__ == "__main__":
    main()
