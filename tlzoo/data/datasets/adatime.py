"""AdaTime's five sets of time series (Ragab et al., TKDD 2023), with adaptation between people, devices or machines.

The folder ``root``, or the folder of the set in it, has ``train_X.pt`` and ``test_X.pt`` for each domain X, as the
authors keep them: a mapping of ``samples`` (N, channels, time), (N, time, channels) or (N, time), and ``labels`` (N,).
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.data.tasks import DomainTask
from tlzoo.errors import InputError
from tlzoo.storage.contents import content_hashes

__all__ = ["SETS", "TimeSeriesSet", "adatime"]

_REVISION = 1


@dataclass(frozen=True, kw_only=True)
class TimeSeriesSet:
    """A set of AdaTime.

    Attributes:
        title: its name in the paper.
        folders: names that its folder may have.
        channels: of a series.
        class_names: its classes.
        source: where it is to be had, preprocessed.
    """

    title: str
    folders: tuple[str, ...]
    channels: int
    class_names: tuple[str, ...]
    source: str


_FROM = "https://researchdata.ntu.edu.sg/dataset.xhtml?persistentId=doi:10.21979/N9/"

SETS = {
    "har": TimeSeriesSet(
        title="UCIHAR",
        folders=("HAR", "UCIHAR"),
        channels=9,
        class_names=("walk", "upstairs", "downstairs", "sit", "stand", "lie"),
        source=f"{_FROM}0SYHTZ",
    ),
    "wisdm": TimeSeriesSet(
        title="WISDM",
        folders=("WISDM",),
        channels=3,
        class_names=("walk", "jog", "sit", "stand", "upstairs", "downstairs"),
        source=f"{_FROM}KJWE5B",
    ),
    "hhar": TimeSeriesSet(
        title="HHAR",
        folders=("HHAR", "HHAR_SA"),
        channels=3,
        class_names=("bike", "sit", "stand", "walk", "stairs up", "stairs down"),
        source=f"{_FROM}OWDFXO",
    ),
    "eeg": TimeSeriesSet(
        title="Sleep-EDF (SSC)",
        folders=("EEG", "SSC"),
        channels=1,
        class_names=("W", "N1", "N2", "N3", "REM"),
        source=f"{_FROM}UD1IM9",
    ),
    "fd": TimeSeriesSet(
        title="FD (MFD)",
        folders=("FD", "MFD"),
        channels=1,
        class_names=("healthy", "D1", "D2"),
        source=f"{_FROM}PU85XN",
    ),
}
"""Name in tasks -> set."""


def adatime(name: str, *, root: Path, dataset: str, source: str, target: str) -> DomainTask:
    """Build ``adatime/SET:S->T``: trained on the training parts of two domains, tested on the target's test part.

    The series of a domain are brought to mean 0 and deviation 1 a channel by those of its training part; the authors
    take those of each file, the test's too. Their figure is macro-F1.

    Raises:
        ValueError: a file is missing, which the message says where to get, or holds something else.
    """
    known = SETS[dataset]
    folder = next((root / each for each in known.folders if (root / each).is_dir()), root)
    first, second = (_domain(folder, known, domain) for domain in (source, target))
    return DomainTask(
        name=name,
        class_names=known.class_names,
        source_train=first[0],
        source_test=first[1],
        target_train=second[0],
        target_test=second[1],
    )


def _domain(folder: Path, known: TimeSeriesSet, domain: str) -> list[ExampleSet]:
    """Return the training and the test part of a domain, in the units of the training part."""
    files = [folder / f"{part}_{domain}.pt" for part in ("train", "test")]
    if missing := [file for file in files if not file.is_file()]:
        raise InputError(f"{missing[0]} is missing; {known.title}, preprocessed, is to be had from {known.source}")
    (series, labels), (tested, asked) = (_read(file, known) for file in files)
    center, spread = series.mean(axis=(0, 1)), series.std(axis=(0, 1))
    spread = np.where(spread > 0, spread, 1)
    hashes = sorted(content_hashes(folder, files).items())
    return [
        ExampleSet(
            inputs=((values - center) / spread).astype(np.float32),
            modality="series",
            labels=own,
            checksum=content_hash(_REVISION, part, hashes),
        )
        for part, values, own in (("train", series, labels), ("test", tested, asked))
    ]


def _read(file: Path, known: TimeSeriesSet) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return series (N, time, channels) and labels (N,)."""
    content = _loaded(file)
    if not isinstance(content, dict) or not {"samples", "labels"} <= {*content}:
        raise InputError(f"{file} is no mapping of samples and labels, as AdaTime keeps them; fetch it again")
    samples, labels = (np.asarray(content[key]) for key in ("samples", "labels"))
    series = samples.astype(np.float64)
    if series.ndim == 2:
        series = series[:, :, None]
    elif series.ndim == 3 and series.shape[1] == known.channels:
        series = series.transpose(0, 2, 1)
    if series.ndim != 3 or series.shape[2] != known.channels or len(series) != labels.size:
        raise InputError(
            f"{file}: samples of shape {samples.shape} and {labels.size} labels; expected (N, {known.channels}, time) "
            "and one each"
        )
    return series, labels.ravel().astype(np.int64)


def _loaded(file: Path) -> Any:
    """Read a file of tensors or arrays; nothing else in it is run."""
    made: Any = np.empty(0).__reduce__()[0]  # what makes an array of a file; NumPy 1 and 2 call it differently
    known: list[Any] = [(made, f"numpy.{module}.multiarray._reconstruct") for module in ("core", "_core")]
    types = {type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "u1", "i1")}
    try:
        with torch.serialization.safe_globals([np.ndarray, np.dtype, *types, *known]):
            return torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise InputError(f"{file} cannot be read as tensors or arrays alone; fetch it again") from error
