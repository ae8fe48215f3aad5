"""Texts, JSON and single arrays on disk; one that is damaged is named in one line."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tlzoo.errors import InputError

__all__ = ["read_array", "read_json", "read_text"]


def read_text(file: Path) -> str:
    """Return a text in UTF-8, with or without a byte order mark.

    Raises:
        ValueError: it is in another encoding.
    """
    try:
        return file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is no text in UTF-8 ({error}); fetch it again, or save it in UTF-8") from error


def read_json(file: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        ValueError: it is damaged.
    """
    try:
        return json.loads(read_text(file))
    except json.JSONDecodeError as error:
        raise InputError(f"{file} cannot be read as JSON ({error}); fetch it again") from error


def read_array(file: Path, mmap_mode: Literal["r", "c"] | None = None) -> NDArray[Any]:
    """Return the array of an ``.npy`` file, in memory or mapped.

    Raises:
        ValueError: it is damaged, or holds Python objects, which are not loaded.
    """
    try:
        array: NDArray[Any] = np.lib.format.open_memmap(file, mode=mmap_mode) if mmap_mode else np.load(file)
    except (ValueError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise InputError(f"{file} cannot be read as an array of NumPy; fetch it again") from error
    return array
