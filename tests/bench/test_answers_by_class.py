"""Per-class accuracies and confusion matrices: stored with each cell, shown in the report, and for older cells."""

import textwrap

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix

import tlzoo
from tlzoo.bench.cell import Outcome
from tlzoo.bench.plan import make_plan
from tlzoo.bench.protocols.skeleton import class_tables
from tlzoo.bench.report import build_tables
from tlzoo.bench.report.page import render_page
from tlzoo.bench.report.per_class import by_class
from tlzoo.bench.store import Store
from tlzoo.bench.stored_labels import Labels
from tlzoo.bench.suite_reader import load_suite
from tlzoo.data.example_set import ExampleSet, split_hash
from tlzoo.scoring import ClassScores

SUITE = """\
suite: small
seeds: 2
groups:
  - title: Adaptation
    kind: domain
    tasks: ["a->b"]
    backbones: [mlp]
    methods: [source_only, dan, target_only]
"""
LABELS = np.random.default_rng(0).integers(0, 3, size=60)
NAMES = ("cat", "dog", "<cow>")


def logits(level, seed):
    noise = np.random.default_rng(seed).normal(size=(60, 3))
    return (level * np.eye(3)[LABELS] + noise).astype(np.float32)


@pytest.fixture
def stored(tmp_path, protocol, home, loaded, monkeypatch):  # noqa: ARG001  # the last three: the world it runs in
    """Returns a plan and a store with cells that keep their counts, or logits alone."""
    examples = ExampleSet(inputs=np.zeros((60, 2)), modality="features", labels=LABELS, checksum="abc")
    known = tlzoo.load_task

    def load_task(name, root=None):
        task = known(name, root)
        task.sets = lambda: {"target_test": examples}
        return task

    monkeypatch.setattr(tlzoo, "load_task", load_task)

    def stored(*, counts):
        path = tmp_path / "small.yaml"
        path.write_text(textwrap.dedent(SUITE))
        plan, store = make_plan(load_suite(str(path)), protocol), Store(tmp_path / "store")
        levels = {"source only": 0.5, "DAN": 1.5, "target only": 4.0}
        for cell in plan.cells:
            scores, own = ClassScores(3), logits(levels[cell.label], cell.seed)
            scores.update(torch.from_numpy(own), torch.from_numpy(LABELS))
            tables = class_tables("test_logits", scores, NAMES) if counts else {}
            metrics = {"test/accuracy": scores.compute()["accuracy"]}
            splits = {"test_logits": split_hash(examples)}
            store.write(cell, Outcome(metrics=metrics, predictions={"test_logits": own, **tables}, splits=splits))
        return plan, store

    return stored


@pytest.mark.parametrize("counts", [True, False])
def test_the_table_has_the_share_of_right_answers_of_each_class(stored, counts):
    plan, store = stored(counts=counts)
    (table,) = build_tables(plan, store)
    (found,) = by_class(table, store, Labels())
    assert found.table.header == ("class", "examples", "source only", "DAN", "target only")
    ((_, rows),) = found.table.sections
    names = NAMES if counts else ("0", "1", "2")
    assert tuple(row.entries[0].text for row in rows) == names
    for label, row in enumerate(rows):
        asked = label == LABELS
        assert row.entries[1].number == 2 * asked.sum()  # of both runs
        right = [(logits(1.5, seed).argmax(axis=1) == LABELS)[asked].mean() for seed in range(2)]
        assert row.entries[3].number == pytest.approx(np.mean(right))
    assert len(found.plots) == 1


def test_counts_and_confusion_are_stored_as_integers(stored):
    plan, store = stored(counts=True)
    arrays = store.predictions(plan.cells[0])
    expected = confusion_matrix(LABELS, logits(0.5, 0).argmax(axis=1))
    np.testing.assert_array_equal(arrays["test_logits#confusion"], expected)
    np.testing.assert_array_equal(arrays["test_logits#counts"][:, 1], expected.sum(axis=1))
    assert arrays["test_logits#names"].tolist() == list(NAMES)
    assert arrays["test_logits#confusion"].dtype == np.int32


def test_the_page_folds_them_away_and_escapes_names(stored):
    plan, store = stored(counts=True)
    page = render_page(plan, store, build_tables(plan, store), command="tlzoo")
    assert "<summary>Answers by class</summary>" in page
    assert "&lt;cow&gt;" in page
    assert "<cow>" not in page
    assert "data:image/png;base64" in page


def test_a_cell_without_logits_has_none(stored, tmp_path):
    plan, _ = stored(counts=True)
    store = Store(tmp_path / "other")
    for cell in plan.cells:
        store.write(cell, Outcome(metrics={"test/accuracy": 0.5}))
    (table,) = build_tables(plan, store)
    assert by_class(table, store, Labels()) == []
