"""VADA and DIRT-T: their terms written out, and what a perturbed pass leaves alone."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tlzoo.backbones import create_backbone
from tlzoo.functional import divergence, entropy, virtual_adversarial_divergence
from tlzoo.methods.confusion import DIRTT, VADA
from tlzoo.nn.batch_statistics import resting_statistics
from tlzoo.nn.network import Network, after_preprocessing
from tlzoo.nn.virtual_adversary import VirtualAdversary
from tlzoo.types import Prediction

D, C = 6, 3


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Network(create_backbone("identity", num_features=D), C, bottleneck=5).double()


def side(network, rows, seed):
    inputs = torch.randn(rows, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    said = network(inputs)
    return Prediction(
        features=said.features,
        logits=said.logits,
        labels=torch.arange(rows) % C,
        indices=torch.arange(rows),
        inputs=inputs,
    )


def expected_changes(method, network, *sides):
    """Return the divergences of all sides, from the random numbers that the method will draw next."""
    start = copy.deepcopy(method.adversary.random).next()
    inputs = torch.cat([s.inputs for s in sides])
    noise = torch.randn(inputs.shape, generator=start, dtype=torch.float64)
    with resting_statistics(network):
        found = virtual_adversarial_divergence(
            lambda x: network(x).logits, inputs, noise, radius=method.adversary.radius
        )
    return found.split([len(s.inputs) for s in sides])


@pytest.fixture
def float64():
    torch.set_default_dtype(torch.float64)  # what the preprocessing of inputs goes by
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("float64")
@pytest.mark.verdict("confusion/vada", against="the formulas, written out", within=1e-12)
def test_vada_terms(network, equal):
    method = VADA(5, C, hidden=8, radius=0.5, domain_weight=0.3, source_weight=0.7, target_weight=0.2).double()
    source, target = side(network, 6, 1), side(network, 4, 2)
    ours, theirs = expected_changes(method, network, source, target)
    logits = method.discriminator(torch.cat([source.features, target.features])).squeeze(1)
    told = 0.5 * (F.softplus(-logits[:6]).mean() + F.softplus(logits[6:]).mean())
    expected = told + 0.7 * ours.mean() + 0.2 * (entropy(target.logits).mean() + theirs.mean())
    equal(method(source, target, model=network)["loss"].item(), expected.item())


@pytest.mark.usefixtures("float64")
def test_vada_reverses_the_gradient_of_the_discriminator(network):
    method = VADA(5, C, hidden=8, domain_weight=0.3, source_weight=0.0, target_weight=0.0).double()
    source, target = side(network, 6, 1), side(network, 4, 2)
    features = torch.cat([source.features, target.features])
    logits = method.discriminator(features).squeeze(1)
    told = 0.5 * (F.softplus(-logits[:6]).mean() + F.softplus(logits[6:]).mean())
    loss = method(source, target, model=network)["loss"]
    weights = [*method.discriminator.parameters()]
    for ours, theirs in zip(*(torch.autograd.grad(v, weights, retain_graph=True) for v in (loss, told)), strict=True):
        torch.testing.assert_close(ours, theirs)
    first = next(network.bottleneck.parameters())
    ours, theirs = (torch.autograd.grad(v, first, retain_graph=True)[0] for v in (loss, told))
    torch.testing.assert_close(ours, -0.3 * theirs)


@pytest.mark.usefixtures("float64")
@pytest.mark.verdict("confusion/dirt_t", against="the formulas, written out", within=1e-12)
def test_dirt_t_terms(network, equal):
    method = DIRTT(5, C, radius=0.5, anchoring=0.4).double()
    whole = side(network, 7, 3)
    teacher = whole.logits.detach() + 1.5 * torch.eye(7, C)
    order = torch.randperm(7)
    method.on_epoch(Prediction(features=whole.features[order], logits=teacher[order], indices=order))
    (change,) = expected_changes(method, network, whole)
    expected = entropy(whole.logits).mean() + change.mean() + 0.4 * divergence(teacher, whole.logits).mean()
    equal(method.loss(whole, model=network)["loss"].item(), expected.item())


def test_the_teacher_changes_every_interval():
    method = DIRTT(2, C, interval=2)
    known = []
    for epoch in range(4):
        logits = torch.full((3, C), float(epoch))
        method.on_epoch(Prediction(features=torch.zeros(3, 2), logits=logits, indices=torch.arange(3)))
        known.append(method.teacher.logits[0, 0].item())
    assert known == [0.0, 0.0, 2.0, 2.0]


def test_running_statistics_stay(network):
    inputs = torch.randn(9, D).double()
    prediction = Prediction(features=inputs, logits=inputs, inputs=inputs.float())
    network = network.float()
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    change = VirtualAdversary(1.0)(network, target=prediction)["target"]
    assert change.shape == (9,)
    assert all(torch.equal(buffer, before[name]) for name, buffer in network.named_buffers())
    network(inputs.float())
    assert not torch.equal(network.bottleneck[1].running_mean, before["bottleneck.1.running_mean"])


def test_resting_normalization_is_that_of_the_batch():
    norm = nn.BatchNorm1d(2)
    x = torch.randn(5, 2)
    with resting_statistics(norm):
        rested = norm(x)
    assert int(norm.num_batches_tracked) == 0
    torch.testing.assert_close(rested, norm(x))
    norm.eval()
    with resting_statistics(norm):
        torch.testing.assert_close(norm(x), (x - norm.running_mean) / (norm.running_var + norm.eps).sqrt())


def test_pixels_are_perturbed_after_preprocessing():
    network = Network(create_backbone("lenet"), 10)
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (2, 32, 32, 1), dtype=np.uint8))
    prepared, answer = after_preprocessing(network.eval(), images)
    assert prepared.shape == (2, 1, 32, 32)
    torch.testing.assert_close(answer(prepared).logits, network(images).logits)
    said = network(images)
    method = VADA(500, 10, hidden=8)
    full = Prediction(features=said.features, logits=said.logits, inputs=images)
    assert method(full, full, model=network)["loss"].isfinite()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (None, "the model's inputs are NoneType after preprocessing"),
        (["a text", "another"], "the model's inputs are list after preprocessing"),
        (torch.ones(2, 3, dtype=torch.int64), "a tensor of torch.int64 after preprocessing"),
    ],
)
def test_inputs_that_cannot_be_perturbed(inputs, message):
    side = Prediction(features=torch.ones(2, D), logits=torch.ones(2, C), inputs=inputs)
    with pytest.raises(ValueError, match=message):
        VADA(D, C, hidden=4)(side, side, model=nn.Identity())
    with pytest.raises(ValueError, match="VADA passes inputs through the network and got none"):
        VADA(D, C, hidden=4)(side, side)


def test_dirt_t_without_a_teacher():
    side = Prediction(features=torch.ones(2, D), logits=torch.ones(2, C), indices=torch.arange(2))
    with pytest.raises(ValueError, match="predictions for 0 examples"):
        DIRTT(D, C).loss(side, model=nn.Identity())
    with pytest.raises(ValueError, match="interval 0"):
        DIRTT(D, C, interval=0)
    with pytest.raises(ValueError, match="radius -1"):
        DIRTT(D, C, radius=-1)
