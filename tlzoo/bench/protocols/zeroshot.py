"""Zero-shot learning on frozen features: fit on seen classes, choose by held-out ones, test on unseen ones.

Settings, and gamma for generalized zero-shot learning, are chosen in a rehearsal: the method is fitted on the seen
classes and tested on the held-out ones. Then it is fitted on both. Text tasks without training choose on a labelled
development set, and the receipt says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tlzoo.bench.cell import Cell, Outcome
from tlzoo.bench.fitting import fit, steps_per_epoch
from tlzoo.bench.protocols.networks import frozen_backbone
from tlzoo.bench.protocols.settings import EPOCHS, optimizer_settings
from tlzoo.bench.protocols.skeleton import Protocol, Run, class_tables, example_figures
from tlzoo.bench.tuning import Settings
from tlzoo.data.example_set import split_hash
from tlzoo.data.tasks import ZeroShotTask
from tlzoo.errors import InputError
from tlzoo.lit import ZeroShot, ZeroShotData
from tlzoo.registry import method_class
from tlzoo.scoring import ClassScores, ZeroShotScores, scorer
from tlzoo.types import Backbone, Need, Sees

__all__ = ["ZeroShotProtocol"]

ZeroShotRun = Run[ZeroShotData, ZeroShot]

_PROMPTS = ("templates", "wordings")


class ZeroShotProtocol(Protocol[ZeroShotTask, ZeroShotData, ZeroShot]):
    """Fits and answers; candidates are chosen on the rehearsal by top-1, or (generalized) by AUSUC."""

    takes = ZeroShotTask

    @classmethod
    def load(cls, cell: Cell, task: ZeroShotTask) -> ZeroShotData:
        """Return frozen features and encoded descriptions; the development set only if candidates are chosen on it."""
        used = task if cell.candidates else replace(task, development=None)
        return _described(cell, used, features=frozen_backbone(cell))

    def build(self, cell: Cell, settings: Settings) -> ZeroShotRun:
        """Return the module with the data of the rehearsal, or of the test if there is nothing to choose."""
        data = shown = self._prompted(cell)
        if self.cell.candidates or None not in (self.task.test_seen, self.task.validation):
            rehearsal = data.task.on_development() if self.task.train is None else data.task.rehearsal()
            shown = ZeroShotData(rehearsal, **_batches(cell))
        run = _run(cell, shown, settings)
        run.last = {"data": data, "settings": settings, "rehearses": shown is not data}
        return run

    def _prompted(self, cell: Cell) -> ZeroShotData:
        """Return the data with descriptions from the prompts under trial."""
        if not set(_PROMPTS) & set(self.cell.candidates):
            return self.data
        if not self.data.prompts:
            raise InputError(
                f"{self.task.name} has embeddings of its own, so prompts have no effect; drop the candidates"
            )
        return _described(cell, replace(self.data.task, embeddings=None))

    def train(self, run: ZeroShotRun) -> None:
        """Fit to the rehearsal, if there is one."""
        if run.last["rehearses"]:
            self._fit(run)

    def _fit(self, run: ZeroShotRun) -> None:
        module, budget = run.module, run.cell.budget
        if module.trained and "steps" not in budget:
            raise InputError(f"{run.cell.method} is trained step by step; give steps and batch_size in the budget")
        if Sees.SOURCE_INPUTS in run.method.sees:
            steps = int(budget["steps"]) if module.trained else -1
            fit(module, run.data, run.cell, steps=steps, on_progress=self.on_progress)

    def measure(self, run: ZeroShotRun) -> Mapping[str, float]:
        """Return the figures of the test of the run's data."""
        figures: dict[str, float] = _answered(run).compute()
        return figures

    def validation(self, run: ZeroShotRun) -> float:
        """Return AUSUC of a generalized rehearsal, top-1 of another."""
        return self.measure(run)["accuracy" if self.task.test_seen is None else "ausuc"]

    def final(self, run: ZeroShotRun) -> ZeroShotRun:
        """Return a run fitted to seen and held-out classes, with the gamma of the rehearsal."""
        data = run.last["data"]
        notes: dict[str, Any] = {}
        if self.task.validation is not None:
            notes["fitted"] = "on seen and held-out classes"
            if self.task.test_seen is not None:
                notes["gamma"] = _answered(run).curve().best_gamma()
            data = ZeroShotData(data.task.with_held_out_seen(), **_batches(run.cell))
        torch.manual_seed(run.cell.seed)  # independent of earlier fits
        last = _run(run.cell, data, run.last["settings"], notes)
        self._fit(last)
        return last

    def outcome(self, run: ZeroShotRun, note: dict[str, Any]) -> Outcome:
        """Return the outcome on the test classes."""
        answers, data, gamma = _answered(run), run.data, run.notes.get("gamma")
        generalized = self.task.test_seen is not None
        metrics = {f"test/{name}": value for name, value in answers.compute().items()}
        if gamma is not None:
            metrics |= {f"calibrated/{name}": value for name, value in answers.sides(gamma).items()}
        if generalized:
            metrics["oracle/harmonic"] = float(answers.curve().harmonic.max())
        candidates = tuple(data.task.class_names[place] for place in data.task.candidates)
        prompts = _by_prompt(run)
        logits, asked = answers.collected()[0], data.asked("test")
        figures = {} if generalized else example_figures(logits.argmax(dim=1), asked, "accuracy")
        return self.found(
            run,
            metrics=metrics | _spread(list(prompts.values())),
            predictions={"test_logits": logits.numpy(), **figures},
            split=split_hash(asked),
            tables=class_tables("test_logits", answers.counted(), candidates),
            series=answers.series() if generalized else {},
            answer=run.module,
            items=asked,
            shown={Sees.VALIDATION_LABELS} if note and self.task.train is None else (),
            prompts=prompts or None,
            **note,
        )


