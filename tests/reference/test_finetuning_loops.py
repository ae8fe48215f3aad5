"""The plain strategies of fine-tuning against loops on torch's own layers, with momentum written out."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tlzoo.backbones import create_backbone
from tlzoo.methods.finetuning import FromScratch, Full, GradualUnfreezing, LinearProbe

SIZES, STEPS = (4, 6, 5, 3), 8
INPUTS = torch.randn(7, 4, generator=torch.Generator().manual_seed(99)).double()


def layers():
    """Plain layers: those of a backbone, then the head, in the order in which they draw their start."""
    return [nn.Linear(*pair).double() for pair in zip((*SIZES[:-1], SIZES[-1]), (*SIZES[1:], 2), strict=True)]


def logits(plain, inputs):
    for layer in plain[:-1]:
        inputs = F.relu(layer(inputs))
    return plain[-1](inputs)


def batch(step):
    return torch.randn(6, 4, generator=torch.Generator().manual_seed(step)).double(), torch.arange(6) % 2


def by_loop(released, *, seed=0):
    """Train the last ``released(step)`` of the layers below the head, and the head; answer the inputs."""
    torch.manual_seed(seed)
    plain, velocity = layers(), {}
    for step in range(STEPS):
        inputs, labels = batch(step)
        moving = [p for layer in plain[len(plain) - 1 - released(step) :] for p in layer.parameters()]
        loss = F.cross_entropy(logits(plain, inputs), labels)
        for p, gradient in zip(moving, torch.autograd.grad(loss, moving), strict=True):
            velocity[p] = 0.9 * velocity[p] + gradient if p in velocity else gradient
            p.data -= 0.1 * velocity[p]
    return logits(plain, INPUTS).detach()


def by_method(method):
    """Train as a user's own loop does, and answer the inputs."""
    torch.manual_seed(0)
    backbone = create_backbone("mlp", num_inputs=4, hidden=SIZES[1:]).double()
    head = nn.Linear(3, 2).double()
    backbone = method.prepare(backbone)
    groups = [*method.parameter_groups(backbone, lr=0.1), {"params": list(head.parameters())}]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9)
    for step in range(STEPS):
        method.on_step(backbone, head, step / STEPS, optimizer=optimizer)
        inputs, labels = batch(step)
        optimizer.zero_grad()
        F.cross_entropy(head(backbone(inputs)), labels).backward()
        optimizer.step()
    return head(backbone(INPUTS)).detach()


@pytest.mark.verdict("finetuning/full", against="a loop over all parameters", within=1e-12)
def test_full(equal):
    equal(by_method(Full()), by_loop(lambda _: 3))


@pytest.mark.verdict("finetuning/linear_probe", against="a loop over the head's parameters", within=1e-12)
def test_linear_probe(equal):
    equal(by_method(LinearProbe()), by_loop(lambda _: 0))


@pytest.mark.verdict(
    "finetuning/gradual_unfreezing", against="a loop that releases a layer at each quarter", within=1e-12
)
def test_gradual_unfreezing(equal):
    equal(by_method(GradualUnfreezing()), by_loop(lambda step: step // 2))


@pytest.mark.verdict("finetuning/from_scratch", against="layers made anew", within=1e-12)
def test_from_scratch(equal):
    backbone = create_backbone("mlp", num_inputs=4, hidden=SIZES[1:])
    with torch.no_grad():
        for p in backbone.parameters():
            p.fill_(7.0)  # what was learned before
    torch.manual_seed(3)
    made = FromScratch().prepare(backbone).double()
    torch.manual_seed(3)
    expected = INPUTS
    for layer in layers()[:-1]:
        expected = F.relu(layer(expected))
    equal(made(INPUTS).detach(), expected.detach())
    assert all(p.requires_grad for p in made.parameters())
