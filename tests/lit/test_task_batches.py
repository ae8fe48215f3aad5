"""Batches of several tasks: some left out, several loaders at once, names of any kind."""

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.combined_loader import CombinedLoader
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tlzoo.backbones import create_backbone
from tlzoo.data import Target
from tlzoo.lit import Multitask
from tlzoo.lit.task_batches import task_batch
from tlzoo.nn.sharing import SHARING
from tlzoo.registry import list_methods
from tlzoo.types import TaskBatch

pytestmark = [
    # what Lightning says of loaders that are not a data module's
    pytest.mark.filterwarnings("ignore:You defined a .validation_step. but have no"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:Trying to infer the .batch_size."),
]
TARGETS = {"kind": 3, "height": 0}
KINDS = {task: Target(classes=classes) for task, classes in TARGETS.items()}


def inputs(size, seed=0):
    return torch.randn(size, 6, generator=torch.Generator().manual_seed(seed))


def kinds(size):
    return torch.arange(size) % 3


def module(method="equal", targets=TARGETS, **settings):
    torch.manual_seed(0)
    given = {"backbone_settings": {"num_inputs": 6, "hidden": [8]}, "optimizer": {"lr": 0.01, "schedule": "constant"}}
    return Multitask("mlp", method, targets=targets, **{**given, **settings})


def fit(network, loader, *, steps=4, **settings):
    trainer = pl.Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        **settings,
    )
    trainer.fit(network, loader)
    return trainer


class Batches(list):
    """Batches as a loader."""


def loaders():
    """Return one loader a task, of different lengths, each with inputs of its own."""
    first = TensorDataset(inputs(12), kinds(12))
    second = TensorDataset(inputs(20, seed=1), torch.arange(20.0))
    return {"kind": DataLoader(first, batch_size=4), "height": DataLoader(second, batch_size=4)}


def test_a_task_that_is_left_out_has_no_part_in_the_batch():
    network, x = module(), inputs(4)
    whole = TaskBatch(inputs=x, targets={"kind": kinds(4), "height": torch.full((4,), torch.nan)})
    part = TaskBatch(inputs=x, targets={"kind": kinds(4)})
    assert list(network._losses(part)) == ["kind"]
    torch.testing.assert_close(network._losses(part), network._losses(whole), rtol=0, atol=0)
    absent = TaskBatch(inputs=x, targets={**part.targets, "height": x[:, 0]}, present={"height": torch.zeros(4).bool()})
    torch.testing.assert_close(network._losses(absent), network._losses(whole), rtol=0, atol=0)
    with pytest.raises(ValueError, match="no task has a label"):
        network._losses(TaskBatch(inputs=x, targets={}))


@pytest.mark.parametrize("method", list_methods("multitask"))
def test_every_weighting_trains_on_batches_of_one_task_each(method):
    settings = {"weights": [1.0, 2.0]} if method == "multitask/fixed" else None
    network = module(method, method_settings=settings)
    begun = {name: p.detach().clone() for name, p in network.named_parameters()}
    one = TaskBatch(inputs=inputs(4), targets={"kind": kinds(4)})
    other = TaskBatch(inputs=inputs(4, seed=1), targets={"height": torch.arange(4.0)})
    fit(network, Batches([one, other, one, other]))
    for name, p in network.named_parameters():
        assert p.isfinite().all()
        still = name.startswith("method.") or not p.requires_grad  # the start that merging keeps
        assert still or not torch.equal(p, begun[name])


@pytest.mark.parametrize("mode", ["min_size", "max_size", "max_size_cycle"])
@pytest.mark.parametrize("method", ["uncertainty", "mgda"])
def test_dictionaries_of_a_combined_loader(mode, method):
    network = module(method)
    seen = []
    network.check_loss = lambda loss, terms: seen.append(sorted(t for t in terms if t.startswith("loss_"))) or loss
    fit(network, CombinedLoader(loaders(), mode), steps=5)
    both, alone = ["loss_height", "loss_kind"], ["loss_height"]
    assert seen == {"min_size": [both] * 5, "max_size": [both] * 3 + [alone] * 2, "max_size_cycle": [both] * 5}[mode]


@pytest.mark.parametrize("kind", [dict, list])
def test_losses_of_several_loaders_are_those_of_each(kind):
    network = module()
    first = TaskBatch(inputs=inputs(4), targets={"kind": kinds(4)})
    second = TaskBatch(inputs=inputs(6, seed=1), targets={"kind": kinds(6), "height": torch.arange(6.0)})
    together = {"a": first, "b": second} if kind is dict else [first, second]
    found, parts = network._losses(together), (network._losses(first), network._losses(second))
    torch.testing.assert_close(found["height"], parts[1]["height"])
    torch.testing.assert_close(found["kind"], (4 * parts[0]["kind"] + 6 * parts[1]["kind"]) / 10)
    pair = {"height": (second.inputs, second.targets["height"]), "kind": None}
    torch.testing.assert_close(network._losses(pair)["height"], parts[1]["height"])


def test_they_are_measured_and_answered_too():
    network = module()
    combined = CombinedLoader(loaders(), "max_size")
    trainer = fit(network, combined, steps=2)
    found = trainer.test(network, CombinedLoader([TestBatches()], "sequential"), verbose=False)[0]
    assert {"test/kind", "test/height"} <= set(found)
    batch = next(iter(loaders()["kind"]))
    assert network.predict_step({"kind": tuple(batch)}, 0)["height"].shape == (4, 1)


class TestBatches(list):
    __test__ = False

    def __init__(self):
        x = inputs(4)
        super().__init__([{"kind": (x, kinds(4)), "height": (x, x[:, 0])}, {"kind": None, "height": (x, x[:, 1])}])


