"""One-shot and few-shot learning."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from tlzoo.data.episodes import EpisodeList, EpisodeSampler
from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.data.quarter_turns import with_quarter_turns
from tlzoo.data.tasks.base import Task, close, restricted
from tlzoo.errors import InputError
from tlzoo.functional.checks import check_counts
from tlzoo.randomness import Stream
from tlzoo.types import Sees

__all__ = ["EpisodeTask", "EpisodeTrainingData"]


@dataclass(frozen=True, kw_only=True, eq=False)
class EpisodeTrainingData:
    """What an episode classifier sees in addition to its support sets."""

    base: ExampleSet


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class EpisodeTask(Task):
    """One-shot and few-shot: classes split into base, validation and novel; episodes come from novel.

    ``cross_domain`` episodes take a class's support from one domain (``ExampleSet.domains``), drawn for each class,
    and its queries from all others.

    Attributes:
        base: classes to train on; may be empty.
        validation: classes to choose settings on; may be empty.
        novel: classes of the test episodes.
        within: name of an attribute of the sets that all classes of an episode share; None for any classes.
        listed: the test episodes if the protocol lists them, as indices into ``novel``; None if they are drawn.

    Raises:
        ValueError: a set lacks the attribute, or a listed episode has a class without support, a missing item, or an
            item in both support and query.
    """

    kind: ClassVar[str] = "episode"
    _not_in_checksum: ClassVar[frozenset[str]] = frozenset({"within", "listed"})
    _labelled: ClassVar[frozenset[str]] = frozenset({"validation", "novel"})
    _may_be_empty: ClassVar[frozenset[str]] = frozenset({"base", "validation"})
    base: ExampleSet
    validation: ExampleSet
    novel: ExampleSet
    cross_domain: bool = False
    way: int = 5
    shot: int = 1
    query: int = 6
    within: str | None = None
    listed: EpisodeList | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(way=self.way, shot=self.shot, query=self.query)
        lacking = [name for name, part in self.sets().items() if self.within not in (None, *part.attributes)]
        if lacking:
            raise InputError(
                f"{self.name}: no attribute {self.within!r}, which episodes share, in {', '.join(lacking)}"
            )
        if self.listed is not None:
            self._check_listed(self.listed)

    def _check_listed(self, listed: EpisodeList) -> None:
        for place in range(len(listed)):
            support, labels, query, _ = listed[place]
            items = np.concatenate([support, query])
            if len(missing := np.setdiff1d(np.arange(listed.way), labels)):
                wrong = f"class {missing[0]} of {listed.way} has no support; give each class one at least"
            elif not len(query):
                wrong = "there is no query; give one at least"
            elif items.min() < 0 or items.max() >= len(self.novel):
                wrong = f"items from {items.min()} to {items.max()}, where novel has {len(self.novel)}"
            elif len(both := np.intersect1d(support, query)):
                wrong = f"item {both[0]} is both support and query; its answer would be known"
            else:
                continue
            raise InputError(f"{self.name}: listed episode {place}: {wrong}")

    @property
    def checksum(self) -> str:
        """The identity of the data, the split and everything that the protocol fixes, including ``within``."""
        extra: list[Any] = [] if self.listed is None else [self.listed.hash]
        if self.within is not None:
            extra += [part.attributes[self.within] for part in self.sets().values()]
        return content_hash(super().checksum, *extra) if extra else super().checksum

    def training_data(self, sees: Collection[Sees], *, by: str) -> EpisodeTrainingData:
        """Return the base set as ``by``, a method that declares ``sees``, may see it."""
        whole = EpisodeTrainingData(base=restricted(self.base, by=by, labels=Sees.SOURCE_LABELS in sees))
        return close(whole, {"base": Sees.SOURCE_INPUTS}, sees, by=by)

    def episodes(
        self,
        split: Literal["base", "validation", "novel"] = "novel",
        *,
        seed: int,
        stream: Stream = Stream.EPISODES,
        dirichlet: float | None = None,
        quarter_turns: bool = False,
        **shape: int,
    ) -> EpisodeSampler:
        """Return the sampler of episodes from one split.

        Args:
            split: the classes to draw from.
            seed: an episode depends only on seed, stream and step.
            stream: stream of random numbers: that of training, or that of the fixed test lists.
            dirichlet: concentration of the class proportions of the queries; None for balanced queries.
            quarter_turns: draw from the split and its turned copies, whose indices follow its own, see
                :func:`~tlzoo.data.quarter_turns.with_quarter_turns`.
            shape: ``way``, ``shot`` or ``query``, to override the task's.

        Raises:
            ValueError: the split has no labels, or too few classes have enough examples.
        """
        examples: ExampleSet = getattr(self, split)
        if examples.labels is None:
            raise InputError(f"{split} of {self.name} has no labels; episodes are drawn by class")
        examples = with_quarter_turns(examples) if quarter_turns else examples
        assert examples.labels is not None
        try:
            return EpisodeSampler(
                examples.labels,
                seed=seed,
                stream=stream,
                domains=examples.domains if self.cross_domain else None,
                dirichlet=dirichlet,
                superclasses=None if self.within is None else examples.attributes[self.within],
                **{"way": self.way, "shot": self.shot, "query": self.query, **shape},
            )
        except ValueError as error:
            raise InputError(f"{split} classes of {self.name}: {error}") from error
