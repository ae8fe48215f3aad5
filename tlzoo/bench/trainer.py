"""The trainer settings that a suite may set: device, number of processes, precision."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tlzoo.bench.yaml_lines import Located
from tlzoo.spelling import nearest

__all__ = ["read_trainer"]

_ACCELERATORS = ("cpu", "cuda", "mps")
_PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
_STRATEGIES = ("ddp", "ddp_find_unused_parameters_true", "ddp_static_graph")


def read_trainer(parts: Mapping[str, Located]) -> dict[str, Any]:
    """Return the settings of a group's or row's ``trainer``.

    ``accelerator`` (cpu, cuda, mps), ``devices`` (a number, or a list of indices), ``strategy`` (of DDP's kind) and
    ``precision`` (32-true, bf16-mixed, 16-mixed). "auto" is not allowed: a cell must say what its numbers depend on.

    Raises:
        SuiteError: a name or value is unknown, or two exclude each other.
    """
    for name, place in parts.items():
        if name not in _READERS:
            raise place.error(f"trainer: {nearest(name, _READERS, kind='setting')}")
    given = {name: _READERS[name](place) for name, place in parts.items()}
    on_cpu = given.get("accelerator", "cpu") == "cpu"
    if given.get("precision") == "16-mixed" and on_cpu:
        raise parts["precision"].error("precision 16-mixed needs accelerator: cuda or mps; on a CPU, use bf16-mixed")
    if isinstance(given.get("devices"), list) and on_cpu:
        raise parts["devices"].error(f"devices {given['devices']} are indices, which CPUs do not have; give a number")
    if "strategy" in given and given.get("devices", 1) in (1, [0]):
        raise parts["strategy"].error(f"strategy {given['strategy']} needs several devices; set devices: 2 or more")
    return given


def _accelerator(place: Located) -> str:
    return _one_of(place, _ACCELERATORS, what="accelerator")


def _precision(place: Located) -> str:
    if str(place.value) in ("16-true", "bf16-true", "64-true"):
        raise place.error(
            f"precision {place.value}: networks are measured in float32, so weights must be kept in it; "
            f"expected one of {', '.join(_PRECISIONS)}"
        )
    return _one_of(place, _PRECISIONS, what="precision")


def _strategy(place: Located) -> str:
    name = place.scalar(str, what="strategy", expected=f"one of {', '.join(_STRATEGIES)}")
    if name in ("ddp_spawn", "ddp_fork", "ddp_notebook"):
        raise place.error(
            f"strategy {name} starts processes in the middle of a run, so their measurements would be lost; "
            "use ddp: all processes of a cell start together"
        )
    if name.startswith(("fsdp", "deepspeed")):
        raise place.error(f"strategy {name} splits the network, which is measured whole; use ddp")
    return _one_of(place, _STRATEGIES, what="strategy")


def _devices(place: Located) -> int | list[int]:
    expected = "a whole number from 1 on, or a list of indices"
    if isinstance(place.value, list):
        indices = [item.scalar(int, what="an index of devices", expected="a whole number") for item in place.value]
        if not indices or min(indices) < 0 or len(set(indices)) < len(indices):
            raise place.error(f"devices is {indices}; expected {expected}")
        return indices
    count: int = place.scalar(int, what="devices", expected=expected)
    if count < 1:
        raise place.error(f"devices is {count}; expected {expected}")
    return count


def _one_of(place: Located, names: tuple[str, ...], *, what: str) -> str:
    name: str = place.scalar(str, what=what, expected=f"one of {', '.join(names)}")
    if name not in names:
        raise place.error(f"{nearest(name, names, kind=what)}; expected one of {', '.join(names)}")
    return name


_READERS: dict[str, Callable[[Located], Any]] = {
    "accelerator": _accelerator,
    "devices": _devices,
    "strategy": _strategy,
    "precision": _precision,
}
