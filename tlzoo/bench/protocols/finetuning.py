"""Fine-tuning: a pretrained network is reused for a few labelled target examples."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tlzoo.backbones import create_backbone
from tlzoo.bench.cell import Cell, OnProgress
from tlzoo.bench.fitting import fit
from tlzoo.bench.protocols.domain import DomainProtocol, DomainRun, domain_data, scored
from tlzoo.bench.protocols.networks import network_name, network_settings
from tlzoo.bench.protocols.settings import optimizer_settings
from tlzoo.bench.protocols.skeleton import Run, trained_parameters
from tlzoo.bench.tuning import Settings
from tlzoo.data import load_task
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.tasks import DomainTask
from tlzoo.errors import InputError
from tlzoo.lit import DomainAdaptation, DomainData, FineTuning
from tlzoo.scoring import ClassScores
from tlzoo.types import Backbone, Prediction, Sees

__all__ = ["FineTuningProtocol"]


class FineTuningProtocol(DomainProtocol):
    """Pretrains on the source where the budget has steps for it, then fine-tunes on ``module.shots`` a class.

    Candidates are chosen on ``module.validation_shots`` further labelled target examples a class. The network is also
    tested on the target test sets of ``module.elsewhere``, tasks with the same classes: ``elsewhere/accuracy`` is the
    mean over them, out of the distribution that was fine-tuned on.

    Raises:
        ValueError: there are candidates and no validation shots; or a task elsewhere has other classes.
    """

    def __init__(self, cell: Cell, on_progress: OnProgress) -> None:
        if cell.candidates and not cell.module.get("validation_shots"):
            raise InputError(
                "fine-tuning chooses candidates on labelled target examples that it does not train on; set "
                "module: {validation_shots: N}, or give settings in place of candidates"
            )
        self.pretraining = int(cell.budget.get("pretraining_steps", 0))
        first = 0.5 if self.pretraining else 0.0
        self.on_pretraining_progress: OnProgress = lambda share: on_progress(first * share)
        super().__init__(cell, lambda share: on_progress(first + (1 - first) * share))
        self.held_out = self._held_out(cell)
        self.elsewhere = {name: self._elsewhere(name) for name in cell.module.get("elsewhere", ())}

    @classmethod
    def for_cell(cls, cell: Cell, task: DomainTask) -> DomainTask:  # noqa: ARG003
        """Return the task as it is: its data keep ``module.shots`` labelled target examples and nothing else."""
        return task

    @classmethod
    def load(cls, cell: Cell, task: DomainTask) -> DomainData:
        """Return the labelled target examples of a cell."""
        return domain_data(cell, task, target_shots=cell.module.get("shots"))

    def _held_out(self, cell: Cell) -> ExampleSet | None:
        """Return the examples for choosing candidates: of each class, those drawn right after the shots."""
        shots, further = cell.module.get("shots"), int(cell.module.get("validation_shots", 0))
        if not further:
            return None
        if shots is None:
            raise InputError(f"{further} validation shots beside the whole target; set shots as well")
        drawn = [self.task.target_shots(count, seed=cell.seed) for count in (shots, shots + further)]
        return self.task.target_train.subset(np.setdiff1d(drawn[1], drawn[0]))

    def _elsewhere(self, name: str) -> ExampleSet:
        task: Any = load_task(name, root=self.cell.root)
        if not isinstance(task, DomainTask) or task.class_names != self.task.class_names:
            raise InputError(f"module: elsewhere names {name}, whose classes are not those of {self.task.name}")
        return task.target_test

    def build(self, cell: Cell, settings: Settings) -> DomainRun:
        """Return data, and the module on the pretrained backbone."""
        module = FineTuning(
            self._pretrained(cell),
            cell.method,
            num_classes=self.task.num_classes,
            optimizer=optimizer_settings(cell),
            method_settings=settings,
        )
        return Run(cell=cell, data=self.data, module=module)

    def _pretrained(self, cell: Cell) -> Backbone:
        """Return the backbone, trained on the labelled source for ``pretraining_steps``, the same for every method."""
        backbone = create_backbone(network_name(cell), **network_settings(cell, self.task))
        if self.pretraining:
            data = DomainData(self.task, batch_size=int(cell.budget["batch_size"]), seed=cell.seed)
            module = DomainAdaptation(
                backbone, "source_only", num_classes=self.task.num_classes, optimizer={"backbone_lr": 1.0, "lr": 0.01}
            )
            fit(module, data, cell, steps=self.pretraining, on_progress=self.on_pretraining_progress)
        torch.manual_seed(cell.seed)
        return copy.deepcopy(backbone)

    def measure(self, run: DomainRun) -> Mapping[str, float]:
        """Return the headline figure on the test, on the validation shots, and elsewhere."""
        test = run.data.task.target_test
        logits = _logits(run, test)
        run.last["target_test"] = Prediction(features=logits, logits=logits)
        row = {"test": self._headline(logits, test)}
        if self.held_out is not None:
            row["validation"] = self._headline(_logits(run, self.held_out), self.held_out)
        return row

    def _headline(self, logits: Tensor, examples: ExampleSet) -> float:
        return scored(ClassScores(self.task.num_classes), logits, examples)[self.task.metric]

    def rule(self, run: DomainRun) -> str:
        """Return the curve by which candidates are chosen: that of the validation shots."""
        return "validation"

    @torch.no_grad()
    def figures(self, run: DomainRun) -> dict[str, float]:
        """Return the number of trained parameters, and the figures elsewhere."""
        found = {name: self._headline(_logits(run, test), test) for name, test in self.elsewhere.items()}
        mean = {f"elsewhere/{self.task.metric}": float(np.mean(list(found.values())))} if found else {}
        each = {f"elsewhere/{name}": value for name, value in found.items()}
        return {"trained_parameters": float(trained_parameters(run.module.network)), **mean, **each}

    def notes(self, run: DomainRun) -> dict[str, Any]:
        """Return the entries of the receipt; the source counts as seen if weights trained on it are kept."""
        keeps = self.pretraining and run.method.keeps_pretraining
        shown = {Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS} if keeps else set()
        tuned = {Sees.VALIDATION_LABELS} if self.cell.candidates else set()
        return {"answer": run.module, "shown": shown | tuned, "selection": "last step"}


def _logits(run: DomainRun, examples: ExampleSet) -> Tensor:
    module = run.module
    return torch.cat([module(batch.to(module.device).inputs) for batch in run.data.passes(examples, whole=True)])
