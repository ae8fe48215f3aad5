"""Test-time methods against what their authors' code computes, restated item by item."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tlzoo.functional import bbse_prior, em_prior
from tlzoo.methods.adaptation import CMF, EATA, MLLS, ROID, T3A, BNAdapt, CoTTA, DeYO, RDumb, RoTTA
from tlzoo.methods.adaptation.deyo import shuffled
from tlzoo.methods.adaptation.rotta import BalancedMemory
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


def with_statistics(model, inputs, mean, var):
    values = (model.first(inputs) - mean) / (var + model.norm.eps).sqrt()
    return model.head(torch.tanh(values * model.norm.weight + model.norm.bias))


def of_batch(model, inputs):
    values = model.first(inputs)
    return with_statistics(model, inputs, values.mean(0), values.var(0, unbiased=False))


@pytest.mark.verdict("adaptation/bn_adapt", against="the formula", within=1e-12)
@pytest.mark.parametrize("size", [1, 12])
def test_bn_adapt(equal, model, size):
    inputs, share = batch(1, size), size / (8.0 + size)
    values = model.first(inputs)
    mean = (1 - share) * model.norm.running_mean + share * values.mean(0)
    var = (1 - share) * model.norm.running_var + share * values.var(0, unbiased=False)
    method = BNAdapt(model, prior=8.0)
    method(batch(7))  # leaves nothing behind
    equal(method(inputs), with_statistics(model, inputs, mean, var))


def test_bn_adapt_without_prior_takes_the_batch(model):
    torch.testing.assert_close(BNAdapt(model, prior=0.0)(batch(1)), of_batch(model, batch(1)).detach())


@pytest.mark.verdict("adaptation/rdumb", against="ETA on parts of the stream, each from the source model", within=1e-12)
def test_rdumb(equal, model):
    settings = {"lr": 0.05, "margin": 0.9, "redundancy": 0.9}
    method, stream = RDumb(model, every=3, **settings), [batch(seed) for seed in range(7)]
    found = [method(inputs) for inputs in stream]
    expected = []
    for first in range(0, 7, 3):
        eta = EATA(model, anchoring=0.0, **settings)
        expected += [eta(inputs) for inputs in stream[first : first + 3]]
    equal(torch.stack(found), torch.stack(expected))
    eta = EATA(model, anchoring=0.0, **settings)
    assert not torch.equal(torch.stack([eta(inputs) for inputs in stream]), torch.stack(found))


@pytest.mark.verdict("adaptation/eata", against="the authors' loop and Fisher weights, restated", within=1e-9)
def test_eata(equal, model):
    stream, own, found, steps = [batch(seed) for seed in range(8)], copy.deepcopy(model), [], 0
    trained = [own.norm.weight, own.norm.bias]
    start, fishers = [p.detach().clone() for p in trained], [0.0, 0.0]
    for inputs in (batch(30), batch(31)):
        logits = of_batch(own, inputs)
        gradients = torch.autograd.grad(F.cross_entropy(logits, logits.argmax(1)), trained)
        fishers = [f + g.square() / 2 for f, g in zip(fishers, gradients, strict=True)]
    optimizer, mean, limit = torch.optim.SGD(trained, lr=0.05, momentum=0.9), None, 0.8 * math.log(C)
    for inputs in stream:
        logits = of_batch(own, inputs)
        found.append(logits.detach())
        p, entropies = logits.softmax(1), -(logits.softmax(1) * logits.log_softmax(1)).sum(1)
        kept = torch.where(entropies < limit)[0]
        if mean is not None:
            kept = kept[F.cosine_similarity(mean[None], p[kept], dim=1).abs() < 0.85]
        if not len(kept):
            continue
        fresh, steps = p[kept].mean(0).detach(), steps + 1
        mean = fresh if mean is None else 0.9 * mean + 0.1 * fresh
        loss = (entropies[kept] / torch.exp(entropies[kept].detach() - limit)).mean()
        moved = sum((f * (q - s).square()).sum() for f, q, s in zip(fishers, trained, start, strict=True))
        optimizer.zero_grad()
        (loss + 7.0 * moved).backward()
        optimizer.step()
    assert steps > 4
    method = EATA(model, lr=0.05, margin=0.8, redundancy=0.85, anchoring=7.0)
    method.remember([batch(30), batch(31)])
    equal(torch.stack([method(inputs) for inputs in stream]), torch.stack(found))


@pytest.mark.verdict("adaptation/t3a", against="the authors' supports, restated with lists", within=1e-9)
def test_t3a(equal, model):
    def entry(feature):
        p = model.head(feature).softmax(0).detach()
        return float(-(p * p.log()).sum()), (feature / feature.norm()).detach()

    supports = [[] for _ in range(C)]
    for row in model.head.weight:
        supports[int(model.head(row).argmax())].append(entry(row))
    method = T3A(model, keep=3)
    for seed in range(4):
        features = model(batch(seed)).features.detach()
        for feature in features:
            supports[int(model.head(feature).argmax())].append(entry(feature))
        supports = [sorted(own, key=lambda each: each[0])[:3] for own in supports]
        assert all(supports)
        sums = torch.stack([sum(point for _, point in own) for own in supports])
        equal(method(batch(seed)), features @ (sums / sums.norm(dim=1, keepdim=True)).T)


def roid_loss(logits, changed, mean, temperature=1 / 3):
    """The authors' loss, restated: values a batch, masks, symmetric cross-entropy to the changed ones that count."""
    with torch.no_grad():
        diverse = 1 - F.cosine_similarity(mean[None], logits.softmax(1), dim=1)
        diverse = (diverse - diverse.min()) / (diverse.max() - diverse.min())
        mask = diverse < diverse.mean()
        certain = (logits.softmax(1) * logits.log_softmax(1)).sum(1)
        certain = (certain - certain.min()) / (certain.max() - certain.min())
        weights = torch.exp(diverse * certain / temperature)
        weights[mask] = 0
    p = logits.softmax(1).clamp(0, 0.99)
    loss = (-(p * ((p / (1 - p)) + 1e-5).log()).sum(1) * weights)[~mask].sum() / len(logits)
    if changed is not None:
        other = changed(~mask)
        mine = logits[~mask]
        both = -0.5 * (mine.softmax(1) * other.log_softmax(1)).sum(1) - 0.5 * (
            other.softmax(1) * mine.log_softmax(1)
        ).sum(1)
        loss = loss + (both * weights[~mask]).sum() / len(logits)
    return loss


