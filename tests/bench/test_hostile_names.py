"""Names from a suite or a result, made to leave their folder, cell or line: they stay text."""

import csv
import io
import json
import re
import subprocess
import sys

import pytest
import yaml

from tlzoo.bench import Cell, Outcome
from tlzoo.bench.plan import make_plan
from tlzoo.bench.report import build_auxiliary_tables, build_tables, render
from tlzoo.bench.report.page import render_page
from tlzoo.bench.report.terminal import terminal
from tlzoo.bench.reproduce import find_cell
from tlzoo.bench.store import Store
from tlzoo.bench.stored_labels import Labels
from tlzoo.bench.suite_reader import load_suite
from tlzoo.bench.yaml_lines import SuiteError
from tlzoo.spelling import printable

LABELS = [
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(1)",
    "<script>alert(1)</script>",
    "[click](http://example.org)",
    "![x](http://example.org/x.png)",
    "a | b",
    "`code` **bold**",
    "&lt;b&gt;",
    "back\\slash",
    "$x$ $\\frac{1}{$",
    "{% raw %} {{ 7 * 7 }}",
    "100 % _under_ #1 ~ ^",
]
CONTROLS = ["\x1b[31mred", "two\nlines", "bell\x07", "\x9b31m", "over\rwritten", "\u202egnp.exe", "nul\x00"]


def suite(labels, name="hostile"):
    methods = [{"method": "dan", "label": label, "settings": {"weight": 1.0 + n}} for n, label in enumerate(labels)]
    methods += [{"method": "source_only", "label": "source only"}, {"method": "target_only", "label": "target only"}]
    group = {"title": "<b>Group</b> | =1", "kind": "domain", "tasks": ["a->b"], "backbones": ["lenet"], "seeds": 2}
    return yaml.safe_dump({"suite": name, "groups": [{**group, "methods": methods}]}, allow_unicode=True)


@pytest.fixture
def plan(tmp_path, protocol, home, loaded):  # noqa: ARG001  # the last two: the world it runs in
    path = tmp_path / "hostile.yaml"
    path.write_text(suite(LABELS))
    return make_plan(load_suite(str(path)), protocol)


@pytest.fixture
def store(tmp_path, plan):
    store = Store(tmp_path / "runs")
    for place, cell in enumerate(plan.cells):
        if cell.label == LABELS[0]:
            store.write_failure(cell, "ValueError: \x1b]0;title\x07 <img src=x> | =1+1\u202e")
        else:
            metrics = {"test/accuracy": 0.5 + place / 1000}
            store.write(cell, Outcome(metrics=metrics, receipt={"sees": plan.sees[cell.method], "declared": True}))
    return store


@pytest.mark.parametrize("name", ["../../evil", "/tmp/evil", "..", ".hidden", "a/b", "a\\b", "c:evil", "", "x" * 300])
def test_a_suite_is_stored_where_results_are(tmp_path, name):
    path = tmp_path / "suite.yaml"
    path.write_text(suite([], name))
    with pytest.raises(SuiteError, match=r"suite.yaml:\d+: suite is .*expected a name of letters, digits"):
        load_suite(str(path))


@pytest.mark.parametrize("name", ["emoji-adaptation", "v1.2_b+c", "Straße", "x"])
def test_plain_names_are_taken(tmp_path, name):
    path = tmp_path / "suite.yaml"
    path.write_text(suite([], name), encoding="utf-8")
    assert load_suite(str(path)).name == name


@pytest.mark.parametrize("label", CONTROLS)
@pytest.mark.parametrize("key", ["label", "title", "suite", "question"])
def test_controls_in_a_suite_are_refused(tmp_path, label, key):
    text = json.loads(json.dumps(yaml.safe_load(suite(["x"]))))
    place = {"label": text["groups"][0]["methods"][0], "title": text["groups"][0]}.get(key, text)
    place[key] = label
    path = tmp_path / "suite.yaml"
    path.write_text(json.dumps(text))  # JSON is YAML, with every control as an escape
    with pytest.raises(SuiteError, match=rf"{key} is '.*expected a") as caught:
        load_suite(str(path))
    assert printable(str(caught.value)) == str(caught.value)


def test_no_cell_of_a_spreadsheet_is_a_formula(plan, store):
    tables = build_tables(plan, store)
    for form in ("csv", "csv-auxiliary"):
        lines = list(csv.reader(io.StringIO(render(tables, form, build_auxiliary_tables(tables, store)))))
        texts = [text for line in lines for text in line if not re.fullmatch(r"[-+]?[\d.]+(e-?\d+)?", text)]
        assert texts
        assert not [text for text in texts if text.startswith(("=", "+", "-", "@", "\t", "\r"))]
    labels = {line["label"] for line in csv.DictReader(io.StringIO(render(tables, "csv")))}
    assert labels >= {"'=cmd|' /C calc'!A0", "'+1+1", "a | b", "<script>alert(1)</script>"}


def test_markdown_shows_names_as_they_are(plan, store):
    tables = build_tables(plan, store)
    lines = render(tables, "markdown").splitlines()
    rows = [line for line in lines if line.startswith("|")]
    borders = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
    assert len(borders) == 1
    titles = [row for row in rows if re.match(r"\| \*[^*].*\* \|( \|)+$", row)]
    assert len(rows) == len(LABELS) + len(["source only", "target only"]) + len(["names", "rule"]) + len(titles)
    shown = "\n".join(rows)
    for mark in ("<script", "<b>", "](", "`code", "<img"):
        assert not re.search(rf"(?<!\\){re.escape(mark)}", shown), mark
    html = pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable("table").render("\n".join(lines))
    for label in LABELS[1:]:
        assert label in re.sub(r"<[^>]+>", "", html).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