def _described(cell: Cell, task: ZeroShotTask, *, features: Backbone | str | None = None) -> ZeroShotData:
    return ZeroShotData(
        task,
        features=features,
        descriptions=cell.module.get("descriptions", "sentence:minilm"),
        templates=cell.module.get("templates", ("{}",)),
        wordings=cell.module.get("wordings", ("description",)),
        random_descriptions=int(cell.module.get("random_descriptions", 0)),
        **_batches(cell),
    )


def _batches(cell: Cell) -> dict[str, Any]:
    return {
        "batch_size": int(cell.budget.get("batch_size", 256)),
        "seed": cell.seed,
        "steps_per_epoch": steps_per_epoch(int(cell.budget.get("steps", EPOCHS))),
    }


def _run(cell: Cell, data: ZeroShotData, settings: Settings, notes: dict[str, Any] | None = None) -> ZeroShotRun:
    """Return a run of a method that was not fitted yet."""
    reads = Need.TEXTS in method_class(cell.method).needs
    if reads and cell.backbone:
        raise InputError(f"{cell.method} takes raw texts, but {cell.backbone} would encode them; give no backbone")
    module = ZeroShot(
        "identity",
        cell.method,
        num_classes=data.num_candidates,
        num_embedding=data.embeddings.shape[1],
        optimizer=optimizer_settings(cell),
        backbone_settings={"num_features": 1 if reads else data.num_features},  # a method that reads goes past it
        method_settings=settings,
    )
    return Run(cell=cell, data=data, module=module, notes=notes or {})


def _answered(run: ZeroShotRun) -> ZeroShotScores:
    """Return the answers to the test of the run's data."""
    module, data = run.module, run.data
    embeddings, seen = data.candidates("test")
    module.bind(data.candidate_texts("test") if module.reads else embeddings, seen=seen)
    answers: ZeroShotScores = scorer(data.task)
    answers.update(*_scores(run))
    return answers


def _scores(run: ZeroShotRun) -> tuple[Tensor, Tensor]:
    """Return scores (N, C) among the candidates that are bound, and labels (N,)."""
    labels = run.data.asked("test").labels
    assert labels is not None
    with torch.no_grad():
        passes = run.data.answers("test", run.method.sees, whole=True)
        return torch.cat([run.module(batch.inputs) for batch in passes]), torch.from_numpy(labels)


def _by_prompt(run: ZeroShotRun) -> dict[str, float]:
    """Return top-1 of each of several prompts, used alone.

    Only for methods without a fit, because others would need a fit per prompt.
    """
    data, classes, found = run.data, run.data.task.candidates, {}
    if len(data.prompts) > 1 and not run.module.reads and data.task.train is None:
        for prompt, embeddings in data.prompts.items():
            run.module.bind(torch.from_numpy(embeddings[classes]), seen=torch.zeros(len(classes), dtype=torch.bool))
            found[prompt] = ClassScores(len(classes)).of(*_scores(run))["accuracy"]
    return found


def _spread(figures: list[float]) -> dict[str, float]:
    if not figures:
        return {}
    ends = {"prompt/lowest": min(figures), "prompt/highest": max(figures)}
    return {"prompt/mean": float(np.mean(figures)), "prompt/std": float(np.std(figures, ddof=1)), **ends}
