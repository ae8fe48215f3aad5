import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import tlzoo
from tlzoo import cli, errors, listing
from tlzoo.registry import METHODS

SUITE = """\
suite: tiny
question: Does it help?
groups:
  - title: Adaptation
    kind: domain
    tasks: ["a->b"]
    methods: [source_only, dan, target_only]
"""

PROTOCOL = """
from tlzoo.bench import Outcome
REVISIONS = {"domain": 1}
def prepare(cells): pass
def run(cell, report):
    if cell.method == BROKEN:
        raise RuntimeError("no luck")
    return Outcome(metrics={"test/accuracy": len(cell.method) / 100})
"""


@pytest.fixture
def bench(tmp_path, monkeypatch, capsys):
    """Run ``tlzoo bench`` on a tiny suite in an empty folder; returns status, output and error."""
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tlzoo.bench.execution.one_cell._commit", lambda: None)  # of a checkout that may have changes
    monkeypatch.chdir(tmp_path)
    task = SimpleNamespace(kind="domain", checksum="sum", sources=("emoji",), sets=dict)
    monkeypatch.setattr(tlzoo, "load_task", lambda name: task, raising=False)  # noqa: ARG005
    (tmp_path / "tiny.yaml").write_text(SUITE)
    monkeypatch.syspath_prepend(str(tmp_path))

    def bench(command, *options, broken=None, suite="tiny.yaml", before=()):
        name = "cli_protocol_broken" if broken else "cli_protocol"
        (tmp_path / f"{name}.py").write_text(PROTOCOL.replace("BROKEN", repr(broken)))
        monkeypatch.delitem(sys.modules, name, raising=False)
        if command == "run":
            options = (*options, "--executor", "in_process")
        status = cli.main(["bench", command, *before, suite, "--protocol", name, *options])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return bench


def refused(capsys, *words):
    """Return the line on stderr with which a command is refused."""
    assert cli.main(list(words)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


def test_list_names_every_method(capsys):
    assert cli.main(["list"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in METHODS)
    assert "Long et al." in text


def test_list_names_tasks_and_backbones(capsys):
    assert cli.main(["list", "tasks", "backbones"]) == 0
    text = capsys.readouterr().out
    assert "emoji/category:SOURCE->TARGET " in text
    assert "folder:SOURCE->TARGET" in text
    assert re.search(r"^efficientnet_lite0 +image +$", text, re.MULTILINE)
    assert "adaptation/dan" not in text


def test_a_list_that_is_remembered_loads_no_torch():
    program = "import sys; from tlzoo.cli import main; main(['list']); print('torch' in sys.modules)"
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False\n")


@pytest.mark.parametrize("words", [[], ["bench"], ["data"]])
def test_a_command_that_is_missing_shows_what_there_is(capsys, words):
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert end.value.code == 0
    assert "usage: tlzoo" in capsys.readouterr().out


def test_list_of_a_family(capsys):
    assert cli.main(["list", "--family", "oneshot"]) == 0
    text = capsys.readouterr().out
    assert "oneshot/protonet" in text
    assert "confusion/" not in text


@pytest.mark.parametrize(
    ("method", "formula"),
    [
        ("cross_modal", "    1/2 CE(τ (xᵀ w)/(‖ w ‖))\n    + 1/2 CE(τ (tᵀ w)/(‖ w ‖))\n"),
        ("pt_map", "    min_P ⟨ P, d^2 ⟩ - 1/λ H(P),\n"),
    ],
)
def test_info_shows_formulas_as_text(method, formula, capsys):
    assert cli.main(["info", method]) == 0
    shown = capsys.readouterr().out
    assert formula in shown
    assert not any(mark in shown for mark in (".. math", ":math:", "``", "\\"))


def test_info_says_all_of_a_method(capsys):
    assert cli.main(["info", "cdan"]) == 0
    text = capsys.readouterr().out
    for part in (
        "confusion/cdan (tlzoo.methods.confusion.cdan.CDAN)",
        "https://arxiv.org/abs/1705.10667",
        "sees      source inputs, source labels, target inputs",
        "entropy: bool = False\n      weight examples by their certainty (CDAN+E).\n",
    ):
        assert part in text
    assert "Args:" not in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["info", "dna"], "tlzoo: unknown method 'dna'; did you mean "),
        (["list", "--family", "oneshoot"], "tlzoo: unknown family 'oneshoot'; did you mean 'oneshot'"),
        (["data", "path", "emojy"], "tlzoo: unknown source 'emojy'; did you mean 'emoji'"),
        (["bench", "run", "quickstrat"], "tlzoo: unknown suite 'quickstrat'"),
        (["bench", "status", "no/such.yaml"], "tlzoo: no suite file no/such.yaml"),
        (["bench", "run", "x", "--executor", "poool"], "tlzoo: unknown executor 'poool'; did you mean 'pool'"),
        (["bench", "report", "x", "--format", "latx"], "tlzoo: unknown format 'latx'; did you mean 'latex'"),
        (["bench", "export", "x", "--root", "\0"], "tlzoo: '\\\\x00' holds a NUL character"),
        (["bench", "run", "x", "--workers", "0"], "tlzoo: 0 workers; expected at least 1"),
    ],
)
def test_a_users_mistake_is_one_line(capsys, words, message):
    assert refused(capsys, *words).startswith(message)


