"""Letters of five scripts in twelve fonts: a small image set for training from scratch, drawn on this machine."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tlzoo import sources
from tlzoo.data.derived import derived_folder
from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.data.tasks import EpisodeTask

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

__all__ = ["SCRIPTS", "SIZE", "common_letters", "glyphs"]

SIZE = 28
"""Height and width of the images."""

SCRIPTS = {"latin": "base", "cyrillic": "base", "greek": "validation", "armenian": "novel", "georgian": "novel"}
"""Script -> split of its letters; later splits have no letter that looks like one in an earlier split."""

_REVISION = 1
_VARIANTS = 2
_CANVAS = 4 * SIZE
_EM = 0.58
_BASELINE = 0.70
_CATEGORIES = frozenset({"Lu", "Ll", "Lt", "Lo"})

Pictures = NDArray[np.uint8]


def glyphs(name: str) -> EpisodeTask:
    """Build ``glyphs``: classes are the letters in all twelve DejaVu fonts; episodes stay within one script.

    Base classes are Latin and Cyrillic letters; validation uses Greek, the test Armenian and Georgian ones. Each letter
    has two images per font, slightly rotated, sheared, scaled and shifted by fixed random numbers. The support of a
    class comes from one font (``ExampleSet.domains``), its queries from the others. Letters that a font draws exactly
    like an earlier letter (Greek capital alpha like Latin A) are left out.
    """
    files = _fonts()
    identity = content_hash(_REVISION, _renderer(), *[(file.name, content_hash(file.read_bytes())) for file in files])
    folder = derived_folder("glyphs", identity, _make)
    with np.load(folder / "letters.npz") as columns:
        codes, scripts, checksum = columns["codes"], columns["scripts"], str(columns["checksum"])
    pictures = np.load(folder / "pictures.npy", mmap_mode="r")
    each = len(files) * _VARIANTS
    whole = ExampleSet(
        inputs=pictures,
        modality="image",
        labels=np.repeat(np.arange(len(codes)), each),
        domains=np.tile(np.arange(len(files)).repeat(_VARIANTS), len(codes)),
        attributes={"script": np.repeat(scripts, each)},
        checksum=checksum,
    )
    split_of = np.array([SCRIPTS[script] for script in scripts.tolist()])
    base, validation, novel = (
        whole.subset(np.repeat(split_of == split, each)) for split in ("base", "validation", "novel")
    )
    return EpisodeTask(
        name=name,
        class_names=tuple(unicodedata.name(chr(code)).lower() for code in codes.tolist()),
        sources=("glyphs",),
        base=base,
        validation=validation,
        novel=novel,
        cross_domain=True,
        query=5,
        within="script",
    )


def common_letters(files: Sequence[Path]) -> dict[str, list[int]]:
    """Return script -> sorted code points of its letters that all fonts have, for the scripts in :data:`SCRIPTS`."""
    from matplotlib.ft2font import FT2Font

    charmaps = [set(FT2Font(str(file)).get_charmap()) for file in files]
    letters = [code for code in sorted(set.intersection(*charmaps)) if unicodedata.category(chr(code)) in _CATEGORIES]
    found: dict[str, list[int]] = {script: [] for script in SCRIPTS}
    for code in letters:
        script = unicodedata.name(chr(code)).split()[0].lower()
        if script in found:
            found[script].append(code)
    return found


def _fonts() -> list[Path]:
    """Return the files of DejaVu Sans, Serif and Mono in four styles each; the other fonts have few letters."""
    return sorted(file for file in sources.path("glyphs").glob("DejaVu*.ttf") if "Display" not in file.name)


def _renderer() -> str:
    """Return the version of the font renderer, because another version may round differently."""
    from PIL import __version__, features

    return f"pillow {__version__}, freetype {features.version('freetype2')}"


def _make(folder: Path) -> None:
    files = _fonts()
    fonts = [_font(file) for file in files]
    letters = [(script, code) for script, codes in common_letters(files).items() for code in codes]
    kept = list(_unlike(letters, fonts))
    changes = np.random.default_rng(0).uniform(-1, 1, size=(len(kept), len(fonts), _VARIANTS, 6))
    pictures = np.stack(
        [
            _changed(drawn, numbers)
            for (_, _, drawings), rows in zip(kept, changes, strict=True)
            for drawn, variants in zip(drawings, rows, strict=True)
            for numbers in variants
        ]
    )[..., None]
    np.save(folder / "pictures.npy", pictures)
    np.savez(
        folder / "letters.npz",
        codes=np.array([code for _, code, _ in kept]),
        scripts=np.array([script for script, _, _ in kept]),
        checksum=np.array(content_hash(pictures)),
    )


def _font(file: Path) -> FreeTypeFont:
    from PIL import ImageFont

    # the basic layout, because the other one needs a library that is not always installed
    return ImageFont.truetype(str(file), round(_EM * _CANVAS), layout_engine=ImageFont.Layout.BASIC)


def _unlike(
    letters: Sequence[tuple[str, int]], fonts: Sequence[FreeTypeFont]
) -> Iterator[tuple[str, int, list[Image]]]:
    """Yield letters with their drawings, except those that a font draws like an earlier letter."""
    seen: set[tuple[int, bytes]] = set()
    for script, code in letters:
        drawings = [_drawn(chr(code), font) for font in fonts]
        keys = {(place, drawing.tobytes()) for place, drawing in enumerate(drawings)}
        if not keys & seen:
            yield script, code, drawings
        seen |= keys


def _drawn(letter: str, font: FreeTypeFont) -> Image:
    """Return a letter in white on black, on a canvas four times the size, on a common baseline."""
    from PIL import Image, ImageDraw

    canvas = Image.new("L", (_CANVAS, _CANVAS))
    ImageDraw.Draw(canvas).text((_CANVAS / 2, _BASELINE * _CANVAS), letter, fill=255, font=font, anchor="ms")
    return canvas


def _changed(drawing: Image, numbers: NDArray[np.float64]) -> Pictures:
    """Return a drawing (SIZE, SIZE), distorted by six numbers in [-1, 1].

    They rotate it by up to 10 degrees, shear it by up to 0.15, scale each direction by up to 10 %, and shift it by up
    to 1.5 pixels.
    """
    from PIL import Image

    angle, shear = np.deg2rad(10 * numbers[0]), 0.15 * numbers[1]
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.array([[1, shear], [0, 1]]) @ np.diag(1 + 0.1 * numbers[2:4])
    middle = np.full(2, _CANVAS / 2)
    offset = middle - linear @ (middle + numbers[4:6] * 1.5 * _CANVAS / SIZE)
    matrix = tuple(np.column_stack([linear, offset]).ravel().tolist())
    changed = drawing.transform(drawing.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return np.asarray(changed.resize((SIZE, SIZE), Image.Resampling.BOX))
