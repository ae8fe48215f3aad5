"""Suites from Python: a path or a mapping in, an object with tables, a data frame and a report out."""

import pytest

import tlzoo
from tlzoo.bench.execution.local_executors import InProcess, Pool
from tlzoo.bench.plan import make_plan
from tlzoo.bench.suite_reader import load_suite
from tlzoo.bench.suite_run import choose_executor, open_suite, run_suite
from tlzoo.bench.yaml_lines import SuiteError
from tlzoo.methods.adaptation import DAN
from tlzoo.registry import register_method

pytestmark = pytest.mark.usefixtures("home", "loaded")

SUITE = {
    "suite": "tiny",
    "question": "Does it help?",
    "groups": [
        {
            "title": "Adaptation",
            "kind": "domain",
            "tasks": ["a->b"],
            "methods": ["source_only", {"method": "dan", "settings": {"weight": 0.5}}, "target_only"],
        }
    ],
}


def with_methods(*methods):
    (group,) = SUITE["groups"]
    return {**SUITE, "groups": [{**group, "methods": ["source_only", "target_only", *methods]}]}


def test_a_mapping_is_run_and_its_results_are_at_hand(tmp_path, protocol, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    suite = tlzoo.run_suite(SUITE, seeds=2, executor="in_process", protocol=protocol, progress=False)
    assert (suite.summary.finished, suite.summary.failed) == (3, {})
    assert capsys.readouterr().out == ""
    assert [table.group.title for table in suite.tables()] == ["Adaptation"]
    frame = suite.to_dataframe()
    assert list(frame["label"]) == ["source only", "DAN", "target only"]
    assert set(frame.columns) >= {"hash", "group", "task", "method", "seed", "sees", "test/accuracy", "threads"}
    for name in ("markdown", "latex", "csv"):
        assert "DAN" in suite.render(name)
    assert suite._repr_markdown_() == suite.render()
    page = suite.report(tmp_path / "out.html")
    assert page.read_text().count("DAN") > 1
    assert suite.report() == suite.store.root / "report.html"
    assert repr(suite) == "<SuiteRun tiny: 3 of 3 cells in runs/tiny>"
    again = run_suite(SUITE, executor="in_process", protocol=protocol, progress=False)
    assert (again.summary.stored, again.summary.finished) == (3, 0)


def test_a_path_with_progress_and_failures(tmp_path, protocol, capsys):
    text = "suite: s\ngroups:\n  - {title: G, kind: domain, tasks: ['a->b'], budget: {fail: 1}, methods: [%s]}\n"
    file = tmp_path / "s.yaml"
    file.write_text(text % "source_only, target_only")
    suite = run_suite(file, store=tmp_path / "store", executor=InProcess(), protocol=protocol)
    assert "failed: source only" in capsys.readouterr().out
    assert [failure.last_line for failure in suite.failures()] == ["RuntimeError: the loss is not finite"] * 2
    assert open_suite(str(file), store=tmp_path / "store", protocol=protocol).summary is None


def test_a_class_in_place_of_a_name():
    class Mine(DAN):
        pass

    suite = load_suite(with_methods(DAN))
    assert suite.groups[0].rows[-1].method.value == "tlzoo.methods.adaptation.dan:DAN"
    with pytest.raises(ValueError, match=r"Mine is defined in this session; register it"):
        load_suite(with_methods(Mine))
    register_method("adaptation/mine", Mine)
    assert load_suite(with_methods(Mine)).groups[0].rows[-1].method.value == "adaptation/mine"


def test_a_mistake_in_a_mapping_has_the_line_of_its_file():
    with pytest.raises(SuiteError, match=r"tiny.yaml:5: unknown kind 'domaine'; did you mean 'domain'"):
        load_suite({**SUITE, "groups": [{**SUITE["groups"][0], "kind": "domaine"}]})


def test_who_runs_the_cells(protocol):
    class Local(DAN):
        pass

    plan = make_plan(load_suite(SUITE), protocol)
    assert isinstance(choose_executor(None, plan), Pool)
    assert isinstance(choose_executor("in_process", plan), InProcess)
    with pytest.raises(ValueError, match="unknown executor 'poool'; did you mean 'pool'"):
        choose_executor("poool", plan)
    register_method("adaptation/local", Local)
    assert isinstance(choose_executor(None, make_plan(load_suite(with_methods(Local)), protocol)), InProcess)


def test_a_suite_without_its_baselines_is_refused_before_it_runs(tmp_path, protocol):
    suite = {**SUITE, "groups": [{**SUITE["groups"][0], "methods": ["dan"]}]}
    with pytest.raises(ValueError, match="source"):
        run_suite(suite, store=tmp_path, executor="in_process", protocol=protocol, progress=False)
    assert not list(tmp_path.glob("*.json"))
