"""Tasks by name; nothing heavy is imported until a task is loaded."""

from __future__ import annotations

import importlib
import inspect
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from tlzoo.data.built_in_tasks import VENDORS, Entry, Kind, built_in_tasks
from tlzoo.data.specification_keys import checked_specification, files_of
from tlzoo.errors import InputError, InputTypeError
from tlzoo.extensions import Extension, Extensions
from tlzoo.spelling import nearest

if TYPE_CHECKING:
    from tlzoo.data.tasks import DomainTask, EpisodeTask, MultitaskTask, Task, ZeroShotTask

__all__ = [
    "EXTENSIONS",
    "ON_DISK",
    "code_of",
    "files_of",
    "list_tasks",
    "load_task",
    "reference",
    "register_task",
    "task_revision",
]

_FOLDER, _XLSA17 = "folder:", "xlsa17:"
ON_DISK: dict[str, Kind] = {
    f"{_FOLDER}SOURCE->TARGET": "domain",
    f"{_XLSA17}DATASET": "zeroshot",
    f"{_XLSA17}DATASET:generalized": "zeroshot",
}
"""Names of tasks on your own data, and their kinds."""


EXTENSIONS = Extensions("task", built_in=lambda name: _named(name) is not None or name.startswith((_FOLDER, _XLSA17)))


def list_tasks(kind: Kind | None = None) -> list[str]:
    """Return the names of all tasks, built-in ones first; or of the built-in tasks of one kind.

    In addition, ``folder:SOURCE->TARGET`` and ``xlsa17:DATASET`` read data on disk, and domain tasks may be pooled and
    semi-supervised, see :func:`load_task`. The kind of a task that is not built in is only known once it is loaded.

    >>> list_tasks("episode")[:2]
    ['emoji-oneshot', 'emoji-oneshot-hard']
    """
    kinds = {entry.kind for entry in built_in_tasks().values()}
    if kind is not None and kind not in kinds:
        raise InputError(nearest(kind, kinds, kind="kind of task"))
    if kind is None:
        return [*built_in_tasks(), *EXTENSIONS.names()]
    return [name for name, entry in built_in_tasks().items() if entry.kind == kind]


def register_task(name: str, task: Task | Callable[..., Task] | str) -> None:
    """Register a task for this process: ``register_task("mine", make_task)``; :func:`load_task` then finds it.

    An installable package should register an entry point ``tlzoo.tasks`` instead. A function in a module needs no
    registration: ``"package.module:make_task"`` names it.

    Args:
        name: name of the task; registering it again replaces the task.
        task: a task; a function that returns one and takes no argument or only ``root``; or ``"package.module:Name"``
            of either.

    Raises:
        ValueError: a built-in task or an installed package has this name.
    """
    EXTENSIONS.register(name, task)


_Root = str | os.PathLike[str] | None
_Named = str | Mapping[str, Any]


@overload
def load_task(name: _Named, root: _Root = None, *, kind: Literal["domain"]) -> DomainTask: ...
@overload
def load_task(name: _Named, root: _Root = None, *, kind: Literal["episode"]) -> EpisodeTask: ...
@overload
def load_task(name: _Named, root: _Root = None, *, kind: Literal["multitask"]) -> MultitaskTask: ...
@overload
def load_task(name: _Named, root: _Root = None, *, kind: Literal["zeroshot"]) -> ZeroShotTask: ...
@overload
def load_task(name: _Named, root: _Root = None, *, kind: None = None) -> Task: ...
def load_task(name: _Named, root: _Root = None, *, kind: Kind | None = None) -> Task:
    """Return a task by name; its sources are fetched at the first use.

    Args:
        name: one of :func:`list_tasks`, ignoring case; ``package.module:NAME`` of your own task or of a function that
            makes one; ``folder:SOURCE->TARGET`` for images laid out as ``root/domain/class/*.jpg``; or
            ``xlsa17:DATASET`` (``xlsa17:DATASET:generalized``) for ``root/DATASET/res101.mat`` and
            ``att_splits.mat``. In domain tasks, SOURCE and TARGET may each join several domains with ``+``; a suffix
            such as ``:3shot`` gives every method that many labelled target examples per class. ``:literature`` trains
            and tests on whole domains, as published tables do; ``:literature-20`` also draws 20 source examples a class
            in every run. ``TASK:few`` asks the test of a task from a few labelled examples alone, see
            :mod:`tlzoo.data.few_labels`. Emoji of 20 classes are
            ``emoji/subcategory:SOURCE->TARGET:draw0``, the same test from descriptions or a few labelled pictures
            ``emoji/subcategory:TARGET:draw0:names`` and ``:few``, see docs/exchange-rate.md. A mapping
            describes a task on your own files, as in a suite: ``{"kind": "domain", "from": "my.npz"}``.
        root: folder of data on disk; tasks from pinned sources ignore it.
        kind: the required kind of the task; a type checker then knows its class.

    Raises:
        ValueError: the name is unknown (the message suggests the nearest), the task needs ``root``, or it has another
            kind.
        TypeError: ``package.module:NAME`` is neither a task nor a function that makes one.
        SourceError: a source cannot be fetched or is damaged.
    """
    task = _described(name, root) if isinstance(name, Mapping) else _derived(name, root) or _loaded(name, root)
    if kind not in (None, task.kind):
        called = name if isinstance(name, str) else task.name
        raise InputError(f"{called} is a task of kind {task.kind!r}; expected one of kind {kind!r}")
    return task


