"""The time that a network takes to train on a picture and to answer it, measured on the spot."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tlzoo.backbones.names import check_backbone
from tlzoo.bench.suite import Row
from tlzoo.data.tasks import Target

__all__ = ["PassTimes", "pass_times"]

_REPEATS = 3
_LONG = 2.0
"""Seconds after which a pass is not repeated."""
_ANSWER = 1 / 3
"""Share of a training step that the forward pass takes, roughly: the backward pass takes two of it."""
_SIDE = 256
"""Height and width of the pictures that a network is measured on; its preprocessing brings it to its own size."""


@dataclass(frozen=True)
class PassTimes:
    """Seconds a picture: to train on it (forward, backward), and to answer it (forward alone)."""

    train: float
    answer: float


def pass_times(
    name: str, row: Row, *, accelerator: str, throughput: float | None, targets: Mapping[str, Target] | None
) -> PassTimes | None:
    """Return the times of a network on noise, or of another machine; None where it takes no pictures.

    Args:
        name: of the backbone.
        row: whose settings of the module it is made with.
        accelerator: ``cpu``, one thread as in cells, or ``cuda``.
        throughput: pictures a second that another machine trains on, instead of measuring this one.
        targets: of a multitask set, to measure the network with what shares it and with its heads; None for the
            backbone alone.
    """
    if check_backbone(name) != "image":
        return None
    if throughput is not None:
        return PassTimes(train=1 / throughput, answer=_ANSWER / throughput)
    import torch

    from tlzoo.backbones import create_backbone
    from tlzoo.bench.tuning import plain

    module: dict[str, Any] = plain(row.module)
    settings = module.get("backbone_settings", {})
    settings.pop("checkpoint_path", None)
    threads = torch.get_num_threads()
    if accelerator == "cpu":
        torch.set_num_threads(1)
    try:
        network = create_backbone(name, **{**settings, "pretrained": False} if ":" in name else settings)
        count = 8 if accelerator == "cpu" else int(row.budget["batch_size"])
        pictures = np.arange(count * _SIDE * _SIDE * 3).astype(np.uint8).reshape(count, _SIDE, _SIDE, 3)  # any will do
        acts = (_alone if targets is None else _multitask(module, targets))(network, pictures, accelerator)
        return PassTimes(*(_seconds(act, accelerator) / count for act in acts))
    finally:
        torch.set_num_threads(threads)


Acts = tuple[Callable[[], Any], Callable[[], Any]]


def _alone(network: Any, pictures: Any, device: str) -> Acts:
    """Return what trains a backbone on pictures, and what answers them."""
    import torch

    inputs = network.to(device).preprocess(pictures).to(device)

    def train() -> None:
        network.train()
        network.zero_grad()
        network(inputs).square().mean().backward()

    def answer() -> None:
        network.eval()
        with torch.no_grad():
            network(inputs)

    return train, answer


def _multitask(settings: Mapping[str, Any], targets: Mapping[str, Target]) -> Callable[[Any, Any, str], Acts]:
    def made(network: Any, pictures: Any, device: str) -> Acts:
        import torch

        from tlzoo.lit import Multitask
        from tlzoo.types import TaskBatch

        sides = network.preprocess(pictures[:1]).shape[-2:]
        known = {name: settings[name] for name in ("sharing", "sharing_settings", "decoder") if name in settings}
        module = Multitask(network, "equal", targets=targets, **known).to(device)
        labels = {task: _labels(target, len(pictures), sides) for task, target in targets.items()}
        batch = TaskBatch(inputs=torch.from_numpy(pictures), targets=labels).to(torch.device(device))

        def train() -> None:
            module.train()
            module.zero_grad()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that nothing is logged without a trainer
                torch.autograd.backward(module.training_step(batch, 0))

        def answer() -> None:
            module.eval()
            with torch.no_grad():
                module(batch.inputs)

        return train, answer

    return made


def _labels(target: Target, count: int, sides: Any) -> Any:
    """Return labels of a target for made-up pictures: the first class, and ones for values."""
    import torch

    shape = {"dense": (count, *sides), "normals": (count, 3, *sides)}.get(str(target.kind), (count,))
    return torch.zeros(shape, dtype=torch.long) if target.classes else torch.ones(shape)


def _seconds(act: Callable[[], Any], device: str) -> float:
    import torch

    # of one thread the time on the processor, which another load on the machine does not change
    clock = time.perf_counter if device == "cuda" else time.process_time

    def once() -> float:
        begin = clock()
        act()
        if device == "cuda":
            torch.cuda.synchronize()
        return clock() - begin

    first = once()  # it allocates, which is little of a long pass
    return first if first > _LONG else statistics.median(once() for _ in range(_REPEATS))
