"""Domain tasks, and tasks of fine-tuning, of a user's own data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np

from tlzoo.data.example_set import ExampleSet
from tlzoo.data.own.class_names import ClassColumn, class_column, class_order, few, indices_of, with_class_names
from tlzoo.data.own.items import Part, read_parts
from tlzoo.data.splits import stratified_split
from tlzoo.data.tasks import DomainTask
from tlzoo.data.tasks.domain import Metric
from tlzoo.errors import InputError
from tlzoo.functional.checks import check_shares
from tlzoo.spelling import nearest
from tlzoo.types import Modality

__all__ = ["domain", "fine_tuning"]

Setting = Literal["closed", "partial", "open", "universal"]
_UNKNOWN = "unknown"


def domain(
    source: Any,
    target: Any,
    test: Any = None,
    *,
    source_test: Any = None,
    class_names: Sequence[Any] | None = None,
    setting: Setting | None = None,
    train_share: float = 0.7,
    metric: Metric = "accuracy",
    mirrored: bool = False,
    modality: Modality | None = None,
    size: int | None = None,
    name: str = "own",
) -> DomainTask:
    """Return a task of domain adaptation or confusion on your own data.

    X is an array, a tensor, a memory map, a table of numbers, a list of texts, of picture files or of pictures, or a
    map-style data set, alone or of pairs with labels. Labels are class names or whole numbers.

    Args:
        source: ``(X, y)`` with a label for each item; several sources as a mapping of name -> ``(X, y)``.
        target: ``X``, or ``(X, y)`` where labels, or some, are known: methods do not see them. Several as a mapping.
        test: ``(X, y)`` of the target, or ``X`` where no labels are known: then the result is what ``predict`` says.
            None to split a labelled target, and to predict the target itself where it has no labels.
        source_test: held-out source ``(X, y)``; None to split the source.
        class_names: names of the classes in order, for labels that are numbers or to fix the order; by default those in
            the labels, sorted.
        setting: what the classes of the two domains must be: ``"closed"`` (the same), ``"partial"`` (the target lacks
            some), ``"open"`` (it has more) or ``"universal"`` (both); None takes them as they are. Target classes that
            the source lacks are one class, ``"unknown"``.
        train_share: share of the examples of each class that is for training, where a set is split.
        metric: the main metric, see :class:`tlzoo.scoring.ClassScores`.
        mirrored: whether a mirrored picture has the same class.
        modality: of the items; None to see it from them.
        size: height and width of pictures on disk, see :func:`tlzoo.data.own.items.read_parts`.
        name: of the task; where the classes are not the same, ``/partial``, ``/open`` or ``/universal`` is added.

    Raises:
        ValueError: a set does not fit, the domains share no class, or their classes are not as ``setting`` says; the
            message names the set and the row, or the classes.

    >>> random = np.random.default_rng(0)
    >>> x, y = random.normal(size=(20, 3)), ["cat", "dog"] * 10
    >>> task = domain(source=(x, y), target=x + 1, test=(x + 1, y))
    >>> task.class_names, task.source_train.modality, task.target_train.labels is None
    (('cat', 'dog'), 'features', True)
    """
    sources, targets = _several(source, "source"), _several(target, "target")
    given = {**sources, **targets, "test": test, "source_test": source_test}
    parts = read_parts({key: each for key, each in given.items() if each is not None}, modality=modality, size=size)
    columns = _columns(parts, complete={*sources, "source_test"})
    if lacking := [key for key in (*sources, "source_test") if key in parts and key not in columns]:
        raise InputError(f"{lacking[0]} has no labels, which methods learn from; give a pair (X, y)")
    columns, every = with_class_names(columns, class_names)
    classes, unknown, found = _classes(columns, [*sources, "source_test"], every, setting)
    sets = {key: _labelled(part, columns.get(key), classes, unknown) for key, part in parts.items()}
    first = _pooled([sets[key] for key in sources], [columns.get(key) for key in sources])
    second = _pooled([sets[key] for key in targets], [columns.get(key) for key in targets])
    source_train, source_rest = (first, sets["source_test"]) if source_test is not None else _split(first, train_share)
    target_train, target_test = (second, sets["test"]) if test is not None else _tested(second, train_share)
    return DomainTask(
        name=name if found == "closed" else f"{name}/{found}",
        class_names=classes,
        unknown=unknown,
        metric=metric,
        mirrored=mirrored,
        source_train=source_train,
        source_test=source_rest,
        target_train=target_train,
        target_test=target_test,
        source_names=_names(sources),
        target_names=_names(targets),
    )


def fine_tuning(
    train: Any,
    test: Any = None,
    *,
    pretraining: Any = None,
    class_names: Sequence[Any] | None = None,
    train_share: float = 0.7,
    metric: Metric = "accuracy",
    mirrored: bool = False,
    modality: Modality | None = None,
    size: int | None = None,
    name: str = "own",
) -> DomainTask:
    """Return a task of fine-tuning a pretrained network on your own labelled data: a domain task without a source.

    Args:
        train: ``(X, y)``, for all that X may be see :func:`domain`.
        test: ``(X, y)``, or ``X`` without known labels; None to split ``train``.
        pretraining: further ``(X, y)``, which a suite can pretrain on (``pretraining_steps``); its classes may differ.
        class_names: see :func:`domain`.
        train_share: see :func:`domain`.
        metric: see :func:`domain`.
        mirrored: see :func:`domain`.
        modality: see :func:`domain`.
        size: see :func:`domain`.
        name: of the task.

    Raises:
        ValueError: a set does not fit, or lacks labels; the message names the set and the row.
    """
    given = {"train": train, "test": test, "pretraining": pretraining}
    parts = read_parts({key: each for key, each in given.items() if each is not None}, modality=modality, size=size)
    for key in ("train", "pretraining"):
        if key in parts and parts[key].labels is None:
            raise InputError(f"{key} has no labels, which the network learns from; give a pair (X, y)")
    columns = _columns(parts, complete={"train", "pretraining"})
    others = columns.pop("pretraining", None)
    columns, answered = with_class_names(columns, class_names)
    further = [] if others is None else [each for each in class_order([others]) if each not in answered]
    classes = (*answered, *further)
    columns |= {} if others is None else {"pretraining": others}
    sets = {key: _labelled(part, columns.get(key), classes, None) for key, part in parts.items()}
    if test is None:
        sets["train"], sets["test"] = _split(sets["train"], train_share)
    nobody = np.empty(0, dtype=np.int64)
    first = _split(sets["pretraining"], train_share) if pretraining is not None else (sets["train"].subset(nobody),) * 2
    return DomainTask(
        name=name,
        class_names=classes,
        metric=metric,
        mirrored=mirrored,
        source_train=first[0],
        source_test=first[1],
        target_train=sets["train"],
        target_test=sets["test"],
    )


def _several(given: Any, side: str) -> dict[str, Any]:
    """Return the domains of a side by name."""
    if not isinstance(given, Mapping):
        return {side: given}
    if not given:
        raise InputError(f"{side} is an empty mapping; expected name -> (X, y)")
    if reserved := sorted({"test", "source_test"} & set(map(str, given))):
        raise InputError(f"a domain of {side} is called {reserved[0]!r}, which names another set; rename it")
    return {str(name): each for name, each in given.items()}


def _columns(parts: Mapping[str, Part], *, complete: set[str]) -> dict[str, ClassColumn]:
    """Return the labels of the sets that have any."""
    columns = {
        key: class_column(part.labels, size=len(part), complete=key in complete, what=f"{key} labels")
        for key, part in parts.items()
        if part.labels is not None
    }
    if unknown := [key for key, column in columns.items() if not column.known]:
        raise InputError(f"{unknown[0]} labels: all are missing; give X alone where no label is known")
    return columns


def _names(domains: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(domains) if len(domains) > 1 else ()


def _classes(
    columns: Mapping[str, ClassColumn], sources: Sequence[str], every: tuple[str, ...], setting: Setting | None
) -> tuple[tuple[str, ...], int | None, Setting]:
    """Return the classes of the task, which one is unknown, and the setting that they make."""
    if setting not in (None, *get_args(Setting)):
        raise InputError(nearest(str(setting), get_args(Setting), kind="setting"))
    known = set().union(*(column.known for key, column in columns.items() if key in sources))
    others = [column for key, column in columns.items() if key not in sources]
    seen = set().union(*(column.known for column in others)) if others else known
    missing, strange = sorted(known - seen), sorted(seen - known)
    if len(missing) == len(known):
        each = f"{few(sorted(known))} and {few(sorted(seen))}"
        raise InputError(f"source and target share no class: {each}; name classes alike in both")
    found: Setting = "universal" if missing and strange else "partial" if missing else "open" if strange else "closed"
    if setting is not None and setting != found:
        said = [f"{side} alone has {few(names)}" for side, names in (("source", missing), ("target", strange)) if names]
        raise InputError(
            f"the classes make a task that is {found}, not {setting}: {'; '.join(said) or 'they are the same'}"
        )
    classes = tuple(name for name in every if name in known)
    if not strange:
        return classes, None, found
    if _UNKNOWN in classes:
        raise InputError(f"a source class is called {_UNKNOWN!r}, the name of target classes that the source lacks")
    return (*classes, _UNKNOWN), len(classes), found


def _labelled(part: Part, column: ClassColumn | None, classes: tuple[str, ...], unknown: int | None) -> ExampleSet:
    """Return the set with class indices; classes that are none of the task's are unknown."""
    if column is None:
        return part.examples
    others = -1 if unknown is None else unknown
    return part.examples.with_labels(indices_of(column, classes, other=others))


