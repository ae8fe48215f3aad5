"""Methods that start from a source model, which is trained once per seed and stored."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tlzoo.bench.cell import Cell, Outcome, Report, canonical
from tlzoo.bench.dependence import measure_dependence
from tlzoo.bench.protocols.domain import DEPENDENCE_ITEMS, domain_module, load
from tlzoo.bench.protocols.measuring import accuracy, target_accuracies
from tlzoo.bench.protocols.training import as_array, plain, receipt, split_hash, train
from tlzoo.data.tasks import DomainTask
from tlzoo.lit import DomainData, SourceFreeAdaptation, TestTimeAdaptation
from tlzoo.methods.source_free import SourceFree
from tlzoo.nn.network import Network
from tlzoo.registry import method_class
from tlzoo.storage import home, made_once

__all__ = ["SourceModel", "answer_stream", "source_free_module", "source_model", "target_data"]

_OF_THE_METHOD = ("adaptation_lr",)
"""Module settings that the source model does not depend on."""


@dataclass(frozen=True, kw_only=True)
class SourceModel:
    """A network trained on the labelled source, and the divisor of its features."""

    network: Network
    spread: float


def source_model(cell: Cell, task: DomainTask, report: Report) -> SourceModel:
    """Return the source model that all cells of a task, backbone, budget and seed share, from the store or trained.

    It has the settings of the cell, except for the method; ``budget.source_steps`` is the number of training steps
    (default ``steps``). A stored model equals a newly trained one.
    """
    own = _source_cell(cell)
    data = load(own, task)
    torch.manual_seed(cell.seed)
    module = domain_module(own, data, {})

    def trained(draft: Path) -> None:
        train(module, data, own, steps=int(own.budget["steps"]), report=lambda share: report(0.5 * share))
        torch.save({"network": module.network.state_dict(), "spread": torch.tensor(data.spread)}, draft)

    stored = torch.load(made_once(_path(own), trained), weights_only=True)
    module.network.load_state_dict(stored["network"])
    torch.manual_seed(cell.seed)  # the rest of the cell does not depend on whether it was trained just now
    return SourceModel(network=module.network.eval(), spread=float(stored["spread"]))


def _source_cell(cell: Cell) -> Cell:
    cls = method_class(cell.method)
    method = cls.starts_from if issubclass(cls, SourceFree) else SourceFree.starts_from
    budget = {"steps": int(cell.budget.get("source_steps", cell.budget["steps"]))}
    return replace(
        cell,
        method=method,
        label="source model",
        settings={},
        candidates={},
        search={},
        # the lock of its file makes one process train it for all cells
        trainer={name: value for name, value in cell.trainer.items() if name not in ("devices", "strategy")},
        module={name: value for name, value in plain(cell.module).items() if name not in _OF_THE_METHOD},
        budget={"batch_size": int(cell.budget["batch_size"]), **budget},
        revisions={**cell.revisions, "method": method_class(method).revision},
    )


def _path(cell: Cell) -> Path:
    text = canonical({**cell.identity, "torch": torch.__version__})
    return home() / "source-models" / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.pt"


def target_data(cell: Cell, task: DomainTask, source: SourceModel) -> DomainData:
    """Return data of a cell without source examples, with features scaled as for the source model."""
    data = load(cell, task)
    data.task = data.task.without_source()
    data.scale = source.spread if cell.module.get("scale") else False
    return data


def source_free_module(
    cell: Cell, data: DomainData, source: SourceModel, settings: dict[str, Any], optimizer: dict[str, Any]
) -> SourceFreeAdaptation:
    """Return the module of a source-free cell, with learning rate ``module.adaptation_lr`` if given."""
    lr = cell.module.get("adaptation_lr")
    return SourceFreeAdaptation(
        source.network,
        cell.method,
        num_classes=data.num_classes,
        optimizer=optimizer if lr is None else {**optimizer, "lr": lr},
        method_settings=settings,
    )


def answer_stream(cell: Cell, task: DomainTask, report: Report) -> Outcome:
    """Run a test-time method once on the target test data, in batches of ``batch_size``.

    Raises:
        ValueError: the cell has candidates, but there are no validation data to choose by.
    """
    if cell.candidates:
        raise ValueError("test-time methods have no validation data to choose candidates by; give settings")
    source = source_model(cell, task, report)
    data = target_data(cell, task, source)
    module = TestTimeAdaptation(
        source.network, cell.method, num_classes=data.num_classes, method_settings=plain(cell.settings)
    ).eval()
    data.attach(module)
    examples = data.evaluated.target_test
    order = data.order_of(examples)
    with torch.no_grad():
        before = torch.cat([source.network(batch.inputs).logits for batch in data.passes(examples)])
    answers: list[Tensor] = []
    for batch in data.passes(examples.subset(order), batch_size=data.batch_size):
        answers.append(module(batch.inputs))
        report(0.5 + 0.5 * len(answers) * data.batch_size / len(examples))
    logits = torch.empty_like(before)
    logits[torch.from_numpy(order)] = torch.cat(answers).to(before)

    def alone(inputs: Any) -> Tensor:
        module.method.reset()
        return module(inputs)  # type: ignore[no-any-return]

    inputs = examples.batch(np.arange(min(DEPENDENCE_ITEMS, len(examples)))).inputs
    return Outcome(
        metrics={
            "test/accuracy": accuracy(task, examples, as_array(logits)),
            "source_model/accuracy": accuracy(task, examples, as_array(before)),
            **target_accuracies(task, examples, as_array(logits)),
        },
        receipt=receipt(module.method, measure_dependence(alone, inputs), selection="answered once, in a stream"),
        predictions={"test_logits": as_array(logits)},
        splits={"test_logits": split_hash(examples)},
    )
