"""The training loop of methods that train parts of the network in turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor, nn

from tlzoo.functional import average_gradients
from tlzoo.lit.feature_gradients import FeatureWatch
from tlzoo.methods.alternating import Alternating, Part, Phase
from tlzoo.types import DomainBatch

if TYPE_CHECKING:
    from tlzoo.lit.domains import DomainModule

__all__ = ["alternate"]


def alternate(module: DomainModule, method: Alternating, batch: DomainBatch) -> Tensor:
    """Take the steps of all phases on a batch, with new predictions for each, and return the last loss.

    One optimizer serves all phases: parameters that a phase does not train have no gradient and are skipped. Only the
    last step goes through Lightning, so a batch counts as one step of ``max_steps``.

    With several processes, this function averages the gradients of each phase, because DDP would wait for the
    parameters that do not train. With joined batches (``gather``), the steps equal those of one process with the whole
    batch.

    Raises:
        RuntimeError: the strategy shards parameters over processes.
    """
    if module.distributed and not isinstance(module.trainer.strategy, DDPStrategy):
        given = type(module.trainer.strategy).__name__
        raise RuntimeError(f'{module.method_name} alternates, which {given} cannot; give the Trainer strategy="ddp"')
    wrapped: Any = module.optimizers()
    optimizer = wrapped.optimizer
    progress = module.progress
    steps = [phase for phase in method.phases(progress) for _ in range(phase.repeats)]
    logs = module.logs_at(module.global_step + 1)  # below it is counted already
    logged: dict[str, Tensor] = {}
    passed_on: dict[str, Tensor] = {}
    for place, phase in enumerate(steps):
        with _only(module, phase):
            network = method.source_network(phase.name, module.network)
            with FeatureWatch(module.network.head, active=logs and "features" in phase.trains) as watch:
                source, target = module.predictions(batch, network)
            terms = dict(method.loss(phase.name, source, target))
            loss = module.check_loss(terms["loss"], terms)
            passed_on = watch.terms(loss) or passed_on
            optimizer.zero_grad()
            with _without_reduction(module):
                module.manual_backward(loss)
            if module.distributed:
                average_gradients(module.parameters())
            (wrapped if place == len(steps) - 1 else optimizer).step()
        logged |= {f"{phase.name}/{name}": value for name, value in terms.items() if name != "loss"}
        logged[f"{phase.name}/loss"] = loss
    method.after_step(module.network)
    module.lr_schedulers().step()  # type: ignore[union-attr]
    # the gradient is that of the last phase that trains features: the one that fools
    module.log_terms({**logged, **passed_on, "loss": loss}, batch.size)
    return loss.detach()


def _without_reduction(module: DomainModule) -> AbstractContextManager[None]:
    """Keep DDP from averaging gradients itself."""
    strategy = module.trainer.strategy
    return strategy.block_backward_sync() if isinstance(strategy, DDPStrategy) else nullcontext()


@contextmanager
def _only(module: DomainModule, phase: Phase) -> Iterator[None]:
    """Freeze what the phase does not train."""
    parts = _parts(module)
    resting = [p for part, members in parts.items() if part not in phase.trains for p in members if p.requires_grad]
    for parameter in resting:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in resting:
            parameter.requires_grad_()


def _parts(module: DomainModule) -> dict[Part, list[nn.Parameter]]:
    network = module.network
    head = list(network.head.parameters())
    shared = {id(parameter) for parameter in head}
    return {
        "features": [*network.backbone.parameters(), *network.bottleneck.parameters()],
        "head": head,
        "method": [parameter for parameter in module.method.parameters() if id(parameter) not in shared],
    }
