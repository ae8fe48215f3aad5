"""Weightings of gradients through the Lightning module."""

from dataclasses import replace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch.nn import functional as F

from tlzoo.backbones import create_backbone
from tlzoo.data import BatchSampler, ExampleSet, MultitaskTask, Target
from tlzoo.data.joined_tasks import united
from tlzoo.lit import Multitask, MultitaskData
from tlzoo.lit.data.loaders import Passes, StepLoader
from tlzoo.methods.multitask.gramian import GramianWeighting
from tlzoo.nn.gradients import conflicts
from tlzoo.registry import list_methods, method_class
from tlzoo.types import TaskBatch

TASKS = {"left": 3, "right": 0, "rare": 2}


def examples(size, seed, *, missing=True):
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(size, 6)).astype(np.float32)
    left = (inputs[:, :3].argmax(axis=1)).astype(np.int64)
    rare = (inputs[:, 4] > 0).astype(np.int64)
    if missing:
        left[::4] = -1
        rare[size // 3 :] = -1
    targets = {"left": left, "right": inputs[:, 3] + inputs[:, 0], "rare": rare}
    return ExampleSet(inputs=inputs, modality="features", targets=targets, checksum=f"toy {size} {seed} {missing}")


def data(batch_size=12, *, missing=True):
    targets = {task: Target(classes=classes) for task, classes in TASKS.items()}
    parts = {name: examples(48, seed, missing=missing) for seed, name in enumerate(("train", "validation", "test"))}
    return MultitaskData(MultitaskTask(name="toy", targets=targets, **parts), batch_size=batch_size)


def module(method, **settings):
    torch.manual_seed(0)
    given = {
        "targets": TASKS,
        "backbone_settings": {"num_inputs": 6, "hidden": [16]},
        "method_settings": {"weights": [0.5, 1.0, 2.0]} if method == "multitask/fixed" else None,
        "optimizer": {"lr": 0.02, "schedule": "constant", "momentum": 0.0, "weight_decay": 0.0, "backbone_lr": 1.0},
    }
    return Multitask("mlp", method, **{**given, **settings})


def fit(network, batches, *, steps=6, **settings):
    trainer = pl.Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        log_every_n_steps=1,
        **settings,
    )
    trainer.fit(network, datamodule=batches)
    return trainer


