import errno
import io
import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from rich.console import Console

from tlzoo.bench import Cell, Outcome
from tlzoo.bench.execution.executor_names import EXECUTORS
from tlzoo.bench.execution.local_executors import InProcess, Pool, execute_within
from tlzoo.bench.execution.one_cell import reproducible
from tlzoo.bench.execution.resources import import_path
from tlzoo.bench.execution.runner import run_cells
from tlzoo.bench.store import Store


def cells(count=3, **budget):
    return [
        Cell(kind="domain", task="a->b", method="adaptation/dan", seed=seed, budget=budget) for seed in range(count)
    ]


def contents(store, cell):
    record = store.read(cell)
    return record.metrics, record.curves, (store.root / f"{cell.hash}.npz").read_bytes()


def test_every_executor_and_order_gives_the_same_bytes(tmp_path, protocol):
    inside, pool = Store(tmp_path / "inside"), Store(tmp_path / "pool")
    run_cells(cells(), inside, executor=InProcess(), protocol=protocol)
    run_cells(cells()[::-1], pool, executor=Pool(2), protocol=protocol)
    for cell in cells():
        assert contents(inside, cell) == contents(pool, cell)
        assert inside.read(cell).metrics["threads"] == 1
    assert contents(inside, cells()[0])[0] != contents(inside, cells()[1])[0]


def test_only_what_is_missing_is_run(tmp_path, protocol):
    store, log = Store(tmp_path / "runs"), tmp_path / "log"
    every = cells(4, log=str(log))
    run_cells(every[:2], store, protocol=protocol)
    summary = run_cells([*every, *every], store, protocol=protocol)
    assert log.read_text().split() == [cell.hash for cell in every]
    assert (summary.stored, summary.finished, summary.failed) == (2, 2, {})
    (tmp_path / "runs" / f"{every[1].hash}.npz").write_bytes(b"torn")
    run_cells(every, store, protocol=protocol)
    assert log.read_text().split() == [*(cell.hash for cell in every), every[1].hash]


def test_a_failure_is_recorded_and_the_rest_go_on(tmp_path, protocol):
    store = Store(tmp_path)
    bad = cells(1, fail=True)[0]
    summary = run_cells([bad, *cells(1)], store, protocol=protocol)
    assert summary.failed == {bad: "RuntimeError: the loss is not finite"}
    assert store.failure(bad).last_line == "RuntimeError: the loss is not finite"
    assert "numeric_protocol.py" in store.failure(bad).traceback
    assert store.read(cells(1)[0]) is not None


def test_a_worker_that_dies_fails_its_cell_only(tmp_path, protocol):
    store = Store(tmp_path)
    bad = cells(1, die=True)[0]
    summary = run_cells([bad, *cells(2)], store, executor=Pool(1), protocol=protocol)
    assert list(summary.failed) == [bad]
    assert "killed by signal 9" in store.failure(bad).last_line
    assert len(store.finished(cells(2))) == 2


def test_a_failed_cell_is_tried_again(tmp_path, protocol):
    store = Store(tmp_path)
    (cell,) = cells(1)
    store.write_failure(cell, "Traceback\nRuntimeError: no network")
    assert run_cells([cell], store, protocol=protocol).finished == 1
    assert store.failure(cell) is None


@pytest.mark.usefixtures("protocol")
def test_a_protocol_that_returns_no_outcome_is_named(tmp_path):
    module = tmp_path / "importable" / "forgetful.py"
    module.write_text("def prepare(cells): raise OSError('no disk')\ndef run(cell, report): return {'accuracy': 1.0}\n")
    said = io.StringIO()
    console = Console(file=said, width=200)
    summary = run_cells(cells(1), Store(tmp_path / "runs"), protocol="forgetful", console=console)
    assert list(summary.failed.values()) == [
        "tlzoo.errors.InputTypeError: forgetful.run returned dict; expected an Outcome"
    ]
    assert "preparing failed (OSError: no disk); cells go on alone" in said.getvalue()
    assert "1/1 cells" in said.getvalue()


def seed_all(seed):
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


def draw():
    return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002


def test_the_callers_process_is_left_as_it_was():
    seed_all(1)
    expected = draw()
    seed_all(1)
    threads = torch.get_num_threads()
    with reproducible(seed=5, threads=1):
        first = draw()
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.get_num_threads() == 1
    assert draw() == expected
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()
    with reproducible(seed=5, threads=1):
        assert draw() == first


