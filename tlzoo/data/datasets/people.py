"""Emoji of people with one skin tone, by tone and gender."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tlzoo import sources
from tlzoo.data.datasets.emoji import NEAR, PICTURE_SIZE, SKIN_TONES, VENDORS, concept_group, emoji_file, read_picture
from tlzoo.data.derived import derived_folder
from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.data.near_copies import joined_groups, near_copies
from tlzoo.data.splits import group_split
from tlzoo.data.tasks import MultitaskTask, Target
from tlzoo.storage.arrays import new_array

__all__ = ["GENDERS", "gender", "people", "single_toned"]

_REVISION = 1
_GROUPS_REVISION = 2
_SOURCES = ("emoji",)
_CUTS = (0.6, 0.8)

GENDERS = ("unspecified", "woman", "man")

# the signs, and the code points that show a woman or a man
_WOMAN = frozenset({"2640", "1F469", "1F467", "1F475", "1F478", "1F483", "1F930", "1F936"})
_MAN = frozenset({"2642", "1F468", "1F466", "1F474", "1F934", "1F385", "1F57A"})


def people(name: str) -> MultitaskTask:
    """Build ``people``: emoji in exactly one skin tone, by seven vendors; targets ``tone`` (5) and ``gender`` (3).

    A gender is what the code points say: a woman's or man's sign, or a figure of its own (boy, princess ...); hands and
    persons without either are ``unspecified``. All tones and genders of one motif are in one part, and so are motifs of
    which two pictures are near-copies (see :data:`tlzoo.data.datasets.emoji.NEAR`): 60 % of the groups train, 20 %
    validation, 20 % test.
    """
    identity = content_hash(_REVISION, *[sources.find_source(source).identity for source in _SOURCES])
    folder = derived_folder("people", identity, _make)
    groups = derived_folder(
        "people-groups", content_hash(identity, _GROUPS_REVISION, NEAR), lambda out: _make_groups(folder, out)
    )
    codes = np.load(folder / "codes.npy")
    tones = sorted(SKIN_TONES)
    targets = {
        "tone": np.array([tones.index(tone_of(code)) for code in codes.tolist()]),
        "gender": np.array([GENDERS.index(gender(code)) for code in codes.tolist()]),
    }
    count = len(VENDORS)
    whole = ExampleSet(
        inputs=np.load(folder / "pictures.npy", mmap_mode="r"),
        modality="image",
        domains=np.tile(np.arange(count), len(codes)),
        targets={key: np.repeat(values, count) for key, values in targets.items()},
        attributes={"group": np.repeat(np.load(groups / "groups.npy"), count)},
        checksum=identity,
    )
    train, validation, test = (whole.subset(part) for part in group_split(whole.attributes["group"], *_CUTS))
    return MultitaskTask(
        name=name,
        sources=_SOURCES,
        targets={"tone": Target(classes=len(tones)), "gender": Target(classes=len(GENDERS))},
        train=train,
        validation=validation,
        test=test,
    )


def tone_of(code: str) -> str:
    """Return the code point of the skin tone.

    >>> tone_of("1F44B-1F3FD")
    '1F3FD'
    """
    (tone,) = (point for point in code.split("-") if point in SKIN_TONES)
    return tone


def gender(code: str) -> str:
    """Return the gender according to the code points.

    >>> gender("1F469-1F3FD-200D-1F52C"), gender("1F46E-1F3FD-200D-2642-FE0F"), gender("1F44B-1F3FD")
    ('woman', 'man', 'unspecified')
    """
    points = set(code.split("-"))
    if points & _WOMAN:
        return "woman"
    return "man" if points & _MAN else "unspecified"


def motif(code: str) -> str:
    """Return the concept group without its skin tone.

    >>> motif("1F469-1F3FD-200D-1F52C") == motif("1F468-1F3FB-200D-1F52C")
    True
    """
    return "-".join(point for point in concept_group(code).split("-") if point not in SKIN_TONES)


def single_toned(files: Path) -> list[str]:
    """Return the sorted codes with exactly one skin tone that every vendor draws."""
    by_vendor = [
        {path.stem.replace("U+", "") for path in (files / folder).glob("*.png")} for folder in VENDORS.values()
    ]
    return sorted(code for code in set.intersection(*by_vendor) if sum(p in SKIN_TONES for p in code.split("-")) == 1)


def _make_groups(folder: Path, out: Path) -> None:
    motifs = np.array([motif(code) for code in np.load(folder / "codes.npy").tolist()])
    pairs = near_copies(np.load(folder / "pictures.npy"), limit=NEAR)
    np.save(out / "groups.npy", joined_groups(motifs, pairs // len(VENDORS)))


def _make(folder: Path) -> None:
    files = sources.path("emoji")
    codes = single_toned(files)
    np.save(folder / "codes.npy", np.array(codes))
    shape = (len(codes) * len(VENDORS), PICTURE_SIZE, PICTURE_SIZE, 3)
    pictures = new_array(folder / "pictures.npy", shape, np.uint8)
    for place, (code, vendor) in enumerate((code, vendor) for code in codes for vendor in VENDORS.values()):
        pictures[place] = read_picture(files / vendor / emoji_file(code))
    pictures.flush()
