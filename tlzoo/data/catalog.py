"""Tasks by name. Nothing heavy is imported until a task is loaded."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tlzoo.spelling import nearest

if TYPE_CHECKING:
    from tlzoo.data.tasks import Task

__all__ = ["list_tasks", "load_task"]

Kind = Literal["domain", "episode", "multitask", "zeroshot"]

_VENDORS = ("apple", "facebook", "google", "joypixels", "samsung", "twitter", "windows")
_PLACES = ("amazon", "movies", "news", "tweets")
_FOLDER, _XLSA17 = "folder:", "xlsa17:"
_ON_DISK = (f"{_FOLDER}SOURCE->TARGET", f"{_XLSA17}DATASET", f"{_XLSA17}DATASET:generalized")


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """The function of ``tlzoo.data.datasets`` that builds a task, and its arguments; ``lies``: what ``root`` holds."""

    kind: Kind
    module: str
    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    lies: str = ""


def list_tasks(kind: Kind | None = None) -> list[str]:
    """Return the names of all tasks, or of those of one kind.

    Beside them, ``folder:SOURCE->TARGET`` and ``xlsa17:DATASET`` read a set on disk, and domain tasks may be pooled
    and semi-supervised, see :func:`load_task`.

    >>> list_tasks("episode")[:3]
    ['emoji-oneshot', 'emoji-oneshot-hard', 'glyphs']
    """
    kinds = {entry.kind for entry in _catalog().values()}
    if kind is not None and kind not in kinds:
        raise ValueError(nearest(kind, kinds, kind="kind of task"))
    return [name for name, entry in _catalog().items() if kind in (None, entry.kind)]


def load_task(name: str, root: str | os.PathLike[str] | None = None) -> Task:
    """Return a task by name; what it is made of is fetched at its first use.

    Args:
        name: one of :func:`list_tasks`; or ``folder:SOURCE->TARGET`` for a set laid out as ``root/domain/class/*.jpg``;
            or ``xlsa17:DATASET`` (``xlsa17:DATASET:generalized``) for ``root/DATASET/res101.mat`` and
            ``att_splits.mat``. In domain tasks SOURCE and TARGET may each be several domains, joined by ``+``; a suffix
            such as ``:3shot`` gives so many labelled target examples a class to every method.
        root: the folder of a set on disk; tasks that are made of sources do not look at it.

    Raises:
        ValueError: the name is unknown, the nearest are in the message; or the task needs ``root``.
        SourceError: a source cannot be fetched or is damaged.
    """
    if (derived := _derived(name, root)) is not None:
        return derived
    if name.startswith(_FOLDER):
        entry = _folder_entry(name, root)
    elif name.startswith(_XLSA17):
        entry = _xlsa17_entry(name, root)
    elif name in _catalog():
        entry = _rooted(name, _catalog()[name], root)
    else:
        raise ValueError(nearest(name, [*_catalog(), *_ON_DISK], kind="task"))
    build = getattr(importlib.import_module(f"tlzoo.data.datasets.{entry.module}"), entry.function)
    task: Task = build(name, **entry.arguments)
    return task


_SHOTS = re.compile(r"(?P<task>.+):(?P<shots>\d+)shot")
_SEVERAL = re.compile(r"(?P<family>[^:]+:)(?P<source>[^:]+)->(?P<target>[^:]+)(?P<variant>(:.+)?)")


def _derived(name: str, root: str | os.PathLike[str] | None) -> Task | None:
    """Return the task of a name that asks for shots or for several domains; None for any other name."""
    if found := _SHOTS.fullmatch(name):
        task: Any = load_task(found["task"], root)
        if task.kind != "domain":
            raise ValueError(f"{task.name} is a task of kind {task.kind!r}; only domain tasks have shots (:Nshot)")
        few: Task = replace(task.semi_supervised(int(found["shots"])), name=name)
        return few
    found = _SEVERAL.fullmatch(name)
    if found is None or "+" not in found["source"] + found["target"]:
        return None
    pooled: Task = importlib.import_module("tlzoo.data.multi_domain").pooled_adaptation(
        name,
        sources=found["source"].split("+"),
        targets=found["target"].split("+"),
        load=lambda source, target: load_task(f"{found['family']}{source}->{target}{found['variant']}", root),
    )
    return pooled


def _rooted(name: str, entry: _Entry, root: str | os.PathLike[str] | None) -> _Entry:
    """Return the entry with the folder that it is read from among its arguments, if it is read from disk."""
    if not entry.lies:
        return entry
    if root is None:
        raise ValueError(f"{name} is read from disk; give root (--root), the folder that holds {entry.lies}")
    return replace(entry, arguments={**entry.arguments, "root": Path(root).expanduser()})


def _folder_entry(name: str, root: str | os.PathLike[str] | None) -> _Entry:
    source, arrow, target = name.removeprefix(_FOLDER).partition("->")
    if not (source and arrow and target) or source == target:
        raise ValueError(f"{name!r} names no two domains; write {_FOLDER}SOURCE->TARGET")
    if root is None:
        raise ValueError(f"{name} is read from disk; give root, the folder that holds {source}/ and {target}/")
    arguments = {"root": Path(root).expanduser(), "source": source, "target": target}
    return _Entry(kind="domain", module="folders", function="folder_adaptation", arguments=arguments)


def _xlsa17_entry(name: str, root: str | os.PathLike[str] | None) -> _Entry:
    dataset, _, protocol = name.removeprefix(_XLSA17).partition(":")
    if not dataset or protocol not in ("", "generalized"):
        raise ValueError(f"{name!r} names no data set; write {_ON_DISK[1]} or {_ON_DISK[2]}")
    if root is None:
        raise ValueError(f"{name} is read from disk; give root, the folder that holds {dataset}/res101.mat")
    arguments = {"root": Path(root).expanduser(), "dataset": dataset, "generalized": bool(protocol)}
    return _Entry(kind="zeroshot", module="xlsa17", function="xlsa17", arguments=arguments)


@lru_cache(maxsize=1)
def _catalog() -> dict[str, _Entry]:
    return dict(_entries())


def _entries() -> Iterator[tuple[str, _Entry]]:
    yield from _domain_entries()
    yield from _multitask_entries()
    yield from _episode_entries()
    yield from _zeroshot_entries()


def _domain_entries() -> Iterator[tuple[str, _Entry]]:
    def between(module: str, function: str, source: str | int, target: str | int, **others: str) -> _Entry:
        arguments = {"source": source, "target": target, **others}
        return _Entry(kind="domain", module=module, function=function, arguments=arguments)

    for classes in ("category", "subcategory"):
        for variant in ("", "unpaired", "shifted"):
            for source, target in permutations(_VENDORS, 2):
                name = f"emoji/{classes}:{source}->{target}" + (f":{variant}" if variant else "")
                yield (
                    name,
                    between("emoji_tasks", "emoji_adaptation", source, target, classes=classes, variant=variant),
                )
        for variant in ("partial", "open"):
            for source, target in permutations(_VENDORS, 2):
                name = f"emoji/{classes}:{source}->{target}:{variant}"
                yield name, between("emoji_partial_open", f"emoji_{variant}", source, target, classes=classes)
    for source, target in permutations(("mnist5k", "optdigits")):
        yield f"digits:{source}->{target}", between("digits", "digits_adaptation", source, target)
    for source, target in permutations(_PLACES, 2):
        yield f"sentiment:{source}->{target}", between("sentiment", "sentiment_adaptation", source, target)
    for first in range(1, 10, 2):
        yield f"watch:{first}->{first + 1}", between("watch", "watch_adaptation", first, first + 1)


def _multitask_entries() -> Iterator[tuple[str, _Entry]]:
    for name, module, function in (
        ("multidigits", "digits", "multidigits"),
        ("emoji-tasks", "emoji_multitask", "emoji_multitask"),
        ("people", "people", "people"),
        ("topics", "topics", "topics"),
    ):
        yield name, _Entry(kind="multitask", module=module, function=function)


def _episode_entries() -> Iterator[tuple[str, _Entry]]:
    omniglot = {
        "omniglot": "images_background/ and images_evaluation/",
        "omniglot_oneshot": "images_background/ and run01/",
    }
    for module, function in (
        ("emoji_tasks", "emoji_oneshot"),
        ("emoji_tasks", "emoji_oneshot_hard"),
        ("glyphs", "glyphs"),
        ("text_episodes", "newsgroups_fewshot"),
        ("text_episodes", "reuters_r8_fewshot"),
        ("omniglot", "omniglot"),
        ("omniglot", "omniglot_oneshot"),
    ):
        entry = _Entry(kind="episode", module=module, function=function, lies=omniglot.get(function, ""))
        yield function.replace("_", "-"), entry


def _zeroshot_entries() -> Iterator[tuple[str, _Entry]]:
    def described(module: str, function: str, **arguments: str | bool) -> _Entry:
        return _Entry(kind="zeroshot", module=module, function=function, arguments=arguments)

    yield "emoji-unseen", described("emoji_tasks", "emoji_unseen")
    yield "emoji-unseen:generalized", described("emoji_tasks", "emoji_unseen", generalized=True)
    yield "newsgroups", described("newsgroups", "newsgroups")
    yield "reuters-r8", described("reuters", "reuters_r8")
    yield "reuters-r52", described("reuters", "reuters_r52")
    for place in _PLACES:
        yield f"sentiment-zeroshot:{place}", described("sentiment_zeroshot", "sentiment_zeroshot", place=place)
    yield "topics-zeroshot", described("sentiment_zeroshot", "topics_zeroshot")
