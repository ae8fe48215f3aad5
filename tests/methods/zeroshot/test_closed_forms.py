import numpy as np
import pytest
import torch
from scipy.linalg import solve_sylvester
from sklearn.linear_model import LogisticRegression
from torch.nn import functional as F

from tlzoo.methods.zeroshot import DAP, SAE, ConSE

ALL = torch.ones(5).bool()


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(30, 6, generator=generator, dtype=torch.float64)
    labels = torch.randint(5, (30,), generator=generator)
    embeddings = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    return features, labels, embeddings


@pytest.mark.parametrize("penalty", [0.1, 1.0, 50.0])
def test_gradient_of_sae_vanishes_at_its_solution(data, penalty):
    features, labels, embeddings = data
    method = SAE(6, 4, penalty=penalty).double().fit(*data)
    x, s = F.normalize(features, dim=1).T, F.normalize(embeddings, dim=1)[labels].T
    w = method.weight.clone().requires_grad_()
    objective = (x - w.T @ s).square().sum() + penalty * (w @ x - s).square().sum()
    objective.backward()
    assert w.grad.abs().max() < 1e-10


@pytest.mark.verdict("zeroshot/sae", against="the Sylvester equation, by SciPy", within=1e-12)
def test_sae_solves_the_sylvester_equation(data, equal):
    features, labels, embeddings = data
    method = SAE(6, 4, penalty=2.0).double().fit(*data)
    x, s = F.normalize(features, dim=1).T.numpy(), F.normalize(embeddings, dim=1)[labels].T.numpy()
    expected = solve_sylvester(s @ s.T, 2.0 * x @ x.T, 3.0 * s @ x.T)
    equal(method.weight.numpy(), expected)


def test_sae_with_fewer_examples_than_features_takes_the_shortest_solution(data):
    features, labels, embeddings = data
    method = SAE(6, 4).double().fit(features[:2], labels[:2], embeddings)
    x, s = F.normalize(features[:2], dim=1).T, F.normalize(embeddings, dim=1)[labels[:2]].T
    w = method.weight
    torch.testing.assert_close(s @ s.T @ w + w @ x @ x.T, 2 * s @ x.T, atol=1e-10, rtol=0)
    outside = torch.linalg.svd(x.T).Vh[2:].T  # directions that no example has
    assert (s.T @ w @ outside).abs().max() < 1e-6


@pytest.mark.parametrize("answer", ["encode", "decode"])
def test_sae_answers_by_cosines(data, answer):
    features, _, embeddings = data
    method = SAE(6, 4, answer=answer).double().fit(*data)
    scores = method.bind(embeddings, seen=ALL)(features)
    for i in range(3):
        for c in range(5):
            pair = (method.weight @ features[i], embeddings[c])
            if answer == "decode":
                pair = features[i], method.weight.T @ embeddings[c]
            assert scores[i, c].item() == pytest.approx(F.cosine_similarity(*pair, dim=0).item(), abs=1e-9)


@pytest.mark.parametrize("top", [1, 3, 99])
@pytest.mark.verdict("zeroshot/conse", against="the formula, item by item", within=1e-12)
def test_conse_against_a_loop(data, top, equal):
    features, labels, embeddings = data
    method = ConSE(6, 4, top=top, temperature=0.3).double().fit(*data)
    candidates = torch.randn(7, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    scores = method.bind(candidates, seen=torch.zeros(7).bool())(features)
    x = F.normalize(features, dim=1)
    means = [F.normalize(x[labels == c].mean(dim=0), dim=0) for c in range(5)]
    for i in range(4):
        probabilities = torch.stack([x[i] @ mean / 0.3 for mean in means]).softmax(dim=0)
        best = sorted(range(5), key=lambda c, p=probabilities: -float(p[c]))[:top]
        total = sum(probabilities[c] for c in best)
        mixture = sum(probabilities[c] / total * F.normalize(embeddings[c], dim=0) for c in best)
        for c in range(7):
            expected = F.cosine_similarity(mixture, candidates[c], dim=0)
            equal(scores[i, c].item(), expected.item())


def test_conse_leaves_out_a_class_without_example(data):
    features, labels, embeddings = data
    kept = labels != 2
    method = ConSE(6, 4).double().fit(features[kept], labels[kept], embeddings)
    assert method.means.shape == (4, 6)
    assert method.mixed.shape == (4, 4)


def test_a_fitted_conse_is_restored_from_its_state(data):
    method = ConSE(6, 4).double().fit(*data)
    other = ConSE(6, 4).double()
    other.load_state_dict(method.state_dict())
    torch.testing.assert_close(
        other.bind(data[2], seen=ALL)(data[0]), method.bind(data[2], seen=ALL)(data[0]), atol=0, rtol=0
    )


def test_dap_equals_scikit_learn(data):
    features, labels, embeddings = data
    method = DAP(6, 4, penalty=0.5).double().fit(*data)
    x = F.normalize(features, dim=1).numpy()
    attributes = (embeddings > embeddings.mean(dim=0)).numpy()[labels.numpy()]
    for m in range(4):
        peer = LogisticRegression(C=2.0, tol=1e-10, max_iter=1000).fit(x, attributes[:, m])
        # its constant is free of any penalty, ours has a faint one
        np.testing.assert_allclose(method.weight[:-1, m].numpy(), peer.coef_[0], atol=2e-3)
        np.testing.assert_allclose(method.weight[-1, m].item(), peer.intercept_[0], atol=2e-3)


@pytest.mark.verdict("zeroshot/dap", against="the formula, item by item", within=1e-12)
def test_dap_scores_against_a_loop(data, equal):
    features, _, embeddings = data
    method = DAP(6, 4).double().fit(*data)
    scores = method.bind(embeddings, seen=ALL)(features)
    has = embeddings > embeddings.mean(dim=0)
    for i in range(3):
        x = torch.cat([F.normalize(features[i], dim=0), torch.ones(1, dtype=torch.float64)])
        for c in range(5):
            expected = 0.0
            for m in range(4):
                p = torch.sigmoid(x @ method.weight[:, m]).item()
                prior = has[:, m].double().mean().item()
                expected += np.log(p / prior if has[c, m] else (1 - p) / (1 - prior))
            equal(scores[i, c].item(), expected)


def test_an_attribute_that_all_classes_share_says_nothing(data):
    features, labels, embeddings = data
    embeddings = embeddings.clone()
    embeddings[:, 1] = 3.0
    method = DAP(6, 4).double().fit(features, labels, embeddings)
    changed = embeddings.clone()
    changed[0, 1] = 9.0
    score = [method.bind(e, seen=ALL)(features) for e in (embeddings, changed)]
    torch.testing.assert_close(score[0], score[1])
    assert bool(score[0].isfinite().all())


@pytest.mark.parametrize("method", [SAE(6, 4), ConSE(6, 4), DAP(6, 4)])
def test_binding_before_the_fit(method):
    with pytest.raises(RuntimeError, match="is not known yet; call fit first"):
        method.bind(torch.ones(3, 4), seen=torch.zeros(3).bool())


@pytest.mark.parametrize(
    ("make_it", "message"),
    [
        (lambda: SAE(6, 4, penalty=0), "penalty 0"),
        (lambda: SAE(6, 4, answer="both"), "unknown answer 'both'"),
        (lambda: ConSE(6, 4, top=0), "top 0"),
        (lambda: DAP(6, 4, penalty=0), "penalty 0"),
    ],
)
def test_refusals(make_it, message):
    with pytest.raises(ValueError, match=message):
        make_it()
