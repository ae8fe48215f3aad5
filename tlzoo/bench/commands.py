"""The commands of ``tlzoo bench``; heavy imports wait until a command needs them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tlzoo.bench.comparison_commands import add_checking_commands
from tlzoo.bench.suite_arguments import add_suite, planned
from tlzoo.errors import InputError
from tlzoo.spelling import nearest

if TYPE_CHECKING:
    from tlzoo.bench.suite import Group
    from tlzoo.bench.suite_run import SuiteRun

__all__ = ["add_commands"]

INTERRUPTED = 130
_FORMATS = ("terminal", "markdown", "latex", "csv", "csv-auxiliary", "html")


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Add all commands of ``tlzoo bench`` to its parser."""
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, handler, text in (
        ("run", _run, "run what is missing, then show the tables and write the HTML report"),
        ("plan", _plan, "say what a suite has to run, and what that costs; its data need not be there"),
        ("status", _status, "say what is finished, failed and missing"),
        ("report", _report, "show the tables of what is stored, or write them in another format"),
        ("export", _export, "write all figures as Parquet, or the compact metrics file"),
        ("list", _list, "list the suites that come with tlzoo"),
    ):
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        command.set_defaults(handler=handler)
        if name == "list":
            continue
        add_suite(command)
        _OPTIONS[name](command)
    add_checking_commands(commands)


def _file(text: str) -> Path:
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a folder; give a file")
    return path


def _run_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--executor", help="in_process, pool (default: worker processes), ray or slurm")
    command.add_argument("--workers", type=int, help="cells at a time (default: one per core; ray, slurm: no limit)")
    command.add_argument("--address", help="address of a Ray cluster (default: this machine); for slurm: local, debug")
    command.add_argument(
        "--cell-timeout",
        type=float,
        metavar="SECONDS",
        help="seconds after which a cell is stopped and counts as failed; 0: no limit (default: as the suite says)",
    )
    command.add_argument(
        "--logger",
        action="append",
        default=[],
        metavar="NAME",
        help="also log to tensorboard, wandb or mlflow (an extra each); may be repeated",
    )
    command.add_argument("--html", type=_file, help="file for the report (default: report.html in the store)")


def _report_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--format", default="terminal", help=f"one of {', '.join(_FORMATS)} (default: terminal)")
    command.add_argument("--output", type=_file, help="file to write (default: print; html: report.html in the store)")


def _export_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--metrics",
        action="store_true",
        help="write the compact metrics file (default: benchmarks/results/SUITE.json) instead of Parquet",
    )
    command.add_argument("--output", type=_file, help="file to write (default: results.parquet in the store)")


def _plan_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--accelerator", default="cpu", help="measured on cpu (one thread; the default) or cuda")
    command.add_argument(
        "--throughput", type=float, metavar="N", help="pictures a second that another machine trains on; not measured"
    )


_OPTIONS = {
    "run": _run_options,
    "plan": _plan_options,
    "status": lambda command: None,  # noqa: ARG005
    "report": _report_options,
    "export": _export_options,
}


def _run(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from tlzoo.bench.execution.executor_names import EXECUTORS
    from tlzoo.bench.loggers import check_loggers, choose_loggers

    name = arguments.executor or "pool"
    if name not in EXECUTORS:
        raise InputError(nearest(name, EXECUTORS, kind="executor"))
    check_loggers(arguments.logger)
    given = arguments.workers, arguments.address
    executor = EXECUTORS[name](*given, arguments.cell_timeout or None)
    suite = planned(arguments)
    cells, store, limit = suite.plan.cells, suite.store, suite.plan.suite.cell_timeout
    if limit is not None and arguments.cell_timeout is None:
        executor = EXECUTORS[name](*given, limit)
    if arguments.logger:
        choose_loggers(arguments.logger, store.root / "logs")
    console = Console()
    try:
        done = suite.run(executor, console=console)
    except KeyboardInterrupt:
        stored = f"{len(store.finished(cells))} of {len(cells)} cells are finished and stored"
        print(f"interrupted: {stored}; run again to continue", file=sys.stderr)
        return INTERRUPTED
    parts = [f"{done.finished} run", f"{done.stored} stored before", f"{len(done.failed)} failed"]
    _show(suite, console)
    console.print(f"{len(cells)} cells: {', '.join(parts)}", highlight=False)
    path = suite.report(arguments.html)
    console.print(f"report: {path}", soft_wrap=True, markup=False, highlight=False)
    return 1 if done.failed else 0


def _show(suite: SuiteRun, console: object = None) -> None:
    from rich.console import Console

    from tlzoo.bench.report.auxiliary_tables import build_auxiliary_tables
    from tlzoo.bench.report.exchange_tables import as_data
    from tlzoo.bench.report.table_layout import layout
    from tlzoo.bench.report.terminal import exchange_table, terminal

    shown = console if isinstance(console, Console) else Console()
    tables = suite.tables()
    for each in (*map(layout, tables), *build_auxiliary_tables(tables, suite.store)):
        shown.print(terminal(each), soft_wrap=True)
    for family in as_data(suite.exchange()):
        shown.print(exchange_table(family), soft_wrap=True)


def _plan(arguments: argparse.Namespace) -> int:
    from tlzoo.bench.price import prices
    from tlzoo.bench.suite_run import asked_suite

    changes = {name: getattr(arguments, name) for name in ("seeds", "root", "task", "backbone")}
    suite = asked_suite(arguments.suite, **changes)

    def begin(group: Group) -> None:
        if sys.stderr.isatty():  # running rows in small takes up to half a minute
            print(f"pricing {group.title} ...", end="\r", file=sys.stderr, flush=True)

    for price in prices(suite, accelerator=arguments.accelerator, throughput=arguments.throughput, on_group=begin):
        print(price, flush=True)
    return 0


def _status(arguments: argparse.Namespace) -> int:
    suite = planned(arguments)
    store = suite.store
    for group, cells in suite.plan.groups:
        finished = store.finished(cells)
        failures = [failure for cell in cells if (failure := store.failure(cell)) is not None]
        missing = len(cells) - len(finished) - len(failures)
        print(f"{group.title}: {len(finished)} finished, {len(failures)} failed, {missing} missing")
        for failure in failures:
            print(f"  {failure.cell}: {failure.last_line}")
    print(f"store: {store.root}")
    return 0


def _report(arguments: argparse.Namespace) -> int:
    if arguments.format not in _FORMATS:
        raise InputError(nearest(arguments.format, _FORMATS, kind="format"))
    suite = planned(arguments)
    if arguments.format == "html":
        print(suite.report(arguments.output))
    elif arguments.format == "terminal" and arguments.output is None:
        _show(suite)
    else:
        from tlzoo.storage import replace_file

        text = suite.render(arguments.format)
        if arguments.output is None:
            print(text, end="")
        else:
            replace_file(arguments.output, text.encode())
            print(arguments.output)
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from tlzoo.bench.export import write_metrics, write_parquet

    suite = planned(arguments)
    plan, store = suite.plan, suite.store
    if arguments.metrics:
        path = arguments.output or Path("benchmarks/results") / f"{plan.suite.name}.json"
        count = write_metrics(path, plan, store)
        print(f"{path}: {count} of {len(plan.cells)} cells")
    else:
        path = arguments.output or store.root / "results.parquet"
        count = write_parquet(path, plan, store)
        print(f"{path}: {count} figures")
    return 0


def _list(_: argparse.Namespace) -> int:
    from tlzoo.bench.suite_reader import list_suites, load_suite

    for name in list_suites():
        print(f"{name}: {load_suite(name).question}")
    return 0
