"""Suites from Python: what ``tlzoo bench`` does, as a function and an object."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlzoo.bench.execution.runner import RunSummary, run_cells
from tlzoo.bench.own_exchange import EXCHANGE, exchange_suite
from tlzoo.bench.plan import Plan, make_plan
from tlzoo.bench.planning_cache import DEFAULT_PROTOCOL
from tlzoo.bench.store import Failure, Store
from tlzoo.bench.suite_reader import load_suite
from tlzoo.errors import InputError
from tlzoo.spelling import nearest

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from tlzoo.bench.exchange import Family
    from tlzoo.bench.execution.local_executors import Executor
    from tlzoo.bench.report.tables import Table
    from tlzoo.bench.suite import Suite

__all__ = ["SuiteRun", "asked_suite", "choose_executor", "open_suite", "run_suite"]


class SuiteRun:
    """A suite, its cells, and the store of their results.

    Attributes:
        plan: the suite with its cells.
        store: where their outcomes are.
        summary: how many cells the last :meth:`run` ran, found and failed; None where none was.
    """

    def __init__(self, plan: Plan, store: Store, *, protocol: str = DEFAULT_PROTOCOL, command: str = "") -> None:
        self.plan, self.store, self.protocol, self.command = plan, store, protocol, command
        self.summary: RunSummary | None = None

    def run(self, executor: Executor, *, console: Console | None = None) -> RunSummary:
        """Run the cells that are not stored, those that failed before again.

        Args:
            executor: who runs them.
            console: where progress is shown.

        Raises:
            ValueError: the suite lacks the baselines that its tables need.
        """
        self.tables()  # a suite without its baselines is refused before hours of work, not after
        self.summary = run_cells(
            self.plan.cells, self.store, executor=executor, protocol=self.protocol, console=console
        )
        return self.summary

    def tables(self) -> list[Table]:
        """Return the tables of the stored results: one per group, task and backbone, and their summaries."""
        from tlzoo.bench.report import build_tables

        return build_tables(self.plan, self.store)

    def render(self, format: str = "markdown") -> str:
        """Return the tables as text: ``markdown``, ``latex``, ``csv`` or ``csv-auxiliary``."""
        from tlzoo.bench.report import build_auxiliary_tables, render

        tables = self.tables()
        return render(tables, format, build_auxiliary_tables(tables, self.store))

    def exchange(self) -> list[Family]:
        """Return what each way is worth in labelled examples, of suites that have tasks ``TASK:few``; else nothing."""
        from tlzoo.bench.exchange import exchange_of, has_exchange

        return exchange_of(self.plan, self.store) if has_exchange(self.plan) else []

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row per finished cell, with its description and a column for each metric."""
        import pandas as pd

        from tlzoo.bench.export import described

        rows = [{**about, **record.metrics} for about, record in described(self.plan, self.store)]
        return pd.DataFrame(rows)

    def report(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Write the HTML report, by default ``report.html`` in the store; return its path."""
        from tlzoo.bench.report.page import write_page

        file = self.store.root / "report.html" if path is None else Path(path)
        write_page(file, self.plan, self.store, self.tables(), command=self.command)
        return file

    def failures(self) -> list[Failure]:
        """Return the cells that failed, with their tracebacks."""
        return [failure for cell in self.plan.cells if (failure := self.store.failure(cell)) is not None]

    def _repr_markdown_(self) -> str:
        """Return what a notebook shows."""
        return self.render()

    def __repr__(self) -> str:
        finished = len(self.store.finished(self.plan.cells))
        return f"<SuiteRun {self.plan.suite.name}: {finished} of {len(self.plan.cells)} cells in {self.store.root}>"


def asked_suite(
    suite: str | os.PathLike[str] | Mapping[str, Any],
    *,
    seeds: int | None = None,
    root: str | os.PathLike[str] | None = None,
    task: str | None = None,
    backbone: str | None = None,
) -> Suite:
    """Return a suite with what is asked for instead of what it says; see :func:`open_suite`."""
    if task is None:
        if backbone is not None:
            raise InputError("--backbone is for --task; a suite names its own backbones")
        read = load_suite(suite)
    elif suite != EXCHANGE:
        raise InputError(f"--task is for {EXCHANGE}; write a suite of your own to run other methods on {task}")
    else:
        read = load_suite(exchange_suite(task, backbone=backbone, root=root))
    read = read if seeds is None else read.with_seeds(seeds)
    return read if root is None else read.with_root(os.fspath(root))


def open_suite(
    suite: str | os.PathLike[str] | Mapping[str, Any],
    *,
    store: str | os.PathLike[str] | None = None,
    seeds: int | None = None,
    root: str | os.PathLike[str] | None = None,
    task: str | None = None,
    backbone: str | None = None,
    protocol: str = DEFAULT_PROTOCOL,
) -> SuiteRun:
    """Return a suite with its stored results; nothing is run.

    Args:
        suite: name of a suite that comes with tlzoo, path of a YAML file, or what such a file holds.
        store: folder of results; ``runs/SUITE`` where None.
        seeds: runs of everything random, instead of what the suite says.
        root: folder of the data, for suites on data of one's own.
        task: a task of your own for ``exchange-rate``, see :func:`tlzoo.bench.own_exchange.exchange_suite`.
        backbone: the frozen network for it.
        protocol: module that runs cells.

    Raises:
        SuiteError: the suite has a mistake; the message names its line.
        ValueError: another suite is given a task, or the task has no labels to draw examples from.
    """
    read = asked_suite(suite, seeds=seeds, root=root, task=task, backbone=backbone)
    words = ["tlzoo", "bench", "run", os.fspath(suite) if not isinstance(suite, Mapping) else read.path.name]
    words += [] if task is None else ["--task", task, *([] if backbone is None else ["--backbone", backbone])]
    words += [] if seeds is None else ["--seeds", str(seeds)]
    words += [] if root is None else ["--root", str(root)]
    where = Store(Path("runs") / read.name if store is None else store)
    return SuiteRun(make_plan(read, protocol), where, protocol=protocol, command=shlex.join(words))


def run_suite(
    suite: str | os.PathLike[str] | Mapping[str, Any],
    *,
    store: str | os.PathLike[str] | None = None,
    seeds: int | None = None,
    root: str | os.PathLike[str] | None = None,
    executor: str | Executor | None = None,
    workers: int | None = None,
    address: str | None = None,
    cell_timeout: float | None = None,
    loggers: Sequence[str] = (),
    progress: bool = True,
    task: str | None = None,
    backbone: str | None = None,
    protocol: str = DEFAULT_PROTOCOL,
) -> SuiteRun:
    """Run the missing cells of a suite; return it with its results.

    Cells are stored as they finish and never run twice: interrupted, the same call goes on where it was.

    Args:
        suite: name of a suite that comes with tlzoo, path of a YAML file, or what such a file holds.
        store: folder of results; ``runs/SUITE`` where None.
        seeds: runs of everything random, instead of what the suite says.
        root: folder of the data, for suites on data of one's own.
        executor: ``in_process``, ``pool`` (worker processes), ``ray``, ``slurm``, or an executor; None for ``pool``,
            and for ``in_process`` where the suite uses something that is defined in this session alone.
        workers: cells at a time; None for one per core (ray, slurm: no limit).
        address: of a Ray cluster; for slurm ``local`` or ``debug``.
        cell_timeout: seconds after which a cell is stopped and counts as failed; 0: no limit; None: as the suite says.
        loggers: where measured figures also go: ``tensorboard``, ``wandb``, ``mlflow``.
        progress: show a progress bar.
        task: a task of your own for ``exchange-rate``, see :func:`open_suite`.
        backbone: the frozen network for it.
        protocol: module that runs cells.

    Raises:
        SuiteError: the suite has a mistake; the message names its line.
        ValueError: an executor or a logger of this name does not exist, or the suite lacks its baselines.
    """
    from tlzoo.bench.loggers import check_loggers, choose_loggers

    check_loggers(list(loggers))
    made = open_suite(suite, store=store, seeds=seeds, root=root, task=task, backbone=backbone, protocol=protocol)
    who = choose_executor(executor, made.plan, workers=workers, address=address, cell_timeout=cell_timeout)
    if loggers:
        choose_loggers(list(loggers), made.store.root / "logs")
    made.run(who, console=_console() if progress else None)
    return made


def choose_executor(
    executor: str | Executor | None,
    plan: Plan,
    *,
    workers: int | None = None,
    address: str | None = None,
    cell_timeout: float | None = None,
) -> Executor:
    """Return the executor of a name, see :func:`run_suite`.

    Raises:
        ValueError: there is none of this name.
    """
    from tlzoo.bench.execution.executor_names import EXECUTORS
    from tlzoo.bench.shared_extensions import in_session

    if executor is not None and not isinstance(executor, str):
        return executor
    name = executor or ("in_process" if in_session(plan.cells) else "pool")
    if name not in EXECUTORS:
        raise InputError(nearest(name, EXECUTORS, kind="executor"))
    limit = plan.suite.cell_timeout if cell_timeout is None else cell_timeout
    return EXECUTORS[name](workers, address, limit or None)


def _console() -> Console:
    from rich.console import Console

    return Console()