def weights_of(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


@pytest.mark.parametrize("method", list_methods("multitask"))
def test_every_weighting_trains_with_missing_labels(method):
    network = module(method)
    before = weights_of(network).clone()
    trainer = fit(network, data(4))
    after = weights_of(network)
    assert bool(after.isfinite().all())
    assert not torch.equal(before, after)
    assert "train/loss" in trainer.callback_metrics
    if method_class(method).order != "losses":
        assert "train/cosine_left_right" in trainer.callback_metrics


def by_hand(network, batch):
    """Return the task losses."""
    features = network.sharing.backbone(batch.inputs)
    found = {task: network.heads[task](features) for task in TASKS}
    there = {"left": batch.targets["left"] >= 0, "rare": batch.targets["rare"] >= 0}
    losses = {
        task: F.cross_entropy(found[task][rows], batch.targets[task][rows])
        for task, rows in there.items()
        if rows.any()
    }
    losses["right"] = F.mse_loss(found["right"].squeeze(1), batch.targets["right"])
    return {task: losses[task] for task in TASKS if task in losses}


@pytest.mark.parametrize("method", ["mgda", "pcgrad", "nash_mtl", "imtl_g"])
@pytest.mark.parametrize("missing", [False, True])
def test_a_step_is_that_of_gradients_stacked_by_hand(method, missing):
    network, batches = module(method), data(8, missing=missing)
    fit(network, batches, steps=1)
    other = module(method)
    batch = first_batch(batches)
    losses = by_hand(other, batch)
    shared = list(other.sharing.parameters())
    rows = torch.stack(
        [
            torch.cat([g.flatten() for g in torch.autograd.grad(loss, shared, retain_graph=True)])
            for loss in losses.values()
        ]
    )
    present = torch.tensor([task in losses for task in TASKS])
    gramian = torch.zeros(3, 3)
    gramian[present.nonzero(), present.nonzero().T] = rows @ rows.T
    every = torch.zeros(3)
    every[present] = torch.stack(list(losses.values())).detach()
    with other.method.among(None if present.all() else present):
        weights = other.method.weights(every, gramian)[present]
    sum(losses.values()).backward()
    step = weights @ rows
    place = 0
    with torch.no_grad():
        for parameter in shared:
            parameter.grad = step[place : place + parameter.numel()].view_as(parameter)
            place += parameter.numel()
        for parameter in other.parameters():
            if parameter.grad is not None:
                parameter -= 0.02 * parameter.grad
    torch.testing.assert_close(weights_of(network), weights_of(other), rtol=1e-5, atol=1e-6)


def first_batch(batches):
    indices = BatchSampler(len(batches.task.train), batches.batch_size, seed=0)(0)
    targets = {name: torch.from_numpy(column[indices]) for name, column in batches.task.train.targets.items()}
    return TaskBatch(inputs=torch.from_numpy(batches.task.train.inputs[indices]), targets=targets)


def test_equal_weights_of_gradients_are_those_of_losses():
    class Ones(GramianWeighting):
        def solve(self, gramian, tasks):
            return torch.ones(len(tasks), dtype=torch.float64)

    first, second = module("equal"), module(Ones(3))
    for network in (first, second):
        fit(network, data(8), accumulate_grad_batches=2, gradient_clip_val=0.3)
    torch.testing.assert_close(weights_of(first), weights_of(second), rtol=1e-5, atol=1e-7)


def test_a_cosine_with_a_gradient_lost_in_rounding_is_none():
    tasks = ("left", "right", "rare")
    gramian = torch.tensor([[4.0, 1.0, 3e-8], [1.0, 1.0, -2e-8], [3e-8, -2e-8, 1e-34]])
    shown = conflicts(gramian, tasks)
    assert float(shown["cosine_left_right"]) == 0.5
    assert abs(float(shown["cosine_left_rare"])) < 0.1
    assert abs(float(shown["cosine_right_rare"])) < 0.1
    alone = conflicts(torch.zeros(3, 3), tasks)
    assert all(float(value) == 0 for value in alone.values())


def test_monitoring_changes_nothing():
    first, second = module("uncertainty"), module("uncertainty", monitor=True)
    fit(first, data())
    trainer = fit(second, data())
    torch.testing.assert_close(weights_of(first), weights_of(second), rtol=1e-5, atol=1e-6)
    logged = trainer.callback_metrics
    assert -1 <= float(logged["train/cosine_left_right"]) <= 1
    assert float(sum(logged[f"train/length_{task}"] for task in TASKS)) > 0


@pytest.mark.parametrize("method", ["mgda", "graddrop"])
def test_features_space_and_bfloat16(method):
    network = module(method, space="features")
    fit(network, data())
    assert bool(weights_of(network).isfinite().all())
    half = module(method)
    fit(half, data(), precision="bf16-mixed")
    assert weights_of(half).dtype == torch.float32
    assert bool(weights_of(half).isfinite().all())


@pytest.mark.parametrize("sharing", ["mmoe", "cgc", "ple", "mtan", "dselect_k", "cross_stitch"])
def test_architectures_under_weighted_gradients(sharing):
    network = module("upgrad", sharing=sharing)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    fit(network, data(missing=False), steps=3)
    assert all(bool(p.isfinite().all()) for p in network.parameters())
    moved = [name for name, p in network.named_parameters() if not torch.equal(p, before[name])]
    assert any(name.startswith("sharing.") for name in moved)


def test_a_weighting_goes_on_from_a_checkpoint(tmp_path):
    whole = module("db_mtl")
    fit(whole, data(missing=False), steps=6)
    first = module("db_mtl")
    trainer = fit(first, data(missing=False), steps=3)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    rest = module("db_mtl")
    batches = data(missing=False)
    pl.Trainer(
        max_steps=6, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, limit_val_batches=0, log_every_n_steps=1,
    ).fit(rest, datamodule=batches, ckpt_path=tmp_path / "half.ckpt")  # fmt: skip
    torch.testing.assert_close(weights_of(rest), weights_of(whole))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sharing": "none"}, "share nothing that trains"),
        ({"sharing": "hards"}, "did you mean 'hard'"),
        ({"space": "weights"}, "unknown space"),
        ({"decoder": "asp"}, "unknown decoder 'asp'; expected linear, conv or aspp"),
        ({"decoder": "aspp"}, "decoder='aspp' answers at every position, and no target is dense"),
    ],
)
def test_refusals(settings, message):
    with pytest.raises(ValueError, match=message):
        module("mgda", **settings)


