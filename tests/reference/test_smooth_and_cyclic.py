"""SDAT, CST and ToAlign against what their authors' code computes, restated."""

import copy

import pytest
import torch
from torch.nn import functional as F

from tlzoo.methods.adaptation import CST, SDAT
from tlzoo.methods.confusion import ToAlign
from tlzoo.nn.network import Network
from tlzoo.registry import create_method
from tlzoo.types import Backbone, Prediction

D, C = 5, 4


def normal(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


class Layer(Backbone):
    num_features = D

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(D, D)

    def forward(self, inputs):
        return self.layer(inputs).tanh()


def network(bottleneck=None):
    torch.manual_seed(0)
    return Network(Layer(), C, bottleneck=bottleneck).double()


def said(model, inputs, **parts):
    made = model(inputs)
    return Prediction(features=made.features, logits=made.logits, inputs=inputs, **parts)


@pytest.mark.verdict("adaptation/sdat", against="the authors' optimizer, two steps in place, by gradients", within=1e-9)
def test_sdat(equal):
    ours, theirs = network(), network()
    inputs, labels = normal(6, D, seed=1), torch.arange(6) % C
    source = said(ours, inputs, labels=labels)
    terms = SDAT(D, C, radius=0.3)(source, source, model=ours)
    found = torch.autograd.grad(F.cross_entropy(source.logits, labels) + terms["loss"], list(ours.parameters()))

    F.cross_entropy(theirs(inputs).logits, labels).backward()
    norm = torch.norm(torch.stack([p.grad.norm(p=2) for p in theirs.parameters()]), p=2)
    with torch.no_grad():
        for p in theirs.parameters():
            p.add_(p.grad * 0.3 / (norm + 1e-12))
    theirs.zero_grad()
    F.cross_entropy(theirs(inputs).logits, labels).backward()
    for mine, other in zip(found, theirs.parameters(), strict=True):
        equal(mine, other.grad)


def test_sdat_sees_the_batch_as_the_network_did():
    model = network(bottleneck=3)
    inputs, more = normal(6, D, seed=1), 3 + normal(4, D, seed=2)
    joint = model(torch.cat([inputs, more]))
    sides = [
        Prediction(features=joint.features[rows], logits=joint.logits[rows], inputs=part, labels=labels)
        for rows, part, labels in ((slice(6), inputs, torch.arange(6) % C), (slice(6, None), more, None))
    ]
    state = copy.deepcopy(model.state_dict())
    tiny = SDAT(3, C, radius=1e-9)(*sides, model=model)["sharpness"]
    assert abs(float(tiny)) < 1e-7  # it would not vanish if the source alone were normalized
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_sdat_adds_to_other_methods():
    method = create_method("cdan+mcc+sdat", num_features=D, num_classes=C, sdat={"radius": 0.1}).double()
    model = network()
    source = said(model, normal(6, D, seed=1), labels=torch.arange(6) % C)
    target = said(model, normal(5, D, seed=2))
    terms = method(source, target, progress=0.5, model=model)
    assert float(terms["sdat/sharpness"]) > 0
    with pytest.raises(ValueError, match="labels and the inputs of the source"):
        SDAT(D, C)(Prediction(features=source.features, logits=source.logits), target, model=model)


@pytest.mark.verdict("adaptation/cst", against="the authors' losses, restated, their epsilon left out", within=1e-9)
def test_cst(equal):
    features = [normal(6, D, seed=1).requires_grad_(), normal(7, D, seed=2).requires_grad_()]
    logits, labels = (2 * normal(7, C, seed=3)).requires_grad_(), torch.arange(6) % C
    source = Prediction(features=features[0], logits=normal(6, C, seed=4), labels=labels)
    target = Prediction(features=features[1], logits=logits)
    terms = CST(D, C, reverse_weight=0.7, entropy_weight=0.2, alpha=1.7, temperature=1.5)(source, target)

    train, test = (f / torch.norm(f, dim=-1).reshape(len(f), 1) for f in (features[1], features[0]))
    pseudo = F.one_hot(logits.argmax(1), C).double() - 1 / C
    kernel = torch.inverse(train.mm(train.T) + 0.001 * torch.eye(7).double())
    reverse = torch.nn.MSELoss()(test.mm(train.T).mm(kernel).mm(pseudo), F.one_hot(labels, C).double() - 1 / C)
    p = F.softmax(logits / 1.5, dim=1)
    weight = 1 + torch.exp((p * p.log()).sum(1).detach())
    weight = (7 * weight / weight.sum()).unsqueeze(1)
    sizes = (p * weight).sum(0).unsqueeze(0)
    tsallis = 1 / (1.7 - 1) * torch.sum(1 / torch.mean(sizes) - torch.sum(p**1.7 / sizes * weight, dim=-1))
    expected = 0.7 * reverse + 0.2 * tsallis
    equal(terms["loss"], expected)
    leaves = [*features, logits]
    for mine, other in zip(*(torch.autograd.grad(x, leaves) for x in (terms["loss"], expected)), strict=True):
        equal(mine, other)


def test_cst_at_its_ends():
    certain = Prediction(features=torch.eye(C), logits=100 * torch.eye(C), labels=torch.arange(C))
    terms = CST(C, C, penalty=1e-6)(certain, certain)
    assert float(terms["tsallis_entropy"]) == pytest.approx(0, abs=1e-6)
    assert float(terms["reverse"]) == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="Shannon"):
        CST(D, C, alpha=1)
    with pytest.raises(ValueError, match="labels of the source"):
        CST(C, C)(Prediction(features=certain.features, logits=certain.logits), certain)