def corrected(outputs):
    prior = outputs.softmax(1).mean(0)
    smooth = max(1 / outputs.shape[0], 1 / outputs.shape[1]) / prior.max()
    return outputs * ((prior + smooth) / (1 + smooth * outputs.shape[1]))


def roid_stream(model, stream, after, *, augmented):
    """The authors' loop: outputs, loss, Adam, then ``after`` on the trained weights, then the prior."""
    own, found = copy.deepcopy(model), []
    trained = [own.norm.weight, own.norm.bias]
    optimizer = torch.optim.Adam(trained, lr=0.05)
    mean = torch.full((C,), 1 / C).double()
    for inputs in stream:
        logits = of_batch(own, inputs)
        changed = (lambda rows, inputs=inputs: of_batch(own, 1.1 * inputs[rows])) if augmented else None
        optimizer.zero_grad()
        roid_loss(logits, changed, mean).backward()
        mean = 0.9 * mean + 0.1 * logits.detach().softmax(1).mean(0)
        optimizer.step()
        with torch.no_grad():
            after(trained)
        found.append(corrected(logits.detach()))
    return torch.stack(found)


@pytest.mark.verdict("adaptation/roid", against="the authors' loop, restated", within=1e-9)
@pytest.mark.parametrize("augmented", [False, True])
def test_roid(equal, model, augmented):
    stream, start = [batch(seed) for seed in range(5)], [model.norm.weight.detach(), model.norm.bias.detach()]

    def after(trained):
        for parameter, source in zip(trained, start, strict=True):
            parameter.copy_(0.9 * parameter + 0.1 * source)

    augment = (lambda inputs, _: 1.1 * inputs) if augmented else None
    method = ROID(model, lr=0.05, keep=0.9, augment=augment)
    found = torch.stack([method(inputs) for inputs in stream])
    equal(found, roid_stream(model, stream, after, augmented=augmented))


