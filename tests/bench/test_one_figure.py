"""One toy task a kind and metric: the same figure from the protocol, from ``trainer.test``, and from scikit-learn.

Scikit-learn's figures are computed from the outputs that the outcome stores; ``trainer.test`` runs on the very module
that the protocol trained.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import replace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from scipy.stats import kendalltau
from sklearn import metrics as sklearn
from torch import nn
from torch.nn import functional as F

from tlzoo import create_backbone
from tlzoo.backbones import register_backbone
from tlzoo.bench import protocols
from tlzoo.bench.cell import Cell
from tlzoo.bench.execution.one_cell import reproducible
from tlzoo.data import ExampleSet, register_task
from tlzoo.data.tasks import DomainTask, EpisodeTask, MultitaskTask, Target, ZeroShotTask

WIDTH, CLASSES = 6, 4
SHARES = (0.55, 0.25, 0.15, 0.05)


def drawn(count, seed, *, classes=CLASSES, first=0, shares=None, **more):
    """Return clusters that overlap, so that no figure is 1."""
    random = np.random.default_rng(seed)
    labels = first + random.choice(classes, size=count, p=shares)
    labels[:classes] = first + np.arange(classes)  # none is empty
    inputs = np.random.default_rng(99).normal(size=(12, WIDTH))[labels] + random.normal(size=(count, WIDTH))
    return ExampleSet(
        inputs=inputs.astype(np.float32), modality="features", labels=labels, checksum=f"toy {seed}", **more
    )


def domain_task(metric):
    sides = {"source": (1, 2, SHARES), "target": (3, 4, SHARES)}
    sets = {
        f"{side}_{part}": drawn(90, seeds[place], shares=shares)
        for side, (*seeds, shares) in sides.items()
        for place, part in enumerate(("train", "test"))
    }
    return DomainTask(name="toy", class_names=tuple("abcd"), metric=metric, **sets)


def multitask_task():
    def examples(seed):
        own, random = drawn(80, seed), np.random.default_rng(seed)
        columns = {
            "class": np.where(random.random(80) < 0.1, -1, own.labels),
            "value": (own.inputs[:, 0] + 0.3 * random.normal(size=80)).astype(np.float32),
            "rank": np.digitize(own.inputs[:, 1], [-1.0, 0.0, 1.0]),
        }
        columns["value"][::9] = np.nan
        return replace(own, labels=None, targets=columns)

    targets = {"class": Target(classes=CLASSES), "value": Target(classes=0), "rank": Target(classes=4, kind="ordinal")}
    return MultitaskTask(name="toy", targets=targets, train=examples(11), validation=examples(12), test=examples(13))


def dense_task():
    def examples(seed):
        random = np.random.default_rng(seed)
        pixels = random.integers(0, 256, size=(40, 8, 8, 3), dtype=np.uint8)
        depth = (pixels[..., 0] / 255 + 1).astype(np.float32)
        depth[:, 0, 0] = np.nan
        parts = (pixels[..., 1] // 90).astype(np.int64)
        parts[:, 1, 1] = -1
        vectors = np.moveaxis(pixels / 255 - 0.5, -1, 1)
        vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        return ExampleSet(
            inputs=pixels,
            modality="image",
            targets={"parts": parts, "depth": depth, "normals": vectors},
            checksum=f"dense {seed}",
        )

    targets = {
        "parts": Target(classes=3, kind="dense"),
        "depth": Target(classes=0, kind="dense"),
        "normals": Target(classes=0, kind="normals"),
    }
    return MultitaskTask(name="toy", targets=targets, train=examples(14), validation=examples(15), test=examples(16))


def zeroshot_task(*, generalized):
    embeddings = np.random.default_rng(7).normal(size=(12, 5)).astype(np.float32)
    return ZeroShotTask(
        name="toy",
        class_names=tuple("abcdefghijkl"),
        descriptions=tuple("abcdefghijkl"),
        seen=np.arange(6),
        held_out=np.empty(0, dtype=np.int64),
        unseen=np.arange(6, 12),
        train=drawn(90, 31, classes=6),
        test=drawn(70, 33, classes=6, first=6),
        test_seen=drawn(50, 34, classes=6) if generalized else None,
        embeddings=embeddings,
    )


def episode_task():
    sets = {name: drawn(80, seed, classes=5) for name, seed in (("base", 21), ("validation", 22), ("novel", 23))}
    return EpisodeTask(name="toy", class_names=tuple("abcde"), way=3, query=4, **sets)


class Maps(nn.Module):
    """Pixels to a feature map of half the size."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 8, 3, stride=2, padding=1)

    def forward(self, inputs):
        return self.layer(inputs).relu()


