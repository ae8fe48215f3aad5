"""The losses of ranking compatibilities against loops over examples and classes, and their subgradients."""

import pytest
import torch
from torch.nn import functional as F

from tlzoo.methods.zeroshot import ALE, SJE, BilinearSoftmax, DeViSE, DualEncoder, LatEm

D, A, C = 6, 4, 5


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(8, D, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 3, 4, 0, 1, 1])
    embeddings = torch.randn(C, A, generator=generator, dtype=torch.float64)
    return features, labels, embeddings


def make(cls, **settings):
    torch.manual_seed(1)
    return cls(D, A, **settings).double()


def compatibilities(weight, data):
    """Return F(x, c) as nested lists of scalar tensors, and the labels."""
    features, labels, embeddings = data
    x, a = F.normalize(features, dim=1), F.normalize(embeddings, dim=1)
    return [[x[i] @ weight @ a[c] for c in range(C)] for i in range(len(x))], labels.tolist()


def sje_by_hand(weight, data, margin):
    table, labels = compatibilities(weight, data)
    losses = []
    for row, y in zip(table, labels, strict=True):
        worst = max((c for c in range(C) if c != y), key=lambda c, row=row: row[c].item())
        losses.append(torch.clamp(margin + row[worst] - row[y], min=0))
    return sum(losses) / len(losses)


def ale_by_hand(weight, data, margin):
    table, labels = compatibilities(weight, data)
    losses = []
    for row, y in zip(table, labels, strict=True):
        violations = [margin + row[c] - row[y] for c in range(C) if c != y]
        violations = [violation for violation in violations if violation > 0]
        beta = sum(1 / i for i in range(1, len(violations) + 1))
        losses.append(beta / len(violations) * sum(violations) if violations else 0.0 * row[y])
    return sum(losses) / len(losses)


def devise_by_hand(weight, data, margin):
    table, labels = compatibilities(weight, data)
    losses = [
        sum(torch.clamp(margin - row[y] + row[c], min=0) for c in range(C) if c != y)
        for row, y in zip(table, labels, strict=True)
    ]
    return sum(losses) / len(losses)


@pytest.mark.parametrize(
    ("cls", "by_hand", "margin"),
    [
        pytest.param(
            SJE,
            sje_by_hand,
            1.0,
            marks=pytest.mark.verdict("zeroshot/sje", against="a loop", within=1e-12),
        ),
        pytest.param(
            ALE,
            ale_by_hand,
            0.4,
            marks=pytest.mark.verdict("zeroshot/ale", against="a loop", within=1e-12),
        ),
        pytest.param(
            ALE,
            ale_by_hand,
            1.0,
            marks=pytest.mark.verdict("zeroshot/ale", against="a loop", within=1e-12),
        ),
        pytest.param(
            DeViSE,
            devise_by_hand,
            0.3,
            marks=pytest.mark.verdict("zeroshot/devise", against="a loop", within=1e-12),
        ),
    ],
)
def test_loss_and_subgradient_against_a_loop(cls, by_hand, margin, data, equal):
    method = make(cls, margin=margin)
    ours, theirs = method.loss(*data)["loss"], by_hand(method.weight, data, margin)
    equal(ours, theirs)
    found, expected = (torch.autograd.grad(loss, method.weight)[0] for loss in (ours, theirs))
    assert expected.abs().max() > 0
    equal(found, expected)


def test_ale_pushes_hardest_at_the_top_of_the_list(data):
    """The weight a violation has falls with the rank: beta_r / r."""
    method = make(ALE, margin=1.0)
    features, labels, embeddings = data
    hinges = 1 + method.scores(features, embeddings) - method.scores(features, embeddings).gather(1, labels[:, None])
    rank = (hinges > 0).sum(dim=1) - 1  # the right class violates its own margin
    assert method.loss(*data)["rank"].item() == pytest.approx(rank.double().mean().item())


def test_first_violator_is_one_of_all_and_varies(data):
    features, labels, embeddings = data
    method = make(DeViSE, violators="first", margin=0.5)
    table, _ = compatibilities(method.weight.detach(), data)
    hinges = [
        {round(max(0.0, 0.5 - float(row[y]) + row[c].item()), 9) for c in range(C) if c != y} - {0.0}
        for row, y in zip(table, labels.tolist(), strict=True)
    ]
    alone = []
    for step in range(12):
        single = [
            round(make_at(method, step).loss(features[i : i + 1], labels[i : i + 1], embeddings)["loss"].item(), 9)
            for i in range(len(features))
        ]
        for loss, possible in zip(single, hinges, strict=True):
            assert loss in possible if possible else loss == 0
        alone.append(tuple(single))
    assert len(set(alone)) > 3


def make_at(method, step):
    copy = make(DeViSE, violators="first", margin=method.margin)
    copy.load_state_dict(method.state_dict())
    copy.random.step.fill_(step)
    return copy


