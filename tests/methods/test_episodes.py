"""Answers in coordinates are answers on features."""

import numpy as np
import pytest
import torch

from tlzoo.data.episodes import EpisodeSampler
from tlzoo.methods.episode_answers import EpisodeAnswers
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.methods.oneshot import ProtoNet, RelationNet, SimpleShot
from tlzoo.registry import accepted_settings, create_method, list_methods, method_class
from tlzoo.types import Sees

WIDTH, CLASSES, EACH = 40, 8, 5
NAMES = [name for name in list_methods("oneshot") if issubclass(method_class(name), EpisodeClassifier)]
INVARIANT = [name for name in NAMES if method_class(name).rotation_invariant]


@pytest.fixture(scope="module")
def features():
    generator = torch.Generator().manual_seed(0)
    centers = torch.randn(CLASSES, 1, WIDTH, generator=generator, dtype=torch.float64)
    spread = torch.randn(CLASSES, EACH, WIDTH, generator=generator, dtype=torch.float64)
    return (centers + spread).flatten(0, 1)


@pytest.fixture(scope="module")
def episodes():
    return EpisodeSampler(np.arange(CLASSES * EACH) // EACH, way=3, shot=2, query=3, seed=0).stack(0, 20)


def ready(name, features):
    method = create_method(name, **accepted_settings(name, num_features=WIDTH)).double()
    if Sees.SOURCE_INPUTS in method.sees:
        method.fit_base(features[::3] + 0.5, torch.arange(len(features[::3])) % 4)
    return method


def by_hand(method, features, episodes, way=3):
    labels = torch.from_numpy(episodes.support_labels)
    with torch.no_grad():
        return method(features[episodes.support], labels, features[episodes.query], way=way)


@pytest.mark.parametrize("name", INVARIANT)
def test_coordinates_are_exact(name, features, episodes):
    method = ready(name, features)
    expected = by_hand(method, features, episodes)
    for coordinates in (True, False):
        found = EpisodeAnswers(method, features, coordinates=coordinates)(episodes, way=3)
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", INVARIANT)
def test_rotation_invariance_is_declared_truly(name, features, episodes):
    method = ready(name, features)
    rotation, _ = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(1)).double())
    items = method.transform(features)
    labels = torch.from_numpy(episodes.support_labels)
    ours, theirs = (
        method.classify(i[episodes.support], labels, i[episodes.query], way=3) for i in (items, items @ rotation)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(INVARIANT)))
def test_others_answer_on_features(name, features, episodes):
    method = ready(name, features)
    answers = EpisodeAnswers(method, features)(episodes, way=3)
    torch.testing.assert_close(answers, by_hand(method, features, episodes), rtol=1e-9, atol=1e-9)


def test_coordinates_of_a_method_that_is_not_invariant_are_refused(features):
    with pytest.raises(ValueError, match="RelationNet does not declare rotation_invariant; leave coordinates"):
        EpisodeAnswers(RelationNet(WIDTH), features.float(), coordinates=True)


def test_small_pieces_give_the_same_answers(features, episodes, monkeypatch):
    whole = EpisodeAnswers(ProtoNet(), features, coordinates=True)(episodes, way=3)
    monkeypatch.setattr("tlzoo.methods.episode_answers._NUMBERS", 1)
    pieces = EpisodeAnswers(ProtoNet(), features, coordinates=True)(episodes, way=3)
    torch.testing.assert_close(whole, pieces, rtol=1e-12, atol=1e-12)


def test_products_are_computed_where_they_pay():
    few = EpisodeAnswers(ProtoNet(), torch.randn(300, 64))
    assert not few.items.worthwhile(2, 15, 6)
    assert few.items.worthwhile(200, 15, 6)
    assert not few.items.worthwhile(200, 15, 64)  # no fewer coordinates than features
    assert few.items.products.shape == (300, 300)
    assert few.items.worthwhile(2, 15, 6)  # known already


def test_nan_is_reported_with_its_episode(features, episodes):
    damaged = features.clone()
    damaged[episodes.query[4, 2]] = torch.nan
    first = min(
        place
        for place in range(20)
        if episodes.query[4, 2] in np.concatenate([episodes.support[place], episodes.query[place]])
    )
    item = episodes.query[4, 2]
    with pytest.raises(FloatingPointError, match=rf"in episode {first}: item {item} of the transformed features"):
        EpisodeAnswers(ProtoNet(), damaged)(episodes, way=3)


def test_nan_in_items_of_no_episode_does_not_matter(features, episodes):
    unused = np.setdiff1d(np.arange(len(features)), np.concatenate([episodes.support[:2], episodes.query[:2]], axis=1))
    damaged = features.clone()
    damaged[unused] = torch.nan
    method = SimpleShot(WIDTH, transform="L2N").double()
    few = type(episodes)(*(array[:2] for array in episodes))
    found = EpisodeAnswers(method, damaged, coordinates=True)(few, way=3)
    torch.testing.assert_close(found, by_hand(method, features, few), rtol=1e-8, atol=1e-8)
