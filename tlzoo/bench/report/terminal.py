"""Tables in the terminal: plain columns with section titles across them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tlzoo.bench.report.exchange_tables import currency_line, rate_lines
from tlzoo.bench.report.table_layout import Layout, Row
from tlzoo.spelling import printable

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["exchange_table", "plain", "terminal"]

_STYLES = {"best": "bold green", "tied": "green", "oracle": "dim", "failed": "red", "": ""}
_GAP = "  "


def terminal(layout: Layout) -> Text:
    """Return a table for a rich console; print it with ``soft_wrap=True``."""
    from rich.text import Text

    names = [printable(name) for name in layout.header]
    every = [_texts(row) for _, own in layout.sections for row in own]
    widths = [
        max(len(name), *(len(texts[place]) for texts in every if place < len(texts)), 0)
        for place, name in enumerate(names)
    ]
    text = Text()
    text.append(f"{printable(layout.title)}\n", style="bold")
    text.append(f"{_spread(names, widths)}\n", style="underline")
    messages = []
    for title, own in layout.sections:
        text.append(f"{printable(title)}\n", style="italic cyan")
        for row in own:
            text.append(f"{_spread(_texts(row), widths)}\n", style=_STYLES[row.emphasis])
            if row.message:
                messages.append(
                    (
                        f"{printable(f'{row.entries[0].text}: {row.message}')}\n",
                        "red" if "failed" in row.message else "yellow",
                    )
                )
    for message, style in messages:
        text.append(message, style=style)
    for note in layout.notes:
        text.append(f"  {printable(note)}\n", style="dim")
    return text


def exchange_table(family: Mapping[str, Any]) -> Text:
    """Return exchange rates, see :func:`~tlzoo.bench.report.exchange_tables.as_data`, for a rich console."""
    from rich.text import Text

    lines = [[printable(each) for each in line] for line in rate_lines(family)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    text = Text()
    text.append(f"What each way is worth · {printable(family['family'])}\n", style="bold")
    text.append(f"{_spread(lines[0], widths)}\n", style="underline")
    for line in lines[1:]:
        text.append(f"{_spread(line, widths)}\n")
    text.append(f"  {printable(currency_line(family))}\n", style="dim")
    return text


def _texts(row: Row) -> list[str]:
    """Return the texts of a row, aligned with or without a trailing mark."""
    texts = [printable(entry.text) for entry in row.entries]
    if row.emphasis == "failed":
        return [texts[0], "failed  "]
    if len(texts) > 1:
        texts[1] += {"tied": " =", "best": " *"}.get(row.emphasis, "  ")
    return texts


def _spread(texts: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = texts
    cells = [f"{first:<{widths[0]}}", *(f"{t:>{w}}" for t, w in zip(others, widths[1:], strict=False))]
    return _GAP.join(cells).rstrip()


def plain(layouts: Sequence[Layout]) -> str:
    """Return the terminal's tables as plain text."""
    from rich.console import Console

    buffer = io.StringIO()
    console = Console(file=buffer, color_system=None)
    for layout in layouts:
        console.print(terminal(layout), soft_wrap=True)
    return buffer.getvalue()
