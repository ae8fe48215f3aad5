"""Merging as the multitask alternative: one network a task in training, the merged one in answers."""

import copy
import io

import pytest
import torch

from tlzoo.functional import dare, task_arithmetic, ties
from tlzoo.lit import Multitask
from tlzoo.methods.multitask import DARE, TIES, TaskArithmetic
from tlzoo.types import TaskBatch

TARGETS = {"color": 3, "shape": 2}


def module(method, **settings):
    torch.manual_seed(0)
    made = Multitask(
        "mlp",
        method,
        targets=TARGETS,
        sharing_settings={"bottleneck": 6},
        backbone_settings={"num_inputs": 5, "hidden": [7]},
        method_settings=settings,
    )
    for task, moved in zip(TARGETS, (1.0, 2.0), strict=True):  # as if each had been trained
        generator = torch.Generator().manual_seed(int(10 * moved))
        for part in (made.sharing.backbones[task], made.sharing.bottlenecks[task]):
            for value in (*part.parameters(), *part.buffers()):
                if value.is_floating_point():
                    value.data.add_(0.1 * moved * torch.rand(value.shape, generator=generator))
    return made


def parameters(network):
    return {name: value.detach() for name, value in network.named_parameters()}


def expected(made, merge, inputs):
    """The outputs of a network that is built from merged weights and averaged statistics, item by item."""
    sharing = made.sharing
    own = [torch.nn.ModuleList([sharing.backbones[task], sharing.bottlenecks[task]]) for task in TARGETS]
    network = copy.deepcopy(sharing.start).eval()
    weights = merge(parameters(sharing.start), [parameters(each) for each in own])
    statistics = [dict(each.named_buffers()) for each in own]
    with torch.no_grad():
        for name, value in network.named_parameters():
            value.copy_(weights[name])
        for name, value in network.named_buffers():
            if value.is_floating_point():
                value.copy_((statistics[0][name] + statistics[1][name]) / 2)
        features = network[1](network[0](inputs))
        return torch.cat([made.heads[task](features) for task in TARGETS], dim=1)


def found(made, inputs):
    with torch.no_grad():
        return torch.cat(list(made.eval()(inputs).values()), dim=1)


INPUTS = torch.linspace(-1, 1, 20).view(4, 5)


@pytest.mark.verdict("multitask/task_arithmetic", against="a network built from the merged weights", within=1e-6)
def test_task_arithmetic(equal):
    made = module("task_arithmetic", scale=0.4)
    equal(found(made, INPUTS), expected(made, lambda *given: task_arithmetic(*given, scale=0.4), INPUTS))


@pytest.mark.verdict("multitask/ties", against="a network built from the merged weights", within=1e-6)
def test_ties(equal):
    made = module("ties", keep=0.3, scale=0.8)
    equal(found(made, INPUTS), expected(made, lambda *given: ties(*given, keep=0.3, scale=0.8), INPUTS))


@pytest.mark.verdict("multitask/dare", against="a network built from the merged weights, given its draw", within=1e-6)
def test_dare(equal):
    made = module("dare", drop=0.5, scale=0.4)

    def merge(*given):
        return dare(*given, drop=0.5, scale=0.4, generator=made.method.random.constant())

    equal(found(made, INPUTS), expected(made, merge, INPUTS))


def test_each_network_learns_its_task_from_one_start():
    made = Multitask("mlp", "ties", targets=TARGETS, backbone_settings={"num_inputs": 5, "hidden": [7]})
    sharing, start = made.sharing, parameters(made.sharing.start[0])
    assert all(torch.equal(value, start[name]) for name, value in sharing.backbones["color"].named_parameters())
    batch = {"inputs": INPUTS, "targets": {"color": torch.tensor([0, 1, 2, 0]), "shape": torch.tensor([0, 1, 0, 1])}}
    losses = made._losses(TaskBatch(**batch))
    losses["color"].backward()
    assert all(value.grad is not None for value in sharing.backbones["color"].parameters())
    assert all(value.grad is None for value in sharing.backbones["shape"].parameters())
    assert not any(value.requires_grad for value in sharing.start.parameters())


def test_merged_weights_follow_what_is_trained_and_what_is_loaded():
    made = module("task_arithmetic")
    before = found(made, INPUTS)
    assert torch.equal(found(made, INPUTS), before)
    with torch.no_grad():
        next(made.sharing.backbones["color"].parameters()).add_(1.0)
    moved = found(made, INPUTS)
    assert not torch.equal(moved, before)
    other, stored = module("task_arithmetic"), io.BytesIO()
    assert torch.equal(found(other, INPUTS), before)
    torch.save(made.state_dict(), stored)
    stored.seek(0)
    other.load_state_dict(torch.load(stored))
    assert torch.equal(found(other, INPUTS), moved)
    assert torch.equal(found(copy.deepcopy(other), INPUTS), moved)


def test_what_does_not_fit():
    with pytest.raises(ValueError, match="merges one network a task; leave out sharing='mmoe'"):
        Multitask("identity", "ties", targets=TARGETS, sharing="mmoe", backbone_settings={"num_features": 4})
    with pytest.raises(ValueError, match="3 networks for 2 tasks"):
        TIES(2).merged({}, [{}, {}, {}])
    with pytest.raises(ValueError, match="keep"):
        TIES(2, keep=0.0)
    with pytest.raises(ValueError, match="drop"):
        DARE(2, drop=1.0)
    with pytest.raises(ValueError, match="scale"):
        TaskArithmetic(2, scale=0.0)
