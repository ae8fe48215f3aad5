"""Milliseconds that a training step under weighted gradients costs, beside TorchJD's two engines and a plain step.

    python benchmarks/speed/multitask.py [--tasks 2 8] [--rounds 7] [--weightings mgda upgrad ...] [--memory]

The network is small: two convolutions (32 and 64 channels, 3x3, each with ReLU and pooling) on 32x32 pictures, a linear
layer of 128, and a linear head of ten classes a task; batch 64. All loops see the same weights and batch, and under
equal weights they end in the same gradients, which is checked. They run in turn, in one process with one thread. Times
are the process's own CPU time: the wall time of an idle machine, whatever else runs on it. Printed are medians over
rounds, and ratios to the faster of TorchJD's engines in the same run. ``--memory`` measures the peak of resident memory
instead, each loop in a process of its own.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchjd.aggregation import IMTLG, Aggregator, IMTLGWeighting, Sum, SumWeighting
from torchjd.aggregation import Weighting as JDWeighting
from torchjd.autogram import Engine
from torchjd.autojac import jac_to_grad, mtl_backward

from tlzoo.methods.multitask.gramian import GramianWeighting
from tlzoo.methods.weighting import Weighting
from tlzoo.nn.gradients import TaskTape
from tlzoo.registry import create_method, list_methods, method_class

BATCH, WIDTH, CLASSES = 64, 128, 10


class Ones(GramianWeighting):
    """The sum of the gradients, through the Gramian: for the check."""

    def solve(self, gramian: Tensor, tasks: Tensor) -> Tensor:
        """Return ones."""
        return torch.ones(len(tasks), dtype=torch.float64)


class Problem:
    """Network, heads and one batch, always the same."""

    def __init__(self, tasks: int) -> None:
        torch.manual_seed(0)
        self.trunk = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(64 * 8 * 8, WIDTH), nn.ReLU(),
        )  # fmt: skip
        self.heads = nn.ModuleList(nn.Linear(WIDTH, CLASSES) for _ in range(tasks))
        self.inputs = torch.randn(BATCH, 3, 32, 32)
        self.labels = torch.randint(CLASSES, (tasks, BATCH))
        self.optimizer = torch.optim.SGD([*self.trunk.parameters(), *self.heads.parameters()], lr=1e-4)

    def losses(self, features: Tensor) -> list[Tensor]:
        """Return one loss a task."""
        pairs = zip(self.heads, self.labels, strict=True)
        return [F.cross_entropy(head(features), labels) for head, labels in pairs]

    def gradients(self) -> list[Tensor]:
        """Return all gradients."""
        every = [*self.trunk.parameters(), *self.heads.parameters()]
        return [p.grad.clone() for p in every if p.grad is not None]


def plain(problem: Problem) -> None:
    """Go backward from the sum of the losses."""
    torch.stack(problem.losses(problem.trunk(problem.inputs))).sum().backward()


def ours(problem: Problem, weighting: Weighting, space: str = "parameters") -> None:
    """Go backward through the factored task gradients."""
    tape = TaskTape(problem.trunk.parameters())
    if space == "features":
        features = tape.cut(problem.trunk(problem.inputs))
    else:
        with tape:
            features = tape.cut(problem.trunk(problem.inputs))
    losses = problem.losses(features)
    constants = torch.stack(losses).detach()
    gradients = tape.gradients(losses, private=problem.heads.parameters(), space=space)  # type: ignore[arg-type]
    if weighting.order == "jacobian":
        gradients.deliver_direction(weighting.direction(gradients.jacobian())).backward()
    else:
        gradients.deliver(weighting.weights(constants, gradients.gramian())).backward()


def autojac(problem: Problem, aggregator: Aggregator) -> None:
    """Go backward through TorchJD's Jacobian."""
    features = problem.trunk(problem.inputs)
    mtl_backward(problem.losses(features), features=features)
    jac_to_grad(list(problem.trunk.parameters()), aggregator)


