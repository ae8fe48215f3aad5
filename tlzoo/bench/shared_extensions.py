"""Cells with methods, tasks or backbones that are not built in: who can run them, and whether their code changed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from tlzoo import registry
from tlzoo.backbones import names
from tlzoo.bench.cell import Cell
from tlzoo.data import catalog
from tlzoo.errors import InputError
from tlzoo.extensions import Extensions
from tlzoo.user_code import import_path

__all__ = ["changed_code", "in_session", "is_task", "name_of", "require_shared"]

_KINDS: dict[str, Extensions] = {
    each.kind: each for each in (registry.EXTENSIONS, catalog.EXTENSIONS, names.EXTENSIONS)
}


def _used(cells: Iterable[Cell]) -> Iterator[tuple[Extensions, str]]:
    """Yield the names in cells that may not be built in."""
    for used in {each for cell in cells for each in (*cell.code, *_task_of(cell))}:
        kind, _, name = used.partition(" ")
        yield _KINDS[kind], name


def _task_of(cell: Cell) -> list[str]:
    """Return the task of a cell, unless it is made of files that the suite names."""
    return [] if cell.data else [f"task {cell.task}"]


def require_shared(cells: Iterable[Cell]) -> None:
    """Refuse cells that other processes cannot run.

    Raises:
        ValueError: they use something that is only defined in this session.
    """
    for extensions, name in _used(cells):
        extensions.require_shared(name)


def in_session(cells: Iterable[Cell]) -> bool:
    """Return whether cells use something that is only defined in this session."""
    return any(not extensions.is_shared(name) for extensions, name in _used(cells))


def is_task(value: Any) -> bool:
    """Return whether a value is a task, without loading the module of tasks."""
    tasks = sys.modules.get("tlzoo.data.tasks")  # not loaded: then nothing is one
    return tasks is not None and isinstance(value, tasks.Task)


def name_of(target: Any) -> str:
    """Return the name of a class or function: its registered name, or its import path; of a task, its own.

    Raises:
        ValueError: it is neither registered nor to be imported.
    """
    name = next((name for extensions in _KINDS.values() if (name := extensions.named(target))), None)
    if name is None and is_task(target):
        catalog.register_task(target.name, target)
        return str(target.name)
    if name is None and (name := import_path(target)) is None:
        given = getattr(target, "__qualname__", repr(target))
        raise InputError(
            f"{given} is defined in this session; register it and use its name: register_method(NAME, ...)"
        )
    return name


def changed_code(cell: Cell) -> list[str]:
    """Return in words what changed in a cell's code; empty if nothing did.

    Raises:
        ValueError: something no longer exists.
    """
    changed = []
    for used, then in cell.code.items():
        kind, _, name = used.partition(" ")
        now = (names.code_of(name) if kind == "backbone" else _KINDS[kind].code(name)).get(used)
        if now is None:
            raise InputError(f"cell {cell.hash} needs {used}, which no longer exists; register it first")
        if now != then:
            changed.append(f"{used} {then} then, {now} now")
    return changed
