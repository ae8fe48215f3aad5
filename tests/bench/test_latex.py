"""LaTeX tables by their structure: what keeps a document from compiling is looked for (no TeX is installed here)."""

import re

import pytest

from tlzoo.bench.report.formats import latex
from tlzoo.bench.report.table_layout import Entry, Layout, Row

HARD = "50 % of a_b & c#1 {x} ~ ^ \\ $2$ <tag> – − · ° † a→b ≥ é"
KNOWN = (
    "textbf|emph|textcolor|multicolumn|caption|centering|toprule|midrule|bottomrule|par|small|begin|end|cdot|circ|dag"
)
ESCAPES = "textbackslash|textasciitilde|textasciicircum|rightarrow|geq|leq|times|pm"


def row(emphasis, label=HARD, message="", count=3):
    figures = [Entry("71.2 [70.1, 72.3]", 0.712), Entry("−1.0", -0.01)][: count - 1]
    return Row((Entry(label), *figures), emphasis, message)


def layout():
    rows = (row("best"), row("tied"), row("oracle"), row(""), row("failed", message=f"failed: {HARD}", count=1))
    return Layout(f"Title {HARD}", ("method", f"accuracy {HARD}", "gain_%"), ((f"sees {HARD}", rows),), (HARD, "note"))


def unescaped(text):
    return re.sub(r"\\[&%$#_{}\\]", "", text)


def problems(text):
    """Return what would keep a table from compiling, or make it come out wrong."""
    environments = re.findall(r"\\(begin|end)\{(\w+)\}", text)
    open_ones: list[str] = []
    for what, name in environments:
        if what == "begin":
            open_ones.append(name)
        elif not open_ones or open_ones.pop() != name:
            yield f"end of {name} out of place"
    if open_ones:
        yield f"{open_ones} never end"
    bare = unescaped(text)
    if bare.count("{") != bare.count("}"):
        yield "braces do not balance"
    if bare.count("$") % 2:
        yield "a formula does not end"
    yield from (f"{character} outside of its place" for character in "%#~" if character in bare)
    outside = re.sub(r"\$[^$]*\$", "", bare)
    yield from (f"{character} outside of a formula" for character in "_^" if character in outside)
    for name in re.findall(r"\\([A-Za-z]+)", re.sub(r"\\\\", "", text)):
        if not re.fullmatch(f"{KNOWN}|{ESCAPES}", name):
            yield f"\\{name} is unknown"
    yield from (f"{c!r} is in no standard font" for c in set(text) if ord(c) > 255)
    width = len(re.search(r"\\begin\{tabular\}\{(\w+)\}", text)[1])
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    for line in body.splitlines():
        if line.endswith(r"\\"):
            spans = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", line))
            cells = len(re.findall(r"(?<!\\)&", line)) + 1 + spans
            if cells != width:
                yield f"{cells} cells of {width}: {line}"


def test_a_table_with_every_hard_character_compiles():
    text = latex([layout(), layout()])
    assert text.count(r"\begin{table}") == 2
    tables = text.split("\n\n")
    assert len(tables) == 2
    assert [found for each in tables for found in problems(each)] == []


def test_best_ties_and_oracle_stand_out():
    best, tied, oracle = [line for line in latex([layout()]).splitlines() if "71.2" in line][:3]
    assert best.count(r"\textbf") == 2
    assert "$^{=}$" in tied
    assert oracle.count(r"\textcolor{gray}") == 3


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda text: text.replace(r"\end{tabular}", ""), "out of place"),
        (lambda text: text.replace(r"\%", "%", 1), "% outside"),
        (lambda text: text.replace(r"\_", "_", 1), "_ outside"),
        (lambda text: text.replace(r"\$", "$", 1), "does not end"),
        (lambda text: text.replace(" & ", " ", 1), "cells of 3"),
        (lambda text: text.replace("note", "λ"), "no standard font"),
        (lambda text: text.replace(r"\toprule", r"\toprule \toprul"), "unknown"),
    ],
)
def test_the_check_finds_what_is_wrong(spoil, found):
    assert any(found in problem for problem in problems(spoil(latex([layout()]))))
