"""What a suite costs before anything runs: its cells, and the time of a network's passes, measured on the spot."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tlzoo.backbones.names import check_backbone
from tlzoo.bench.planning_cache import Facts
from tlzoo.bench.protocols.settings import CHECKPOINTS
from tlzoo.bench.suite import Group, Row, Suite
from tlzoo.errors import InputError, UserError
from tlzoo.functional.checks import check_choice, check_positive
from tlzoo.types import Backbone, Sees

__all__ = ["PassTimes", "Price", "prices"]

_REPEATS = 3
_ANSWER = 1 / 3
"""Share of a training step that the forward pass takes, roughly: the backward pass takes two of it."""
_SIDE = 256
"""Height and width of the pictures that a network is measured on; its preprocessing brings it to its own size."""

_ADAPTS_A_MODEL = ("SourceFree", "TestTime")
_MEASURED = {"domain": ("source_test", "target_train", "target_test"), "multitask": ("test",)}
"""Kind of group that is priced -> sets that are answered at each checkpoint."""


@dataclass(frozen=True)
class PassTimes:
    """Seconds a picture: to train on it (forward, backward), and to answer it (forward alone)."""

    train: float
    answer: float


@dataclass(frozen=True, kw_only=True)
class Price:
    """The price of a group.

    Attributes:
        group: the group.
        runs: its runs: cells, and the further settings that a search may try.
        seconds: of all its passes; None where it is not priced: it is of another kind, or trains nothing on pictures.
        times: backbone -> its times.
        counted_answers: whether the passes at checkpoints are in it, for which the data must be at hand.
    """

    group: Group
    runs: int
    seconds: float | None = None
    times: dict[str, PassTimes]
    counted_answers: bool = False

    @property
    def cells(self) -> int:
        """The number of cells."""
        group = self.group
        return len(group.tasks) * len(group.backbones) * len(group.rows) * len(group.seeds)

    def __str__(self) -> str:
        group = self.group
        parts = {"tasks": group.tasks, "backbones": group.backbones, "rows": group.rows, "seeds": group.seeds}
        counts = " x ".join(f"{len(each)} {name if len(each) > 1 else name[:-1]}" for name, each in parts.items())
        searched = f", with their search up to {self.runs:,} runs" if self.runs > self.cells else ""
        text = f"{group.title}: {counts} = {self.cells:,} cells{searched}"
        if self.seconds is None:
            return f"{text}; not priced: only groups of kind domain and multitask that train a network on pictures are"
        each = ", ".join(
            f"{1000 * own.train:.3g} ms a picture to train {name}, {1000 * own.answer:.3g} to answer"
            for name, own in self.times.items()
        )
        left_out = "" if self.counted_answers else "; without the answers at checkpoints, as the data are not here"
        return f"{text}; {_spelled(self.seconds)} ({each}{left_out})"


def _spelled(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:,.0f} hours"


def prices(
    suite: Suite, *, accelerator: str = "cpu", throughput: float | None = None, answers: bool = True
) -> Iterator[Price]:
    """Yield the price of each group of a suite.

    A cell of a domain group passes a batch of each domain that its method sees through the network in every step, one
    of a multitask group a batch; one that adapts a source model also has the steps of that model, shared by a task's
    rows of one seed. Pictures that are answered at the checkpoints are counted where the data are at hand. What a
    method adds is left out: discriminators, further passes, the one pass of test-time methods, the reading of files.

    Args:
        suite: read, not planned: its data need not be there.
        accelerator: ``cpu``, one thread as in cells, or ``cuda``.
        throughput: pictures a second that another machine trains on, instead of measuring this one.
        answers: whether to look for the data, to count what is answered at checkpoints.

    Raises:
        ValueError: another accelerator, one that is not here, or a throughput that is not positive.
    """
    check_choice(accelerator, ("cpu", "cuda"), what="accelerator")
    if throughput is not None:
        check_positive(throughput=throughput)
    elif accelerator == "cuda" and not _has_cuda():
        raise InputError("accelerator cuda, and torch finds no such device here; give --throughput, or measure on cpu")
    facts, known = Facts(), dict[str, PassTimes]()
    for group in suite.groups:
        times: dict[str, PassTimes] = {}
        if group.kind in _MEASURED and all(_trains(row) for row in group.rows):
            for name in (str(each.value) for each in group.backbones):
                if name not in known and (found := _measured(name, group.rows[0], accelerator, throughput)):
                    known[name] = found
            times = {str(each.value): known[each.value] for each in group.backbones if each.value in known}
        yield _price(group, facts, times, answers=answers)
    facts.save()


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _price(group: Group, facts: Facts, times: dict[str, PassTimes], *, answers: bool) -> Price:
    runs = _runs(group)
    if len(times) < len(group.backbones):
        return Price(group=group, runs=runs, times={})
    trained = sum(_trained(group, row, facts) for row in group.rows) + _shared(group, facts)
    answered = _answered(group) if answers else None
    of_a_seed = sum(
        len(group.tasks) * trained * each.train + CHECKPOINTS * len(group.rows) * (answered or 0) * each.answer
        for each in times.values()
    )
    found = Price(group=group, runs=runs, times=times, counted_answers=answered is not None)
    return replace(found, seconds=of_a_seed * len(group.seeds) * runs / found.cells)


def _runs(group: Group) -> int:
    """Return the number of cells, and of the further settings that are tried at most."""
    once = len(group.tasks) * len(group.backbones) * len(group.rows)
    cells, further = once * len(group.seeds), max(group.search.trials - 1, 0)
    return cells + further * (once if group.search.tuned_on else cells)


def _trains(row: Row) -> bool:
    return not row.module.get("frozen") and "steps" in row.budget


def _trained(group: Group, row: Row, facts: Facts) -> int:
    """Return the pictures that a run of a row trains on."""
    method = facts.method(row.method.value)
    if group.kind == "multitask":
        return int(row.budget["steps"]) * int(row.budget["batch_size"])
    untrained = row.module.get("pretrained_head") and method["name"] == "adaptation/source_only"
    if "TestTime" in method["kinds"] or untrained:
        return 0
    sides = {str(Sees.SOURCE_INPUTS), str(Sees.TARGET_INPUTS)} & {*method["sees"]}
    return int(row.budget["steps"]) * int(row.budget["batch_size"]) * len(sides)


def _shared(group: Group, facts: Facts) -> int:
    """Return the pictures that the source model of a task and seed is trained on, if a row needs one."""
    for row in group.rows:
        if not row.module.get("pretrained_head") and {*_ADAPTS_A_MODEL} & {*facts.method(row.method.value)["kinds"]}:
            return int(row.budget.get("source_steps", row.budget["steps"])) * int(row.budget["batch_size"])
    return 0


def _answered(group: Group) -> int | None:
    """Return the pictures that are measured at a checkpoint, over all tasks; None where the data are not at hand."""
    from tlzoo.data import load_task

    try:
        tasks = [load_task(task.value, root=group.root) for task in group.tasks]
    except UserError:
        return None
    return sum(len(getattr(task, name)) for task in tasks for name in _MEASURED[group.kind])


def _measured(name: str, row: Row, accelerator: str, throughput: float | None) -> PassTimes | None:
    """Return the times of a network on noise, or of another machine; None where it takes no pictures."""
    if check_backbone(name) != "image":
        return None
    if throughput is not None:
        return PassTimes(train=1 / throughput, answer=_ANSWER / throughput)
    import torch

    from tlzoo.backbones import create_backbone
    from tlzoo.bench.tuning import plain

    settings: dict[str, Any] = plain(row.module.get("backbone_settings", {}))
    settings.pop("checkpoint_path", None)
    network = create_backbone(name, **{**settings, "pretrained": False} if ":" in name else settings)
    threads = torch.get_num_threads()
    if accelerator == "cpu":
        torch.set_num_threads(1)
    try:
        return _timed(network.to(accelerator), 8 if accelerator == "cpu" else int(row.budget["batch_size"]))
    finally:
        torch.set_num_threads(threads)


def _timed(network: Backbone, count: int) -> PassTimes:
    import torch

    device = next(network.parameters()).device
    pictures = np.arange(count * _SIDE * _SIDE * 3).astype(np.uint8).reshape(count, _SIDE, _SIDE, 3)  # any will do
    inputs = network.preprocess(pictures).to(device)

    def train() -> None:
        network.train()
        network.zero_grad()
        network(inputs).square().mean().backward()

    def answer() -> None:
        network.eval()
        with torch.no_grad():
            network(inputs)

    def seconds(act: Any) -> float:
        act()  # the first time allocates
        taken = []
        for _ in range(_REPEATS):
            begin = time.perf_counter()
            act()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            taken.append(time.perf_counter() - begin)
        return statistics.median(taken) / count

    return PassTimes(train=seconds(train), answer=seconds(answer))
