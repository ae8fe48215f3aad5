"""Episodes that cannot be answered are refused by every method, and the episode is named."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.methods.meta_learning import MetaLearner
from tlzoo.registry import METHODS, accepted_settings, create_method, method_class

WAY, WIDTH = 3, 6
ALL = [
    name
    for name in METHODS
    if name.startswith("oneshot/") and issubclass(method_class(name), (EpisodeClassifier, MetaLearner))
]


@pytest.fixture(params=ALL)
def answer(request):
    """Return a function of support, support labels and query, answered by one method of the registry."""
    torch.manual_seed(0)
    settings = {**method_class(request.param).variants[0], **accepted_settings(request.param, num_features=WIDTH)}
    method = create_method(request.param, **settings)
    if isinstance(method, MetaLearner):
        network = nn.Sequential(OrderedDict(backbone=nn.Linear(WIDTH, WIDTH), head=nn.Linear(WIDTH, WAY)))
        method.prepare(network)
        return lambda support, labels, query: method(network, support, labels, query, way=WAY)
    method.fit_base(torch.randn(20, WIDTH), torch.arange(20) % 4)
    method.eval()
    return lambda support, labels, query: method(support, labels, query, way=WAY)


@pytest.fixture
def episodes():
    generator = torch.Generator().manual_seed(1)
    return {
        "support": torch.randn(4, 2 * WAY, WIDTH, generator=generator),
        "labels": torch.arange(WAY).repeat(4, 2),
        "query": torch.randn(4, 5, WIDTH, generator=generator),
    }


def test_one_query_is_enough(answer, episodes):
    logits = answer(**{**episodes, "query": episodes["query"][:, :1]})
    assert logits.shape == (4, 1, WAY)
    assert logits.isfinite().all()


def test_episodes_without_queries(answer, episodes):
    with pytest.raises(ValueError, match="episodes 0 to 3 have no query; expected one item or more"):
        answer(**{**episodes, "query": episodes["query"][:, :0]})


def test_no_episode(answer, episodes):
    with pytest.raises(ValueError, match="no episode; expected one or more"):
        answer(**{name: part[:0] for name, part in episodes.items()})


def test_a_class_without_support(answer, episodes):
    episodes["labels"][2] = torch.tensor([0, 0, 1, 1, 0, 1])
    with pytest.raises(ValueError, match=r"episode 2\b.*(class 2 of 3 has no support|labels \[0, 1\])"):
        answer(**episodes)


def test_a_label_out_of_range(answer, episodes):
    episodes["labels"][1, 0] = WAY
    with pytest.raises(ValueError, match=r"episode 1\b.*range\(3\)"):
        answer(**episodes)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("part", ["support", "query"])
def test_features_that_are_not_finite(part, value, answer, episodes):
    episodes[part][3, 1, 2] = value
    with pytest.raises(FloatingPointError, match=rf"NaN or Inf in {part} \(episode 3\)"):
        answer(**episodes)
