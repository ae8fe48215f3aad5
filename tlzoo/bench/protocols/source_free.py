"""Source-free adaptation: adapt a source model, trained once per seed and stored, to the target alone."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import torch

from tlzoo.bench.cell import Cell, OnProgress, canonical
from tlzoo.bench.fitting import fit
from tlzoo.bench.protocols.domain import DomainProtocol, DomainRun, domain_data, domain_module
from tlzoo.bench.protocols.networks import has_pretrained_head
from tlzoo.bench.protocols.settings import optimizer_settings
from tlzoo.bench.protocols.skeleton import Run
from tlzoo.bench.tuning import Settings, plain
from tlzoo.data.tasks import DomainTask
from tlzoo.lit import DomainData, SourceFreeAdaptation
from tlzoo.methods.source_free import SourceFree
from tlzoo.nn.network import Network
from tlzoo.registry import method_class
from tlzoo.storage import home, made_once

__all__ = ["SourceFreeProtocol", "source_model"]


class SourceFreeProtocol(DomainProtocol):
    """Adapts a source model, with the learning rate ``module.adaptation_lr`` if it is set."""

    transformed = False

    def __init__(self, cell: Cell, on_progress: OnProgress) -> None:
        super().__init__(cell, on_progress)
        self.network, self.target = source_model(cell, self.task, on_progress)

    def build(self, cell: Cell, settings: Settings) -> DomainRun:
        """Return target data and module, before adaptation."""
        lr = {"lr": cell.module["adaptation_lr"]} if cell.module.get("adaptation_lr") is not None else {}
        module = SourceFreeAdaptation(
            self.network,
            cell.method,
            num_classes=self.task.num_classes,
            optimizer={**optimizer_settings(cell), **lr},
            method_settings=settings,
        )
        return Run(cell=cell, data=self.target, module=module)


def source_model(cell: Cell, task: DomainTask, on_progress: OnProgress) -> tuple[Network, DomainData]:
    """Return a network trained on the labelled source, and the target data prepared for it, without the source.

    All cells of a task, backbone, budget and seed share it: it is read from the store, or trained and stored. Training
    again would give the same numbers, including the scale of the features. Its settings are those of the cell, except
    for the method; ``budget.source_steps`` is the length of its training (default ``steps``). With
    ``module.pretrained_head`` it is the backbone with the classifier that it was published with, as it comes.
    """
    own = _source_cell(cell)
    data = domain_data(own, task)
    torch.manual_seed(cell.seed)
    module = domain_module(own, data, {})
    if has_pretrained_head(own):
        torch.manual_seed(cell.seed)
        return module.network.eval(), domain_data(cell, task.without_source(), scale=False)

    def trained(draft: Path) -> None:
        fit(module, data, own, steps=int(own.budget["steps"]), on_progress=lambda share: on_progress(0.5 * share))
        torch.save(module.network.state_dict(), draft)

    stored = torch.load(made_once(_path(own), trained), weights_only=True)
    module.network.load_state_dict(stored)
    torch.manual_seed(cell.seed)  # the same random numbers follow whether it was trained or read
    return module.network.eval(), domain_data(cell, task.without_source(), scale=False)


def _source_cell(cell: Cell) -> Cell:
    cls = method_class(cell.method)
    method = cls.starts_from if issubclass(cls, SourceFree) else SourceFree.starts_from
    return replace(
        cell,
        method=method,
        label="source model",
        settings={},
        candidates={},
        search={},
        # one process trains it, under the lock of its file, even if the cell has several
        trainer={name: value for name, value in cell.trainer.items() if name not in ("devices", "strategy")},
        module={name: value for name, value in plain(cell.module).items() if name != "adaptation_lr"},
        budget={
            "batch_size": int(cell.budget["batch_size"]),
            "steps": int(cell.budget.get("source_steps", cell.budget["steps"])),
        },
        revisions={**cell.revisions, "method": method_class(method).revision},
    )


def _path(cell: Cell) -> Path:
    text = canonical({**cell.identity, "torch": torch.__version__})
    return home() / "source-networks" / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.pt"