def test_orders_go_on_from_a_checkpoint(data):
    method, other = (make(DeViSE, violators="first", margin=0.5) for _ in range(2))
    for _ in range(3):
        method.loss(*data)
    other.load_state_dict(method.state_dict())
    assert other.loss(*data)["loss"].item() == method.loss(*data)["loss"].item()
    assert other.random.step.item() == 4


@pytest.mark.verdict("zeroshot/latem", against="the formula, item by item", within=1e-12)
def test_latem_scores_by_its_best_map(data, equal):
    features, labels, embeddings = data
    method = make(LatEm, maps=3)
    x, a = F.normalize(features, dim=1), F.normalize(embeddings, dim=1)
    score = method.bind(embeddings, seen=torch.zeros(C).bool())
    table = [[max((x[i] @ w @ a[c]).item() for w in method.weight) for c in range(C)] for i in range(len(x))]
    equal(score(features), torch.tensor(table, dtype=torch.float64))
    expected = sum(
        max(0.0, 1 + row[c] - row[y]) for row, y in zip(table, labels.tolist(), strict=True) for c in range(C) if c != y
    )
    equal(method.loss(*data)["loss"].item(), expected / len(features))


def test_latem_of_one_map_is_devise(data):
    latem, devise = make(LatEm, maps=1, margin=0.1), make(DeViSE)
    with torch.no_grad():
        latem.weight.copy_(devise.weight[None])
    assert latem.loss(*data)["loss"].item() == pytest.approx(devise.loss(*data)["loss"].item(), abs=1e-12)


@pytest.mark.verdict("zeroshot/bilinear_softmax", against="torch's cross-entropy", within=1e-06)
def test_bilinear_softmax_is_a_linear_classifier_of_class_weights(data, equal):
    features, labels, embeddings = data
    method = make(BilinearSoftmax, scale=7.0)
    classes = method.weight @ F.normalize(embeddings, dim=1).T
    expected = F.cross_entropy(7 * F.normalize(features, dim=1) @ classes, labels)
    equal(method.loss(*data)["loss"].item(), expected.item())


@pytest.mark.verdict("zeroshot/dual_encoder", against="the formula, item by item", within=1e-12)
def test_contrast_against_a_loop(data, equal):
    features, labels, embeddings = data
    method = make(DualEncoder, hidden=0, scale=3.0)
    x = F.normalize(F.normalize(features, dim=1) * D**0.5 @ method.project.weight.T, dim=1)
    a = F.normalize(embeddings, dim=1)
    there = sorted(set(labels.tolist()))
    logit = {(i, c): (method.scale * x[i] @ a[c]).item() for i in range(len(x)) for c in there}
    log_sum = lambda values: float(torch.tensor(list(values), dtype=torch.float64).logsumexp(dim=0))  # noqa: E731
    image = -sum(logit[i, int(y)] - log_sum(logit[i, c] for c in there) for i, y in enumerate(labels)) / len(x)
    text = 0.0
    for c in there:
        own = [i for i, y in enumerate(labels.tolist()) if y == c]
        text -= sum(logit[i, c] - log_sum(logit[j, c] for j in range(len(x))) for i in own) / len(own) / len(there)
    terms = method.loss(*data)
    equal(terms["image"].item(), image)
    equal(terms["text"].item(), text)
    equal(terms["loss"].item(), (image + text) / 2)


def test_the_scale_of_a_dual_encoder_is_bounded():
    method = make(DualEncoder, scale=50.0)
    with torch.no_grad():
        method.log_scale.fill_(9.0)
    assert method.scale.item() == 100.0


@pytest.mark.parametrize("cls", [SJE, ALE, DeViSE, BilinearSoftmax, LatEm, DualEncoder])
def test_training_ranks_the_right_class_first(cls, data):
    features, labels, embeddings = data
    method = make(cls)
    assert method.trained
    optimizer = torch.optim.Adam(method.parameters(), lr=0.03)
    for _ in range(200):
        optimizer.zero_grad()
        method.loss(features, labels, embeddings)["loss"].backward()
        optimizer.step()
    answers = method.bind(embeddings, seen=torch.ones(C).bool())(features).argmax(dim=1)
    assert answers.tolist() == labels.tolist()


@pytest.mark.parametrize(
    ("make_it", "message"),
    [
        (lambda: DeViSE(D, A, violators="second"), "unknown violators 'second'"),
        (lambda: LatEm(D, A, maps=0), "maps 0"),
        (lambda: BilinearSoftmax(D, A, scale=0), "scale 0"),
        (lambda: DualEncoder(D, A, hidden=-1), "hidden -1"),
    ],
)
def test_refusals(make_it, message):
    with pytest.raises(ValueError, match=message):
        make_it()
