"""A cell, the frozen specification of one run, and its outcome."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from tlzoo.errors import InputError
from tlzoo.spelling import printable

__all__ = [
    "EPISODE_ACCURACY",
    "EXAMPLE_CLUSTERS",
    "EXAMPLE_FIGURES",
    "KINDS",
    "SCHEMA_REVISION",
    "Cell",
    "Kind",
    "OnProgress",
    "Outcome",
    "canonical",
    "canonical_plain",
]

Kind = Literal["domain", "multitask", "episode", "zeroshot", "finetuning"]
KINDS: tuple[str, ...] = get_args(Kind)

SCHEMA_REVISION = 1
"""Raised when the meaning of stored results changes; part of a cell's hash."""

EPISODE_ACCURACY = "episode_accuracy"
"""Name of the prediction (E,) with the accuracy of each episode, for paired comparisons over the same episodes."""

EXAMPLE_FIGURES, EXAMPLE_CLUSTERS = "example_figures", "example_clusters"
"""Names of the predictions (N,) with the figure of each test example, whose mean is the headline, and with the name of
what it shows, for intervals over examples: those that show the same are no independent questions."""

OnProgress = Callable[[float], None]
"""A function that a protocol calls with its progress in [0, 1]."""

_PRESENTATION = ("label", "root", "data")

_LATER = ("search", "trainer", "code")
"""Fields added after the first results; empty ones are not part of the identity, so old hashes stay valid."""


_SIMPLE = frozenset({str, int, float, bool, type(None)})
"""Types that need no copy. They are tested for first, and sequences before mappings, because thousands of cells are
read at once and the test for any mapping is slow."""


def _frozen(value: Any) -> Any:
    """Return an immutable copy of JSON-like data: read-only mappings, lists as tuples."""
    if type(value) in _SIMPLE:
        return value
    if isinstance(value, (list, tuple)):
        return tuple(map(_frozen, value))
    if isinstance(value, (dict, Mapping)):
        return MappingProxyType({str(key): _frozen(item) for key, item in value.items()})
    return value


def _plain(value: Any) -> Any:
    if type(value) in _SIMPLE:
        return value
    if isinstance(value, (list, tuple)):
        return list(map(_plain, value))
    if isinstance(value, (MappingProxyType, dict, Mapping)):
        return {key: _plain(item) for key, item in value.items()}
    return value


def canonical(value: Any) -> str:
    """Return the canonical JSON text of ``value``: sorted keys, no spaces, no NaN.

    >>> canonical({"b": (1, 2), "a": None})
    '{"a":null,"b":[1,2]}'

    Raises:
        TypeError: it contains something that is not JSON, such as a tensor or a function.
        ValueError: it contains a number that is not finite.
    """
    return canonical_plain(_plain(value))


def canonical_plain(value: Any) -> str:
    """Return :func:`canonical` of plain JSON data, faster, because thousands of cells are read at once."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def _identity(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a cell's plain data that its hash covers."""
    return {name: value for name, value in data.items() if name not in _PRESENTATION and (value or name not in _LATER)}


