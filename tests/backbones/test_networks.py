import copy

import numpy as np
import pytest
import torch
from torch import nn

from tlzoo.backbones import create_backbone
from tlzoo.nn.task_heads import DenseHead

OWN = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4))
NHWC = {"pretrained": False, "depths": (1, 1, 1, 1)}
# name, settings, raw items, shape of the map
CASES = {
    "lenet": ("lenet", {}, "gray", (50, 5, 5)),
    "lenet-28": ("lenet", {"image_size": 28}, "gray", (50, 4, 4)),
    "conv4": ("conv4", {}, "gray", (64, 1, 1)),
    "conv4-84": ("conv4", {"in_channels": 3, "image_size": 84, "width": 8}, "color", (8, 5, 5)),
    "resnet12": ("resnet12", {"widths": (4, 6, 8, 10), "image_size": 40}, "color", (10, 2, 2)),
    "wide_resnet": ("wide_resnet", {"depth": 10, "width": 1}, "color", (64, 8, 8)),
    "resnext29": ("resnext29", {"groups": 1, "group_width": 4}, "color", (1024, 8, 8)),
    "resnet26_gn": ("resnet26_gn", {}, "color", (64, 8, 8)),
    "segnet": ("segnet", {"widths": (4, 6, 8, 10, 12), "image_size": (35, 50)}, "color", (4, 35, 50)),
    "mlp": ("mlp", {"num_inputs": 5, "hidden": (6, 4), "dropout": 0.3}, "features", None),
    "identity": ("identity", {"num_features": 5}, "features", None),
    "pixels": ("pixels", {"image_size": 6}, "gray", None),
    "temporal": ("temporal", {"in_channels": 5, "widths": (4, 6, 8)}, "series", (8, 1, 20)),
    "lite0": ("efficientnet_lite0", {"pretrained": False, "image_size": 64}, "color", (1280, 2, 2)),
    "timm-cnn": ("timm:resnet10t", {"pretrained": False, "image_size": 64}, "color", (512, 2, 2)),
    "timm-vit": ("timm:test_vit", {"pretrained": False}, "color", None),
    "timm-nhwc": ("timm:swin_tiny_patch4_window7_224", NHWC, "color", (768, 7, 7)),
    "wrapped": (OWN, {"input_shape": (5,), "modality": "features"}, "tensor", None),
}  # fmt: skip


def raw(kind):
    rng = np.random.default_rng(0)
    return {
        "gray": rng.integers(0, 256, (3, 30, 26, 1), dtype=np.uint8),
        "color": rng.integers(0, 256, (3, 30, 26, 3), dtype=np.uint8),
        "features": rng.normal(size=(3, 5)).astype(np.float32),
        "series": rng.normal(size=(3, 20, 5)).astype(np.float32),
        "tensor": torch.from_numpy(rng.normal(size=(3, 5)).astype(np.float32)),
    }[kind]


@pytest.fixture(params=CASES)
def case(request):
    torch.manual_seed(0)
    name, settings, kind, shape = CASES[request.param]
    return create_backbone(copy.deepcopy(name), **settings), raw(kind), shape


def test_shapes(case):
    backbone, items, map_shape = case
    backbone.eval()
    inputs = backbone.preprocess(items)
    features = backbone(inputs)
    assert features.shape == (3, *(map_shape if backbone.name == "segnet" else [backbone.num_features]))
    assert torch.isfinite(features).all()
    if map_shape is None:
        with pytest.raises(TypeError, match="has no feature map"):
            backbone.forward_map(inputs)
    else:
        assert backbone.forward_map(inputs).shape == (3, *map_shape)


def test_layer_groups_partition_the_parameters(case):
    backbone = case[0]
    groups = backbone.layer_groups()
    held = [id(p) for group in groups for module in group.modules for p in module.parameters()]
    assert len(held) == len(set(held))
    assert set(held) == {id(p) for p in backbone.parameters()}
    assert len({group.name for group in groups}) == len(groups)


