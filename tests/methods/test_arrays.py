"""Methods on NumPy arrays of any float type, with everything that a call needs as an argument."""

import numpy as np
import pytest
import torch

from tlzoo.methods.alignment import Alignment
from tlzoo.methods.alternating import Alternating
from tlzoo.methods.compatibility import Compatibility
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.methods.oneshot import SimpleShot
from tlzoo.methods.oneshot.features import FeatureClassifier
from tlzoo.methods.weighting import Weighting
from tlzoo.registry import accepted_settings, create_method, list_methods, method_class
from tlzoo.types import Need, Prediction

RANDOM = np.random.default_rng(0)
SUPPORT, LABELS, QUERY = RANDOM.normal(size=(20, 6)), np.arange(20) % 4, RANDOM.normal(size=(8, 6))
EMBEDDINGS = RANDOM.normal(size=(4, 6))
DTYPES = [np.float16, np.float32, np.float64]


def of_kind(*kinds):
    return [name for name in list_methods() if issubclass(method_class(name), kinds)]


@pytest.mark.parametrize("name", of_kind(EpisodeClassifier))
def test_classifiers_of_episodes(name):
    for dtype in DTYPES:
        method = create_method(name, **accepted_settings(name, num_features=6))
        assert method.fit_base(SUPPORT.astype(dtype), LABELS) is method
        assert method(SUPPORT.astype(dtype), LABELS, QUERY.astype(dtype), way=4).shape == (8, 4)


@pytest.mark.parametrize("name", of_kind(FeatureClassifier))
def test_the_mean_of_the_base_set_is_an_argument(name):
    method = create_method(name, num_features=6, base_mean=SUPPORT.mean(axis=0))
    learned = create_method(name, num_features=6).fit_base(SUPPORT)
    given, expected = (each(SUPPORT, LABELS, QUERY, way=4) for each in (method, learned))
    torch.testing.assert_close(given, expected)
    again = create_method(name, **method.settings)
    again.load_state_dict(method.state_dict())
    torch.testing.assert_close(again(SUPPORT, LABELS, QUERY, way=4), expected)


def test_a_mean_of_another_width_is_refused():
    with pytest.raises(ValueError, match=r"base_mean of shape \(5,\); expected \(6,\)"):
        SimpleShot(6, base_mean=np.zeros(5))


@pytest.mark.parametrize("name", of_kind(Compatibility))
def test_compatibilities(name):
    shape = accepted_settings(name, num_features=6, num_embedding=6, base="eszsl")
    settings = {**method_class(name).variants[0], **shape}  # small networks, short trainings
    for dtype in DTYPES:
        method, features, classes = create_method(name, **settings), SUPPORT.astype(dtype), EMBEDDINGS.astype(dtype)
        if method.trained:
            assert torch.isfinite(method.loss(features, LABELS, classes)["loss"])
        method.fit(features, LABELS, classes)
        assert method.bind(classes, seen=np.ones(4, dtype=bool))(features).shape == (20, 4)


@pytest.mark.parametrize("name", of_kind(Alignment))
def test_alignments(name):
    method = create_method(name, **accepted_settings(name, num_features=6, num_classes=4))
    if {Need.VIEWS, Need.MODEL, Need.DOMAINS} & method.needs or method.make_head() is not None:
        pytest.skip("needs more than features, logits and labels")
    for kind in (np.asarray, torch.from_numpy):
        source, target = (
            Prediction(features=kind(x), logits=kind(x[:, :4].copy()), labels=labels, indices=kind(np.arange(len(x))))
            for x, labels in ((SUPPORT, kind(LABELS)), (QUERY, kind(LABELS[:8])))
        )
        if hasattr(method, "on_epoch"):
            method.on_epoch(target)
        assert torch.isfinite(method(source, target, progress=0.5)["loss"])


@pytest.mark.parametrize("name", of_kind(Weighting))
def test_weightings(name):
    method = create_method(name, num_tasks=3, **({"weights": [1, 2, 3]} if name.endswith("/fixed") else {}))
    if method.order == "jacobian":
        assert method.direction(RANDOM.normal(size=(3, 7)), losses=np.array([1.0, 2.0, 3.0])).shape == (7,)
    else:
        assert method.weights(np.array([1.0, 2.0, 3.0]), np.diag([1.0, 2.0, 3.0])).shape == (3,)


def test_no_kind_is_left_out():
    assert len(of_kind(EpisodeClassifier)) > 15
    assert len(of_kind(Alignment, Alternating)) > 25