def network():
    return create_backbone(nn.Sequential(nn.Linear(WIDTH, 8), nn.ReLU()), num_features=8)


@pytest.fixture
def both(tmp_path, monkeypatch):
    """Returns a function that runs a cell, and gives the outcome and what ``trainer.test`` says of the same module."""
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path))
    register_backbone("toy features", lambda: create_backbone("identity", num_features=WIDTH))
    register_backbone("toy network", network)
    register_backbone("toy maps", lambda: create_backbone(Maps(), num_features=8))

    def both(task, kind, method, **cell):
        register_task("toy", task)
        kept = []
        made = protocols.protocol_of(Cell(kind=kind, task="toy", method=method, **cell))
        outcome_of = made.outcome
        monkeypatch.setattr(made, "outcome", lambda self, run, note: kept.append(run) or outcome_of(self, run, note))
        with reproducible(0, 1):
            outcome = protocols.run(Cell(kind=kind, task="toy", method=method, **cell), lambda _: None)
        (run,) = kept
        return outcome, through_trainer(run.module, run.data), run.data

    return both


def through_trainer(module, data):
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        trainer = pl.Trainer(
            accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False,
        )  # fmt: skip
        return trainer.test(module, datamodule=data, verbose=False)[0]


def same(outcome, logged, expected):
    """Check that protocol, ``trainer.test`` and scikit-learn agree on every figure that is expected."""
    for name, value in expected.items():
        assert outcome.metrics[f"test/{name}"] == pytest.approx(value, rel=1e-5, abs=1e-6), name
        assert logged[f"test/{name}"] == pytest.approx(value, rel=1e-5, abs=1e-6), name


def of_classes(labels, logits):
    answers = np.argmax(logits, axis=1)
    return {
        "accuracy": sklearn.accuracy_score(labels, answers),
        "balanced_accuracy": sklearn.balanced_accuracy_score(labels, answers),
        "macro_accuracy": sklearn.recall_score(labels, answers, average="macro", zero_division=0),
        "macro_f1": sklearn.f1_score(labels, answers, average="macro", zero_division=0),
    }


SOURCE = {"module": {"frozen": True, "lr": 0.03}, "backbone": "toy features"}
CELLS = {
    "domain": ("domain", "adaptation/dan", SOURCE),
    "source-free": ("domain", "adaptation/shot", {**SOURCE, "module": {"frozen": True, "bottleneck": 8}}),
    "test-time": ("domain", "adaptation/t3a", SOURCE),
    "fine-tuning": ("finetuning", "finetuning/full", {"module": {"shots": 3}, "backbone": "toy network"}),
}


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true:UserWarning:sklearn")
@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "macro_accuracy"])
@pytest.mark.parametrize("name", CELLS)
def test_classes_of_a_target(both, name, metric):
    task = domain_task(metric)
    kind, method, cell = CELLS[name]
    outcome, logged, _ = both(task, kind, method, budget={"steps": 20, "batch_size": 12}, **cell)
    expected = of_classes(task.target_test.labels, outcome.predictions["test_logits"])
    assert len(set(expected.values())) > 2  # figures of their own
    same(outcome, logged, expected)
    headline = {"test-time": "source_model"}.get(name, "oracle")
    if name != "fine-tuning":
        assert f"{headline}/{metric}" in outcome.metrics
    if name != "test-time":
        assert outcome.curves["test"][-1] == pytest.approx(expected[metric])


def test_classes_values_and_ranks_of_a_multitask_network(both):
    task = multitask_task()
    outcome, logged, _ = both(
        task, "multitask", "multitask/equal", backbone="toy features", module={"frozen": True, "lr": 0.03},
        budget={"steps": 30, "batch_size": 16},
    )  # fmt: skip
    labels = task.test.targets
    known = labels["class"] >= 0
    classes = of_classes(labels["class"][known], outcome.predictions["test_class"][known])
    same(outcome, logged, {f"class/{name}": value for name, value in classes.items()})
    known = ~np.isnan(labels["value"])
    pair = labels["value"][known], outcome.predictions["test_value"][known, 0]
    same(
        outcome,
        logged,
        {
            "value/mse": sklearn.mean_squared_error(*pair),
            "value/mae": sklearn.mean_absolute_error(*pair),
            "value/r2": sklearn.r2_score(*pair),
        },
    )
    ranks = (outcome.predictions["test_rank"] > 0).sum(axis=1)
    tau = kendalltau(labels["rank"], ranks).statistic
    assert len(set(ranks)) > 1
    errors = {"rank/mae": sklearn.mean_absolute_error(labels["rank"], ranks), "rank/kendall_tau": tau}
    same(outcome, logged, errors)
    headlines = {"class": classes["accuracy"], "value": sklearn.r2_score(*pair), "rank": tau}
    same(outcome, logged, {**headlines, "score": np.mean(list(headlines.values()))})


