"""A set of examples that knows what it is, and can be handed out with parts withheld."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray

from tlzoo.types import Examples, Modality, is_withheld

__all__ = ["ExampleSet", "Inputs", "content_hash"]

Indices = NDArray[np.int64]

_IN_MEMORY_BYTES = 2**28
_COLUMNS = ("labels", "domains", "targets", "attributes")


class Inputs(Protocol):
    """Raw items: an array, a memory map, an array of strings, or a reader that opens files on demand."""

    def __len__(self) -> int:
        """Count the items."""
        ...

    def __getitem__(self, indices: Indices, /) -> Any:
        """Return the items at ``indices`` as one array (or array of strings)."""
        ...


def content_hash(*parts: Any) -> str:
    """Hash arrays (bytes, shape and dtype) and strings into 16 hex digits."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray) and part.dtype.kind not in "OU":
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).data)
        else:
            digest.update(repr(part.tolist() if isinstance(part, np.ndarray) else part).encode())
    return digest.hexdigest()[:16]


@dataclass(frozen=True, kw_only=True, eq=False)
class ExampleSet:
    """Inputs with what is known of them.

    Attributes:
        inputs: N raw items, see :data:`tlzoo.types.Modality`.
        modality: what the raw items are.
        labels: (N,) int64 class indices, or None where there are none.
        domains: (N,) int64 domain indices, or None.
        targets: further (N,) label arrays by task name, for multitask sets.
        attributes: (N,) arrays that protocols use (concept, group, vendor ...); no method sees them.
        checksum: identity of the raw inputs; kept by :meth:`subset` with the indices hashed in.
    """

    inputs: Inputs
    modality: Modality
    labels: NDArray[np.int64] | None = None
    domains: NDArray[np.int64] | None = None
    targets: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    attributes: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    checksum: str = ""

    def __post_init__(self) -> None:
        columns = {"labels": self.labels, "domains": self.domains, **self.targets, **self.attributes}
        for name, column in columns.items():
            if column is not None and len(column) != len(self.inputs):
                raise ValueError(f"{name} has {len(column)} entries for {len(self.inputs)} inputs; expected one each")

    def __len__(self) -> int:
        return len(self.inputs)

    def subset(self, indices: NDArray[Any]) -> Self:
        """Return the examples at ``indices`` (positions or a boolean mask), inputs read on demand.

        What is withheld stays so.
        """
        indices = np.flatnonzero(indices) if indices.dtype == bool else np.asarray(indices, dtype=np.int64)

        def pick(column: Any) -> Any:
            if isinstance(column, Mapping):
                return {name: pick(array) for name, array in column.items()}
            return None if column is None else column[indices]

        columns = {name: pick(self._known(name)) for name in _COLUMNS if not is_withheld(self, name)}
        return self._changed(
            inputs=_Rows(self.inputs, indices, self.checksum),
            checksum=content_hash(self.checksum, indices),
            **columns,
        )

    @property
    def base(self) -> tuple[Inputs, Indices, str]:
        """The raw inputs that this is a subset of, the indices into them, and their checksum.

        Whoever computes something for each raw item (features) does it once for all subsets.
        """
        if isinstance(self.inputs, _Rows):
            return self.inputs.base
        return self.inputs, np.arange(len(self), dtype=np.int64), self.checksum

    def with_inputs(self, inputs: Inputs, modality: Modality = "features") -> Self:
        """Return the same examples with other inputs: cached features in place of images.

        Memory maps of at most 256 MiB are read into memory: steps are many, and the file system is slow.
        """
        if len(inputs) != len(self):
            raise ValueError(f"{len(inputs)} inputs for {len(self)} examples; expected one each")
        if isinstance(inputs, np.memmap) and inputs.nbytes <= _IN_MEMORY_BYTES:
            inputs = np.array(inputs)
        return self._changed(inputs=inputs, modality=modality)

    def with_labels(self, labels: NDArray[np.int64]) -> Self:
        """Return the same examples with other labels (N,)."""
        return replace(self, labels=labels)

    def joined(self, other: Self) -> Self:
        """Return these examples followed by others of the same kind, inputs read into memory.

        Raises:
            ValueError: only one of the two has labels, or domains.
        """
        columns: dict[str, Any] = {}
        for name in ("labels", "domains"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if (ours is None) != (theirs is None):
                raise ValueError(f"only one of two sets that are to be joined has {name}; give both or neither")
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
        """Return several labelled sets as one; ``domains`` says of each item which of them it is of.

        Inputs stay where they are: subsets of one raw set become one subset of it, whose features are extracted once.
        """
        bases = [examples.base for examples in sets]
        counts = [len(examples) for examples in sets]
        first, _, checksum = bases[0]
        inputs: Inputs
        if all(raw is first and other == checksum for raw, _, other in bases):
            inputs = _Rows(first, np.concatenate([indices for _, indices, _ in bases]), checksum)
        else:
            inputs = _Parts([examples.inputs for examples in sets])
        shared = [name for name in sets[0].attributes if all(name in examples.attributes for examples in sets)]
        return cls(
            inputs=inputs,
            modality=sets[0].modality,
            labels=np.concatenate([examples.labels for examples in sets if examples.labels is not None]),
            domains=np.repeat(np.arange(len(sets)), counts),
            attributes={name: np.concatenate([examples.attributes[name] for examples in sets]) for name in shared},
            checksum=content_hash("pooled", *[examples.checksum for examples in sets]),
        )

    def detached(self) -> Self:
        """Return the same examples without a way back to the set that they are a subset of."""
        return self._changed(inputs=_detached(self.inputs))

    def batch(self, indices: Indices) -> Examples:
        """Return the raw items at ``indices`` with labels, indices and domains as tensors.

        Text comes as a list of strings. Labels are None where there are none, and where they are withheld.
        """
        if not indices.flags.writeable:  # such as those of a frozen episode list: torch would warn
            indices = indices.copy()
        raw = self.inputs[indices]
        labels, domains = self._known("labels"), self._known("domains")
        return Examples(
            inputs=torch.from_numpy(np.ascontiguousarray(raw)) if raw.dtype.kind in "biuf" else raw.tolist(),
            labels=None if labels is None else torch.from_numpy(labels[indices]),
            indices=torch.from_numpy(indices),
            domains=None if domains is None else torch.from_numpy(domains[indices]),
        )

    def _known(self, name: str) -> Any:
        """Return a column, or None where it is withheld."""
        return None if is_withheld(self, name) else getattr(self, name)

    def _changed(self, **changes: Any) -> Self:
        """Return a copy with other values, of the same withheld columns if any."""
        copy = object.__new__(type(self))
        for name, value in {**vars(self), **changes}.items():
            object.__setattr__(copy, name, value)
        return copy


def _detached(inputs: Inputs) -> Inputs:
    """Return inputs that hold their own rows alone, where their kind is known to allow it."""
    if isinstance(inputs, _Rows):
        whole, indices, _ = inputs.base
        if isinstance(whole, np.ndarray):
            return np.asarray(whole[indices])
        return whole.take(indices) if hasattr(whole, "take") else inputs
    if isinstance(inputs, _Parts):
        return _Parts([_detached(part) for part in inputs.parts])
    if isinstance(inputs, np.ndarray) and isinstance(inputs.base, np.ndarray):
        return np.array(inputs)
    return inputs


class _Rows:
    """Some rows of other inputs."""

    def __init__(self, inputs: Inputs, indices: Indices, checksum: str) -> None:
        if isinstance(inputs, _Rows):
            inputs, base_indices, checksum = inputs.base
            indices = base_indices[indices]
        self._inputs, self._indices, self._checksum = inputs, indices, checksum

    @property
    def base(self) -> tuple[Inputs, Indices, str]:
        return self._inputs, self._indices, self._checksum

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, indices: Indices) -> Any:
        return self._inputs[self._indices[indices]]


class _Parts:
    """Several inputs, one after the other."""

    def __init__(self, parts: Sequence[Inputs]) -> None:
        self.parts = tuple(parts)
        self._firsts = np.cumsum([0, *map(len, parts)])

    def __len__(self) -> int:
        return int(self._firsts[-1])

    def __getitem__(self, indices: Indices) -> Any:
        order, places = self._by_part(indices)
        rows = [part[own] for part, own in zip(self.parts, places, strict=True) if len(own) or not len(indices)]
        return np.concatenate(rows)[np.argsort(order)]

    def take(self, indices: Indices) -> Inputs:
        """Return these items alone."""
        order, places = self._by_part(indices)
        parts = [_detached(_Rows(part, own, "")) for part, own in zip(self.parts, places, strict=True)]
        return _Rows(_Parts(parts), np.argsort(order), "")

    def _by_part(self, indices: Indices) -> tuple[Indices, list[Indices]]:
        """Return the order that sorts items by part, and in this order the places of each part's in it."""
        owners = np.searchsorted(self._firsts, indices, side="right") - 1
        order = np.argsort(owners, kind="stable")
        places = [indices[owners == part] - self._firsts[part] for part in range(len(self.parts))]
        return order.astype(np.int64), places
