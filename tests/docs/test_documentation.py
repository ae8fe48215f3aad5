"""What is generated is up to date, complete, and the pages build."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tlzoo
from tlzoo.bench.price import prices
from tlzoo.bench.published import published
from tlzoo.bench.suite_reader import load_suite
from tlzoo.data import list_tasks
from tlzoo.registry import FAMILIES, METHODS, method_class
from tlzoo.sources import list_sources

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tables():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs")
        yield importlib.import_module("tables")
        for name in {"tables", "results", "rates", "figures", "gains", "generated_part", "verdicts"} & set(sys.modules):
            del sys.modules[name]


def test_the_page_of_all_methods_is_the_registrys(tables):
    text = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    assert tables.refreshed(text) == text, "run python docs/tables.py"


@pytest.mark.usefixtures("tables")
def test_readmes_figure_is_of_the_committed_results(tmp_path):
    figures = importlib.import_module("figures")
    committed = figures.FIGURE.read_text(encoding="utf-8")
    assert figures.digest() in committed, "run python docs/figures.py"
    figures.draw(tmp_path / "again.svg")
    assert figures.digest() in (tmp_path / "again.svg").read_text(encoding="utf-8")
    assert f"docs/figures/{figures.FIGURE.name}" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.usefixtures("tables")
def test_figures_of_the_exchange_rate_are_of_the_committed_results(tmp_path):
    rates = importlib.import_module("rates")
    rates.draw(tmp_path)
    page = (ROOT / "docs" / "exchange-rate.md").read_text(encoding="utf-8")
    for name in rates.FIGURES:
        assert rates.digest() in (ROOT / "docs" / "figures" / name).read_text(encoding="utf-8"), (
            "run python docs/rates.py"
        )
        assert rates.digest() in (tmp_path / name).read_text(encoding="utf-8")
        assert f"(figures/{name})" in page


@pytest.mark.usefixtures("tables")
def test_agreement_of_targets_is_a_rank_correlation():
    from scipy.stats import spearmanr

    rates = importlib.import_module("rates")
    one, other = ["a", "b", "c", "d"], ["b", "a", "d", "c"]
    places = [[order.index(way) for way in sorted(one)] for order in (one, other)]
    assert rates._spearman(one, other) == pytest.approx(spearmanr(*places).statistic)


@pytest.mark.usefixtures("tables")
def test_readmes_table_of_gains_is_of_the_committed_results():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert importlib.import_module("gains").refreshed(text) == text, "run python docs/gains.py"


@pytest.mark.usefixtures("tables")
def test_gains_count_rows_whose_interval_leaves_zero_out(tmp_path):
    def row(label, role, low, high, mean=0.5):
        gains = {"linear": {"mean": (low + high) / 2, "low": low, "high": high}}
        return {"label": label, "role": role, "mean": mean, "gains": gains}

    rows = [{"label": "linear", "role": "baseline", "mean": 0.5, "gains": {}}, row("weak", "baseline", -0.2, -0.1, 0.3)]
    rows += [row("a", "method", 0.01, 0.03), row("b", "method", -0.01, 0.03), row("c", "method", -0.03, -0.01)]
    suite = {"suite": "toy", "cells": [], "tables": [{"group": "G", "rows": rows}]}
    (tmp_path / "toy.json").write_text(json.dumps(suite), encoding="utf-8")
    *_, line = importlib.import_module("gains").gains(tmp_path).splitlines()
    assert line == "| [toy](docs/results/toy.md): G | linear 50.0 | 3 | 1 | 1 | a | +2.0 (+1.0 to +3.0) |"


def test_a_page_without_marks_is_refused(tables):
    with pytest.raises(ValueError, match="put both lines where the table goes"):
        tables.refreshed("# tlzoo\n")
    with pytest.raises(ValueError, match="put both lines where the table goes"):
        importlib.import_module("gains").refreshed("# tlzoo\n")


def test_every_method_is_in_the_tables_with_its_paper(tables):
    everything = tables.methods()
    for name in METHODS:
        own = tables.family(name.split("/")[0])
        assert f"`{name}`" in everything
        assert f"`{name}`" in own
        paper = method_class(name).paper
        if paper:
            assert f"[{paper.citation}]({paper.url})" in own
            assert f"[{paper.title}]({paper.url}), {paper.citation} |" in everything


def test_every_source_and_kind_of_task_is_in_the_tables(tables):
    assert all(source.license in tables.licenses() and source.note in tables.sources() for source in list_sources())
    counts = [int(line.split("|")[-2]) for line in tables.tasks().splitlines()[2:]]
    assert sum(counts) == len(list_tasks())


def test_committed_results_are_summarized_by_what_methods_saw(tables, tmp_path):
    def cell(label, seed, accuracy, *sees):
        receipt = {"sees": list(sees)}
        metrics = {"test/accuracy": accuracy}
        row = {"task": "t", "kind": "domain", "backbone": "b", "label": label, "seed": seed}
        return {**row, "metrics": metrics, "receipt": receipt}

    cells = [cell("dan", 0, 0.5, "x"), cell("bound", 0, 0.9, "y"), cell("dan", 1, 0.7, "x"), cell("low", 0, 0.0, "x")]
    (tmp_path / "s.json").write_text(json.dumps({"suite": "s", "question": "What?", "cells": cells}))
    rows = [line for line in tables.results(tables._table, tmp_path).splitlines() if line.startswith("|")][-3:]
    assert rows[0].startswith("| x | dan | 60.0 | -67.1 to 187.1 | 2 |")  # 60 +- 12.706 * 10
    assert rows[1] == "|  | low | 0.0 | one run | 1 |"
    assert rows[2] == "| y | bound | 90.0 | one run | 1 |"
    assert "No results" in tables.results(tables._table, tmp_path / "none")


def test_committed_results_of_other_episodes_stand_in_other_tables(tables, tmp_path):
    def cell(shot, accuracy):
        metrics = {"test/accuracy": accuracy, "test/interval": 0.012}
        row = {"kind": "episode", "task": "t", "label": "a", "budget": {"shot": shot}}
        return {**row, "metrics": metrics, "receipt": {"sees": ["x"]}}

    (tmp_path / "s.json").write_text(json.dumps({"suite": "s", "question": "", "cells": [cell(1, 0.5), cell(5, 0.7)]}))
    shown = tables.results(tables._table, tmp_path)
    assert "`t` on `no backbone`, shot 1\n" in shown
    assert "| x | a | 50.0 | ± 1.2, within the run | 1 |" in shown
    assert "| x | a | 70.0 | ± 1.2, within the run | 1 |" in shown


def _adapted(tmp_path):
    """Write a suite of two tasks and two seeds, with what validators picked; return its name."""

    def cell(label, task, seed, accuracy, picked=None):
        sees = {"source only": ["s"], "target only": ["t"]}.get(label, ["s", "u"])
        metrics = {"test/accuracy": accuracy, "test/os_star": accuracy / 2, "oracle/accuracy": accuracy + 0.1}
        metrics |= {"selected/snd": picked} if picked is not None else {}
        place = {"group": "G", "task": f"set:{task}", "kind": "domain", "backbone": "b", "seed": seed}
        method = f"adaptation/{label.replace(' ', '_')}"
        return {**place, "label": label, "method": method, "metrics": metrics, "receipt": {"sees": sees}}

    cells = [
        cell(label, task, seed, base + shift + 0.01 * seed, picked)
        for task, shift in (("x", 0.0), ("y", 0.2))
        for label, base, picked in (("source only", 0.4, None), ("dan", 0.5, 0.3), ("target only", 0.6, None))
        for seed in (0, 1)
    ]
    cells[3]["metrics"]["test/accuracy"] = 0.3  # dan on x is not better in every run
    judged = [{"name": "snd", "within": 0.5, "across": None, "lost": 0.021}]
    suite = {"suite": "s", "question": "", "cells": cells, "judgements": {"G": judged}}
    (tmp_path / "s.json").write_text(json.dumps(suite))
    return "s"


def test_committed_results_of_several_tasks_are_means_with_the_gap_that_is_closed(tables, tmp_path):
    _adapted(tmp_path)
    text = tables.results(tables._table, tmp_path).splitlines()
    assert "**G:** mean of 2 tasks on `b`" in text
    assert text[-1] == "Gains are over source only: the only baseline."
    lines = [line for line in text if line.startswith("|")]
    assert lines[-5].startswith(
        "| what methods see | method | mean | 95 % interval over seeds | runs | os star | better on | g"
    )
    assert lines[-5].endswith("| x | y |")
    # dan: seeds (0.5 + 0.7) / 2 and (0.3 + 0.71) / 2; of source only 0.505, of target only 0.705
    assert lines[-3] == "| s | source only | 50.5 | 44.1 to 56.9 | 2 | 25.2 |  |  | 40.5 | 60.5 |"
    assert lines[-2].startswith("| s, u | dan | 55.2 | ")
    assert lines[-2].endswith("| 1 of 2 | 24 % | 40.0 | 70.5 |")
    assert lines[-1].endswith("| 2 of 2 |  | 60.5 | 80.5 |")


def test_tasks_are_called_by_what_tells_them_apart(tables, tmp_path):
    def cell(task):
        row = {"kind": "domain", "task": task, "label": "a"}
        return {**row, "metrics": {"test/accuracy": 0.5}, "receipt": {"sees": ["x"]}}

    def header(*names):
        (tmp_path / "s.json").write_text(json.dumps({"suite": "s", "question": "", "cells": [cell(n) for n in names]}))
        lines = tables.results(tables._table, tmp_path).splitlines()
        return next(line for line in lines if "| runs | " in line).split("| runs | ")[1]

    assert header("e/c:a->b:open", "e/c:b->a:open") == "a → b | b → a |"
    assert header("topics", "set:a") == "topics | set:a |"


def test_the_page_of_a_suite_shows_what_validators_picked(tables, tmp_path):
    shown = tables.results(tables._table, tmp_path, suite=_adapted(tmp_path))
    assert "| method | last | snd | oracle |\n| --- | --- | --- | --- |\n| dan | 55.2 | 30.0 | 70.5 |" in shown
    assert "| snd | 0.50 |  | 2.1 |" in shown
    assert "**s.**" not in shown  # the page has a title
    assert "validator" not in tables.results(tables._table, tmp_path)


def test_every_committed_suite_has_a_page_with_its_figures():
    suites = [file.stem for file in (ROOT / "benchmarks" / "results").glob("*.json")]
    pages = {page.stem: page.read_text("utf-8") for page in (ROOT / "docs" / "results").glob("*.md")}
    assert sorted(pages) == sorted([*suites, "index"])
    for suite in suites:
        assert f"```{{generated}} committed {suite}\n```" in pages[suite]
        assert re.search(rf"^\$ tlzoo bench run {suite}( --root FOLDER)?$", pages[suite], re.MULTILINE)


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
    assert "<msub>" in (tmp_path / "html" / "adaptation.html").read_text(encoding="utf-8")  # formulas are MathML
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


@pytest.mark.usefixtures("tables")
def test_formulas_that_are_set_are_left_alone():
    pytest.importorskip("sphinx")
    lines = ["Text x_ and", "", ".. math:: a_b", "", "    c_ * |d|", "", "then x_ again"]
    importlib.import_module("generated_part").escape_formulas(None, "class", "x", None, {}, lines)
    assert lines == [r"Text x\_ and", "", ".. math:: a_b", "", "    c_ * |d|", "", r"then x\_ again"]


def test_rows_that_were_tuned_on_validation_labels_are_marked_and_not_set_apart(tables, tmp_path):
    def cell(label, *sees):
        receipt = {"sees": ["target labels", *sees]}
        return {"kind": "zeroshot", "task": "t", "label": label, "metrics": {"test/accuracy": 0.5}, "receipt": receipt}

    cells = [cell("plain"), cell("tuned", "validation labels")]
    (tmp_path / "s.json").write_text(json.dumps({"suite": "s", "question": "", "cells": cells}))
    *_, first, second, _, note, _, lacking = tables.results(tables._table, tmp_path).splitlines()
    assert first.startswith("| target labels | plain |")
    assert second.startswith("|  | tuned † |")
    assert note == "† settings chosen on validation labels"
    assert lacking == "*No row `zeroshot/ridge`: a gain over a weaker baseline says less.*"


def test_the_page_of_published_benchmarks_has_every_suite_and_no_recalled_value(tables):
    page = tables.GENERATED["literature"]()
    folder = ROOT / "tlzoo" / "bench" / "published_values"
    for file in folder.glob("*.yaml"):
        assert f"### {file.stem}\n" in page, "docs/literature.py lacks a suite with published values"
    recalled = [each for file in folder.glob("*.yaml") for each in published(file.stem) if not each.confirmed]
    assert recalled
    assert not any(each.read_in in page for each in recalled)
    assert "`tlzoo bench run office31 --root FOLDER`" in page
    assert "DANN 86.1" in page
    cells = sum(price.runs for price in prices(load_suite("office31"), throughput=1000, answers=False))
    assert re.search(rf"{cells} cells, 1\d\d hours at 1,000 pictures a second", page)
