"""Tiny tasks that a linear layer can learn, and a trainer that writes nothing."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from tlzoo.data import DomainTask, EpisodeTask, ExampleSet, MultitaskTask, Target, ZeroShotTask

WIDTH, CLASSES = 8, 3


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture
def clusters():
    """Return a function that draws examples around one centre a class."""
    centers = np.random.default_rng(0).normal(size=(12, WIDTH)) * 3

    def draw(size, *, seed, classes=range(CLASSES), shift=0.0):
        random = np.random.default_rng(seed)
        labels = random.permutation(np.resize(np.asarray(classes, dtype=np.int64), size))
        inputs = centers[labels] + random.normal(size=(size, WIDTH)) + shift
        return ExampleSet(inputs=inputs.astype(np.float32), modality="features", labels=labels, checksum=str(seed))

    return draw


@pytest.fixture
def domain_task(clusters):
    return DomainTask(
        name="clusters",
        class_names=("a", "b", "c"),
        source_train=clusters(40, seed=1),
        source_test=clusters(20, seed=2),
        target_train=clusters(36, seed=3, shift=0.5),
        target_test=clusters(30, seed=4, shift=0.5),
    )


@pytest.fixture
def multitask_task(clusters):
    def examples(size, seed):
        drawn = clusters(size, seed=seed)
        kind, height = drawn.labels.copy(), drawn.inputs[:, 0].copy()
        kind[::5], height[1::5] = -1, np.nan  # missing
        return ExampleSet(inputs=drawn.inputs, modality="features", targets={"kind": kind, "height": height})

    return MultitaskTask(
        name="clusters",
        targets={"kind": Target(classes=CLASSES), "height": Target(classes=0)},
        train=examples(40, 1),
        validation=examples(20, 2),
        test=examples(30, 3),
    )


@pytest.fixture
def episode_task(clusters):
    return EpisodeTask(
        name="clusters",
        class_names=tuple("abcdefghijkl"),
        base=clusters(60, seed=1, classes=range(6)),
        validation=clusters(30, seed=2, classes=range(6, 9)),
        novel=clusters(30, seed=3, classes=range(9, 12)),
        way=3,
        shot=2,
        query=3,
    )


@pytest.fixture
def zeroshot_task(clusters):
    embeddings = np.random.default_rng(0).normal(size=(12, WIDTH)) * 3  # the centres themselves
    return ZeroShotTask(
        name="clusters",
        class_names=tuple("abcdefghijkl"),
        descriptions=tuple("abcdefghijkl"),
        seen=np.arange(8),
        held_out=np.arange(8, 10),
        unseen=np.arange(10, 12),
        train=clusters(80, seed=1, classes=range(8)),
        validation=clusters(20, seed=2, classes=range(8, 10)),
        test=clusters(30, seed=3, classes=range(10, 12)),
        embeddings=embeddings.astype(np.float32),
    )


@pytest.fixture
def make_trainer():
    """Return a function that makes a trainer of some steps on one CPU."""

    def make(steps=20, **settings):
        defaults = {
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "log_every_n_steps": 1,
            "accelerator": "cpu",
            "devices": 1,
        }
        return pl.Trainer(max_steps=steps, **(defaults | settings))

    return make


@pytest.fixture
def losses():
    """Return a callback that keeps each step's logged loss in ``values``, and its supervised term in ``source``."""

    class Losses(pl.Callback):
        def __init__(self):
            self.values, self.source = [], []

        def on_train_batch_end(self, trainer, *_):
            self.values.append(float(trainer.callback_metrics["train/loss"]))
            self.source.append(float(trainer.callback_metrics.get("train/source", "nan")))

    return Losses()
