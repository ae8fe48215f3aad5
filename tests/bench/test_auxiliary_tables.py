import math
import types
from dataclasses import replace

import numpy as np
import pytest

import tlzoo
from tlzoo.bench import Cell, Outcome
from tlzoo.bench.plan import make_plan
from tlzoo.bench.report import build_auxiliary_tables, build_tables, render
from tlzoo.bench.report.critical_difference import ranking
from tlzoo.bench.report.page import render_page
from tlzoo.bench.report.validators import choices, judged, rank_correlation
from tlzoo.bench.store import Store
from tlzoo.bench.stored_labels import Labels
from tlzoo.bench.suite_reader import load_suite
from tlzoo.data.example_set import ExampleSet, split_hash
from tlzoo.stats import expected_calibration_error, macro_f1, negative_log_likelihood

SUITE = """\
suite: small
seeds: 2
groups:
  - title: Adaptation
    kind: domain
    tasks: [TASKS]
    backbones: [lenet]
    methods: [source_only, dan, deep_coral, dann, target_only]
"""
LEVELS = {"source only": 0.5, "DAN": 0.7, "Deep CORAL": 0.65, "DANN": 0.6, "target only": 0.9}
LABELS = np.random.default_rng(0).integers(0, 3, size=30)
LOGITS = np.random.default_rng(1).normal(size=(30, 3)).astype(np.float16)
MACHINE = {"processor": "p", "cores": 2, "platform": "x"}


@pytest.fixture
def examples():
    return ExampleSet(inputs=np.zeros((30, 2, 2, 1), dtype=np.uint8), modality="image", labels=LABELS, checksum="abc")


@pytest.fixture
def task(monkeypatch, loaded, examples):
    """Every task holds the examples above; the names of those that were loaded."""
    known = tlzoo.load_task

    def load_task(name, root=None):
        return types.SimpleNamespace(**{**vars(known(name, root)), "sets": lambda: {"target_test": examples}})

    monkeypatch.setattr(tlzoo, "load_task", load_task)
    return loaded


@pytest.fixture
def reported(tmp_path, protocol, home, task, examples):  # noqa: ARG001  # the world it runs in
    def reported(tasks='"a->b"', **changes):
        path = tmp_path / "small.yaml"
        path.write_text(SUITE.replace("TASKS", tasks))
        plan, store = make_plan(load_suite(str(path)), protocol), Store(tmp_path / "runs")
        for place, cell in enumerate(plan.cells):
            level = LEVELS[cell.label] + 0.001 * place
            validated = {} if cell.label == "source only" else {"validation/snd": [0.1, 1.9, level]}
            values = {
                "metrics": {"test/accuracy": level},
                "curves": {"step": [10, 20, 30], "test": [level - 0.2, level + 0.05, level], **validated},
                "receipt": {"sees": plan.sees[cell.method], "parameters": 1234, "trials": 1 + (cell.label == "DAN")},
                "predictions": {"test_logits": LOGITS},
                "splits": {"test_logits": split_hash(examples)},
            }
            seconds = {"DAN": 3.0}.get(cell.label, 2.0)
            store.write(cell, Outcome(**{**values, **changes}), {**MACHINE, "seconds": seconds})
        return plan, store, build_tables(plan, store)

    return reported


def texts(layout):
    return {row.entries[0].text: [entry.text for entry in row.entries[1:]] for _, own in layout.sections for row in own}


def test_costs_and_calibration_come_from_what_is_stored(reported):
    _, store, tables = reported()
    costs = build_auxiliary_tables(tables, store)[0]
    assert costs.title == "Cost and calibration · Adaptation · a->b · lenet"
    assert costs.header == ("method", "steps", "time / source only", "parameters", "ECE", "NLL", "macro-F1")
    measures = (expected_calibration_error, negative_log_likelihood, macro_f1)
    expected = [f"{measure(LOGITS, LABELS):.3f}" for measure in measures]
    assert texts(costs)["DAN"] == ["60", "1.50", "1,234", *expected]
    assert texts(costs)["source only"] == ["30", "1.00", "1,234", *expected]
    assert [title for title, _ in costs.sections] == [section.title for section in tables[0].sections]


