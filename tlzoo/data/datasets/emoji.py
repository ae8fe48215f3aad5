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
from tlzoo.storage.arrays import new_array

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
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
_VARIATION_SELECTOR = "FE0F"
SKIN_TONES = frozenset({"1F3FB", "1F3FC", "1F3FD", "1F3FE", "1F3FF"})
_NOT_IN_GROUP = frozenset({_VARIATION_SELECTOR, "200D", "2640", "2642"})
_PERSON = {"1F468": "1F9D1", "1F469": "1F9D1"}


@dataclass(frozen=True, kw_only=True, eq=False)
class EmojiTable:
    """The concepts in sorted order, with one entry each, and their images.

    Attributes:
        codes: code points in hex, joined by ``-``.
        groups: near-copies (gender variants) share one; splits keep groups together.
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
    """Return the group of a concept: its code points without gender.

    >>> concept_group("1F469-200D-1F52C") == concept_group("1F468-200D-1F52C")
    True
    """
    return "-".join(_PERSON.get(point, point) for point in code.split("-") if point not in _NOT_IN_GROUP)


def load_emoji() -> EmojiTable:
    """Return the concepts of which every vendor has its own image, with the images.

    Leaves out emoji with a skin tone, concepts for which several vendors have byte-identical files (fill-ins of the
    package instead of artwork), and concepts without a name and category.

    Raises:
        SourceError: a source cannot be fetched or is damaged.
    """
    identity = content_hash(_REVISION, *[sources.find_source(name).identity for name in SOURCES])
    return _read(derived_folder("emoji", identity, _make), identity)


@lru_cache(maxsize=1)
def _read(folder: Path, identity: str) -> EmojiTable:
    with np.load(folder / "concepts.npz") as columns:
        return EmojiTable(
            **{name: columns[name] for name in columns.files},
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
        groups=np.array([concept_group(code) for code in codes]),
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
