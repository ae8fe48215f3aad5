"""AdaContrast and PLUE against what their authors' code computes, restated, over several steps."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tlzoo.methods.adaptation import PLUE, AdaContrast
from tlzoo.types import Prediction

D, C, N, SIZE = 4, 3, 12, 5


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Linear(6, D), nn.Linear(D, C)

    def forward(self, inputs):
        features = torch.tanh(self.first(inputs))
        return Prediction(features=features, logits=self.head(features), inputs=inputs)


@pytest.fixture
def model():
    torch.manual_seed(1)
    made = Model().double()
    made.head.weight.data.mul_(4)
    return made


def batch(model, indices):
    views = {name: model(torch.randn(SIZE, 6).double()) for name in ("weak", "strong", "strong again")}
    said = model(torch.randn(SIZE, 6).double())
    return Prediction(features=said.features, logits=said.logits, indices=indices, inputs=said.inputs, views=views)


def whole(model):
    said = model(torch.randn(N, 6).double())
    return Prediction(features=said.features.detach(), logits=said.logits.detach(), indices=torch.arange(N))


def soft_neighbors(features, bank, count):
    found = []
    for each in features:
        distances = 1 - F.normalize(each, dim=0) @ F.normalize(bank["features"], dim=1).T
        found.append(bank["probs"][distances.argsort()[:count]].mean(0))
    return torch.stack(found)


def instance_loss(queries, keys, mem, mask, temperature):
    losses = []
    for q, k, kept in zip(queries, keys, mask, strict=True):
        logits = torch.cat([(q * k).sum()[None], mem[kept] @ q]) / temperature
        losses.append(logits.logsumexp(0) - logits[0])
    return torch.stack(losses).mean()


def div(logits):
    mean = logits.softmax(1).mean(0)
    return (mean * (mean + 1e-8).log()).sum()


class Theirs:
    """The state of the authors' loop, begun where a method begins."""

    def __init__(self, method, model):
        self.slow, self.start = copy.deepcopy(model), [0, 0]
        self.banks = {
            "features": method.bank.features.clone().double(),
            "probs": method.bank.probabilities.clone().double(),
        }
        self.mem = {name: value.clone() for name, value in method.keys.named_buffers()}
        self.mem["features"] = self.mem["features"].double()

    def follow(self, model, m):
        for k, q in zip(self.slow.parameters(), model.parameters(), strict=True):
            k.data = k.data * m + q.data * (1 - m)
        return self.slow

    def replace(self, which, **rows):
        store = (self.banks, self.mem)[which]
        size = len(store["features"])
        for row in range(SIZE):
            for name, value in rows.items():
                store[name][(self.start[which] + row) % size] = value[row].detach()
        self.start[which] = (self.start[which] + SIZE) % size


def step(model, loss):
    model.zero_grad()
    loss.backward()
    for parameter in model.parameters():
        parameter.data -= 0.3 * parameter.grad


def compared(equal, model, found, expected):
    equal(found.detach(), expected.detach())
    ours, theirs = (
        torch.autograd.grad(loss, list(model.parameters()), retain_graph=True) for loss in (found, expected)
    )
    for one, other in zip(ours, theirs, strict=True):
        equal(one, other)


@pytest.mark.parametrize("queue", [8, 100])
@pytest.mark.verdict("adaptation/adacontrast", against="the authors' loop, restated", within=1e-9)
def test_adacontrast(equal, model, queue):
    method = AdaContrast(D, C, queue=queue, neighbors=3, smoothing=0.7, contrastive=0.5, diversity=2.0).double()
    method.prepare(model)
    method.on_epoch(whole(model))
    assert len(method.bank.features) == len(method.keys.features) == min(queue, N)
    theirs = Theirs(method, model)
    for turn in range(4):
        target = batch(model, (torch.arange(SIZE) + 5 * turn) % N)
        weak, strong, again = (target.views[name] for name in ("weak", "strong", "strong again"))
        labels = soft_neighbors(weak.features.detach(), theirs.banks, 3).argmax(1)
        slow = theirs.follow(model, 0.7)
        keys = F.normalize(slow(again.inputs).features, dim=1).detach()
        mask = labels[:, None] != theirs.mem["labels"]
        contrast = instance_loss(F.normalize(strong.features, dim=1), keys, theirs.mem["features"], mask, 0.07)
        expected = F.cross_entropy(strong.logits, labels) + 0.5 * contrast + 2 * div(strong.logits)
        theirs.replace(1, features=keys, labels=labels)
        said = slow(weak.inputs)
        theirs.replace(0, features=said.features, probs=said.logits.softmax(1))
        found = method.loss(target, model=model)["loss"]
        compared(equal, model, found, expected)
        step(model, found)
    bank = method.bank.features.clone()
    method.on_epoch(whole(model))
    assert torch.equal(method.bank.features, bank)  # filled once


@pytest.mark.verdict("adaptation/plue", against="the authors' loop, restated", within=1e-9)
def test_plue(equal, model):
    method = PLUE(D, C, neighbors=3, smoothing=0.7, memory=2, queue=8).double()
    method.prepare(model)
    past = None
    for epoch in range(3):
        method.on_epoch(whole(model))
        if past is None:
            theirs, past = Theirs(method, model), method.past.labels.clone()
        theirs.banks = Theirs(method, model).banks  # anew in each epoch
        theirs.start[0] = 0
        for turn in range(2):
            target = batch(model, (torch.arange(SIZE) + 5 * turn) % N)
            weak, strong, again = (target.views[name] for name in ("weak", "strong", "strong again"))
            p = soft_neighbors(weak.features.detach(), theirs.banks, 3)
            labels = p.argmax(1)
            keys = F.normalize(theirs.follow(model, 0.7)(again.inputs).features, dim=1).detach()
            mask = torch.stack(
                [torch.stack([(past[i] != past[j]).all() for j in theirs.mem["items"]]) for i in target.indices]
            )
            contrast = instance_loss(F.normalize(strong.features, dim=1), keys, theirs.mem["features"], mask, 0.07)
            entropy = -(p * (p + 1e-5).log2()).sum(1) / math.log2(C)
            negative = copy.deepcopy(method)._others(labels)
            assert (negative != labels).all()
            output = (1 - strong.logits.softmax(1)).clamp(1e-5, 1).log()
            classification = (torch.exp(-entropy) * F.nll_loss(output, negative, reduction="none")).mean()
            expected = classification + contrast + div(weak.logits) + div(strong.logits)
            theirs.replace(1, features=keys, labels=labels, items=target.indices)
            past[target.indices, epoch % 2] = labels
            theirs.replace(0, features=weak.features, probs=weak.logits.softmax(1))
            found = method.loss(target, model=model)["loss"]
            compared(equal, model, found, expected)
            step(model, found)


@pytest.mark.parametrize("cls", [AdaContrast, PLUE])
def test_they_ask_for_the_source_model_and_the_whole_target_first(model, cls):
    method, target = cls(D, C).double(), batch(model, torch.arange(SIZE))
    with pytest.raises(ValueError, match="empty bank; call on_epoch"):
        method.loss(target, model=model)
    method.on_epoch(whole(model))
    with pytest.raises(RuntimeError, match=r"call prepare\(network\) before training"):
        method.loss(target, model=model)


def test_other_classes_are_drawn_alike():
    method = PLUE(D, C)
    drawn = torch.cat([method._others(torch.full((50,), 1)) for _ in range(20)])
    assert set(drawn.tolist()) == {0, 2}
    assert float((drawn == 0).double().mean()) == pytest.approx(0.5, abs=0.06)