def _described(given: Mapping[str, Any], root: _Root) -> Task:
    """Return the task of a specification; see :mod:`tlzoo.data.own.specification`."""
    spec = checked_specification(given)
    folder = Path(root if root is not None else spec.pop("root", ".")).expanduser()
    task: Task = importlib.import_module("tlzoo.data.own.specification").task_of(spec, folder)
    if _named(task.name) is not None:
        raise InputError(f"{task.name!r} is a task of tlzoo; give yours a name of its own (name: ...)")
    return task


def _loaded(name: str, root: _Root) -> Task:
    if name.startswith(_FOLDER):
        entry = _folder_entry(name, root)
    elif name.startswith(_XLSA17):
        entry = _xlsa17_entry(name, root)
    elif (known := _named(name)) is not None:
        name, entry = known, _rooted(known, built_in_tasks()[known], root)
    elif (own := EXTENSIONS.get(name)) is not None:
        return _made(own, root)
    else:
        raise InputError(nearest(name, [*list_tasks(), *ON_DISK], kind="task"))
    build = getattr(importlib.import_module(f"tlzoo.data.datasets.{entry.module}"), entry.function)
    task: Task = build(name, **entry.arguments)
    return replace(task, revision=task_revision(name))


_REVISIONS = {
    "digits:": 2,  # both collections are framed alike
    # near-copies share a group, and the order of one domain does not tell that of the other
    "emoji/": 2,
    "emoji-tasks": 2,
    "emoji-oneshot": 2,
    "emoji-unseen": 2,
    "people": 2,
    # texts that stand in the test, too, leave the training set
    "sentiment:": 2,
    "topics": 2,
    "topics-zeroshot": 2,
    "newsgroups": 2,
    "reuters-r8": 2,
    "reuters-r52": 2,
}
"""Name or beginning of a name -> revision of the protocol, raised when its examples change."""


def task_revision(name: str) -> int:
    """Return the revision of the protocol of a task, without loading it; 1 of tasks on your own data.

    >>> task_revision("emoji/category:google->windows:3shot"), task_revision("glyphs")
    (2, 1)
    """
    beginnings = [name, re.split("[/:]", name)[0], *(name[: found.end()] for found in re.finditer("[/:]", name))]
    return max((_REVISIONS[known] for known in beginnings if known in _REVISIONS), default=1)


def _named(name: str) -> str | None:
    """Return the exact name of a built-in task, ignoring case."""
    known = built_in_tasks()
    return name if name in known else {each.casefold(): each for each in known}.get(name.casefold())


def _made(own: Extension, root: _Root) -> Task:
    """Return a user's task."""
    made = own.load()
    base = importlib.import_module("tlzoo.data.tasks").Task
    if callable(made):
        signature = inspect.signature(made)
        given = {"root": root} if "root" in signature.parameters else {}
        try:
            signature.bind(**given)
        except TypeError as error:
            raise InputTypeError(
                f"{own.name}: {error}; expected a function without arguments, or with root only"
            ) from None
        made = made(**given)
    if not isinstance(made, base):
        raise InputTypeError(f"{own.name} is a {type(made).__name__}; expected a task, or a function that returns one")
    task: Task = made
    return task


def code_of(name: str) -> dict[str, str]:
    """Return the code of a task that is not built in; see :meth:`Extensions.code`."""
    return EXTENSIONS.code(_without_shots(name)[0])


def reference(name: str) -> str:
    """Return the name of a task for a benchmark cell; see :attr:`Extension.reference`."""
    task, shots = _without_shots(name)
    return EXTENSIONS.reference(task) + shots


def _without_shots(name: str) -> tuple[str, str]:
    found = _SHOTS.fullmatch(name) or _FEW.fullmatch(name) or _LITERATURE.fullmatch(name)
    return (found["task"], name.removeprefix(found["task"])) if found else (name, "")


