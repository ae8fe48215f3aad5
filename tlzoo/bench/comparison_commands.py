"""The commands of ``tlzoo bench`` that compare results: compare, reproduce, diff."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tlzoo.bench.suite_arguments import add_suite, planned
from tlzoo.spelling import printable

__all__ = ["add_checking_commands"]


def add_checking_commands(commands: Any) -> None:
    """Add compare, reproduce and diff to the subparsers of ``tlzoo bench``."""
    adders: tuple[tuple[str, Callable[[argparse.ArgumentParser], None], str], ...] = (
        ("compare", _add_compare, "answer whether one row is better than another, with the evidence"),
        ("reproduce", _add_reproduce, "run one stored cell again and say whether it matches"),
        ("diff", _add_diff, "say which figures differ between two sets of results"),
    )
    for name, add, text in adders:
        add(commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}."))


def _add_compare(command: argparse.ArgumentParser) -> None:
    command.add_argument("first", metavar="A", help="a row: its label, or the name of its method")
    command.add_argument("second", metavar="B", help="the other row, likewise")
    add_suite(command)
    command.set_defaults(handler=_compare)


def _compare(arguments: argparse.Namespace) -> int:
    from tlzoo.bench.compare import compare

    found = compare(planned(arguments).tables(), arguments.first, arguments.second)
    for comparison in found:
        print(printable(f"{comparison.title}: {comparison.answer}"))
        for line in comparison.evidence:
            print(f"  {printable(line)}")
    return 0


def _add_reproduce(command: argparse.ArgumentParser) -> None:
    command.add_argument("cell", help="hash of a stored cell, or a unique prefix of it")
    command.add_argument("--store", type=Path, help="folder of results (default: every folder in runs/)")
    command.add_argument("--protocol", help=argparse.SUPPRESS)
    command.set_defaults(handler=_reproduce)


def _reproduce(arguments: argparse.Namespace) -> int:
    from tlzoo.bench.planning_cache import DEFAULT_PROTOCOL
    from tlzoo.bench.reproduce import find_cell, reproduce

    store, record = find_cell(arguments.cell, arguments.store)
    print(f"{record.cell.hash}: {record.cell}")
    found = reproduce(record, store, arguments.protocol or DEFAULT_PROTOCOL)
    print(found.sentence)
    for line in found.differences:
        print(f"  {printable(line)}")
    return 0 if found.matches else 1


def _add_diff(command: argparse.ArgumentParser) -> None:
    for name in ("old", "new"):
        command.add_argument(name, type=Path, help="a folder of results, or a metrics file (tlzoo bench export)")
    command.add_argument("--tolerance", type=float, default=0.0, help="values that differ by less count as equal")
    command.set_defaults(handler=_diff)


def _diff(arguments: argparse.Namespace) -> int:
    from tlzoo.bench.diff_results import difference, read_figures

    found = difference(read_figures(arguments.old), read_figures(arguments.new), tolerance=arguments.tolerance)
    print(found.sentence)
    for line in found.lines:
        print(f"  {printable(line)}")
    return 0 if found.same else 1
