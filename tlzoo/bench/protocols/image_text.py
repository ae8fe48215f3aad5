"""Few shots beside class texts: the list of episodes of an episode task, whose classes also have their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tlzoo.backbones import FeatureCache, create_backbone
from tlzoo.bench.cell import EPISODE_ACCURACY, Cell, OnProgress, Outcome
from tlzoo.bench.protocols.backbone_training import episode_data
from tlzoo.bench.protocols.networks import frozen_backbone
from tlzoo.bench.protocols.skeleton import Protocol, Run
from tlzoo.bench.tuning import Settings, plain
from tlzoo.data.episodes import EpisodeIndices
from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.data.tasks import EpisodeTask
from tlzoo.errors import InputError
from tlzoo.functional import AlignedSpace, aligned_space, harmonic_mean
from tlzoo.functional.checks import check_choice
from tlzoo.lit import EpisodeData
from tlzoo.lit.frozen_features import mean_direction
from tlzoo.methods.image_text_classifier import ImageTextClassifier
from tlzoo.registry import accepted_settings, create_method
from tlzoo.scoring import EpisodeScores
from tlzoo.types import Sees

__all__ = ["ImageTextProtocol"]

_VALIDATION_EPISODES = 200
_CHUNK = 32
_CLIP_SCALE = 100.0

Split = Literal["validation", "novel"]


@dataclass(kw_only=True, eq=False)
class _Aligned:
    """The data of a cell: episodes, and where pictures and texts meet."""

    episodes: EpisodeData
    texts: Tensor
    space: AlignedSpace | None

    @property
    def scale(self) -> float:
        """The factor of cosines."""
        return _CLIP_SCALE if self.space is None else self.space.scale

    def split(self, name: Split) -> tuple[Tensor, Tensor, NDArray[np.int64]]:
        """Return features of pictures, all texts, and the labels of a split."""
        examples: ExampleSet = getattr(self.episodes.task, name)
        assert examples.labels is not None
        features = examples.whole().inputs.float()
        if self.space is None:
            return features, self.texts, examples.labels
        return self.space.pictures(features), self.space.texts(self.texts), examples.labels


class _Holder(nn.Module):
    """A method where protocols look for it."""

    def __init__(self, method: ImageTextClassifier) -> None:
        super().__init__()
        self.method = method


class ImageTextProtocol(Protocol[EpisodeTask, _Aligned, _Holder]):
    """Answers the frozen list of episodes from a few pictures and the name of each class.

    ``module.texts`` names the text encoder. With ``join: ridge`` (the default) its space is joined with that of the
    backbone on the base classes, and the scale of cosines chosen on the validation classes; ``join: none`` takes the
    encoders as they are, for CLIP and its kin. With ``new`` in the budget, the last ``new`` of an episode's ``way``
    classes have a text alone: queries of supported classes are answered among these, and queries of new ones among the
    new, and ``test/harmonic`` is the harmonic mean of both accuracies. Candidates are chosen by accuracy on episodes
    of the validation classes.

    Raises:
        ValueError: no text encoder, no class names, or ``new`` leaves fewer than two supported classes.
    """

    takes = EpisodeTask

    @classmethod
    def load(cls, cell: Cell, task: EpisodeTask) -> _Aligned:
        """Return the data of a cell."""
        encoder, join = cell.module.get("texts"), str(cell.module.get("join", "ridge"))
        check_choice(join, ("ridge", "none"), what="join")
        if encoder is None or not task.class_names:
            lack = (
                "a text encoder: set module: {texts: NAME}" if encoder is None else f"names of classes of {task.name}"
            )
            raise InputError(f"{cell.method} compares pictures with class texts and lacks {lack}")
        episodes = episode_data(cell, task, features=frozen_backbone(cell))
        texts = _encoded(task, str(encoder), plain(cell.module.get("templates", ("{}",))))
        space = None
        if join == "ridge":
            held_out = (episodes.task.validation.whole().inputs.float(), *_labelled(episodes.task.validation, texts))
            base = episodes.task.base
            space = aligned_space(base.whole().inputs.float(), *_labelled(base, texts), held_out=held_out)
        return _Aligned(episodes=episodes, texts=texts, space=space)

    @property
    def new(self) -> int:
        """The number of classes of an episode with a text alone."""
        new = int(self.cell.budget.get("new", 0))
        if not 0 <= new <= self.data.episodes.way - 2:
            raise InputError(f"{new} new classes of {self.data.episodes.way}; leave two or more with support")
        return new

    def build(self, cell: Cell, settings: Settings) -> Run[_Aligned, _Holder]:
        """Return the method."""
        scale = accepted_settings(cell.method, scale=self.data.scale)
        method: Any = create_method(cell.method, **{**scale, **settings})
        return Run(cell=cell, data=self.data, module=_Holder(method))

    def train(self, run: Run[_Aligned, _Holder]) -> None:
        """Do nothing: a method learns from an episode alone."""

    def measure(self, run: Run[_Aligned, _Holder]) -> Mapping[str, float]:
        """Return the accuracy on episodes of the validation classes."""
        episodes = self.data.episodes.episode_list("validation")[:_VALIDATION_EPISODES]
        logits, labels = self._answers(run, "validation", episodes, lambda _: None)
        return {"validation": self._figures(EpisodeScores(), logits, labels)[self._headline]}

    @property
    def _headline(self) -> str:
        return "harmonic" if self.new else "accuracy"

    def validation(self, run: Run[_Aligned, _Holder]) -> float:
        """Return the accuracy on episodes of the validation classes; of base and new classes, their harmonic mean."""
        return self.measure(run)["validation"]

    def outcome(self, run: Run[_Aligned, _Holder], note: dict[str, Any]) -> Outcome:
        """Answer the episodes of the novel classes; return what the cell found."""
        frozen, counted = self.data.episodes.episode_list(), EpisodeScores()
        logits, labels = self._answers(run, "novel", frozen.episodes, self.on_progress)
        figures = self._figures(counted, logits, labels)
        joined = (Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS, Sees.VALIDATION_LABELS) if self.data.space is not None else ()
        support, support_labels, query, texts = next(self._episodes("novel", frozen[:1]))
        return self.found(
            run,
            metrics={f"test/{name}": value for name, value in figures.items()},
            predictions={EPISODE_ACCURACY: counted.by_episode().astype(np.float32)},
            split=content_hash(self.data.episodes.task.novel.checksum, frozen.hash, self.new),
            answer=lambda items: run.module.method(
                support[0], support_labels[0], items, texts[0], way=frozen.way - self.new
            ),
            items=query[0],
            shown={*joined, *((Sees.VALIDATION_LABELS,) if note else ())},
            episodes=len(frozen),
            episode_list=frozen.hash,
            interval="1.96 s / sqrt(n) over episodes",
            scale=self.data.scale,
            **note,
        )

    def _figures(self, counted: EpisodeScores, logits: Tensor, labels: Tensor) -> dict[str, float]:
        """Return the figures of query logits (E, Q, way) and labels (E, Q)."""
        if not self.new:
            return counted.of(logits, labels)
        first = logits.shape[-1] - self.new
        mixed = (labels < first).unsqueeze(-1) != (torch.arange(logits.shape[-1]) < first)
        alone = logits.masked_fill(mixed, -torch.inf)
        right, base = (alone.argmax(dim=-1) == labels).double(), (labels < first).double()
        found = [float((right * part).sum() / part.sum()) for part in (base, 1 - base)]
        both = float(harmonic_mean(*(torch.tensor(each) for each in found)))
        return {**counted.of(alone, labels), "base": found[0], "new": found[1], "harmonic": both}

    def _answers(
        self, run: Run[_Aligned, _Holder], split: Split, episodes: EpisodeIndices, on_progress: OnProgress
    ) -> tuple[Tensor, Tensor]:
        """Return the query logits (E, Q, way) and labels (E, Q) of episodes of a split."""
        method, found = run.module.method, []
        way = self.data.episodes.way - self.new
        with torch.no_grad():
            for support, labels, query, texts in self._episodes(split, episodes):
                found.append(method(support, labels, query, texts, way=way))
                on_progress(min(len(found) * _CHUNK / len(episodes.support), 1.0))
        return torch.cat(found), torch.from_numpy(episodes.query_labels.copy())

    def _episodes(self, split: Split, episodes: EpisodeIndices) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Yield support, its labels, queries and texts of some episodes at a time."""
        features, texts, labels = self.data.split(split)
        way = self.data.episodes.way
        shot = episodes.support.shape[1] // way
        kept = (way - self.new) * shot  # the support comes class by class
        for first in range(0, len(episodes.support), _CHUNK):
            support, own, query, _ = (array[first : first + _CHUNK] for array in episodes)
            classes = torch.from_numpy(labels[support[:, ::shot]])
            rows = [torch.from_numpy(np.array(part)) for part in (support[:, :kept], own[:, :kept], query)]
            yield features[rows[0]], rows[1], features[rows[2]], texts[classes]


def _labelled(examples: ExampleSet, texts: Tensor) -> tuple[Tensor, Tensor]:
    """Return labels (N,) counted from 0, and the texts of their classes."""
    assert examples.labels is not None
    classes, labels = np.unique(examples.labels, return_inverse=True)
    return torch.from_numpy(labels), texts[torch.from_numpy(classes)]


def _encoded(task: EpisodeTask, encoder: str, templates: tuple[str, ...]) -> Tensor:
    """Return the embeddings (C, A) of all class names, averaged over templates."""
    if bad := [template for template in templates if template.count("{}") != 1]:
        raise InputError(f"template {bad[0]!r}: expected one {{}} for the name of a class")
    network, store = create_backbone(encoder), FeatureCache()
    found = []
    for template in templates:
        texts = np.array([template.replace("{}", name) for name in task.class_names])
        found.append(np.array(store.features(network, texts, checksum=content_hash(texts)), dtype=np.float32))
    return torch.from_numpy(mean_direction(found))