class Maps(torch.nn.Module):
    """A network whose features are a map."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(1, 5, 3, stride=2, padding=1)

    def forward(self, inputs):
        return self.layer(inputs).relu()


@pytest.mark.parametrize("method", ["equal", "mgda"])
def test_dense_targets_over_a_map(method):
    torch.manual_seed(0)
    backbone = create_backbone(Maps(), num_features=5)
    targets = {"parts": Target(classes=3, kind="dense"), "depth": {"classes": 0, "kind": "dense"}}
    network = Multitask(
        backbone, method, targets=targets, optimizer={"name": "adam", "lr": 0.05, "schedule": "constant"}
    )
    inputs = torch.randn(8, 1, 6, 6)
    parts = (inputs[:, 0] > 0).long() + (inputs[:, 0] > 1).long()
    parts[0] = -1
    batch = TaskBatch(inputs=inputs, targets={"parts": parts, "depth": inputs[:, 0].abs()})
    trainer = pl.Trainer(
        max_steps=30, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, log_every_n_steps=1, limit_val_batches=0,
    )  # fmt: skip
    before = {task: loss.item() for task, loss in network._losses(batch).items()}
    trainer.fit(network, StepLoader(lambda _: batch, 30), Passes(lambda _: batch, 1, 1))
    after = network._losses(batch)
    assert all(after[task].item() < before[task] for task in targets)
    logged = trainer.test(network, dataloaders=Passes(lambda _: batch, 1, 1), verbose=False)[0]
    assert logged["test/score"] == pytest.approx((logged["test/parts"] + logged["test/depth"]) / 2)
    assert 0 < logged["test/parts/miou"] <= logged["test/parts/pixel_accuracy"] <= 1
    assert logged["test/depth/absolute_error"] > 0


def test_ordered_classes_are_measured_by_their_distance():
    network = module("equal", targets={"left": {"classes": 3, "kind": "ordinal"}, "right": 0, "rare": 2})
    batches = data(missing=False)
    trainer = fit(network, batches)
    logged = trainer.test(network, datamodule=batches, verbose=False)[0]
    assert logged["test/left"] == logged["test/left/kendall_tau"]
    assert logged["test/right"] == logged["test/right/r2"]
    assert logged["test/rare"] == logged["test/rare/accuracy"]
    assert logged["test/left/mae"] >= 1 - logged["test/left/accuracy"]


def test_tasks_with_data_of_their_own():
    first, second = examples(20, 0, missing=False), examples(60, 1, missing=False)
    train = united(
        {
            "first": replace(first, targets={"left": first.targets["left"]}),
            "second": replace(second, targets={"right": second.targets["right"]}),
        }
    )
    targets = {"left": Target(classes=3), "right": Target(classes=0)}
    task = MultitaskTask(name="toy", targets=targets, train=train, validation=train, test=train)
    network = module("nash_mtl", targets=targets)
    batches = MultitaskData(task, batch_size=4)  # some batches hold one of the two alone
    trainer = fit(network, batches, steps=30)
    logged = trainer.test(network, datamodule=batches, verbose=False)[0]
    assert {"test/score", "test/left", "test/right", "test/left/accuracy", "test/right/mae"} <= set(logged)
    assert bool(weights_of(network).isfinite().all())


def test_values_are_learned_in_units_of_their_spread():
    from tlzoo import tasks

    random = np.random.default_rng(0)
    x = random.normal(size=(200, 4)).astype(np.float32)
    meters = x @ [0.1, -0.2, 0.05, 0.1] + 1.7
    scores = {}
    for unit, scale in (("m", 1), ("mm", 1000)):
        task = tasks.multitask(x, {"height": meters * scale})
        data = MultitaskData(task, batch_size=32)
        torch.manual_seed(0)
        module = Multitask.for_data(data, "equal", optimizer={"lr": 0.05})
        trainer = pl.Trainer(max_steps=60, logger=False, enable_checkpointing=False, enable_progress_bar=False)
        trainer.fit(module, datamodule=data)
        scores[unit] = trainer.test(module, datamodule=data, verbose=False)[0]["test/height/r2"]
    assert scores["m"] > 0.9
    assert scores["mm"] == pytest.approx(scores["m"], abs=1e-3)
