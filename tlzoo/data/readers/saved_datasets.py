"""Data sets that Hugging Face's ``datasets`` saved to disk (``save_to_disk``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tlzoo.data.readers.columns import Columns
from tlzoo.errors import MissingPackageError

__all__ = ["SavedColumn", "read_saved"]


class SavedColumn:
    """One column of a data set, an item at a time: pictures are decoded when they are read."""

    def __init__(self, dataset: Any, name: str) -> None:
        self.dataset, self.name = dataset, name

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, row: int) -> Any:
        return self.dataset[int(row)][self.name]

    def take(self, rows: Any) -> SavedColumn:
        """Return the column of some rows."""
        return SavedColumn(self.dataset.select([int(row) for row in rows]), self.name)


def read_saved(path: Path) -> Columns:
    """Read a folder; several splits become one table with a column ``split``.

    Raises:
        ImportError: ``datasets`` is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingPackageError(
            f"{path.name} was saved by datasets, which reads it: pip install tlzoo[datasets]"
        ) from error
    found = datasets.load_from_disk(str(path))
    splits = dict(found) if isinstance(found, datasets.DatasetDict) else {}
    whole = datasets.concatenate_datasets(list(splits.values())) if splits else found
    columns: dict[str, Any] = {}
    roles: dict[str, str] = {}
    for name, feature in whole.features.items():
        if isinstance(feature, datasets.ClassLabel):
            columns[name] = [feature.int2str(label) if label >= 0 else None for label in whole[name]]
            roles.setdefault("labels", name)
        elif isinstance(feature, datasets.Image):
            columns[name] = SavedColumn(whole, name)
        else:
            columns[name] = list(whole[name])
    if splits:
        columns["split"] = [name for name, part in splits.items() for _ in range(len(part))]
        roles["split"] = "split"
    return Columns(path, columns, roles=roles)
