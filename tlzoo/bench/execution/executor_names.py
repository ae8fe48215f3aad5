"""Executors by name, as on the command line and in suites; cluster executors are imported on demand."""

from __future__ import annotations

from collections.abc import Callable

from tlzoo.bench.execution.local_executors import Executor, InProcess, Pool
from tlzoo.errors import InputError

__all__ = ["EXECUTORS"]


def _in_process(_: int | None, address: str | None, cell_timeout: float | None) -> Executor:
    _refuse_address("in_process", address)
    if cell_timeout is not None:
        raise InputError(
            f"in_process cannot stop a cell after {cell_timeout:g} s; use the executor pool, or cell_timeout 0"
        )
    return InProcess()


def _pool(workers: int | None, address: str | None, cell_timeout: float | None) -> Executor:
    _refuse_address("pool", address)
    return Pool(workers, cell_timeout)


def _ray(workers: int | None, address: str | None, cell_timeout: float | None) -> Executor:
    from tlzoo.bench.execution.cluster_executors import RayCluster

    return RayCluster(workers, address, cell_timeout)


def _slurm(workers: int | None, address: str | None, cell_timeout: float | None) -> Executor:
    from tlzoo.bench.execution.cluster_executors import Slurm

    return Slurm(workers, address, cell_timeout)


def _refuse_address(name: str, address: str | None) -> None:
    if address is not None:
        raise InputError(f"{name} runs on this machine; --address {address} is for ray and slurm")


EXECUTORS: dict[str, Callable[[int | None, str | None, float | None], Executor]] = {
    "in_process": _in_process,
    "pool": _pool,
    "ray": _ray,
    "slurm": _slurm,
}
