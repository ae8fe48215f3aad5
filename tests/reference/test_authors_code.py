"""Methods against what their authors' code computes, restated example by example."""

import copy
import math
import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from torch import nn
from torch.nn import functional as F

from tlzoo.functional import entropy
from tlzoo.functional.laplacian import affinities
from tlzoo.methods.adaptation import ATDOC, EATA, LAME, SAR, SHOT, AdaBN, CoTTA
from tlzoo.methods.adaptation.cotta import threshold_by_classes
from tlzoo.methods.adaptation.eata import redundancy_by_classes
from tlzoo.methods.adaptation.shot import cluster_labels
from tlzoo.methods.confusion import CDAN, GVB, IWAN, MDD, PADA
from tlzoo.nn.dropout import StreamDropout
from tlzoo.selection.source_validators import density_ratio
from tlzoo.types import Prediction

D, C = 4, 3


def side(size, seed, *, scale=1.0, classes=C):
    generator = torch.Generator().manual_seed(seed)
    features, logits = (torch.randn(size, w, generator=generator).double() for w in (D, classes))
    return Prediction(
        features=features.requires_grad_(),
        logits=(scale * logits).requires_grad_(),
        labels=torch.arange(size) % classes,
        indices=torch.arange(size),
    )


# --- SHOT


def test_shot_leaves_out_classes_without_a_member_from_the_first_round():
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(40, D, generator=generator).double()
    probabilities = torch.randn(40, 6, generator=generator).double().softmax(dim=1)
    probabilities[:, 2] = 0.0
    probabilities[:, 2] = 0.9 * probabilities.amax(dim=1)  # a heavy class that is never the first guess
    probabilities = probabilities / probabilities.sum(dim=1, keepdim=True)
    assert 2 not in probabilities.argmax(dim=1)

    points = torch.cat([features, torch.ones(40, 1)], dim=1)
    points = (points / points.norm(dim=1, keepdim=True)).numpy()
    weights, guess = probabilities.numpy(), probabilities.argmax(dim=1).numpy()
    for rounds in (1, 2):
        centers = weights.T @ points / (1e-8 + weights.sum(axis=0)[:, None])
        present = np.where(np.eye(6)[guess].sum(axis=0) > 0)[0]
        cosines = points @ centers[present].T / np.linalg.norm(centers[present], axis=1)
        guess = present[cosines.argmax(axis=1)]
        weights = np.eye(6)[guess]
        assert cluster_labels(features, probabilities, rounds=rounds).tolist() == guess.tolist()
        assert 2 not in guess


def test_shot_learns_the_labels_it_found():
    method, target = SHOT(D, C).double(), side(9, 1)
    method.on_epoch(target)
    assert torch.equal(
        method.memory.get_buffer("labels"), cluster_labels(target.features, target.logits.softmax(dim=1))
    )


# --- ATDOC


def test_atdoc_fills_and_updates_its_memory_on_one_scale():
    method, whole = ATDOC(D, C).double(), side(6000, 1)
    method.on_epoch(whole)
    filled = method.memory.probabilities.clone()
    for first in range(0, 6000, 32):
        batch = slice(first, first + 32)
        part = Prediction(features=whole.features[batch], logits=whole.logits[batch], indices=torch.arange(6000)[batch])
        method(side(5, 2), part)
    ratio = method.memory.probabilities.mean() / filled.mean()
    assert ratio.item() == pytest.approx(1.0, rel=1e-6)


# --- PADA and IWAN


@pytest.mark.verdict("confusion/pada", against="the authors' code, restated", within=1e-12)
def test_pada_as_in_the_authors_code(equal):
    method, source, target = PADA(D, C, hidden=8, weighting="code").double(), side(6, 1), side(6, 2)
    method.on_epoch(target)
    g = target.logits.detach().softmax(dim=1).mean(dim=0)
    g = g / g.mean()
    w = torch.cat([g[source.labels] / g[source.labels].max(), torch.ones(6)])
    logits = method.discriminator(torch.cat([source.features, target.features])).squeeze(1)
    is_source = torch.tensor([1.0] * 6 + [0.0] * 6).double()
    expected = F.binary_cross_entropy_with_logits(logits, is_source, weight=w)
    equal(method(source, target)["loss"].item(), expected.item())
    supervised = (
        method.source_weights(source) * F.cross_entropy(source.logits, source.labels, reduction="none")
    ).mean()
    equal(supervised.item(), F.cross_entropy(source.logits, source.labels, weight=g).item())