def test_labels_are_loaded_once_and_found_by_their_split(reported, task, examples):
    _, store, tables = reported()
    before = len(task)
    build_auxiliary_tables(tables, store)
    assert task[before:] == ["a->b"]
    build_auxiliary_tables(tables, store)
    assert task[before:] == ["a->b"]
    cell = Cell(kind="domain", task="a->b", method="adaptation/dan")
    np.testing.assert_array_equal(Labels().find(cell, "test_logits", split_hash(examples)), LABELS)
    labels, before = Labels(), len(task)
    assert labels.find(cell, "test_logits", "another split") is None
    assert labels.find(cell, "test_logits", "one more") is None
    assert task[before:] == ["a->b"]


def test_labels_of_several_targets_are_told_apart(home, monkeypatch):  # noqa: ARG001
    targets = {"left": np.array([0, 1]), "right": np.array([1, -1]), "size": np.array([0.5, 1.5])}
    examples = ExampleSet(inputs=np.zeros((2, 2)), modality="features", targets=targets, checksum="s")
    fake = types.SimpleNamespace(sets=lambda: {"test": examples})
    monkeypatch.setattr(tlzoo, "load_task", lambda name: fake, raising=False)  # noqa: ARG005
    cell = Cell(kind="multitask", task="digits", method="multitask/equal")
    assert Labels().find(cell, "test_left", split_hash(examples)).tolist() == [0, 1]
    assert Labels().find(cell, "test_right", split_hash(examples)).tolist() == [1, -1]
    assert Labels().find(cell, "test_size", split_hash(examples)) is None


def test_a_task_that_cannot_be_loaded_leaves_a_note(reported, monkeypatch):
    _, store, tables = reported()

    def unreachable(name):  # noqa: ARG001
        raise OSError("no network")

    monkeypatch.setattr(tlzoo, "load_task", unreachable)
    costs = build_auxiliary_tables(tables, store)[0]
    assert "ECE" not in costs.header
    assert "calibration is not known: OSError: no network" in costs.notes


def test_times_of_other_machines_are_not_compared(reported):
    plan, store, _ = reported()
    for cell in plan.cells:
        if cell.label == "DAN":
            record = store.read(cell)
            outcome = Outcome(metrics=record.metrics, curves=record.curves, receipt=record.receipt)
            store.write(cell, outcome, {**MACHINE, "processor": "other", "seconds": 1.0})
    assert texts(build_auxiliary_tables(build_tables(plan, store), store)[0])["DAN"][1] == "–"


def test_selection_shows_each_validator_then_last_and_oracle(reported):
    _, store, tables = reported()
    selection = build_auxiliary_tables(tables, store)[1]
    assert selection.header == ("method", "snd", "last", "oracle")
    # snd is highest at the second checkpoint, which is the best, too; source only has no validator
    means = {line.label: line.summary.mean for line in tables[0].lines}
    for label in ("DAN", "target only (oracle)"):
        mean = means[label.removesuffix(" (oracle)")]
        assert texts(selection)[label] == [f"{100 * x:.1f}" for x in (mean + 0.05, mean, mean + 0.05)]
    assert texts(selection)["source only"][0] == "–"


def test_validators_are_judged_by_rank_correlation(reported):
    _, store, tables = reported()
    validators = build_auxiliary_tables(tables, store)[2]
    # over checkpoints: ranks (1, 3, 2) of both; over methods: the same order at the last step
    assert texts(validators) == {"snd": ["1.00", "1.00", "0.0"]}


