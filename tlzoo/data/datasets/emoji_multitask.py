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


def emoji_multitask(name: str) -> MultitaskTask:
    """Build ``emoji-tasks``: the concepts of eight categories (all but flags), drawn by seven vendors.

    Targets: ``category`` (8), ``subcategory`` (49, see
    :meth:`~tlzoo.data.datasets.emoji.EmojiTable.large_subcategories`, missing for the rest) and ``vendor`` (7). Concept
    groups are disjoint: 60 % train, 20 % validation, 20 % test.
    """
    table = load_emoji()
    concepts = np.flatnonzero(table.categories != "Flags")
    categories, subcategories = np.unique(table.categories[concepts]), table.large_subcategories()
    category = _places(table.categories[concepts], categories)
    subcategory = _places(table.subcategories[concepts], subcategories)
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


def _places(column: NDArray[np.str_], names: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return the places (N,) of a column among sorted names; -1 for others."""
    places = np.searchsorted(names, column).clip(max=len(names) - 1)
    return np.where(names[places] == column, places, -1).astype(np.int64)