def test_pada_as_in_the_paper():
    method, source, target = PADA(D, C, hidden=8).double(), side(6, 1), side(9, 2)
    method.on_epoch(target)
    g = target.logits.softmax(dim=1).mean(dim=0)
    g = g / g.max()
    logits = method.discriminator(torch.cat([source.features, target.features])).squeeze(1)
    by_hand = sum(g[y] * F.softplus(-z) for y, z in zip(source.labels, logits[:6], strict=True)) / 6
    by_hand = 0.5 * (by_hand + sum(F.softplus(z) for z in logits[6:]) / 9)
    assert method(source, target)["loss"].item() == pytest.approx(by_hand.item())
    assert torch.equal(method.source_weights(source), g[source.labels])


def test_the_reversal_of_iwan_is_bounded():
    source, target = side(6, 1), side(6, 2)
    gradients = []
    for reversal in (0.1, 1.0):
        torch.manual_seed(0)
        method = IWAN(D, C, hidden=8, entropy_weight=0.0, reversal=reversal).double()
        (gradient,) = torch.autograd.grad(method(source, target)["loss"], target.features)
        gradients.append(gradient)
    torch.testing.assert_close(10 * gradients[0], gradients[1])
    assert IWAN(D, C).reversal == 0.1


# --- weights of CDAN+E and GVB


def own_gradient_of(loss, logits):
    return torch.autograd.grad(loss, logits)[0]


@pytest.mark.parametrize("progress", [0.1, 0.7])
def test_cdan_e_reverses_the_gradient_of_its_weights(progress):
    source, target = side(6, 1), side(6, 2)
    coefficient = 2 / (1 + math.exp(-10 * progress)) - 1
    method = CDAN(D, C, hidden=8, entropy=True).double()
    logits = torch.cat([source.logits, target.logits])
    p = logits.softmax(dim=1).detach()
    f = torch.cat([source.features, target.features])
    joint = torch.stack([torch.outer(p[i], f[i]).flatten() for i in range(12)])
    losses = F.binary_cross_entropy_with_logits(
        method.discriminator(joint).squeeze(1), torch.tensor([1.0] * 6 + [0.0] * 6).double(), reduction="none"
    )
    w = 1 + torch.exp(-entropy(logits))
    weights = torch.cat([w[:6] / w[:6].sum().item(), w[6:] / w[6:].sum().item()])
    expected = (weights * losses).sum() / weights.sum().item()
    found = method(source, target, progress=progress)["loss"]
    assert found.item() == pytest.approx(expected.item())
    straight = own_gradient_of((weights * losses.detach()).sum() / 2, target.logits)
    torch.testing.assert_close(own_gradient_of(found, target.logits), -coefficient * straight)


@pytest.mark.parametrize("progress", [0.1, 0.7])
def test_gvb_reverses_the_gradient_of_its_weights(progress):
    source, target = side(6, 1), side(6, 2)
    coefficient = 2 / (1 + math.exp(-10 * progress)) - 1
    torch.manual_seed(0)
    method = GVB(D, C, hidden=8, head_bridge=0.0, discriminator_bridge=0.0).double()
    logits = torch.cat([source.logits, target.logits])
    hidden = method.trunk(logits.softmax(dim=1))
    answers = (method.judge(hidden) - method.bridge(hidden)).squeeze(1)
    is_source = torch.tensor([1.0] * 6 + [0.0] * 6).double()
    w = torch.exp(-entropy(logits))
    weights = torch.cat([w[:6] / w[:6].sum().item(), w[6:] / w[6:].sum().item()])
    expected = (weights * F.binary_cross_entropy_with_logits(answers, is_source, reduction="none")).sum() / 2
    found = method(source, target, progress=progress)["loss"]
    assert found.item() == pytest.approx(expected.item())
    # the probabilities and the weights are both behind a reversal of the same coefficient
    torch.testing.assert_close(
        own_gradient_of(found, target.logits), -coefficient * own_gradient_of(expected, target.logits)
    )


# --- MDD


def test_the_adversary_of_mdd():
    kinds = [type(layer) for layer in MDD(D, C, hidden=2000).adversary]
    assert kinds == [nn.Linear, nn.ReLU, StreamDropout, nn.Linear]
    first, *_, last = MDD(D, C, hidden=2000).adversary
    for layer in (first, last):
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.05)
        assert not layer.bias.any()
    assert [type(layer) for layer in MDD(D, C, adversary="batch_norm").adversary][1] is nn.BatchNorm1d


# --- LAME


class Direct(nn.Module):
    def __init__(self, classes=C):
        super().__init__()
        self.norm, self.head = nn.LayerNorm(D), nn.Linear(D, classes)

    def forward(self, inputs):
        return Prediction(features=inputs, logits=self.head(self.norm(inputs)))


def lame_kernel(features, kind, k):
    x = (features / features.norm(dim=1, keepdim=True)).numpy()
    n = len(x)
    distances = np.array([[np.linalg.norm(a - b) for b in x] for a in x])
    if kind == "linear":
        return x @ x.T
    if kind == "rbf":
        sigma = np.mean([np.sort(row)[min(k, n) - 1] for row in distances])
        return np.exp(-(distances**2) / (2 * sigma**2))
    kernel = np.zeros((n, n))
    for i, row in enumerate(distances):
        kernel[i, np.argsort(row)[1 : min(k + 1, n)]] = 1
    return kernel


