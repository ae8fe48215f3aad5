"""What full fine-tuning needs: augmentation, rates by layer, unfreezing, mixed precision, compiled backbones."""

import random

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform
from torch import nn
from torchvision.transforms import v2

import tlzoo
from tlzoo.backbones import create_backbone
from tlzoo.data import DomainTask, ExampleSet
from tlzoo.lit import DomainAdaptation, DomainConfusion, DomainData, FineTuning
from tlzoo.lit.data.augmentation import Augmentation
from tlzoo.types import Examples

RANDOM = np.random.default_rng(0)
LENET = {"image_size": 28, "in_channels": 1}


def pictures(size, channels=1):
    labels = np.arange(size) % 2
    inputs = RANDOM.integers(0, 60, (size, 28, 28, channels), dtype=np.uint8)
    inputs[labels == 1, 8:20] += 150
    return ExampleSet(inputs=inputs, modality="image", labels=labels)


@pytest.fixture
def task():
    return DomainTask(
        name="pictures",
        class_names=("plain", "striped"),
        source_train=pictures(24),
        source_test=pictures(8),
        target_train=pictures(24),
        target_test=pictures(12),
    )


TRANSFORMS = {
    "v2 on images": v2.Compose([v2.RandomResizedCrop(28, scale=(0.5, 1)), v2.RandomHorizontalFlip()]),
    "v2 to tensors": v2.Compose([v2.PILToTensor(), v2.RandomCrop(28, padding=4)]),
    "v2 to floats": v2.Compose([v2.ToImage(), v2.RandomRotation(20), v2.ToDtype(torch.float32, scale=True)]),
    "timm": create_transform(28, is_training=True, normalize=False, auto_augment="rand-m3", color_jitter=None),
    "a function": lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_change_pictures_by_seed_side_and_step(name):
    channels = 3 if name == "timm" else 1
    augment = Augmentation(TRANSFORMS[name], seed=3)
    given = Examples(inputs=torch.from_numpy(np.array(pictures(6, channels).inputs)))
    python, state = random.getstate(), torch.get_rng_state()
    changed = augment(given, "target", 5)
    assert changed.inputs.shape == (6, 28, 28, channels)
    assert changed.inputs.dtype == torch.uint8
    assert not torch.equal(changed.inputs, given.inputs)
    assert torch.equal(augment(given, "target", 5).inputs, changed.inputs)
    if name != "a function":
        assert not torch.equal(augment(given, "target", 6).inputs, changed.inputs)
        assert not torch.equal(augment(given, "source", 5).inputs, changed.inputs)
    assert random.getstate() == python
    assert torch.equal(torch.get_rng_state(), state)


def test_what_is_no_picture_is_refused(task):
    examples = Examples(inputs=torch.from_numpy(np.array(pictures(2).inputs)))
    with pytest.raises(TypeError, match="hold no uint8 pictures"):
        Augmentation(lambda picture: picture, seed=0)(Examples(inputs=torch.ones(2, 3)), "source", 0)
    with pytest.raises(ValueError, match="leave normalization out"):
        Augmentation(_normalized, seed=0)(examples, "source", 0)
    with pytest.raises(TypeError, match="returned a int"):
        Augmentation(lambda _: 1, seed=0)(examples, "source", 0)
    sizes = iter([20, 21])
    with pytest.raises(ValueError, match="end it with one that resizes or crops"):
        Augmentation(lambda picture: picture.resize((next(sizes), 20)), seed=0)(examples, "source", 0)
    with pytest.raises(ValueError, match="drop features"):
        DomainData(task, features="pixels", augment=lambda picture: picture)


def _normalized(_):
    return torch.full((1, 28, 28), -1.0)


MODULES = {
    "full": lambda data, backbone: FineTuning.for_data(data, "full", backbone=backbone),
    "layerwise": lambda data, backbone: FineTuning.for_data(data, "layerwise", backbone=backbone),
    "gradual": lambda data, backbone: FineTuning.for_data(data, "gradual_unfreezing", backbone=backbone),
    "adaptation": lambda data, backbone: DomainAdaptation.for_data(data, "mcc", backbone=backbone, bottleneck=8),
    "confusion": lambda data, backbone: DomainConfusion.for_data(data, "dann", backbone=backbone, bottleneck=8),
}


@pytest.mark.parametrize(
    ("name", "compiled"),
    [*((name, None) for name in MODULES), ("full", "in place"), ("layerwise", "wrapped"), ("adaptation", "wrapped")],
)
def test_all_of_it_at_once(name, compiled, task, make_trainer, tmp_path):
    """Augmentation, mixed precision and a compiled backbone, for each module; the result is saved and loaded."""
    augment = v2.RandomResizedCrop(28, scale=(0.7, 1))
    data = DomainData(task, augment=augment, batch_size=8)
    backbone = create_backbone("lenet", **LENET)
    if compiled == "in place":
        backbone.compile(backend="eager")
    elif compiled == "wrapped":
        backbone = torch.compile(backbone, backend="eager")
    module = MODULES[name](data, backbone)
    trainer = make_trainer(6, precision="bf16-mixed", limit_val_batches=0)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    trainer.fit(module, datamodule=data)
    assert any(not torch.equal(before[key], value) for key, value in module.state_dict().items() if "backbone" in key)
    said = module.predict(task.target_test.inputs)
    loaded = tlzoo.load(module.save(tmp_path / "module"))
    np.testing.assert_allclose(loaded.predict(task.target_test.inputs).probabilities, said.probabilities, atol=1e-5)


def test_rates_by_layer_are_those_of_the_compiled_network(task):
    data = DomainData(task)
    backbone = create_backbone("lenet", **LENET)
    plain = FineTuning.for_data(data, "layerwise", backbone=backbone).parameter_groups()
    compiled = FineTuning.for_data(data, "layerwise", backbone=torch.compile(backbone)).parameter_groups()
    assert [group["lr"] for group in plain] == [group["lr"] for group in compiled]
    assert len({group["lr"] for group in plain}) > 2


def test_a_compiled_module_of_ones_own(task, make_trainer):
    class Mine(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(1, 4, 5, 4), nn.ReLU(), nn.Flatten(), nn.LazyLinear(6))

        def forward(self, inputs):
            return self.body(inputs)

    mine = Mine()
    mine(torch.zeros(1, 1, 28, 28))
    data = DomainData(task, batch_size=8)
    module = DomainAdaptation.for_data(data, "mcc", backbone=torch.compile(mine, backend="eager"))
    make_trainer(2, limit_val_batches=0).fit(module, datamodule=data)
    assert len(module.predict(task.target_test.inputs)) == 12
