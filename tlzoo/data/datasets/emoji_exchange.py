"""One test set of emoji that five types of transfer learning answer: draws of 20 subcategories, and 100 concepts.

All tasks of a draw and a target vendor have the same test, in the same order, and no task shows a concept of the test
in any style; but the pictures of the 100 concepts in other styles are what is labelled there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.datasets.emoji import SOURCES, VENDORS, EmojiTable, load_emoji
from tlzoo.data.datasets.emoji_tasks import labelled_concepts, second_half
from tlzoo.data.episodes import EpisodeIndices, EpisodeList
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.few_labels import DRAWS, MOST_SHOTS, few_labels
from tlzoo.data.splits import group_order, group_split
from tlzoo.data.tasks import DomainTask, EpisodeTask, MultitaskTask, Target, ZeroShotTask
from tlzoo.randomness import Stream, numpy_generator

__all__ = ["concept_few", "concept_names", "draw_domains", "draw_few", "draw_names", "draw_second_task"]

_TRAIN_SHARE = 0.7
_CLASSES = 20
_LEAST_TEST = 2
_CONCEPTS = 100
_REHEARSED = 10
_NAMED = 25
_SEED = 20
_DEVELOPMENT = "dev"

Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class _Draw:
    """The concepts of a draw of classes.

    Attributes:
        table: all concepts.
        subcategories: (C,) names of the classes, sorted.
        train, test: concepts to train on and to test on, in a random order.
    """

    table: EmojiTable
    subcategories: NDArray[np.str_]
    train: Indices
    test: Indices

    def labels(self, concepts: Indices) -> Indices:
        """Return the classes of concepts."""
        return np.searchsorted(self.subcategories, self.table.subcategories[concepts])

    @cached_property
    def halves(self) -> tuple[Indices, Indices]:
        """The training concepts of the labelled source and of the unlabelled target, groups apart."""
        order = np.sort(self.train)
        second = second_half(group_order(self.table.groups)[order], self.labels(order))
        return self.train[np.isin(self.train, order[~second])], self.train[np.isin(self.train, order[second])]

    def pictures(self, concepts: Indices, vendors: tuple[str, ...]) -> ExampleSet:
        """Return pictures of concepts in some vendors' styles, with their classes."""
        numbers = [list(VENDORS).index(vendor) for vendor in vendors]
        return self.table.examples(concepts, numbers, self.labels(concepts))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Subcategory and category in words."""
        return tuple(_in_words(self.table, name) for name in self.subcategories.tolist())

    @property
    def others(self) -> Indices:
        """Concepts of all other subcategories, flags left out."""
        apart = np.isin(self.table.subcategories, self.subcategories) | (self.table.categories == "Flags")
        return np.flatnonzero(~apart)


def draw_domains(name: str, *, source: str, target: str, draw: str) -> DomainTask:
    """Build ``emoji/subcategory:S->T:drawN``: 20 of the subcategories, labelled in the source's style.

    The 20 are drawn from the 28 subcategories of 12 training concepts or more. As in the ``unpaired`` tasks, labelled
    source and unlabelled target are pictures of different concepts.

    Args:
        name: of the task.
        source: vendor with labels.
        target: vendor of the test.
        draw: ``0``, ``1`` ...; ``dev`` has the subcategories that are in no draw, to choose settings on.
    """
    drawn = _drawn(draw)
    ours, theirs = drawn.halves
    return DomainTask(
        name=name,
        class_names=tuple(drawn.subcategories.tolist()),
        sources=SOURCES,
        mirrored=True,
        source_train=drawn.pictures(ours, (source,)),
        source_test=drawn.pictures(drawn.test, (source,)),
        target_train=drawn.pictures(theirs, (target,)),
        target_test=drawn.pictures(drawn.test, (target,)),
    )


def draw_few(name: str, *, target: str, draw: str) -> EpisodeTask:
    """Build ``emoji/subcategory:T:drawN:few``: the test of a draw from a few labelled pictures in its own style.

    They are drawn from all training concepts. The base set is other vendors' pictures of subcategories in no draw.
    """
    drawn, apart = _drawn(draw), _drawn(_DEVELOPMENT)
    base = apart.pictures(apart.train, _others(target))
    assert base.labels is not None
    return few_labels(
        name,
        drawn.pictures(drawn.train, (target,)),
        drawn.pictures(drawn.test, (target,)),
        class_names=(*drawn.subcategories.tolist(), *(f"other: {each}" for each in apart.subcategories.tolist())),
        base=base.with_labels(len(drawn.subcategories) + base.labels),
        way=len(drawn.subcategories),
        sources=SOURCES,
    )


def draw_names(name: str, *, target: str, draw: str) -> ZeroShotTask:
    """Build ``emoji/subcategory:T:drawN:names``: the test of a draw from descriptions of its classes alone.

    A class is described by its name, or (``description``) by its name and those of its training concepts, of which
    there is no picture. Methods are fitted to the other concepts, each a class of its own, as other vendors draw them.
    Ten other subcategories are held out to choose settings on.
    """
    drawn = _drawn(draw)
    table, others = drawn.table, drawn.others
    names = np.unique(table.subcategories[others])
    counts = np.array([(table.subcategories[others] == each).sum() for each in names.tolist()])
    rehearsed = np.sort(names[np.argsort(-counts, kind="stable")[:_REHEARSED]])
    is_held = np.isin(table.subcategories[others], rehearsed)
    seen, held = others[~is_held], others[is_held]
    held_words = [_described(table, each, held[table.subcategories[held] == each]) for each in rehearsed.tolist()]
    own_words = [
        _described(table, each, np.sort(drawn.train[table.subcategories[drawn.train] == each]))
        for each in drawn.subcategories.tolist()
    ]
    first, second = len(seen), len(seen) + len(rehearsed)
    everyone = [list(VENDORS).index(vendor) for vendor in _others(target)]
    test = drawn.pictures(drawn.test, (target,))
    assert test.labels is not None
    return ZeroShotTask(
        name=name,
        class_names=(
            *table.names[seen].tolist(),
            *(_in_words(table, each) for each in rehearsed.tolist()),
            *drawn.class_names,
        ),
        descriptions=(*table.descriptions[seen].tolist(), *held_words, *own_words),
        sources=SOURCES,
        seen=np.arange(first),
        held_out=np.arange(first, second),
        unseen=second + np.arange(len(drawn.subcategories)),
        train=table.examples(seen, everyone, np.arange(first)),
        validation=table.examples(held, everyone, first + np.searchsorted(rehearsed, table.subcategories[held])),
        test=test.with_labels(second + test.labels),
    )


def draw_second_task(name: str, *, source: str, target: str, draw: str) -> MultitaskTask:
    """Build ``emoji/subcategory:S->T:drawN:second``: the labelled source of a draw, and a second task beside it.

    Targets: ``class`` (20), and ``category`` (8) of the same pictures and of all other subcategories' in the source's
    style, whose ``class`` is missing. Validation is on the source, the test on the target.
    """
    drawn = _drawn(draw)
    table = drawn.table
    categories = np.setdiff1d(table.categories, ["Flags"])
    ours, _ = drawn.halves

    def pictures(concepts: Indices, vendor: str) -> ExampleSet:
        known = np.isin(table.subcategories[concepts], drawn.subcategories)
        shown = table.examples(concepts, [list(VENDORS).index(vendor)], np.zeros_like(concepts))
        targets = {
            "class": np.where(known, drawn.labels(concepts), -1),
            "category": np.searchsorted(categories, table.categories[concepts]),
        }
        return ExampleSet(
            inputs=shown.inputs, modality="image", targets=targets, attributes=shown.attributes, checksum=shown.checksum
        )

    return MultitaskTask(
        name=name,
        sources=SOURCES,
        targets={"class": Target(classes=len(drawn.subcategories)), "category": Target(classes=len(categories))},
        train=pictures(np.concatenate([ours, drawn.others]), source),
        validation=pictures(drawn.test, source),
        test=pictures(drawn.test, target),
    )


def concept_few(name: str, *, target: str, draw: str) -> EpisodeTask:
    """Build ``emoji/concept:T:drawN:few``: 100 concepts in the target's style, from pictures in other styles.

    There is one picture of a concept in each style, so the labelled ones are those of other vendors, one to six.
    """
    table, concepts, others = _concepts(draw)
    numbers = np.arange(_CONCEPTS)
    vendors = [list(VENDORS).index(vendor) for vendor in _others(target)]
    pool = table.examples(concepts, vendors, numbers)
    test = table.examples(concepts, [list(VENDORS).index(target)], numbers)
    shot = len(vendors)
    orders = [
        numpy_generator(seed, Stream.TARGET_SHOTS).permuted(np.tile(np.arange(shot), (_CONCEPTS, 1)), axis=1)
        for seed in range(DRAWS)
    ]
    episodes = EpisodeIndices(
        support=np.stack([(numbers[:, None] * shot + order).ravel() for order in orders]),
        support_labels=np.tile(numbers.repeat(shot), (DRAWS, 1)),
        query=np.tile(len(pool) + numbers, (DRAWS, 1)),
        query_labels=np.tile(numbers, (DRAWS, 1)),
    )
    base = table.examples(others, vendors, np.zeros_like(others))
    return EpisodeTask(
        name=name,
        class_names=tuple(table.names[concepts].tolist()),
        sources=SOURCES,
        base=base,
        validation=base,
        novel=ExampleSet.pooled([pool, test]),
        way=_CONCEPTS,
        shot=shot,
        query=1,
        listed=EpisodeList(episodes=episodes, way=_CONCEPTS, shot=shot, query=1),
    )


def concept_names(name: str, *, target: str, draw: str) -> ZeroShotTask:
    """Build ``emoji/concept:T:drawN:names``: 100 concepts in the target's style, from names and keywords alone.

    Methods are fitted to all other concepts as other vendors draw them; 100 of them are held out to choose settings on.
    """
    table, concepts, others = _concepts(draw)
    vendors = [list(VENDORS).index(vendor) for vendor in _others(target)]
    held, seen = others[:_CONCEPTS], others[_CONCEPTS:]
    return ZeroShotTask(
        name=name,
        class_names=tuple(table.names.tolist()),
        sources=SOURCES,
        descriptions=tuple(table.descriptions.tolist()),
        seen=np.sort(seen),
        held_out=np.sort(held),
        unseen=concepts,
        train=table.examples(np.sort(seen), vendors, np.sort(seen)),
        validation=table.examples(np.sort(held), vendors, np.sort(held)),
        test=table.examples(concepts, [list(VENDORS).index(target)], concepts),
    )


def _concepts(draw: str) -> tuple[EmojiTable, Indices, Indices]:
    """Return 100 concepts, sorted, and those of other groups, in a random order; no two of the 100 share a group."""
    table = load_emoji()
    order = np.random.default_rng((_SEED, int(draw))).permutation(np.flatnonzero(table.categories != "Flags"))
    _, firsts = np.unique(table.groups[order], return_index=True)
    chosen = np.sort(order[np.sort(firsts)[:_CONCEPTS]])
    return table, chosen, order[~np.isin(table.groups[order], table.groups[chosen])]


def _drawn(draw: str) -> _Draw:
    table = load_emoji()
    concepts, labels, names = labelled_concepts(table, "subcategory")
    train, test = group_split(table.groups[concepts], _TRAIN_SHARE)
    counts, tested = (np.bincount(labels[part], minlength=len(names)) for part in (train, test))
    large = np.flatnonzero((counts >= MOST_SHOTS) & (tested >= _LEAST_TEST))
    if draw == _DEVELOPMENT:
        classes = np.setdiff1d(np.arange(len(names)), large)
    else:
        classes = np.sort(np.random.default_rng((_SEED, int(draw))).permutation(large)[:_CLASSES])

    def shuffled(part: Indices) -> Indices:
        kept = np.random.default_rng(_SEED).permutation(part[np.isin(labels[part], classes)])
        chosen: Indices = concepts[kept]
        return chosen

    return _Draw(table=table, subcategories=np.array(names)[classes], train=shuffled(train), test=shuffled(test))


def _others(vendor: str) -> tuple[str, ...]:
    return tuple(each for each in VENDORS if each != vendor)


def _in_words(table: EmojiTable, subcategory: str) -> str:
    """Return what a subcategory is called, with its category, which tells it from a concept of the same name."""
    category = str(table.categories[table.subcategories == subcategory][0])
    return f"{subcategory.replace('-', ' ')}, {category.lower()}"


def _described(table: EmojiTable, subcategory: str, members: Indices) -> str:
    """Return the name of a subcategory followed by names of members."""
    return f"{_in_words(table, subcategory)}: {', '.join(table.names[members[:_NAMED]].tolist())}"
