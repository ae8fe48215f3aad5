"""Views of the target pass through the network with the batch, for methods that need them."""

from dataclasses import replace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from tlzoo.backbones import FeatureCache, create_backbone
from tlzoo.data.augmented_views import DrawnViews, StoredViews
from tlzoo.lit import DomainAdaptation, DomainConfusion, DomainData, SourceFreeAdaptation
from tlzoo.lit.frozen_features import view_features
from tlzoo.methods.adaptation import FixMatch, SelfEnsembling
from tlzoo.methods.alignment import Alignment
from tlzoo.methods.source_free import SourceFree
from tlzoo.nn.network import Network
from tlzoo.registry import METHODS, method_class
from tlzoo.types import DomainBatch, Need

FEATURES = {"num_features": 8}
VIEWING = [name for name in METHODS if Need.VIEWS in method_class(name).needs]
SOURCE_FREE = [name for name in VIEWING if issubclass(method_class(name), SourceFree)]


class Viewer(Alignment):
    """Keeps what it is shown."""

    needs = frozenset({Need.VIEWS, Need.MODEL})

    def term(self, source, target, context):
        self.source, self.target = source, target
        return {"loss": target.view("strong").features.square().mean()}


class Means(nn.Module):
    """Pictures to features: means over rows."""

    def forward(self, pictures):
        return torch.as_tensor(pictures).float().mean(dim=2).flatten(1) / 255


@pytest.fixture
def picture_task(domain_task):
    def pictures(examples, seed):
        random = np.random.default_rng(seed)
        items = random.integers(60, size=(len(examples), 8, 8, 1)) + 60 * examples.labels[:, None, None, None]
        return replace(examples, inputs=items.astype(np.uint8), modality="image", checksum=f"pictures {seed}")

    parts = ("source_train", "source_test", "target_train", "target_test")
    return replace(domain_task, **{name: pictures(getattr(domain_task, name), k) for k, name in enumerate(parts)})


def shown(task, make_trainer, *, backbone="identity", settings=FEATURES, steps=2, batch_statistics="joint", **data):
    module = DomainAdaptation(
        backbone,
        Viewer(8, 3),
        num_classes=3,
        backbone_settings=settings,
        batch_statistics=batch_statistics,
        optimizer={"lr": 1e-9},
    )
    made = DomainData(task, batch_size=10, **data)
    make_trainer(steps, limit_val_batches=0).fit(module, datamodule=made)
    return module, made


def rows_of(target, data):
    """Return the rows in the target's training set; a method gets other numbers for them."""
    return data._numbers.argsort()[target.indices].numpy()


@pytest.mark.parametrize("batch_statistics", ["joint", "per_domain"])
def test_views_are_predictions_of_the_same_items(batch_statistics, domain_task, make_trainer):
    module, data = shown(domain_task, make_trainer, batch_statistics=batch_statistics)
    target = module.method.target
    assert set(target.views) == {"weak", "strong"}
    assert module.method.source.views == {}
    expected = DrawnViews(domain_task.target_train, seed=0)(rows_of(target, data), 1)
    for name, view in target.views.items():
        torch.testing.assert_close(view.features, expected[name])
        torch.testing.assert_close(view.inputs, expected[name])
        assert view.labels is None
    assert isinstance(data.views, DrawnViews)


def test_methods_that_need_no_views_are_given_none(domain_task, make_trainer):
    module = DomainAdaptation("identity", "dan", num_classes=3, backbone_settings=FEATURES)
    data = DomainData(domain_task, batch_size=10)
    make_trainer(1, limit_val_batches=0).fit(module, datamodule=data)
    assert data.views is None
    assert data.train_dataloader().batch_at(0).target.views == {}


def test_views_of_raw_pictures_are_drawn_in_every_step(picture_task, make_trainer):
    backbone = create_backbone(Means(), num_features=8, modality="image")
    module, data = shown(picture_task, make_trainer, backbone=backbone)
    assert isinstance(data.views, DrawnViews)
    assert module.method.target.view("weak").inputs.dtype == torch.uint8


