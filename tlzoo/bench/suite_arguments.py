"""The arguments that name a suite, and the suite with its store that they stand for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlzoo.bench.suite_run import SuiteRun

__all__ = ["add_suite", "planned"]


def add_suite(command: argparse.ArgumentParser) -> None:
    """Add the arguments that :func:`planned` reads."""
    command.add_argument("suite", help="name of a suite (tlzoo bench list), or the path of a YAML file")
    command.add_argument("--store", type=Path, help="folder of results (default: runs/SUITE)")
    command.add_argument("--seeds", type=int, help="number of runs of everything random; overrides the suite")
    command.add_argument("--root", type=Path, help="folder of the data, for suites on your own data")
    command.add_argument("--task", help="a task of your own, for the suite exchange-rate")
    command.add_argument("--backbone", help="frozen network for --task (default: the usual one for its items)")
    command.add_argument("--protocol", help=argparse.SUPPRESS)


def planned(arguments: argparse.Namespace) -> SuiteRun:
    """Return the suite that was asked for, with the store of its results."""
    from tlzoo.bench.planning_cache import DEFAULT_PROTOCOL
    from tlzoo.bench.suite_run import open_suite

    return open_suite(
        arguments.suite,
        store=arguments.store,
        seeds=arguments.seeds,
        root=arguments.root,
        task=arguments.task,
        backbone=arguments.backbone,
        protocol=arguments.protocol or DEFAULT_PROTOCOL,
    )
