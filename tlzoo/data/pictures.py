"""Images on disk: which files count, how they are read, and readers that open them on demand."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tlzoo.errors import InputError
from tlzoo.storage.contents import content_hashes

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "REVISION",
    "SIZE",
    "SUFFIXES",
    "ImageFiles",
    "colored",
    "find_pictures",
    "fitted",
    "open_picture",
    "picture_hashes",
    "short_sides",
    "squeezed",
    "subfolders",
    "usual_size",
]

_log = logging.getLogger(__name__)

REVISION = 2
"""Raised when images are read differently; part of the identity of sets on disk."""

SUFFIXES = frozenset(
    ".avif .bmp .dib .gif .jfif .jp2 .jpe .jpeg .jpg .pbm .pgm .png .pnm .ppm .tif .tiff .webp".split()  # noqa: SIM905
)
_FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")
"""By Pillow's names, because Pillow also lists formats that it cannot read."""

_JUNK = frozenset({"__macosx", "@eadir", "thumbs.db", "desktop.ini", "$recycle.bin", "lost+found"})
"""Files that operating systems leave in folders, in lower case; names with a leading dot are ignored as well."""

SIZE = 224
_LOOKED_AT = 1000
_DEEP_GRAY = ("I;16", "I;16B", "I;16L", "I;16N")


class ImageFiles:
    """Images read on demand, as RGB, with the shorter side resized to ``size`` and cropped to the center.

    Args:
        files: one per image.
        size: height and width.
        whole: squeeze the whole image into the square instead of cropping it.

    Raises:
        OSError: a file does not exist.
    """

    def __init__(self, files: Sequence[Path], *, size: int = SIZE, whole: bool = False) -> None:
        self.files, self.size, self.whole = tuple(files), size, whole
        self._stamps = tuple(map(_stamp, self.files))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return (B, size, size, 3) uint8."""
        if not len(indices):
            return np.empty((0, self.size, self.size, 3), dtype=np.uint8)
        return np.stack([self._read(index) for index in indices])

    def _read(self, index: int) -> NDArray[np.uint8]:
        fit = squeezed if self.whole else fitted
        picture = np.asarray(fit(open_picture(self.files[index]), self.size))
        if _stamp(self.files[index]) != self._stamps[index]:  # the checksum of the set no longer holds
            raise InputError(f"{self.files[index]} changed after the set was loaded; load it again")
        return picture

    def take(self, indices: NDArray[np.int64]) -> ImageFiles:
        """Return a reader of these files only."""
        return ImageFiles([self.files[index] for index in indices], size=self.size, whole=self.whole)


def _stamp(file: Path) -> tuple[int, int]:
    info = file.stat()
    return info.st_size, info.st_mtime_ns


def open_picture(file: Path) -> Image:
    """Return an image in RGB; for an animation, its first frame.

    16-bit gray keeps its upper 8 bits, and transparent areas become white.

    Raises:
        ValueError: the file is not an image, or its values have no known range.
    """
    with _opened(file) as opened:
        return colored(opened)


def short_sides(files: Sequence[Path]) -> list[int]:
    """Return the shorter side of each picture, in pixels, read from the head of its file.

    Raises:
        ValueError: a file is not an image.
    """

    def shorter(file: Path) -> int:
        with _opened(file) as opened:
            return min(opened.size)

    return [shorter(file) for file in files]


def usual_size(files: Sequence[Path]) -> int:
    """Return the height and width at which pictures are read where nobody says: 224, or less if half of them have less.

    So pictures are not enlarged, but for a few; a warning says so. Of many files, a thousand are looked at.

    Raises:
        ValueError: a file is not an image.
    """
    sides = np.array(short_sides(files[:: -(-len(files) // _LOOKED_AT)]))
    size = int(min(SIZE, np.median(sides)))
    if smaller := float((sides < size).mean()):
        _log.warning("%.0f %% of the pictures have less than %d pixels a side and are enlarged", 100 * smaller, size)
    return size


@contextmanager
def _opened(file: Path) -> Iterator[Image]:
    from PIL import Image

    Image.init()
    try:
        with Image.open(file, formats=[name for name in _FORMATS if name in Image.OPEN]) as opened:
            yield opened
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{file} cannot be read as an image ({error}); replace or remove it") from error


def colored(image: Image) -> Image:
    """Return a picture in RGB; see :func:`open_picture`."""
    from PIL import Image

    # in these formats, 32 bits stand for 16
    if image.mode in _DEEP_GRAY or (image.mode == "I" and image.format in ("PNG", "PPM")):
        deep = np.asarray(image, dtype=np.float64)
        return Image.fromarray(np.rint(deep / 257).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise InputError(f"values of mode {image.mode} have no known range; store 8 or 16 bits per channel")
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    return image.convert("RGB")


def fitted(image: Image, size: int) -> Image:
    """Return a picture with its shorter side resized to ``size``, cropped to the central square."""
    from PIL import Image

    scale = size / min(image.size)
    width, height = (max(size, round(side * scale)) for side in image.size)
    left, top = (width - size) // 2, (height - size) // 2
    return image.resize((width, height), Image.Resampling.BICUBIC).crop((left, top, left + size, top + size))


def squeezed(image: Image, size: int) -> Image:
    """Return a whole picture as a square of ``size`` pixels a side, bilinear as in torchvision."""
    from PIL import Image

    return image.resize((size, size), Image.Resampling.BILINEAR)


def find_pictures(folder: Path, *, deep: bool = True) -> list[Path]:
    """Return the images in a folder, and with ``deep`` also in its subfolders, sorted.

    A file is an image if it has the suffix of one, or begins like one.

    Raises:
        ValueError: a link is broken.
    """
    files = _files(folder, seen=set()) if deep else (path for path in _entries(folder) if path.is_file())
    return sorted(file for file in files if _is_picture(file))


def subfolders(folder: Path) -> tuple[str, ...]:
    """Return the sorted names of the folders in a folder, except those of the operating system.

    Raises:
        ValueError: it is not a folder, or a link in it is broken.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; expected root/domain/class/*.jpg")
    return tuple(sorted(path.name for path in _entries(folder) if path.is_dir()))


def picture_hashes(root: Path, files: Sequence[Path]) -> list[tuple[str, str]]:
    """Return the path below ``root`` and the hash of the contents of each image.

    Raises:
        ValueError: a file that is new or changed is not an image.
    """
    return sorted(content_hashes(root, files, check=_check_header).items())


def _check_header(file: Path) -> None:
    with _opened(file):
        pass


def _entries(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith(".") or path.name.lower() in _JUNK:
            continue
        if path.is_symlink() and not path.exists():
            raise InputError(f"{path} is a link to {os.readlink(path)}, which does not exist; fix or remove it")
        yield path


def _files(folder: Path, *, seen: set[Path]) -> Iterator[Path]:
    if (resolved := folder.resolve()) in seen:  # a link to a parent folder
        return
    seen.add(resolved)
    for path in _entries(folder):
        if path.is_dir():
            yield from _files(path, seen=seen)
        else:
            yield path


def _is_picture(file: Path) -> bool:
    if file.suffix.lower() in SUFFIXES:
        return True
    try:
        _check_header(file)
    except ValueError:
        return False
    return True
