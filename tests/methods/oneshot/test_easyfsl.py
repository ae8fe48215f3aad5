"""The answers of easyfsl on balanced and on Dirichlet queries.

What has no numbers of its own there (an optimizer's path) is compared in benchmarks/speed/oneshot.py.
"""

import importlib
import warnings

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tlzoo.data import EpisodeSampler
from tlzoo.methods.oneshot import BDCSPN, ProtoNet, SimpleShot

CLASSES, EACH, WIDTH, WAY = 12, 14, 16, 5


@pytest.fixture(scope="module")
def easyfsl():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its imports use names that torchvision has renamed
        return importlib.import_module("easyfsl.methods")


@pytest.fixture(scope="module")
def features():
    generator = torch.Generator().manual_seed(0)
    centers = torch.randn(CLASSES, WIDTH, generator=generator)
    noise = torch.randn(CLASSES * EACH, WIDTH, generator=generator)
    return F.normalize(centers.repeat_interleave(EACH, dim=0) + noise, dim=1)


@pytest.mark.parametrize("dirichlet", [None, 0.5, 2.0])
@pytest.mark.parametrize(
    ("peer", "method", "shot"),
    [
        ("PrototypicalNetworks", ProtoNet(), 1),
        ("PrototypicalNetworks", ProtoNet(), 3),
        # with several shots its SimpleShot goes by the cosine to the means, where the paper has the distance
        ("SimpleShot", SimpleShot(WIDTH, transform="UN"), 1),
        ("BDCSPN", BDCSPN(WIDTH, transform="UN", answered="given"), 1),
        ("BDCSPN", BDCSPN(WIDTH, transform="UN", answered="given"), 3),
    ],
)
def test_answers_are_easyfsls(easyfsl, features, peer, method, shot, dirichlet):
    labels = np.arange(CLASSES).repeat(EACH)
    drawn = EpisodeSampler(labels, way=WAY, shot=shot, query=5, seed=0, dirichlet=dirichlet).stack(0, 20)
    support, support_labels, query, _ = (torch.from_numpy(array) for array in drawn)
    counts = np.stack([np.bincount(row, minlength=WAY) for row in drawn.query_labels])
    assert bool((counts == 5).all()) == (dirichlet is None)
    ours = method(features[support], support_labels, features[query], way=WAY)
    for place in range(len(support)):
        classifier = getattr(easyfsl, peer)()
        classifier.process_support_set(features[support[place]], support_labels[place])
        theirs = classifier(features[query[place]])
        assert torch.equal(ours[place].argmax(dim=1), theirs.argmax(dim=1))
