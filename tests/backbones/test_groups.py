import pytest
import torch
from torch import nn

from tlzoo.backbones import create_backbone, layerwise_groups
from tlzoo.backbones.layer_groups import groups_by_name


def test_rates_fall_from_head_to_stem():
    backbone = create_backbone("resnet12", widths=(4, 4, 4, 4))
    groups = layerwise_groups(backbone, lr=1.0, decay=0.5)
    assert [group["lr"] for group in groups] == [0.125, 0.25, 0.5, 1.0]
    held = [id(p) for group in groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in backbone.parameters())
    torch.optim.SGD(groups, lr=0.3)


def test_frozen_groups_are_left_out_and_the_rates_of_the_rest_stay():
    backbone = create_backbone("lenet")
    backbone.freeze(until="conv1")
    assert [(g["name"], g["lr"]) for g in layerwise_groups(backbone, lr=1.0, decay=0.1)] == [
        ("conv2", 0.1),
        ("fc", 1.0),
    ]
    backbone.freeze()
    assert layerwise_groups(backbone, lr=1.0, decay=0.1) == []


@pytest.mark.parametrize(("lr", "decay"), [(-1.0, 0.5), (1.0, 0.0), (1.0, 1.1)])
def test_wrong_rates(lr, decay):
    with pytest.raises(ValueError, match="expected lr >= 0 and 0 < decay <= 1"):
        layerwise_groups(create_backbone("lenet"), lr, decay)


def test_tied_parameters_count_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
            self.second.weight = self.first.weight
            self.scale = nn.Parameter(torch.ones(3))

    network = Tied()
    groups = groups_by_name(network, lambda name: name.split(".")[0])
    held = [id(p) for group in groups for module in group.modules for p in module.parameters()]
    assert sorted(held) == sorted(id(p) for p in network.parameters())
    assert {group.name for group in groups} == {"scale", "first", "second"}


def test_largest_modules_are_kept_whole():
    backbone = create_backbone("timm:resnet10t", pretrained=False)
    modules = [module for group in backbone.layer_groups() for module in group.modules]
    assert backbone.network.layer1 in modules
    assert backbone.network.layer4 in modules