@pytest.mark.parametrize(
    ("kind", "k"),  # rbf with 1 divides by the distance to oneself there
    [("rbf", 3), ("rbf", 5), ("rbf", 30), ("knn", 1), ("knn", 3), ("knn", 5), ("knn", 30), ("linear", 5)],
)
@pytest.mark.verdict("adaptation/lame", against="the authors' kernels", within=1e-12)
def test_lame_has_the_kernels_of_the_authors(kind, k, equal):
    torch.manual_seed(0)
    inputs, model = torch.randn(12, D).double(), Direct().double()
    kernel = lame_kernel(inputs, kind, k)
    equal(affinities(inputs, kind, neighbors=k).numpy(), kernel)
    log_p = model(inputs).logits.log_softmax(dim=1).detach().numpy()
    z, energy = np.exp(log_p), np.inf
    for step in range(100):
        pairwise = kernel @ z
        z = np.exp(log_p + pairwise - (log_p + pairwise).max(axis=1, keepdims=True))
        z = z / z.sum(axis=1, keepdims=True)
        before, energy = energy, (-log_p * z - pairwise * z + z * np.log(z)).sum()
        if step > 1 and abs(energy - before) <= 1e-8 * abs(before):
            break
    answers = LAME(model, affinity=kind, neighbors=k)(inputs)
    equal(answers.softmax(dim=1).numpy(), z)


def test_lame_takes_the_authors_default():
    assert LAME(Direct()).affinity == "rbf"


def test_lame_with_a_scale_of_zero_is_finite():
    answers = LAME(Direct(), neighbors=1)(torch.randn(5, D))
    assert answers.isfinite().all()


# --- SAR, EATA, CoTTA


@pytest.mark.parametrize("coasts", [True, False])
def test_sar_moves_on_by_its_momentum_where_no_answer_is_certain(coasts):
    torch.manual_seed(0)
    model = Direct()
    method = SAR(model, lr=0.1, margin=0.999, floor=0.0, coasts=coasts)
    method(3 * torch.randn(8, D))
    before = [p.detach().clone() for p in method.trained]
    momentum = [method.optimizer.state[p]["momentum_buffer"].clone() for p in method.trained]
    assert any(bool(m.any()) for m in momentum)
    method.margin = 0.0  # nothing is certain
    method(3 * torch.randn(8, D))
    for old, new, buffer in zip(before, method.trained, momentum, strict=True):
        torch.testing.assert_close(new.detach(), old - 0.1 * 0.9 * buffer if coasts else old)


@pytest.mark.verdict("adaptation/sar", against="the authors' two steps", within=1e-12)
def test_sar_takes_the_gradient_uphill(equal):
    torch.manual_seed(0)
    model, inputs = Direct().double(), torch.randn(8, D).double()
    method = SAR(model, lr=0.1, momentum=0.0, margin=1.0, radius=0.05, floor=0.0)
    twin = copy.deepcopy(method.model)
    trained = [p for p in twin.parameters() if p.requires_grad]
    ascent = torch.autograd.grad(entropy(twin(inputs).logits).mean(), trained)
    norm = math.sqrt(sum(float(g.square().sum()) for g in ascent))
    start = [p.detach().clone() for p in trained]
    with torch.no_grad():
        for p, g in zip(trained, ascent, strict=True):
            p += 0.05 * g / norm
    descent = torch.autograd.grad(entropy(twin(inputs).logits).mean(), trained)
    method(inputs)
    for p, old, g in zip(method.trained, start, descent, strict=True):
        equal(p.detach(), old - 0.1 * g)


@pytest.mark.parametrize("classes", [2, 5, 10, 31, 100, 345])
def test_eata_goes_on_learning_whatever_the_number_of_classes(classes):
    torch.manual_seed(0)

    class Certain(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, classes)
            with torch.no_grad():
                self.head.weight.mul_(40)

        def forward(self, inputs):
            return Prediction(features=inputs, logits=self.head(self.norm(inputs)))

    method = EATA(Certain())
    moves = 0
    for _ in range(10):
        before = [p.detach().clone() for p in method.trained]
        method(torch.randn(64, 16))
        moves += not all(torch.equal(*pair) for pair in zip(before, method.trained, strict=True))
    assert moves >= 9


def test_defaults_by_the_number_of_classes():
    assert [round(redundancy_by_classes(c), 3) for c in (2, 10, 100, 1000)] == [1.0, 0.4, 0.1, 0.05]
    assert [round(threshold_by_classes(c), 3) for c in (2, 10, 100, 1000, 5000)] == [0.92, 0.92, 0.72, 0.1, 0.1]
    for classes in range(3, 2000):
        assert redundancy_by_classes(classes) >= classes**-0.5 - 1e-12  # a certain answer against a uniform mean


