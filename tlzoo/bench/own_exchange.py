"""The suite ``exchange-rate`` on a task of the user's own: the same rows, as far as the task has what they need."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import yaml

from tlzoo.bench.suite_reader import find_suite
from tlzoo.errors import InputError

if TYPE_CHECKING:
    from tlzoo.data.tasks import Task

__all__ = ["EXCHANGE", "exchange_suite"]

EXCHANGE = "exchange-rate"
"""Name of the suite."""

_BACKBONES = {"image": "efficientnet_lite0", "text": "sentence:minilm", "features": "identity"}
"""Modality -> frozen network that is taken where none is named."""

_LABELS, _NAMES = "Labelled examples", "Topics of texts, class names alone"
_DOMAINS = ("Another style, nothing random", "Another style")


def exchange_suite(
    task: str, *, backbone: str | None = None, root: str | os.PathLike[str] | None = None
) -> dict[str, Any]:
    """Return the suite that converts each way to answer the test of a task into labelled examples.

    Args:
        task: a domain task (labelled source, target examples with labels to draw from, test), or a zero-shot task of
            texts with a development set; see :func:`tlzoo.load_task`.
        backbone: frozen network for all rows; None for the usual one of the task's modality.
        root: folder of the data, for tasks on disk.

    Raises:
        ValueError: there is nothing to draw labelled examples from, or no usual network.
    """
    from tlzoo.data import load_task

    known = load_task(task, root=root)
    few = load_task(f"{task}:few", root=root, kind="episode")
    modality = few.novel.modality
    network = backbone or _BACKBONES.get(modality)
    if network is None:
        raise InputError(f"{task} holds {modality} items, for which there is no usual frozen network; give --backbone")
    if few.shot < 2:
        raise InputError(
            f"{task} has {few.shot} labelled example of its smallest class; the curve needs two or more of each"
        )
    text = find_suite(EXCHANGE).read_text(encoding="utf-8").replace("style", "domain")
    groups = {group["title"].replace("domain", "style"): group for group in yaml.safe_load(text)["groups"]}

    def taken(title: str, own: str, rows: Callable[[dict[str, Any]], bool] = bool) -> dict[str, Any]:
        group = groups[title]
        return {**group, "tasks": [own], "backbones": [network], "methods": [m for m in group["methods"] if rows(m)]}

    def has_enough(row: dict[str, Any]) -> bool:
        # whitening within classes would learn from the labelled source, which is a way of its own
        return row["method"] != "whitened_logistic" and int(row["budget"]["shot"]) <= few.shot

    chosen = [taken(_LABELS, f"{task}:few", has_enough)]
    if known.kind == "domain":
        chosen += [taken(title, task) for title in _DOMAINS]
    if modality == "text":
        chosen.append(taken(_NAMES, f"{task}:names" if known.kind == "domain" else task, _usable(known)))
    name = re.sub(r"[^\w.-]+", "-", f"{EXCHANGE}-{task}").strip("-")
    return {
        "suite": name,
        "question": f"What is each way to answer {task} worth, in labels?",
        "seeds": 5,
        "groups": chosen,
    }


def _usable(task: Task) -> Callable[[dict[str, Any]], bool]:
    """Return which rows of class names a task has texts for."""
    described = task.kind == "zeroshot"
    return lambda row: described or "wordings" in row.get("module", {})
