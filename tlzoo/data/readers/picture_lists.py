"""Lists of pictures: a line ``path label`` for each, as TLlib and many others keep them."""

from __future__ import annotations

from pathlib import Path

from tlzoo.data.readers.columns import Columns
from tlzoo.data.readers.plain_files import read_text
from tlzoo.errors import InputError

__all__ = ["read_list"]


def read_list(path: Path) -> Columns:
    """Read a list; a path may hold spaces, a label not, and ``#`` begins a comment.

    Raises:
        ValueError: a line is not of this form, or there is none.
    """
    files, labels = [], []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        parts = text.rsplit(maxsplit=1)
        if len(parts) != 2:
            raise InputError(f"{path.name}:{number}: {text!r}; expected a path and a label: photos/1.jpg cat")
        files.append(parts[0])
        labels.append(parts[1])
    if not files:
        raise InputError(f"{path.name} has no lines; expected a path and a label in each: photos/1.jpg cat")
    numbers = all(label.lstrip("-").isdecimal() for label in labels)
    columns = {"path": files, "label": [int(label) for label in labels] if numbers else labels}
    return Columns(path, columns, roles={"path": "path", "labels": "label"})
