"""Fine-tuning: a pretrained network is reused for a few labelled target examples."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch

from tlzoo.backbones import create_backbone
from tlzoo.bench.cell import Cell, OnProgress
from tlzoo.bench.fitting import fit
from tlzoo.bench.protocols.domain import DomainProtocol, DomainRun, domain_data, scored
from tlzoo.bench.protocols.settings import optimizer_settings
from tlzoo.bench.protocols.skeleton import Run, trained_parameters
from tlzoo.bench.tuning import Settings
from tlzoo.data.tasks import DomainTask
from tlzoo.lit import DomainAdaptation, DomainData, FineTuning
from tlzoo.scoring import ClassScores
from tlzoo.types import Backbone, Prediction, Sees

__all__ = ["FineTuningProtocol"]


class FineTuningProtocol(DomainProtocol):
    """Pretrains on the source where the budget has steps for it, then fine-tunes on ``module.shots`` a class.

    Raises:
        ValueError: the cell has candidates; no validation labels are left among a few shots.
    """

    def __init__(self, cell: Cell, on_progress: OnProgress) -> None:
        if cell.candidates:
            raise ValueError("fine-tuning on a few shots has no validation set to choose candidates by; give settings")
        self.pretraining = int(cell.budget.get("pretraining_steps", 0))
        first = 0.5 if self.pretraining else 0.0
        self.on_pretraining_progress: OnProgress = lambda share: on_progress(first * share)
        super().__init__(cell, lambda share: on_progress(first + (1 - first) * share))

    @classmethod
    def load(cls, cell: Cell, task: DomainTask) -> DomainData:
        """Return the labelled target examples of a cell."""
        return domain_data(cell, task, target_shots=cell.module.get("shots"))

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
        backbone = create_backbone(str(cell.backbone))
        if self.pretraining:
            data = DomainData(self.task, batch_size=int(cell.budget["batch_size"]), seed=cell.seed)
            module = DomainAdaptation(
                backbone, "source_only", num_classes=self.task.num_classes, optimizer={"backbone_lr": 1.0, "lr": 0.01}
            )
            fit(module, data, cell, steps=self.pretraining, on_progress=self.on_pretraining_progress)
        torch.manual_seed(cell.seed)
        return copy.deepcopy(backbone)

    def measure(self, run: DomainRun) -> Mapping[str, float]:
        """Return the headline figure on the test."""
        test, module = run.data.task.target_test, run.module
        logits = torch.cat([module(batch.to(module.device).inputs) for batch in run.data.passes(test, whole=True)])
        run.last["target_test"] = Prediction(features=logits, logits=logits)
        return {"test": scored(ClassScores(self.task.num_classes), logits, test)[self.task.metric]}

    def figures(self, run: DomainRun) -> dict[str, float]:
        """Return how much was trained."""
        return {"trained_parameters": float(trained_parameters(run.module.network))}

    def notes(self, run: DomainRun) -> dict[str, Any]:
        """Return what the receipt says: that the source was seen, where weights that were trained on it are kept."""
        keeps = self.pretraining and run.method.keeps_pretraining
        shown = {Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS} if keeps else set()
        return {"answer": run.module, "shown": shown, "selection": "last step"}
