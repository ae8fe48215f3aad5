import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tlzoo import sources
from tlzoo.backbones import create_backbone
from tlzoo.backbones.efficientnet_lite0 import imagenet_classifier

pytestmark = pytest.mark.data

# blocks of each stage: how many, kernel, stride of the first; channels follow from the weights
STAGES = [(1, 3, 1), (2, 3, 2), (2, 5, 2), (3, 3, 2), (3, 5, 1), (4, 5, 2), (1, 3, 1)]


@pytest.fixture(scope="module")
def weights():
    return torch.load(sources.path("lite0"), weights_only=True)


@pytest.fixture(scope="module")
def backbone():
    return create_backbone("efficientnet_lite0").eval()


def same_convolution(x, weight, stride=1, groups=1):
    """Convolve as TensorFlow's SAME does: output ceil(n / stride), the odd pixel of padding at the end."""
    kernel = weight.shape[-1]
    pads = [max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[-2:]]
    x = F.pad(x, (pads[1] // 2, pads[1] - pads[1] // 2, pads[0] // 2, pads[0] - pads[0] // 2))
    return F.conv2d(x, weight, stride=stride, groups=groups)


def normalized(x, weights, name):
    shape = (1, -1, 1, 1)
    mean, var = weights[f"{name}.running_mean"].view(shape), weights[f"{name}.running_var"].view(shape)
    return (x - mean) / (var + 1e-3).sqrt() * weights[f"{name}.weight"].view(shape) + weights[f"{name}.bias"].view(
        shape
    )


def defined_map(weights, x):
    """EfficientNet-Lite0 as its own weights name it, one operation after the other."""
    x = F.relu6(normalized(same_convolution(x, weights["_conv_stem.weight"], 2), weights, "_bn0"))
    block = 0
    for repeats, kernel, first_stride in STAGES:
        for repeat in range(repeats):
            name, entry, stride = f"_blocks.{block}", x, first_stride if repeat == 0 else 1
            if f"{name}._expand_conv.weight" in weights:
                x = F.relu6(normalized(F.conv2d(x, weights[f"{name}._expand_conv.weight"]), weights, f"{name}._bn0"))
            depthwise = weights[f"{name}._depthwise_conv.weight"]
            assert depthwise.shape[-1] == kernel
            x = same_convolution(x, depthwise, stride, groups=x.shape[1])
            x = F.relu6(normalized(x, weights, f"{name}._bn1"))
            x = normalized(F.conv2d(x, weights[f"{name}._project_conv.weight"]), weights, f"{name}._bn2")
            if repeat > 0:
                x = x + entry
            block += 1
    return F.relu6(normalized(F.conv2d(x, weights["_conv_head.weight"]), weights, "_bn1"))


@pytest.mark.parametrize("size", [96, 97])
def test_features_are_those_of_the_weights_own_definition(backbone, weights, size):
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = defined_map(weights, x)
        torch.testing.assert_close(backbone.forward_map(x), expected, rtol=0, atol=1e-4)
        torch.testing.assert_close(backbone(x), expected.mean((2, 3)), rtol=0, atol=1e-4)


def test_chelsea_is_an_egyptian_cat():
    from skimage import data

    backbone = nn.Sequential(create_backbone("efficientnet_lite0", image_size=224), imagenet_classifier()).eval()
    with torch.no_grad():
        probabilities = backbone(backbone[0].preprocess(data.chelsea()[None])).softmax(1)[0]
    egyptian_cat = 285
    assert probabilities.argmax() == egyptian_cat
    assert probabilities[egyptian_cat] == pytest.approx(0.77, abs=0.01)


def test_the_larger_network_holds_its_own_weights():
    shipped = torch.load(sources.path("lite2"), weights_only=True)
    larger = create_backbone("efficientnet_lite2").eval()
    ours = [value for value in larger.state_dict().values() if value.dim()]
    theirs = [value for name, value in shipped.items() if value.dim() and not name.startswith("_fc")]
    assert len(ours) == len(theirs)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert larger.num_features == 1280


def test_every_weight_but_the_classifier_is_used(backbone, weights):
    ours = [value for value in backbone.state_dict().values() if value.dim()]
    theirs = [value for name, value in weights.items() if value.dim() and not name.startswith("_fc")]
    assert len(ours) == len(theirs)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_groups(backbone):
    names = [group.name for group in backbone.layer_groups()]
    assert names == ["stem", *[f"stage{i}" for i in range(1, 8)], "top"]


def test_weights_that_do_not_match_are_refused(weights):
    from tlzoo.backbones.efficientnet_lite0 import _named_as

    with pytest.raises(RuntimeError, match="do not match"):
        _named_as({"a": torch.zeros(2)}, weights, 0)


def test_images_of_any_size_are_resized(backbone):
    images = np.zeros((2, 40, 50, 3), np.uint8)
    assert backbone.preprocess(images).shape == (2, 3, 96, 96)
