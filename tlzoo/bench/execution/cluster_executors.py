"""Executors for clusters: Ray tasks, which send results back, and SLURM arrays, which share the store's folder."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tlzoo.bench.cell import Cell
from tlzoo.bench.execution.local_executors import Listener, execute_within
from tlzoo.bench.execution.one_cell import provenance
from tlzoo.bench.execution.resources import import_path
from tlzoo.bench.loggers import FOLDER, NAMES
from tlzoo.bench.shared_extensions import require_shared
from tlzoo.bench.store import Store
from tlzoo.errors import InputError, MissingPackageError

__all__ = ["RayCluster", "Slurm"]

_RETRIES = 3
_POLL_SECONDS = 1.0


def _check_workers(workers: int | None) -> None:
    if workers is not None and workers < 1:
        raise InputError(f"{workers} workers; expected at least 1")


class RayCluster:
    """Runs cells as Ray tasks with the CPUs and GPUs that each cell needs; requires the extra ``ray``.

    The nodes need no shared folder: the files of a task come back as bytes and equal those of a local run. If a node or
    process dies, its task runs again, up to three times; then its cell has failed.

    Args:
        workers: number of cells at a time; by default as many as fit on the cluster.
        address: address of a running cluster, whose nodes have tlzoo installed; by default a cluster on this machine.
        cell_timeout: seconds that a cell may take; no limit by default.

    Raises:
        ImportError: Ray is not installed.
    """

    def __init__(
        self, workers: int | None = None, address: str | None = None, cell_timeout: float | None = None
    ) -> None:
        _check_workers(workers)
        # before the import: Ray reads it then, and otherwise warns of what it will do with GPUs that cells do not use
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            import ray
        except ImportError:
            raise MissingPackageError("the executor ray needs Ray: pip install tlzoo[ray]") from None
        self.workers, self.address, self.cell_timeout = workers, address, cell_timeout
        self._ray: Any = ray

    def run(self, cells: Sequence[Cell], store: Store, protocol: str, listener: Listener) -> None:
        """Run ``cells``; an error or Ctrl-C cancels those in flight.

        Raises:
            ValueError: a cell uses something that workers cannot import.
        """
        require_shared(cells)
        ray = self._ray
        waiting = list(reversed(cells))
        running: dict[Any, Cell] = {}
        with self._connected():
            task = ray.remote(max_retries=_RETRIES)(_run_apart)
            try:
                while waiting or running:
                    while waiting and len(running) < (self.workers or len(cells)):
                        cell = waiting.pop()
                        options = task.options(name=str(cell), **_resources(cell))
                        given = cell.to_json(), protocol, os.getcwd(), self.cell_timeout
                        running[options.remote(*given)] = cell
                    (done,), _ = ray.wait(list(running), num_returns=1)
                    cell = running.pop(done)
                    listener.finished(cell, self._fetch(done, cell, store))
            finally:
                for reference in running:
                    ray.cancel(reference, force=True)

    def _fetch(self, reference: Any, cell: Cell, store: Store) -> str | None:
        try:
            files, error = self._ray.get(reference)
        except self._ray.exceptions.RayError as lost:
            said = f"{type(lost).__name__}: {lost}"
            error = f"WorkerDied: the Ray task of this cell was lost {_RETRIES + 1} times"
            store.write_failure(cell, f"{said}\n{error}", provenance())
            return error
        store.adopt(files)
        return None if error is None else str(error)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[None]:
        """Use the caller's connection if there is one; otherwise open one and close it afterwards."""
        if self._ray.is_initialized():
            yield
            return
        where: dict[str, Any] = {"address": self.address}
        if self.address is None:
            where = {"include_dashboard": False, "runtime_env": {"env_vars": {"PYTHONPATH": import_path()}}}
            if self.workers is not None:
                where["num_cpus"] = self.workers
        self._ray.init(log_to_driver=False, logging_level="ERROR", **where)
        try:
            yield
        finally:
            self._ray.shutdown()


def _resources(cell: Cell) -> dict[str, Any]:
    """Return the cores and GPUs that a task needs, and the environment of a worker of this process."""
    shared = {name: os.environ[name] for name in (NAMES, FOLDER) if name in os.environ}
    environment = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8", **shared}
    gpus = cell.processes if cell.trainer.get("accelerator") == "cuda" else 0
    return {
        "num_cpus": cell.threads * cell.processes,
        "num_gpus": gpus,
        "runtime_env": {"env_vars": environment},
    }


