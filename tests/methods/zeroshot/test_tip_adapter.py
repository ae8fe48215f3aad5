"""Tip-Adapter against a loop over examples, and what happens to classes without any."""

import math

import pytest
import torch
from torch.nn import functional as F

from tlzoo.methods.zeroshot import Cosine, Ridge, TipAdapter


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(10, 6, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0, 0, 1, 2])
    embeddings = torch.randn(5, 6, generator=generator, dtype=torch.float64)
    return features, labels, embeddings


@pytest.mark.verdict("zeroshot/tip_adapter", against="the formula, item by item", within=1e-12)
def test_scores_equal_a_loop_over_the_cache(data, equal):
    features, labels, embeddings = data
    seen = torch.tensor([True, False, True, True, False])
    method = TipAdapter(alpha=0.7, beta=3.0, scale=20.0).double().fit(features, labels, embeddings[seen])
    queries = torch.randn(4, 6, dtype=torch.float64)
    scores = method.bind(embeddings, seen=seen)(queries)
    places = [0, 2, 3]  # of the seen classes among the candidates
    for i, query in enumerate(queries):
        expected = [20.0 * float(F.cosine_similarity(query, e, dim=0)) for e in embeddings]
        for example, label in zip(features, labels.tolist(), strict=True):
            affinity = math.exp(-3.0 * (1 - float(F.cosine_similarity(query, example, dim=0))))
            expected[places[label]] += 0.7 * affinity
        equal(scores[i].tolist(), expected)


def test_seen_candidates_are_known_in_any_order(data):
    features, labels, embeddings = data
    method = TipAdapter(alpha=0.7, beta=3.0).double().fit(features, labels, embeddings[[3, 0, 2]])
    seen = torch.tensor([True, False, True, True, False])
    order = torch.tensor([4, 3, 1, 0, 2])
    scores = method.bind(embeddings, seen=seen)(features)
    torch.testing.assert_close(method.bind(embeddings[order], seen=seen[order])(features), scores[:, order])
    base = Cosine().bind(embeddings, seen=seen)(features)
    gained = scores - 100.0 * base
    assert gained[labels == 0].argmax(dim=1).tolist() == [3] * 4  # the first class of the fit


def test_a_seen_candidate_with_another_embedding_is_refused(data):
    features, labels, embeddings = data
    method = TipAdapter().double().fit(features, labels, embeddings[:3].clone())
    embeddings[1] *= -1
    with pytest.raises(ValueError, match="with the embeddings of the fit or in its order, or none"):
        method.bind(embeddings, seen=torch.arange(5) < 3)(features)


def test_without_weight_or_seen_candidates_it_is_its_base(data):
    features, labels, embeddings = data
    base = Cosine().bind(embeddings, seen=torch.zeros(5).bool())(features)
    method = TipAdapter(scale=1.0).double().fit(features, labels, embeddings[:3])
    torch.testing.assert_close(method.bind(embeddings, seen=torch.zeros(5).bool())(features), base)
    silent = TipAdapter(scale=1.0, alpha=0.0).double().fit(features, labels, embeddings[:3])
    torch.testing.assert_close(silent.bind(embeddings, seen=torch.arange(5) < 3)(features), base)


def test_a_few_examples_help_where_descriptions_mislead():
    generator = torch.Generator().manual_seed(0)
    centers = F.normalize(torch.randn(4, 16, generator=generator), dim=1)
    wrong = F.normalize(centers + 0.5 * torch.randn(4, 16, generator=generator), dim=1)
    labels = torch.arange(4).repeat(25)
    queries = centers[labels] + 0.15 * torch.randn(100, 16, generator=generator)
    shots = centers[labels[:16]] + 0.15 * torch.randn(16, 16, generator=generator)
    seen = torch.ones(4).bool()

    def accuracy(method):
        return (method.bind(wrong, seen=seen)(queries).argmax(dim=1) == labels).float().mean().item()

    assert accuracy(TipAdapter(scale=1.0).fit(shots, labels[:16], wrong)) > accuracy(Cosine()) + 0.05


def test_its_base_is_fitted_on_the_same_examples(data):
    features, labels, embeddings = data
    method = TipAdapter(6, 6, base="ridge", alpha=0.0, scale=1.0).double().fit(features, labels, embeddings[:3])
    alone = Ridge(6, 6).double().fit(features, labels, embeddings[:3])
    seen = torch.ones(3).bool()
    torch.testing.assert_close(
        method.bind(embeddings[:3], seen=seen)(features), alone.bind(embeddings[:3], seen=seen)(features)
    )


def test_what_does_not_fit(data):
    features, labels, embeddings = data
    method = TipAdapter().double()
    with pytest.raises(RuntimeError, match="keys is not known yet; call fit first"):
        method.bind(embeddings, seen=torch.ones(5).bool())
    method.fit(features, labels, embeddings[:3])
    with pytest.raises(ValueError, match="2 candidates are seen, and the cache has examples of 3 classes"):
        method.bind(embeddings, seen=torch.arange(5) < 2)
    with pytest.raises(ValueError, match="sje is trained step by step"):
        TipAdapter(6, 6, base="sje")
    with pytest.raises(ValueError, match="alpha -1"):
        TipAdapter(alpha=-1)
