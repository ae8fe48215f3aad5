"""Modules that are made for a data module by one call; modules of the user's own as backbones."""

import numpy as np
import pytest
import torch
from torch import nn

from tlzoo import lit
from tlzoo.backbones import create_backbone, register_backbone
from tlzoo.data import DomainTask, ExampleSet
from tlzoo.data.tasks import Target
from tlzoo.lit import (
    ClassicalOneShot,
    DomainAdaptation,
    DomainConfusion,
    DomainData,
    EpisodeData,
    FineTuning,
    Multitask,
    MultitaskData,
    OneShot,
    SourceFreeAdaptation,
    TestTimeAdaptation,
    ZeroShot,
    ZeroShotData,
)
from tlzoo.lit.module import TransferModule

WIDTH = 8


class Flat(nn.Module):
    """A network that says nothing of itself."""

    def __init__(self, hidden=5):
        super().__init__()
        self.conv = nn.Conv2d(3, hidden, 3)

    def forward(self, images):
        assert images.dtype == torch.float32
        assert 0 <= images.min() <= images.max() <= 1
        return self.conv(images).mean((2, 3))


class WithPreprocess(Flat):
    """The same, with a size of its own."""

    size = 6

    def preprocess(self, items):
        self.seen = items.dtype
        return torch.as_tensor(items)[:, : self.size, : self.size].permute(0, 3, 1, 2) / 255


@pytest.fixture
def pictures():
    def examples(count, seed):
        pixels = np.random.default_rng(seed).integers(0, 256, (count, 9, 9, 3), dtype=np.uint8)
        return ExampleSet(inputs=pixels, modality="image", labels=np.arange(count) % 2, checksum=f"pictures {seed}")

    sets = {name: examples(12, seed) for seed, name in enumerate(["source_train", "source_test", "target_train"])}
    return DomainTask(name="pictures", class_names=("a", "b"), **sets, target_test=examples(8, 9))


@pytest.fixture
def data(domain_task, multitask_task, episode_task, zeroshot_task):
    episodes = EpisodeData(episode_task, episodes=4)
    return {
        DomainAdaptation: DomainData(domain_task, batch_size=12),
        DomainConfusion: DomainData(domain_task, batch_size=12),
        FineTuning: DomainData(domain_task, batch_size=12),
        Multitask: MultitaskData(multitask_task, batch_size=12),
        OneShot: episodes,
        ClassicalOneShot: episodes,
        ZeroShot: ZeroShotData(zeroshot_task, batch_size=12),
    }


METHODS = {
    DomainAdaptation: "dan",
    DomainConfusion: "dann",
    FineTuning: "full",
    Multitask: "equal",
    OneShot: "maml",
    ClassicalOneShot: "protonet",
    ZeroShot: "eszsl",
}
DIRECT = {
    DomainAdaptation: {"num_classes": 3},
    DomainConfusion: {"num_classes": 3},
    FineTuning: {"num_classes": 3},
    Multitask: {"targets": {"kind": Target(classes=3), "height": Target(classes=0)}},
    OneShot: {"way": 3},
    ClassicalOneShot: {"num_base_classes": 6},
    ZeroShot: {"num_classes": 2, "num_embedding": WIDTH},
}


def test_every_module_has_it():
    modules = [each for name in lit.__all__ if isinstance(each := getattr(lit, name), type)]
    modules = [each for each in modules if issubclass(each, TransferModule)]
    assert set(METHODS) | {SourceFreeAdaptation, TestTimeAdaptation} == set(modules)
    assert all(hasattr(each, "for_data") for each in modules)


@pytest.mark.parametrize("cls", METHODS, ids=lambda cls: cls.__name__)
def test_it_is_the_module_that_the_constructor_makes(cls, data, make_trainer, tmp_path):
    torch.manual_seed(1)
    short = cls.for_data(data[cls], METHODS[cls])
    torch.manual_seed(1)
    shape = {"num_features": WIDTH}
    long = cls("identity", METHODS[cls], backbone_settings=shape, **DIRECT[cls])
    assert short.state_dict().keys() == long.state_dict().keys()
    torch.testing.assert_close(dict(short.state_dict()), dict(long.state_dict()), rtol=0, atol=0, equal_nan=True)
    trainer = make_trainer(2, limit_val_batches=0, limit_test_batches=2)
    if short.learns:
        trainer.fit(short, datamodule=data[cls])
    assert trainer.test(short, datamodule=data[cls], verbose=False)
    trainer.save_checkpoint(tmp_path / "it.ckpt")
    assert type(cls.load_from_checkpoint(tmp_path / "it.ckpt")) is cls


