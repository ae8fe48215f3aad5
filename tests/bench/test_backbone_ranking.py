"""Backbones ranked by the transferability of their features."""

import numpy as np
import pytest
import torch
from torch import nn

from tlzoo.backbones import create_backbone
from tlzoo.bench.backbone_ranking import labelled_examples, rank_backbones
from tlzoo.data import DomainTask, MultitaskTask, Target
from tlzoo.data.example_set import ExampleSet, content_hash


class Columns(nn.Module):
    """The first columns of its inputs, with more weights than it needs."""

    def __init__(self, first, last, weights):
        super().__init__()
        self.first, self.last = first, last
        self.unused = nn.Parameter(torch.zeros(weights))

    def forward(self, inputs):
        return inputs[:, self.first : self.last]


def columns(first, last, weights=1):
    return create_backbone(
        Columns(first, last, weights),
        num_features=last - first,
        modality="features",
        preprocess=torch.from_numpy,
        preprocessing="tensors",
    )


def examples(inputs, labels=None, **others):
    return ExampleSet(inputs=inputs, labels=labels, modality="features", checksum=content_hash(inputs), **others)


@pytest.fixture
def arrays():
    random = np.random.default_rng(0)
    labels = np.arange(90) % 3
    telling = np.eye(3)[labels] * 4 + random.normal(size=(90, 3))
    return np.concatenate([telling, random.normal(size=(90, 3))], axis=1).astype(np.float32), labels


@pytest.fixture
def task(arrays):
    whole = examples(*arrays)
    return DomainTask(
        name="toy",
        class_names=("a", "b", "c"),
        source_train=whole,
        source_test=whole,
        target_train=whole,
        target_test=whole,
    )


def test_features_that_tell_classes_apart_come_first(task, tmp_path, monkeypatch):
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path))
    noise, telling = columns(3, 6, weights=100), columns(0, 3)
    ranked = rank_backbones(task, [noise, telling])
    assert [row.num_features for row in ranked] == [3, 3]
    best, worst = ranked
    assert (best.parameters, worst.parameters) == (1, 100)
    assert (best.rank, worst.rank) == (1.0, 2.0)
    assert (best.size_rank, worst.size_rank) == (2.0, 1.0)
    assert all(best.scores[name] > worst.scores[name] for name in best.scores)


def test_missing_labels_do_not_count(arrays):
    features, labels = arrays
    known = np.where(np.arange(90) < 60, labels, -1)
    whole = examples(features, targets={"kind": known, "size": features[:, 0]})
    targets = {"kind": Target(classes=3), "size": Target(classes=0)}
    task = MultitaskTask(name="toy", targets=targets, train=whole, validation=whole, test=whole)
    [(kept, found)] = labelled_examples(task)
    np.testing.assert_array_equal(kept, features[:60])
    np.testing.assert_array_equal(found, labels[:60])


def test_mistakes_are_named(task):
    one = columns(0, 3)
    with pytest.raises(ValueError, match="1 backbones"):
        rank_backbones(task, [one])
    with pytest.raises(ValueError, match=r"unknown scores \['logme'\]; expected some of log_me"):
        rank_backbones(task, [one, one], scores=["logme"])