class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, coefficient):
        ctx.coefficient = coefficient
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return -ctx.coefficient * gradient, None


@pytest.mark.verdict("confusion/to_align", against="the authors' losses, restated, without HDA's heads", within=1e-9)
def test_to_align(equal):
    model, progress = network(), 0.3
    method = ToAlign(D, C, hidden=6, weight=0.8).double()
    source = said(model, normal(6, D, seed=1), labels=torch.arange(6) % C)
    target = said(model, normal(6, D, seed=2))
    terms = method(source, target, progress=progress, model=model)

    f, w = source.features, model.head.weight[source.labels].detach()
    scalar = ((f**2).sum(dim=1, keepdim=True) / ((f * w) ** 2).sum(dim=1, keepdim=True)).sqrt()
    p = torch.cat((model.head(f * (w * scalar)), target.logits)).softmax(1)
    coefficient = 2 / (1 + torch.exp(torch.tensor(-10 * progress).double())) - 1
    output = torch.sigmoid(method.discriminator(Reverse.apply(p, coefficient))).squeeze(1)
    certainty = torch.exp(-Reverse.apply(-(p * p.log()).sum(1), coefficient))
    side = torch.tensor([1.0] * 6 + [0.0] * 6).double()
    weight = certainty * side / (certainty * side).sum().item()
    weight = weight + certainty * (1 - side) / (certainty * (1 - side)).sum().item()
    loss = ((-side * output.log() - (1 - side) * (1 - output).log()) * weight).sum() / 2
    equal(terms["loss"], 0.8 * loss)
    parameters = [*model.parameters(), *method.parameters()]
    for mine, other in zip(
        *(torch.autograd.grad(x, parameters, retain_graph=True) for x in (terms["loss"], 0.8 * loss)), strict=True
    ):
        equal(mine, other)


def test_to_align_says_what_it_lacks():
    side = Prediction(features=torch.ones(2, D), logits=torch.ones(2, C), labels=torch.zeros(2, dtype=torch.long))
    with pytest.raises(ValueError, match="linear head"):
        ToAlign(D, C)(side, side, model=torch.nn.Identity())
