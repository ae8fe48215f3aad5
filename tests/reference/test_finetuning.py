import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from tlzoo.backbones import create_backbone
from tlzoo.functional import average_weights, greedy_soup, interpolate_weights
from tlzoo.lit import FineTuning
from tlzoo.methods.finetuning import (
    BSS,
    HRA,
    IA3,
    L2SP,
    LPFT,
    BitFit,
    DoRA,
    FromScratch,
    Full,
    GradualUnfreezing,
    Layerwise,
    LinearProbe,
    LoRA,
    NormOnly,
    Soup,
    Surgical,
    VeRA,
    WiSEFT,
)
from tlzoo.methods.kept_weights import KeptWeights
from tlzoo.types import DomainBatch, Examples


def mlp():
    torch.manual_seed(0)
    return create_backbone("mlp", num_inputs=4, hidden=(6, 5, 3))


def trainable(backbone):
    return {
        group.name
        for group in backbone.layer_groups()
        if all(p.requires_grad for m in group.modules for p in m.parameters())
    }


@pytest.mark.verdict("finetuning/l2_sp", against="the formula, by hand", within=1e-06)
def test_l2_sp_penalty_by_hand(equal):
    backbone, head = mlp(), nn.Linear(3, 2)
    method = L2SP(alpha=0.3, beta=0.7)
    assert method.prepare(backbone) is backbone
    start = [p.detach().clone() for p in backbone.parameters()]
    at_start = method.penalty(backbone, head)
    own = sum(p.square().sum().item() for p in head.parameters())
    equal(at_start.item(), 0.35 * own)
    with torch.no_grad():
        for p in backbone.parameters():
            p.add_(torch.randn_like(p))
    moved = sum((p - s).square().sum().item() for p, s in zip(backbone.parameters(), start, strict=True))
    penalty = method.penalty(backbone, head)
    equal(penalty.item(), 0.15 * moved + 0.35 * own)
    penalty.backward()
    first = next(backbone.parameters())
    equal(first.grad, 0.3 * (first.detach() - start[0]))


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


@pytest.mark.verdict("finetuning/layerwise", against="the rates, by hand", within=1e-12)
def test_layerwise_rates_fall_by_a_factor(equal):
    backbone = mlp()
    groups = Layerwise(decay=0.5).parameter_groups(backbone, lr=0.8)
    names = [group.name for group in backbone.layer_groups()]
    rates = [group["lr"] for group in groups]
    assert len(rates) == len(names)
    equal(rates, [0.8 * 0.5**k for k in reversed(range(len(names)))])
    equal(Layerwise().decay, 1 / 2.6)
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


@pytest.mark.parametrize("shape", [(7, 4), (3, 5)])
@pytest.mark.verdict("finetuning/bss", against="eigenvalues of the Gram matrix, and their gradient", within=1e-12)
def test_bss_shrinks_the_smallest_singular_values(equal, shape):
    generator = torch.Generator().manual_seed(4)
    features = torch.randn(shape, generator=generator).double().requires_grad_(True)
    penalty = BSS(weight=0.3, count=2).penalty(mlp(), nn.Linear(3, 2), features=features)
    (gradient,) = torch.autograd.grad(penalty, [features])
    values = features.detach()
    gram = values.T @ values if shape[0] > shape[1] else values @ values.T
    sizes, directions = torch.linalg.eigh(gram)
    equal(penalty, 0.3 * sizes[:2].sum())
    smallest = directions[:, :2] @ directions[:, :2].T  # the gradient is twice the features within these directions
    equal(gradient, 0.6 * (values @ smallest if shape[0] > shape[1] else smallest @ values))
    with pytest.raises(ValueError, match=r"features=\.\.\."):
        BSS().penalty(mlp(), nn.Linear(3, 2))


