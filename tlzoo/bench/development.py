"""Settings that are chosen once, on a development task and seed, and then frozen for a row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tlzoo.bench.cell import Cell, canonical
from tlzoo.storage import home, made_once

__all__ = ["development", "frozen_choice"]


def development(cell: Cell) -> Cell:
    """Return the cell whose candidates decide for this one: itself, unless its search says ``tuned_on``."""
    where = cell.search.get("tuned_on")
    if not where or not cell.candidates:
        return cell
    task: dict[str, Any] = {}
    if "task" in where:
        revisions = {name: value for name, value in cell.revisions.items() if name != "task"}
        raised = {"task": where["revision"]} if "revision" in where else {}
        task = {
            "data": {},
            "task": where["task"],
            "task_checksum": where["checksum"],
            "revisions": {**revisions, **raised},
        }
    search = {name: value for name, value in cell.search.items() if name != "tuned_on"}
    # under the lock that the choice is made under one process trains, for all that the cell has
    trainer = {name: value for name, value in cell.trainer.items() if name not in ("devices", "strategy")}
    return replace(cell, label="development", seed=where["seed"], search=search, trainer=trainer, **task)


def frozen_choice(cell: Cell, tune: Callable[[Cell], dict[str, Any]]) -> dict[str, Any] | None:
    """Return the receipt's note on the settings that were chosen elsewhere; None where the cell is tuned itself.

    All cells of a row share the choice: it is read from the store, or made there once.

    Args:
        cell: the cell to run.
        tune: runs the candidates of the development cell, and returns the note.
    """
    if (elsewhere := development(cell)) is cell:
        return None
    import torch

    text = canonical({**elsewhere.identity, "torch": torch.__version__})
    path = home() / "development" / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"

    def made(draft: Path) -> None:
        draft.write_text(json.dumps(tune(elsewhere)))

    note: dict[str, Any] = json.loads(made_once(path, made).read_text())
    return {**note, "tuned_on": {"task": elsewhere.task, "seed": elsewhere.seed}}