def test_a_frozen_backbone_is_run_on_a_few_views(picture_task, make_trainer, tmp_path, monkeypatch):
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path))
    backbone = create_backbone(Means(), num_features=8, modality="image")
    module, data = shown(picture_task, make_trainer, features=backbone, stored_views=2, scale=True)
    assert isinstance(data.views, StoredViews)
    assert [len(copies) for copies in data.views.copies.values()] == [2, 2]
    target = module.method.target
    copies = view_features(picture_task.target_train, backbone, copies=2, mirrored=False)
    for name, view in target.views.items():
        for row, place in zip(view.features, rows_of(target, data), strict=True):
            stored = [torch.from_numpy(rows[place] / np.float32(module.preparation.divisor)) for rows in copies[name]]
            assert any(torch.allclose(row, one) for one in stored)
    entries = len(list((tmp_path / "features").glob("*.npy")))
    view_features(picture_task.target_train, backbone, copies=2, mirrored=False)
    assert len(list((tmp_path / "features").glob("*.npy"))) == entries


def test_stored_views_need_a_copy(picture_task, tmp_path):
    backbone = create_backbone(Means(), num_features=8, modality="image")
    with pytest.raises(ValueError, match="0 views of each kind"):
        view_features(picture_task.target_train, backbone, copies=0, mirrored=False, cache=FeatureCache(tmp_path))


def test_raw_texts_have_no_views(domain_task, make_trainer):
    def texts(examples):
        return replace(examples, inputs=np.array([f"text {k}" for k in range(len(examples))]), modality="text")

    class Lengths(nn.Module):
        def forward(self, texts):
            return torch.tensor([[float(len(text))] * 8 for text in texts])

    backbone = create_backbone(Lengths(), num_features=8, modality="text")
    with pytest.raises(ValueError, match="no augmented views of text items"):
        shown(domain_task.map_sets(texts), make_trainer, backbone=backbone)


@pytest.mark.parametrize("name", sorted(set(VIEWING) - set(SOURCE_FREE)))
@pytest.mark.parametrize("batch_statistics", ["joint", "per_domain"])
def test_methods_with_views_train(name, batch_statistics, domain_task, make_trainer):
    module = DomainAdaptation(
        "mlp",
        name,
        num_classes=3,
        bottleneck=8,
        batch_statistics=batch_statistics,
        optimizer={"lr": 0.05, "backbone_lr": 1.0},
        backbone_settings={"num_inputs": 8, "hidden": [16]},
        method_settings={"threshold": 0.5},
    )
    trainer, data = make_trainer(60), DomainData(domain_task, batch_size=12)
    trainer.fit(module, datamodule=data)
    assert trainer.callback_metrics["train/confident"] > 0.2
    assert trainer.test(module, datamodule=data, verbose=False)[0]["test/accuracy"] > 0.8


@pytest.mark.parametrize("name", SOURCE_FREE)
def test_source_free_methods_with_views_keep_what_the_source_model_knows(name, domain_task, make_trainer):
    source = DomainAdaptation(
        "mlp",
        "source_only",
        num_classes=3,
        bottleneck=8,
        optimizer={"lr": 0.05, "backbone_lr": 1.0},
        backbone_settings={"num_inputs": 8, "hidden": [16]},
    )
    make_trainer(30).fit(source, datamodule=DomainData(domain_task, batch_size=12))
    module = SourceFreeAdaptation(source.network, name, num_classes=3, optimizer={"lr": 0.003, "backbone_lr": 1.0})
    trainer, data = make_trainer(12), DomainData(domain_task.without_source(), batch_size=12)
    trainer.fit(module, datamodule=data)
    assert trainer.test(module, datamodule=data, verbose=False)[0]["test/accuracy"] > 0.8
    pairs = zip(module.method.slow.parameters(), source.network.requires_grad_(False).parameters(), strict=True)
    assert all((one - other).abs().max().item() < 0.01 for one, other in pairs)  # the slow copy hardly moved
    assert not torch.equal(module.network.head.weight, module.method.slow.head.weight)


