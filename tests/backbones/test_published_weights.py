"""Weights of published files: the networks of three papers, written down by the names in their files, answer alike."""

from functools import partial
from itertools import product

import pytest
import torch
from torch.nn import functional as F

from tlzoo.backbones import create_backbone
from tlzoo.backbones import resnet26_gn as resnet26
from tlzoo.backbones import resnext29 as resnext
from tlzoo.backbones import wide_resnet as wide
from tlzoo.backbones.published_weights import CLASSIFIERS, published_classifier

NORMALIZED = ("weight", "bias", "running_mean", "running_var")


def norm(state, name, inputs):
    weight, bias, mean, variance = (state[f"{name}.{leaf}"] for leaf in NORMALIZED)
    return F.batch_norm(inputs, mean, variance, weight, bias)


def group_norm(state, name, inputs):
    return F.group_norm(inputs, 8, state[f"{name}.weight"], state[f"{name}.bias"])


def conv(state, name, inputs, **settings):
    return F.conv2d(inputs, state[f"{name}.weight"], **settings)


def resnext29(state, x):
    x = norm(state, "bn_1", conv(state, "conv_1_3x3", x, padding=1)).relu()
    for stage, block in product((1, 2, 3), range(3)):
        name, stride = f"stage_{stage}.{block}", 2 if stage > 1 and not block else 1
        inner = norm(state, f"{name}.bn_reduce", conv(state, f"{name}.conv_reduce", x)).relu()
        inner = conv(state, f"{name}.conv_conv", inner, stride=stride, padding=1, groups=2)
        inner = norm(state, f"{name}.bn", inner).relu()
        inner = norm(state, f"{name}.bn_expand", conv(state, f"{name}.conv_expand", inner))
        if not block:
            x = norm(state, f"{name}.downsample.1", conv(state, f"{name}.downsample.0", x, stride=stride))
        x = (x + inner).relu()
    return x.mean(dim=(2, 3))


def pre_activated(state, x, norm, stem, blocks, last, shortcut):
    """Return the features of a network that normalizes before its convolutions, of which RobustBench's is one."""
    x = conv(state, stem, x, padding=1)
    for name, stride in blocks:
        ready = norm(state, f"{name}.bn1", x).relu()
        inner = norm(state, f"{name}.bn2", conv(state, f"{name}.conv1", ready, stride=stride, padding=1)).relu()
        x = shortcut(state, name, x, ready, stride) + conv(state, f"{name}.conv2", inner, padding=1)
    return norm(state, last, x).relu().mean(dim=(2, 3))


def averaged(_state, _name, x, _ready, stride):
    return x if stride == 1 else torch.cat([F.avg_pool2d(x, 2), 0 * F.avg_pool2d(x, 2)], dim=1)


def convolved(state, name, x, ready, stride):
    return conv(state, f"{name}.convShortcut", ready, stride=stride) if f"{name}.convShortcut.weight" in state else x


LAYERS = [(f"layer{n}.{block}", 2 if n > 1 and not block else 1) for n, block in product((1, 2, 3), range(4))]
GROUPS = [(f"block{n}.layer.0", 2 if n > 1 else 1) for n in (1, 2, 3)]
RESNEXT = [
    *("conv_1_3x3", "bn_1"),
    *(f"stage_{n}.{block}.{layer}" for n, block, layer in product((1, 2, 3), range(3), resnext._LAYERS)),
]
# name, settings, layers in its files, its features, how its authors save it
CASES = {
    "resnext29": (
        {"groups": 2, "group_width": 4},
        (RESNEXT, resnext._renamed),
        resnext29,
        lambda state: {"epoch": 3, "state_dict": {f"module.{name}": value for name, value in state.items()}},
    ),
    "resnet26_gn": (
        {},
        (["conv1", "bn", *(f"{n}.{layer}" for (n, _), layer in product(LAYERS, resnet26._LAYERS))], resnet26._renamed),
        partial(pre_activated, norm=group_norm, stem="conv1", blocks=LAYERS, last="bn", shortcut=averaged),
        lambda state: {"net": state, "optimizer": {"state": {}}},
    ),
    "wide_resnet": (
        {"depth": 10, "width": 2},
        (
            ["conv1", "bn1", *(f"{name}.{layer}" for (name, _), layer in product(GROUPS, wide._LAYERS))],
            partial(wide._renamed, others={"conv1": "body.stem", "bn1": "body.group3.1"}),
        ),
        partial(pre_activated, norm=norm, stem="conv1", blocks=GROUPS, last="bn1", shortcut=convolved),
        lambda state: {"epoch": 400, "state": {f"module.{name}": value for name, value in state.items()}},
    ),
}  # fmt: skip


@pytest.fixture(params=CASES)
def case(request, tmp_path):
    """A network's settings, features and published weights, with their file."""
    torch.manual_seed(0)
    settings, (layers, renamed), features, wrapped = CASES[request.param]
    shapes = {name: value.shape for name, value in create_backbone(request.param, **settings).state_dict().items()}
    names = [f"{layer}.{leaf}" for layer in layers for leaf in NORMALIZED]
    state = {name: 0.3 * torch.randn(shapes[renamed(name)]) for name in names if renamed(name) in shapes}
    state = {name: 0.5 + value.abs() if name.endswith("_var") else value for name, value in state.items()}
    width, classifier = create_backbone(request.param, **settings).num_features, CLASSIFIERS[request.param]
    head = {f"{classifier}.weight": torch.randn(10, width), f"{classifier}.bias": torch.randn(10)}
    torch.save(wrapped({**state, **head, "mu": torch.zeros(3)}), tmp_path / "weights.pth")
    return request.param, settings, lambda x: features(state, x), head, tmp_path / "weights.pth"


def test_published_weights_load(case):
    name, settings, features, head, file = case
    found = create_backbone(name, checkpoint_path=file, **settings).eval()
    pictures = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(found(pictures), features(pictures), rtol=1e-4, atol=1e-4)
    for ours, theirs in zip(published_classifier(name, file), head.values(), strict=True):
        assert torch.equal(ours, theirs)


def test_other_files_are_refused(case, tmp_path):
    name, settings, _, _, file = case
    other = {"group_width": 8} if name == "resnext29" else {"width": 3}
    if name == "resnet26_gn":
        other = {"width": 2}
    with pytest.raises(ValueError, match=r"weights\.pth holds no weights of this .* layout"):
        create_backbone(name, checkpoint_path=file, **{**settings, **other})
    with pytest.raises(FileNotFoundError, match=r"checkpoint_path .*none\.pth is not a file"):
        create_backbone(name, checkpoint_path=tmp_path / "none.pth", **settings)
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(ValueError, match=r"text\.pth is not a file of weights alone"):
        create_backbone(name, checkpoint_path=tmp_path / "text.pth", **settings)
    torch.save({"state_dict": {}}, file)
    with pytest.raises(ValueError, match=f"has no classifier of {name}: {CLASSIFIERS[name]}.weight and"):
        published_classifier(name, file)
