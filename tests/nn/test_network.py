import torch
from torch import nn

from tlzoo.backbones import create_backbone
from tlzoo.nn.network import Network
from tlzoo.nn.sharing import HardSharing, NoSharing


def mlp():
    torch.manual_seed(0)
    return create_backbone("mlp", num_inputs=4, hidden=(6,))


def test_network_without_and_with_a_bottleneck():
    plain = Network(mlp(), 3)
    prediction = plain(torch.rand(2, 4))
    assert (prediction.features.shape, prediction.logits.shape) == ((2, 6), (2, 3))
    torch.testing.assert_close(prediction.logits, plain.head(prediction.features))
    narrow = Network(mlp(), 3, bottleneck=5)
    assert narrow.num_features == 5
    assert narrow(torch.rand(2, 4)).features.shape == (2, 5)
    assert bool((narrow(torch.rand(2, 4)).features >= 0).all())


def test_network_with_a_head_of_ones_own():
    head = nn.Linear(6, 7)
    network = Network(mlp(), 3, head=head)
    assert network.head is head
    assert network(torch.rand(2, 4)).logits.shape == (2, 7)


def test_hard_sharing_runs_the_backbone_once():
    backbone = mlp()
    calls = []
    backbone.register_forward_hook(lambda *_: calls.append(1))
    features = HardSharing(backbone, ["a", "b"])(torch.rand(2, 4))
    assert list(features) == ["a", "b"]
    assert features["a"] is features["b"]
    assert len(calls) == 1


def test_no_sharing_starts_equal_and_parts():
    sharing = NoSharing(mlp(), ["a", "b"])
    inputs = torch.rand(2, 4)
    features = sharing(inputs)
    assert torch.equal(features["a"], features["b"])
    features["a"].sum().backward()
    touched = {name.split(".")[1] for name, p in sharing.named_parameters() if p.grad is not None}
    assert touched == {"a"}
    with torch.no_grad():
        next(sharing.backbones["a"].parameters()).add_(1)
    parted = sharing(inputs)
    assert not torch.equal(parted["a"], parted["b"])
