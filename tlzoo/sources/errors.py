"""Errors of sources."""

from __future__ import annotations

__all__ = ["SourceError"]


class SourceError(RuntimeError):
    """A source cannot be fetched or does not match its pinned hash; the message says what to do."""