def autogram(problem: Problem, engine: Engine, weighting: JDWeighting) -> None:
    """Go backward with weights from TorchJD's Gramian; heads get the weighted gradient there."""
    losses = torch.stack(problem.losses(problem.trunk(problem.inputs)))
    losses.backward(weighting(engine.compute_gramian(losses)))


def loops(tasks: int, weightings: list[str]) -> dict[str, tuple[Problem, Callable[[], None]]]:
    """Return what is timed, by name."""
    found: dict[str, tuple[Problem, Callable[[], None]]] = {}

    def add(name: str, make: Callable[[Problem], Callable[[], None]]) -> None:
        problem = Problem(tasks)
        found[name] = problem, make(problem)

    add("plain", lambda p: partial(plain, p))
    add("TorchJD mtl_backward", lambda p: partial(autojac, p, IMTLG()))
    add("TorchJD autogram", lambda p: partial(autogram, p, Engine(p.trunk, batch_dim=None), IMTLGWeighting()))
    add("features, imtl_g", lambda p: partial(ours, p, create_method("imtl_g", num_tasks=tasks), "features"))
    for name in weightings:
        add(name, lambda p, name=name: partial(ours, p, create_method(name, num_tasks=tasks)))
    return found


def check(tasks: int) -> None:
    """Hold all loops to the gradient of the plain sum.

    Raises:
        AssertionError: a loop computes something else.
    """
    problems = [Problem(tasks) for _ in range(4)]
    plain(problems[0])
    ours(problems[1], Ones(tasks))
    autojac(problems[2], Sum())
    autogram(problems[3], Engine(problems[3].trunk, batch_dim=None), SumWeighting())
    for problem in problems[1:]:
        for theirs, expected in zip(problem.gradients(), problems[0].gradients(), strict=True):
            torch.testing.assert_close(theirs, expected, rtol=1e-4, atol=1e-6)


def measure(tasks: int, weightings: list[str], rounds: int) -> dict[str, float]:
    """Return the median milliseconds of a step, optimizer included, of every loop."""
    found = loops(tasks, weightings)
    times: dict[str, list[float]] = {name: [] for name in found}
    for number in range(rounds + 1):
        for name, (problem, step) in found.items():
            begun = time.process_time()
            step()
            problem.optimizer.step()
            problem.optimizer.zero_grad()
            if number:  # the first round warms up
                times[name].append(1000 * (time.process_time() - begun))
    return {name: statistics.median(values) for name, values in times.items()}


def memory(tasks: int) -> None:
    """Print the peak of resident memory above the start, each loop in a process of its own."""
    for name in ("plain", "TorchJD mtl_backward", "TorchJD autogram", "imtl_g"):
        run = [sys.executable, __file__, "--tasks", str(tasks), "--only", name]
        print(f"  {name:22} {subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()} MiB")


def only(tasks: int, name: str) -> None:
    """Run one loop a few times and print its peak."""
    problem, step = loops(tasks, ["imtl_g"])[name]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3):
        step()
        problem.optimizer.zero_grad()
    print(round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, 1))


def main() -> None:
    """Measure and print."""
    gramian = [n.split("/")[1] for n in list_methods("multitask") if getattr(method_class(n), "order", "") == "gramian"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, nargs="+", default=[2, 8])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--weightings", nargs="+", default=gramian)
    parser.add_argument("--memory", action="store_true", help="peak memory in place of times")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for tasks in options.tasks:
        if options.only:
            only(tasks, options.only)
            continue
        print(f"{tasks} tasks")
        if options.memory:
            memory(tasks)
            continue
        check(tasks)
        found = measure(tasks, options.weightings, options.rounds)
        fastest = min(value for name, value in found.items() if name.startswith("TorchJD"))
        for name, value in found.items():
            ratios = f"{value / fastest:5.2f} of TorchJD {value / found['plain']:6.2f} of plain"
            print(f"  {name:22} {value:8.2f} ms {ratios}")


if __name__ == "__main__":
    main()
