"""What goes wrong with sources."""

from __future__ import annotations

__all__ = ["SourceError"]


class SourceError(RuntimeError):
    """A source cannot be fetched, or is not what was pinned; the message says what to do."""
