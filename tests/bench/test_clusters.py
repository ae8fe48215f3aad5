import pytest

from tlzoo.bench import Cell
from tlzoo.bench.execution.cluster_executors import RayCluster, Slurm, _run_apart
from tlzoo.bench.execution.executor_names import EXECUTORS
from tlzoo.bench.execution.local_executors import InProcess
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


@pytest.fixture
def expected(tmp_path, protocol):
    """A store that this process filled."""
    store = Store(tmp_path / "inside")
    run_cells(cells(), store, executor=InProcess(), protocol=protocol)
    return store


def test_files_that_are_sent_are_those_that_are_written(tmp_path, protocol, expected):
    files, error = _run_apart(cells()[1].to_json(), protocol)
    assert error is None
    assert [name.split(".", 1)[1] for name in files] == ["npz", "json"]  # the json is the commit: last
    here = Store(tmp_path / "here")
    here.write_failure(cells()[1], "Traceback\nRuntimeError: no network")
    here.adopt(files)
    assert contents(here, cells()[1]) == contents(expected, cells()[1])
    assert here.failure(cells()[1]) is None
    assert not list(here.root.glob("*.failed.json"))


def test_a_failure_is_sent_too(tmp_path, protocol):
    (bad,) = cells(1, fail=True)
    files, error = _run_apart(bad.to_json(), protocol)
    assert error == "RuntimeError: the loss is not finite"
    here = Store(tmp_path / "here")
    here.adopt(files)
    assert here.failure(bad).last_line == error


@pytest.mark.parametrize("name", ["in_process", "pool"])
def test_only_clusters_have_an_address(name):
    with pytest.raises(ValueError, match=f"{name} runs on this machine; --address here is for ray and slurm"):
        EXECUTORS[name](None, "here", None)


@pytest.mark.cluster
def test_ray_gives_the_same_bytes(tmp_path, protocol, expected):
    pytest.importorskip("ray")
    store = Store(tmp_path / "ray")
    bad = cells(1, fail=True)[0]
    summary = run_cells([*cells(2), bad], store, executor=RayCluster(1), protocol=protocol)
    assert (summary.finished, summary.failed) == (2, {bad: "RuntimeError: the loss is not finite"})
    for cell in cells(2):
        assert contents(store, cell) == contents(expected, cell)


@pytest.mark.cluster
def test_a_ray_node_that_is_killed_costs_only_its_cells_in_flight(tmp_path, protocol, expected, monkeypatch):
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", import_path())  # what every node of a cluster has installed
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    node = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    every = [*cells(), *cells(3, steps=7)]
    ended = []

    class Killing:
        def progress(self, cell, fraction):
            raise AssertionError("Ray tasks tell no progress")

        def finished(self, cell, error):
            if not ended:
                cluster.remove_node(node, allow_graceful=False)
            ended.append((cell, error))

    store = Store(tmp_path / "ray")
    try:
        RayCluster(address=cluster.address).run(every, store, protocol, Killing())
    finally:
        cluster.shutdown()
    assert sorted(cell.hash for cell, _ in ended) == sorted(cell.hash for cell in every)
    assert {error for _, error in ended} == {None}
    for cell in cells():
        assert contents(store, cell) == contents(expected, cell)


@pytest.mark.cluster
def test_slurm_jobs_give_the_same_bytes_and_a_job_that_dies_fails_its_cell(tmp_path, protocol, expected, monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.setenv("PYTHONPATH", import_path())
    monkeypatch.setattr("tlzoo.bench.execution.cluster_executors._POLL_SECONDS", 0.05)
    store = Store(tmp_path / "slurm")
    bad, dead = cells(1, fail=True)[0], cells(1, die=True)[0]
    summary = run_cells([*cells(1), bad, dead], store, executor=Slurm(3, "local"), protocol=protocol)
    assert summary.finished == 1
    assert summary.failed[bad] == "RuntimeError: the loss is not finite"
    assert summary.failed[dead].startswith("WorkerDied: job ")
    assert store.failure(dead).last_line == summary.failed[dead]
    assert contents(store, cells()[0]) == contents(expected, cells()[0])


def test_mistakes_are_named():
    pytest.importorskip("submitit")
    with pytest.raises(ValueError, match="a cluster 'here'; expected slurm, local or debug"):
        Slurm(1, "here")
    with pytest.raises(ValueError, match="0 workers"):
        Slurm(0)