_SHOTS = re.compile(r"(?P<task>.+):(?P<shots>\d+)shot")
_LITERATURE = re.compile(r"(?P<task>.+):literature(-(?P<draws>[1-9]\d*))?")
_FEW = re.compile(r"(?P<task>.+):(?P<view>few|names)")
_EXCHANGE = re.compile(
    r"emoji/(?P<classes>subcategory|concept):((?P<source>[a-z]+)->)?(?P<target>[a-z]+):draw(?P<draw>\d|dev)"
    r"(:(?P<view>few|names|second))?",
    re.IGNORECASE,
)
_SEVERAL = re.compile(r"(?P<family>[^:]+:)(?P<source>[^:]+)->(?P<target>[^:]+)(?P<variant>(:.+)?)")


def _derived(name: str, root: _Root) -> Task | None:
    """Return the task of a name with shots, a published protocol, several domains or another view of one test.

    None for any other name.
    """
    if found := _EXCHANGE.fullmatch(name):
        return _exchanged(name, **{key: value and value.lower() for key, value in found.groupdict().items()})
    if found := _FEW.fullmatch(name):
        build = getattr(importlib.import_module("tlzoo.data.few_labels"), f"{found['view']}_of")
        answered: Task = build(name, load_task(found["task"], root))
        return replace(answered, revision=task_revision(found["task"]))
    if found := _SHOTS.fullmatch(name):
        task: Any = load_task(found["task"], root)
        if task.kind != "domain":
            raise InputError(f"{task.name} is a task of kind {task.kind!r}; only domain tasks have shots (:Nshot)")
        few: Task = replace(task.semi_supervised(int(found["shots"])), name=name)
        return few
    if found := _LITERATURE.fullmatch(name):
        task = load_task(found["task"], root)
        if task.kind != "domain":
            raise InputError(f"{task.name} is a task of kind {task.kind!r}; only domain tasks have :literature")
        published: Task = replace(task.literature(source_draw=int(found["draws"] or 0)), name=name)
        return published
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


_VIEWS = {
    ("subcategory", True, None): "draw_domains",
    ("subcategory", True, "second"): "draw_second_task",
    ("subcategory", False, "few"): "draw_few",
    ("subcategory", False, "names"): "draw_names",
    ("concept", False, "few"): "concept_few",
    ("concept", False, "names"): "concept_names",
}
"""Classes, whether there is a source, and what is shown beside one test -> the function that builds the task."""


def _exchanged(name: str, *, classes: str, source: str | None, target: str, draw: str, view: str | None) -> Task | None:
    """Return a task of ``emoji_exchange``; None where vendors or what is shown have no such task."""
    function = _VIEWS.get((classes, source is not None, view))
    vendors = [vendor for vendor in (source, target) if vendor is not None]
    if function is None or len({*vendors} & {*VENDORS}) < len(vendors):
        return None
    build = getattr(importlib.import_module("tlzoo.data.datasets.emoji_exchange"), function)
    arguments = {"target": target, "draw": draw, **({} if source is None else {"source": source})}
    task: Task = replace(build(name, **arguments), revision=task_revision(name))
    return task


def _rooted(name: str, entry: Entry, root: _Root) -> Entry:
    """Return the entry with its folder among the arguments, if it is read from disk."""
    if not entry.folder_contents:
        return entry
    if root is None:
        raise InputError(f"{name} is read from disk; give root (--root), the folder that holds {entry.folder_contents}")
    return replace(entry, arguments={**entry.arguments, "root": Path(root).expanduser()})


def _folder_entry(name: str, root: _Root) -> Entry:
    source, arrow, target = name.removeprefix(_FOLDER).partition("->")
    if not (source and arrow and target) or source == target:
        raise InputError(f"{name!r} names no two domains; write {_FOLDER}SOURCE->TARGET")
    if root is None:
        raise InputError(f"{name} is read from disk; give root, the folder that holds {source}/ and {target}/")
    arguments = {"root": Path(root).expanduser(), "source": source, "target": target}
    return Entry(kind="domain", module="folders", function="folder_adaptation", arguments=arguments)


def _xlsa17_entry(name: str, root: _Root) -> Entry:
    dataset, _, protocol = name.removeprefix(_XLSA17).partition(":")
    if not dataset or protocol not in ("", "generalized"):
        raise InputError(f"{name!r} names no data set; write {_XLSA17}DATASET or {_XLSA17}DATASET:generalized")
    if root is None:
        raise InputError(f"{name} is read from disk; give root, the folder that holds {dataset}/res101.mat")
    arguments = {"root": Path(root).expanduser(), "dataset": dataset, "generalized": bool(protocol)}
    return Entry(kind="zeroshot", module="xlsa17", function="xlsa17", arguments=arguments)
