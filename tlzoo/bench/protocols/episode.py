"""One-shot and few-shot learning on frozen features: every method answers the same list of episodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tlzoo.bench.cell import Cell, Outcome, Report
from tlzoo.bench.dependence import measure_dependence
from tlzoo.bench.protocols.training import as_array, plain, receipt
from tlzoo.data import load_task
from tlzoo.data.sets import content_hash
from tlzoo.data.tasks import EpisodeTask
from tlzoo.lit import EpisodeData, OneShot
from tlzoo.types import Episode, Sees

__all__ = ["load", "run"]

_STORED_SCORES = 2_000_000


def load(cell: Cell, task: EpisodeTask) -> EpisodeData:
    """Return the data of a cell: frozen features."""
    shape: dict[str, Any] = {name: int(value) for name, value in cell.budget.items()}
    return EpisodeData(task, features=cell.backbone, seed=cell.seed, **shape)


def run(cell: Cell, report: Report) -> Outcome:
    """Answer the frozen list of episodes; the interval is over episodes."""
    task = load_task(cell.task, root=cell.root)
    if not isinstance(task, EpisodeTask):
        raise TypeError(f"{cell.task} is a {task.kind} task; expected an episode task")
    data = load(cell, task)
    module = OneShot(
        "identity",
        cell.method,
        backbone_settings={"num_features": data.num_features},
        method_settings=plain(cell.settings),
    )
    if Sees.SOURCE_INPUTS in module.method.sees:
        base = data.base_examples(module.method.sees, by=module.method_name)
        module.fit_base(base.inputs, base.labels)
    batches = data.test_dataloader()
    logits, hits = [], []
    with torch.no_grad():
        for place, batch in enumerate(batches):
            logits.append(module(batch))
            hits.append((logits[-1].argmax(dim=-1) == batch.query_labels).float().mean(dim=1))
            report((place + 1) / len(batches))
        dependence = measure_dependence(*_by_query(module, next(iter(batches))))
    accuracies = as_array(torch.cat(hits)).astype(np.float64)
    scores = as_array(torch.cat(logits))
    predictions = {"episode_accuracy": accuracies.astype(np.float32)}
    if scores.size <= _STORED_SCORES:
        predictions["query_logits"] = scores
    frozen = data.episode_list()
    return Outcome(
        metrics={
            "test/accuracy": float(accuracies.mean()),
            "test/interval": float(1.96 * accuracies.std(ddof=1) / np.sqrt(len(accuracies))),
        },
        receipt=receipt(
            module.method,
            dependence,
            episodes=len(accuracies),
            episode_list=frozen.hash,
            interval="1.96 s / sqrt(n) over episodes",
        ),
        predictions=predictions,
        splits={name: content_hash(data.task.novel.checksum, frozen.hash) for name in predictions},
    )


def _by_query(module: OneShot, batch: Episode) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """Return the first episode's answers as a function of its queries, and the queries."""
    first = replace(
        batch,
        support=batch.support[:1],
        support_labels=batch.support_labels[:1],
        query=batch.query[:1],
        query_labels=None,
    )

    def answer(query: Tensor) -> Tensor:
        logits: Tensor = module(replace(first, query=query.unsqueeze(0)))
        return logits[0]

    return answer, first.query[0]