def test_settings_of_the_constructor_pass_through(data):
    module = DomainConfusion.for_data(data[DomainConfusion], "cdan", bottleneck=4, method_settings={"entropy": True})
    assert module.network.num_features == 4
    assert module.method.entropy
    assert DomainAdaptation.for_data(data[DomainAdaptation], "dan", num_classes=7).network.head.out_features == 7
    small = DomainAdaptation.for_data(
        data[DomainAdaptation], "dan", backbone="mlp", backbone_settings={"num_inputs": WIDTH, "hidden": (5,)}
    )
    assert small.network.num_features == 5


def test_methods_that_adapt_a_source_model(data):
    network = DomainAdaptation.for_data(data[DomainAdaptation], "source_only", bottleneck=4).network
    assert SourceFreeAdaptation.for_data(data[DomainAdaptation], "shot", network=network).method_name.endswith("shot")
    assert TestTimeAdaptation.for_data(data[DomainAdaptation], "tent", network=network).method_name.endswith("tent")


def test_raw_items_want_a_network(pictures):
    with pytest.raises(ValueError, match=r"has image items; give backbone=NAME .* or features=NAME to DomainData"):
        DomainAdaptation.for_data(DomainData(pictures), "dan")


@pytest.mark.parametrize("backbone", [Flat(), WithPreprocess()], ids=["bare", "with preprocess"])
def test_a_bare_module_trains_on_pictures(pictures, backbone, make_trainer):
    data = DomainData(pictures, batch_size=4)
    module = DomainAdaptation.for_data(data, "dan", backbone=backbone)
    assert module.network.num_features == 5, "found by a dry run"
    trainer = make_trainer(2)
    trainer.fit(module, datamodule=data)
    trainer.test(module, datamodule=data, verbose=False)
    if isinstance(backbone, WithPreprocess):
        assert backbone.seen in (np.uint8, torch.uint8), "its own preprocess was given raw items"


def test_a_bare_module_gives_frozen_features(pictures, monkeypatch, tmp_path):
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path))
    network = WithPreprocess()
    data = DomainData(pictures, features=network)
    assert data.num_features == 5
    items = pictures.target_test.inputs[np.arange(2)]
    with torch.no_grad():
        expected = network(network.preprocess(items))
    assert np.allclose(data.task.target_test.inputs[np.arange(2)], expected.numpy(), atol=1e-6)


def test_what_a_preprocess_depends_on_is_in_its_identity():
    first, second = WithPreprocess(), WithPreprocess()
    second.size = 7
    identities = {create_backbone(each, num_features=5).preprocessing for each in (first, WithPreprocess(), second)}
    assert len(identities) == 2
    first.preprocessing = "named"
    assert create_backbone(first, num_features=5).preprocessing == "named"


def test_a_registered_class_is_restored_by_its_name(pictures, make_trainer, tmp_path):
    register_backbone("flat", Flat)
    data = DomainData(pictures, batch_size=4)
    module = DomainAdaptation.for_data(data, "dan", backbone="flat", backbone_settings={"hidden": 3})
    assert module.network.num_features == 3
    trainer = make_trainer(1)
    trainer.fit(module, datamodule=data)
    trainer.save_checkpoint(tmp_path / "it.ckpt")
    again = DomainAdaptation.load_from_checkpoint(tmp_path / "it.ckpt")
    assert torch.equal(again.network.backbone.module.conv.weight, module.network.backbone.module.conv.weight)


def test_a_class_or_a_function_makes_a_backbone():
    assert create_backbone(Flat, hidden=4, num_features=4).module.conv.out_channels == 4
    assert create_backbone(lambda: Flat(6), num_features=6).num_features == 6
    with pytest.raises(TypeError, match=r"made a int; expected a torch\.nn\.Module"):
        create_backbone(lambda: 3)
