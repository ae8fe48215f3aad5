"""Tables with named columns: CSV and Parquet."""

from __future__ import annotations

from pathlib import Path

from tlzoo.data.readers.columns import Columns
from tlzoo.errors import InputError

__all__ = ["read_table"]


def read_table(path: Path) -> Columns:
    """Read a table.

    Raises:
        ValueError: the file is damaged or has no rows.
    """
    import pandas as pd

    try:
        if ".parquet" in path.suffixes or ".pq" in path.suffixes:
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(path, sep="\t" if ".tsv" in path.suffixes else ",")
    except (OSError, ValueError) as error:  # errors of pandas and pyarrow are either
        raise InputError(f"{path.name} cannot be read as a table ({error}); save it again") from error
    if table.empty:
        raise InputError(f"{path.name} has no rows")
    names = [str(name) for name in table.columns]
    return Columns(path, {name: table.iloc[:, place] for place, name in enumerate(names)})
