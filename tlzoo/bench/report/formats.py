"""Tables as text for papers and programs: Markdown, LaTeX (booktabs), CSV."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Sequence

from tlzoo.bench.report.table_layout import Entry, Layout, Row, layout
from tlzoo.bench.report.tables import Table
from tlzoo.bench.report.terminal import plain
from tlzoo.errors import InputError
from tlzoo.spelling import nearest, printable

__all__ = ["FORMATS", "render"]


def render(tables: Sequence[Table], format: str, auxiliary: Sequence[Layout] = ()) -> str:
    """Return all tables, then the auxiliary ones, in one of the text formats.

    ``csv`` leaves out the auxiliary tables, whose columns differ; ``csv-auxiliary`` has only them.

    Raises:
        ValueError: there is no such format.
    """
    if format not in FORMATS:
        raise InputError(nearest(format, FORMATS, kind="format"))
    if format == "csv":
        return comma_separated(tables)
    if format == "csv-auxiliary":
        return comma_separated_values(auxiliary)
    return _WRITERS[format]([*map(layout, tables), *auxiliary])


def markdown(layouts: Sequence[Layout]) -> str:
    """Return GitHub-flavored tables; a row names each section."""
    return "\n".join(map(_markdown_table, layouts))


def _markdown_table(layout: Layout) -> str:
    names = layout.header
    lines = [f"### {_mark(layout.title)}", "", f"| {' | '.join(map(_mark, names))} |"]
    lines.append("|---" + "|---:" * (len(names) - 1) + "|")
    for title, own in layout.sections:
        lines.append(f"| *{_mark(title)}* |" + " |" * (len(names) - 1))
        for row in own:
            texts = [_mark(entry.text) for entry in row.entries]
            if row.emphasis == "best":
                texts[:2] = [f"**{text}**" for text in texts[:2]]
            if row.emphasis == "tied":
                texts[1] += " ="
            if row.emphasis == "oracle":
                texts = [f"*{text}*" for text in texts]
            if row.message:
                texts = [f"{texts[0]} ({_mark(row.message)})", *texts[1:]]
            texts += [""] * (len(names) - len(texts))
            lines.append(f"| {' | '.join(texts)} |")
    notes = [f"{_mark('; '.join(layout.notes))}.", ""] if layout.notes else []
    return "\n".join([*lines, "", *notes])


_MARKS = re.compile(r"[\\`*<|~]|\](?=[(\[])|&(?=#?\w+;)|(?<!\w)_|_(?!\w)")


def _mark(text: str) -> str:
    """Return text that Markdown shows unchanged, without table borders, markup, links or HTML."""
    return _MARKS.sub(r"\\\g<0>", printable(text))


def latex(layouts: Sequence[Layout]) -> str:
    r"""Return booktabs tables; the preamble needs ``booktabs`` and ``xcolor``."""
    return "\n".join(map(_latex_table, layouts))


def _latex_table(layout: Layout) -> str:
    names = layout.header
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_tex(layout.title)}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(names) - 1)}}}",
        r"\toprule",
        " & ".join(map(_tex, names)) + r" \\",
    ]
    for title, own in layout.sections:
        lines += [r"\midrule", rf"\multicolumn{{{len(names)}}}{{l}}{{\emph{{{_tex(title)}}}}} \\"]
        lines += [_latex_row(row, len(names)) for row in own]
    notes = _tex("; ".join(layout.notes))
    end = [r"\bottomrule", r"\end{tabular}", *([rf"\par\small {notes}."] if notes else []), r"\end{table}", ""]
    return "\n".join([*lines, *end])


def _latex_row(row: Row, width: int) -> str:
    texts = [_tex(entry.text) for entry in row.entries]
    if row.emphasis == "best":
        texts[:2] = [rf"\textbf{{{text}}}" for text in texts[:2]]
    if row.emphasis == "tied":
        texts[1] += "$^{=}$"
    if row.emphasis == "oracle":
        texts = [rf"\textcolor{{gray}}{{{text}}}" for text in texts]
    if len(texts) == 1:
        return rf"{texts[0]} & \multicolumn{{{width - 1}}}{{l}}{{{_tex(row.message)}}} \\"
    return " & ".join(texts) + r" \\"


_TEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "−": "$-$",
    "–": "--",
    "·": r"$\cdot$",
    "°": r"$^{\circ}$",
    "†": r"\dag{}",
    "‡": r"\ddag{}",
    ">": "$>$",
    "<": "$<$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "→": r"$\rightarrow$",
    "×": r"$\times$",
    "±": r"$\pm$",
}


def _tex(text: str) -> str:
    return "".join(_TEX.get(character, character) for character in printable(text))


def comma_separated(tables: Sequence[Table]) -> str:
    """Return one line per method and table, with unrounded values, not in percent."""
    out = io.StringIO()
    extras = sorted({name for table in tables for name in table.group.columns})
    writer = csv.writer(out, lineterminator="\n")
    names = ("group", "task", "backbone", "sees", "method", "label", "metric", "runs", "mean", "std", "low", "high")
    more = ("gain", "gain_low", "gain_high", "average_rank", "best", "tied", "oracle", "failed", "error")
    writer.writerow([*names, *more, *map(_text, extras)])
    for table in tables:
        for section in table.sections:
            for line in section.lines:
                s, gain = line.summary, line.gain.difference if line.gain else None
                writer.writerow(
                    [
                        *map(_text, (table.group.title, table.task or "mean of tasks", table.backbone or "")),
                        *map(_text, ("; ".join(section.sees), line.cell.method, line.label, table.group.metric)),
                        s.n,
                        *map(_figure, (s.mean, s.std, s.low, s.high)),
                        *(map(_figure, (gain.mean, gain.low, gain.high)) if gain else ("", "", "")),
                        _figure(line.rank),
                        *map(int, (line.best, line.tied, line.oracle)),
                        len(line.failures),
                        _text(line.failures[-1].last_line) if line.failures else "",
                        *(_figure(line.extras.get(name, math.nan)) for name in extras),
                    ]
                )
    return out.getvalue()


def comma_separated_values(layouts: Sequence[Layout]) -> str:
    """Return one line per value of every table: the unrounded number, and its text in the table."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("table", "section", "row", "column", "value", "text"))
    for each in layouts:
        for title, rows in each.sections:
            for row in rows:
                name, *entries = row.entries
                writer.writerows(
                    (*map(_text, (each.title, title, name.text, column)), _figure(entry.number), _shown(entry))
                    for column, entry in zip(each.header[1:], entries, strict=False)
                )
    return out.getvalue()


def _text(text: str) -> str:
    """Return text that a spreadsheet does not read as a formula."""
    shown = printable(text)
    return f"'{shown}" if shown.startswith(("=", "+", "-", "@")) else shown


def _shown(entry: Entry) -> str:
    return _text(entry.text) if math.isnan(entry.number) else entry.text


def _figure(value: float) -> str:
    return "" if math.isnan(value) else repr(value)


_WRITERS: dict[str, Callable[[Sequence[Layout]], str]] = {"terminal": plain, "markdown": markdown, "latex": latex}

FORMATS = (*_WRITERS, "csv", "csv-auxiliary")
