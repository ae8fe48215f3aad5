import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.metrics.pairwise import cosine_similarity
from torch.nn import functional as F

from tlzoo.methods.zeroshot import ESZSL, Cosine, Ridge


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(30, 6, generator=generator, dtype=torch.float64)
    labels = torch.randint(5, (30,), generator=generator)
    embeddings = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    return features, labels, embeddings


@pytest.mark.parametrize("coding", ["binary", "signed"])
@pytest.mark.parametrize("normalize", [True, False])
def test_gradient_of_eszsl_vanishes_at_its_solution(data, coding, normalize):
    features, labels, embeddings = data
    method = ESZSL(6, 4, gamma=0.7, lam=2.5, coding=coding, normalize=normalize).double().fit(*data)
    x = F.normalize(features, dim=1) if normalize else features
    y = F.one_hot(labels, 5).double() * (1 if coding == "binary" else 2) - (0 if coding == "binary" else 1)
    v = method.weight.clone().requires_grad_()
    objective = (
        (x @ v @ embeddings.T - y).square().sum()
        + 0.7 * (v @ embeddings.T).square().sum()
        + 2.5 * (x @ v).square().sum()
        + 0.7 * 2.5 * v.square().sum()
    )
    objective.backward()
    assert v.grad.abs().max() < 1e-10


@pytest.mark.verdict("zeroshot/eszsl", against="the formula, item by item", within=1e-12)
def test_eszsl_scores_are_bilinear(data, equal):
    features, _, embeddings = data
    method = ESZSL(6, 4, normalize=False).double().fit(*data)
    scores = method.bind(embeddings, seen=torch.ones(5).bool())(features)
    for i in range(3):
        for c in range(5):
            expected = sum(
                float(features[i, d] * method.weight[d, e] * embeddings[c, e]) for d in range(6) for e in range(4)
            )
            equal(scores[i, c].item(), expected)


@pytest.mark.verdict("zeroshot/ridge", against="scikit-learn", within=1e-12)
def test_ridge_equals_scikit_learn(data, equal):
    features, labels, embeddings = data
    method = Ridge(6, 4, penalty=0.3).double().fit(*data)
    x = F.normalize(features, dim=1).numpy()
    peer = SklearnRidge(alpha=0.3, fit_intercept=False).fit(x, embeddings[labels].numpy())
    equal(method.weight.numpy(), peer.coef_.T)
    scores = method.bind(embeddings, seen=torch.ones(5).bool())(features)
    predicted = peer.predict(x)
    for i in range(4):
        for c in range(5):
            a, b = predicted[i], embeddings[c].numpy()
            equal(scores[i, c].item(), a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_a_small_penalty_recovers_a_linear_map():
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(40, 4, generator=generator, dtype=torch.float64)
    features = embeddings @ torch.randn(4, 6, generator=generator, dtype=torch.float64)
    method = Ridge(6, 4, penalty=1e-6).double().fit(features[:30], torch.arange(30), embeddings[:30])
    unseen = method.bind(embeddings[30:], seen=torch.zeros(10).bool())(features[30:])
    assert unseen.argmax(dim=1).tolist() == list(range(10))


@pytest.mark.parametrize("method", [ESZSL(6, 4), Ridge(6, 4)])
def test_binding_before_the_fit(method):
    with pytest.raises(RuntimeError, match="weight is not known yet; call fit first"):
        method.bind(torch.ones(3, 4), seen=torch.zeros(3).bool())


@pytest.mark.verdict("zeroshot/cosine", against="scikit-learn", within=1e-12)
def test_cosine_equals_scikit_learn(data, equal):
    features, embeddings = data[0][:, :4], data[2]
    score = Cosine().bind(embeddings, seen=torch.zeros(5).bool())
    equal(score(features), cosine_similarity(features.numpy(), embeddings.numpy()))


def test_cosine_of_other_spaces():
    score = Cosine().bind(torch.ones(3, 4), seen=torch.zeros(3).bool())
    with pytest.raises(ValueError, match="width 6 and class embeddings of width 4"):
        score(torch.ones(2, 6))


def test_refusals():
    with pytest.raises(ValueError, match="gamma 0"):
        ESZSL(6, 4, gamma=0)
    with pytest.raises(ValueError, match="penalty -1"):
        Ridge(6, 4, penalty=-1)
    with pytest.raises(ValueError, match="unknown coding 'onehot'"):
        ESZSL(6, 4, coding="onehot")
