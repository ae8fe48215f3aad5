"""Readers of users' files: each gives its columns, or arrays, by name.

========================= ===================================== =======================================
file                      columns                               known roles
========================= ===================================== =======================================
``.npz``, ``.mat``        arrays by name
``.csv``, ``.tsv``,       columns by name
``.parquet``
``.txt``, ``.lst``        lines ``path label``                  path, labels
folder of pictures        ``class/*.jpg`` below it, or below a  path, labels, and domain or split
                          folder for each domain or split
folder of ``datasets``    features by name                      labels, split
========================= ===================================== =======================================
"""

from tlzoo.data.readers.columns import Columns, read_columns

__all__ = ["Columns", "read_columns"]
