"""What a checkpoint holds besides weights and counters, so that a run that stops anywhere resumes exactly.

Lightning repeats some epoch hooks when a run resumes, and skips others. Work that belongs to an epoch is therefore done
in :meth:`Resumable.begin_epoch`, before the epoch's first batch, and everything it depends on is in the checkpoint.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor, distributed

__all__ = ["Resumable", "random_states", "set_random_states"]

_RESUME = "tlzoo_resume"


def random_states(device: torch.device) -> dict[str, Any]:
    """Return the states of the global generators of Python, NumPy and torch."""
    states = {
        "python": random.getstate(),
        "numpy": np.random.get_state(legacy=False),  # noqa: NPY002 - the state of the user's run, nothing is drawn
        "torch": torch.get_rng_state(),
    }
    return states | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def set_random_states(states: Mapping[str, Any], device: torch.device) -> None:
    """Set the global generators to the states that :func:`random_states` returned."""
    random.setstate(states["python"])
    key = np.array(states["numpy"]["state"]["key"], dtype=np.uint32)
    np.random.set_state({**states["numpy"], "state": {**states["numpy"]["state"], "key": key}})  # noqa: NPY002
    torch.set_rng_state(states["torch"].cpu())
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"].cpu(), device)


class Resumable(pl.LightningModule):
    """A module whose resumed run ends with the weights of one that never stopped, to the last bit.

    The checkpoint holds the global random states of all processes, gradients that are still being accumulated, and what
    a subclass adds by :meth:`resume_state`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._random: dict[str, Any] | None = None
        self._resumed: Mapping[str, Any] | None = None

    def begin_epoch(self) -> None:
        """Do what belongs to the start of an epoch, or to the end of the one before."""

    def resume_state(self) -> dict[str, Any]:
        """Return what training needs besides the state dict, in types that ``torch.load`` reads safely."""
        return {}

    def load_resume_state(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`resume_state` returned."""

    @property
    def resumed(self) -> bool:
        """Whether the current training continues an earlier one."""
        return self._resumed is not None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store what a resumed run needs."""
        if self._trainer is None or "loops" not in checkpoint:
            return
        _reopen_epoch(checkpoint["loops"], self.trainer.num_training_batches)
        progress: Any = self.trainer.fit_loop.epoch_loop.batch_progress.current
        in_batch = progress.processed != progress.completed  # as in a callback that saves at the end of a batch
        now = random_states(self.device) if in_batch or self._random is None else self._random
        checkpoint[_RESUME] = {
            "random": _of_all_processes(_safe(now)),
            "gradients": self._accumulated_gradients(),
            **self.resume_state(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take back what a resumed run needs; a module that only predicts needs none of it."""
        fitting = self._trainer is not None and self.trainer.state.fn == TrainerFn.FITTING
        self._resumed = checkpoint.get(_RESUME) if fitting else None
        if self._resumed is not None:
            self._set_random()
            self.load_resume_state(self._resumed)

    def on_train_start(self) -> None:
        """Set accumulated gradients; set the random states again if the next epoch makes another iterator."""
        if self._resumed is None:
            return
        for name, gradient in self._resumed["gradients"].items():
            parameter = self.get_parameter(name)
            parameter.grad = gradient.to(parameter)
        loop = self.trainer.fit_loop
        done = loop.epoch_loop.batch_progress.current.completed >= self.trainer.num_training_batches
        if done and loop.restarting:
            self._set_random()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Begin an epoch before its first batch."""
        if batch_idx == 0:
            self.begin_epoch()

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Note the random states that the next batch starts from."""
        self._random = random_states(self.device)

    def on_validation_end(self) -> None:
        """Let training go on as if there had been no validation."""
        if self._random is not None and self.trainer.state.fn == TrainerFn.FITTING:
            set_random_states(self._random, self.device)

    def on_train_end(self) -> None:
        """Forget that the training was resumed."""
        self._resumed = None

    def _set_random(self) -> None:
        assert self._resumed is not None
        states = self._resumed["random"]
        if len(states) == self.trainer.world_size:
            set_random_states(states[self.trainer.global_rank], self.device)

    def _accumulated_gradients(self) -> dict[str, Tensor]:
        """Return the gradients of batches that wait for more before the optimizer's step."""
        ready = self.trainer.fit_loop.epoch_loop.batch_progress.current.ready
        if ready % self.trainer.accumulate_grad_batches == 0 or ready >= self.trainer.num_training_batches:
            return {}
        return {name: p.grad.detach().clone() for name, p in self.named_parameters() if p.grad is not None}


def _safe(states: Mapping[str, Any]) -> dict[str, Any]:
    """Return random states in types that ``torch.load`` reads safely."""
    numpy = states["numpy"]
    return {**states, "numpy": {**numpy, "state": {**numpy["state"], "key": list(map(int, numpy["state"]["key"]))}}}


def _of_all_processes(states: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the states of every process; all of them save together."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return [states]
    gathered: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(gathered, states)
    return gathered


def _reopen_epoch(loops: dict[str, Any], batches: float) -> None:
    """Let an epoch that was cut short count as begun, not as done: the resumed run finishes it."""
    fit = loops["fit_loop"]
    if not 0 < fit["epoch_loop.batch_progress"]["current"]["completed"] < batches:
        return
    for count in fit["epoch_progress"].values():
        if count["processed"] == count["started"] > 0:
            count["processed"] = count["completed"] = count["started"] - 1
