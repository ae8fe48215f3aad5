"""A run that stops anywhere and resumes ends with the weights of one that never stopped, to the last bit."""

import importlib.util
import random
import subprocess
import sys
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tlzoo.lit import DomainData, FineTuning, Multitask
from tlzoo.lit.resuming import random_states, set_random_states
from tlzoo.types import TaskBatch

SCRIPT = Path(__file__).parents[2] / "benchmarks/robustness/resume.py"
SPEC = importlib.util.spec_from_file_location("resume_script", SCRIPT)
script = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(script)


@pytest.mark.parametrize("name", script.TRAINABLE)
def test_every_method_resumes(name, tmp_path):
    """Every method stops at one place, which differs from method to method; the script stops it at all of them."""
    make = partial(script.module_for, name)
    if make() is None:
        return
    every = ["batch-1", "batch-2", "batch-3", "batch-5", "batch-6", "epoch-3", "epoch-6", "validation-6"]
    chosen = np.random.default_rng(zlib.crc32(name.encode())).choice(every, 1)
    stops = {
        stop: (path, whole) for stop, path, whole, _ in script.stops(make, tmp_path, ("batch", "validation", "epoch"))
    }
    for stop in {f"{each}.ckpt" for each in chosen} & set(stops) or set(stops):
        assert not script.differing(make, *stops[stop], {}), stop


AT_EVERY_STOP = ("multitask/dwa", "multitask/famo", "confusion/pada", "oneshot/simpleshot", "zeroshot/ridge")


@pytest.mark.parametrize("name", AT_EVERY_STOP)
def test_methods_that_look_at_epochs_or_steps_resume_everywhere(name, tmp_path):
    make = partial(script.module_for, name)
    found = {stop: script.differing(make, *rest) for stop, *rest in script.stops(make, tmp_path)}
    assert len(found) > 5
    assert not any(found.values()), found


ELSEWHERE = """
import sys, torch
sys.path.insert(0, sys.argv[1])
from functools import partial
from pathlib import Path
import resume
resume.quietly()
torch.save(resume.trained(partial(resume.module_for, sys.argv[2]), resume=Path(sys.argv[3])), sys.argv[4])
"""


def test_a_new_process_resumes(tmp_path):
    make = partial(script.module_for, "confusion/cdan")
    stops = {stop: (path, whole) for stop, path, whole, _ in script.stops(make, tmp_path, ("batch", "graceful"))}
    path, whole = stops["graceful-5.ckpt"]
    out = tmp_path / "weights.pt"
    command = [sys.executable, "-c", ELSEWHERE, str(SCRIPT.parent), "confusion/cdan", str(path), str(out)]
    subprocess.run(command, check=True, capture_output=True)
    found = torch.load(out)
    assert all(torch.equal(value, found[name]) for name, value in whole.items())


@pytest.mark.filterwarnings(
    "ignore:You defined a `validation_step`", "ignore:The .train_dataloader. does not have many"
)
def test_a_loader_of_ones_own_that_shuffles_resumes_after_an_epoch(tmp_path, make_trainer):
    """Its order comes from torch's global state."""
    inputs = torch.randn(12, 8, generator=torch.Generator().manual_seed(0))
    rows = TensorDataset(inputs, torch.arange(12) % 3)

    def collate(drawn):
        inputs, kinds = zip(*drawn, strict=True)
        return TaskBatch(inputs=torch.stack(inputs), targets={"kind": torch.stack(kinds)})

    def run(*callbacks, **resume):
        torch.manual_seed(5 if not resume else 6)
        network = {"num_inputs": 8, "hidden": [6], "dropout": 0.3}
        module = Multitask("mlp", "equal", targets={"kind": 3}, backbone_settings=network)
        trainer = make_trainer(-1, max_epochs=3, callbacks=list(callbacks), enable_checkpointing=bool(callbacks))
        trainer.fit(module, DataLoader(rows, batch_size=4, shuffle=True, collate_fn=collate), **resume)
        return script.weights_of(module)

    class Keep(pl.callbacks.Checkpoint):
        def on_train_epoch_end(self, trainer, *_):
            trainer.save_checkpoint(tmp_path / f"{trainer.current_epoch}.ckpt")

        def on_train_batch_end(self, trainer, *_):
            if trainer.global_step == 6:
                trainer.save_checkpoint(tmp_path / "last batch.ckpt")

    whole = run(Keep())
    for path in (tmp_path / "0.ckpt", tmp_path / "last batch.ckpt"):
        found = run(ckpt_path=path, weights_only=True)
        assert all(torch.equal(value, found[name]) for name, value in whole.items()), path.name


def test_states_of_all_generators_come_back():
    device, here = torch.device("cpu"), random_states(torch.device("cpu"))

    def drawn():
        return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002

    first = drawn()
    set_random_states(here, device)
    assert drawn() == first
    set_random_states(here, device)


def test_a_module_that_only_predicts_leaves_random_states_alone(domain_task, make_trainer, tmp_path):
    module = FineTuning("mlp", "full", num_classes=3, backbone_settings={"num_inputs": 8, "hidden": [6]})
    trainer = make_trainer(2)
    trainer.fit(module, datamodule=DomainData(domain_task, batch_size=12))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    torch.manual_seed(3)
    before = torch.get_rng_state()
    FineTuning.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=True)
    torch.manual_seed(3)
    make_trainer().test(
        module, datamodule=DomainData(domain_task), ckpt_path=tmp_path / "last.ckpt", verbose=False, weights_only=True
    )
    assert torch.equal(torch.get_rng_state(), before)


class DrawsInValidation(FineTuning):
    """Draws global random numbers while it is validated."""

    def validation_step(self, batch, batch_idx):
        torch.rand(7)
        super().validation_step(batch, batch_idx)


def test_training_does_not_depend_on_validation(domain_task, make_trainer):
    weights = []
    for limit in (0, 3):
        torch.manual_seed(0)
        network = {"num_inputs": 8, "hidden": [6], "dropout": 0.5}
        module = DrawsInValidation("mlp", "full", num_classes=3, backbone_settings=network)
        data = DomainData(domain_task, batch_size=12, steps_per_epoch=2)
        loader = data.passes(domain_task.source_test)
        data.val_dataloader = lambda loader=loader: loader
        make_trainer(6, limit_val_batches=limit).fit(module, datamodule=data)
        weights.append(script.weights_of(module))
    assert isinstance(module.network, nn.Module)
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0] if "scores" not in name)
