"""The feature cache: a frozen backbone runs once, and every cell, method and seed reads its features."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from tlzoo.backbones.extraction import OnProgress, extract, progress_bar
from tlzoo.backbones.weights_fingerprint import fingerprint
from tlzoo.errors import InputError
from tlzoo.inputs import by_position
from tlzoo.randomness import Stream, numpy_generator
from tlzoo.storage import home
from tlzoo.storage.arrays import ArrayStore
from tlzoo.types import Backbone

__all__ = ["FeatureCache", "FeatureRows", "estimated"]

Dtype = Literal["float16", "float32", "float64"]

_DTYPES = ("float16", "float32", "float64")
_FORMAT = 1
"""Raised when what is stored, or how features are computed, changes."""

_SAMPLES = 8


class _Subset(Protocol):
    """What :meth:`FeatureCache.apply` needs of a set; ``tlzoo.data.ExampleSet`` provides it."""

    @property
    def modality(self) -> str: ...

    @property
    def base(self) -> tuple[Any, NDArray[np.int64], str]: ...

    def with_inputs(self, inputs: Any) -> Self: ...


S = TypeVar("S", bound=_Subset)


_ESTIMATES: ContextVar[dict[str, float] | None] = ContextVar("estimates", default=None)


@contextmanager
def estimated() -> Iterator[dict[str, float]]:
    """Inside, features that are not stored are random numbers, nothing is stored, and no network sees all items.

    Yields:
        Key of an entry that is not stored -> seconds that extracting it would take, from a few of its items.
    """
    noted: dict[str, float] = {}
    token = _ESTIMATES.set(noted)
    try:
        yield noted
    finally:
        _ESTIMATES.reset(token)


class FeatureRows:
    """Some rows of a feature array, read on demand.

    Args:
        features: (N, D).
        indices: (M,) indices of rows.
    """

    def __init__(self, features: NDArray[Any], indices: NDArray[np.int64]) -> None:
        # as a plain array: a memory map makes an object with a file and an offset of every batch
        self._features, self._indices = np.asarray(features), indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, indices: Any) -> NDArray[Any]:
        rows: NDArray[Any] = self._features[self._indices[indices]]
        return rows


class FeatureCache:
    """Features of frozen backbones, memory-mapped.

    The key of an entry covers the weights, the architecture and name, the preprocessing, the data's checksum and the
    dtype; if any of them changes, a new entry is computed. A process verifies the hash of an entry when it first opens
    it, and computes a damaged or half-written entry again. Several processes may fill the same entry.

    Features are computed in evaluation mode. Other batch sizes give the same features up to float noise.

    Args:
        root: folder of the entries; by default ``features`` in the cache folder (``TLZOO_HOME``).
    """

    def __init__(self, root: str | Path | None = None) -> None:
        self.root = home() / "features" if root is None else Path(root)
        self._entries = ArrayStore(self.root)

    def features(
        self,
        backbone: Backbone,
        inputs: Any,
        *,
        checksum: str,
        dtype: Dtype = "float32",
        batch_size: int = 64,
        progress: bool | OnProgress = True,
        weights: str | None = None,
    ) -> NDArray[Any]:
        """Return the features (N, D) of all inputs; compute and store them if necessary.

        Args:
            backbone: runs in evaluation mode and without gradients, on its own device; its state stays unchanged.
            inputs: N raw items: an array, a list or a column of a table, read by position; or a reader whose rows can
                be read by an index array.
            checksum: identity of the inputs. A few rows are hashed as well, which catches inputs that changed under the
                same checksum.
            dtype: stored type: ``float16``, ``float32`` or ``float64``.
            batch_size: number of items that pass through the backbone at once.
            progress: True for a progress bar after two seconds; or a function of (done, total).
            weights: the backbone's :func:`~tlzoo.backbones.weights_fingerprint.fingerprint`, if it is known.

        Returns:
            An array mapped from the file, copied on write.

        Raises:
            ValueError: ``checksum`` is empty, ``dtype`` or ``batch_size`` is wrong, features are not finite, or the
                backbone normalizes by batch statistics.
        """
        inputs = by_position(inputs, "features" if backbone.modality == "any" else backbone.modality)
        if not checksum or dtype not in _DTYPES or batch_size < 1:
            raise InputError(
                f"checksum {checksum!r}, dtype {dtype!r}, batch_size {batch_size}; expected a checksum that is not "
                f"empty, one of {', '.join(_DTYPES)}, and at least 1"
            )
        shape, wanted = (len(inputs), backbone.num_features), np.dtype(dtype)
        if shape[0] == 0:
            return np.empty(shape, dtype=wanted)
        described = {
            "format": _FORMAT,
            "backbone": backbone.name,
            "fingerprint": weights or fingerprint(backbone),
            "checksum": checksum,
            "sample": _sample_hash(inputs),
            "dtype": dtype,
            "items": shape[0],
        }
        key = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:32]

        if (estimates := _ESTIMATES.get()) is not None and self._entries.get(key) is None:
            estimates[key] = _extraction_seconds(backbone, inputs, batch_size)
            return numpy_generator(0, Stream.PRICES, "features").random(shape).astype(wanted)

        def fill(out: NDArray[Any]) -> None:
            title = f"features of {backbone.name}"
            with progress_bar(title) if progress is True else nullcontext(progress or None) as on_progress:
                extract(backbone, inputs, out, batch_size=batch_size, on_progress=on_progress)

        return self._entries.make(key, shape, wanted, fill, described)

    def apply(
        self,
        backbone: Backbone,
        examples: S,
        *,
        dtype: Dtype = "float32",
        batch_size: int = 64,
        progress: bool | OnProgress = True,
        weights: str | None = None,
    ) -> S:
        """Return a set with its raw inputs replaced by their features.

        For a subset, the features of the whole raw set are computed and stored, so tasks that share images extract them
        only once. ``task.map_sets(lambda examples: cache.apply(backbone, examples))`` converts a whole task.

        Args:
            backbone: as in :meth:`features`.
            examples: a ``tlzoo.data.ExampleSet``.
            dtype: as in :meth:`features`.
            batch_size: as in :meth:`features`.
            progress: as in :meth:`features`.
            weights: as in :meth:`features`.

        Raises:
            ValueError: the backbone takes another modality; see also :meth:`features`.
        """
        if backbone.modality not in (examples.modality, "any"):
            raise InputError(f"{backbone.name} takes {backbone.modality} items, and the set holds {examples.modality}")
        inputs, indices, checksum = examples.base
        features = self.features(
            backbone,
            inputs,
            checksum=checksum,
            dtype=dtype,
            batch_size=batch_size,
            progress=progress,
            weights=weights,
        )
        return examples.with_inputs(FeatureRows(features, indices))


def _extraction_seconds(backbone: Backbone, inputs: Any, batch_size: int) -> float:
    """Return the seconds that the features of all inputs take, from a few inputs that are read and passed."""
    places = np.unique(np.linspace(0, len(inputs) - 1, 2 * _SAMPLES).astype(np.int64))
    for _ in range(2):  # the first time allocates
        begun = time.perf_counter()
        out = np.empty((len(places), backbone.num_features))
        extract(backbone, inputs[places], out, batch_size=batch_size, on_progress=None)
        taken = time.perf_counter() - begun
    return taken / len(places) * len(inputs)


def _sample_hash(inputs: Any) -> str:
    """Return a hash of the rows at a few fixed positions."""
    places = np.unique(np.linspace(0, len(inputs) - 1, _SAMPLES).astype(np.int64))
    rows = np.asarray(inputs[places])
    digest = hashlib.sha256(f"{rows.dtype.kind}{rows.shape}".encode())
    if rows.dtype.kind in "OU":
        digest.update(repr(rows.tolist()).encode())
    else:
        digest.update(np.ascontiguousarray(rows).tobytes())
    return digest.hexdigest()[:16]