BUGS = (KeyError("name"), AttributeError("x"), RuntimeError("a bug of ours"), ValueError("of all but one"), TypeError())


@pytest.mark.parametrize("error", BUGS)
def test_a_bug_shows_its_traceback_and_a_sentence(monkeypatch, error):
    def broken(family):  # noqa: ARG001
        raise error

    monkeypatch.setattr(listing, "list_methods", broken)
    with pytest.raises(type(error)) as caught:
        cli.main(["list"])
    assert caught.value.__notes__[-1].startswith("This is a bug of tlzoo, or of your own code that it runs; please")


def every_class_of(base):
    return [base, *(each for child in base.__subclasses__() for each in every_class_of(child))]


@pytest.mark.parametrize("kind", every_class_of(errors.UserError))
def test_each_kind_of_mistake_is_one_line_and_a_python_error(monkeypatch, capsys, kind):
    def broken(family):  # noqa: ARG001
        raise kind("a mistake\nof two lines")

    monkeypatch.setattr(listing, "list_methods", broken)
    assert refused(capsys, "list") == "tlzoo: a mistake of two lines\n"
    python = (ValueError, TypeError, FileNotFoundError, ImportError, RuntimeError)
    assert kind is errors.UserError or issubclass(kind, python)


def test_what_the_system_refuses_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(listing, "list_methods", lambda family: open(os.curdir))  # noqa: ARG005, SIM115
    assert "Is a directory" in refused(capsys, "list")


PURE = ("functional", "nn", "methods", "selection", "scoring", "stats", "estimators", "interop")


def test_commands_and_data_raise_mistakes_as_such():
    """Below the command line, no ValueError and the like is raised that it would take for a bug."""
    root = Path(tlzoo.__file__).parent
    plain = re.compile(r"\b(?:raise|return) (?:Value|Type|FileNotFound|Import|ModuleNotFound)Error\(")
    found = [
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if path.relative_to(root).parts[0] not in PURE and plain.search(path.read_text(encoding="utf-8"))
    ]
    assert not found


def test_an_error_from_inside_a_library_is_a_bug(monkeypatch):
    import json

    monkeypatch.setattr(listing, "list_methods", lambda family: json.loads("{not json"))  # noqa: ARG005
    with pytest.raises(json.JSONDecodeError):
        cli.main(["list"])


