import subprocess
import sys

import pytest
import torch
from torch import nn

from tlzoo.backbones import create_backbone, list_backbones
from tlzoo.types import Backbone

LIGHT = {
    "conv4": {},
    "identity": {"num_features": 7},
    "lenet": {},
    "message_passing": {},
    "mlp": {"num_inputs": 5, "hidden": (6, 4)},
    "pixels": {"image_size": 6},
    "resnet12": {"widths": (4, 6, 8, 10)},
    "temporal": {"in_channels": 3},
    "wide_resnet": {"depth": 10, "width": 1},
    "resnet26_gn": {},
    "resnext29": {"groups": 1, "group_width": 4},
    "segnet": {"widths": (4, 6, 8, 10, 12)},
}


def test_import_is_light():
    code = (
        "import sys, tlzoo.backbones\n"
        "heavy = {'timm', 'torchvision', 'transformers', 'sentence_transformers', 'pandas', 'pytorch_lightning'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_every_listed_name_exists():
    assert set(LIGHT) | {"efficientnet_lite0", "efficientnet_lite2", "sentence:minilm"} == set(list_backbones())


@pytest.mark.parametrize("name", LIGHT)
def test_names_make_backbones(name):
    backbone = create_backbone(name, **LIGHT[name])
    assert isinstance(backbone, Backbone)
    assert backbone.name == name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lenett", "did you mean 'lenet'"),
        ("efficientnet_lite", "did you mean 'efficientnet_lite2' or 'efficientnet_lite0'"),
        ("timm:resnet81", "did you mean .*'resnet"),
        ("timmm:resnet18", "unknown backbone"),
        ("./weights.pth", "looks like a path"),
        ("folder/network", "looks like a path"),
        ("lenet.pt", "looks like a path"),
        ("timm:../resnet18", "looks like a path"),
        ("timm:hf-hub:timm/resnet18", "looks like a path"),
        ("sentence:", "no encoder named"),
    ],
)
def test_unknown_names_are_answered(name, expected):
    with pytest.raises(ValueError, match=expected):
        create_backbone(name)


def test_unknown_and_missing_settings_are_answered_with_the_list():
    with pytest.raises(TypeError, match=r"lenet: .*'width'; its settings are in_channels=1, image_size=32"):
        create_backbone("lenet", width=3)
    with pytest.raises(TypeError, match=r"mlp: missing .*num_inputs"):
        create_backbone("mlp")


class TestWrapped:
    def module(self):
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def test_width_is_probed_and_the_module_left_alone(self):
        module = self.module()
        module[1].eval()
        state, before = torch.get_rng_state(), {k: v.clone() for k, v in module.state_dict().items()}
        backbone = create_backbone(module, input_shape=(3, 8, 8))
        assert backbone.num_features == 4
        assert torch.equal(torch.get_rng_state(), state)
        assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())
        assert module.training
        assert not module[1].training

    def test_forward_is_the_modules(self):
        module = self.module()
        x = torch.randn(2, 3, 8, 8)
        assert torch.equal(create_backbone(module, num_features=4)(x), module(x))

    def test_declared_width_is_taken(self):
        module = self.module()
        module.num_features = 4
        assert create_backbone(module).num_features == 4

    def test_unknown_width_is_refused(self):
        with pytest.raises(ValueError, match="pass num_features=D, or input_shape"):
            create_backbone(self.module())

    def test_a_map_of_a_dry_run_is_averaged_and_one_of_known_width_is_not(self):
        images = torch.rand(2, 3, 8, 8)
        assert create_backbone(nn.Conv2d(3, 4, 3), input_shape=(3, 8, 8))(images).shape == (2, 4)
        assert create_backbone(nn.Conv2d(3, 4, 3), num_features=4)(images).shape == (2, 4, 6, 6)

    def test_sequences_are_refused(self):
        with pytest.raises(ValueError, match=r"maps 2 inputs to \(2, 3, 4\); expected features \(2, D\)"):
            create_backbone(nn.Linear(5, 4), input_shape=(3, 5))

    def test_preprocess_wants_a_name(self):
        with pytest.raises(ValueError, match="preprocess without preprocessing"):
            create_backbone(self.module(), num_features=4, preprocess=torch.as_tensor)
        backbone = create_backbone(self.module(), num_features=4, preprocess=torch.as_tensor, preprocessing="as_tensor")
        assert backbone.preprocessing == "as_tensor"
        assert torch.equal(backbone.preprocess([1.0]), torch.tensor([1.0]))

    def test_a_backbone_passes_through(self):
        backbone = create_backbone("lenet")
        assert create_backbone(backbone) is backbone
        with pytest.raises(TypeError, match="come too late"):
            create_backbone(backbone, dropout=0.1)