def test_bss_sees_the_features_of_its_batch():
    torch.manual_seed(0)
    module = FineTuning("mlp", BSS(weight=2.0), num_classes=3, backbone_settings={"num_inputs": 4})
    inputs, labels = torch.randn(6, 4), torch.arange(6) % 3
    batch = DomainBatch(source=None, target=Examples(inputs=inputs, labels=labels))
    with torch.no_grad():
        said = module.network(inputs)
    smallest = torch.linalg.svdvals(said.features)[-1]
    expected = nn.functional.cross_entropy(said.logits, labels) + 2 * smallest**2
    torch.testing.assert_close(module.training_step(batch, 0).detach(), expected)


# --- what others call; the weights of all of them are small enough to write the formula out


@pytest.mark.verdict("finetuning/dora", against="the formula, on the merged weights", within=1e-12)
def test_dora_trains_magnitude_and_direction(equal):
    layer, backbone = linear_backbone()
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    adapted = DoRA(rank=2, alpha=4).prepare(backbone).double()
    parts = stirred(adapted)
    low, high, magnitude = parts["lora_A"], parts["lora_B"], parts["magnitude"]
    moved = weight + 4 / 2 * high @ low
    expected = INPUTS @ (magnitude[:, None] * moved / moved.norm(dim=1, keepdim=True)).T + bias
    equal(adapted(INPUTS), expected)


@pytest.mark.verdict("finetuning/lora", against="the formula, on the merged weights", within=1e-12)
def test_lora_adds_a_product(equal):
    layer, backbone = linear_backbone()
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    adapted = LoRA(rank=2, alpha=4).prepare(backbone).double()
    parts = stirred(adapted)
    equal(adapted(INPUTS), INPUTS @ (weight + 2 * parts["lora_B"] @ parts["lora_A"]).T + bias)


@pytest.mark.verdict("finetuning/vera", against="the formula, on the merged weights", within=1e-6)
def test_vera_scales_frozen_projections(equal):
    layer, backbone = linear_backbone()
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    adapted = VeRA(rank=7).prepare(backbone).double()
    parts = stirred(adapted)
    assert not any("vera_A" in name or "vera_B" in name for name, p in adapted.named_parameters() if p.requires_grad)
    projections = {name.split(".")[-2]: b for name, b in adapted.named_buffers()}
    b, d = parts["lambda_b"], parts["lambda_d"]
    update = b[:, None] * projections["vera_B"] @ (d[:, None] * projections["vera_A"])
    equal(adapted(INPUTS), INPUTS @ (weight + update).T + bias)


@pytest.mark.verdict("finetuning/ia3", against="the formula", within=1e-12)
def test_ia3_scales_outputs(equal):
    layer, backbone = linear_backbone()
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    adapted = IA3().prepare(backbone).double()
    scale = stirred(adapted)["ia3_l"].flatten()
    equal(adapted(INPUTS), scale * (INPUTS @ weight.T + bias))


@pytest.mark.verdict("finetuning/hra", against="the product of reflections", within=1e-12)
def test_hra_reflects_inputs(equal):
    layer, backbone = linear_backbone()
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    adapted = HRA(rank=2).prepare(backbone).double()
    chain = torch.eye(4).double()
    for u in stirred(adapted)["hra_u"].T:
        chain = chain @ (torch.eye(4) - 2 * torch.outer(u, u) / u.square().sum())
    equal(adapted(INPUTS), INPUTS @ (weight @ chain).T + bias)


INPUTS = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)).double()


def linear_backbone():
    torch.manual_seed(0)
    layer = nn.Linear(4, 3).double()
    return layer, create_backbone(nn.Sequential(layer), num_features=3, modality="features")


def stirred(adapted):
    """The trained parameters by the name of their kind, moved off their start."""
    kinds = ("lora_A", "lora_B", "magnitude", "lambda_b", "lambda_d", "ia3_l", "hra_u")
    found = {}
    for name, parameter in adapted.named_parameters():
        if parameter.requires_grad:
            with torch.no_grad():
                parameter.add_(torch.randn_like(parameter))
            found[next(kind for kind in kinds if kind in name)] = parameter.detach()
    return found


