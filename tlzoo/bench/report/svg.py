"""Figures that take their colors from the page: light, dark or print."""

from __future__ import annotations

import hashlib
import io
import math
import re
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ACCENT", "CYCLE", "DASHES", "FAINT", "INK", "new_figure", "new_panels", "style", "to_svg"]

# placeholder colors that no plot uses; each becomes a variable of the page's style sheet
INK, FAINT, ACCENT = "#010203", "#040506", "#070809"
CYCLE = tuple(f"#0a0b{place:02x}" for place in range(8))
DASHES = ("-", "--", ":", "-.")
_VARIABLES = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    ACCENT: "var(--accent)",
    **{color: f"var(--c{place})" for place, color in enumerate(CYCLE)},
}


def style() -> AbstractContextManager[None]:
    """Return the Matplotlib context for figures."""
    import matplotlib as mpl

    return mpl.rc_context(
        {
            "svg.fonttype": "none",
            "text.parse_math": False,  # names are text, whatever signs are in them
            "font.family": "sans-serif",
            "font.sans-serif": ["DejaVu Sans"],  # each text names the whole list
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color", "grid.color", "legend.edgecolor"), FAINT),
            **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"), INK),
            "axes.grid": True,
            "grid.linewidth": 0.5,
            "grid.alpha": 0.5,
            "lines.linewidth": 1.6,
        }
    )


def new_figure(height: float) -> tuple[Any, Axes]:
    """Return a transparent figure ``height`` inches high, and its axes."""
    from matplotlib.figure import Figure  # no pyplot: no global state, no window system

    figure = Figure(figsize=(6.4, height), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.subplots()
    axes.patch.set_alpha(0)
    return figure, axes


def new_panels(count: int, *, legend: int = 0) -> tuple[Any, list[Axes]]:
    """Return a transparent figure with ``count`` small axes, three per row, and room below for ``legend`` names."""
    from matplotlib.figure import Figure

    columns = min(count, 3)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(6.4, 1.75 * rows + 0.2 * math.ceil(legend / 4)), layout="constrained")
    figure.patch.set_alpha(0)
    every = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in every:
        axes.patch.set_alpha(0)
    for axes in every[count:]:
        axes.remove()
    return figure, every[:count]


def to_svg(figure: Any, salt: str) -> str:
    """Return the figure as an ``<svg>`` element; ``salt`` makes its identifiers unique on the page."""
    import matplotlib as mpl

    buffer = io.StringIO()
    # identifiers differ between the plots of a page, but not between runs
    with mpl.rc_context({"svg.hashsalt": salt}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    for color, variable in _VARIABLES.items():
        text = text.replace(color, variable)
    text = re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', 'class="plot" role="img"', text, count=1)
    return _shortened(text, salt)


_FRACTION = re.compile(r"(\d\.\d\d)\d+")
_IDENTIFIER = re.compile(r' id="([^"]*)"')
_REFERENCE = re.compile(r'(?:xlink:href="|url\()#([^")]*)')


def _shortened(text: str, salt: str) -> str:
    """Return the element without invisible details, because a report may hold hundreds of plots.

    Numbers keep two decimals of a point. Identifiers that something refers to stay, with a prefix from the salt,
    because matplotlib numbers some of them from 1 in every figure.
    """
    used = set(_REFERENCE.findall(text))
    text = _IDENTIFIER.sub(lambda match: match[0] if match[1] in used else "", text)
    prefix = f"p{hashlib.sha256(salt.encode()).hexdigest()[:8]}"
    text = re.sub(r'(\bid="|xlink:href="#|url\(#)', lambda match: f"{match[0]}{prefix}", text)
    return _FRACTION.sub(r"\1", text)
