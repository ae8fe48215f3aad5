"""Zero-shot tasks of a user's own data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.own.class_names import class_column, few, indices_of, places_of, with_class_names
from tlzoo.data.own.items import read_parts
from tlzoo.data.splits import stratified_split
from tlzoo.data.tasks import ZeroShotTask
from tlzoo.errors import InputError
from tlzoo.functional.checks import check_flags
from tlzoo.labels import as_column
from tlzoo.types import Modality

__all__ = ["zero_shot"]

_HELD_OUT = 0.2
_SEEN_TRAIN = 0.8


def zero_shot(
    X: Any,
    y: Any = None,
    descriptions: Any = None,
    *,
    unseen: Sequence[Any] | None = None,
    held_out: Sequence[Any] | None = None,
    generalized: bool = False,
    class_names: Sequence[Any] | None = None,
    modality: Modality | None = None,
    size: int | None = None,
    name: str = "own",
) -> ZeroShotTask:
    """Return a task of zero-shot learning on your own data: train on seen classes, answer unseen ones.

    Args:
        X: the items, see :func:`tlzoo.tasks.domain`.
        y: a class name or number for each; None where X is a data set of pairs.
        descriptions: class -> text, or class -> vector of attributes; or an array (C, A) in the order of
            ``class_names`` (by default, the classes sorted). Every class of ``y`` and every unseen one needs one.
        unseen: classes of the test, whose examples nobody trains on. None for all classes, where nothing is trained:
            methods answer from descriptions alone.
        held_out: seen classes that play unseen while settings are chosen; by default a fifth, drawn once, where there
            are five or more.
        generalized: also test on a fifth of the examples of seen classes, and answer among all classes.
        class_names: see :func:`tlzoo.tasks.domain`.
        modality: see :func:`tlzoo.tasks.domain`.
        size: see :func:`tlzoo.tasks.domain`.
        name: of the task.

    Raises:
        ValueError: a class has no description, or an unseen one no example; the message names the class.

    >>> x, y = np.zeros((6, 3)), ["cat", "dog", "frog"] * 2
    >>> task = zero_shot(x, y, {"cat": [1, 0], "dog": [1, 1], "frog": [0, 1]}, unseen=["frog"])
    >>> task.class_names, task.unseen.tolist(), task.embeddings.shape
    (('cat', 'dog', 'frog'), [2], (3, 2))
    """
    check_flags(generalized=generalized)
    part = read_parts({"X": X if y is None else (X, y)}, modality=modality, size=size)["X"]
    if part.labels is None:
        raise InputError("y is missing; expected a class name or number for each item")
    if descriptions is None:
        raise InputError("descriptions are missing; expected class -> text or vector")
    column = class_column(part.labels, size=len(part), complete=True, what="y")
    described = list(map(str, descriptions)) if isinstance(descriptions, Mapping) else []
    columns, classes = with_class_names({"y": column}, class_names or _order(column.known, described))
    column = columns["y"]
    labels = indices_of(column, classes)
    texts, embeddings = _described(descriptions, classes)
    split: dict[str, Any] = _split(classes, labels, unseen, held_out)
    if embeddings is not None and np.isfinite(embeddings).all():  # the task names classes that are not finite
        _check_told_apart(embeddings, classes, split["unseen"])
    whole = part.examples.with_labels(labels)
    train, tested = np.flatnonzero(np.isin(labels, split["seen"])), np.empty(0, dtype=np.int64)
    if generalized and not len(train):
        raise InputError("generalized zero-shot learning needs seen classes; name the unseen ones")
    if generalized:
        kept, rest = stratified_split(labels[train], _SEEN_TRAIN)
        train, tested = train[kept], train[rest]
    validation = np.flatnonzero(np.isin(labels, split["held_out"]))
    return ZeroShotTask(
        name=f"{name}/generalized" if generalized else name,
        class_names=classes,
        descriptions=texts,
        embeddings=embeddings,
        **split,
        train=whole.subset(train) if len(train) else None,
        validation=whole.subset(validation) if len(validation) else None,
        test=whole.subset(np.isin(labels, split["unseen"])),
        test_seen=whole.subset(tested) if generalized else None,
    )


def _order(found: set[str], described: Sequence[str]) -> tuple[str, ...] | None:
    """Return the described classes sorted, if there are any; classes of labels that lack one are an error later."""
    if not described:
        return None
    every = {*found, *described}
    return tuple(sorted(every, key=int if all(each.isdecimal() for each in every) else str))


def _described(descriptions: Any, classes: tuple[str, ...]) -> tuple[tuple[str, ...], NDArray[np.float32] | None]:
    """Return a text for each class, and their vectors where the descriptions are numbers."""
    if isinstance(descriptions, Mapping):
        by_name = {str(key): value for key, value in descriptions.items()}
        if lacking := [each for each in classes if each not in by_name]:
            raise InputError(f"classes without a description: {few(lacking)}; describe every class")
        rows = [by_name[each] for each in classes]
    else:
        rows = list(descriptions) if hasattr(descriptions, "__iter__") and not isinstance(descriptions, str) else []
        if len(rows) != len(classes):
            raise InputError(f"{len(rows)} descriptions for {len(classes)} classes ({few(classes)}); expected one each")
    if all(isinstance(row, str) for row in rows):
        return tuple(rows), None
    try:
        with np.errstate(over="ignore"):  # a number beyond float32 is reported with its class
            vectors = np.stack([as_column(row, what="descriptions").numpy().astype(np.float32) for row in rows])
    except (TypeError, ValueError):
        raise InputError("descriptions are neither all texts nor all vectors of one width; expected one kind") from None
    return classes, np.ascontiguousarray(vectors)


def _check_told_apart(embeddings: NDArray[np.float32], classes: tuple[str, ...], unseen: NDArray[np.int64]) -> None:
    """Refuse unseen classes of one vector."""
    first: dict[bytes, str] = {}
    for place in unseen.tolist():
        name = classes[place]
        if (other := first.setdefault(embeddings[place].tobytes(), name)) != name:
            raise InputError(f"classes {other!r} and {name!r} have the same vector; nothing could tell them apart")


def _split(
    classes: tuple[str, ...], labels: NDArray[np.int64], unseen: Sequence[Any] | None, held_out: Sequence[Any] | None
) -> dict[str, NDArray[np.int64]]:
    """Return the class indices of each kind."""
    here = np.unique(labels)
    tested = here if unseen is None else places_of(classes, unseen, "unseen")
    if not len(tested):
        raise InputError("no unseen classes, so nothing to test; name one or more in unseen=[...]")
    if len(empty := np.setdiff1d(tested, here)):
        raise InputError(
            f"unseen classes without an example: {few(classes[place] for place in empty)}; test what is there"
        )
    others = np.setdiff1d(here, tested)
    if held_out is not None:
        kept = places_of(classes, held_out, "held_out")
        if len(both := np.setdiff1d(kept, others)):
            raise InputError(f"held_out: {few(classes[place] for place in both)} is no seen class with examples")
    else:
        count = max(1, round(_HELD_OUT * len(others))) if len(others) >= 5 else 0
        kept = np.random.default_rng(0).permutation(others)[:count]
    return {"seen": np.setdiff1d(others, kept), "held_out": np.sort(kept), "unseen": np.sort(tested)}