def _pooled(sets: Sequence[ExampleSet], columns: Sequence[ClassColumn | None]) -> ExampleSet:
    """Return several sets as one; a set without labels beside labelled ones has missing labels."""
    if len(sets) == 1:
        return sets[0]
    if not any(columns):
        return replace(ExampleSet.pooled([_blank(each) for each in sets]), labels=None)
    return ExampleSet.pooled([each if each.labels is not None else _blank(each) for each in sets])


def _blank(examples: ExampleSet) -> ExampleSet:
    return examples.with_labels(np.full(len(examples), -1, dtype=np.int64))


def _split(examples: ExampleSet, share: float) -> tuple[ExampleSet, ExampleSet]:
    """Return a training and a test set; examples without label are for training."""
    check_shares(above_zero=True, below_one=True, train_share=share)
    assert examples.labels is not None
    labelled = np.flatnonzero(examples.labels >= 0)
    tested = labelled[stratified_split(examples.labels[labelled], share)[1]]
    if not len(tested):
        raise InputError(f"{len(labelled)} labelled examples are too few to split off a test; give a test set")
    return examples.subset(np.setdiff1d(np.arange(len(examples)), tested)), examples.subset(tested)


def _tested(target: ExampleSet, share: float) -> tuple[ExampleSet, ExampleSet]:
    """Return the target's training and test sets: a split where labels are known, all of it twice where none is."""
    return (target, target) if target.labels is None else _split(target, share)
