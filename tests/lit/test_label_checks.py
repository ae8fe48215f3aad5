"""Labels are checked in one place, where a batch meets a module; the message names side and row."""

from functools import partial

import numpy as np
import pytest
import torch

from tlzoo.data import ExampleSet
from tlzoo.lit import (
    ClassicalOneShot,
    DomainAdaptation,
    DomainConfusion,
    FineTuning,
    Multitask,
    OneShot,
    ZeroShot,
    ZeroShotData,
)
from tlzoo.lit.data import StepLoader
from tlzoo.types import DomainBatch, Episode, Examples, TaskBatch

pytestmark = pytest.mark.filterwarnings("ignore:You defined a `validation_step`")

MLP = {"num_inputs": 8, "hidden": [6]}
GOOD = torch.tensor([0, 1, 2, 0])

WRONG = {
    "names": (["a", "b", "c", "a"], "labels are of type <U1 .'a'.; expected numbers; of names, give indices"),
    "fractions": (torch.tensor([0, 1.5, 2, 0]), "labels: 1.5 in row 1; class indices are whole numbers"),
    "from 1": (torch.tensor([1, 2, 3, 1]), "labels: 3 in row 2; expected 0 to 2 .*subtract 1"),
    "negative": (torch.tensor([0, -1, 2, -1]), "labels: none in rows 1, 3"),
    "missing": (torch.tensor([0, np.nan, 2, 0]), "labels: none in row 1"),
    "infinite": (torch.tensor([0, np.inf, 2, 0]), "labels: inf in row 1"),
    "one-hot": (torch.eye(3)[GOOD], r"labels of shape \(4, 3\); expected \(N,\), one each; .*argmax"),
    "too few": (GOOD[:3], "labels has 3 entries for 4 inputs"),
    "scalar": (torch.tensor(1), r"labels of shape \(\)"),
    "complex": (GOOD.to(torch.complex64), "labels are complex numbers"),
}
RIGHT = {
    "int32": GOOD.int(),
    "uint8": GOOD.to(torch.uint8),
    "float": GOOD.float(),
    "half": GOOD.half(),
    "column": GOOD[:, None],
    "list": GOOD.tolist(),
    "array": GOOD.numpy(),
}


def examples(labels):
    return Examples(inputs=torch.randn(4, 8), labels=labels, indices=torch.arange(4))


def sides(place, labels):
    parts = {"source": examples(GOOD), "target": examples(None), "shots": None}
    return DomainBatch(**(parts | {place: examples(labels)}))


def episode(place, labels):
    rows = torch.as_tensor(labels)[None] if not isinstance(labels, list) else [labels]
    parts = {"support_labels": GOOD[None], "query_labels": GOOD[None]} | {f"{place}_labels": rows}
    return Episode(support=torch.randn(1, 4, 8), query=torch.randn(1, 4, 8), way=3, **parts)


def task(labels):
    return TaskBatch(inputs=torch.randn(4, 8), targets={"kind": labels})


PLACES = {
    "adaptation": (partial(DomainAdaptation, "mlp", "dan", num_classes=3), partial(sides, "source")),
    "shots": (partial(DomainAdaptation, "mlp", "dan", num_classes=3), partial(sides, "shots")),
    "confusion": (partial(DomainConfusion, "mlp", "cdan", num_classes=3), partial(sides, "source")),
    "alternating": (partial(DomainConfusion, "mlp", "mcd", num_classes=3), partial(sides, "source")),
    "finetuning": (partial(FineTuning, "mlp", "full", num_classes=3), partial(sides, "target")),
    "classical": (partial(ClassicalOneShot, "mlp", "protonet", num_base_classes=3), examples),
}


def fit(module, batch, make_trainer):
    make_trainer(1).fit(module, StepLoader(lambda _: batch, 2))


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("place", PLACES)
def test_wrong_labels_are_named(place, wrong, make_trainer):
    make, batch = PLACES[place]
    labels, message = WRONG[wrong]
    with pytest.raises(ValueError, match=message) as caught:
        fit(make(backbone_settings=MLP), batch(labels), make_trainer)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("right", RIGHT)
@pytest.mark.parametrize("place", PLACES)
def test_right_labels_of_any_type_train_alike(place, right, make_trainer):
    make, batch = PLACES[place]
    weights = []
    for labels in (GOOD, RIGHT[right]):
        torch.manual_seed(0)
        module = make(backbone_settings=MLP)
        fit(module, batch(labels), make_trainer)
        weights.append(module.state_dict())
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


@pytest.mark.parametrize("wrong", ["fractions", "from 1", "negative", "missing", "infinite", "too few", "complex"])
@pytest.mark.parametrize("place", ["support", "query"])
@pytest.mark.parametrize("method", ["protonet", "maml"])
def test_wrong_labels_of_episodes_are_named(method, place, wrong, make_trainer):
    labels, _ = WRONG[wrong]
    with pytest.raises(ValueError, match=f"{place}_labels") as caught:
        fit(OneShot("mlp", method, way=3, backbone_settings=MLP), episode(place, labels), make_trainer)
    assert "\n" not in str(caught.value)


def test_queries_without_labels_cannot_train(make_trainer):
    batch = Episode(
        support=torch.randn(1, 4, 8), query=torch.randn(1, 4, 8), support_labels=GOOD[None], query_labels=None, way=3
    )
    with pytest.raises(ValueError, match="query_labels are None, and training needs them"):
        fit(OneShot("mlp", "protonet", backbone_settings=MLP), batch, make_trainer)


@pytest.mark.parametrize("wrong", ["names", "fractions", "from 1", "infinite", "one-hot", "too few", "complex"])
def test_wrong_labels_of_tasks_are_named(wrong, make_trainer):
    labels, _ = WRONG[wrong]
    with pytest.raises(ValueError, match="labels of task 'kind'"):
        fit(Multitask("mlp", "equal", targets={"kind": 3}, backbone_settings=MLP), task(labels), make_trainer)


@pytest.mark.parametrize("wrong", ["fractions", "negative", "missing", "infinite", "too few"])
@pytest.mark.parametrize("method", ["sje", "ridge"])
def test_wrong_labels_of_seen_classes_are_named(method, wrong, zeroshot_task, make_trainer):
    module = ZeroShot("identity", method, num_classes=2, num_embedding=8, backbone_settings={"num_features": 8})
    data = ZeroShotData(zeroshot_task)
    data.train_dataloader = lambda: StepLoader(lambda _: examples(WRONG[wrong][0]), 2)
    with pytest.raises(ValueError, match="labels"):
        make_trainer(1, limit_val_batches=0).fit(module, datamodule=data)


@pytest.mark.parametrize("wrong", ["names", "fractions", "infinite", "one-hot", "too few", "complex"])
def test_a_set_of_examples_refuses_wrong_labels(wrong):
    labels, _ = WRONG[wrong]
    with pytest.raises(ValueError, match="labels"):
        ExampleSet(inputs=np.zeros((4, 8), np.float32), modality="features", labels=labels)


def test_unlabelled_targets_are_no_mistake(make_trainer):
    batch = sides("target", torch.full((4,), -1))
    fit(DomainAdaptation("mlp", "dan", num_classes=3, backbone_settings=MLP), batch, make_trainer)
