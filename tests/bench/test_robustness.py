"""Kills at random moments, many writers at once, a full disk, thousands of cells."""

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tlzoo.bench import Cell, Outcome
from tlzoo.bench.execution.resources import import_path
from tlzoo.bench.execution.runner import run_cells
from tlzoo.bench.store import Store

ROOT = Path(__file__).parents[2]


def run_script(text, *arguments, **environment):
    """Run a program that forks its own children: in a process of its own, which has one thread."""
    command = [sys.executable, "-c", text, *map(str, arguments)]
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


KILLED_RUNS = """
import gc, json, os, random, signal, sys, time
from pathlib import Path
from tlzoo.bench import Cell
from tlzoo.bench.execution.runner import run_cells
from tlzoo.bench.store import Store

root, log = Path(sys.argv[1]), sys.argv[2]
cells = [Cell(kind="domain", task="a->b", method="adaptation/dan", seed=s, budget={"log": log}) for s in range(60)]
chance = random.Random(0)
# what a process does once is done before the children are made, so that kills come in the middle of cells
run_cells([Cell(kind="domain", task="a->b", method="adaptation/dan")], Store(sys.argv[3]), protocol="numeric_protocol")
gc.freeze()
lost, rerun, kills, torn = [], [], 0, 0
before = set()
while kills < 50:
    child = os.fork()
    if child == 0:
        run_cells(cells, Store(root), protocol="numeric_protocol")
        os._exit(0)
    time.sleep(chance.uniform(0.0, 0.06))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    kills += 1
    store = Store(root)
    now = {cell.hash for cell in store.finished(cells)}
    torn += sum(store.read(path.stem) is None for path in root.glob("*.json"))
    lost += sorted(before - now)
    started = Path(log).read_text().split() if Path(log).exists() else []
    if kills > 1:
        rerun += [name for name in started[already:] if name in before]
    already, before = len(started), now
run_cells(cells, Store(root), protocol="numeric_protocol")
print(json.dumps({
    "lost": lost, "rerun": rerun, "torn": torn, "finished_by_kills": len(before),
    "finished": len(Store(root).finished(cells)), "files": len(list(root.glob("*.json"))),
}))
"""


def test_fifty_kills_lose_double_and_tear_nothing(tmp_path, protocol):  # noqa: ARG001
    found = run_script(KILLED_RUNS, tmp_path / "runs", tmp_path / "log", tmp_path / "other", PYTHONPATH=import_path())
    assert found["finished_by_kills"] > 0  # the kills came in the middle, not before the first result
    assert (found["lost"], found["rerun"], found["torn"]) == ([], [], 0)
    assert found["finished"] == found["files"] == 60


MANY_WRITERS = """
import json, os, sys
import numpy as np
from tlzoo.bench import Cell, Outcome
from tlzoo.bench.store import Store

os.fsync = lambda _: None  # what is tested is that they do not disturb each other, not that a power cut is survived
root = sys.argv[1]
cells = [Cell(kind="domain", task="a->b", method="adaptation/dan", seed=seed) for seed in range(1000)]

def outcome(cell):
    return Outcome(metrics={"a": float(cell.seed)}, predictions={"test": np.full((20, 5), float(cell.seed))})

children = []
for writer in range(10):
    child = os.fork()
    if child == 0:
        # every row is written by two of them: 200 rows each, 1,000 in all
        for cell in (cells[(100 * writer + row) % 1000] for row in range(200)):
            Store(root).write(cell, outcome(cell))
        os._exit(0)
    children.append(child)
codes = [os.waitpid(child, 0)[1] for child in children]
store = Store(root)
right = sum(
    (record := store.read(cell)) is not None and record.metrics["a"] == cell.seed
    and float(store.predictions(cell)["test"][0, 0]) == cell.seed
    for cell in cells
)
left = sorted(name for name in os.listdir(root) if name.endswith(".part"))
print(json.dumps({"codes": codes, "right": right, "files": len(os.listdir(root)), "left": left}))
"""


def test_ten_processes_write_into_one_store(tmp_path):
    found = run_script(MANY_WRITERS, tmp_path / "runs")
    assert found == {"codes": [0] * 10, "right": 1000, "files": 2000, "left": []}


def cell(seed):
    return Cell(kind="domain", task="a->b", method="adaptation/dan", seed=seed)


@pytest.fixture
def full_disk(monkeypatch):
    """Let every write fail from now on, after half of it is on the disk."""

    def fill():
        def fsync(_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("os.fsync", fsync)

    return fill


def test_a_full_disk_leaves_old_rows_whole_and_says_so(tmp_path, protocol, full_disk):
    store = Store(tmp_path / "runs")
    run_cells([cell(0)], store, protocol=protocol)
    whole = {path.name: path.read_bytes() for path in store.root.iterdir() if path.is_file()}
    full_disk()
    summary = run_cells([cell(0), cell(1)], store, protocol=protocol)
    assert summary.stored == 1
    assert summary.failed == {cell(1): "OSError: [Errno 28] No space left on device"}
    assert {path.name: path.read_bytes() for path in store.root.iterdir() if path.is_file()} == whole


def test_an_old_row_survives_its_own_replacement_on_a_full_disk(tmp_path, full_disk):
    store = Store(tmp_path)
    store.write(cell(0), Outcome(metrics={"a": 1.0}, predictions={"test": np.zeros(3)}))
    full_disk()
    with pytest.raises(OSError, match="No space left"):
        store.write(cell(0), Outcome(metrics={"a": 2.0}, predictions={"test": np.ones(3)}))
    assert Store(tmp_path).read(cell(0)).metrics == {"a": 1.0}
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.data  # the tasks of the script are real: their checksums are part of its cells
def test_thousands_of_cells_are_planned_without_torch_in_little_memory():
    command = [sys.executable, str(ROOT / "benchmarks/speed/planning.py"), "--cells", "1000"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    plan, report = ([int(n) for n in re.findall(r"(\d+) of (\d+) cells|, (\d+) MB", line)[0][:2]] for line in said)
    assert plan == report == [1000, 1000]
    assert "torch" not in said[0]
    assert all(int(re.search(r"(\d+) MB", line)[1]) < 300 for line in said)
