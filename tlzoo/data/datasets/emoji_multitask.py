"""Emoji by category, subcategory and vendor, all from one image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.datasets.emoji import SOURCES, VENDORS, load_emoji
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.splits import group_split
from tlzoo.data.tasks import MultitaskTask, Target

__all__ = ["emoji_multitask"]

_CUTS = (0.6, 0.8)
_SUBCATEGORY_SIZE = 10


def emoji_multitask(name: str) -> MultitaskTask:
    """Build ``emoji-tasks``: the concepts of eight categories (all but flags), drawn by seven vendors.

    Targets: ``category`` (8), ``subcategory`` (those with at least ten concepts; otherwise missing) and ``vendor``
    (7). The parts have no concept group in common: 60 % train, 20 % validation, 20 % test.
    """
    table = load_emoji()
    concepts = np.flatnonzero(table.categories != "Flags")
    categories, category = _encoded(table.categories[concepts], least=1)
    subcategories, subcategory = _encoded(table.subcategories[concepts], least=_SUBCATEGORY_SIZE)
    count = len(VENDORS)

    def pictures(chosen: NDArray[np.int64]) -> ExampleSet:
        vendors = np.arange(count, dtype=np.int64)
        shown = table.examples(concepts[chosen], vendors, category[chosen])
        targets = {
            "category": np.repeat(category[chosen], count),
            "subcategory": np.repeat(subcategory[chosen], count),
            "vendor": np.tile(vendors, len(chosen)),
        }
        return ExampleSet(
            inputs=shown.inputs,
            modality=shown.modality,
            targets=targets,
            attributes=shown.attributes,
            checksum=shown.checksum,
        )

    train, validation, test = (pictures(part) for part in group_split(table.groups[concepts], *_CUTS))
    sizes = {"category": len(categories), "subcategory": len(subcategories), "vendor": count}
    return MultitaskTask(
        name=name,
        sources=SOURCES,
        targets={target: Target(classes=size) for target, size in sizes.items()},
        train=train,
        validation=validation,
        test=test,
    )


def _encoded(column: NDArray[np.str_], *, least: int) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Return the names that occur at least ``least`` times, and the index (N,) of each item's name; -1 for others."""
    names, counts = np.unique(column, return_counts=True)
    names = names[counts >= least]
    places = np.searchsorted(names, column).clip(max=len(names) - 1)
    return names, np.where(names[places] == column, places, -1).astype(np.int64)
