"""Errors of sources."""

from __future__ import annotations

from tlzoo.errors import UserError

__all__ = ["SourceError"]


class SourceError(UserError, RuntimeError):
    """A source cannot be fetched or does not match its pinned hash; the message says what to do."""
