"""The emoji tasks: adaptation between vendors, learning from one image per concept, and unseen concepts.

Splits go by concept group (:func:`tlzoo.data.datasets.emoji.load_emoji`), which near-copies share: gender variants of
one emoji, clock faces, arrows that differ in their direction ...
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.datasets.emoji import SOURCES, VENDORS, EmojiTable, load_emoji
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.splits import group_order, group_split, thinned
from tlzoo.data.tasks import DomainTask, EpisodeTask, ZeroShotTask

__all__ = [
    "emoji_adaptation",
    "emoji_oneshot",
    "emoji_oneshot_hard",
    "emoji_subcategories",
    "emoji_unseen",
    "labelled_concepts",
    "second_half",
]

_TRAIN_SHARE = 0.7
_SUBCATEGORY_CONCEPTS = 5
_HARD_WAY = 10
_UNSEEN_CONCEPTS = 200
_CONCENTRATION = 2.0
_SHIFT_SEED = 0
_ORDER_SEED = 1

Indices = NDArray[np.int64]


def emoji_adaptation(name: str, *, classes: str, source: str, target: str, variant: str = "") -> DomainTask:
    """Build ``emoji/category`` or ``emoji/subcategory`` between two vendors.

    Eight categories (flags are too few) or the 49 subcategories of at least ten concepts in five groups; 70 % of the
    groups are trained on, the others are the test.

    Args:
        name: name of the task.
        classes: ``category`` or ``subcategory``.
        source: vendor with labels.
        target: vendor to adapt to.
        variant: ``unpaired``: source and target train on disjoint halves of the training groups of each class, as two
            collections do: the figure to look at first. ``shifted``: each
            class of the target keeps a share of its examples, in proportion to one fixed Dirichlet draw. Else both
            train on the same concepts, which their order does not tell.
    """
    table = load_emoji()
    concepts, labels, class_names = labelled_concepts(table, classes)
    train, test = group_split(table.groups[concepts], _TRAIN_SHARE)
    source_train, target_train, target_test = train, train, test
    if variant == "unpaired":
        second = second_half(group_order(table.groups[concepts])[train], labels[train])
        source_train, target_train = train[~second], train[second]
    elif variant == "shifted":
        keep = _class_shares(len(class_names))
        target_train = train[thinned(labels[train], keep, seed=_SHIFT_SEED)]
        target_test = test[thinned(labels[test], keep, seed=_SHIFT_SEED)]

    def pictures(chosen: Indices, vendor: str, place: int) -> ExampleSet:
        # in an order of its own: a place in one set says nothing of the same place in another
        chosen = np.random.default_rng((_ORDER_SEED, place)).permutation(chosen)
        return table.examples(concepts[chosen], [list(VENDORS).index(vendor)], labels[chosen])

    return DomainTask(
        name=name,
        class_names=class_names,
        sources=SOURCES,
        mirrored=True,
        source_train=pictures(source_train, source, 0),
        source_test=pictures(test, source, 1),
        target_train=pictures(target_train, target, 2),
        target_test=pictures(target_test, target, 3),
    )


def emoji_oneshot(name: str) -> EpisodeTask:
    """Build ``emoji-oneshot``: classes are concepts; 60 % of the groups are base, 20 % validation, 20 % novel.

    Class indices begin with the base concepts, followed by those for validation and the novel ones.
    """
    table = load_emoji()
    return _episode_task(name, table, group_split(table.groups, 0.6, 0.8))


def emoji_oneshot_hard(name: str) -> EpisodeTask:
    """Build ``emoji-oneshot-hard``: whole subcategories are base, validation or novel; episodes stay within one.

    The ten classes of an episode come from one subcategory (ten animals, ten faces ...), so features that only separate
    subcategories do not help. The 52 subcategories with at least ten concepts are split 60/20/20; gender variants are
    separate classes here.
    """
    table = load_emoji()
    names, counts = np.unique(table.subcategories, return_counts=True)
    concepts = np.flatnonzero(np.isin(table.subcategories, names[counts >= _HARD_WAY]))
    parts = [concepts[part] for part in group_split(table.subcategories[concepts], 0.6, 0.8)]
    return _episode_task(name, table, parts, way=_HARD_WAY, within="subcategory")


def emoji_subcategories(name: str) -> EpisodeTask:
    """Build ``emoji-subcategories``: classes are the subcategories with five concepts or more, each by seven vendors.

    Half of the 88 subcategories are base, 20 % validation, 30 % novel. A class has 35 pictures or more, which is enough
    for 16 shots. Support and queries may show the same concept as two vendors draw it.
    """
    table = load_emoji()
    names, counts = np.unique(table.subcategories, return_counts=True)
    classes = names[counts >= _SUBCATEGORY_CONCEPTS]
    parts = group_split(classes, 0.5, 0.7)
    order = np.concatenate(parts)
    places = {subcategory: place for place, subcategory in enumerate(classes[order])}

    def pictures(part: Indices) -> ExampleSet:
        concepts = np.flatnonzero(np.isin(table.subcategories, classes[part]))
        labels = np.array([places[each] for each in table.subcategories[concepts]])
        return table.examples(concepts, range(len(VENDORS)), labels)

    base, validation, novel = map(pictures, parts)
    return EpisodeTask(
        name=name,
        class_names=tuple(str(each).replace("-", " ") for each in classes[order]),
        sources=SOURCES,
        base=base,
        validation=validation,
        novel=novel,
        way=16,
        query=3,
    )


def _episode_task(
    name: str, table: EmojiTable, parts: Sequence[Indices], *, way: int = 5, within: str | None = None
) -> EpisodeTask:
    """Return the task whose base, validation and novel classes are the concepts of three parts."""
    firsts = np.cumsum([0, *map(len, parts)])

    def pictures(part: Indices, first: int) -> ExampleSet:
        examples = table.examples(part, range(len(VENDORS)), first + np.arange(len(part)))
        subcategories = np.repeat(table.subcategories[part], len(VENDORS))
        return replace(examples, attributes={**examples.attributes, "subcategory": subcategories})

    base, validation, novel = (pictures(part, int(first)) for part, first in zip(parts, firsts, strict=False))
    return EpisodeTask(
        name=name,
        class_names=tuple(table.names[np.concatenate(parts)].tolist()),
        sources=SOURCES,
        base=base,
        validation=validation,
        novel=novel,
        cross_domain=True,
        way=way,
        query=len(VENDORS) - 1,
        within=within,
    )


def emoji_unseen(name: str, *, generalized: bool = False) -> ZeroShotTask:
    """Build ``emoji-unseen``: at least 200 concepts, in random groups, are unseen, and another 200 or more held out.

    Args:
        name: name of the task.
        generalized: also test on seen concepts: on the image of the i-th seen concept by vendor i mod 7, which is
            then left out of training.
    """
    table = load_emoji()
    unseen, held_out, seen = _by_minimum(group_order(table.groups), _UNSEEN_CONCEPTS)
    everyone = range(len(VENDORS))
    train, test_seen = table.examples(seen, everyone, seen), None
    if generalized:
        tested = np.zeros((len(seen), len(VENDORS)), dtype=bool)
        tested[np.arange(len(seen)), np.arange(len(seen)) % len(VENDORS)] = True
        train, test_seen = train.subset(~tested.ravel()), train.subset(tested.ravel())
    return ZeroShotTask(
        name=name,
        class_names=tuple(table.names.tolist()),
        sources=SOURCES,
        descriptions=tuple(table.descriptions.tolist()),
        seen=seen,
        held_out=held_out,
        unseen=unseen,
        train=train,
        validation=table.examples(held_out, everyone, held_out),
        test=table.examples(unseen, everyone, unseen),
        test_seen=test_seen,
    )


def labelled_concepts(table: EmojiTable, classes: str) -> tuple[Indices, Indices, tuple[str, ...]]:
    """Return the concepts of classes that count, their labels, and the classes' names."""
    if classes == "category":
        column, names = table.categories, np.setdiff1d(table.categories, ["Flags"])
    else:
        column, names = table.subcategories, table.large_subcategories()
    concepts = np.flatnonzero(np.isin(column, names))
    return concepts, np.searchsorted(names, column[concepts]), tuple(names.tolist())


