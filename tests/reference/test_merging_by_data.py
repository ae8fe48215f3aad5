"""Merging that looks at data, against formulas computed another way."""

import io

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional as F

from tlzoo.data.example_set import ExampleSet
from tlzoo.data.tasks import MultitaskTask, Target
from tlzoo.functional import fisher_merge, reg_mean
from tlzoo.lit import Multitask, MultitaskData
from tlzoo.methods.merging import TaskNetworks, class_scores
from tlzoo.methods.multitask import AdaMerging, Fisher, RegMean
from tlzoo.nn.task_heads import HEADS, ClassHead, ValueHead

TARGETS = {"color": 3, "shape": 2}
INPUTS = torch.linspace(-1, 1, 60).view(12, 5).sin().double()


def networks(body, heads, size=12, inputs=INPUTS):
    """Three networks, before and after fine-tuning on each of two tasks."""
    torch.manual_seed(0)
    start, *bodies = (body().double().eval() for _ in range(3))
    made = [head.double() for head in heads()]
    return TaskNetworks(start=start, bodies=bodies, heads=made, size=size, inputs=lambda places: inputs[places])


class Padding(nn.Conv2d):
    """A convolution that pads its inputs itself, as timm's do."""

    def forward(self, inputs):
        return F.conv2d(F.pad(inputs, (1, 1, 1, 1)), self.weight, self.bias, stride=2, groups=2)


def convolutional():
    return nn.Sequential(Padding(2, 4, 3, groups=2), nn.Tanh(), nn.Conv2d(4, 3, 1), nn.Flatten(), nn.Linear(12, 4))


@pytest.mark.verdict("multitask/fisher", against="the formula, with gradients of each input by hand", within=1e-9)
def test_fisher(equal):
    shown = networks(lambda: nn.Linear(5, 4), lambda: [ClassHead(4, 3), ValueHead(4, center=2.0, spread=3.0)])
    method = Fisher(2, examples=12)
    method.fit(shown)
    start, states = shown.weights()
    fishers = []
    generator = method.random.constant()
    order = torch.randperm(12, generator=generator)
    for body, head in zip(shown.bodies, shown.heads, strict=True):
        total = {"weight": torch.zeros(4, 5).double(), "bias": torch.zeros(4).double()}
        for place in order:
            x = INPUTS[place]
            if isinstance(head, ClassHead):  # the gradient of log p(y) for features is V^T (e_y - p)
                p = head.layer(body(x)).softmax(0).detach()
                drawn = torch.multinomial(p, 1, generator=generator)
                own = head.layer.weight.detach().T @ (F.one_hot(drawn[0], 3) - p)
            else:  # of a value with unit variance in units of the spread, v (y - f): its square is v^2 in the mean
                own = head.layer.weight.detach()[0]
            total["weight"] += torch.outer(own, x) ** 2 / 12
            total["bias"] += own**2 / 12
        fishers.append(total)
    for name in start:
        weights = []
        for fisher in fishers:
            norm = torch.cat([value.flatten() for value in fisher.values()]).norm()
            weights.append(fisher[name].clamp_min(1e-6) / norm)
        expected = sum(w * s[name] for w, s in zip(weights, states, strict=True)) / sum(weights)
        equal(method.merged(start, states)[name], expected)


@pytest.mark.verdict("multitask/reg_mean", against="least squares on the shrunk Gram matrices", within=1e-6)
def test_reg_mean(equal):
    shown = networks(lambda: nn.Linear(5, 4), lambda: [ClassHead(4, 3), ClassHead(4, 2)])
    method = RegMean(2, examples=12, shrink=0.3)
    method.fit(shown)
    start, states = shown.weights()
    # rows whose Gram matrix is the shrunk one: sqrt(alpha) X over sqrt(1 - alpha) times the lengths of its columns
    rows = torch.cat([0.3**0.5 * INPUTS, 0.7**0.5 * torch.diag(INPUTS.norm(dim=0))])
    answers = torch.cat([rows @ state["weight"].T for state in states])
    found = method.merged(start, states)
    equal(found["weight"], torch.linalg.lstsq(torch.cat([rows, rows]), answers).solution.T)
    equal(found["bias"], (states[0]["bias"] + states[1]["bias"]) / 2)


def test_reg_mean_is_closest_to_the_outputs_of_convolutions():
    pictures = torch.randn(12, 2, 4, 4, generator=torch.Generator().manual_seed(3)).double()
    shown = networks(convolutional, lambda: [ClassHead(4, 3), ClassHead(4, 2)], inputs=pictures)
    method = RegMean(2, examples=12, shrink=1.0)
    method.fit(shown)
    start, states = shown.weights()
    merged = method.merged(start, states)

    def distance(weight):
        def outputs(w):
            return F.conv2d(pictures, w, stride=2, padding=1, groups=2)

        return sum((outputs(weight) - outputs(state["0.weight"])).square().sum() for state in states)

    weight = merged["0.weight"].clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(distance(weight), [weight])
    assert gradient.abs().max() < 1e-6 * distance(weight)
    assert merged["2.weight"].shape == states[0]["2.weight"].shape
    assert not torch.allclose(merged["4.weight"], (states[0]["4.weight"] + states[1]["4.weight"]) / 2)


