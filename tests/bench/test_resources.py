import os

import psutil
import pytest

from tlzoo.bench import Cell
from tlzoo.bench.execution import local_executors, resources
from tlzoo.bench.execution.local_executors import Pool
from tlzoo.bench.execution.resources import WORKER_BYTES, Room, available_memory, peak_memory
from tlzoo.bench.execution.resources import cores as cores_of_process
from tlzoo.bench.store import Store

GIB = 2**30


def cells(count=1, **changes):
    return [Cell(kind="domain", task="t", method="m", seed=seed, **changes) for seed in range(count)]


@pytest.fixture
def machine(monkeypatch):
    def machine(cores, memory):
        monkeypatch.setattr(resources, "cores", lambda: cores)
        monkeypatch.setattr(resources, "available_memory", lambda: memory)

    return machine


def test_memory_limits_workers_as_cores_do(machine):
    machine(8, 100 * GIB)
    assert Room(cells()).workers == 8
    assert Room(cells(threads=3)).workers == 2
    assert Room(cells(trainer={"devices": 4})).workers == 2
    machine(8, 3.5 * WORKER_BYTES)
    assert Room(cells()).workers == 3
    assert Room(cells(trainer={"devices": 2})).workers == 1
    machine(8, 0)
    assert Room(cells()).workers == 1


def test_what_a_worker_was_seen_to_hold_goes_before_the_estimate(machine):
    machine(8, 10 * GIB)
    room = Room(cells())
    room.saw(None)
    room.saw(10)
    assert room.workers == 8
    room.saw(4 * GIB)
    room.saw(3 * GIB)
    assert room.workers == 2


def test_cores_are_those_of_this_process(monkeypatch):
    assert 1 <= cores_of_process() <= (os.cpu_count() or 1)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert cores_of_process() == 1


def test_memory_of_the_machine_is_free_and_no_more_than_there_is():
    assert 0 < resources._machine_memory() <= psutil.virtual_memory().total


def test_a_container_has_less_than_the_machine(tmp_path, monkeypatch):
    second, first = tmp_path / "second", tmp_path / "first"
    for folder in (second, first):
        folder.mkdir()
        (folder / "memory.stat").write_text("anon 5\ninactive_file 50\n")
    groups = ((second, "memory.max", "memory.current"), (first, "limit", "used"))
    monkeypatch.setattr(resources, "_CONTROL_GROUPS", groups)
    monkeypatch.setattr(resources, "_machine_memory", lambda: 1000)
    assert available_memory() == 1000
    (second / "memory.max").write_text("max\n")
    (second / "memory.current").write_text("100\n")
    assert available_memory() == 1000
    (second / "memory.max").write_text("300\n")
    assert available_memory() == 250
    (second / "memory.max").unlink()
    (first / "limit").write_text("90\n")
    (first / "used").write_text("120\n")
    assert available_memory() == 20
    (first / "used").write_text("300\n")
    assert available_memory() == 0


def test_the_peak_only_grows():
    before = peak_memory()
    if before is None:
        pytest.skip("this system does not say how much a process holds")
    block = bytearray(64 * 2**20)
    block[:: 2**12] = b"x" * len(block[:: 2**12])
    del block
    assert peak_memory() >= before


def test_a_pool_goes_on_with_fewer_where_memory_runs_short(tmp_path, protocol, machine, monkeypatch):
    machine(3, 4 * WORKER_BYTES)
    given, runs = Store(tmp_path), {}
    give = local_executors._Worker.give

    def counted(worker, cell):
        runs[id(worker)] = runs.get(id(worker), 0) + (cell is not None)
        give(worker, cell)

    class Listening:
        def progress(self, cell, fraction):
            pass

        def finished(self, cell, error):
            assert error is None

    monkeypatch.setattr(local_executors._Worker, "give", counted)
    monkeypatch.setattr(Room, "saw", lambda self, peak: setattr(self, "_each", 4 * WORKER_BYTES))  # noqa: ARG005
    Pool().run(cells(7), given, protocol, Listening())
    assert len(given.finished(cells(7))) == 7
    assert sorted(runs.values()) == [1, 1, 5]
