"""Planted leaks, run through the harness as any method is: each is caught, and no honest method is accused.

A leak is caught by a view that raises SupervisionError, or by answers that change with the test batch.
"""

from __future__ import annotations

import gc
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo import registry
from tlzoo.backbones import create_backbone, register_backbone
from tlzoo.bench import protocols
from tlzoo.bench.audit import audit
from tlzoo.bench.cell import Cell, Outcome
from tlzoo.bench.suite_reader import load_suite
from tlzoo.bench.yaml_lines import SuiteError
from tlzoo.data import register_task
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.tasks import DomainTask, EpisodeTask, MultitaskTask, Target, ZeroShotTask
from tlzoo.functional import negative_squared_distances, prototypes
from tlzoo.lit import DomainAdaptation, DomainData
from tlzoo.methods.alignment import Alignment
from tlzoo.methods.base import Method
from tlzoo.methods.compatibility import Compatibility
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.methods.weighting import Weighting
from tlzoo.types import Context, Prediction, Sees, SupervisionError

WIDTH, CLASSES = 6, 4
RNG = np.random.default_rng(0)


def examples(count: int, *, classes: int = CLASSES, **more: Any) -> ExampleSet:
    labels = np.arange(count) % classes
    centers = np.random.default_rng(1).normal(size=(classes, WIDTH)) * 3
    inputs = (centers[labels] + RNG.normal(size=(count, WIDTH))).astype(np.float32)
    return ExampleSet(inputs=inputs, modality="features", labels=labels, checksum=f"toy {count}", **more)


DOMAIN = DomainTask(
    name="toy",
    class_names=tuple("abcd"),
    source_train=examples(64),
    source_test=examples(32),
    target_train=examples(60),
    target_test=examples(90),
)
EPISODE = EpisodeTask(name="toy", base=examples(60), validation=examples(60), novel=examples(80), way=3, query=5)
CLASS_VECTORS = np.random.default_rng(2).normal(size=(9, 5)).astype(np.float32)
ZEROSHOT = ZeroShotTask(
    name="toy",
    class_names=tuple("abcdefghi"),
    descriptions=tuple("abcdefghi"),
    seen=np.arange(4),
    held_out=np.arange(4, 6),
    unseen=np.arange(6, 9),
    train=examples(64),
    validation=examples(20, classes=2).with_labels(np.arange(20) % 2 + 4),
    test=examples(30, classes=3).with_labels(np.arange(30) % 3 + 6),
    embeddings=CLASS_VECTORS,
)
_TARGETS = {"left": np.arange(64) % 3, "right": np.arange(64) % 2}
MULTITASK = MultitaskTask(
    name="toy",
    targets={"left": Target(classes=3), "right": Target(classes=2)},
    train=examples(64, targets=_TARGETS),
    validation=examples(64, targets=_TARGETS),
    test=examples(64, targets=_TARGETS),
)
KINDS = {
    "adaptation": ("domain", DOMAIN),
    "oneshot": ("episode", EPISODE),
    "zeroshot": ("zeroshot", ZEROSHOT),
    "multitask": ("multitask", MULTITASK),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "domain": {"module": {"bottleneck": 8}, "budget": {"steps": 10, "batch_size": 16}},
    "multitask": {"budget": {"steps": 10, "batch_size": 16}},
    "episode": {"budget": {"episodes": 20}},
    "zeroshot": {},
}


class Harness:
    """Runs a method class as a cell of its family on a toy task, both registered as any user would."""

    def __init__(self) -> None:
        for kind, task in KINDS.values():
            register_task(f"toy {kind}", task)
        # the toy inputs are features already
        register_backbone("toy", lambda: create_backbone("identity", num_features=WIDTH))

    def cell(self, family: str, cls: type[Method] | str) -> Cell:
        name = f"{family}/{cls if isinstance(cls, str) else 'mutant'}"
        if not isinstance(cls, str):
            registry.register_method(name, cls)
        kind = KINDS[family][0]
        settings = SETTINGS[kind]
        frozen = {"frozen": True} if kind in ("domain", "multitask") else {}
        return Cell(
            kind=kind,  # type: ignore[arg-type]
            task=f"toy {kind}",
            backbone="toy",
            method=name,
            module={**settings.get("module", {}), **frozen},
            budget=settings.get("budget", {}),
        )

    def run(self, family: str, cls: type[Method] | str) -> Outcome:
        cell = self.cell(family, cls)
        torch.manual_seed(0)
        return protocols.run(cell, lambda _: None)


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Harness:
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path))
    return Harness()