def test_a_source_free_method_may_need_views_too(domain_task, make_trainer):
    class Viewing(SourceFree):
        needs = frozenset({Need.VIEWS})

        def term(self, target, context):
            self.target = target
            return {"loss": (target.view("weak").logits - target.view("strong").logits).square().mean()}

    network = Network(create_backbone("identity", num_features=8), 3)
    module = SourceFreeAdaptation(network, Viewing(8, 3), num_classes=3, optimizer={"lr": 1e-9})
    data = DomainData(domain_task, batch_size=10)
    make_trainer(2, limit_val_batches=0).fit(module, datamodule=data)
    expected = DrawnViews(domain_task.target_train, seed=0)(rows_of(module.method.target, data), 1)
    torch.testing.assert_close(module.method.target.view("strong").features, expected["strong"])


@pytest.mark.parametrize("name", VIEWING)
def test_a_batch_without_views_says_what_is_missing(name, domain_task):
    if name in SOURCE_FREE:
        network = Network(create_backbone("identity", **FEATURES), 3)
        module = SourceFreeAdaptation(network, name, num_classes=3)
    else:
        module = DomainAdaptation("identity", name, num_classes=3, backbone_settings=FEATURES)
    batch = DomainBatch(
        source=domain_task.source_train.batch(np.arange(6)), target=domain_task.target_train.batch(np.arange(6))
    )
    with pytest.raises(ValueError, match=r"without view '\w+' \(it has none\); DomainData provides them"):
        module.training_step(batch, 0)


# --- the teacher


def test_the_teacher_follows_after_each_step(domain_task, make_trainer):
    method = SelfEnsembling(8, 3, smoothing=0.9)
    module = DomainAdaptation("identity", method, num_classes=3, backbone_settings=FEATURES, optimizer={"lr": 0.1})
    expected = module.network.head.weight.detach().clone()
    torch.testing.assert_close(method.teacher.head.weight, expected)
    assert not any(parameter.requires_grad for parameter in method.teacher.parameters())

    class Follow(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, *_):
            expected.lerp_(pl_module.network.head.weight.detach(), 0.1)

    make_trainer(5, callbacks=[Follow()], limit_val_batches=0).fit(module, datamodule=DomainData(domain_task))
    torch.testing.assert_close(method.teacher.head.weight, expected)
    assert not torch.allclose(method.teacher.head.weight, module.network.head.weight, atol=1e-4)


def test_the_teacher_follows_steps_not_batches(domain_task, make_trainer):
    """Two batches of accumulated gradient are one step."""
    followed = []

    class Counts(FixMatch):
        def after_step(self, network):
            followed.append(network)

    module = DomainAdaptation("identity", Counts(8, 3), num_classes=3, backbone_settings=FEATURES)
    trainer = make_trainer(3, accumulate_grad_batches=2, limit_val_batches=0)
    trainer.fit(module, datamodule=DomainData(domain_task, batch_size=6))
    assert len(followed) == trainer.global_step == 3
    assert all(network is module.network for network in followed)


def test_an_alternating_method_is_told_of_its_steps_too(domain_task, make_trainer):
    followed = []

    class Counts(method_class("confusion/mcd")):
        def after_step(self, network):
            followed.append(network)

    method = Counts(8, 3)
    module = DomainConfusion("identity", method, num_classes=3, bottleneck=8, backbone_settings=FEATURES)
    make_trainer(3, limit_val_batches=0).fit(module, datamodule=DomainData(domain_task, batch_size=12))
    assert len(followed) == 3


def test_a_teacher_that_was_not_made_is_asked_for():
    with pytest.raises(RuntimeError, match="call prepare"):
        SelfEnsembling(8, 3).after_step(nn.Linear(8, 3))