@pytest.mark.parametrize("coefficients", ["layer", "task"])
@pytest.mark.verdict("multitask/adamerging", against="the authors' code, restated, on the same batches", within=1e-9)
def test_adamerging(equal, coefficients):
    shown = networks(lambda: nn.Linear(5, 4), lambda: [ClassHead(4, 3), ClassHead(4, 2)])
    method = AdaMerging(2, steps=30, batch_size=6, lr=0.05, coefficients=coefficients)
    method.fit(shown)
    start, states = shown.weights()
    raw = torch.full((2, 2) if coefficients == "layer" else (1, 2), 0.3).double().requires_grad_(True)
    adam = torch.optim.Adam([raw], lr=0.05)
    generator = method.random.constant()
    order = []
    for _ in range(30):
        if not len(order):
            order = list(torch.randperm(12, generator=generator).split(6))
        lambdas = torch.clamp(raw, min=0.0, max=1.0)
        weight, bias = (
            start[name] + sum(lambdas[place % len(raw), t] * (states[t][name] - start[name]) for t in range(2))
            for place, name in enumerate(("weight", "bias"))
        )
        features = F.linear(INPUTS[order.pop(0)], weight, bias)
        outputs = [head(features) for head in shown.heads]
        loss = sum(-(x.softmax(1) * x.log_softmax(1)).sum(1).mean(0) for x in outputs)
        adam.zero_grad()
        loss.backward(inputs=[raw])
        adam.step()
    equal(method.learned, raw.detach().clamp(0, 1).T)
    merged = method.merged(start, states)
    share = method.learned[:, 0]
    expected = start["weight"] + sum(share[t] * (states[t]["weight"] - start["weight"]) for t in range(2))
    equal(merged["weight"], expected)


def task():
    generator = np.random.default_rng(0)
    sets = []
    for size in (24, 10, 14):
        targets = {name: generator.integers(0, count, size) for name, count in TARGETS.items()}
        inputs = generator.normal(size=(size, 5)).astype(np.float32)
        sets.append(ExampleSet(inputs=inputs, targets=targets, modality="features"))
    return MultitaskTask(
        name="mine", targets={name: Target(classes=count) for name, count in TARGETS.items()},
        train=sets[0], validation=sets[1], test=sets[2],
    )  # fmt: skip


@pytest.mark.parametrize("name", ["fisher", "reg_mean", "adamerging"])
def test_a_trainer_shows_the_data(name):
    torch.manual_seed(0)
    settings = {"steps": 2, "lr": 0.1} if name == "adamerging" else {"examples": 6}
    data = MultitaskData(task(), batch_size=8)

    def build():
        return Multitask.for_data(
            data, name, backbone="mlp", backbone_settings={"num_inputs": 5, "hidden": [4]}, method_settings=settings
        )

    module = build()
    trainer = pl.Trainer(max_steps=2, logger=False, enable_checkpointing=False, enable_progress_bar=False)
    trainer.fit(module, datamodule=data)
    tested = trainer.test(module, datamodule=data, verbose=False)[0]
    inputs = torch.from_numpy(data.task.test.inputs)
    before = module.eval()(inputs)
    if name == "adamerging":
        assert not torch.equal(module.method.learned, torch.full_like(module.method.learned, 0.3))
        learned = module.method.learned.clone()
        module.predict(data.task.validation.inputs)
        assert not torch.equal(module.method.learned, learned)
        module.study(data.task.test)
        assert torch.equal(module.method.learned, learned)
    scores = [(before[task].argmax(1).numpy() == data.task.test.targets[task]).mean() for task in TARGETS]
    assert [tested[f"test/{task}"] for task in TARGETS] == pytest.approx(scores)
    other, stored = build().eval(), io.BytesIO()
    with pytest.raises(RuntimeError, match="call fit first"):
        other(inputs)
    torch.save(module.state_dict(), stored)
    stored.seek(0)
    other.load_state_dict(torch.load(stored))
    after = other(inputs)
    assert all(torch.equal(before[task], after[task]) for task in TARGETS)


def test_what_does_not_fit():
    shown = networks(lambda: nn.Linear(5, 4), lambda: [ClassHead(4, 2), ValueHead(4)])
    with pytest.raises(ValueError, match="no task has classes"):
        AdaMerging(2).fit(networks(lambda: nn.Linear(5, 4), lambda: [ValueHead(4), ValueHead(4)]))
    with pytest.raises(ValueError, match="answers of a NormalsHead have no classes"):
        class_scores(HEADS["normals"](4, 0), torch.ones(1, 3, 2, 2))
    with pytest.raises(ValueError, match="2 networks for 3 tasks"):
        Fisher(3).fit(shown)
    with pytest.raises(ValueError, match="no inputs"):
        Fisher(2).fit(networks(lambda: nn.Linear(5, 4), lambda: [ClassHead(4, 2), ClassHead(4, 2)], size=0))
    states = [{"w": torch.ones(2, 3)}] * 2
    with pytest.raises(ValueError, match="one of 3 inputs"):
        reg_mean(states, [{"w": torch.eye(2)}] * 2)
    with pytest.raises(ValueError, match="which the networks do not have"):
        fisher_merge(states, [{"v": torch.ones(2, 3)}] * 2)
    with pytest.raises(ValueError, match="statistics of 1 networks"):
        fisher_merge(states, [{"w": torch.ones(2, 3)}])