def test_composable_means_that_groups_run_in_order_are_forward(case):
    backbone, items, _ = case
    if not backbone.composable:
        pytest.skip("declares that it is not")
    x = inputs = backbone.preprocess(items)
    torch.manual_seed(1)
    expected = backbone(inputs)
    torch.manual_seed(1)
    for group in backbone.layer_groups():
        for module in group.modules:
            x = module(x)
    # in training mode, so that batch norm and dropout count too
    assert torch.equal(x, expected)


def test_gradient_reaches_every_trainable_parameter(case):
    backbone, items, _ = case
    features = backbone(backbone.preprocess(items))
    if features.requires_grad:
        (features**2).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in backbone.parameters())


def test_state_dict_round_trip(case):
    backbone, items, _ = case
    inputs = backbone.preprocess(items)
    expected = backbone.eval()(inputs)
    state = {key: value.clone() for key, value in backbone.state_dict().items()}
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(1.0)
    backbone.load_state_dict(state)
    assert torch.equal(backbone(inputs), expected)


def test_freeze_until():
    backbone = create_backbone("lenet")
    backbone.freeze(until="conv2")
    assert [p.requires_grad for p in backbone.head.parameters()] == [True, True]
    assert not any(p.requires_grad for p in backbone.body.parameters())
    backbone.freeze()
    assert not any(p.requires_grad for p in backbone.parameters())
    with pytest.raises(ValueError, match="no layer group 'conv3'; it has conv1, conv2, fc"):
        backbone.freeze(until="conv3")


def test_freezing_a_vit_holds_its_tokens():
    backbone = create_backbone("timm:test_vit", pretrained=False)
    backbone.freeze(until=backbone.layer_groups()[0].name)
    assert not backbone.network.pos_embed.requires_grad
    assert not backbone.network.cls_token.requires_grad
    assert backbone.network.blocks[-1].attn.qkv.weight.requires_grad


def test_conv4_uses_the_batch_at_hand_also_in_evaluation():
    backbone = create_backbone("conv4").eval()
    assert not [name for name, _ in backbone.named_buffers()]
    x = torch.randn(6, 1, 28, 28)
    assert not torch.allclose(backbone(x)[:3], backbone(x[:3]))
    kept = create_backbone("conv4", running_statistics=True).eval()
    torch.testing.assert_close(kept(x)[:3], kept(x[:3]))


def test_conv4_is_four_times_conv_norm_relu_pool():
    backbone = create_backbone("conv4", width=5)
    x = expected = torch.randn(4, 1, 28, 28)
    for block in backbone.body.values():
        y = nn.functional.conv2d(expected, block[0].weight, block[0].bias, padding=1)
        mean, var = y.mean((0, 2, 3), keepdim=True), y.var((0, 2, 3), keepdim=True, unbiased=False)
        expected = nn.functional.max_pool2d(((y - mean) / (var + 1e-5).sqrt()).relu(), 2)
    torch.testing.assert_close(backbone(x), expected.flatten(1), rtol=1e-4, atol=1e-5)


def test_resnet12_drop_rates():
    backbone = create_backbone("resnet12", widths=(4, 4, 4, 4), drop_rate=(0.0, 0.1, 0.2, 0.3))
    rates = [m.p for m in backbone.modules() if isinstance(m, nn.Dropout)]
    assert rates == [0.0, 0.1, 0.2, 0.3]
    with pytest.raises(ValueError, match="2 drop rates for 4 blocks"):
        create_backbone("resnet12", drop_rate=(0.1, 0.2))


def test_wide_resnet_28_10_has_its_size():
    """36.5 million weights, as in the paper's table, classifier included."""
    backbone = create_backbone("wide_resnet")
    classifier = 641 * 10 - 10 + 10
    assert sum(p.numel() for p in backbone.parameters()) + classifier == 36_479_194
    with pytest.raises(ValueError, match="depth is 12; expected 6 n"):
        create_backbone("wide_resnet", depth=12)


