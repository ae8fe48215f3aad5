"""What is generated is up to date, complete, and the pages build."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import tlzoo
from tlzoo.data import list_tasks
from tlzoo.registry import FAMILIES, METHODS, method_class
from tlzoo.sources import list_sources

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tables():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs")
        yield importlib.import_module("tables")
        for name in {"tables", "results", "generated_part"} & set(sys.modules):
            del sys.modules[name]


def test_readmes_table_is_the_registrys(tables):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert tables.refreshed(text) == text, "run python docs/tables.py"


def test_a_readme_without_marks_is_refused(tables):
    with pytest.raises(ValueError, match="put both lines where the table goes"):
        tables.refreshed("# tlzoo\n")


def test_every_method_is_in_the_tables_with_its_paper(tables):
    everything = tables.methods()
    for name in METHODS:
        own = tables.family(name.split("/")[0])
        assert f"`{name}`" in everything
        assert f"`{name}`" in own
        paper = method_class(name).paper
        if paper:
            assert f"[{paper.citation}]({paper.url})" in own


def test_every_source_and_kind_of_task_is_in_the_tables(tables):
    assert all(source.license in tables.licenses() and source.note in tables.sources() for source in list_sources())
    counts = [int(line.split("|")[-2]) for line in tables.tasks().splitlines()[2:]]
    assert sum(counts) == len(list_tasks())


def test_committed_results_are_summarized_by_what_methods_saw(tables, tmp_path):
    def cell(label, seed, accuracy, *sees):
        receipt = {"sees": list(sees)}
        metrics = {"test/accuracy": accuracy}
        return {"task": "t", "backbone": "b", "label": label, "seed": seed, "metrics": metrics, "receipt": receipt}

    cells = [cell("dan", 0, 0.5, "x"), cell("bound", 0, 0.9, "y"), cell("dan", 1, 0.7, "x"), cell("low", 0, 0.0, "x")]
    (tmp_path / "s.json").write_text(json.dumps({"suite": "s", "question": "What?", "cells": cells}))
    rows = tables.results(tables._table, tmp_path).splitlines()[-3:]
    assert rows[0].startswith("| x | dan | 60.0 | -67.1 to 187.1 | 2 |")  # 60 +- 12.706 * 10
    assert rows[1] == "|  | low | 0.0 | one run | 1 |"
    assert rows[2] == "| y | bound | 90.0 | one run | 1 |"
    assert "No results" in tables.results(tables._table, tmp_path / "none")


def test_committed_results_of_other_episodes_stand_in_other_tables(tables, tmp_path):
    def cell(shot, accuracy):
        metrics = {"test/accuracy": accuracy, "test/interval": 0.012}
        return {"task": "t", "label": "a", "budget": {"shot": shot}, "metrics": metrics, "receipt": {"sees": ["x"]}}

    (tmp_path / "s.json").write_text(json.dumps({"suite": "s", "question": "", "cells": [cell(1, 0.5), cell(5, 0.7)]}))
    shown = tables.results(tables._table, tmp_path)
    assert "`t` on `no backbone`, shot 1\n" in shown
    assert "| x | a | 50.0 | ± 1.2, within the run | 1 |" in shown
    assert "| x | a | 70.0 | ± 1.2, within the run | 1 |" in shown


def test_every_family_has_a_page_with_its_generated_tables():
    for family in FAMILIES:
        page = (ROOT / "docs" / f"{family}.md").read_text(encoding="utf-8")
        for part in (f"{{generated}} family {family}", f"{{generated}} settings {family}", "## Typical mistakes"):
            assert part in page


def test_the_changelog_names_every_method():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert not [name for name in METHODS if f"- `{name}`:" not in text]


def test_the_citation_is_of_this_version():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {tlzoo.__version__}\n" in text
    assert "cff-version: 1.2.0" in text


def test_the_documentation_builds_without_a_warning(tmp_path):
    pytest.importorskip("furo")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", str(tmp_path / "trees")]
    done = subprocess.run(
        [*command, str(ROOT / "docs"), str(tmp_path / "html")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    built = (tmp_path / "html" / "confusion.html").read_text(encoding="utf-8")
    assert 'href="api/methods.html#tlzoo.methods.confusion.cdan.CDAN"' in built
    assert "https://arxiv.org/abs/1705.10667" in built
    assert 'id="tlzoo.functional.mmd"' in (tmp_path / "html" / "api" / "functional.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("tables")  # docs/ is importable then
@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("||w - w_0||^2 and ``|kept|``", r"\|\|w - w_0\|\|^2 and ``|kept|``"),
        (":param num_classes: C.", r":param num_classes: C\."),
        ("d(*args) = a * b, see x_", r"d(\*args) = a * b, see x\_"),
        ("* an item, :func:`mmd`", "* an item, :func:`mmd`"),
        (">>> a | b", ">>> a | b"),
    ],
)
def test_formulas_in_docstrings_are_no_markup(written, shown):
    pytest.importorskip("sphinx")
    lines = [written]
    importlib.import_module("generated_part").escape_formulas(None, "class", "x", None, {}, lines)
    assert lines == [shown]


def test_rows_that_were_tuned_on_validation_labels_are_marked_and_not_set_apart(tables, tmp_path):
    def cell(label, *sees):
        receipt = {"sees": ["target labels", *sees]}
        return {"task": "t", "label": label, "metrics": {"test/accuracy": 0.5}, "receipt": receipt}

    cells = [cell("plain"), cell("tuned", "validation labels")]
    (tmp_path / "s.json").write_text(json.dumps({"suite": "s", "question": "", "cells": cells}))
    *_, first, second, _, note = tables.results(tables._table, tmp_path).splitlines()
    assert first.startswith("| target labels | plain |")
    assert second.startswith("|  | tuned † |")
    assert note == "† settings chosen on validation labels"
