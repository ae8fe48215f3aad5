"""Whether test inputs that pass through a network at checkpoints reach its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tlzoo.bench.cell import Cell
from tlzoo.bench.execution.one_cell import reproducible
from tlzoo.bench.protocols import protocol_of
from tlzoo.bench.protocols.domain import DomainProtocol
from tlzoo.data.example_set import ExampleSet
from tlzoo.errors import InputTypeError
from tlzoo.types import Sees, SupervisionError

__all__ = ["audit"]


def audit(cell: Cell) -> None:
    """Train a domain cell twice, with the test and with noise in its place; refuse a method that tells them apart.

    The harness answers the test at every checkpoint, and a method that keeps what it was asked (by a hook on the
    network, or in a queue) can learn from it. Weights and buffers must end the same to the last bit. It takes as long
    as two cells, so the harness does not do it for each.

    Args:
        cell: of kind domain; candidates are not tried.

    Raises:
        SupervisionError: the method does not declare TEST_INPUTS, and its weights depend on them.
        TypeError: the cell is of another kind, or its method is not trained by steps.
    """
    protocol = protocol_of(cell)
    if not issubclass(protocol, DomainProtocol):
        raise InputTypeError(
            f"a cell of kind {cell.kind}; expected one of kind domain, which is measured at checkpoints"
        )
    plain = replace(cell, candidates={}, search={})
    with_test, with_noise = (_state(protocol, plain, noise=noise) for noise in (False, True))
    changed = [name for name, value in with_test.items() if not torch.equal(value, with_noise[name])]
    if changed:
        raise SupervisionError(
            f"{cell.method} was trained with test inputs and with noise in their place, and {len(changed)} of "
            f"{len(with_test)} of its tensors differ ({changed[0]} is the first); it must declare TEST_INPUTS"
        )


def _state(protocol: type[DomainProtocol], cell: Cell, *, noise: bool) -> Mapping[str, Tensor]:
    """Return what a run has learned: its weights and buffers."""
    with reproducible(cell.seed, cell.threads):
        own = protocol(cell, lambda _: None)
        if noise:
            own.data.task = replace(own.data.task, target_test=_noisy(own.data.task.target_test))
        run = own.attempt(dict(cell.settings))
    if Sees.TEST_INPUTS in run.method.sees:
        return {}
    state: dict[str, Any] = run.module.state_dict()
    return {name: value.clone() for name, value in state.items()}


def _noisy(examples: ExampleSet) -> ExampleSet:
    """Return the set with noise of the same kind and spread as its inputs."""
    values = np.asarray(examples.inputs[np.arange(len(examples))])
    if values.dtype.kind not in "fiu":
        raise InputTypeError(f"inputs of {examples.modality}; give a frozen backbone, whose features can be noise")
    random = np.random.default_rng(0)
    noise = values.mean() + values.std() * random.standard_normal(values.shape)
    return examples.with_inputs(noise.clip(values.min(), values.max()).astype(values.dtype), examples.modality)
