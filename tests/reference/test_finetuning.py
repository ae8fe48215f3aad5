import copy

import pytest
import torch
from torch import nn

from tlzoo.backbones import create_backbone
from tlzoo.methods.finetuning import L2SP, FromScratch, Full, GradualUnfreezing, Layerwise, LinearProbe, LoRA


def mlp():
    torch.manual_seed(0)
    return create_backbone("mlp", num_inputs=4, hidden=(6, 5, 3))


def trainable(backbone):
    return {
        group.name
        for group in backbone.layer_groups()
        if all(p.requires_grad for m in group.modules for p in m.parameters())
    }


def test_l2_sp_penalty_by_hand():
    backbone, head = mlp(), nn.Linear(3, 2)
    method = L2SP(alpha=0.3, beta=0.7)
    assert method.prepare(backbone) is backbone
    start = [p.detach().clone() for p in backbone.parameters()]
    at_start = method.penalty(backbone, head)
    own = sum(p.square().sum().item() for p in head.parameters())
    assert at_start.item() == pytest.approx(0.35 * own, rel=1e-6)
    with torch.no_grad():
        for p in backbone.parameters():
            p.add_(torch.randn_like(p))
    moved = sum((p - s).square().sum().item() for p, s in zip(backbone.parameters(), start, strict=True))
    penalty = method.penalty(backbone, head)
    assert penalty.item() == pytest.approx(0.15 * moved + 0.35 * own, rel=1e-5)
    penalty.backward()
    first = next(backbone.parameters())
    torch.testing.assert_close(first.grad, 0.3 * (first.detach() - start[0]))


def test_l2_sp_wants_to_be_prepared():
    with pytest.raises(RuntimeError, match="call prepare"):
        L2SP().penalty(mlp(), nn.Linear(3, 2))


def test_l2_sp_names_weights_that_are_not_finite():
    backbone, method = mlp(), L2SP()
    method.prepare(backbone)
    with torch.no_grad():
        next(backbone.parameters())[0, 0] = torch.nan
    with pytest.raises(FloatingPointError, match=r"L2SP: the penalty is nan: NaN or Inf in backbone\..*weight"):
        method.penalty(backbone, nn.Linear(3, 2))


def test_l2_sp_starts_anew_with_another_network():
    method = L2SP()
    method.prepare(mlp())
    small = create_backbone("mlp", num_inputs=4, hidden=(2,))
    method.prepare(small)
    assert method.penalty(small, nn.Identity()).item() == 0


def conv():
    torch.manual_seed(0)
    return create_backbone("lenet")


@pytest.mark.parametrize("make", [mlp, conv])
def test_lora_starts_as_the_identity_change(make):
    backbone = make().eval()
    inputs = torch.randn(3, *((4,) if make is mlp else (1, 32, 32)))
    with torch.no_grad():
        before = backbone(inputs)
        adapted = LoRA(rank=2).prepare(backbone)
        assert torch.equal(adapted(inputs), before)
    names = [name for name, p in adapted.named_parameters() if p.requires_grad]
    assert names
    assert all("lora_" in name for name in names)
    adapted(inputs).sum().backward()
    assert sum(float(p.grad.abs().sum()) for p in adapted.parameters() if p.grad is not None) > 0


def test_lora_adapts_exactly_the_linear_layers():
    backbone = mlp()
    linear = sum(isinstance(m, nn.Linear) for m in backbone.modules())
    adapted = LoRA(rank=2).prepare(backbone)
    assert sum("lora_A" in name for name, _ in adapted.named_parameters()) == linear


def test_lora_without_a_layer_to_adapt():
    with pytest.raises(ValueError, match="no linear layer"):
        LoRA().prepare(create_backbone("identity", num_features=4))


def test_layerwise_rates_fall_by_a_factor():
    backbone = mlp()
    groups = Layerwise(decay=0.5).parameter_groups(backbone, lr=0.8)
    names = [group.name for group in backbone.layer_groups()]
    rates = [group["lr"] for group in groups]
    assert len(rates) == len(names)
    assert rates == pytest.approx([0.8 * 0.5**k for k in reversed(range(len(names)))])
    assert Layerwise().decay == pytest.approx(1 / 2.6)
    for decay in (0, 1.5):
        with pytest.raises(ValueError, match="decay"):
            Layerwise(decay=decay)


def test_gradual_unfreezing_releases_from_the_last_to_the_stem():
    backbone, method = mlp(), GradualUnfreezing()
    names = [group.name for group in backbone.layer_groups()]
    assert len(names) == 3
    seen = []
    for progress in (0.0, 0.24, 0.25, 0.5, 0.74, 0.75, 1.0):
        method.on_progress(backbone, progress)
        seen.append([name for name in names if name in trainable(backbone)])
    assert seen == [[], [], names[2:], names[1:], names[1:], names, names]
    (group,) = method.parameter_groups(backbone, lr=0.1)
    assert len(group["params"]) == len(list(backbone.parameters()))


def test_linear_probe_and_full():
    frozen = LinearProbe().prepare(mlp())
    assert trainable(frozen) == set()
    assert LinearProbe().parameter_groups(frozen, lr=0.1) == []
    whole = Full().prepare(mlp())
    (group,) = Full().parameter_groups(whole, lr=0.1)
    assert group["lr"] == 0.1
    assert len(group["params"]) == len(list(whole.parameters()))


@pytest.mark.parametrize("name", ["lenet", "conv4", "resnet12"])
def test_from_scratch_makes_every_weight_anew(name):
    backbone = create_backbone(name)
    with torch.no_grad():
        for p in backbone.parameters():
            p.fill_(77.0)
        for b in backbone.buffers():
            b.fill_(77)
    FromScratch().prepare(backbone)
    for key, value in backbone.state_dict().items():
        assert not bool((value == 77).any()), key


def test_from_scratch_follows_the_seed():
    start = conv()
    made = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        made.append(torch.cat([p.flatten() for p in FromScratch().prepare(copy.deepcopy(start)).parameters()]))
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


class Scaled(nn.Module):
    """Holds a weight that no layer knows how to make anew, beside a layer that does."""

    def __init__(self):
        super().__init__()
        self.layer, self.scale = nn.Linear(4, 3), nn.Parameter(torch.ones(3))

    def forward(self, inputs):
        return self.layer(inputs) * self.scale


class Forgetful(nn.Sequential):
    """Says that it can be reset, and forgets what is inside."""

    def reset_parameters(self):
        pass


@pytest.mark.parametrize("network", [Scaled(), Forgetful(Scaled())])
def test_from_scratch_says_what_it_cannot_make_anew(network):
    backbone = create_backbone(network, num_features=3, modality="features")
    with pytest.raises(ValueError, match=r"cannot re-initialize .*scale"):
        FromScratch().prepare(backbone)


class Separable(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.block = nn.Sequential()
        self.block.add_module("conv", nn.Conv2d(4, 4, 3, groups=4))

    def forward(self, inputs):
        return self.block(self.conv(inputs)).mean(dim=(2, 3))


def test_lora_leaves_grouped_convolutions_of_the_same_name_alone():
    backbone = create_backbone(Separable(), num_features=4, modality="image")
    adapted = [name for name, _ in LoRA(rank=2).prepare(backbone).named_parameters() if "lora_A" in name]
    assert len(adapted) == 1
    assert "block" not in adapted[0]