def _hash(data: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_plain(_identity(data)).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """One run of a benchmark: everything that its numbers depend on, and nothing else.

    Two cells with equal ``hash`` give byte-identical metrics and predictions. The hash does not cover ``label``, the
    name of the row, ``root`` and ``data``, the location of a user's data; ``task_checksum`` covers the data itself.
    Mappings are read-only, and lists in them are tuples.

    Attributes:
        kind: the protocol that runs it.
        task: name of the task.
        backbone: argument of :func:`tlzoo.create_backbone`; None if the task needs none.
        method: full registry name, or a composition of several.
        label: name of the row in tables.
        settings: settings of the method.
        module: settings of the Lightning module (``lr``, ``bottleneck`` ...).
        budget: budget of the run (``steps``, ``batch_size``, ``episodes`` ...).
        trainer: Lightning's ``accelerator``, ``devices``, ``strategy`` and ``precision``, as set by the suite; by
            default one process on the CPU in float32.
        candidates: setting -> values, tuned by the protocol's validation rule; empty without tuning. With a sampler,
            setting -> distribution as plain data.
        search: how they are tuned: ``trials`` (trial i takes the i-th candidates instead of every combination),
            ``rule`` (which of the protocol's rules selects), ``sampler`` (which proposes candidates on the way).
        seed: set before anything is built.
        threads: number of threads of every library, in every executor.
        task_checksum: identity of data and split.
        revisions: revisions of ``method``, ``protocol`` and ``schema``, raised when numbers change.
        code: ``"KIND NAME"`` of each method, task or backbone that is not built in -> identity of its code: the version
            of its package and a hash of its source.
        root: folder of the user's data, or None.
        data: how the task is made of the user's files, for tasks that a suite describes; otherwise empty.
    """

    kind: Kind
    task: str
    method: str
    backbone: str | None = None
    label: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    module: Mapping[str, Any] = field(default_factory=dict)
    budget: Mapping[str, Any] = field(default_factory=dict)
    trainer: Mapping[str, Any] = field(default_factory=dict)
    candidates: Mapping[str, Any] = field(default_factory=dict)
    search: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    threads: int = 1
    task_checksum: str = ""
    revisions: Mapping[str, int] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)
    root: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"cell of kind {self.kind!r}; expected one of {', '.join(KINDS)}")
        for name in ("settings", "module", "budget", "trainer", "candidates", "search", "revisions", "code", "data"):
            object.__setattr__(self, name, _frozen(getattr(self, name)))
        if not self.label:
            object.__setattr__(self, "label", self.method)

    @property
    def identity(self) -> dict[str, Any]:
        """The data that the hash covers, as plain JSON data."""
        return _identity(self.to_json())

    @property
    def given_task(self) -> str | dict[str, Any]:
        """The argument of :func:`tlzoo.load_task`: a name, or the description of a task on the user's files."""
        return _plain(self.data) or self.task

    @property
    def processes(self) -> int:
        """The number of processes that train together, one per device."""
        devices = self.trainer.get("devices", 1)
        return len(devices) if isinstance(devices, tuple) else int(devices)

    @cached_property
    def hash(self) -> str:
        """The first 16 hex digits of the SHA-256 of the canonical JSON of ``identity``."""
        return _hash(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return all fields as plain JSON data."""
        return {name: _plain(getattr(self, name)) for name in self.__dataclass_fields__}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the cell described by :meth:`to_json`."""
        made = cls(**data)
        if len(data) == len(cls.__dataclass_fields__):  # no field takes its default, so ``data`` gives the hash
            vars(made)["hash"] = _hash(data)
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cell) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.hash)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_json, (self.to_json(),)

    def __str__(self) -> str:
        where = f"{self.task} on {self.backbone}" if self.backbone else self.task
        return printable(f"{self.label}, {where}, seed {self.seed}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """The result of a protocol for a cell; it must not depend on time, host or executor.

    Attributes:
        metrics: name -> value, such as ``"test/accuracy"``; NaN if undefined. ``"test/interval"`` is the half width of
            its 95 % interval over test examples or episodes, shown if there is a single run.
        curves: name -> one value per checkpoint; a curve named ``"step"`` is the axis of the others.
        receipt: ``sees`` (list of :class:`~tlzoo.types.Sees` values that the method declared), ``declared`` (False if
            the measured dependence on the test batch exceeds the declaration), ``dependence`` (the measurements), and
            anything else a reader should know about the protocol (``selected`` settings ...).
        predictions: name -> array, preferably (N, C) test logits; stored in float16 if the range allows.
        splits: name of a prediction -> hash of its examples; labels are not stored.
        series: name of a plot -> columns of equal length by name; the first column is the axis.
    """

    metrics: Mapping[str, float]
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    receipt: Mapping[str, Any] = field(default_factory=dict)
    predictions: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    splits: Mapping[str, str] = field(default_factory=dict)
    series: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.metrics:
            raise InputError("an outcome without metrics; a protocol must return at least one")
        for name, columns in self.series.items():
            if len({len(column) for column in columns.values()}) > 1:
                sizes = ", ".join(f"{key} {len(column)}" for key, column in columns.items())
                raise InputError(f"columns of series {name!r} differ in length: {sizes}")
        object.__setattr__(self, "predictions", {k: np.asarray(v) for k, v in self.predictions.items()})
