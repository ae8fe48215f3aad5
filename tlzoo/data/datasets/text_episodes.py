"""Few-shot text: topics with many documents for training, and novel topics with a few each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tlzoo import sources
from tlzoo.data.datasets.newsgroups import NEWSGROUPS
from tlzoo.data.datasets.reuters import R8, R52
from tlzoo.data.datasets.text_zeroshot import CHARACTERS, read_tab
from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.data.splits import random_split
from tlzoo.data.tasks import EpisodeTask

__all__ = ["newsgroups_fewshot", "reuters_r8_fewshot"]

_BASE_GROUPS = ("rec", "sci")
_VALIDATION_GROUPS = ("comp",)
_BASE_SHARE = 0.75
_QUERY = 10
_MOST = 200

Texts = tuple[NDArray[np.str_], NDArray[np.str_]]


def newsgroups_fewshot(name: str) -> EpisodeTask:
    """Build ``newsgroups-fewshot``: eight groups of rec and sci are base, five of comp validation, seven novel.

    Whole branches of the hierarchy are kept together, as in Bao et al., ICLR 2020 (https://arxiv.org/abs/1908.06039),
    so that no novel group has a sibling among the base ones.
    """
    branch = {group: group.split(".")[0] for group in NEWSGROUPS}
    base = [group for group in NEWSGROUPS if branch[group] in _BASE_GROUPS]
    validation = [group for group in NEWSGROUPS if branch[group] in _VALIDATION_GROUPS]
    novel = [group for group in NEWSGROUPS if group not in base and group not in validation]
    files = ("20newsgroups-train.tab", "20newsgroups-test.tab")
    return _text_episodes(name, _documents("newsgroups", files), (base, validation, novel), source="newsgroups")


def reuters_r8_fewshot(name: str) -> EpisodeTask:
    """Build ``reuters-r8-fewshot``: the eight topics of R8 are novel, the 44 other topics of R52 base and validation.

    A fixed draw of three quarters of the 44 is base, the rest validation. Topics with too few documents for an episode
    are never drawn.
    """
    others = sorted(set(R52) - set(R8))
    base, validation = ([others[place] for place in part] for part in random_split(len(others), _BASE_SHARE))
    files = ("reuters-r52-train.tab", "reuters-r52-test.tab")
    return _text_episodes(name, _documents("reuters", files), (base, validation, list(R8)), source="reuters")


def _documents(source: str, files: Sequence[str]) -> Texts:
    """Return the distinct texts (N,) of several files, and their categories (N,).

    At most 200 documents per category, a fixed draw, because encoding them is the expensive part.
    """
    paths = [path for file in files for path in sources.path(source).rglob(file)]
    parts = [read_tab(path, characters=CHARACTERS) for path in paths]
    texts, categories = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    _, firsts = np.unique(texts, return_index=True)
    order = np.random.default_rng(0).permutation(np.sort(firsts))
    members = [order[categories[order] == category][:_MOST] for category in np.unique(categories)]
    kept = np.sort(np.concatenate(members))
    return texts[kept], categories[kept]


def _text_episodes(
    name: str, documents: Texts, splits: tuple[list[str], list[str], list[str]], *, source: str
) -> EpisodeTask:
    """Return the task whose base, validation and novel classes are those of three splits.

    Documents of other categories are left out; one source has a document with a stray label.
    """
    texts, categories = documents
    names = [category for split in splits for category in split]
    number = {category: place for place, category in enumerate(names)}
    labels = np.array([number.get(category, -1) for category in categories.tolist()])
    whole = ExampleSet(
        inputs=texts,
        modality="text",
        labels=labels,
        checksum=content_hash(sources.find_source(source).identity, texts),
    )
    base, validation, novel = (
        whole.subset(np.isin(labels, [number[category] for category in split])) for split in splits
    )
    return EpisodeTask(
        name=name,
        class_names=tuple(names),
        sources=(source,),
        base=base,
        validation=validation,
        novel=novel,
        query=_QUERY,
    )
