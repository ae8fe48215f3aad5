"""Objects of other libraries in tlzoo; each library is imported on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlzoo import lazy

if TYPE_CHECKING:
    from tlzoo.interop import learn2learn as learn2learn

__all__ = ["learn2learn"]

__getattr__, __dir__ = lazy.attach(__name__, {"learn2learn": "tlzoo.interop.learn2learn"})