@pytest.mark.verdict("adaptation/cmf", against="the authors' filter, restated", within=1e-9)
@pytest.mark.parametrize("noise", [0.005, 200.0])
def test_cmf(equal, model, noise):
    stream = [batch(seed) for seed in range(6)]
    start = [model.norm.weight.detach().clone(), model.norm.bias.detach().clone()]
    hidden, state = [each.clone() for each in start], {"variance": 0.0}
    q = noise * 2 * D / 38400

    def after(trained):
        recovered = [0.95 * h + 0.05 * s for h, s in zip(hidden, start, strict=True)]
        state["variance"] = 0.95**2 * state["variance"] + q
        beta = (1 - q) / (state["variance"] + 1 - q)
        beta = max(beta, 0.89)
        beta = beta if beta < 0.9999 else 1.0
        state["variance"] *= beta
        for place, parameter in enumerate(trained):
            hidden[place] = beta * recovered[place] + (1 - beta) * parameter
            parameter.copy_(0.8 * parameter + 0.2 * hidden[place])

    method = CMF(model, lr=0.05, alpha=0.95, gamma=0.8, noise=noise)
    found = torch.stack([method(inputs) for inputs in stream])
    equal(found, roid_stream(model, stream, after, augmented=False))


@pytest.mark.verdict("adaptation/deyo", against="the authors' loop, restated", within=1e-9)
def test_deyo(equal, model):
    stream, own, found, steps = [batch(seed) for seed in range(5)], copy.deepcopy(model), [], 0
    optimizer = torch.optim.SGD([own.norm.weight, own.norm.bias], lr=0.05, momentum=0.9)
    for inputs in stream:
        logits = of_batch(own, inputs)
        found.append(logits.detach())
        entropies = -(logits.softmax(1) * logits.log_softmax(1)).sum(1)
        first = torch.where(entropies < 0.8 * math.log(C))
        kept, certain = entropies[first], logits[first].softmax(1)
        with torch.no_grad():
            after = of_batch(own, inputs[first].flip(1)).softmax(1)
        label = certain.argmax(1, keepdim=True)
        lost = (certain.gather(1, label) - after.gather(1, label)).detach()[:, 0]
        second = torch.where(lost > 0.1)
        if not len(second[0]):
            continue
        kept, lost, steps = kept[second], lost[second], steps + 1
        factors = 1 / torch.exp(kept.detach() - 0.4 * math.log(C)) + 1 / torch.exp(-lost)
        optimizer.zero_grad()
        (kept * factors).mean().backward()
        optimizer.step()
    assert steps > 2
    method = DeYO(model, lr=0.05, margin=0.8, drop=0.1, destroy=lambda inputs, _: inputs.flip(1))
    equal(torch.stack([method(inputs) for inputs in stream]), torch.stack(found))


def test_shuffled_patches_stay_whole():
    pictures = torch.arange(2 * 9 * 9 * 3, dtype=torch.uint8).view(2, 9, 9, 3)
    changed = shuffled(pictures, torch.Generator().manual_seed(0), patches=4)
    assert changed.dtype == pictures.dtype
    assert torch.equal(changed[:, 8], pictures[:, 8])
    assert torch.equal(changed[:, :, 8], pictures[:, :, 8])

    def tiles(values):
        return sorted(values[r : r + 2, c : c + 2].flatten().tolist() for r in range(0, 8, 2) for c in range(0, 8, 2))

    for before, after in zip(pictures, changed, strict=True):
        assert not torch.equal(before, after)
        assert tiles(before) == tiles(after)
    with pytest.raises(ValueError, match="give destroy"):
        shuffled(torch.ones(2, 3, 4), torch.Generator())