def test_segnet_has_its_size():
    """As many weights as its authors count in multitask tables, with their head of 13 classes."""
    head = DenseHead(64, 13, decoder="conv")
    parameters = [*create_backbone("segnet").parameters(), *head.parameters()]
    assert sum(parameter.numel() for parameter in parameters) == 24_981_069


def test_the_decoder_of_segnet_puts_values_where_the_maxima_were():
    backbone = create_backbone("segnet", widths=(1, 1, 1, 1, 1))
    pool, unpool = backbone.body["encoder1"][-1], backbone.body["decoder1"][0]
    x = torch.tensor([[[[1.0, 5, 2], [3, 4, 0], [7, 8, 9]]]])  # odd sides: the last row and column are pooled by none
    assert unpool(10 * pool(x)).tolist() == [[[[0, 50, 0], [0, 0, 0], [0, 0, 0]]]]
    assert pool.kept is None  # nothing of a batch stays behind


def test_copies_of_segnet_share_no_positions():
    first = create_backbone("segnet", widths=(1, 1, 1, 1, 1))
    second = copy.deepcopy(first)
    assert second.body["decoder1"][0].pool is second.body["encoder1"][-1]
    assert second.body["decoder1"][0].pool is not first.body["encoder1"][-1]


def test_resnext29_has_its_size():
    """6.9 million weights, as RobustBench counts them for CIFAR-100, classifier included."""
    parameters = create_backbone("resnext29").parameters()
    assert sum(p.numel() for p in parameters) + 1025 * 100 == 6_900_132


def test_resnet12_has_twelve_layers_and_640_features():
    backbone = create_backbone("resnet12")
    wide = [m for m in backbone.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert len(wide) == 12
    assert backbone.num_features == 640


def test_temporal_takes_any_length_and_sees_no_order_of_the_batch():
    backbone = create_backbone("temporal", in_channels=2).eval()
    x = torch.randn(4, 31, 2)
    torch.testing.assert_close(backbone(x).flip(0), backbone(x.flip(0)))
    assert backbone(torch.randn(1, 9, 2)).shape == (1, 128)


@pytest.mark.parametrize(
    ("name", "settings", "shape"),
    [
        ("lenet", {}, (2, 1, 28, 28)),
        ("lenet", {}, (1, 32, 32)),
        ("conv4", {}, (2, 3, 28, 28)),
        ("mlp", {"num_inputs": 5}, (2, 6)),
        ("identity", {"num_features": 5}, (2, 6)),
        ("temporal", {"in_channels": 3}, (2, 3, 10)),
        ("efficientnet_lite0", {"pretrained": False}, (2, 1, 96, 96)),
    ],
)
def test_wrong_shapes_are_answered_with_the_expected_one(name, settings, shape):
    with pytest.raises(ValueError, match=r"inputs of shape .*; expected \(B, "):
        create_backbone(name, **settings)(torch.zeros(shape))


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("lenet", {"image_size": 12}, "at least 16"),
        ("segnet", {"image_size": (64, 31)}, "at least 32"),
        ("segnet", {"widths": (4, 4)}, "2 widths; expected five"),
        ("conv4", {"image_size": 12}, "at least 16"),
        ("conv4", {"in_channels": 2}, "expected 1 or 3"),
        ("mlp", {"num_inputs": 3, "hidden": ()}, "hidden is empty"),
        ("temporal", {"in_channels": 3, "kernels": (3, 3)}, "3 widths and 2 kernels"),
        ("temporal", {"in_channels": 3, "kernels": (3, 4, 3)}, "odd"),
        ("lenet", {"mean": (0.1, 0.2)}, "expected a finite number"),
    ],
)
def test_wrong_settings(name, settings, message):
    with pytest.raises(ValueError, match=message):
        create_backbone(name, **settings)
