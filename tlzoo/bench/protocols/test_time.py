"""Test-time adaptation: a source model predicts the target test data once, as a stream, and adapts as it goes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tlzoo.bench.cell import Cell, OnProgress
from tlzoo.bench.protocols.domain import DomainProtocol, DomainRun, domain_data, scored
from tlzoo.bench.protocols.skeleton import Run
from tlzoo.bench.protocols.source_free import source_model
from tlzoo.bench.tuning import Settings
from tlzoo.data.example_set import ExampleSet
from tlzoo.errors import InputError
from tlzoo.lit import TestTimeAdaptation
from tlzoo.scoring import ClassScores
from tlzoo.types import Prediction, Sees

__all__ = ["TestTimeProtocol"]


class TestTimeProtocol(DomainProtocol):
    """Answers in batches of ``batch_size``; nothing is trained before, and there is nothing to choose by.

    ``budget.stream_batch`` is the size of test batches where it is not that of the source model's training. In a stream
    whose test set says ``restart``, the method is reset at the start of each segment, and no batch spans two segments.
    A method that declares the labelled source gets it before the stream.

    Raises:
        ValueError: the cell has candidates; no validation data are left to choose by.
    """

    __test__ = False
    transformed = False

    def __init__(self, cell: Cell, on_progress: OnProgress) -> None:
        super().__init__(cell, on_progress)
        if cell.candidates:
            raise InputError(
                "test-time methods answer once and have no validation data to choose candidates by; give settings"
            )

    def build(self, cell: Cell, settings: Settings) -> DomainRun:
        """Return target data, and the method on a source model, which answers first."""
        network, data = source_model(cell, self.task, self.on_progress)
        module = TestTimeAdaptation(network, cell.method, num_classes=data.num_classes, method_settings=settings).eval()
        data.attach(module)
        if Sees.SOURCE_LABELS in module.method.sees:
            module.start(domain_data(cell, self.task, scale=False))
        with torch.no_grad():
            before = [network(batch.inputs).logits for batch in data.passes(data.task.target_test)]
        return Run(cell=cell, data=data, module=module, last={"before": torch.cat(before)})

    def train(self, run: DomainRun) -> None:
        """Answer the stream."""
        data, examples = run.data, run.data.task.target_test
        order = data.order_of(examples)
        answers: list[Tensor] = []
        size = int(run.cell.budget.get("stream_batch", data.batch_size))
        for part in _parts(examples, order):
            if len(answers):
                run.method.reset()
            for batch in data.passes(examples.subset(part), batch_size=size):
                answers.append(run.module(batch.inputs))
                self.on_progress(0.5 + 0.5 * min(len(answers) * size / len(examples), 1.0))
        logits = torch.empty_like(run.last["before"])
        logits[torch.from_numpy(order)] = torch.cat(answers).to(logits)
        run.last["target_test"] = Prediction(features=logits, logits=logits)

    def figures(self, run: DomainRun) -> dict[str, float]:
        """Return the headline of the source model."""
        before = scored(ClassScores(self.task.num_classes), run.last["before"], run.data.task.target_test)
        return {f"source_model/{self.task.metric}": before[self.task.metric]}

    def notes(self, run: DomainRun) -> dict[str, Any]:
        """Return the entries of the receipt; dependence on the batch is measured on the method in its initial state."""

        def alone(inputs: Any) -> Tensor:
            run.method.reset()
            answers: Tensor = run.module(inputs)
            return answers

        return {"answer": alone, "selection": "answered once, in a stream"}


def _parts(examples: ExampleSet, order: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the order of the stream, split where the method is reset."""
    if "restart" not in examples.attributes or not examples.attributes["restart"].all():
        return [order]
    return np.split(order, np.flatnonzero(np.diff(examples.attributes["segment"][order])) + 1)