def test_a_pool_needs_workers():
    with pytest.raises(ValueError, match="0 workers; expected at least 1"):
        Pool(0)


RUN = """
import signal
import sys
from tlzoo.bench import Cell, Outcome
from tlzoo.bench.execution.executor_names import EXECUTORS
from tlzoo.bench.execution.runner import run_cells
from tlzoo.bench.store import Store
if __name__ != "__main__":
    raise SystemExit("a worker imported the user's script")
cells = [Cell(kind="domain", task="a->b", method="adaptation/dan", seed=seed) for seed in range(4)]
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background hands down that it is ignored
try:
    run_cells(cells, Store(sys.argv[1]), executor=EXECUTORS[sys.argv[2]](1, None, None), protocol="numeric_protocol")
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize(("executor", "number"), [("pool", signal.SIGKILL), ("in_process", signal.SIGINT)])
def test_a_run_that_is_ended_keeps_what_it_finished(tmp_path, protocol, executor, number):
    script = tmp_path / "script.py"
    script.write_text(RUN)
    root = tmp_path / "runs"
    environment = {**os.environ, "PYTHONPATH": import_path(), "HANG_FROM": "2"}
    process = subprocess.Popen([sys.executable, str(script), str(root), executor], env=environment)
    store = Store(root)
    while len(store.finished(cells(2))) < 2:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait() == (130 if number == signal.SIGINT else -number)
    summary = run_cells(cells(4), store, protocol=protocol)
    assert (summary.stored, summary.finished) == (2, 2)
    assert not list(root.glob("*.failed.json"))


def test_a_worker_ends_with_its_runner(tmp_path, protocol, monkeypatch):
    monkeypatch.setenv("HANG_FROM", "0")
    monkeypatch.setenv("PYTHONPATH", import_path())
    command = [sys.executable, "-m", "tlzoo.bench.execution.pool_worker", str(tmp_path / "runs"), protocol]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        worker.stdin.write(json.dumps(cells(1)[0].to_json()) + "\n")
        worker.stdin.flush()
        assert json.loads(worker.stdout.readline()) == {"fraction": 0.25}
        worker.stdin.close()  # what the system does for a runner that is killed
        assert worker.wait() == 1
    assert not Store(tmp_path / "runs").finished(cells(1))


def test_ctrl_c_ends_the_workers_of_a_pool(tmp_path, protocol, monkeypatch):
    monkeypatch.setenv("HANG_FROM", "0")

    class Interrupting:
        def progress(self, cell, fraction):
            raise KeyboardInterrupt

        def finished(self, cell, error):
            raise AssertionError("the cells hang")

    with pytest.raises(KeyboardInterrupt):
        Pool(1).run(cells(2), Store(tmp_path), protocol, Interrupting())
    assert not list(tmp_path.glob("*.json"))


@pytest.fixture
def hang(monkeypatch):
    """Let cells from seed 1 on hang, in worker processes."""
    monkeypatch.setenv("HANG_FROM", "1")


@pytest.mark.usefixtures("hang")
def test_a_cell_that_hangs_is_ended_and_has_failed(tmp_path, protocol):
    store = Store(tmp_path)
    hung = cells(3)[1:]
    summary = run_cells(hung, store, executor=Pool(1, cell_timeout=4.0), protocol=protocol)
    error = "TimedOut: the cell did not finish within 4 s (cell_timeout)"
    assert summary.failed == dict.fromkeys(hung, error)  # another worker took the place of the first
    assert [store.failure(cell).last_line for cell in hung] == [error] * 2


@pytest.mark.usefixtures("hang")
def test_a_single_cell_can_be_given_a_limit(tmp_path, protocol):
    store = Store(tmp_path)
    first, hung = cells(2)
    assert execute_within(hung, store, protocol, 4.0) == "TimedOut: the cell did not finish within 4 s (cell_timeout)"
    assert execute_within(first, store, protocol, 500.0) is None
    assert execute_within(cells(1, fail=True)[0], store, protocol, None) == "RuntimeError: the loss is not finite"
    assert store.read(first) is not None


@pytest.mark.parametrize("limit", [0.0, -1.0, float("inf"), float("nan")])
def test_a_limit_is_a_number_of_seconds(limit):
    with pytest.raises(ValueError, match="expected seconds > 0"):
        Pool(1, cell_timeout=limit)


def test_in_process_refuses_a_limit():
    with pytest.raises(ValueError, match="in_process cannot stop a cell after 5 s; use the executor pool"):
        EXECUTORS["in_process"](None, None, 5.0)


def test_a_store_that_cannot_be_written_is_said_before_the_first_cell(tmp_path, protocol, monkeypatch):
    store, log = Store(tmp_path / "runs"), tmp_path / "log"
    run_cells(cells(1, log=str(log)), store, protocol=protocol)

    def refuse(**_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(OSError, match=r"results cannot be written to .*runs \(Read-only file system\); choose another"):
        run_cells(cells(2, log=str(log)), store, protocol=protocol)
    assert log.read_text().split() == [cells(1, log=str(log))[0].hash]
    assert run_cells(cells(1, log=str(log)), store, protocol=protocol).stored == 1  # reading needs no writing


TWO_RUNS = """
import sys, time
from pathlib import Path
from tlzoo.bench import Cell, Outcome
from tlzoo.bench.execution.local_executors import InProcess, Pool
from tlzoo.bench.execution.runner import run_cells
from tlzoo.bench.store import Store
root, log, me = sys.argv[1:]
budget = {"log": log}
cells = [Cell(kind="domain", task="a->b", method="adaptation/dan", seed=s, budget=budget) for s in range(12)]
cells.append(Cell(kind="domain", task="a->b", method="adaptation/dan", budget={**budget, "fail": True}))
Path(f"{log}-{me}").touch()
while not all(Path(f"{log}-{other}").exists() for other in "ab"):
    time.sleep(0.01)