def test_a_judgement_by_hand(reported):
    plan, store, _ = reported(curves={"test": [0.1, 0.4, 0.3], "validation/x": [3.0, 2.0, 1.0]})
    record = store.read(plan.cells[0])
    assert choices(record) == {"x": 0.1, "last": 0.3, "oracle": 0.4}
    (found,) = judged([record])
    assert (found.name, found.within, found.lost) == ("x", -0.5, pytest.approx(0.3))
    assert math.isnan(found.across)  # one method has no order
    assert judged([]) == []


def test_one_checkpoint_is_no_choice(reported):
    plan, store, _ = reported(curves={"test": [0.4], "validation/x": [3.0]})
    record = store.read(plan.cells[0])
    assert choices(record) == {"x": 0.4, "last": 0.4, "oracle": 0.4}
    (found,) = judged([record])
    assert math.isnan(found.lost)
    assert math.isnan(found.within)


def test_rank_correlation_equals_scipy():
    from scipy.stats import spearmanr

    a, b = np.random.default_rng(0).integers(0, 4, size=(2, 12)).astype(float)
    assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert math.isnan(rank_correlation([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]))
    assert math.isnan(rank_correlation([1.0, math.nan, 1.0], [1.0, 2.0, 3.0]))


def test_runs_of_different_lengths_are_judged_together(reported):
    from scipy.stats import spearmanr

    random = np.random.default_rng(1)
    curves = [random.integers(0, 5, size=(2, length)).astype(float).tolist() for length in (4, 7, 4, 2)]
    plan, store, _ = reported()
    record = store.read(plan.cells[0])
    (found,) = judged([replace(record, curves={"validation/x": x, "test": y}) for x, y in curves])
    assert found.within == pytest.approx(np.mean([spearmanr(x, y).statistic for x, y in curves[:3]]))
    lost = [max(y) - y[int(np.argmax(x))] for x, y in curves]
    assert found.lost == pytest.approx(np.mean(lost))


def test_several_tasks_have_auxiliary_tables_and_a_diagram_of_their_means(reported):
    plan, store, tables = reported(tasks='"a->b", "c->d", folder')
    titles = [sheet.title.split(" · ")[0] for sheet in build_auxiliary_tables(tables, store)]
    assert titles == ["Cost and calibration", "Selection", "Validators"]
    assert all("mean of 3 tasks" in sheet.title for sheet in build_auxiliary_tables(tables, store))
    (section,) = [section for section in tables[0].sections if len(section.lines) == 3]
    lines, found = ranking(section, tables[0])
    assert [line.label for line in lines] == ["DAN", "Deep CORAL", "DANN"]
    assert found.ranks == (1.0, 2.0, 3.0)
    page = render_page(plan, store, tables, command="tlzoo")
    assert "Bars join what is within the critical difference, 1.91 (Nemenyi, 95 %). Friedman: p = 0.05." in page
    assert "Deep CORAL (2.00)" in page
    assert page.count("<summary>Cost and calibration") == 1


def test_too_few_tasks_have_no_diagram(reported):
    _, _, tables = reported(tasks='"a->b", "c->d"')
    assert all(ranking(section, tables[0]) is None for section in tables[0].sections)


@pytest.mark.parametrize("format", ["terminal", "markdown", "latex"])
def test_every_text_format_writes_the_auxiliary_tables(reported, format):
    _, store, tables = reported()
    text = render(tables, format, build_auxiliary_tables(tables, store))
    for part in ("Cost and calibration", "Selection", "Validators", "1,234", "macro-F1"):
        assert part in text
    if format == "latex":
        assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 4
        rows = [line for line in text.splitlines() if line.endswith(r"\\") and r"\multicolumn" not in line]
        assert {line.count(" & ") + 1 for line in rows} == {4, 7}


def test_nothing_finished_has_no_auxiliary_tables(tmp_path, protocol, home, loaded):  # noqa: ARG001
    path = tmp_path / "small.yaml"
    path.write_text(SUITE.replace("TASKS", '"a->b"'))
    plan, store = make_plan(load_suite(str(path)), protocol), Store(tmp_path / "none")
    assert build_auxiliary_tables(build_tables(plan, store), store) == []