def second_half(places: Indices, labels: Indices) -> NDArray[np.bool_]:
    """Return which items (N,) are in the second half of the groups of their class: every other one by its place.

    A group counts for the class that most of its items are of.
    """
    groups, members = np.unique(places, return_inverse=True)
    counts = np.zeros((len(groups), labels.max() + 1), dtype=np.int64)
    np.add.at(counts, (members, labels), 1)
    by_class = np.lexsort((groups, counts.argmax(axis=1)))
    second = np.zeros(len(groups), dtype=bool)
    second[by_class[1::2]] = True
    return second[members]


def _class_shares(count: int) -> NDArray[np.float64]:
    drawn: NDArray[np.float64] = np.random.default_rng(_SHIFT_SEED).dirichlet(np.full(count, _CONCENTRATION))
    return drawn / float(drawn.max())


def _by_minimum(places: Indices, minimum: int) -> tuple[Indices, Indices, Indices]:
    """Split items by the order of their groups: twice the next groups with ``minimum`` items or more, then the rest."""
    totals = np.cumsum(np.bincount(places))
    first = int(np.searchsorted(totals, minimum)) + 1
    second = int(np.searchsorted(totals, totals[first - 1] + minimum)) + 1
    return (
        np.flatnonzero(places < first),
        np.flatnonzero((places >= first) & (places < second)),
        np.flatnonzero(places >= second),
    )
