"""Emoji concepts drawn by seven vendors: which ones the tasks use, their names, and their images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tlzoo import sources
from tlzoo.data.derived import derived_folder
from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.data.near_copies import joined_groups, near_copies
from tlzoo.storage.arrays import new_array

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "NEAR",
    "PICTURE_SIZE",
    "SKIN_TONES",
    "SOURCES",
    "VENDORS",
    "EmojiTable",
    "concept_group",
    "drawn_by_all",
    "emoji_file",
    "load_emoji",
    "read_picture",
]

SOURCES = ("emoji", "emoji-names", "emoji-keywords")
PICTURE_SIZE = 72

VENDORS = {
    "apple": "Appl",
    "facebook": "FB",
    "google": "Goog",
    "joypixels": "Joy",
    "samsung": "Sams",
    "twitter": "Twtr",
    "windows": "Wind",
}
"""Vendor -> its folder; a vendor's place in this order is its domain index."""

_REVISION = 1
_GROUPS_REVISION = 2
_LEAST_CONCEPTS, _LEAST_GROUPS = 10, 5
NEAR = 0.1
"""Root mean square difference, of all pixels from 0 to 1, below which two pictures are near-copies."""

_VARIATION_SELECTOR = "FE0F"
SKIN_TONES = frozenset({"1F3FB", "1F3FC", "1F3FD", "1F3FE", "1F3FF"})
_NOT_IN_GROUP = frozenset({_VARIATION_SELECTOR, "200D", "2640", "2642"})
_PERSON = {"1F468": "1F9D1", "1F469": "1F9D1"}
_PEOPLE = frozenset({"1F9D1", "1F466", "1F467", "1F476"})
_TOGETHER = frozenset({"1F46A", "1F46B", "1F46C", "1F46D", "1F48F", "1F491"})
"""Family, couples, kiss and couple with heart, each in one code point."""
_CLOCKS = frozenset(f"{point:X}" for point in range(0x1F550, 0x1F568))
_KEYCAP = "20E3"


@dataclass(frozen=True, kw_only=True, eq=False)
class EmojiTable:
    """The concepts in sorted order, with one entry each, and their images.

    Attributes:
        codes: code points in hex, joined by ``-``.
        groups: near-copies share one, see :func:`concept_group` and :func:`load_emoji`; splits go by it.
        names: unique names in lower case.
        categories: such as ``Animals & Nature``.
        subcategories: such as ``animal-bird``.
        descriptions: ``name, keyword, keyword ...``.
        pictures: (concepts * vendors, 72, 72, 3) uint8, on white, memory-mapped.
        checksum: identity of everything above.
    """

    codes: NDArray[np.str_]
    groups: NDArray[np.str_]
    names: NDArray[np.str_]
    categories: NDArray[np.str_]
    subcategories: NDArray[np.str_]
    descriptions: NDArray[np.str_]
    pictures: NDArray[np.uint8]
    checksum: str

    def __len__(self) -> int:
        return len(self.codes)

    def large_subcategories(self) -> NDArray[np.str_]:
        """Return the names of the 49 subcategories of ten concepts or more, in five groups or more.

        Near-copies of one another, as keycaps and families are, cannot be trained and tested on.
        """
        names, counts = np.unique(self.subcategories, return_counts=True)
        groups = np.array([len(np.unique(self.groups[self.subcategories == name])) for name in names.tolist()])
        return names[(counts >= _LEAST_CONCEPTS) & (groups >= _LEAST_GROUPS)]

    def examples(
        self, concepts: NDArray[np.int64], vendors: Sequence[int] | NDArray[np.int64], labels: NDArray[np.int64]
    ) -> ExampleSet:
        """Return the images of all pairs of ``concepts`` and ``vendors``, concept by concept.

        Args:
            concepts: (n,) positions in the table.
            vendors: (m,) domain indices.
            labels: (n,) class of each concept.
        """
        count = len(vendors)
        return self.pictures_of(
            np.repeat(concepts, count), np.tile(np.asarray(vendors), len(concepts)), np.repeat(labels, count)
        )

    def pictures_of(
        self, concepts: NDArray[np.int64], vendors: NDArray[np.int64], labels: NDArray[np.int64]
    ) -> ExampleSet:
        """Return n images, given by concepts (n,) and vendors (n,), with labels (n,)."""
        size = len(self.pictures)
        whole = ExampleSet(
            inputs=self.pictures,
            modality="image",
            labels=np.full(size, -1, dtype=np.int64),
            domains=np.tile(np.arange(len(VENDORS)), len(self)),
            attributes={"concept": np.repeat(np.arange(len(self)), len(VENDORS))},
            checksum=self.checksum,
        )
        return whole.subset(concepts * len(VENDORS) + vendors).with_labels(labels)


def concept_group(code: str) -> str:
    """Return the group of a concept by its code points: gender is taken out, and some series are one group.

    These are clock faces, keycaps, and families and couples, which differ in the time, the digit and the persons.

    >>> concept_group("1F469-200D-1F52C") == concept_group("1F468-200D-1F52C")
    True
    >>> concept_group("1F550"), concept_group("0031-FE0F-20E3"), concept_group("1F468-200D-1F466")
    ('clock', 'keycap', 'family')
    """
    points = [_PERSON.get(point, point) for point in code.split("-") if point not in _NOT_IN_GROUP]
    if _CLOCKS.intersection(points):
        return "clock"
    if _KEYCAP in points:
        return "keycap"
    if _TOGETHER.intersection(points) or sum(point in _PEOPLE for point in points) > 1:
        return "family"
    return "-".join(points)