class Lists:
    """RoTTA's memory as lists of classes, as its authors write it."""

    def __init__(self, capacity):
        self.capacity, self.data = capacity, [[] for _ in range(C)]

    def score(self, age, doubt):
        return 1 / (1 + math.exp(-age / self.capacity)) + doubt / math.log(C)

    def add(self, item, label, doubt):
        mine = self.score(0, doubt)
        if len(self.data[label]) < self.capacity / C:
            most = max(map(len, self.data))
            full = sum(map(len, self.data)) >= self.capacity
            rivals = [place for place, held in enumerate(self.data) if len(held) == most] if full else None
        else:
            rivals = [label]
        if rivals is None or self.remove(rivals, mine):
            self.data[label].append([item, doubt, 0])
        for held in self.data:
            for each in held:
                each[2] += 1

    def remove(self, classes, mine):
        worst = None
        for label in classes:
            for place, (_, doubt, age) in enumerate(self.data[label]):
                score = self.score(age, doubt)
                if worst is None or score >= worst[0]:
                    worst = score, label, place
        if worst is None:
            return True
        if worst[0] > mine:
            self.data[worst[1]].pop(worst[2])
            return True
        return False


@pytest.mark.parametrize("capacity", [4, 6, 10])
def test_the_balanced_memory_is_the_authors(capacity):
    generator = torch.Generator().manual_seed(capacity)
    ours, theirs = BalancedMemory(capacity, age_weight=1.0, uncertainty_weight=1.0), Lists(capacity)
    for number in range(80):
        label = int(torch.randint(2 if number < 40 else C, (), generator=generator))
        doubt = float(torch.rand((), generator=generator).double() * 1.3)
        ours.add(torch.tensor([float(number)]), label, doubt, classes=C)
        theirs.add(number, label, doubt)
        expected = sorted((item, label, age) for label, held in enumerate(theirs.data) for item, _, age in held)
        found = zip(ours.items[:, 0].tolist(), ours.labels.tolist(), ours.ages.tolist(), strict=True)
        assert sorted(found) == expected


@pytest.mark.verdict("adaptation/rotta", against="the authors' loop and layer, restated", within=1e-9)
def test_rotta(equal, model):
    stream, capacity, rate = [batch(seed) for seed in range(4)], 6, 0.2
    student, teacher = copy.deepcopy(model), copy.deepcopy(model)
    trained = [student.norm.weight, student.norm.bias]
    optimizer = torch.optim.Adam(trained, lr=0.01)
    lists, count, found, updates = Lists(capacity), 0, [], 0

    def robust(network, inputs):
        values = network.first(inputs)
        mean = (1 - rate) * network.norm.running_mean + rate * values.mean(0)
        var = (1 - rate) * network.norm.running_var + rate * values.var(0, unbiased=False)
        network.norm.running_mean, network.norm.running_var = mean.detach().clone(), var.detach().clone()
        return with_statistics(network, inputs, mean, var)

    for inputs in stream:
        norm = teacher.norm
        logits = with_statistics(teacher, inputs, norm.running_mean, norm.running_var).detach()
        found.append(logits)
        probabilities = logits.softmax(1)
        doubts = -(probabilities * (probabilities + 1e-6).log()).sum(1)
        for row, label, doubt in zip(inputs, logits.argmax(1).tolist(), doubts.tolist(), strict=True):
            lists.add(row, label, doubt)
            count += 1
            if count % capacity:
                continue
            held = [each for own in lists.data for each in own]
            items, ages = torch.stack([each[0] for each in held]), torch.tensor([each[2] for each in held]).double()
            with torch.no_grad():
                answers = robust(teacher, items).softmax(1)
            weights = torch.exp(-ages / capacity) / (1 + torch.exp(-ages / capacity))
            optimizer.zero_grad()
            loss = (weights * -(answers * robust(student, 1.2 * items).log_softmax(1)).sum(1)).mean()
            loss.backward()
            optimizer.step()
            updates += 1
            with torch.no_grad():
                for slow, fast in zip(teacher.parameters(), student.parameters(), strict=True):
                    slow.copy_(0.9 * slow + 0.1 * fast)
    assert updates > 4
    method = RoTTA(model, lr=0.01, capacity=capacity, rate=rate, smoothing=0.9, augment=lambda items, _: 1.2 * items)
    equal(torch.stack([method(inputs) for inputs in stream]), torch.stack(found))


