"""Xian et al.'s proposed splits (xlsa17): ResNet-101 features, attributes, and splits into seen, held-out and unseen.

The folder ``root`` has a folder for each data set (``AWA1``, ``AWA2``, ``CUB``, ``SUN``, ``APY``) with
``res101.mat`` and ``att_splits.mat`` (https://arxiv.org/abs/1707.00600).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.data.tasks import ZeroShotTask
from tlzoo.errors import InputError
from tlzoo.spelling import nearest

__all__ = ["read_matlab", "xlsa17"]

_FEATURES, _SPLITS = "res101.mat", "att_splits.mat"
_PLACES = ("train_loc", "val_loc", "trainval_loc", "test_seen_loc", "test_unseen_loc")

Indices = NDArray[np.int64]


def xlsa17(name: str, *, root: Path, dataset: str, generalized: bool = False) -> ZeroShotTask:
    """Build ``xlsa17:DATASET``: the proposed split with held-out validation classes; attributes are class embeddings.

    Training and validation only use images of ``trainval_loc``, because early releases of the splits have test images
    in ``train_loc`` and ``val_loc``. These two only determine which classes are held out.

    Args:
        name: name of the task.
        root: folder of the data sets.
        dataset: name of the folder of a data set.
        generalized: also test on ``test_seen_loc``.

    Raises:
        ValueError: the folder, a file or an entry is missing or does not fit, or the classes of training, validation
            and test overlap.
    """
    folder = _folder(root, dataset)
    images, splits = (
        read_matlab(folder / _FEATURES, ("features", "labels")),
        read_matlab(folder / _SPLITS, ("att", *_PLACES)),
    )
    features = np.ascontiguousarray(images["features"].T, dtype=np.float32)
    labels = images["labels"].ravel().astype(np.int64) - 1
    attributes = np.ascontiguousarray(splits["att"].T, dtype=np.float32)
    places = {key: splits[key].ravel().astype(np.int64) - 1 for key in _PLACES}
    _check(folder, features, labels, attributes, places)
    every = ExampleSet(
        inputs=features, modality="features", labels=labels, checksum=content_hash(features, labels, attributes)
    )
    held_out = np.unique(labels[places["val_loc"]])
    seen = np.setdiff1d(np.unique(labels[places["trainval_loc"]]), held_out)
    trained = places["trainval_loc"]
    validates = np.isin(labels[trained], held_out)
    return ZeroShotTask(
        name=name,
        class_names=_class_names(splits, len(attributes)),
        descriptions=_class_names(splits, len(attributes)),
        seen=seen,
        held_out=held_out,
        unseen=np.unique(labels[places["test_unseen_loc"]]),
        train=every.subset(trained[~validates]),
        validation=every.subset(trained[validates]),
        test=every.subset(places["test_unseen_loc"]),
        test_seen=every.subset(places["test_seen_loc"]) if generalized else None,
        embeddings=attributes,
    )


def _folder(root: Path, dataset: str) -> Path:
    there = sorted(path.parent.name for path in root.glob(f"*/{_SPLITS}"))
    if dataset not in there:
        holds = f"it has {', '.join(there)}" if there else f"expected DATASET/{_FEATURES} and DATASET/{_SPLITS} in it"
        raise InputError(f"{nearest(dataset, there, kind='data set') if there else dataset} in {root}: {holds}")
    return root / dataset


def read_matlab(file: Path, wanted: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Return the entries of a MATLAB file.

    Raises:
        ValueError: it cannot be read, or has no entry of a name that is wanted.
    """
    from scipy.io import loadmat

    try:
        content: dict[str, NDArray[Any]] = loadmat(str(file))
    except Exception as error:  # SciPy raises whatever a damaged file leads it to
        raise InputError(f"{file} cannot be read as a MATLAB file ({error}); fetch it again") from error
    if missing := [name for name in wanted if name not in content]:
        raise InputError(f"{file} has no {' and no '.join(missing)}; it holds {', '.join(_entries(content))}")
    return content


def _entries(content: dict[str, Any]) -> list[str]:
    return [name for name in content if not name.startswith("__")]


def _check(
    folder: Path, features: NDArray[Any], labels: Indices, attributes: NDArray[Any], places: dict[str, Indices]
) -> None:
    if len(features) != len(labels):
        raise InputError(f"{folder / _FEATURES}: {len(features)} features and {len(labels)} labels; expected one each")
    if labels.min() < 0 or labels.max() >= len(attributes):
        raise InputError(
            f"{folder}: labels from {labels.min() + 1} to {labels.max() + 1} for {len(attributes)} rows of attributes"
        )
    for name, indices in places.items():
        if not len(indices) or indices.min() < 0 or indices.max() >= len(labels):
            raise InputError(f"{folder / _SPLITS}: {name} is empty or points beyond the {len(labels)} images")
    tested = np.unique(labels[places["test_unseen_loc"]])
    if len(both := np.intersect1d(labels[places["trainval_loc"]], tested)):
        raise InputError(f"{folder / _SPLITS}: classes {(both[:5] + 1).tolist()} are both seen and unseen")


def _class_names(splits: dict[str, NDArray[Any]], count: int) -> tuple[str, ...]:
    """Return the names in the file, or numbers if it has none."""
    if "allclasses_names" not in splits:
        return tuple(f"class {number}" for number in range(1, count + 1))
    return tuple(str(np.asarray(cell).ravel()[0]) for cell in splits["allclasses_names"].ravel())