def load_emoji() -> EmojiTable:
    """Return the concepts of which every vendor has its own image, with the images.

    Leaves out emoji with a skin tone, concepts for which several vendors have byte-identical files (fill-ins of the
    package instead of artwork), and concepts without a name and category.

    Concepts of which any two pictures, of whatever vendors, are near-copies (:data:`NEAR`) are in one group: no picture
    of a test has one among those of the training set.

    Raises:
        SourceError: a source cannot be fetched or is damaged.
    """
    identity = content_hash(_REVISION, *[sources.find_source(name).identity for name in SOURCES])
    folder = derived_folder("emoji", identity, _make)
    # apart from the pictures, whose features stay what they are when groups change
    groups = derived_folder(
        "emoji-groups", content_hash(identity, _GROUPS_REVISION, NEAR), lambda out: _make_groups(folder, out)
    )
    return _read(folder, groups, identity)


@lru_cache(maxsize=1)
def _read(folder: Path, groups: Path, identity: str) -> EmojiTable:
    with np.load(folder / "concepts.npz") as columns:
        return EmojiTable(
            **{name: columns[name] for name in columns.files if name != "groups"},  # files of revision 1 have it
            groups=np.load(groups / "groups.npy"),
            pictures=np.load(folder / "pictures.npy", mmap_mode="r"),
            checksum=identity,
        )


def _make(folder: Path) -> None:
    files = sources.path("emoji")
    names = {_bare(row["unified"]): row for row in json.loads(sources.path("emoji-names").read_text("utf-8"))}
    keywords = {
        _bare("-".join(f"{ord(sign):04X}" for sign in emoji)): words
        for emoji, words in json.loads(sources.path("emoji-keywords").read_text("utf-8")).items()
    }
    codes = [code for code in drawn_by_all(files) if _bare(code) in names]
    rows = [names[_bare(code)] for code in codes]
    titles = [row["name"].lower() for row in rows]
    np.savez(
        folder / "concepts.npz",
        codes=np.array(codes),
        names=np.array(titles),
        categories=np.array([row["category"] for row in rows]),
        subcategories=np.array([row["subcategory"] for row in rows]),
        descriptions=np.array(
            [_description(name, keywords.get(_bare(code), [])) for name, code in zip(titles, codes, strict=True)]
        ),
    )
    shape = (len(codes) * len(VENDORS), PICTURE_SIZE, PICTURE_SIZE, 3)
    pictures = new_array(folder / "pictures.npy", shape, np.uint8)
    places = [(code, vendor) for code in codes for vendor in VENDORS.values()]
    for place, (code, vendor) in enumerate(places):
        pictures[place] = read_picture(files / vendor / emoji_file(code))
    pictures.flush()


def _make_groups(folder: Path, out: Path) -> None:
    with np.load(folder / "concepts.npz") as columns:
        groups = np.array([concept_group(code) for code in columns["codes"].tolist()])
    pictures = np.load(folder / "pictures.npy")
    np.save(out / "groups.npy", joined_groups(groups, near_copies(pictures, limit=NEAR) // len(VENDORS)))


def drawn_by_all(files: Path) -> list[str]:
    """Return the sorted codes without skin tone for which every vendor has a file of its own."""
    by_vendor = [
        {path.stem.replace("U+", "") for path in (files / vendor).glob("*.png")} for vendor in VENDORS.values()
    ]
    common = sorted(code for code in set.intersection(*by_vendor) if not SKIN_TONES & set(code.split("-")))

    def is_artwork(code: str) -> bool:
        contents = [(files / vendor / emoji_file(code)).read_bytes() for vendor in VENDORS.values()]
        return len({hashlib.sha256(content).digest() for content in contents}) == len(VENDORS)

    return [code for code in common if is_artwork(code)]


def _bare(code: str) -> str:
    """Drop variation selectors, on which the sources disagree."""
    return "-".join(point for point in code.split("-") if point != _VARIATION_SELECTOR)


def emoji_file(code: str) -> str:
    """Return the name of a concept's file.

    >>> emoji_file("1F469-200D-1F52C")
    'U+1F469-U+200D-U+1F52C.png'
    """
    return "-".join(f"U+{point}" for point in code.split("-")) + ".png"


def _description(name: str, keywords: list[str]) -> str:
    words = [keyword.replace("_", " ") for keyword in keywords]
    return ", ".join(dict.fromkeys([name, *words]))


def read_picture(file: Path) -> NDArray[np.uint8]:
    """Return an image (72, 72, 3) on white."""
    from PIL import Image

    with Image.open(file) as opened:
        colors = opened.convert("RGBA")
    return np.asarray(_sized(Image.alpha_composite(Image.new("RGBA", colors.size, "white"), colors)))


def _sized(image: Image) -> Any:
    from PIL import Image

    size = (PICTURE_SIZE, PICTURE_SIZE)
    flat = image.convert("RGB")
    return flat if flat.size == size else flat.resize(size, Image.Resampling.BICUBIC)
