"""Tasks by name; nothing heavy is imported until a task is loaded."""

from __future__ import annotations

import importlib
import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import permutations, product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from tlzoo.data.image_sets import IMAGE_SETS
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

Kind = Literal["domain", "episode", "multitask", "zeroshot"]

_VENDORS = ("apple", "facebook", "google", "joypixels", "samsung", "twitter", "windows")
_PLACES = ("amazon", "movies", "news", "tweets")
_OFFICE_CALTECH10 = ("amazon", "Caltech10", "dslr", "webcam")
_STREAMS = ("reset", "continual", "gradual", "mixed", "correlated")
_DIGIT_FILES = {
    "mnist": "MNIST/raw/train-images-idx3-ubyte",
    "usps": "usps.bz2",
    "svhn": "train_32x32.mat",
}
"""Collection of digits on disk -> one of its files below ``root``."""
_FOLDER, _XLSA17 = "folder:", "xlsa17:"
ON_DISK: dict[str, Kind] = {
    f"{_FOLDER}SOURCE->TARGET": "domain",
    f"{_XLSA17}DATASET": "zeroshot",
    f"{_XLSA17}DATASET:generalized": "zeroshot",
}
"""Names of tasks on your own data, and their kinds."""


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """The function of ``tlzoo.data.datasets`` that builds a task, with its arguments and the contents of ``root``."""

    kind: Kind
    module: str
    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    folder_contents: str = ""


EXTENSIONS = Extensions("task", built_in=lambda name: _named(name) is not None or name.startswith((_FOLDER, _XLSA17)))


def list_tasks(kind: Kind | None = None) -> list[str]:
    """Return the names of all tasks, built-in ones first; or of the built-in tasks of one kind.

    In addition, ``folder:SOURCE->TARGET`` and ``xlsa17:DATASET`` read data on disk, and domain tasks may be pooled and
    semi-supervised, see :func:`load_task`. The kind of a task that is not built in is only known once it is loaded.

    >>> list_tasks("episode")[:2]
    ['emoji-oneshot', 'emoji-oneshot-hard']
    """
    kinds = {entry.kind for entry in _catalog().values()}
    if kind is not None and kind not in kinds:
        raise InputError(nearest(kind, kinds, kind="kind of task"))
    if kind is None:
        return [*_catalog(), *EXTENSIONS.names()]
    return [name for name, entry in _catalog().items() if entry.kind == kind]


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
        name, entry = known, _rooted(known, _catalog()[known], root)
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
    return name if name in _catalog() else {known.casefold(): known for known in _catalog()}.get(name.casefold())


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
    if function is None or len({*vendors} & {*_VENDORS}) < len(vendors):
        return None
    build = getattr(importlib.import_module("tlzoo.data.datasets.emoji_exchange"), function)
    arguments = {"target": target, "draw": draw, **({} if source is None else {"source": source})}
    task: Task = replace(build(name, **arguments), revision=task_revision(name))
    return task


def _rooted(name: str, entry: _Entry, root: _Root) -> _Entry:
    """Return the entry with its folder among the arguments, if it is read from disk."""
    if not entry.folder_contents:
        return entry
    if root is None:
        raise InputError(f"{name} is read from disk; give root (--root), the folder that holds {entry.folder_contents}")
    return replace(entry, arguments={**entry.arguments, "root": Path(root).expanduser()})


def _folder_entry(name: str, root: _Root) -> _Entry:
    source, arrow, target = name.removeprefix(_FOLDER).partition("->")
    if not (source and arrow and target) or source == target:
        raise InputError(f"{name!r} names no two domains; write {_FOLDER}SOURCE->TARGET")
    if root is None:
        raise InputError(f"{name} is read from disk; give root, the folder that holds {source}/ and {target}/")
    arguments = {"root": Path(root).expanduser(), "source": source, "target": target}
    return _Entry(kind="domain", module="folders", function="folder_adaptation", arguments=arguments)


