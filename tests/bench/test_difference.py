import pytest

from tlzoo.bench import Cell, Outcome
from tlzoo.bench.diff_results import difference, read_figures
from tlzoo.bench.store import Store


def write(folder, figures, **changes):
    store = Store(folder)
    for seed, metrics in enumerate(figures):
        cell = Cell(kind="domain", task="a->b", method="adaptation/dan", label="DAN", seed=seed, **changes)
        store.write(cell, Outcome(metrics=metrics))
    return read_figures(folder)


def test_what_changed_is_said_with_its_reason(tmp_path):
    old = write(tmp_path / "old", [{"a": 0.5, "b": 1.0}, {"a": 0.5}], revisions={"method": 1})
    new = write(tmp_path / "new", [{"a": 0.625, "c": 1.0}, {"a": 0.5}, {"a": 0.5}], revisions={"method": 2})
    found = difference(old, new)
    assert not found.same
    assert found.sentence == "2 runs in both, 0 only before, 1 only now; 1 of them differ."
    assert found.lines == (
        "DAN, a->b, seed 0: a 0.5 -> 0.625 (+0.125) (revisions changed)",
        "DAN, a->b, seed 0: b is gone (revisions changed)",
        "DAN, a->b, seed 0: c is new (revisions changed)",
        "DAN, a->b, seed 2: new",
    )


def test_equal_results_are_the_same_though_revisions_differ(tmp_path):
    figures = [{"a": 1 / 3, "undefined": float("nan")}]
    old = write(tmp_path / "old", figures, revisions={"method": 1})
    found = difference(old, write(tmp_path / "new", figures, revisions={"method": 2}))
    assert found.same
    assert found.sentence.endswith("all figures equal.")


def test_nothing_in_common(tmp_path):
    found = difference(write(tmp_path / "old", [{"a": 1.0}]), write(tmp_path / "new", [{"a": 1.0}], task_checksum="x"))
    assert found.same
    found = difference({}, write(tmp_path / "other", [{"a": 1.0}]))
    assert found.sentence.endswith("nothing to hold together.")
    assert not found.same


def test_what_is_no_result_is_refused(tmp_path):
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(ValueError, match="is no metrics file"):
        read_figures(tmp_path / "list.json")
    with pytest.raises(FileNotFoundError, match="no results"):
        read_figures(tmp_path / "none")
