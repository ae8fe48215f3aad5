"""Archives of arrays: NumPy's ``.npz`` and MATLAB's ``.mat``, up to version 7.2 and version 7.3."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.readers.columns import Columns
from tlzoo.errors import InputError, MissingPackageError

__all__ = ["read_mat", "read_npz"]


def read_npz(path: Path) -> Columns:
    """Read the arrays of a ``.npz`` file.

    Raises:
        ValueError: the file is damaged, or an array holds Python objects, which are not loaded.
    """
    arrays = {}
    try:
        if not zipfile.is_zipfile(path):
            raise OSError("not a zip archive")  # noqa: TRY301  # NumPy would take it for a pickle
        with np.load(path, allow_pickle=False) as archive:
            for name in archive.files:
                arrays[name] = _array(archive, name, path)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path.name} cannot be read as an .npz file ({error}); save it again") from error
    return Columns(path, arrays, is_table=False)


def _array(archive: Any, name: str, path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = archive[name]
    except ValueError as error:
        raise InputError(
            f"{path.name}: array {name!r} holds Python objects, which may run code when they are loaded; save it as "
            f"strings or numbers: {name}.astype(str)"
        ) from error
    return array


def read_mat(path: Path) -> Columns:
    """Read the arrays of a ``.mat`` file; rows and columns of one entry become (N,), cells of text strings.

    Raises:
        ValueError: the file is damaged.
        ImportError: it is of version 7.3, and h5py is not installed.
    """
    from scipy.io import loadmat

    try:
        content = dict(loadmat(str(path)))
    except NotImplementedError:
        content = dict(_hdf5(path))
    except Exception as error:  # SciPy raises whatever a damaged file leads it to
        raise InputError(f"{path.name} cannot be read as a MATLAB file ({error}); save it again") from error
    arrays = {name: _plain(value) for name, value in content.items() if not name.startswith(("__", "#"))}
    return Columns(path, arrays, is_table=False)


def _plain(value: Any) -> NDArray[Any]:
    array = np.asarray(value)
    if array.ndim == 2 and 1 in array.shape:
        array = array.ravel()
    if array.dtype.kind == "O":  # a cell array, whose cells are arrays themselves
        cells = [np.asarray(cell).ravel() for cell in array.ravel()]
        return np.array([cell[0] if len(cell) == 1 else "".join(map(str, cell)) for cell in cells])
    return np.char.strip(array) if array.dtype.kind == "U" else array


def _hdf5(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the arrays of a file of version 7.3, which is HDF5 with the order of dimensions reversed."""
    try:
        import h5py
    except ImportError as error:
        raise MissingPackageError(
            f"{path.name} is a MATLAB file of version 7.3, which h5py reads: pip install tlzoo[mat73] (or save it with "
            "-v7)"
        ) from error
    with h5py.File(path, "r") as file:
        for name, item in file.items():
            if not isinstance(item, h5py.Dataset):
                continue
            values = np.asarray(item).T
            kind = item.attrs.get("MATLAB_class", b"")
            if kind == b"cell":
                values = np.array([_text(file[reference]) for reference in values.ravel()])
            elif kind == b"char":
                values = np.array([_text(item)])
            yield name, values


def _text(item: Any) -> str:
    values = np.asarray(item).ravel()
    return "".join(map(chr, values)) if values.dtype.kind == "u" else str(values[0])