@pytest.mark.parametrize(("classes", "wanted"), [(10, True), (1000, False)])
def test_cotta_asks_for_augmentation_by_the_number_of_classes(classes, wanted):
    torch.manual_seed(0)
    asked = []

    def augment(inputs, _):
        asked.append(len(inputs))
        return inputs

    model = Direct(classes)
    with torch.no_grad():
        model.head.weight.mul_(8)  # certainty between the thresholds
    inputs = torch.randn(16, D)
    certainty = model(inputs).logits.softmax(dim=1).amax(dim=1).mean().item()
    assert 0.1 < certainty < 0.92
    CoTTA(model, augment=augment, augmentations=2)(inputs)
    assert bool(asked) is wanted


# --- AdaBN


@pytest.mark.verdict("adaptation/adabn", against="the moments of the target", within=1e-12)
def test_adabn_finds_the_moments_of_the_whole_target(equal):
    torch.manual_seed(0)
    data = torch.randn(1003, 6) * torch.arange(1, 7) + 5
    data = data[data[:, 0].argsort()]  # stored in an order
    for sizes in ([1003], [256, 256, 256, 235], [1000, 2, 1], [1, 1002]):
        network = nn.Sequential(nn.BatchNorm1d(6), nn.Dropout(0.5))
        AdaBN(6, 3).start(network, data.split(sizes))
        norm = network[0]
        equal(norm.running_mean, data.double().mean(dim=0).float())
        equal(norm.running_var, data.double().var(dim=0).float())
        assert norm.training
        assert norm.momentum == 0.1
        assert not norm._forward_pre_hooks


def test_adabn_on_maps_counts_every_position():
    torch.manual_seed(0)
    data = torch.randn(10, 3, 5, 5) + torch.arange(10).view(-1, 1, 1, 1)
    network = nn.BatchNorm2d(3)
    AdaBN(3, 3).start(network, data.split([4, 4, 2]))
    flat = data.transpose(0, 1).flatten(1).double()
    torch.testing.assert_close(network.running_mean, flat.mean(dim=1).float())
    torch.testing.assert_close(network.running_var, flat.var(dim=1).float())


def test_adabn_of_one_batch_is_torchs():
    torch.manual_seed(0)
    data = 3 * torch.randn(50, 4) - 1
    network = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 4), nn.BatchNorm1d(4))
    twin = copy.deepcopy(network)
    for layer in twin:
        if isinstance(layer, nn.BatchNorm1d):
            layer.momentum = None
            layer.reset_running_stats()
    twin.train()(data)
    AdaBN(4, 3).start(network, [data])
    for layer, other in zip(network, twin, strict=True):
        if isinstance(layer, nn.BatchNorm1d):
            torch.testing.assert_close(layer.running_mean, other.running_mean)
            torch.testing.assert_close(layer.running_var, other.running_var)


def test_adabn_wants_running_statistics_and_examples():
    with pytest.raises(ValueError, match="keeps no running statistics"):
        AdaBN(4, 3).start(nn.BatchNorm1d(4, track_running_stats=False), [torch.randn(5, 4)])
    with pytest.raises(ValueError, match="the network has no normalization layer"):
        AdaBN(4, 3).start(nn.Linear(4, 4), [torch.randn(5, 4)])
    with pytest.raises(ValueError, match="1 target examples; expected two or more"):
        AdaBN(4, 3).start(nn.BatchNorm1d(4), [torch.randn(1, 4)])


# --- DEV


def test_dev_has_the_density_ratio_of_the_authors():
    generator = torch.Generator().manual_seed(0)
    source = torch.randn(60, 3, generator=generator)
    target, points = torch.randn(90, 3, generator=generator) + 0.7, torch.randn(20, 3, generator=generator)
    found = density_ratio(source, target, points, classifier="mlp")
    features = torch.cat([source, target]).numpy()
    split = train_test_split(features, [1] * 60 + [0] * 90, train_size=0.8, random_state=0)
    models = [
        MLPClassifier(hidden_layer_sizes=(3, 3, 2), alpha=alpha, random_state=0)
        for alpha in (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5)
    ]
    for model in models:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(split[0], split[2])
    scores = [np.mean(model.predict(split[1]) == split[3]) for model in models]
    shares = models[scores.index(max(scores))].predict_proba(points.numpy())
    np.testing.assert_allclose(found.numpy(), shares[:, 0] / shares[:, 1] * 60 / 90, rtol=1e-5)
    with pytest.raises(ValueError, match="unknown classifier 'svm'; expected logistic or mlp"):
        density_ratio(source, target, points, classifier="svm")