# --- mutants: domain adaptation


class ReadsTargetLabels(Alignment):
    def term(self, source: Prediction, target: Prediction, context: Context) -> dict[str, Tensor]:
        return {"loss": F.cross_entropy(target.logits, target.labels)}


class ReadsTargetThoughSourceOnly(Alignment):
    sees = frozenset({Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS})

    def term(self, source: Prediction, target: Prediction, context: Context) -> dict[str, Tensor]:
        return {"loss": (source.features.mean(0) - target.features.mean(0)).square().sum()}


class OpensSourceThoughSourceFree(Alignment):
    sees = frozenset({Sees.TARGET_INPUTS})

    def term(self, source: Prediction, target: Prediction, context: Context) -> dict[str, Tensor]:
        return {"loss": source.features.square().mean() + target.logits.square().mean()}


class ReadsSourceLabelsUndeclared(Alignment):
    sees = frozenset({Sees.SOURCE_INPUTS, Sees.TARGET_INPUTS})

    def term(self, source: Prediction, target: Prediction, context: Context) -> dict[str, Tensor]:
        return {"loss": F.cross_entropy(source.logits, source.labels)}


class ReadsTargetLabelsOnEpoch(Alignment):
    def on_epoch(self, target: Prediction) -> None:
        self.prior = torch.bincount(target.labels)  # type: ignore[arg-type]

    def term(self, source: Prediction, target: Prediction, context: Context) -> dict[str, Tensor]:
        return {"loss": source.logits.new_zeros(())}


class _BatchNormAlways(nn.Module):
    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear((x - x.mean(0)) / (x.std(0) + 1e-3)) if len(x) > 1 else self.linear(x)


class NormalizesByTestBatch(Alignment):
    def make_head(self) -> nn.Module:
        return _BatchNormAlways(self.num_features, self.num_classes)

    def term(self, source: Prediction, target: Prediction, context: Context) -> dict[str, Tensor]:
        return {"loss": source.logits.new_zeros(())}