def test_dense_targets_of_a_multitask_network(both):
    task = dense_task()
    outcome, logged, _ = both(
        task, "multitask", "multitask/equal", backbone="toy maps", module={"lr": 0.03, "backbone_lr": 1.0},
        budget={"steps": 20, "batch_size": 8},
    )  # fmt: skip
    stored = {name: torch.from_numpy(outcome.predictions[f"test_{name}"]) for name in task.targets}
    sized = {name: F.interpolate(out, (8, 8), mode="bilinear", align_corners=False) for name, out in stored.items()}
    labels = {name: torch.from_numpy(np.asarray(column)) for name, column in task.test.targets.items()}
    known = labels["parts"] >= 0
    pair = labels["parts"][known], sized["parts"].argmax(dim=1)[known]
    miou, accuracy = sklearn.jaccard_score(*pair, average="macro"), sklearn.accuracy_score(*pair)
    same(outcome, logged, {"parts/miou": miou, "parts/pixel_accuracy": accuracy})
    known = ~labels["depth"].isnan()
    pair = labels["depth"][known], sized["depth"][:, 0][known]
    absolute, relative = sklearn.mean_absolute_error(*pair), sklearn.mean_absolute_percentage_error(*pair)
    same(outcome, logged, {"depth/absolute_error": absolute, "depth/relative_error": relative})
    r2 = sklearn.r2_score(*pair)
    cosines = F.cosine_similarity(sized["normals"], labels["normals"], dim=1).double()
    angle = float(cosines.clamp(-1, 1).arccos().rad2deg().mean())
    same(outcome, logged, {"normals/cosine": float(cosines.mean()), "normals/mean_angle": angle})
    headlines = {"parts": miou, "depth": r2, "normals": float(cosines.mean())}
    same(outcome, logged, {**headlines, "score": np.mean(list(headlines.values()))})


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true:UserWarning:sklearn")
@pytest.mark.parametrize("generalized", [False, True])
def test_described_classes(both, generalized):
    task = zeroshot_task(generalized=generalized)
    outcome, logged, _ = both(task, "zeroshot", "zeroshot/ridge", backbone="toy features")
    labels = np.concatenate([task.test.labels, task.test_seen.labels if generalized else []]).astype(int)
    labels = np.searchsorted(task.candidates, labels)
    scores = outcome.predictions["test_logits"]
    unseen = slice(len(task.test))
    expected = of_classes(labels[unseen], scores[unseen])
    answers = scores.argmax(axis=1)
    per_class = sklearn.balanced_accuracy_score(labels[unseen], answers[unseen])
    top5 = sklearn.top_k_accuracy_score(labels[unseen], scores[unseen], k=5, labels=range(scores.shape[1]))
    same(outcome, logged, {**expected, "per_class": per_class, "top5": top5})
    if generalized:
        seen = sklearn.balanced_accuracy_score(labels[len(task.test) :], answers[len(task.test) :])
        harmonic = 2 * seen * per_class / (seen + per_class)
        same(outcome, logged, {"seen": seen, "unseen": per_class, "harmonic": harmonic})
        assert logged["test/ausuc"] == pytest.approx(outcome.metrics["test/ausuc"], rel=1e-5)


def test_episodes(both):
    task = episode_task()
    budget = {"way": 3, "shot": 1, "query": 4, "episodes": 60}
    outcome, logged, data = both(task, "episode", "oneshot/simpleshot", backbone="toy features", budget=budget)
    labels, answers = data.episode_list().episodes.query_labels, outcome.predictions["query_logits"].argmax(axis=-1)
    accuracies = np.array([sklearn.accuracy_score(*pair) for pair in zip(labels, answers, strict=True)])
    interval = 1.96 * accuracies.std(ddof=1) / np.sqrt(60)
    expected = {"accuracy": accuracies.mean(), "error": 1 - accuracies.mean(), "interval": interval}
    same(outcome, logged, expected)
    counts = outcome.predictions["query_logits#counts"]
    assert counts[:, 1].sum() == labels.size
    assert counts[:, 2].sum() / labels.size == pytest.approx(sklearn.accuracy_score(labels.ravel(), answers.ravel()))