@pytest.mark.parametrize("method", [DoRA(rank=2), VeRA(rank=4), IA3(), HRA(rank=2)])
def test_adapters_start_as_the_identity_change(method):
    backbone = mlp()
    inputs = torch.randn(3, 4)
    with torch.no_grad():
        before = backbone(inputs)
        adapted = method.prepare(backbone)
        torch.testing.assert_close(adapted(inputs), before, atol=1e-6, rtol=1e-6)
    names = [name for name, p in adapted.named_parameters() if p.requires_grad]
    assert names
    assert all(method.prefix in name for name in names)


def test_an_odd_number_of_reflections_is_refused():
    with pytest.raises(ValueError, match="expected an even number"):
        HRA(rank=3)


@pytest.mark.verdict("finetuning/bitfit", against="the list of parameters that train", within=1e-12)
def test_bitfit_trains_the_biases(equal):
    backbone = BitFit().prepare(conv())
    trains = {name for name, p in backbone.named_parameters() if p.requires_grad}
    assert trains == {name for name, _ in backbone.named_parameters() if name.endswith("bias")}
    equal(len(trains), sum(name.endswith("bias") for name in conv().state_dict()))


@pytest.mark.verdict("finetuning/norm_only", against="the list of parameters that train", within=1e-12)
def test_norm_only_trains_scales_and_shifts(equal):
    backbone = NormOnly().prepare(create_backbone("resnet12"))
    layers = [layer for layer in backbone.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert layers
    trains = [p for p in backbone.parameters() if p.requires_grad]
    assert {id(p) for p in trains} == {id(p) for layer in layers for p in layer.parameters()}
    equal(len(trains), 2 * len(layers))
    with pytest.raises(ValueError, match="no normalization layer"):
        NormOnly().prepare(mlp())


@pytest.mark.verdict("finetuning/surgical", against="the list of parameters that train", within=1e-12)
def test_surgical_trains_one_group(equal):
    names = [group.name for group in mlp().layer_groups()]
    found = [trainable(Surgical(part=part).prepare(mlp())) for part in ("first", "middle", "last")]
    assert found == [{names[0]}, {names[1]}, {names[2]}]
    equal([len(each) for each in found], [1, 1, 1])
    with pytest.raises(ValueError, match="no group of layers"):
        Surgical().prepare(create_backbone("identity", num_features=4))


def trained(method, steps=8):
    """Steps of gradient descent by a loop of one's own; the trajectory of the weights, and what the method kept."""
    torch.manual_seed(0)
    backbone, head = method.prepare(mlp()).double(), nn.Linear(3, 2).double()
    optimizer = torch.optim.SGD([*backbone.parameters(), *head.parameters()], lr=0.1, momentum=0.9)
    path = []
    for step in range(steps):
        method.on_step(backbone, head, step / steps, optimizer=optimizer)
        path.append({name: value.clone() for name, value in KeptWeights.of(backbone, head).items()})
        optimizer.zero_grad()
        generator = torch.Generator().manual_seed(step)
        inputs = torch.randn(6, 4, generator=generator).double()
        F.cross_entropy(head(backbone(inputs)), torch.arange(6) % 2).backward()
        optimizer.step()
    path.append({name: value.clone() for name, value in KeptWeights.of(backbone, head).items()})
    return backbone, head, path


@pytest.mark.verdict("finetuning/lp_ft", against="two loops, a probe and full fine-tuning", within=1e-12)
def test_lp_ft_is_a_probe_and_then_fine_tuning(equal):
    _, _, path = trained(LPFT(probe=0.5))
    first = [name for name in path[0] if name.startswith("backbone.")]
    assert all(torch.equal(path[4][name], path[0][name]) for name in first)
    assert not torch.equal(path[4]["head.weight"], path[0]["head.weight"])
    assert any(not torch.equal(path[5][name], path[4][name]) for name in first)

    torch.manual_seed(0)
    backbone, head = mlp().double(), nn.Linear(3, 2).double()
    torch.manual_seed(0)
    backbone.load_state_dict(mlp().double().state_dict())
    head.load_state_dict({name.removeprefix("head."): v for name, v in path[0].items() if name.startswith("head.")})
    buffers = {}
    for step in range(8):
        inputs = torch.randn(6, 4, generator=torch.Generator().manual_seed(step)).double()
        moving = [*head.parameters(), *(backbone.parameters() if step >= 4 else ())]
        loss = F.cross_entropy(head(backbone(inputs)), torch.arange(6) % 2)
        for parameter, gradient in zip(moving, torch.autograd.grad(loss, moving), strict=True):
            buffers[parameter] = 0.9 * buffers[parameter] + gradient if parameter in buffers else gradient
            parameter.data -= 0.1 * buffers[parameter]
    equal(head.weight, path[-1]["head.weight"])
    equal(backbone(INPUTS), functional_call(backbone, rows(path[-1], "backbone"), INPUTS))


def rows(weights, part):
    return {name.removeprefix(f"{part}."): value for name, value in weights.items() if name.startswith(f"{part}.")}


@pytest.mark.verdict("finetuning/wise_ft", against="theta_0 + alpha (theta_1 - theta_0), entry by entry", within=1e-12)
def test_wise_ft_answers_by_the_mean_of_start_and_end(equal):
    method = WiSEFT(probe=0.5, alpha=0.3)
    backbone, head, path = trained(method)
    for name, value in method.answering(backbone, head).items():
        equal(value, 0.7 * path[4][name] + 0.3 * path[8][name])
    method.finish(backbone, head)
    equal(head.weight, 0.7 * path[4]["head.weight"] + 0.3 * path[8]["head.weight"])


@pytest.mark.verdict("finetuning/soup", against="the mean of separate trainings from one probe", within=1e-12)
def test_soup_is_the_mean_of_what_was_trained_from_one_probe(equal):
    method = Soup(probe=0.5, ingredients=2)
    backbone, head, path = trained(method)
    assert all(torch.equal(path[6][name], path[4][name]) for name in path[0])  # back at the probe
    again, other, first = trained(LPFT(probe=0.5), steps=8)
    del again, other
    ends = [path[8]]
    # the first ingredient took the steps 4 and 5, as plain LP-FT does
    ends.append(first[6])
    for name, value in method.answering(backbone, head).items():
        equal(value, (ends[0][name] + ends[1][name]) / 2)


def test_kept_weights_come_back_with_the_state():
    method = WiSEFT(probe=0.5, alpha=0.3)
    backbone, head, _ = trained(method)
    other = WiSEFT(probe=0.5, alpha=0.3)
    other.load_state_dict(method.state_dict())
    ours, theirs = method.answering(backbone, head), other.answering(backbone, head)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    other.load_state_dict(WiSEFT().state_dict())
    assert other.answering(backbone, head) is None


def test_the_greedy_soup_adds_what_does_not_hurt():
    states = [{"w": torch.tensor([value])} for value in (0.0, 4.0, 1.0, 2.5)]

    def score(state):
        return -abs(float(state["w"]) - 1.5)  # alone: -1.5, -2.5, -0.5, -1

    # 1 is best; with 2.5 the mean is 1.75, better; with 0 it is 7/6, worse; with 4 it is 2.5, worse
    assert float(greedy_soup(states, score)["w"]) == 1.75
    assert float(average_weights(states)["w"]) == 1.875


@pytest.mark.parametrize(
    ("states", "message"),
    [
        ([], "no weights to merge"),
        ([{"w": torch.ones(1)}, {"v": torch.ones(1)}], "do not both have v"),
        ([{"w": torch.ones(1)}, {"w": torch.ones(2)}], r"w of networks 0 and 1 has shapes \(1,\) and \(2,\)"),
    ],
)
def test_networks_that_differ_are_not_merged(states, message):
    with pytest.raises(ValueError, match=message):
        average_weights(states)


def test_counters_are_not_interpolated():
    start, end = {"n": torch.tensor(3)}, {"n": torch.tensor(5)}
    assert int(interpolate_weights(start, end, 0.5)["n"]) == 3
