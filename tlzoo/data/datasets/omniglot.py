"""Omniglot in Lake's layout: alphabets, characters, drawers, and the runs of one-shot classification.

The folder ``root``, or a folder in it, contains ``images_background`` and ``images_evaluation``. Both have a folder per
alphabet, in it a folder per character, and in that an image per drawer (``0001_01.png``). The runs are folders
``runNN`` with ``class_labels.txt``, ``training`` and ``test`` (https://doi.org/10.1126/science.aab3050).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.episodes import EpisodeIndices, EpisodeList
from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.data.pictures import find_pictures, open_picture, subfolders
from tlzoo.data.quarter_turns import with_quarter_turns
from tlzoo.data.readers.plain_files import read_text
from tlzoo.data.splits import group_split
from tlzoo.data.tasks import EpisodeTask
from tlzoo.errors import InputError

__all__ = ["SIZE", "omniglot", "omniglot_oneshot", "omniglot_vinyals", "read_alphabets"]

SIZE = 28
"""Height and width of the images, which have 105 on disk."""

_BACKGROUND, _EVALUATION, _LABELS = "images_background", "images_evaluation", "class_labels.txt"
_BASE_SHARE = 0.8
_QUERY = 5
_VINYALS_QUERY = 15

_VINYALS_VALIDATION = frozenset({"Armenian", "Bengali", "Early_Aramaic", "Hebrew", "Mkhedruli_(Georgian)"})
_VINYALS_TEST = frozenset(
    {
        *("Kannada", "Keble", "Malayalam", "Manipuri", "Mongolian", "Old_Church_Slavonic_(Cyrillic)", "Oriya"),
        *("Sylheti", "Syriac_(Serto)", "Tengwar", "Tibetan", "ULOG"),
    }
)
_VINYALS_DIVIDED = frozenset(f"Gurmukhi/character{number}" for number in range(42, 46))
"""The last four characters of Gurmukhi are in the test, so that it has 423."""

Runs = list[tuple[list[Path], list[Path], list[int]]]


def omniglot(name: str, *, root: Path) -> EpisodeTask:
    """Build ``omniglot``: background alphabets are base and validation, evaluation alphabets novel; episodes mix them.

    Raises:
        ValueError: a folder is missing or empty, or an image cannot be read.
    """
    base, validation, names = _background(root)
    novel, novel_names = read_alphabets(_folder(root, _EVALUATION), first=len(names))
    return EpisodeTask(
        name=name, class_names=(*names, *novel_names), base=base, validation=validation, novel=novel, query=_QUERY
    )


def omniglot_vinyals(name: str, *, root: Path) -> EpisodeTask:
    """Build ``omniglot-vinyals``: 1,028 characters to train on, 172 to validate, 423 to test, each in four rotations.

    A character turned by 90, 180 or 270 degrees is a class of its own, in all three parts. The test is that of Vinyals
    et al., NeurIPS 2016 (https://arxiv.org/abs/1606.04080), by whole alphabets but for four characters of Gurmukhi, as
    the lists in https://github.com/jakesnell/prototypical-networks, data/omniglot/splits/vinyals, have it; there, too,
    five of the alphabets of the 1,200 other characters validate.

    Raises:
        ValueError: a folder is missing or empty, an alphabet of the lists is missing, or an image cannot be read.
    """
    first, names = read_alphabets(_folder(root, _BACKGROUND))
    second, others = read_alphabets(_folder(root, _EVALUATION), first=len(names))
    upright = (*names, *others)
    alphabets = {each.partition("/")[0] for each in upright}
    if missing := sorted((_VINYALS_VALIDATION | _VINYALS_TEST) - alphabets) or sorted(_VINYALS_DIVIDED - {*upright}):
        raise InputError(
            f"{root} has no {missing[0]} in {_BACKGROUND} or {_EVALUATION}; the whole of both is to be had from "
            "https://github.com/brendenlake/omniglot, python/, or by torchvision.datasets.Omniglot(root, download=True)"
        )
    validates, tests = (
        np.array([label for label, each in enumerate(upright) if each.partition("/")[0] in alphabet or each in single])
        for alphabet, single in ((_VINYALS_VALIDATION, frozenset()), (_VINYALS_TEST, _VINYALS_DIVIDED))
    )
    whole = with_quarter_turns(first.joined(second))
    assert whole.labels is not None
    characters = whole.labels % len(upright)
    validation, novel = np.isin(characters, validates), np.isin(characters, tests)
    return EpisodeTask(
        name=name,
        class_names=tuple(f"{each}/rot{90 * turns:03}" for turns in range(4) for each in upright),
        base=whole.subset(~(validation | novel)),
        validation=whole.subset(validation),
        novel=whole.subset(novel),
        query=_VINYALS_QUERY,
    )


def omniglot_oneshot(name: str, *, root: Path) -> EpisodeTask:
    """Build ``omniglot-oneshot``: the within-alphabet runs, each a 20-way episode with one training image per class.

    The test episodes are the runs, and the protocol reports their mean error rate. Training uses the background
    alphabets, with episodes within one alphabet.

    Raises:
        ValueError: a folder is missing or empty, an image cannot be read, ``class_labels.txt`` names a missing file, or
            the runs differ in size.
    """
    base, validation, names = _background(root)
    runs = _runs(root)
    files = [file for training, test, _ in runs for file in (*training, *test)]
    way, first = len(runs[0][0]), len(names)
    labels = np.concatenate(
        [first + place * way + np.concatenate([np.arange(way), answers]) for place, (_, _, answers) in enumerate(runs)]
    )
    characters = [f"{file.parent.parent.name}/{file.stem}" for training, _, _ in runs for file in training]
    alphabets = np.repeat([f"run {place + 1}" for place in range(len(runs))], 2 * way)
    return EpisodeTask(
        name=name,
        class_names=(*names, *characters),
        base=base,
        validation=validation,
        novel=_examples(files, labels, alphabets),
        way=way,
        query=1,
        within="alphabet",
        listed=_listed([answers for _, _, answers in runs], way),
    )


def read_alphabets(folder: Path, *, first: int = 0) -> tuple[ExampleSet, tuple[str, ...]]:
    """Read a folder of alphabets, and return the images with the names of their classes, ``alphabet/character``.

    Args:
        folder: has the layout ``alphabet/character/*.png``.
        first: label of the first character.

    Raises:
        ValueError: there is no character with an image, or an image cannot be read.
    """
    characters = [folder / alphabet / name for alphabet in subfolders(folder) for name in subfolders(folder / alphabet)]
    files = [find_pictures(character) for character in characters]
    if not any(files):
        raise InputError(f"{folder} has no alphabet/character/*.png; give the folder of Lake's images_background")
    if not all(files):
        raise InputError(f"{characters[files.index([])]} has no images; unpack the alphabet again")
    counts = [len(members) for members in files]
    labels = first + np.repeat(np.arange(len(characters)), counts)
    alphabets = np.repeat([character.parent.name for character in characters], counts)
    names = tuple(f"{character.parent.name}/{character.name}" for character in characters)
    return _examples([file for members in files for file in members], labels, alphabets), names


def _background(root: Path) -> tuple[ExampleSet, ExampleSet, tuple[str, ...]]:
    """Return base and validation examples, in whole alphabets, and the names of their classes."""
    whole, names = read_alphabets(_folder(root, _BACKGROUND))
    base, validation = group_split(whole.attributes["alphabet"], _BASE_SHARE)
    return whole.subset(base), whole.subset(validation), names


def _folder(root: Path, name: str) -> Path:
    """Return ``root/name``, or the folder ``name`` one level deeper."""
    found = [path for path in (root / name, *sorted(root.glob(f"*/{name}"))) if path.is_dir()]
    if not found:
        raise InputError(f"{root} has no folder {name}; give the folder in which Lake's Omniglot was unpacked")
    return found[0]


def _runs(root: Path) -> Runs:
    """Return for each run the training files, the test files and the position of each test file's class."""
    lists = sorted(root.rglob(_LABELS))
    if not lists:
        raise InputError(
            f"{root} has no {_LABELS}; unpack the one-shot classification runs (run01, run02 ...) in this folder"
        )
    runs = [_run(file) for file in lists]
    sizes = {(len(training), len(test)) for training, test, _ in runs}
    if len(sizes) > 1 or any(len(training) != len(test) for training, test, _ in runs):
        raise InputError(
            f"runs in {root} have {sorted(sizes)} training and test images; expected the same number in each"
        )
    return runs


def _run(file: Path) -> tuple[list[Path], list[Path], list[int]]:
    pairs = [line.split() for line in read_text(file).splitlines() if line.strip()]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise InputError(f"{file}: expected lines with a test and a training image, run01/test/item01.png ...")
    # paths begin with the name of the run's folder
    resolved = [tuple(file.parent / PurePosixPath(*PurePosixPath(path).parts[1:]) for path in pair) for pair in pairs]
    if missing := [path for pair in resolved for path in pair if not path.is_file()]:
        raise InputError(f"{file} names {missing[0]}, which does not exist; unpack the runs again")
    training = sorted({pair[1] for pair in resolved})
    return training, [pair[0] for pair in resolved], [training.index(pair[1]) for pair in resolved]


def _listed(answers: Sequence[Sequence[int]], way: int) -> EpisodeList:
    """Return the runs as episodes; in the novel set, each run has its training images followed by its test images."""
    starts = np.arange(len(answers))[:, None] * 2 * way
    return EpisodeList(
        episodes=EpisodeIndices(
            support=starts + np.arange(way),
            support_labels=np.tile(np.arange(way), (len(answers), 1)),
            query=starts + way + np.arange(way),
            query_labels=np.array(answers, dtype=np.int64),
        ),
        way=way,
        shot=1,
        query=1,
    )


def _examples(files: Sequence[Path], labels: NDArray[np.int64], alphabets: NDArray[np.str_]) -> ExampleSet:
    pictures = np.stack([_picture(file) for file in files])[..., None]
    return ExampleSet(
        inputs=pictures,
        modality="image",
        labels=labels.astype(np.int64),
        attributes={"alphabet": alphabets},
        checksum=content_hash(pictures),
    )


def _picture(file: Path) -> NDArray[np.uint8]:
    """Return a drawing (SIZE, SIZE) with white strokes on black; on disk, strokes are black."""
    from PIL import Image

    return 255 - np.asarray(open_picture(file).convert("L").resize((SIZE, SIZE), Image.Resampling.BOX))
