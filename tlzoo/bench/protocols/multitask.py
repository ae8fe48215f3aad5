"""Multitask learning: train on all tasks, measure each on test data by its own metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.bench.cell import Cell, Outcome
from tlzoo.bench.fitting import steps_per_epoch
from tlzoo.bench.protocols.networks import frozen_backbone, network_name, network_settings
from tlzoo.bench.protocols.settings import optimizer_settings
from tlzoo.bench.protocols.skeleton import Protocol, Run, class_tables, logged_figures, trained_parameters
from tlzoo.bench.tuning import Settings, plain
from tlzoo.data.example_set import ExampleSet, split_hash
from tlzoo.data.tasks import MultitaskTask
from tlzoo.lit import Multitask, MultitaskData
from tlzoo.scoring import ClassScores, MultitaskScores, scorer
from tlzoo.types import Sees

__all__ = ["MultitaskProtocol"]

MultitaskRun = Run[MultitaskData, Multitask]

_MOST_STORED = 2_000_000
"""The most numbers that are stored of an output with a value at every position."""
_MOST_ASKED, _PATCHES = 32, 8
"""Of a task with answers at every position: how many pictures show whether answers depend on one another, and over how
many patches a side they are averaged. Rounding may move a single position far, where a network picks maxima."""


class MultitaskProtocol(Protocol[MultitaskTask, MultitaskData, Multitask]):
    """Trains one network; candidates are chosen by the headline figure (a mean over tasks) on validation data."""

    takes = MultitaskTask

    @classmethod
    def load(cls, cell: Cell, task: MultitaskTask) -> MultitaskData:
        """Return inputs with several targets."""
        return MultitaskData(
            task,
            features=frozen_backbone(cell) if cell.module.get("frozen") else None,
            batch_size=int(cell.budget["batch_size"]),
            seed=cell.seed,
            steps_per_epoch=steps_per_epoch(int(cell.budget["steps"])),
        )

    def build(self, cell: Cell, settings: Settings) -> MultitaskRun:
        """Return data and module, before training."""
        backbone, backbone_settings = self._network(cell)
        module = Multitask(
            backbone,
            cell.method,
            targets=self.task.targets,
            sharing=cell.module.get("sharing", "hard"),
            sharing_settings=plain(cell.module.get("sharing_settings", {})),
            decoder=cell.module.get("decoder", "linear"),
            space=cell.module.get("space", "parameters"),
            monitor=bool(cell.module.get("monitor", False)),
            optimizer=optimizer_settings(cell),
            backbone_settings=backbone_settings,
            method_settings=settings,
        )
        return Run(cell=cell, data=self.data, module=module)

    def _network(self, cell: Cell) -> tuple[str, dict[str, Any] | None]:
        """Return the trained network: the backbone or, on frozen features, the identity or ``hidden`` layers."""
        if not cell.module.get("frozen"):
            return network_name(cell), network_settings(cell, self.task)
        if "hidden" in cell.module:
            return "mlp", {"num_inputs": self.data.num_features, "hidden": plain(cell.module["hidden"])}
        return "identity", {"num_features": self.data.num_features}

    def measure(self, run: MultitaskRun) -> Mapping[str, float]:
        """Return the headline figures on test data, and the last logged figures."""
        outputs, counted = self._answered(run, self.data.task.test)
        run.last = {"outputs": outputs, "counted": counted}
        figures = counted.compute()
        by_task = {name: figures[name] for name in counted.names}
        return {"test": figures[self.task.metric], **by_task, **logged_figures(run.module)}

    def validation(self, run: MultitaskRun) -> float:
        """Return the headline figure on validation data."""
        return self._answered(run, self.data.task.validation)[1].compute()[self.task.metric]

    def _answered(self, run: MultitaskRun, examples: ExampleSet) -> tuple[dict[str, Tensor], MultitaskScores]:
        """Return the outputs for a set by task, those of bounded size, and their scores.

        Answers at every position are scored in batches of the training's size and not kept: those for a whole set fill
        gigabytes.
        """
        module = run.module.eval()
        module.study(examples if Sees.TEST_INPUTS in module.method.sees else run.data.training_data.train)
        dense = self.task.dense
        batch_size = int(run.cell.budget["batch_size"]) if dense else None
        counted: MultitaskScores = scorer(self.task)
        parts: dict[str, list[Tensor]] = {}
        done = 0
        for batch in run.data.passes(examples, batch_size=batch_size, whole=True):
            with torch.no_grad():
                outputs = {task: output.cpu() for task, output in module(batch.to(module.device).inputs).items()}
            if dense:
                rows = slice(done, done := done + len(next(iter(outputs.values()))))
                counted.update(outputs, {task: torch.from_numpy(examples.targets[task][rows]) for task in outputs})
            for task, output in outputs.items():
                if output.ndim < 3 or output[0].numel() * len(examples) <= _MOST_STORED:
                    parts.setdefault(task, []).append(output)
        kept = {task: torch.cat(part) for task, part in parts.items()}
        if not dense:
            counted.update(kept, {task: torch.from_numpy(examples.targets[task]) for task in kept})
        return kept, counted

    def outcome(self, run: MultitaskRun, note: dict[str, Any]) -> Outcome:
        """Return the outcome on test data."""
        test, outputs, counted = self.data.task.test, run.last["outputs"], run.last["counted"]
        tables: dict[str, Any] = {}
        for name, part in zip(counted.names, counted.parts, strict=True):
            tables |= class_tables(f"test_{name}", part) if isinstance(part, ClassScores) else {}

        def answer(items: Any) -> Tensor:
            return torch.cat([_in_patches(output).flatten(1) for output in run.module(items).values()], dim=1)

        return self.found(
            run,
            metrics={f"test/{name}": value for name, value in counted.compute().items()},
            predictions={f"test_{name}": output.numpy() for name, output in outputs.items()},
            split=split_hash(test),
            tables=tables,
            answer=answer,
            items=_some(test, _MOST_ASKED) if self.task.dense else test,
            shown=(Sees.VALIDATION_LABELS,) if note else (),
            selection="last step",
            parameters=trained_parameters(run.module),
            **note,
        )


def _in_patches(output: Tensor) -> Tensor:
    """Return the means over patches of answers (B, C, h, w) at every position; others as they are."""
    return F.adaptive_avg_pool2d(output, _PATCHES) if output.ndim == 4 else output


def _some(examples: ExampleSet, most: int) -> ExampleSet:
    """Return at most so many examples, evenly spread."""
    return examples.subset(np.unique(np.linspace(0, len(examples) - 1, most).astype(int)))
