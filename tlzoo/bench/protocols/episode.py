"""One-shot and few-shot learning: every method classifies the same list of episodes, on features of one backbone.

The backbone is pretrained and frozen, or trained from scratch on the base classes (``module: {training: ...}``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from tlzoo.backbones import create_backbone
from tlzoo.backbones.sentence import SentenceEncoder
from tlzoo.bench.baselines import is_baseline
from tlzoo.bench.cell import EPISODE_ACCURACY, Cell, Outcome
from tlzoo.bench.fitting import fit
from tlzoo.bench.protocols.backbone_training import check_training, episode_data, train_backbone
from tlzoo.bench.protocols.networks import frozen_backbone, network_name, network_settings
from tlzoo.bench.protocols.settings import optimizer_settings
from tlzoo.bench.protocols.skeleton import Protocol, Run, class_tables
from tlzoo.bench.tuning import Settings
from tlzoo.data.episodes import EpisodeIndices, EpisodeList
from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.data.tasks import EpisodeTask
from tlzoo.errors import InputError, InputTypeError
from tlzoo.lit import EpisodeData, OneShot
from tlzoo.lit.frozen_features import with_tokens
from tlzoo.methods.episode_answers import EpisodeAnswers
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.scoring import ClassScores, EpisodeScores
from tlzoo.types import Episode, Sees

__all__ = ["EpisodeProtocol"]

_STORED_SCORES = 2_000_000
_VALIDATION_EPISODES = 400
_LOOKED_AT, _LOOKED_AT_SLOWLY = 64, 3
"""Test episodes whose answers are compared, together and alone: for classifiers of features, and for all others."""

EpisodeRun = Run[EpisodeData, OneShot]
Split = Literal["validation", "novel"]


class EpisodeProtocol(Protocol[EpisodeTask, EpisodeData, OneShot]):
    """Answers the frozen list of episodes; the interval is over episodes.

    With ``steps`` in the budget, the method is first trained on episodes of the base classes.
    With ``training`` among the module's settings the backbone is trained instead, see
    :mod:`tlzoo.bench.protocols.backbone_training`; ``training: none`` is for methods that adapt the backbone itself, as
    it comes, to every episode. Candidates are chosen by accuracy on episodes of the validation classes.
    """

    takes = EpisodeTask

    @classmethod
    def load(cls, cell: Cell, task: EpisodeTask) -> EpisodeData:
        """Return the data of a cell: frozen features, or raw inputs if the backbone is trained."""
        if cell.budget.get("new"):
            raise InputError(f"{cell.method} cannot answer new classes, which have a text alone; leave new out")
        check_training(cell)
        return episode_data(cell, task, features=None if "training" in cell.module else frozen_backbone(cell))

    def build(self, cell: Cell, settings: Settings) -> EpisodeRun:
        """Return module and data; the cell's backbone is trained here, because the data are its features."""
        match cell.module.get("training"):
            case None:
                return Run(cell=cell, data=self.data, module=self._on_features(cell, settings))
            case "none":
                return self._as_it_comes(cell, settings)
        validate = self._validated if self._has_validation_episodes() else None
        return train_backbone(cell, self.task, settings, validate=validate, on_progress=self._first_half)

    def _first_half(self, share: float) -> None:
        self.on_progress(share / 2)

    def _on_features(self, cell: Cell, settings: Settings) -> OneShot:
        return OneShot(
            "identity",
            cell.method,
            way=self.data.way,
            optimizer=optimizer_settings(cell),
            backbone_settings={"num_features": self.data.num_features},
            method_settings=settings,
        )

    def _as_it_comes(self, cell: Cell, settings: Settings) -> EpisodeRun:
        """Return the module on raw inputs, whose method adapts the backbone; texts come as tokens.

        Raises:
            TypeError: a method on features.
        """
        backbone = create_backbone(network_name(cell), **network_settings(cell, self.task))
        module = OneShot(backbone.requires_grad_(True), cell.method, way=self.data.way, method_settings=settings).eval()
        if isinstance(module.method, EpisodeClassifier):
            raise InputTypeError(
                f"training: none adapts the backbone, {cell.method} takes its features; leave training out"
            )
        data = self.data
        if isinstance(backbone, SentenceEncoder):
            data = episode_data(cell, with_tokens(self.task, backbone))
        return Run(
            cell=cell, data=data, module=module, notes={"training": "none; the backbone adapts to every episode"}
        )

    def train(self, run: EpisodeRun) -> None:
        """Train the method's own parameters on frozen features, if the budget has steps."""
        steps = int(run.cell.budget.get("steps", 0))
        if steps and "training" not in run.cell.module:
            fit(run.module, run.data, run.cell, steps=steps, on_progress=self._first_half)
        run.module.eval()
        _show_base(run.module, run.data)

    def measure(self, run: EpisodeRun) -> Mapping[str, float]:
        """Return the accuracy on episodes of the validation classes."""
        return {"validation": self._validated(run.module, run.data)}

    def validation(self, run: EpisodeRun) -> float:
        """Return the accuracy on episodes of the validation classes, at the best checkpoint of a trained backbone."""
        return max(run.curves["validation"]) if run.curves else self.measure(run)["validation"]

    def _validated(self, module: OneShot, data: EpisodeData) -> float:
        _show_base(module, data)
        episodes = data.episode_list("validation")[:_VALIDATION_EPISODES]
        logits = _answers(module, data, "validation", episodes)
        return EpisodeScores().of(logits, torch.from_numpy(episodes.query_labels.copy()))["accuracy"]

    def outcome(self, run: EpisodeRun, note: dict[str, Any]) -> Outcome:
        """Return the outcome on the episodes of the novel classes."""
        data, frozen, counted = run.data, run.data.episode_list(), EpisodeScores()
        logits = _answers(run.module, data, "novel", frozen.episodes, lambda share: self.on_progress(0.5 + share / 2))
        figures = counted.of(logits, torch.from_numpy(frozen.episodes.query_labels.copy()))
        answered = {"query_logits": logits.cpu().numpy()} if logits.numel() <= _STORED_SCORES else {}
        ids = data.task.novel.base[1][frozen.episodes.query]
        asked = {"query_logits#labels": frozen.episodes.query_labels, "query_logits#ids": ids} if answered else {}
        looked = _Looked(run.module, data, frozen.episodes)
        # a reference is chosen among the baselines on episodes of validation classes, so all of them have that figure
        rehearsed = is_baseline(self.cell) and self._has_validation_episodes()
        held_out = {"validation/accuracy": self.validation(run)} if rehearsed else {}
        trains = self.cell.budget.get("steps") or self.cell.module.get("training", "none") != "none"
        return self.found(
            run,
            metrics={**{f"test/{name}": value for name, value in figures.items()}, **held_out},
            predictions={EPISODE_ACCURACY: counted.by_episode().astype(np.float32), **answered},
            split=content_hash(data.task.novel.checksum, frozen.hash),
            tables={**self._by_class(logits, frozen, data.task.novel), **asked},
            answer=looked.episodes,
            items=looked.numbers,
            further=map(looked.queries, looked.numbers[:: max(len(looked.numbers) // 3, 1)].tolist()),
            shown={
                *((Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS) if trains else ()),
                *((Sees.VALIDATION_LABELS,) if note else ()),
            },
            episodes=len(frozen),
            episode_list=frozen.hash,
            interval="1.96 s / sqrt(n) over episodes",
            **note,
        )

    def _has_validation_episodes(self) -> bool:
        """Return whether there are validation episodes; a small task has too few classes or examples for them."""
        labels, data = self.task.validation.labels, self.data
        if labels is None:
            return False
        return int((np.bincount(labels[labels >= 0]) >= data.shot + data.query).sum()) >= data.way

    def _by_class(self, logits: Tensor, frozen: EpisodeList, novel: ExampleSet) -> dict[str, Any]:
        """Return counts of the novel classes, each query answered among those of its episode."""
        support, support_labels, _, query_labels = frozen.episodes
        assert novel.labels is not None
        classes = np.empty((len(frozen), frozen.way), dtype=np.int64)  # of each label of each episode
        np.put_along_axis(classes, support_labels, novel.labels[support], axis=1)
        answers = logits.argmax(dim=-1).cpu().numpy()
        pairs = [torch.from_numpy(np.take_along_axis(classes, own, axis=1).ravel()) for own in (answers, query_labels)]
        scores = ClassScores(max(self.task.num_classes, int(novel.labels.max()) + 1))
        scores.count(*pairs)
        return class_tables("query_logits", scores, self.task.class_names)


class _Looked:
    """Answers of a module to some test episodes together, and to the queries of one, to see whether company matters.

    Attributes:
        numbers: of the episodes that are looked at, as many as are answered together; few of what adapts to each.
    """

    def __init__(self, module: OneShot, data: EpisodeData, episodes: EpisodeIndices) -> None:
        self.module, self.data, self.all = module, data, episodes
        whole = isinstance(module.method, EpisodeClassifier) and Sees.TEST_INPUTS not in module.method.sees
        most = min(_LOOKED_AT if whole else _LOOKED_AT_SLOWLY, len(episodes.support))
        self.numbers = torch.from_numpy(np.linspace(0, len(episodes.support) - 1, most).astype(int))
        self.features = data.task.novel.whole().inputs

    def episodes(self, numbers: Tensor) -> Tensor:
        """Return the logits (E, Q, way) of episodes, answered together."""
        return _answers(self.module, self.data, "novel", EpisodeIndices(*(part[numbers.numpy()] for part in self.all)))

    def queries(self, number: int) -> tuple[Callable[[Tensor], Tensor], Tensor]:
        """Return what answers queries of an episode, and its queries."""
        one = EpisodeIndices(*(part[number : number + 1] for part in self.all))
        episode = next(_batches(self.features, one, way=self.data.way))
        return lambda query: self.module(replace(episode, query=query.unsqueeze(0)))[0], episode.query[0]


def _show_base(module: OneShot, data: EpisodeData) -> None:
    if Sees.SOURCE_INPUTS in module.method.sees:
        base = data.base_examples(module.method.sees, by=module.method_name)
        module.fit_base(base.inputs, base.labels)


def _answers(
    module: OneShot, data: EpisodeData, split: Split, episodes: EpisodeIndices, on_progress: Any = lambda _: None
) -> Tensor:
    """Return the query logits (E, Q, way) of episodes of a split."""
    features = getattr(data.task, split).whole().inputs
    if isinstance(module.method, EpisodeClassifier):
        return EpisodeAnswers(module.method, features)(episodes, way=data.way, on_progress=on_progress)
    with torch.no_grad():
        return torch.cat([module(episode) for episode in _batches(features, episodes, way=data.way)])


def _batches(features: Tensor, episodes: EpisodeIndices, *, way: int, size: int = 50) -> Iterator[Episode]:
    for first in range(0, len(episodes.support), size):
        support, labels, query, _ = (torch.from_numpy(array[first : first + size].copy()) for array in episodes)
        yield Episode(
            support=features[support], support_labels=labels, query=features[query], query_labels=None, way=way
        )