def test_help_shows_where_to_begin(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    assert "tlzoo bench run quickstart" in capsys.readouterr().out


def test_version(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"tlzoo {tlzoo.__version__}\n"


def test_starting_loads_nothing_heavy():
    code = (
        "import sys, tlzoo.cli as c; c._parser();"
        "print([n for n in ('torch', 'pandas', 'matplotlib', 'jinja2') if n in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


def test_data_commands(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path))
    assert cli.main(["data", "list"]) == 0
    text = capsys.readouterr().out
    assert "emoji-names" in text
    assert f"cache: {tmp_path}" in text.replace("\n", "")
    assert cli.main(["data", "fetch", "optdigits"]) == 0
    assert capsys.readouterr().out.startswith("optdigits: ")
    assert cli.main(["data", "verify", "optdigits"]) == 0
    assert capsys.readouterr().out == "optdigits: ok\n"
    assert cli.main(["data", "path", "optdigits"]) == 0


def test_run_shows_tables_and_writes_the_page(bench, tmp_path):
    status, out, _ = bench("run")
    assert status == 0
    assert "sees source inputs, source labels, target inputs" in out
    assert "3 cells: 3 run, 0 stored before, 0 failed" in out
    assert "report: runs/tiny/report.html" in out
    assert "Does it help?" in (tmp_path / "runs/tiny/report.html").read_text()
    assert "3 cells: 0 run, 3 stored before, 0 failed" in bench("run")[1]


def test_a_failed_cell_gives_status_1(bench):
    status, out, _ = bench("run", broken="adaptation/dan")
    assert status == 1
    assert "DAN: failed (seed 0): RuntimeError: no luck" in out
    _, out, _ = bench("status", broken="adaptation/dan")
    assert "Adaptation: 2 finished, 1 failed, 0 missing" in out
    assert "RuntimeError: no luck" in out


def test_status_before_anything_ran(bench):
    assert bench("status") == (0, "Adaptation: 0 finished, 0 failed, 3 missing\nstore: runs/tiny\n", "")


def test_report_formats_and_files(bench, tmp_path):
    bench("run")
    assert bench("report")[1].startswith("Adaptation · a->b\n")
    assert bench("report", "--format", "markdown")[1].startswith("### Adaptation")
    status, out, _ = bench("report", "--format", "latex", "--output", str(tmp_path / "out" / "table.tex"))
    assert (status, out) == (0, f"{tmp_path}/out/table.tex\n")
    assert (tmp_path / "out" / "table.tex").read_text().startswith(r"\begin{table}")
    assert bench("report", "--format", "html")[1] == "runs/tiny/report.html\n"


def test_export(bench, tmp_path):
    bench("run")
    assert bench("export")[1] == "runs/tiny/results.parquet: 3 figures\n"
    assert bench("export", "--metrics")[1] == "benchmarks/results/tiny.json: 3 of 3 cells\n"
    assert (tmp_path / "benchmarks/results/tiny.json").stat().st_size < 10_000


def test_a_suite_without_its_baseline_is_refused_before_it_runs(bench, tmp_path):
    (tmp_path / "bare.yaml").write_text(SUITE.replace("source_only, ", ""))
    status, out, err = bench("run", suite="bare.yaml")
    assert (status, out) == (2, "")
    assert err.startswith("tlzoo: bare.yaml:4: table 'Adaptation' has no row adaptation/source_only")
    assert not (tmp_path / "runs").exists()


def test_a_mistake_in_a_suite_names_its_line(bench, tmp_path):
    (tmp_path / "wrong.yaml").write_text(SUITE.replace("dan,", "dna,"))
    status, _, err = bench("run", suite="wrong.yaml")
    assert status == 2
    assert err.startswith("tlzoo: wrong.yaml:7: unknown method 'dna'; did you mean ")


def test_more_seeds_are_asked_for(bench, tmp_path):
    (tmp_path / "random.yaml").write_text(SUITE.replace("groups:", "seeds: 2\ngroups:"))
    assert "15 cells: 15 run" in bench("run", "--seeds", "5", suite="random.yaml")[1]
    assert "tlzoo bench run random.yaml --seeds 5" in (tmp_path / "runs/tiny/report.html").read_text()


def test_an_interrupted_run_says_how_to_go_on(bench, monkeypatch):
    def interrupted(*arguments, **options):  # noqa: ARG001
        raise KeyboardInterrupt

    monkeypatch.setattr("tlzoo.bench.suite_run.run_cells", interrupted)
    status, _, err = bench("run")
    assert status == 130
    assert err == "interrupted: 0 of 3 cells are finished and stored; run again to continue\n"


def test_compare_answers_in_a_sentence(bench):
    bench("run")
    status, out, _ = bench("compare", before=("dan", "source_only"))
    assert status == 0
    said = (
        "Adaptation: Whether DAN is better than source only cannot be told from one run: the difference is −8.0 points."
    )
    assert out.splitlines()[0] == said
    assert "they do not see the same" in out
    status, _, err = bench("compare", before=("dna", "source_only"))
    assert status == 2
    assert err.startswith("tlzoo: unknown row 'dna'; did you mean 'DAN'")


def test_a_stored_cell_is_reproduced(bench, capsys, tmp_path):
    bench("run")
    cell = min(path.stem for path in (tmp_path / "runs/tiny").glob("*.json"))
    assert cli.main(["bench", "reproduce", cell[:6], "--protocol", "cli_protocol"]) == 0
    assert "It matches bit for bit (same machine and versions)." in capsys.readouterr().out
    assert refused(capsys, "bench", "reproduce", "ffff").startswith("tlzoo: no finished cell 'ffff' in runs/tiny")


def test_what_differs_between_two_sets_of_results(bench, capsys, tmp_path):
    bench("run")
    bench("export", "--metrics")
    files = ["runs/tiny", "benchmarks/results/tiny.json"]
    assert cli.main(["bench", "diff", *files]) == 0
    assert capsys.readouterr().out == "3 runs in both, 0 only before, 0 only now; all figures equal.\n"
    changed = tmp_path / "new.json"
    changed.write_text((tmp_path / files[1]).read_text().replace('"test/accuracy": 0.14', '"test/accuracy": 0.15'))
    assert cli.main(["bench", "diff", files[0], str(changed)]) == 1
    assert "  DAN, a->b, seed 0: test/accuracy 0.14 -> 0.15 (+0.01)" in capsys.readouterr().out
    assert cli.main(["bench", "diff", *files[:1], str(changed), "--tolerance", "0.02"]) == 0
    capsys.readouterr()
    assert refused(capsys, "bench", "diff", "none", *files[:1]).startswith("tlzoo: no results none; give a folder")


def test_cite_prints_each_paper_once(capsys):
    assert cli.main(["cite", "dan", "adaptation/dan", "source_only", "deep_coral+dann"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("% adaptation/source_only is a baseline without a paper\n@inproceedings{long2015learning,\n")
    assert text.count("@") == 3
    assert "author = {Long, Mingsheng and Cao, Yue and Wang, Jianmin and Jordan, Michael I.}," in text
    assert refused(capsys, "cite", "dna").startswith("tlzoo: unknown method 'dna'")


def test_every_paper_has_an_entry_of_its_own():
    from tlzoo.citations import bibtex
    from tlzoo.registry import method_class

    papers = {paper.url: paper for name in METHODS if (paper := method_class(name).paper)}
    keys = [bibtex(paper).splitlines()[0] for paper in papers.values()]
    assert len(set(keys)) == len(keys)


def test_given_names_are_of_papers_that_methods_have():
    from tlzoo.citations import bibtex
    from tlzoo.given_names import GIVEN_NAMES
    from tlzoo.registry import method_class

    papers = {paper.title: paper for name in METHODS if (paper := method_class(name).paper)}
    assert papers.keys() >= GIVEN_NAMES.keys()
    assert all(len(papers[title].authors) == len(given) for title, given in GIVEN_NAMES.items())
    author = "author = {Long, Mingsheng and Cao, Zhangjie and Wang, Jianmin and Jordan, Michael I.},"
    assert author in bibtex(method_class("cdan").paper)
