"""RMT and MEMO against what their authors' code computes, restated item by item."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tlzoo.methods.adaptation import MEMO, RMT
from tlzoo.methods.adaptation.memo import marginal_entropy
from tlzoo.methods.adaptation.rmt import contrast
from tlzoo.methods.augmenting import changed
from tlzoo.types import Prediction

D, C = 5, 4


class Model(nn.Module):
    """A batch-normalized layer and a head, as Predictions."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.head = nn.Linear(D, D), nn.BatchNorm1d(D), nn.Linear(D, C)

    def forward(self, inputs):
        features = torch.tanh(self.norm(self.first(inputs)))
        return Prediction(features=features, logits=self.head(features))


@pytest.fixture
def model():
    torch.manual_seed(0)
    made = Model().double()
    with torch.no_grad():
        made.norm.running_mean.normal_()
        made.norm.running_var.uniform_(0.5, 2)
        made.head.weight.mul_(4)
    return made.eval()


def batch(seed, size=12):
    return torch.randn(size, D, generator=torch.Generator().manual_seed(seed)).double() + 0.3


def features_of(model, inputs):
    values = model.first(inputs)
    values = (values - values.mean(0)) / (values.var(0, unbiased=False) + model.norm.eps).sqrt()
    return torch.tanh(values * model.norm.weight + model.norm.bias)


def supervised_contrast(views, temperature):
    """The loss of SupContrast with views (B, V, D) and no labels, anchor by anchor."""
    total = 0.0
    size, count, _ = views.shape
    for item in range(size):
        for view in range(count):
            similar = [
                (other, torch.cosine_similarity(views[item, view], views[other, which], dim=0) / temperature)
                for other in range(size)
                for which in range(count)
                if (other, which) != (item, view)
            ]
            everything = torch.stack([value for _, value in similar]).logsumexp(0)
            total = total - sum(value - everything for other, value in similar if other == item) / (count - 1)
    return total / (size * count)


def symmetric(x, y):
    forth, back = y.softmax(1) * x.log_softmax(1), x.softmax(1) * y.log_softmax(1)
    return (-0.5 * forth.sum(1) - 0.5 * back.sum(1)).mean()


def follow(teacher, student, smoothing):
    with torch.no_grad():
        for slow, fast in zip(teacher.parameters(), student.parameters(), strict=True):
            slow.copy_(smoothing * slow + (1 - smoothing) * fast)


SOURCE = [(batch(seed, 9), torch.arange(9) % C) for seed in (20, 21, 22)]
SETTINGS = {"lr": 0.02, "smoothing": 0.9, "contrast": 0.7, "temperature": 0.3, "projection": 3, "warmup": 45}


