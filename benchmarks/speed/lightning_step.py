"""Milliseconds that a training step through DomainAdaptation costs beside the same step in a hand-written loop.

    python benchmarks/speed/lightning_step.py [--steps 150] [--rounds 12] [--methods source_only dan dann]

Both loops take the same batches (36 source and 36 target features of width 1,280 in memory), the same method, network
(linear bottleneck of 256, batch norm, head of 52), optimizer and schedule, and end in the same weights, which is
checked. They run in turn, in one process with one thread; which comes first alternates. Printed is the median over
rounds of each, and of the difference within a round. Times are the process's own CPU time, which with one thread is the
wall time of an idle machine, and does not count the time that other work on the machine takes.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
import warnings
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional as F

from tlzoo.data import BatchSampler, DomainTask, ExampleSet
from tlzoo.lit import DomainAdaptation, DomainConfusion, DomainData
from tlzoo.lit.domains import DomainModule
from tlzoo.randomness import Stream
from tlzoo.registry import resolve_name
from tlzoo.types import DomainBatch, Prediction, Sees

WIDTH, CLASSES, BATCH, BOTTLENECK = 1280, 52, 36, 256


def make_task(size: int = 1000) -> DomainTask:
    """Return random features with random labels: times do not depend on them."""
    random = np.random.default_rng(0)

    def examples() -> ExampleSet:
        return ExampleSet(
            inputs=random.normal(size=(size, WIDTH)).astype(np.float32),
            modality="features",
            labels=random.integers(CLASSES, size=size),
        )

    return DomainTask(
        name="random",
        class_names=tuple(map(str, range(CLASSES))),
        source_train=examples(),
        source_test=examples(),
        target_train=examples(),
        target_test=examples(),
    )


def make_module(method: str, **settings: Any) -> DomainModule:
    """Return the module of a method, always with the same weights."""
    torch.manual_seed(0)
    cls = DomainConfusion if resolve_name(method).startswith("confusion") else DomainAdaptation
    return cls(
        "identity",
        method,
        num_classes=CLASSES,
        bottleneck=BOTTLENECK,
        backbone_settings={"num_features": WIDTH},
        method_settings=settings,
    )


class _Clock(pl.Callback):
    """Times the steps alone: setting a trainer up is no part of a step."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.begun = time.process_time()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.seconds = time.process_time() - self.begun


def through_lightning(module: DomainModule, data: DomainData, steps: int) -> float:
    """Train for ``steps`` and return the milliseconds of one, with the trainer's settings of the benchmark harness."""
    clock = _Clock()
    trainer = pl.Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        callbacks=[clock],
    )
    trainer.fit(module, datamodule=data)
    return 1000 * clock.seconds / steps


def _predictions(network: nn.Module, batch: DomainBatch) -> tuple[Prediction | None, Prediction | None]:
    """Run both sides through the network together, where both are there."""
    source, target = batch.source, batch.target
    assert source is not None
    if target is None:
        return network(source.inputs), None
    joint = network(torch.cat([source.inputs, target.inputs]))
    n = len(source.inputs)
    ours = Prediction(features=joint.features[:n], logits=joint.logits[:n], labels=source.labels)
    return ours, Prediction(features=joint.features[n:], logits=joint.logits[n:])


def _sampler(size: int, stream: Stream) -> BatchSampler:
    return BatchSampler(size, BATCH, seed=0, stream=stream)


def by_hand(module: DomainModule, data: DomainData, steps: int) -> float:
    """Train the same network and method with a plain loop and return the milliseconds of one step."""
    task, network, method = data.task, module.network, module.method
    trained = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-3, foreach=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 + 0.001 * step) ** -0.75)
    source_at, target_at = (
        _sampler(len(task.source_train), stream) for stream in (Stream.SOURCE_BATCHES, Stream.TARGET_BATCHES)
    )
    network.train()
    begun = time.process_time()
    for step in range(steps):
        target = task.target_train.batch(target_at(step)) if Sees.TARGET_INPUTS in method.sees else None
        batch = DomainBatch(source=task.source_train.batch(source_at(step)), target=target)
        source, adapted = _predictions(network, batch)
        assert batch.source is not None
        loss = F.cross_entropy(source.logits, batch.source.labels)
        if adapted is not None:
            loss = loss + method(source, adapted, progress=step / steps)["loss"]
        if not torch.isfinite(loss):
            raise FloatingPointError(f"step {step}")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return 1000 * (time.process_time() - begun) / steps


def measure(method: str, task: DomainTask, steps: int, rounds: int) -> tuple[list[float], list[float]]:
    """Return the milliseconds a step of both loops by round, their weights held equal.

    Raises:
        AssertionError: the two loops do not end in the same weights, so they are not the same step.
    """
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        modules = make_module(method), make_module(method)
        loops = (by_hand, through_lightning)
        for place in (0, 1) if number % 2 else (1, 0):
            times[place].append(loops[place](modules[place], DomainData(task, batch_size=BATCH), steps))
        for ours, theirs in zip(*(module.parameters() for module in modules), strict=True):
            torch.testing.assert_close(ours, theirs)
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--methods", nargs="+", default=["source_only", "dan", "dann"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    task = make_task()
    for method in options.methods:
        hand, lightning = measure(method, task, options.steps, options.rounds)
        extra = [ours - theirs for ours, theirs in zip(lightning, hand, strict=True)]
        print(
            f"{method:12} by hand {statistics.median(hand):6.2f} ms a step, through Lightning "
            f"{statistics.median(lightning):6.2f}, difference {statistics.median(extra):+.2f}"
        )


if __name__ == "__main__":
    main()
