"""What a suite costs before anything runs: its cells, and their time, by what is measured on the spot."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tlzoo.bench.pass_times import PassTimes, pass_times
from tlzoo.bench.planning_cache import Facts
from tlzoo.bench.protocols.settings import CHECKPOINTS
from tlzoo.bench.short_runs import measure_rows
from tlzoo.bench.suite import Group, Row, Suite
from tlzoo.data.tasks import Target
from tlzoo.errors import InputError, UserError
from tlzoo.functional.checks import check_choice, check_positive
from tlzoo.types import Sees

__all__ = ["Price", "prices"]

_ADAPTS_A_MODEL = ("SourceFree", "TestTime")
_PASSED = {"domain": ("source_test", "target_train", "target_test"), "multitask": ("test",)}
"""Kind of group whose networks may be priced by their passes -> sets that are answered at each checkpoint."""
_LIMIT, _LEAST = 30.0, 5.0
"""Seconds that running rows in small may take, of a suite, and of each of its groups at least."""
_QUICK = 10.0
"""Seconds that a row on pictures may take in small."""


@dataclass(frozen=True, kw_only=True)
class Price:
    """The price of a group.

    Attributes:
        group: the group.
        runs: its runs: cells, and the further settings that a search may try.
        note: what the price comes from and leaves out, or why there is none.
        seconds: of all its cells; None where they are not priced.
        times: backbone -> its times, where passes were counted.
    """

    group: Group
    runs: int
    note: str
    seconds: float | None = None
    times: Mapping[str, PassTimes]

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
            return f"{text}; not priced: {self.note}"
        return f"{text}; {_spelled(self.seconds)} ({self.note})"


def _spelled(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:,.0f} hours"


def prices(
    suite: Suite,
    *,
    accelerator: str = "cpu",
    throughput: float | None = None,
    answers: bool = True,
    on_group: Callable[[Group], None] | None = None,
) -> Iterator[Price]:
    """Yield the price of each group of a suite.

    Cells that are cheap in small are run so, if their data are at hand: one of each row with a small budget, and longer
    ones that tell what a step and an episode add. Features that are not extracted yet are priced by a few of them.

    Larger networks on pictures are priced by their passes, for which no data are needed. A cell of a domain group
    passes a batch of each domain that its method sees through the network in every step, one of a multitask group a
    batch through all that shares the network, and its heads where the targets are known; one that adapts a source model
    also has the steps of that model, shared by a task's rows of one seed. Pictures that are answered at the checkpoints
    are counted where the data are at hand. What a method adds is left out: discriminators, further passes, the one pass
    of test-time methods, the reading of files.

    Args:
        suite: read, not planned: its data need not be there.
        accelerator: where passes are measured: ``cpu``, one thread as in cells, or ``cuda``.
        throughput: pictures a second that another machine trains on, instead of measuring this one.
        answers: whether to look for the data.
        on_group: called with each group before it is priced.

    Raises:
        ValueError: another accelerator, one that is not here, or a throughput that is not positive.
    """
    check_choice(accelerator, ("cpu", "cuda"), what="accelerator")
    if throughput is not None:
        check_positive(throughput=throughput)
    elif accelerator == "cuda" and not _has_cuda():
        raise InputError("accelerator cuda, and torch finds no such device here; give --throughput, or measure on cpu")
    facts, known = Facts(), dict[str, PassTimes | None]()
    limit = max(_LIMIT / len(suite.groups), _LEAST)
    for group in suite.groups:
        if on_group is not None:
            on_group(group)
        passes = None
        if group.kind in _PASSED and all(_trains(row) for row in group.rows):
            passes = _by_passes(group, facts, known, accelerator=accelerator, throughput=throughput, answers=answers)
        if throughput is not None or not answers:
            yield passes or _unpriced(group, "its cells are run in small, which needs the data and no --throughput")
        elif passes is not None and (accelerator != "cpu" or not _is_quick(group, passes)):
            yield passes
        else:
            in_small = _in_small(group, facts, limit)
            yield passes if passes is not None and in_small.seconds is None else in_small
    facts.save()


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _unpriced(group: Group, note: str) -> Price:
    return Price(group=group, runs=_runs(group), note=note, times={})


def _in_small(group: Group, facts: Facts, limit: float) -> Price:
    """Return the price of a group by running a cell of each of its rows in small."""
    try:
        cells = group.cells(facts)
    except UserError as error:
        return _unpriced(group, f"its data are not here: {str(error).partition(chr(10))[0]}")
    rows, seeds = len(group.rows), len(group.seeds)
    places = len(cells) // (rows * seeds)  # of tasks and backbones, which the rows go through in turn
    chosen = [cells[((row % places) * rows + row) * seeds] for row in range(rows)]
    found = measure_rows(chosen, limit=limit, tasks=len(group.tasks), backbones=len(group.backbones), seeds=seeds)
    if not found.measured:
        return _unpriced(group, f"no row could be run in small: {found.error}")
    rough = "a rough guess: " if 2 * found.measured < found.rows else ""
    parts = [f"{rough}{found.measured} of {found.rows} rows run in small, {found.seconds / len(cells):.3g} s a cell"]
    parts += [f"{_spelled(found.extraction)} of it to extract features"] if found.extraction > 1 else []
    parts += [f"not run: {found.error}"] if found.error else []
    seconds = found.seconds + found.extraction
    return Price(group=group, runs=_runs(group), seconds=seconds, note="; ".join(parts), times={})


def _is_quick(group: Group, passes: Price) -> bool:
    """Return whether a row of a group on pictures is soon run in small: three times, with a few dozen steps."""
    answered, own = _answered(group), max(passes.times.values(), key=lambda each: each.train)
    if answered is None:
        return False
    steps = 60 * max(int(row.budget["batch_size"]) for row in group.rows)
    return steps * own.train + 3 * CHECKPOINTS * answered / len(group.tasks) * own.answer < _QUICK


def _by_passes(
    group: Group,
    facts: Facts,
    known: dict[str, PassTimes | None],
    *,
    accelerator: str,
    throughput: float | None,
    answers: bool,
) -> Price | None:
    """Return the price of a group by the passes of its networks; None if one takes no pictures."""
    targets = _targets(group) if group.kind == "multitask" and throughput is None else None

    def times(name: str, row: Row) -> PassTimes | None:
        shared = [row.module.get(part) for part in ("backbone_settings", "sharing", "sharing_settings", "decoder")]
        key = json.dumps([name, targets and group.tasks[0].value, shared], default=str)
        if key not in known:
            known[key] = pass_times(name, row, accelerator=accelerator, throughput=throughput, targets=targets)
        return known[key]

    names = [str(each.value) for each in group.backbones]
    if None in [each.value for each in group.backbones]:
        return None
    first = {name: own for name in names if (own := times(name, group.rows[0])) is not None}
    if len(first) < len(names):
        return None
    answered = _answered(group) if answers else None
    of_a_seed = 0.0
    for name in names:
        for row in group.rows:
            own = (times(name, row) if targets else None) or first[name]
            trained = len(group.tasks) * _trained(group, row, facts) * _train_seconds(row, own, targets)
            of_a_seed += _tries(group, row) * trained + CHECKPOINTS * (answered or 0) * own.answer
        of_a_seed += len(group.tasks) * _shared(group, facts) * first[name].train
    runs = _runs(group)
    parts = [
        f"{1000 * own.train:.3g} ms a picture to train {name}, {1000 * own.answer:.3g} to answer"
        for name, own in first.items()
    ]
    parts += ["without decoders"] if group.kind == "multitask" and not targets else []
    parts += [] if answered is not None else ["without the answers at checkpoints, as the data are not here"]
    found = Price(group=group, runs=runs, note="; ".join(parts), times=first)
    return replace(found, seconds=of_a_seed * len(group.seeds) * runs / found.cells)


def _targets(group: Group) -> Mapping[str, Target] | None:
    """Return the targets of a multitask group's first task; None where they are known from its data alone."""
    from tlzoo.data import load_task
    from tlzoo.data.datasets.dense_maps import TARGETS

    name = group.tasks[0].value
    if name in TARGETS:
        return TARGETS[name]
    try:
        task: Any = load_task(name, root=group.root)
    except UserError:
        return None
    targets: Mapping[str, Target] = task.targets
    return targets


def _train_seconds(row: Row, own: PassTimes, targets: Mapping[str, Target] | None) -> float:
    """Return the seconds that a row trains on a picture; what weights gradients has a backward pass for each task."""
    from tlzoo.registry import method_class

    order = getattr(method_class(str(row.method.value)), "order", "losses")
    if not targets or order == "losses" or row.module.get("space") == "features":
        return own.train
    return own.answer + len(targets) * (own.train - own.answer)


def _runs(group: Group) -> int:
    """Return the number of cells, and of the further settings that are tried at most."""
    rows = len(group.backbones) * len(group.rows)
    cells, trials, tuned_on = rows * len(group.tasks) * len(group.seeds), group.search.trials, group.search.tuned_on
    if "task" in tuned_on:
        return cells + trials * rows  # a task apart, on which a row chooses once for all of its cells
    return cells + max(trials - 1, 0) * (rows * len(group.tasks) if tuned_on else cells)


def _tries(group: Group, row: Row) -> int:
    """Return how many settings a cell of a row tries, where no search of the group counts them."""
    return 1 if group.search.trials else math.prod(len(values) for values in row.candidates.values())


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
    return sum(len(getattr(task, name)) for task in tasks for name in _PASSED[group.kind])
