"""What a training step of each alignment costs, as a ratio to a step on the source alone in the same run.

    python benchmarks/speed/domain_step.py [--threads 2] [--rounds 7] [--methods dann cdan dan deep_coral mcc ...]

A step is the plain loop of ``lightning_step.py``: 36 source and 36 target features of width 1,280, a linear bottleneck
of 256 with batch norm, a head of 52 classes, Nesterov's SGD. The methods take turns within a round; printed is the
median over rounds of each one's wall time over the source-only step of the same round, and over a bare step: the same
network and optimizer on two fixed batches, with the formula in as few lines of torch as it takes and nothing checked.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from lightning_step import BATCH, BOTTLENECK, CLASSES, WIDTH, by_hand, make_module, make_task
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.lit import DomainData

BASELINE = "source_only"
HIDDEN = 1024


def measure(methods: list[str], *, steps: int, rounds: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return each method's ratios by round to source-only, and to a bare step; ``name:{"setting": value}`` sets."""
    task = make_task()
    to_source: dict[str, list[float]] = {method: [] for method in methods}
    to_bare: dict[str, list[float]] = {method: [] for method in methods if method in BARE}
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
                to_source[method].append(seconds[method] / seconds[BASELINE])
            for method in to_bare:
                to_bare[method].append(seconds[method] / bare(method, steps))
    return to_source, to_bare


class Passed(NamedTuple):
    """What a bare step has when both batches are through the network, source first."""

    features: Tensor
    logits: Tensor
    discriminator: nn.Module


def bare(method: str, steps: int) -> float:
    """Return the seconds of as many bare steps."""
    torch.manual_seed(0)
    inputs, labels = torch.randn(2 * BATCH, WIDTH), torch.randint(CLASSES, (BATCH,))
    bottleneck = nn.Sequential(nn.Linear(WIDTH, BOTTLENECK), nn.BatchNorm1d(BOTTLENECK), nn.ReLU())
    head, discriminator = nn.Linear(BOTTLENECK, CLASSES), _bare_discriminator(method)
    trained = [p for part in (bottleneck, head, discriminator) for p in part.parameters()]
    optimizer = torch.optim.SGD(trained, lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-3, foreach=True)
    begun = time.perf_counter()
    for _ in range(steps):
        features = bottleneck(inputs)
        logits = head(features)
        loss = F.cross_entropy(logits[:BATCH], labels) + BARE[method](Passed(features, logits, discriminator))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.perf_counter() - begun


def _bare_discriminator(method: str) -> nn.Module:
    width = {"dann": BOTTLENECK, "cdan": BOTTLENECK * CLASSES}.get(method)
    if width is None:
        return nn.Identity()
    first = nn.Linear(width, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU()
    return nn.Sequential(*first, nn.Linear(HIDDEN, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))


def _told_apart(seen: Tensor, discriminator: nn.Module) -> Tensor:
    seen.register_hook(torch.neg)
    domains = torch.cat([torch.ones(BATCH, 1), torch.zeros(BATCH, 1)])
    return F.binary_cross_entropy_with_logits(discriminator(seen), domains)


def _bare_dann(passed: Passed) -> Tensor:
    return _told_apart(passed.features * 1.0, passed.discriminator)


def _bare_cdan(passed: Passed) -> Tensor:
    joint = passed.logits.softmax(dim=1).detach().unsqueeze(2) * passed.features.unsqueeze(1)
    return _told_apart(joint.flatten(1), passed.discriminator)


def _bare_dan(passed: Passed) -> Tensor:
    distances = torch.cdist(passed.features, passed.features).square()
    kernel = sum((distances / (-2 * scale * distances.detach().mean())).exp() for scale in (0.125, 0.25, 0.5, 1, 2))
    assert isinstance(kernel, Tensor)
    return kernel[:BATCH, :BATCH].mean() + kernel[BATCH:, BATCH:].mean() - 2 * kernel[:BATCH, BATCH:].mean()


def _bare_coral(passed: Passed) -> Tensor:
    ours, theirs = passed.features.split(BATCH)
    return (torch.cov(ours.T) - torch.cov(theirs.T)).square().sum() / (4 * BOTTLENECK**2)


def _bare_mcc(passed: Passed) -> Tensor:
    probabilities = (passed.logits[BATCH:] / 2.5).softmax(dim=1)
    weights = 1 + (probabilities * probabilities.log()).sum(dim=1).exp()
    confusion = (probabilities * (weights / weights.mean()).unsqueeze(1)).T @ probabilities
    confusion = confusion / confusion.sum(dim=1, keepdim=True)
    return (confusion.sum() - confusion.trace()) / CLASSES


BARE: dict[str, Callable[[Passed], Tensor]] = {
    "dann": _bare_dann,
    "cdan": _bare_cdan,
    "dan": _bare_dan,
    "deep_coral": _bare_coral,
    "mcc": _bare_mcc,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--methods", nargs="+", default=["dann", "cdan", "dan", "deep_coral", "mcc"])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    to_source, to_bare = measure(options.methods, steps=options.steps, rounds=options.rounds)
    for method, ratios in to_source.items():
        beside = f", {_shown(to_bare[method])} of a bare one" if method in to_bare else ""
        print(f"{method:30} {_shown(ratios)} of a source-only step{beside}")


def _shown(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):6.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


if __name__ == "__main__":
    main()
