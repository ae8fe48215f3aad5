"""A set of examples that knows its modality, and can be handed out with parts withheld."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from tlzoo.errors import InputError
from tlzoo.inputs import Indices, Inputs, Parts, Rows, as_inputs, detached
from tlzoo.labels import as_column, class_labels, value_matrix
from tlzoo.types import Examples, Modality, is_withheld

__all__ = ["ExampleSet", "content_hash", "texts_of"]

_IN_MEMORY_BYTES = 2**28
_HASHED_TOGETHER = 256
_COLUMNS = ("labels", "domains", "targets", "attributes")


def content_hash(*parts: Any) -> str:
    """Return a hash (16 hex digits) of arrays (bytes, shape and dtype) and strings."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray) and part.dtype.kind not in "OU":
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).data)
        else:
            digest.update(repr(part.tolist() if isinstance(part, np.ndarray) else part).encode())
    return digest.hexdigest()[:16]


def split_hash(examples: ExampleSet) -> str:
    """Return the identity of a test split: its inputs and labels."""
    return content_hash(examples.checksum, np.empty(0) if examples.labels is None else examples.labels)


@dataclass(frozen=True, kw_only=True, eq=False)
class ExampleSet:
    """Inputs with their labels and other data, checked where they enter.

    Lists, tensors, memory maps and columns of tables are read by position. Data that cannot be read this way raise an
    error here instead of in the first batch.

    Attributes:
        inputs: N raw items, see :data:`tlzoo.types.Modality`.
        modality: modality of the raw items.
        labels: (N,) class indices from 0, with -1 for missing ones; with ``regression`` (N, T) real numbers, NaN for
            missing ones; None without labels.
        domains: (N,) int64 domain indices, or None.
        targets: further (N,) label arrays by task name, for multitask sets.
        attributes: (N,) arrays for protocols (concept, group, vendor ...); methods never see them.
        regression: whether labels are real numbers; (N,) becomes (N, 1).
        checksum: identity of the raw inputs, by default their hash; :meth:`subset` keeps it and hashes the indices in.

    Raises:
        ValueError: the modality is unknown, the inputs do not fit it, a column has the wrong length, or labels are not
            class indices; the message names the row.
        TypeError: the inputs cannot be read by position.
        FloatingPointError: the inputs have NaN or Inf; the message names row and column.

    >>> import pandas as pd
    >>> table = pd.DataFrame({"text": ["good", "bad"], "label": [1.0, None]}, index=[7, 3])
    >>> ExampleSet(inputs=table["text"], modality="text", labels=table["label"]).labels
    array([ 1, -1])
    """

    inputs: Inputs
    modality: Modality
    labels: NDArray[Any] | None = None
    domains: NDArray[np.int64] | None = None
    targets: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    attributes: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    checksum: str = ""
    regression: bool = False

    def __post_init__(self) -> None:
        inputs = as_inputs(self.inputs, self.modality)
        size = len(inputs)
        checked = {
            "inputs": inputs,
            "labels": None if self.labels is None else self._as_labels(self.labels, size),
            "domains": None if self.domains is None else _domains(self.domains, size),
            "targets": {name: _column(column, size, what=name) for name, column in self.targets.items()},
            "attributes": {name: _column(column, size, what=name) for name, column in self.attributes.items()},
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if not self.checksum:
            object.__setattr__(self, "checksum", _hash_of(self.inputs))

    def __len__(self) -> int:
        return len(self.inputs)

    def subset(self, indices: NDArray[Any]) -> Self:
        """Return the examples at ``indices`` (positions or a boolean mask); inputs are read on demand.

        Withheld parts stay withheld.

        Raises:
            ValueError: the mask has the wrong length.
        """
        given = np.asarray(indices)
        if given.dtype == bool and given.shape != (len(self),):
            raise InputError(f"a mask of shape {given.shape} for {len(self)} examples; expected one entry each")
        indices = np.flatnonzero(given) if given.dtype == bool else given.astype(np.int64)

        def pick(column: Any) -> Any:
            if isinstance(column, Mapping):
                return {name: pick(array) for name, array in column.items()}
            return None if column is None else column[indices]

        columns = {name: pick(self._known(name)) for name in _COLUMNS if not is_withheld(self, name)}
        return self._changed(
            inputs=Rows(self.inputs, indices, self.checksum),
            checksum=content_hash(self.checksum, indices),
            **columns,
        )

    @property
    def base(self) -> tuple[Inputs, Indices, str]:
        """The raw inputs behind this subset, the indices into them, and their checksum.

        Features of raw items can thus be computed once for all subsets.
        """
        if isinstance(self.inputs, Rows):
            return self.inputs.base
        return self.inputs, np.arange(len(self), dtype=np.int64), self.checksum

    def with_inputs(self, inputs: Inputs, modality: Modality = "features") -> Self:
        """Return the same examples with other inputs, such as cached features instead of images.

        Memory maps of at most 256 MiB are read into memory, because many steps on a slow file system would be slow.
        """
        if len(inputs) != len(self):
            raise InputError(f"{len(inputs)} inputs for {len(self)} examples; expected one each")
        if isinstance(inputs, np.memmap) and inputs.nbytes <= _IN_MEMORY_BYTES:
            inputs = np.array(inputs)
        return self._changed(inputs=inputs, modality=modality)

    def with_labels(self, labels: NDArray[Any]) -> Self:
        """Return the same examples with other labels of their kind."""
        return self._changed(labels=self._as_labels(labels, len(self)))

    def _as_labels(self, labels: Any, size: int) -> NDArray[Any]:
        """Return labels for so many inputs: class indices, or real numbers in float64."""
        if self.regression:
            values: NDArray[np.float64] = value_matrix(labels, size=size).double().numpy()
            return values
        classes: NDArray[np.int64] = class_labels(labels, size=size).numpy()
        return classes

    def without_domains(self) -> Self:
        """Return the same examples without domain indices."""
        return self._changed(domains=None)

    def joined(self, other: Self) -> Self:
        """Return these examples followed by others of the same kind, with inputs read into memory.

        Raises:
            ValueError: only one of the two has labels or domains.
        """
        columns: dict[str, Any] = {}
        for name in ("labels", "domains"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if (ours is None) != (theirs is None):
                raise InputError(f"only one of the two sets to join has {name}; give both or neither")
            columns[name] = None if ours is None else np.concatenate([ours, theirs])
        for name in ("targets", "attributes"):
            ours, theirs = getattr(self, name), getattr(other, name)
            columns[name] = {key: np.concatenate([ours[key], theirs[key]]) for key in ours if key in theirs}
        rows = [examples.inputs[np.arange(len(examples))] for examples in (self, other)]
        return replace(
            self, inputs=np.concatenate(rows), checksum=content_hash(self.checksum, other.checksum), **columns
        )

    @classmethod
    def pooled(cls, sets: Sequence[ExampleSet]) -> ExampleSet:
        """Return several labelled sets as one; ``domains`` holds the number of each item's set.

        Inputs are not copied: subsets of one raw set become one subset of it, whose features are extracted once.
        """
        bases = [examples.base for examples in sets]
        counts = [len(examples) for examples in sets]
        first, _, checksum = bases[0]
        inputs: Inputs
        if all(raw is first and other == checksum for raw, _, other in bases):
            inputs = Rows(first, np.concatenate([indices for _, indices, _ in bases]), checksum)
        else:
            inputs = Parts([examples.inputs for examples in sets])
        shared = [name for name in sets[0].attributes if all(name in examples.attributes for examples in sets)]
        return cls(
            inputs=inputs,
            modality=sets[0].modality,
            labels=np.concatenate([examples.labels for examples in sets if examples.labels is not None]),
            domains=np.repeat(np.arange(len(sets)), counts),
            attributes={name: np.concatenate([examples.attributes[name] for examples in sets]) for name in shared},
            regression=sets[0].regression,
            checksum=content_hash("pooled", *[examples.checksum for examples in sets]),
        )

    def detached(self) -> Self:
        """Return the same examples without a reference to the larger set."""
        return self._changed(inputs=detached(self.inputs))

    def batch(self, indices: Indices) -> Examples:
        """Return the raw items at ``indices`` with labels, indices and domains as tensors.

        Texts come as a list of strings, series and features as float32. Labels are None if there are none or if they
        are withheld.
        """
        if not indices.flags.writeable:  # such as those of a frozen episode list: torch would warn
            indices = indices.copy()
        labels, domains = self._known("labels"), self._known("domains")
        return Examples(
            inputs=_as_batch(self.inputs[indices], self.modality),
            labels=None if labels is None else self._tensor_of(labels[indices]),
            indices=torch.from_numpy(indices),
            domains=None if domains is None else torch.from_numpy(domains[indices]),
        )

    def _tensor_of(self, labels: NDArray[Any]) -> torch.Tensor:
        """Return labels as batches hold them; real numbers in the precision of features."""
        return torch.from_numpy(labels).float() if self.regression else torch.from_numpy(labels)

    def whole(self) -> Examples:
        """Return all items as one batch."""
        return self.batch(np.arange(len(self)))

    def _known(self, name: str) -> Any:
        """Return a column, or None if it is withheld."""
        return None if is_withheld(self, name) else getattr(self, name)

    def _changed(self, **changes: Any) -> Self:
        """Return a copy with other values and the same withheld columns."""
        copy = object.__new__(type(self))
        for name, value in {**vars(self), **changes}.items():
            object.__setattr__(copy, name, value)
        return copy


def texts_of(examples: ExampleSet) -> list[str]:
    """Return all texts of a set."""
    texts: list[str] = examples.inputs[np.arange(len(examples))].tolist()
    return texts


def _domains(domains: Any, size: int) -> NDArray[np.int64]:
    checked: NDArray[np.int64] = class_labels(domains, size=size, complete=True, what="domains").numpy()
    return checked


def _column(column: Any, size: int, *, what: str) -> NDArray[Any]:
    """Return a column (N, ...) of a table, a list or a tensor as an array, by position; (N, 1) is (N,)."""
    if not isinstance(column, np.ndarray):
        names = np.asarray(column)
        column = names if names.dtype.kind in "US" else as_column(column, what=what).cpu().numpy()
    if column.ndim == 2 and column.shape[1] == 1:
        column = column[:, 0]
    if not column.ndim or len(column) != size:
        raise InputError(f"{what} has {column.size} entries for {size} inputs; expected one each")
    array: NDArray[Any] = column
    return array


def _hash_of(inputs: Inputs) -> str:
    """Return the hash of all items, computed in parts."""
    if isinstance(inputs, np.ndarray):
        return content_hash(inputs)
    parts = np.array_split(np.arange(len(inputs)), max(1, len(inputs) // _HASHED_TOGETHER))
    return content_hash(*[content_hash(np.asarray(inputs[part])) for part in parts])


def _as_batch(raw: NDArray[Any], modality: Modality) -> Any:
    """Return raw items as networks take them."""
    if raw.dtype.kind not in "biuf":
        return raw.tolist()
    tensor = torch.from_numpy(np.ascontiguousarray(raw))
    return tensor.float() if modality in ("features", "series") else tensor
