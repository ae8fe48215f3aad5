"""What a plot is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Plot"]


@dataclass(frozen=True)
class Plot:
    """An SVG with what it shows in words; a minor one is folded away on the page."""

    caption: str
    svg: str
    minor: bool = False
