"""Domain generalization against DomainBed's updates, restated, and the papers' formulas."""

import pytest
import torch
from torch.nn import functional as F

from tlzoo.methods.adaptation import IRM, SWAD, GroupDRO, Mixup, SourceCORAL, VREx
from tlzoo.nn.network import Network
from tlzoo.types import Backbone, Prediction

D, C = 5, 3
DOMAINS = torch.tensor([0, 2, 0, 2, 0, 5, 5, 2, 5, 0, 5, 2])


def normal(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def batch(domains=DOMAINS, **parts):
    return Prediction(
        features=normal(len(DOMAINS), D, seed=1).requires_grad_(),
        logits=(2 * normal(len(DOMAINS), C, seed=2)).requires_grad_(),
        labels=torch.arange(len(DOMAINS)) % C,
        domains=domains,
        **parts,
    )


def minibatches(source):
    return [
        (source.features[d == DOMAINS], source.logits[d == DOMAINS], source.labels[d == DOMAINS]) for d in (0, 2, 5)
    ]


def whole(method, source, progress=0.5, model=None):
    """The loss that trains: a module's cross-entropy and the method's term."""
    return (
        F.cross_entropy(source.logits, source.labels) + method(source, source, progress=progress, model=model)["loss"]
    )


@pytest.mark.parametrize(("progress", "weight"), [(0.05, 1.0), (0.5, 7.0)])
@pytest.mark.verdict("adaptation/vrex", against="the authors' loss, restated", within=1e-12)
def test_vrex(equal, progress, weight):
    source = batch()
    losses = torch.stack([F.cross_entropy(logits, y) for _, logits, y in minibatches(source)])
    mean = losses.mean()
    expected = (mean + weight * ((losses - mean) ** 2).mean()) / weight
    found = whole(VREx(D, C, weight=7.0).double(), source, progress)
    equal(found, expected)
    equal(torch.autograd.grad(found, source.logits)[0], torch.autograd.grad(expected, source.logits)[0])


@pytest.mark.parametrize(("progress", "weight"), [(0.05, 1.0), (0.5, 7.0)])
@pytest.mark.verdict("adaptation/irm", against="the authors' penalty, restated, by autograd", within=1e-12)
def test_irm(equal, progress, weight):
    source, nll, penalty = batch(), 0.0, 0.0
    for _, logits, y in minibatches(source):
        nll = nll + F.cross_entropy(logits, y)
        scale = torch.tensor(1.0).double().requires_grad_()
        (slope,) = torch.autograd.grad(F.cross_entropy(logits * scale, y), [scale], create_graph=True)
        penalty = penalty + torch.sum(slope**2)
    expected = (nll / 3 + weight * penalty / 3) / weight
    found = whole(IRM(D, C, weight=7.0).double(), source, progress)
    equal(found, expected)
    equal(torch.autograd.grad(found, source.logits)[0], torch.autograd.grad(expected, source.logits)[0])


@pytest.mark.verdict("adaptation/group_dro", against="DomainBed's update, restated, over several steps", within=1e-12)
def test_group_dro(equal):
    source, q = batch(), torch.ones(3).double()
    method = GroupDRO(D, C, step=0.3).double()
    for _ in range(4):
        losses = torch.stack([F.cross_entropy(logits, y) for _, logits, y in minibatches(source)])
        q = q * (0.3 * losses.detach()).exp()
        q = q / q.sum()
        found = whole(method, source)
        equal(found, torch.dot(losses, q))
        gradients = [torch.autograd.grad(loss, source.logits)[0] for loss in (found, torch.dot(losses, q))]
        equal(*gradients)


@pytest.mark.verdict("adaptation/source_coral", against="DomainBed's update, restated", within=1e-12)
def test_source_coral(equal):
    source, objective, penalty = batch(), 0.0, 0.0
    parts = minibatches(source)
    for i, (x, logits, y) in enumerate(parts):
        objective = objective + F.cross_entropy(logits, y)
        for other, _, _ in parts[i + 1 :]:
            covariances = [(v - v.mean(0, keepdim=True)).t() @ (v - v.mean(0)) / (len(v) - 1) for v in (x, other)]
            penalty = penalty + (x.mean(0) - other.mean(0)).pow(2).mean()
            penalty = penalty + (covariances[0] - covariances[1]).pow(2).mean()
    expected = objective / 3 + 0.4 * penalty / 3
    found = whole(SourceCORAL(D, C, weight=0.4).double(), source)
    equal(found, expected)
    leaves = [source.features, source.logits]
    for one, other in zip(*(torch.autograd.grad(loss, leaves) for loss in (found, expected)), strict=True):
        equal(one, other)


class Layer(Backbone):
    num_features = D

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(D, D)

    def forward(self, inputs):
        return self.layer(inputs).tanh()


@pytest.mark.verdict("adaptation/mixup", against="DomainBed's update, restated, given its draws", within=1e-12)
def test_mixup(equal):
    torch.manual_seed(0)
    model = Network(Layer(), C).double()
    inputs, labels = normal(len(DOMAINS), D, seed=1), torch.arange(len(DOMAINS)) % C
    made = model(inputs)
    source = Prediction(features=made.features, logits=made.logits, labels=labels, domains=DOMAINS, inputs=inputs)
    method, twin = Mixup(D, C, alpha=0.7).double(), Mixup(D, C, alpha=0.7).double()
    twin.load_state_dict(method.state_dict())
    rows = [(domain == DOMAINS).nonzero().flatten() for domain in (0, 2, 5)]
    pairs, objective = twin._pairs(rows), 0.0
    for own, partner, share in pairs:
        lam = float(share[0])
        assert {int(d) for d in DOMAINS[own]} != {int(d) for d in DOMAINS[partner]}
        logits = model(lam * inputs[own] + (1 - lam) * inputs[partner]).logits
        objective = objective + lam * F.cross_entropy(logits, labels[own])
        objective = objective + (1 - lam) * F.cross_entropy(logits, labels[partner])
    found, expected = whole(method, source, model=model), objective / 3
    equal(found, expected)
    parameters = list(model.parameters())
    for one, other in zip(*(torch.autograd.grad(loss, parameters) for loss in (found, expected)), strict=True):
        equal(one, other)


def test_mixup_draws_shares_of_the_beta_distribution():
    method, rows = Mixup(D, C, alpha=0.5), [torch.arange(2), torch.arange(2, 4)]
    shares = torch.tensor([float(share[0]) for _ in range(1000) for _, _, share in method._pairs(rows)])
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.04)
    assert float(shares.var()) == pytest.approx(0.125, abs=0.01)  # 1 / (4 (2 alpha + 1))