def _run_apart(
    cell: Mapping[str, Any], protocol: str, begun_in: str = ".", cell_timeout: float | None = None
) -> tuple[dict[str, bytes], str | None]:
    """Run a cell in its own folder; return its files, and its error if it failed.

    File names in the cell are relative to the folder ``begun_in``, if this node has it.
    """
    made = Cell.from_json(cell)
    here = contextlib.chdir(begun_in) if os.path.isdir(begun_in) else contextlib.nullcontext()
    with tempfile.TemporaryDirectory() as folder, here:
        store = Store(folder)
        error = execute_within(made, store, protocol, cell_timeout)
        return store.files(made), error


class Slurm:
    """Runs cells as a SLURM job array through submitit; requires the extra ``slurm`` and a store that all nodes see.

    Job files and logs lie in ``slurm`` within the store's folder.

    Args:
        workers: number of cells at a time; by default unlimited.
        cluster: ``"slurm"`` by default; ``"local"`` runs jobs as processes here, ``"debug"`` in this process.
        cell_timeout: seconds that a cell may take; no limit by default.

    Raises:
        ImportError: submitit is not installed.
        ValueError: the kind of cluster is unknown.
    """

    def __init__(
        self, workers: int | None = None, cluster: str | None = None, cell_timeout: float | None = None
    ) -> None:
        _check_workers(workers)
        if cluster not in (None, "slurm", "local", "debug"):
            raise InputError(f"a cluster {cluster!r}; expected slurm, local or debug")
        try:
            import submitit
        except ImportError:
            raise MissingPackageError("the executor slurm needs submitit: pip install tlzoo[slurm]") from None
        self.workers, self.cluster, self.cell_timeout = workers, cluster or "slurm", cell_timeout
        self._submitit: Any = submitit

    def run(self, cells: Sequence[Cell], store: Store, protocol: str, listener: Listener) -> None:
        """Submit ``cells`` as one array and wait; an error or Ctrl-C cancels the jobs.

        Raises:
            ValueError: a cell uses something that jobs cannot import.
        """
        require_shared(cells)
        executor = self._submitit.AutoExecutor(folder=store.root / "slurm", cluster=self.cluster)
        executor.update_parameters(name="tlzoo", cpus_per_task=max(cell.threads * cell.processes for cell in cells))
        if gpus := max(_resources(cell)["num_gpus"] for cell in cells):
            executor.update_parameters(gpus_per_node=gpus)
        if self.workers is not None and self.cluster == "slurm":
            executor.update_parameters(slurm_array_parallelism=self.workers)
        window = len(cells) if self.cluster == "slurm" else self.workers or 1
        waiting = list(reversed(cells))
        running: dict[Any, Cell] = {}
        try:
            while waiting or running:
                batch = [waiting.pop() for _ in range(min(len(waiting), window - len(running)))]
                if batch:
                    running |= dict(zip(self._submit(executor, batch, store, protocol), batch, strict=True))
                for job in [job for job in running if job.done()]:
                    cell = running.pop(job)
                    listener.finished(cell, _outcome_of(job, cell, store))
                if running:
                    time.sleep(_POLL_SECONDS)
        finally:
            for job in running:
                job.cancel()

    def _submit(self, executor: Any, cells: Sequence[Cell], store: Store, protocol: str) -> list[Any]:
        root = str(store.root.resolve())
        with executor.batch():
            return [executor.submit(_run_here, cell.to_json(), root, protocol, self.cell_timeout) for cell in cells]


def _run_here(cell: Mapping[str, Any], root: str, protocol: str, cell_timeout: float | None = None) -> str | None:
    """Run a cell in a shared folder; return its error if it failed."""
    return execute_within(Cell.from_json(cell), Store(root), protocol, cell_timeout)


def _outcome_of(job: Any, cell: Cell, store: Store) -> str | None:
    """Return the error of a finished job; if the job died, record a failure of its cell."""
    if store.read(cell) is not None:
        return None
    if (failure := store.failure(cell)) is not None and job.exception() is None:
        return failure.last_line
    error = f"WorkerDied: job {job.job_id} ended as {job.state}"
    store.write_failure(cell, f"{job.exception()}\n{error}", provenance())
    return error