@pytest.mark.parametrize("form", ["terminal", "markdown", "latex", "csv", "csv-auxiliary"])
def test_no_format_lets_a_control_through(plan, store, form):
    tables = build_tables(plan, store)
    text = render(tables, form, build_auxiliary_tables(tables, store))
    assert text.replace("\n", "") == printable(text.replace("\n", ""))
    if form == "terminal":
        assert "\\x1b]0;title\\x07" in text


def test_the_terminal_of_a_user_is_left_alone(plan, store):
    from rich.console import Console

    from tlzoo.bench.report.table_layout import layout

    console = Console(file=io.StringIO(), force_terminal=False)
    for table in build_tables(plan, store):
        console.print(terminal(layout(table)), soft_wrap=True)
    assert "\x1b" not in console.file.getvalue()


def test_the_page_shows_names_as_text(plan, store):
    page = render_page(plan, store, build_tables(plan, store), command="tlzoo bench run hostile")
    assert "<script>alert" not in page
    assert "<b>Group" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def cell(**changes):
    return Cell(**{"kind": "domain", "task": "a->b", "method": "adaptation/dan", **changes})


def test_names_of_cells_and_errors_are_one_plain_line(tmp_path):
    assert str(cell(label="a\x1b[31m\nb")) == "a\\x1b[31m\\nb, a->b, seed 0"
    store = Store(tmp_path)
    store.write_failure(cell(), "Traceback\nValueError: \x1b[2J\u202ewipe")
    assert store.failure(cell()).last_line == "ValueError: \\x1b[2J\\u202ewipe"


def test_files_of_another_cell_under_this_cells_name_are_missing(tmp_path):
    store = Store(tmp_path)
    store.write(cell(), Outcome(metrics={"a": 1.0}))
    for suffix in ("json", "npz"):
        (tmp_path / f"{cell(seed=1).hash}.{suffix}").write_bytes((tmp_path / f"{cell().hash}.{suffix}").read_bytes())
    assert store.read(cell()).metrics == {"a": 1.0}
    assert store.read(cell(seed=1)) is None
    assert store.finished([cell(), cell(seed=1)]).keys() == {cell()}
    store.write_failure(cell(seed=2), "ValueError: its own")
    failed = (tmp_path / f"{cell(seed=2).hash}.failed.json").read_bytes()
    (tmp_path / f"{cell(seed=3).hash}.failed.json").write_bytes(failed)
    assert store.failure(cell(seed=2)).last_line == "ValueError: its own"
    assert store.failure(cell(seed=3)) is None


@pytest.mark.parametrize("gone", ["provenance", "traceback", "cell"])
def test_a_failure_without_a_part_is_a_missing_cell(tmp_path, gone):
    from tlzoo.bench.store import _sealed

    store = Store(tmp_path)
    payload = {"cell": cell().to_json(), "traceback": "ValueError: x", "provenance": {}}
    del payload[gone]
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / f"{cell().hash}.failed.json").write_bytes(_sealed(payload))
    assert store.failure(cell()) is None


@pytest.mark.parametrize("part", ["receipt", "splits"])
def test_a_part_of_another_form_is_a_missing_cell(tmp_path, part):
    from tlzoo.bench.store import _sealed

    store = Store(tmp_path)
    store.write(cell(), Outcome(metrics={"a": 1.0}))
    path = tmp_path / f"{cell().hash}.json"
    payload = json.loads(path.read_text())["payload"]
    payload["result"][part] = 7
    path.write_bytes(_sealed(payload))
    assert store.read(cell()) is None


@pytest.mark.parametrize("prefix", ["../secret", "*", "", "a/b", "[ab]", "0" * 17])
def test_a_cell_is_found_by_digits_of_its_hash_alone(tmp_path, prefix):
    with pytest.raises(ValueError, match="expected the beginning of a hash"):
        find_cell(prefix, tmp_path)


def test_labels_are_kept_in_their_folder_whatever_a_prediction_is_called(home, monkeypatch):
    import numpy as np

    monkeypatch.setattr("tlzoo.bench.stored_labels._splits", lambda *_: iter([("split", np.arange(3))]))
    assert Labels().find(cell(), "test_../../../evil", "split").tolist() == [0, 1, 2]
    kept = [path for path in home.rglob("*") if path.is_file()]
    assert [path.parent for path in kept] == [home / "labels"]
    monkeypatch.setattr("tlzoo.bench.stored_labels._splits", lambda *_: pytest.fail("it was kept"))
    assert Labels().find(cell(), "test_../../../evil", "split").tolist() == [0, 1, 2]


def test_an_error_on_the_command_line_is_plain():
    done = subprocess.run(
        [sys.executable, "-m", "tlzoo.cli", "bench", "run", "\x1b[31mno-such-suite"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "\x1b" not in done.stderr
    assert "no-such-suite" in done.stderr


@pytest.mark.usefixtures("home")
def test_an_error_of_a_cell_is_shown_in_one_plain_line(tmp_path, monkeypatch):
    from rich.console import Console

    from tlzoo.bench.execution.runner import run_cells

    (tmp_path / "hostile_protocol.py").write_text(
        "def prepare(cells): raise OSError('\\x1b[2Jno disk')\n"
        "def run(cell, report): raise ValueError('first\\nsecond \\x1b]0;title\\x07 [red]x[/red]')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    said = io.StringIO()
    console = Console(file=said, width=200)
    summary = run_cells([cell()], Store(tmp_path / "runs"), protocol="hostile_protocol", console=console)
    error = "second \\x1b]0;title\\x07 [red]x[/red]"
    assert list(summary.failed.values()) == [error]
    assert error in said.getvalue()
    assert "\x1b" not in said.getvalue()
