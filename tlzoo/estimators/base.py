"""What the estimators share: inputs, classes, seeds, and a trainer that writes and prints nothing."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from pytorch_lightning.utilities.seed import isolate_rng
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from tlzoo.data import ExampleSet
from tlzoo.functional.checks import check_counts
from tlzoo.inputs import by_position
from tlzoo.labels import as_column
from tlzoo.lit.data.base import TaskData
from tlzoo.lit.module import TransferModule
from tlzoo.types import Modality

__all__ = ["TransferEstimator", "class_names", "classes_of", "numbers", "seeded"]

_SHAPES: dict[int, Modality] = {1: "text", 2: "features", 3: "series", 4: "image"}


class TransferEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Base of the estimators.

    Attributes:
        module_: the trained Lightning module, with ``save`` and ``export``.
        modality_: what the inputs are, see :data:`tlzoo.types.Modality`.
    """

    module_: Any
    modality_: Modality
    random_state: Any

    def _items(self, X: Any, *, reset: bool) -> Any:
        """Return inputs that were checked: a float matrix, or raw items where the estimator has a network for them.

        Raises:
            ValueError: as scikit-learn's ``validate_data``, or the items are of another kind than in the fit.
        """
        raw = self._raw_modality(X)
        if reset:
            self.modality_ = raw or "features"
        elif (raw or "features") != self.modality_:
            raise ValueError(f"X holds {raw or 'features'}; the fit had {self.modality_}")
        if raw is None and _of_texts(X):
            raise ValueError("X holds texts; name an encoder of them, such as features='sentence:minilm'")
        if raw is None:
            return validate_data(self, X, reset=reset, dtype=(np.float64, np.float32))
        return np.asarray(by_position(X, raw))

    def _labelled(self, X: Any, y: Any) -> tuple[Any, NDArray[Any]]:
        """Return checked inputs of a fit, and a label (N,) each."""
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        items, labels = self._items(X, reset=True), column_or_1d(y, warn=True)
        check_consistent_length(items, labels)
        return items, labels

    def _raw_modality(self, X: Any) -> Modality | None:
        """Return what raw items are; None for a matrix of numbers."""
        if not (getattr(self, "features", None) or getattr(self, "backbone", None)):
            return None
        array = by_position(np.asarray(X) if isinstance(X, list | tuple) else X, "text") if hasattr(X, "__len__") else X
        if getattr(array, "dtype", None) is None or array.ndim not in _SHAPES or array.ndim == 2:
            return None
        if (array.ndim == 1) != (array.dtype.kind in "OUS"):
            return None
        return _SHAPES[array.ndim]

    def _examples(self, items: Any, labels: NDArray[Any] | None = None, **columns: Any) -> ExampleSet:
        """Return checked items as a set of examples."""
        if self.modality_ == "features":
            items = np.asarray(items, dtype=np.float32)
        return ExampleSet(inputs=items, modality=self.modality_, labels=labels, **columns)

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _trained(self, module: TransferModule, data: TaskData[Any], *, steps: int, trainer: Any = None) -> Self:
        """Train a module for some steps, at least one."""
        check_counts(steps=steps)
        made = pl.Trainer(
            **{
                "max_steps": steps,
                "accelerator": "cpu",
                "devices": 1,
                "logger": False,
                "enable_checkpointing": False,
                "enable_progress_bar": False,
                "enable_model_summary": False,
                "limit_val_batches": 0,
                "log_every_n_steps": 0,
                **(trainer or {}),
            }
        )
        made.fit(module, datamodule=data)
        return self

    def _kept(self, module: TransferModule) -> None:
        """Keep a trained module; on features it answers in float64, so that answers do not depend on the batch."""
        module.eval()
        self.module_ = module.double() if self.modality_ == "features" and self._plain else module

    @contextmanager
    def _answering(self) -> Iterator[Any]:
        """Give the module, in whose precision networks prepare their inputs meanwhile."""
        check_is_fitted(self)
        before = torch.get_default_dtype()
        like = next((p for p in self.module_.parameters() if p.is_floating_point()), torch.empty(0))
        torch.set_default_dtype(like.dtype)
        try:
            yield self.module_
        finally:
            torch.set_default_dtype(before)

    @property
    def _plain(self) -> bool:
        """Whether the network takes the features of ``X`` as they are."""
        return not getattr(self, "features", None) and not isinstance(getattr(self, "backbone", None), nn.Module)


def _of_texts(X: Any) -> bool:
    """Return whether the inputs are one text each."""
    first = next(iter(X), None) if isinstance(X, list | tuple | np.ndarray) else None
    return isinstance(first, str)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed all generators for the code inside, which Lightning keeps quiet about, and restore them after it."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    with isolate_rng(), warnings.catch_warnings():
        # that loaders have few workers, and the like: nothing that whoever has arrays could act on
        warnings.filterwarnings("ignore", module=r"pytorch_lightning\b")
        warnings.filterwarnings("ignore", r".isinstance\(treespec, LeafSpec\). is deprecated", FutureWarning)
        logger.setLevel(logging.ERROR)
        np.random.seed(seed % 2**32)  # noqa: NPY002  # methods of the user's own may draw from it
        torch.manual_seed(seed)
        try:
            yield
        finally:
            logger.setLevel(level)


def classes_of(y: Any) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the classes, sorted, and the place (N,) of each label among them.

    Raises:
        ValueError: the labels are no classes, or all the same.
    """
    check_classification_targets(y)
    classes, places = np.unique(np.asarray(y), return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"y has one class, {classes.tolist()[0]!r}; a classifier needs two or more")
    return classes, places.astype(np.int64)


def class_names(classes: Sequence[Any] | NDArray[Any]) -> tuple[str, ...]:
    """Return the names of classes."""
    return tuple(str(name) for name in classes)


def numbers(values: Any, *, what: str) -> NDArray[Any]:
    """Return a column or a list of numbers as an array."""
    found: NDArray[Any] = as_column(values, what=what).numpy()
    return found
