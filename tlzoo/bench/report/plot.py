"""The data type of a plot."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Plot"]


@dataclass(frozen=True)
class Plot:
    """An SVG with its caption; the page collapses minor ones."""

    caption: str
    svg: str
    minor: bool = False