def test_dense_labels_that_are_left_out():
    targets = {"mask": Target(classes=2, kind="dense"), "kind": Target(classes=3)}
    first = TaskBatch(inputs=torch.ones(2, 3, 4, 4), targets={"mask": torch.zeros(2, 4, 4).long()})
    second = TaskBatch(inputs=torch.ones(1, 3, 4, 4), targets={"kind": torch.tensor([2])})
    found = task_batch({"a": first, "b": second}, targets)
    assert found.inputs.shape == (3, 3, 4, 4)
    assert found.targets["mask"].flatten(1).amax(dim=1).tolist() == [0, 0, -1]
    assert found.targets["kind"].tolist() == [-1, -1, 2]


def test_texts_of_several_loaders():
    found = task_batch(
        [TaskBatch(inputs=["a", "b"], targets={"kind": [0, 1]}), TaskBatch(inputs=["c"], targets={})], KINDS
    )
    assert found.inputs == ["a", "b", "c"]
    assert found.targets["kind"].tolist() == [0, 1, -1]
    assert found.targets["height"].isnan().all()


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (torch.ones(3), TypeError, "a batch of type Tensor; expected a TaskBatch"),
        ({}, TypeError, "a batch of type dict; expected a TaskBatch"),
        (
            {"a": (1, 2)},
            TypeError,
            "a batch of type tuple under 'a'; expected a TaskBatch, or under the name of a task",
        ),
        ({"kind": torch.ones(2)}, TypeError, "a batch of type Tensor under 'kind'"),
        ((inputs(2), kinds(2)), TypeError, "a batch of type Tensor under 0"),
        (TaskBatch(inputs=inputs(2), targets={"kind": torch.tensor([0, 3])}), ValueError, "task 'kind': 3 in row 1"),
        (
            TaskBatch(inputs=inputs(2), targets={"height": torch.ones(2, 1)}),
            ValueError,
            r"shape \(2, 1\); expected \(2,",
        ),
        (TaskBatch(inputs=inputs(2), targets={"height": torch.ones(3)}), ValueError, "3 entries for 2 inputs"),
        (TaskBatch(inputs=inputs(2), targets={"kind": ["x", "y"]}), ValueError, "task 'kind'"),
        (
            {"kind": (inputs(2), kinds(2)), "height": (torch.ones(2, 5), torch.ones(2))},
            TypeError,
            "cannot be one batch",
        ),
    ],
)
def test_refusals(given, error, message):
    with pytest.raises(error, match=message):
        task_batch(given, KINDS)


NAMES = ["values", "keys", "items", "type", "training", "forward", "age.group", "a.b.c", "/x", "50%", "mit Leerzeichen"]


@pytest.mark.parametrize("sharing", SHARING)
@pytest.mark.parametrize("name", NAMES)
def test_names_of_tasks_may_be_any_text(name, sharing, tmp_path):
    targets = {name: 3, f"{name}_": 0, "plain": 2}
    settings = {"backbone_settings": {"num_inputs": 6, "hidden": [8, 8]}}
    network = module("pcgrad" if sharing != "none" else "equal", targets, sharing=sharing, **settings)
    x = inputs(4)
    labels = {name: kinds(4), f"{name}_": x[:, 0], "plain": kinds(4) % 2}
    trainer = fit(network, Batches([TaskBatch(inputs=x, targets=labels)]), steps=1)
    assert set(network(x)) == set(targets)
    found = trainer.test(network, Batches([TaskBatch(inputs=x, targets=labels)]), verbose=False)[0]
    assert {f"test/{task}" for task in targets} <= set(found)
    trainer.save_checkpoint(tmp_path / "it.ckpt")
    again = Multitask.load_from_checkpoint(tmp_path / "it.ckpt")
    assert all(torch.equal(again.eval()(x)[task], network.eval()(x)[task]) for task in targets)


def test_usual_names_stand_plain_in_a_checkpoint():
    assert {"heads.kind.layer.weight", "heads.height.layer.bias"} <= set(module().state_dict())
    with pytest.raises(ValueError, match="an empty name"):
        module(targets={"": 3, "other": 0})
    for taken, other in (("score", 0), ("accuracy", 2)):
        with pytest.raises(ValueError, match=f"a task called '{taken}', as the mean over tasks"):
            module(targets={taken: 3, "other": other})


@pytest.mark.parametrize("sharing", [name for name in SHARING if name not in ("cross_stitch", "mtan")])
@pytest.mark.parametrize("method", ["equal", "mgda"])
def test_maps_and_vectors_in_one_network(sharing, method):
    """Dense targets beside a class and a value, over a backbone that returns a map."""
    if sharing == "none" and method == "mgda":
        pytest.skip("nothing is shared")
    torch.manual_seed(0)
    backbone = create_backbone(nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU()), num_features=6)
    targets = {"mask": Target(classes=2, kind="dense"), "kind": 3, "height": 0}
    settings = {"width": 5} if sharing not in ("hard", "none") else {"bottleneck": 5}
    network = Multitask(backbone, method, targets=targets, sharing=sharing, sharing_settings=settings)
    x = torch.randn(4, 3, 8, 8)
    labels = {"mask": (x[:, 0] > 0).long(), "kind": kinds(4), "height": x.mean(dim=(1, 2, 3))}
    fit(network, Batches([TaskBatch(inputs=x, targets=labels)] * 3), steps=3)
    found = network(x)
    assert {task: tuple(output.shape) for task, output in found.items()} == {
        "mask": (4, 2, 8, 8),
        "kind": (4, 3),
        "height": (4, 1),
    }
    trained = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert not [name for name in trained if not name.startswith("sharing.backbone.")]