class _Drifts(nn.Module):
    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, classes)
        self.register_buffer("mean", torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            self.mean.mul_(0.5).add_(0.5 * x.detach().mean(0))
        return self.linear(x - self.mean)


class AdaptsWhileItAnswers(Alignment):
    def make_head(self) -> nn.Module:
        return _Drifts(self.num_features, self.num_classes)

    def term(self, source: Prediction, target: Prediction, context: Context) -> dict[str, Tensor]:
        return {"loss": source.logits.new_zeros(())}


class _NormalizesManyTogether(nn.Module):
    """A batch normalization that is left in training mode, and answers few items without."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear((x - x.mean(0)) / (x.std(0) + 1e-3) if len(x) > 64 else x)


class NormalizesManyTogether(Alignment):
    def make_head(self) -> nn.Module:
        return _NormalizesManyTogether(self.num_features, self.num_classes)

    def term(self, source: Prediction, target: Prediction, context: Context) -> dict[str, Tensor]:
        return {"loss": source.logits.new_zeros(())}


class _Queue(nn.Module):
    """Remembers what it has answered in a list, which is in no state."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.linear, self.seen = nn.Linear(width, classes), []

    def forward(self, x: Tensor) -> Tensor:
        shift = torch.cat(self.seen).mean(0) if self.seen and not self.training else 0.0
        if not self.training:
            self.seen = [*self.seen[-3:], x.detach()]
        return self.linear(x - shift)


class FillsAQueueInEvaluation(Alignment):
    def make_head(self) -> nn.Module:
        return _Queue(self.num_features, self.num_classes)

    def term(self, source: Prediction, target: Prediction, context: Context) -> dict[str, Tensor]:
        return {"loss": source.logits.new_zeros(())}


class _ScalesByBatch(nn.Module):
    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits = self.linear(x)
        return logits if self.training else logits / logits.abs().amax()


class ScalesByTheBatch(Alignment):
    def make_head(self) -> nn.Module:
        return _ScalesByBatch(self.num_features, self.num_classes)

    def term(self, source: Prediction, target: Prediction, context: Context) -> dict[str, Tensor]:
        return {"loss": source.logits.new_zeros(())}


class _CopiesNeighbors(nn.Module):
    """Answers each item as its nearest test item before it."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits = self.linear(x)
        if self.training or len(x) < 2:
            return logits
        far = torch.cdist(x, x).masked_fill(torch.ones(len(x), len(x)).triu().bool(), torch.inf)
        return torch.cat([logits[:1], (logits + logits[far.argmin(dim=1)])[1:] / 2])


class CopiesNeighbors(Alignment):
    def make_head(self) -> nn.Module:
        return _CopiesNeighbors(self.num_features, self.num_classes)

    def term(self, source: Prediction, target: Prediction, context: Context) -> dict[str, Tensor]:
        return {"loss": source.logits.new_zeros(())}


# --- mutants: one-shot


class CentersOverTheEpisodesOfACall(EpisodeClassifier):
    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        shift = query.mean(dim=(0, 1), keepdim=True) if len(query) > 1 else 0.0
        return negative_squared_distances(query - shift, prototypes(support, support_labels, way))


class RemembersEarlierEpisodes(EpisodeClassifier):
    memory: Tensor | None = None

    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        shift = 0.0 if self.memory is None else self.memory
        self.memory = query.mean(dim=(0, 1))
        return negative_squared_distances(query - shift, prototypes(support - shift / 2, support_labels, way))


class SharpensBySpread(EpisodeClassifier):
    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        logits = negative_squared_distances(query, prototypes(support, support_labels, way))
        return logits / logits.std(dim=(1, 2), keepdim=True) if query.shape[1] > 1 else logits


class CentersByQueries(EpisodeClassifier):
    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        shift = support.mean(1, keepdim=True) - query.mean(1, keepdim=True)
        return negative_squared_distances(query + shift, prototypes(support, support_labels, way))


class BalancesQueries(EpisodeClassifier):
    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        logits = negative_squared_distances(query, prototypes(support, support_labels, way))
        return logits - logits.logsumexp(dim=1, keepdim=True)


class FollowsQueryOrder(EpisodeClassifier):
    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        running = query.cumsum(1) / torch.arange(1, query.shape[1] + 1)[:, None]
        return negative_squared_distances(running, prototypes(support, support_labels, way))


class UsesBaseUndeclared(EpisodeClassifier):
    def __init__(self) -> None:
        super().__init__()
        self.task = EPISODE.training_data(self.sees, by="mutant")

    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        mean = torch.from_numpy(np.asarray(self.task.base.inputs)).mean(0)
        return negative_squared_distances(query - mean, prototypes(support - mean, support_labels, way))


class UsesBaseLabelsUndeclared(EpisodeClassifier):
    sees = frozenset({Sees.SOURCE_INPUTS, Sees.TARGET_INPUTS, Sees.TARGET_LABELS})

    def learn_base(self, features: Tensor, labels: Tensor | None) -> None:
        labels = (
            torch.from_numpy(EPISODE.training_data(self.sees, by="mutant").base.labels) if labels is None else labels
        )
        self.scatter = torch.bincount(labels)

    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        return negative_squared_distances(query, prototypes(support, support_labels, way))


# --- mutants: zero-shot


class _Matching(Compatibility):
    def __init__(self, num_features: int, num_embedding: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features, num_embedding))

    def scorer(self, class_embeddings: Tensor, seen: Tensor) -> Any:
        return lambda features: features @ self.weight @ class_embeddings.T


class HubnessCorrectionUndeclared(_Matching):
    sees = frozenset()

    def scorer(self, class_embeddings: Tensor, seen: Tensor) -> Any:
        def score(features: Tensor) -> Tensor:
            scores = features @ self.weight @ class_embeddings.T
            return 2 * scores - scores.mean(0, keepdim=True)

        return score


class CountsAnswersOfManyItems(_Matching):
    sees = frozenset()

    def scorer(self, class_embeddings: Tensor, seen: Tensor) -> Any:
        def score(features: Tensor) -> Tensor:
            scores = features @ self.weight @ class_embeddings.T
            return scores - scores.softmax(dim=1).sum(dim=0) / len(scores) if len(features) > 16 else scores

        return score


class FitsOnUnseenDescriptions(_Matching):
    def learn(self, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> None:
        view = ZEROSHOT.training_data(self.sees, by="mutant")
        self.prior = torch.from_numpy(view.unseen_embeddings).mean(0)
        return self


class FitsOnSeenDescriptionsUndeclared(_Matching):
    sees = frozenset({Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS})


class FitsOnLabelsUndeclared(_Matching):
    sees = frozenset({Sees.SOURCE_INPUTS, Sees.CLASS_DESCRIPTIONS})


# --- mutants: multitask


class ReadsValidation(Weighting):
    def weigh(self, losses: Tensor, gramian: Tensor | None) -> Tensor:
        validation = MULTITASK.training_data(self.sees, by="mutant").validation
        return torch.ones_like(losses) * len(validation)


class TrainsWithoutLabelsDeclared(Weighting):
    sees = frozenset({Sees.TARGET_INPUTS})

    def weigh(self, losses: Tensor, gramian: Tensor | None) -> Tensor:
        return torch.ones_like(losses)


MUTANTS = [
    ("adaptation", ReadsTargetLabels, "does not declare TARGET_LABELS"),
    ("adaptation", ReadsTargetThoughSourceOnly, "does not declare that it sees these inputs"),
    ("adaptation", OpensSourceThoughSourceFree, "does not declare that it sees these inputs"),
    ("adaptation", ReadsSourceLabelsUndeclared, "does not declare SOURCE_LABELS"),
    ("adaptation", ReadsTargetLabelsOnEpoch, "does not declare TARGET_LABELS"),
    ("adaptation", NormalizesByTestBatch, "must declare TEST_INPUTS"),
    ("adaptation", AdaptsWhileItAnswers, "must declare TEST_INPUTS"),
    ("adaptation", NormalizesManyTogether, "must declare TEST_INPUTS"),
    ("adaptation", FillsAQueueInEvaluation, "must declare TEST_INPUTS"),
    ("adaptation", ScalesByTheBatch, "must declare TEST_INPUTS"),
    ("adaptation", CopiesNeighbors, "must declare TEST_INPUTS"),
    ("oneshot", CentersOverTheEpisodesOfACall, "must declare TEST_INPUTS"),
    ("oneshot", RemembersEarlierEpisodes, "must declare TEST_INPUTS"),
    ("oneshot", SharpensBySpread, "must declare TEST_INPUTS"),
    ("zeroshot", CountsAnswersOfManyItems, "must declare TEST_INPUTS"),
    ("oneshot", CentersByQueries, "must declare TEST_INPUTS"),
    ("oneshot", BalancesQueries, "must declare TEST_INPUTS"),
    ("oneshot", FollowsQueryOrder, "must declare TEST_INPUTS"),
    ("oneshot", UsesBaseUndeclared, "declares target inputs, target labels only"),
    ("oneshot", UsesBaseLabelsUndeclared, "labels: mutant does not declare"),
    ("zeroshot", HubnessCorrectionUndeclared, "must declare TEST_INPUTS"),
    ("zeroshot", FitsOnUnseenDescriptions, "unseen_embeddings: mutant declares"),
    ("zeroshot", FitsOnSeenDescriptionsUndeclared, "class_embeddings: "),
    ("zeroshot", FitsOnLabelsUndeclared, "fitted but does not declare SOURCE_LABELS"),
    ("multitask", ReadsValidation, "validation: mutant declares"),
    ("multitask", TrainsWithoutLabelsDeclared, "targets: "),
]


@pytest.mark.parametrize(("family", "mutant", "message"), MUTANTS, ids=lambda value: getattr(value, "__name__", ""))
def test_planted_leak_is_caught(harness: Harness, family: str, mutant: type[Method], message: str) -> None:
    with pytest.raises(SupervisionError, match=message):
        harness.run(family, mutant)


@pytest.mark.parametrize("mutant", [mutant for family, mutant, _ in MUTANTS if family == "adaptation"])
def test_labelled_shots_open_no_door(harness: Harness, mutant: type[Method]) -> None:
    """A semi-supervised task shows labels of a few examples to the module, nothing more to a method."""
    register_task("toy domain", DOMAIN.semi_supervised(2))
    with pytest.raises(SupervisionError):
        harness.run("adaptation", mutant)


HONEST = [
    *(("adaptation", name) for name in ("source_only", "target_only", "dan", "deep_coral")),
    *(("oneshot", name) for name in ("protonet", "simpleshot")),
    *(("zeroshot", name) for name in ("ridge", "eszsl")),
    *(("multitask", name) for name in ("equal", "uncertainty")),
]


@pytest.mark.parametrize(("family", "name"), HONEST)
def test_honest_method_passes(harness: Harness, family: str, name: str) -> None:
    outcome = harness.run(family, name)
    assert outcome.receipt["declared"] is True
    assert max(outcome.receipt["dependence"].values()) < 1e-3
    assert outcome.receipt["sees"] == sorted(registry.method_class(f"{family}/{name}").sees)


class _DropsAtTest(nn.Module):
    """Monte Carlo dropout: draws when it answers, each item for itself."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(F.dropout(x, 0.3, training=True))


class DropsAtTest(Alignment):
    def make_head(self) -> nn.Module:
        return _DropsAtTest(self.num_features, self.num_classes)

    def term(self, source: Prediction, target: Prediction, context: Context) -> dict[str, Tensor]:
        return {"loss": source.logits.new_zeros(())}


class NoisyCentroids(EpisodeClassifier):
    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        noisy = query + 0.2 * torch.randn_like(query)
        return negative_squared_distances(noisy, prototypes(support, support_labels, way))


class _NormalizesAndDrops(_DropsAtTest):
    """Uses the batch behind a screen of dropout."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward((x - x.mean(0)) / (x.std(0) + 1e-3) if len(x) > 1 else x)


class NormalizesBehindDropout(Alignment):
    def make_head(self) -> nn.Module:
        return _NormalizesAndDrops(self.num_features, self.num_classes)

    def term(self, source: Prediction, target: Prediction, context: Context) -> dict[str, Tensor]:
        return {"loss": source.logits.new_zeros(())}


@pytest.mark.parametrize(("family", "random"), [("adaptation", DropsAtTest), ("oneshot", NoisyCentroids)])
def test_an_honest_method_may_draw_while_it_answers(harness: Harness, family: str, random: type[Method]) -> None:
    dependence = harness.run(family, random).receipt["dependence"]
    assert dependence["drawn"] > 0.01
    assert max(value for name, value in dependence.items() if name != "drawn") < 1e-3


def test_random_numbers_hide_nothing(harness: Harness) -> None:
    with pytest.raises(SupervisionError, match="must declare TEST_INPUTS"):
        harness.run("adaptation", NormalizesBehindDropout)


def test_indices_of_the_target_say_nothing_of_the_source(harness: Harness) -> None:
    """A memory of the source by index told the labels of a target that was collected in the same order."""
    pairs: list[Tensor] = []

    class MatchesByIndex(Alignment):
        def term(self, source: Prediction, target: Prediction, context: Context) -> dict[str, Tensor]:
            known = torch.full((60,), -1).index_put((source.indices.clamp(max=59),), source.labels)  # type: ignore[union-attr, arg-type]
            pairs.append(torch.stack([known[target.indices], target.features.argmax(dim=1)]))  # type: ignore[index]
            return {"loss": source.logits.new_zeros(())}

    harness.run("adaptation", MatchesByIndex)
    told, _ = torch.cat(pairs, dim=1)
    assert (told >= 0).any()
    numbers = DomainData(DOMAIN, batch_size=16)
    numbers.training_data = DOMAIN.training_data(MatchesByIndex.sees, by="mutant")
    shown = next(iter(numbers.target_batches()))
    assert sorted(shown.indices.tolist()) == list(range(60))  # type: ignore[union-attr]
    share = (DOMAIN.source_train.labels[shown.indices] == DOMAIN.target_train.labels).mean()  # type: ignore[index]
    assert share < 0.5  # the two sets are in the same order: before, it was 1


class LearnsFromWhatItWasAsked(Alignment):
    """A hook keeps the inputs of every evaluation, the test among them, and the loss makes them certain."""

    kept: list[Tensor]

    def prepare(self, network: nn.Module) -> None:
        self.kept = []

        def keep(module: nn.Module, inputs: Any, _: Any) -> None:
            if not module.training:
                self.kept.append(inputs[0].detach().clone())

        network.register_forward_hook(keep)

    def term(self, source: Prediction, target: Prediction, context: Context) -> dict[str, Tensor]:
        if not self.kept:
            return {"loss": source.logits.new_zeros(())}
        logits = context.network(torch.cat(self.kept)).logits  # type: ignore[misc]
        return {"loss": -(logits.softmax(1) * logits.log_softmax(1)).sum(1).mean()}


@pytest.mark.parametrize("name", ["dan", "atdoc", "mcc"])
def test_weights_of_honest_methods_do_not_know_the_test(harness: Harness, name: str) -> None:
    audit(harness.cell("adaptation", name))


def test_a_hook_that_keeps_test_inputs_is_found(harness: Harness) -> None:
    with pytest.raises(SupervisionError, match="trained with test inputs and with noise in their place"):
        audit(harness.cell("adaptation", LearnsFromWhatItWasAsked))
    with pytest.raises(TypeError, match="a cell of kind episode; expected one of kind domain"):
        audit(harness.cell("oneshot", "protonet"))


def test_the_task_is_closed_while_the_harness_trains(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    step = DomainAdaptation.training_step

    def peeking(self: Any, batch: Any, batch_idx: int) -> Tensor:
        assert self.trainer.datamodule.task.target_test.labels is not None
        return step(self, batch, batch_idx)

    monkeypatch.setattr(DomainAdaptation, "training_step", peeking)
    with pytest.raises(SupervisionError, match="reaches for the task, which holds the test, while it trains"):
        harness.run("adaptation", "dan")


def test_a_declared_transductive_method_is_marked_as_such(harness: Harness) -> None:
    class Declared(CentersByQueries):
        sees = frozenset({Sees.TARGET_INPUTS, Sees.TARGET_LABELS, Sees.TEST_INPUTS})

    receipt = harness.run("oneshot", Declared).receipt
    assert receipt["transductive"] is True
    assert receipt["dependence"]["alone"] > 1e-3


def test_what_a_method_is_handed_does_not_lead_to_the_test_set() -> None:
    handed: list[Any] = []

    class Keeps(Alignment):
        def term(self, source: Prediction, target: Prediction, context: Context) -> dict[str, Tensor]:
            handed.extend([source, target, context.network])
            return {"loss": source.features.mean()}

    import pytorch_lightning as pl

    data = DomainData(DOMAIN, batch_size=16)
    module = DomainAdaptation(
        "identity", Keeps(WIDTH, CLASSES), num_classes=CLASSES, backbone_settings={"num_features": WIDTH}
    )
    trainer = pl.Trainer(
        max_steps=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    trainer.fit(module, data)
    forbidden = {id(DOMAIN), id(DOMAIN.target_test), id(DOMAIN.target_test.labels), id(DOMAIN.target_train.labels)}
    seen: set[int] = set()
    queue = list(handed)
    while queue:
        thing = queue.pop()
        if id(thing) in seen or isinstance(thing, (type, types.ModuleType, types.FunctionType, types.FrameType)):
            continue
        seen.add(id(thing))
        assert id(thing) not in forbidden, "a method can climb to test data or target labels"
        queue.extend(gc.get_referents(thing))
    assert len(seen) > 50


def test_a_suite_cannot_select_on_test_labels(tmp_path: Any) -> None:
    file = tmp_path / "leak.yaml"
    file.write_text(
        "suite: leak\nquestion: does it?\nseeds: 1\ngroups:\n  - title: x\n    kind: domain\n"
        '    tasks: ["digits:mnist5k->optdigits"]\n    backbones: [lenet]\n    methods: [source_only, target_only]\n'
        "    budget: {steps: 1, batch_size: 2}\n    selection: test/accuracy\n"
    )
    with pytest.raises(SuiteError, match=r"leak.yaml:11: .*'selection'"):
        load_suite(str(file))