def shifted_data(seed, proportions, size=4000):
    """Items of a Gaussian mixture with its exact posteriors under equal proportions."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.multinomial(torch.tensor(proportions), size, replacement=True, generator=generator)
    means = torch.tensor([[0.0, 0.0], [1.5, 0.0], [0.0, 1.5]])
    values = means[labels] + torch.randn(size, 2, generator=generator)
    return (-(values[:, None] - means).square().sum(-1) / 2).softmax(1).double(), labels


SHIFT = [0.7, 0.1, 0.2]


@pytest.mark.verdict("adaptation/mlls", against="the fixed point of the EM update", within=1e-6)
def test_mlls(equal):
    probabilities, labels = shifted_data(0, SHIFT)
    source = torch.full((3,), 1 / 3).double()
    prior = em_prior(probabilities, source)
    again = prior * probabilities / source
    equal(prior, (again / again.sum(1, keepdim=True)).mean(0))
    torch.testing.assert_close(prior, torch.tensor(SHIFT).double(), atol=0.03, rtol=0)

    class Known(nn.Module):
        def forward(self, inputs):
            return Prediction(features=inputs, logits=inputs.log())

    method = MLLS(Known())
    answers = torch.cat([method(part) for part in probabilities.split(500)])
    before = float((probabilities.argmax(1) == labels).double().mean())
    assert float((answers.argmax(1) == labels).double().mean()) > before + 0.02
    last = prior / source * probabilities[-500:]
    equal(answers[-500:].exp(), last / last.sum(1, keepdim=True))


def test_bbse_inverts_the_confusion():
    source, labels = shifted_data(1, [1 / 3] * 3)
    target, _ = shifted_data(2, SHIFT)
    found = bbse_prior(source, labels, target)
    torch.testing.assert_close(found, torch.tensor(SHIFT).double(), atol=0.04, rtol=0)
    with pytest.raises(ValueError, match="expected some of both"):
        bbse_prior(source[:0], labels[:0], target)
    with pytest.raises(ValueError, match="all above 0"):
        em_prior(target, torch.tensor([0.0, 0.5, 0.5]).double())


@pytest.mark.parametrize("cls", [CMF, CoTTA, ROID, RoTTA])
def test_the_name_of_a_view_is_a_way_to_augment(model, cls):
    settings = {RoTTA: {"capacity": 4}, CoTTA: {"augmentations": 2, "threshold": 1.0}}.get(cls, {})

    def ours(inputs, generator):
        return changed("strong", inputs, generator)

    answers = []
    for augment in ("strong", ours, None):
        torch.manual_seed(3)
        method = cls(model, augment=augment, **settings)
        assert method.order_matters or augment is None
        answers.append(torch.stack([method(batch(seed)) for seed in range(3)]))
    assert torch.equal(answers[0], answers[1])
    assert not torch.equal(answers[0], answers[2])
    with pytest.raises(ValueError, match="augment 'odd'"):
        cls(model, augment="odd")
