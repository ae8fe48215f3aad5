import json

import numpy as np
import pytest

from tlzoo.bench import Cell, Outcome
from tlzoo.bench.execution.one_cell import execute
from tlzoo.bench.planning_cache import Facts
from tlzoo.bench.reproduce import find_cell, reproduce
from tlzoo.bench.store import Store

pytestmark = pytest.mark.usefixtures("home", "loaded")


@pytest.fixture
def stored(tmp_path, protocol):
    def stored(**changes):
        store, revisions = Store(tmp_path / "runs"), {"method": 1, "protocol": 1, "schema": 1}
        values = {"task_checksum": "sum of a->b", "revisions": revisions, **changes}
        cell = Cell(kind="domain", task="a->b", method="adaptation/dan", **values)
        assert execute(cell, store, protocol, lambda _: None) is None
        return store, cell

    return stored


def spoil(store, cell, *, provenance=None, **metrics):
    """Store the cell with other figures or from other surroundings."""
    record = store.read(cell)
    outcome = Outcome(
        metrics={**record.metrics, **metrics},
        curves=record.curves,
        predictions=store.predictions(cell),
        splits=record.splits,
    )
    store.write(cell, outcome, {**record.provenance, **(provenance or {})})


def test_the_same_machine_gives_the_same_bits(stored, protocol):
    store, cell = stored()
    found = reproduce(store.read(cell), store, protocol)
    assert found.matches
    assert found.sentence == "It matches bit for bit (same machine and versions)."


def test_another_figure_is_named(stored, protocol):
    store, cell = stored()
    right = store.read(cell).metrics["test/accuracy"]
    spoil(store, cell, **{"test/accuracy": float(np.nextafter(right, 9))})
    found = reproduce(store.read(cell), store, protocol)
    assert not found.matches
    assert found.differences == (f"test/accuracy: {float(np.nextafter(right, 9))!r} before, {right!r} now",)


@pytest.mark.parametrize(("factor", "matches"), [(1.0, True), (1.001, True), (1.1, False)])
def test_elsewhere_rounding_is_forgiven(stored, protocol, factor, matches):
    store, cell = stored()
    right = store.read(cell).metrics["test/accuracy"]
    spoil(store, cell, provenance={"processor": "another"}, **{"test/accuracy": right * factor})
    found = reproduce(store.read(cell), store, protocol)
    assert found.matches is matches
    assert "processor differ" in found.sentence
    assert ("bit for bit" in found.sentence) == (factor == 1.0)


def test_a_cell_of_another_revision_is_refused(stored, protocol):
    store, cell = stored(revisions={"method": 7, "protocol": 1, "schema": 1}, task_checksum="other")
    now = Facts(protocol).method("dan")["revision"]
    with pytest.raises(ValueError, match=f"method 7 then, {now} now; data other then, sum of a->b now; check out"):
        reproduce(store.read(cell), store, protocol)


def test_a_cell_that_fails_now_says_why(stored, protocol, tmp_path):
    store, cell = stored()
    changed = json.loads((store.root / f"{cell.hash}.json").read_text())
    assert changed["payload"]["cell"]["seed"] == 0
    (tmp_path / "importable" / "broken_protocol.py").write_text(
        f"from {protocol} import REVISIONS, allowed, prepare\ndef run(cell, report): raise RuntimeError('no luck')\n"
    )
    found = reproduce(store.read(cell), store, "broken_protocol")
    assert (found.matches, found.sentence) == (False, "It failed this time: RuntimeError: no luck")


def test_a_cell_is_found_by_the_beginning_of_its_hash(stored, tmp_path, monkeypatch):
    store, cell = stored()
    stored(seed=1)
    assert find_cell(cell.hash[:8], store.root)[1].cell == cell
    absent = "0" * 16
    with pytest.raises(ValueError, match=f"no finished cell '{absent}'"):
        find_cell(absent, store.root)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "moved").mkdir()
    store.root.rename(tmp_path / "moved" / "runs")
    with pytest.raises(ValueError, match="which is not here; give --store"):
        find_cell(cell.hash)


def test_a_beginning_that_several_cells_share_is_refused(tmp_path):
    store = Store(tmp_path / "runs")
    cells = [Cell(kind="domain", task="a->b", method="adaptation/dan", seed=seed) for seed in range(17)]
    for cell in cells:
        store.write(cell, Outcome(metrics={"a": 1.0}))
    first = [cell.hash[0] for cell in cells]
    shared = next(digit for digit in first if first.count(digit) > 1)  # of 17 hashes two begin with the same digit
    with pytest.raises(ValueError, match=f"'{shared}' is a prefix of several cells"):
        find_cell(shared, store.root)
