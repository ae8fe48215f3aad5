import json
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tlzoo.bench import Cell, Outcome
from tlzoo.bench.store import Store


def cell(seed=0):
    return Cell(kind="domain", task="a->b", method="adaptation/dan", seed=seed)


def outcome(**changes):
    values = {
        "metrics": {"test/accuracy": 0.1 + 0.2, "undefined": math.nan, "count": 3},
        "curves": {"step": [1, 2], "loss": [np.float32(0.5), math.inf]},
        "receipt": {"sees": frozenset({"b", "a"}), "figure": np.float64(1.5)},
        "predictions": {"test": np.arange(12.0).reshape(4, 3)},
        "splits": {"test": "0123"},
        "series": {"gamma": {"gamma": [0.0, 1.0], "accuracy": [0.5, math.nan]}},
    }
    return Outcome(**{**values, **changes})


def test_what_is_written_is_read(tmp_path):
    store = Store(tmp_path / "runs")
    store.write(cell(), outcome(), {"host": "here"})
    record = store.read(cell())
    assert record.cell == cell()
    assert record.metrics["test/accuracy"] == 0.1 + 0.2
    assert math.isnan(record.metrics["undefined"])
    assert record.curves == {"step": [1.0, 2.0], "loss": [0.5, math.inf]}
    assert record.receipt == {"sees": ["a", "b"], "figure": 1.5}
    assert list(record.series["gamma"]) == ["gamma", "accuracy"]
    assert record.splits == {"test": "0123"}
    assert record.provenance == {"host": "here"}
    stored = store.predictions(cell())["test"]
    assert stored.dtype == np.float16
    np.testing.assert_array_equal(stored, np.arange(12.0).reshape(4, 3))


def test_the_same_outcome_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        Store(tmp_path / name).write(cell(), outcome(), {"host": name})
    one, two = ((tmp_path / name / f"{cell().hash}.npz").read_bytes() for name in ("one", "two"))
    assert one == two
    results = [
        json.loads((tmp_path / name / f"{cell().hash}.json").read_text())["payload"]["result"]
        for name in ("one", "two")
    ]
    assert results[0] == results[1]


def test_logits_too_large_for_float16_stay_finite(tmp_path):
    store = Store(tmp_path)
    store.write(cell(), outcome(predictions={"test": np.array([[-1e6, 1.0]])}))
    assert store.predictions(cell())["test"].tolist() == [[-1e6, 1.0]]


def test_of_many_classes_the_best_are_kept(tmp_path):
    logits = np.random.default_rng(0).normal(size=(5, 300))
    store = Store(tmp_path)
    store.write(cell(), outcome(predictions={"test": logits}))
    stored = store.predictions(cell())
    assert stored["test"].shape == (5, 20)
    np.testing.assert_array_equal(stored["test#classes"][:, 0], logits.argmax(axis=1))
    np.testing.assert_array_equal(stored["test"][:, 0], logits.max(axis=1).astype(np.float16))


@pytest.mark.parametrize("suffix", [".json", ".npz"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_torn_file_counts_as_missing(tmp_path, suffix, share):
    store = Store(tmp_path)
    store.write(cell(), outcome())
    path = tmp_path / f"{cell().hash}{suffix}"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert store.read(cell()) is None
    with pytest.raises(FileNotFoundError, match="run it again"):
        store.predictions(cell())


def test_a_changed_figure_counts_as_missing(tmp_path):
    store = Store(tmp_path)
    store.write(cell(), outcome())
    path = tmp_path / f"{cell().hash}.json"
    path.write_text(path.read_text().replace("0.30000000000000004", "0.90000000000000004"))
    assert store.read(cell()) is None


@pytest.mark.parametrize("text", ["", "[]", "3", '{"payload": 3, "digest": "x"}', "\x00\xff", '{"payload":'])
def test_rubbish_never_crashes_a_read(tmp_path, text):
    store = Store(tmp_path)
    for name in (f"{cell().hash}.json", f"{cell().hash}.failed.json"):
        (tmp_path / name).write_text(text)
    assert store.read(cell()) is None
    assert store.failure(cell()) is None


def test_predictions_without_their_json_are_not_a_result(tmp_path):
    store = Store(tmp_path)
    store.write(cell(), outcome())
    (tmp_path / f"{cell().hash}.json").unlink()
    assert store.read(cell()) is None


def test_json_without_its_predictions_is_not_a_result(tmp_path):
    store = Store(tmp_path)
    store.write(cell(), outcome())
    (tmp_path / f"{cell().hash}.npz").unlink()
    assert store.read(cell()) is None


def test_a_success_removes_the_failure_before_it(tmp_path):
    store = Store(tmp_path)
    store.write_failure(cell(), "Traceback\nValueError: no\n\n")
    assert store.failure(cell()).last_line == "ValueError: no"
    store.write(cell(), outcome())
    assert store.failure(cell()) is None
    assert not list(tmp_path.glob("*.failed.json"))


def test_only_old_temporary_files_are_cleaned(tmp_path):
    store = Store(tmp_path)
    store.write(cell(), outcome())
    old, new = tmp_path / "old.json.1.part", tmp_path / "new.json.1.part"
    for path in (old, new):
        path.write_text("half")
    os.utime(old, (time.time() - 7200,) * 2)
    assert store.clean() == 1
    assert new.exists()
    assert store.read(cell()) is not None


WRITER = """
import sys
import numpy as np
from tlzoo.bench import Cell, Outcome
from tlzoo.bench.store import Store
store = Store(sys.argv[1])
for seed in range(10**6):
    cell = Cell(kind="domain", task="a->b", method="adaptation/dan", seed=seed)
    store.write(cell, Outcome(metrics={"a": float(seed)}, predictions={"test": np.full((200, 50), float(seed % 100))}))
    print(seed, flush=True)
"""


@pytest.mark.parametrize("wanted", [1, 4, 9])
def test_a_writer_killed_anywhere_loses_nothing_that_it_finished(tmp_path, wanted):
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with process:
        for _ in range(wanted):
            last = int(process.stdout.readline())
        time.sleep(0.0007 * wanted)  # into the middle of a write, somewhere else each time
        process.send_signal(signal.SIGKILL)
        last = max([last, *(int(line) for line in process.stdout if line.strip())])
    store = Store(tmp_path)
    for seed in range(last + 1):
        assert store.read(cell(seed)).metrics["a"] == seed
    committed = list(tmp_path.glob("*.json"))
    assert all(store.read(path.stem) is not None for path in committed)