def _xlsa17_entry(name: str, root: _Root) -> _Entry:
    dataset, _, protocol = name.removeprefix(_XLSA17).partition(":")
    if not dataset or protocol not in ("", "generalized"):
        raise InputError(f"{name!r} names no data set; write {_XLSA17}DATASET or {_XLSA17}DATASET:generalized")
    if root is None:
        raise InputError(f"{name} is read from disk; give root, the folder that holds {dataset}/res101.mat")
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
    for source, target in (*permutations(_DIGIT_FILES, 2), ("mnist5k", "usps"), ("usps", "mnist5k")):
        files = " and ".join(_DIGIT_FILES[name] for name in (source, target) if name in _DIGIT_FILES)
        entry = between("digit_files", "digit_files", source, target)
        yield f"digits:{source}->{target}", replace(entry, folder_contents=files)
    for source, target in permutations(_PLACES, 2):
        yield f"sentiment:{source}->{target}", between("sentiment", "sentiment_adaptation", source, target)
    for collection, stream in product(("cifar10", "cifar100", "imagenet"), _STREAMS):
        function, titled = ("imagenet_c", "ImageNet-C/ and val/")
        arguments = {"stream": stream}
        if collection != "imagenet":
            function, titled = "cifar_c", f"CIFAR-{collection[5:]}-C/ and CIFAR-{collection[5:]} in torchvision's files"
            arguments |= {"collection": collection}
        entry = _Entry(kind="domain", module="corruption_files", function=function, arguments=arguments)
        yield f"{collection}-c:{stream}", replace(entry, folder_contents=titled)
    for collection in ("mnist5k", "optdigits", "emoji"):
        for stream in _STREAMS:
            arguments = {"collection": collection, "stream": stream}
            entry = _Entry(
                kind="domain", module="corruption_streams", function="corruption_stream", arguments=arguments
            )
            yield f"{collection}-c:{stream}", entry
    for source, target in permutations(_OFFICE_CALTECH10, 2):
        entry = between("office_caltech10", "office_caltech10", source, target)
        files = f"{source}_SURF_L10.mat and {target}_SURF_L10.mat"
        yield f"office_caltech10:{source}->{target}", replace(entry, folder_contents=files)
    for dataset, known in IMAGE_SETS.items():
        variants = ("", *(["partial"] if known.partial else []), *(["open"] if known.known else []))
        for variant, (source, target) in product(variants, known.pairs or permutations(known.domains, 2)):
            entry = between("image_domains", "image_domains", source, target, dataset=dataset, variant=variant)
            yield (
                f"{dataset}:{source}->{target}" + (f":{variant}" if variant else ""),
                replace(entry, folder_contents=f"{source}/ and {target}/ of {known.title}"),
            )
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
    for name, module, dataset, contents in (
        ("nyuv2", "dense_maps", "nyuv2", "train/ and val/ of NYUv2 as LibMTL has it"),
        ("cityscapes", "dense_maps", "cityscapes", "train/ and val/ of Cityscapes as LibMTL has it"),
        ("office31-tasks", "office_multitask", "office31", "the domains of Office-31"),
        ("office_home-tasks", "office_multitask", "office_home", "the domains of Office-Home"),
    ):
        entry = _Entry(kind="multitask", module=module, function=module, arguments={"dataset": dataset})
        yield name, replace(entry, folder_contents=contents)


def _episode_entries() -> Iterator[tuple[str, _Entry]]:
    omniglot = {
        "omniglot": "images_background/ and images_evaluation/",
        "omniglot_oneshot": "images_background/ and run01/",
    }
    for module, function in (
        ("emoji_tasks", "emoji_oneshot"),
        ("emoji_tasks", "emoji_oneshot_hard"),
        ("emoji_tasks", "emoji_subcategories"),
        ("glyphs", "glyphs"),
        ("text_episodes", "newsgroups_fewshot"),
        ("text_episodes", "reuters_r8_fewshot"),
        ("omniglot", "omniglot"),
        ("omniglot", "omniglot_oneshot"),
    ):
        entry = _Entry(kind="episode", module=module, function=function, folder_contents=omniglot.get(function, ""))
        yield function.replace("_", "-"), entry
    for name in ("mini-imagenet", "tiered-imagenet", "cub-fewshot", "cifar-fs", "fc100"):
        arguments, contents = {"dataset": name}, f"the pictures of {name} and the lists of its splits"
        entry = _Entry(kind="episode", module="few_shot_files", function="few_shot_files", arguments=arguments)
        yield name, replace(entry, folder_contents=contents)


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