@pytest.mark.parametrize("cls", [VREx, IRM, GroupDRO, SourceCORAL])
def test_one_domain_is_the_plain_risk_where_nothing_varies(cls):
    source = batch(domains=None)
    extra = float(
        cls(D, C, **({"weight": 1.0} if cls in (IRM, VREx) else {})).double()(source, source)["loss"].detach()
    )
    assert extra != 0 if cls is IRM else extra == pytest.approx(0, abs=1e-12)  # a single domain has a slope, too


def test_a_domain_that_a_batch_lacks_keeps_its_weight():
    method, source = GroupDRO(D, C, step=1.0).double(), batch()
    method(source, source)
    before = method.memory.weights.clone()
    few = Prediction(
        features=source.features[:2], logits=source.logits[:2], labels=source.labels[:2], domains=torch.tensor([0, 2])
    )
    method(few, few)
    after = method.memory.weights
    assert after[5] / after[3] == before[5] / before[3]  # domains 1, 3 and 4 never came
    assert float(after.sum()) == pytest.approx(1)


def states(network):
    found = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    return {name: value.detach().clone() for name, value in found.items() if value.is_floating_point()}


def algorithm_1(weights, losses, *, every, n_s, n_e, r):
    """The paper's algorithm, an iteration of which is a segment; None if the loss does not converge."""
    start, end, limit = None, len(losses), None
    for i in range(len(losses)):
        if limit is None:
            window = losses[max(i - n_s + 1, 0) : i + 1]
            if len(window) == n_s and window[0] == min(window):
                start, limit = i - n_s + 1, r * sum(window) / n_s
        elif limit < min(losses[max(i - n_e + 1, 0) : i + 1]):
            end = i - n_e + 1
            break
    if start is None:
        return None
    chosen = weights[start * every : end * every]
    return {name: torch.stack([each[name] for each in chosen]).mean(dim=0) for name in chosen[0]}


CURVES = {
    "a valley": [3, 2, 1, 0.5, 0.6, 0.5, 4, 0.5, 4, 4, 4, 4, 4, 4, 0.1, 0.1],
    "a valley without an end": [3, 2, 2.5, 1, 1.5, 2, 1, 9, 1, 9],
    "losses that exceed the threshold while it converges": [1, 3, 9, 9, 9, 1, 1],
    "no convergence": [6, 5, 4, 3, 2, 1],
    "ties": [2, 2, 2, 2, 2, 2],
}


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.verdict("adaptation/swad", against="the paper's algorithm, restated with lists of weights", within=1e-12)
def test_swad(equal, curve):
    torch.manual_seed(0)
    logits = torch.tensor(CURVES[curve]).double()
    losses = [float(F.cross_entropy(torch.stack([0 * each, each])[None], torch.tensor([0]))) for each in logits]
    network = Network(Layer(), 2, bottleneck=4).double()
    method = SWAD(4, 2, patience=3, evaluations=len(losses)).double()
    every, weights, random = 4, [], torch.Generator().manual_seed(1)
    assert method.answering(network) is None
    for step in range(every * len(losses)):
        network.train()(torch.randn(6, D, generator=random).double())  # running statistics move, too
        for weight in network.parameters():
            weight.data.add_(torch.randn(weight.shape, generator=random).double())
        weights.append(states(network))
        method.after_step(network)
        pair = torch.stack([torch.zeros(()).double(), logits[step // every]])[None]
        said = Prediction(features=torch.zeros(1, 4).double(), logits=pair, labels=torch.tensor([0]))
        method.validate((step + 1) / (every * len(losses)), lambda said=said: said)
        if step == 5 * every - 2:  # a checkpoint holds all of it
            twin = SWAD(4, 2, patience=3, evaluations=len(losses)).double()
            twin.load_state_dict(method.state_dict())
            method = twin
    expected = algorithm_1(weights, losses, every=every, n_s=3, n_e=3, r=1.3)
    assert (expected is None) == (curve == "no convergence")
    if expected is None:  # as in the authors' code: the mean since the last but one evaluation
        expected = {name: torch.stack([each[name] for each in weights[-every:]]).mean(dim=0) for name in weights[0]}
    found = method.answering(network)
    assert found.keys() == expected.keys()
    for name, value in found.items():
        equal(value, expected[name])


def test_swad_weighs_the_domains_of_held_out_examples_equally():
    source = batch()
    risks = torch.stack([F.cross_entropy(logits, y) for _, logits, y in minibatches(source)])
    method, network = SWAD(D, C, evaluations=1).double(), Network(Layer(), C).double()
    method.after_step(network)
    method.validate(1.0, lambda: source)
    assert method.losses.window.tolist() == pytest.approx([float(risks.mean().detach())])