def their_stream(method, model, stream, *, replay):
    """The authors' warm-up and loop, from the projection that the method drew."""
    student, teacher, projector = copy.deepcopy(model), copy.deepcopy(model), copy.deepcopy(method.projector)
    optimizer = torch.optim.Adam([*student.parameters(), *projector.parameters()], lr=0.02)
    with torch.no_grad():
        features, labels = torch.cat([features_of(model, x) for x, _ in SOURCE]), torch.cat([y for _, y in SOURCE])
        prototypes = torch.stack([features[labels == label].mean(0) for label in range(C)])
    order = [SOURCE[step % 3] for step in range(50)]
    for step in range(5):
        optimizer.param_groups[0]["lr"] = 0.02 * (step + 1) / 5
        inputs, _ = order.pop(0)
        logits, answers = (each.head(features_of(each, inputs)) for each in (student, teacher))
        optimizer.zero_grad()
        symmetric(logits, answers.detach()).backward()
        optimizer.step()
        follow(teacher, student, 0.9)
    optimizer.param_groups[0]["lr"], found = 0.02, []
    for inputs in stream:
        features, others = features_of(student, inputs), features_of(student, 1.2 * inputs)
        answers = teacher.head(features_of(teacher, inputs)).detach()
        near = F.cosine_similarity(features[:, None], prototypes[None], dim=2).argmax(1)
        loss = 0.5 * symmetric(student.head(features), answers) + 0.5 * symmetric(student.head(others), answers)
        views = projector(torch.stack([prototypes[near], features, others], dim=1))
        loss = loss + 0.7 * supervised_contrast(views, 0.3)
        if replay:
            shown, labels = order.pop(0)
            loss = loss + replay * F.cross_entropy(student.head(features_of(student, shown)), labels)
        found.append((student.head(features) + answers).detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        follow(teacher, student, 0.9)
    return torch.stack(found)


@pytest.mark.verdict("adaptation/rmt", against="the authors' warm-up and loop, restated", within=1e-9)
@pytest.mark.parametrize("replay", [0.0, 0.6])
def test_rmt(equal, model, replay):
    stream = [batch(seed, 6) for seed in range(3)]
    method = RMT(model, **SETTINGS, replay=replay, augment=lambda inputs, _: 1.2 * inputs)
    expected = their_stream(method, model, stream, replay=replay)
    method.start(SOURCE)
    equal(torch.stack([method(inputs) for inputs in stream]), expected)
    method.reset()
    again = torch.stack([method(inputs) for inputs in stream])
    if replay:  # the pass over the source begins anew
        assert not torch.equal(again, expected)
    else:
        equal(again, expected)


def test_rmt_without_a_source_takes_the_rows_of_the_head(model):
    method = RMT(model, **SETTINGS)
    torch.testing.assert_close(method.prototypes, model.head.weight)
    first = method(batch(0))
    torch.testing.assert_close(first, 2 * model.head(features_of(model, batch(0))).detach())
    before = [each.clone() for each in method.parameters()]
    method(batch(1, size=1))  # has no statistics to learn from
    assert all(torch.equal(*pair) for pair in zip(before, method.parameters(), strict=True))


def test_rmt_keeps_the_row_of_a_class_without_examples(model):
    method = RMT(model, warmup=0)
    method.start([(batch(0), torch.arange(12) % 3)])
    torch.testing.assert_close(method.prototypes[3], model.head.weight[3])
    assert not torch.equal(method.prototypes[:3], model.head.weight[:3])
    with pytest.raises(ValueError, match="no example"):
        method.start([])
    with pytest.raises(TypeError, match="linear head"):
        RMT(nn.Linear(4, 3))


def test_a_loaded_rmt_resets_to_the_end_of_the_warm_up(model):
    method, other = (RMT(model, **SETTINGS, replay=0.0) for _ in range(2))
    method.start(SOURCE)
    method(batch(0))
    other.load_state_dict(copy.deepcopy(method.state_dict()))
    torch.testing.assert_close(other(batch(1)), method(batch(1)))
    other.reset()
    method.reset()
    for seed in (2, 3):
        torch.testing.assert_close(other(batch(seed)), method(batch(seed)))


def test_the_contrast_of_equal_views_is_least_where_items_differ():
    apart = torch.eye(3)
    loss = contrast([apart, apart], 0.1)
    torch.testing.assert_close(loss, torch.log(1 + 4 * torch.exp(torch.tensor(-10.0))))
    assert contrast([apart, apart.roll(1, 0)], 0.1) > loss


@pytest.mark.parametrize(
    "inputs",
    [torch.randint(255, (3, 8, 8, 1)).byte(), torch.randn(3, 20, 2).bfloat16(), torch.randn(3, 6).double()],
)
@pytest.mark.parametrize("view", ["weak", "strong"])
def test_views_of_test_inputs_follow_the_generator(inputs, view):
    one, other, third = (changed(view, inputs, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert one.dtype == inputs.dtype
    assert one.shape == inputs.shape
    assert torch.equal(one, other)
    assert not torch.equal(one, third)


@pytest.mark.parametrize("inputs", [["a text"], torch.zeros(2, 3, 8, 8), torch.zeros(2, 4).long()])
def test_inputs_without_views_are_told(inputs):
    with pytest.raises(ValueError, match="give augment as a function"):
        changed("weak", inputs, torch.Generator())


def scaled(inputs, generator):
    return inputs * torch.rand((), generator=generator).double() + 0.1


def their_answer(model, example, copies, steps):
    """The authors' loop for one example, with their layer of a prior of 3."""
    own = copy.deepcopy(model)
    optimizer = torch.optim.SGD(own.parameters(), lr=0.1)

    def answer(inputs):
        values = own.first(inputs)
        with torch.no_grad():
            spread = values.var(0) if len(values) > 1 else torch.zeros(D).double()
            mean = 0.75 * own.norm.running_mean + 0.25 * values.mean(0)
            var = 0.75 * own.norm.running_var + 0.25 * spread
        normal = (values - mean) / (var + own.norm.eps).sqrt()
        return own.head(torch.tanh(normal * own.norm.weight + own.norm.bias))

    for step in range(steps):
        optimizer.zero_grad()
        logits = answer(torch.cat(copies[step]))
        mean = logits.softmax(1).mean(0)
        (-(mean * mean.log()).sum()).backward()
        optimizer.step()
    return answer(example).detach()


@pytest.mark.verdict("adaptation/memo", against="the authors' loop, restated", within=1e-10)
@pytest.mark.parametrize("steps", [1, 2])
def test_memo(equal, model, steps):
    method = MEMO(model, lr=0.1, steps=steps, copies=3, prior=3.0, augment=scaled)
    expected = []
    for example in batch(0).split(1):
        generator = method.random.next()
        copies = [[scaled(example, generator) for _ in range(3)] for _ in range(steps)]
        expected.append(their_answer(model, example, copies, steps))
    method.reset()
    found = torch.cat([method(part) for part in batch(0).split(5)])  # batches make no difference
    equal(found, torch.cat(expected))
    assert all(torch.equal(*pair) for pair in zip(method.model.parameters(), model.parameters(), strict=True))
    torch.testing.assert_close(method.model.norm.running_var, model.norm.running_var)


def test_the_marginal_entropy_is_finite_where_classes_are_impossible():
    logits = torch.tensor([[200.0, 0.0], [300.0, 0.0]], requires_grad=True)
    loss = marginal_entropy(logits)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.item() == 0
    assert gradient.isfinite().all()