summary = run_cells(cells, Store(root), executor=InProcess() if me == "a" else Pool(1), protocol="numeric_protocol")
print(summary.finished, *summary.failed.values(), sep="|")
"""


def test_two_runs_on_one_store_share_the_work(tmp_path, protocol):  # noqa: ARG001
    log = tmp_path / "log"
    environment = {**os.environ, "PYTHONPATH": import_path()}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", TWO_RUNS, str(tmp_path / "runs"), str(log), me],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for me in "ab"
    ]
    said = [process.communicate(timeout=400)[0].strip() for process in running]
    assert said == ["12|RuntimeError: the loss is not finite"] * 2
    started = log.read_text().split()
    assert len(started) == len(set(started)) == 13
    assert len(list((tmp_path / "runs").glob("*.npz"))) == 12
    assert not list((tmp_path / "runs" / ".locks").iterdir())


def test_the_lock_of_a_run_that_was_killed_is_free(tmp_path, protocol, monkeypatch):  # noqa: ARG001
    monkeypatch.setenv("HANG_FROM", "0")
    (hung,) = cells(1)
    script = (
        "import sys\nfrom tlzoo.bench import Cell\nfrom tlzoo.bench.execution.runner import run_cells\n"
        "from tlzoo.bench.store import Store\n"
        "cell = Cell(kind='domain', task='a->b', method='adaptation/dan', seed=0)\n"
        "run_cells([cell], Store(sys.argv[1]), protocol='numeric_protocol')\n"
    )
    environment = {**os.environ, "PYTHONPATH": import_path()}
    run = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "runs")], env=environment)
    store = Store(tmp_path / "runs")
    lock = store.root / ".locks" / f"{hung.hash}.lock"
    while not lock.exists():
        assert run.poll() is None
        time.sleep(0.05)
    while (give_back := store.claim(hung)) is not None:  # the file is there a moment before it is locked
        give_back()
        assert run.poll() is None
    run.kill()
    run.wait()
    assert store.claim(hung) is not None


@pytest.mark.parametrize("executor", [InProcess(), Pool(1)])
def test_a_run_ends_when_another_finishes_its_last_cell(tmp_path, protocol, executor, monkeypatch):
    """The other run holds the lock at first, and has stored the cell when it is looked at again."""
    store, (cell,) = Store(tmp_path), cells(1)
    give_back = store.claim(cell)
    monkeypatch.setattr("tlzoo.bench.execution.local_executors._LOOK_AGAIN_SECONDS", 0.01)
    looked = []
    claim = Store.claim

    def look(self, cell):
        looked.append(cell)
        if len(looked) == 3:
            store.write(cell, Outcome(metrics={"test/accuracy": 0.5}))
            give_back()
        return claim(self, cell)

    monkeypatch.setattr(Store, "claim", look)
    summary = run_cells([cell], Store(tmp_path), executor=executor, protocol=protocol)
    assert (summary.finished, summary.failed) == (1, {})
    assert store.read(cell).metrics == {"test/accuracy": 0.5}
    assert len(looked) == 3
