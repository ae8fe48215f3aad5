"""Accelerator, devices, strategy and precision of a cell: read, identified, and run in processes of its own."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tlzoo.bench import Cell
from tlzoo.bench.execution.one_cell import execute
from tlzoo.bench.planning_cache import Facts
from tlzoo.bench.protocols import skeleton
from tlzoo.bench.store import Store
from tlzoo.bench.suite_reader import load_suite
from tlzoo.bench.yaml_lines import SuiteError
from tlzoo.lit.data import base

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
SUITE = """\
suite: placed
groups:
  - title: Adaptation
    kind: domain
    tasks: ["a->b"]
    trainer: {precision: bf16-mixed}
    methods:
      - source_only
      - {method: dan, label: two, trainer: {devices: 2, strategy: ddp}}
      - {method: dan, label: full, trainer: {precision: 32-true}}
"""


@pytest.fixture
def expand(tmp_path, home, protocol, loaded):  # noqa: ARG001  # the last two: the world it runs in
    def expand(text=SUITE):
        path = tmp_path / "placed.yaml"
        path.write_text(text)
        facts = Facts(protocol)
        cells = [cell for group in load_suite(str(path)).groups for cell in group.cells(facts)]
        return {cell.label: cell for cell in cells}

    return expand


def test_what_a_row_says_goes_before_its_group(expand):
    cells = expand()
    assert cells["source only"].trainer == {"precision": "bf16-mixed"}
    assert cells["two"].trainer == {"precision": "bf16-mixed", "devices": 2, "strategy": "ddp"}
    assert cells["two"].processes == 2
    assert cells["full"].trainer == {"precision": "32-true"}
    assert Cell.from_json(cells["two"].to_json()) == cells["two"]


def test_it_is_part_of_the_identity_where_it_is_given(expand):
    with_it = expand()["source only"]
    without = expand(SUITE.replace("    trainer: {precision: bf16-mixed}\n", ""))["source only"]
    assert "trainer" not in without.identity
    assert with_it.hash != without.hash == replace(with_it, trainer={}).hash


@pytest.mark.parametrize("name", ["quickstart", "protocols"])
def test_hashes_of_stored_cells_stay(name):
    stored = json.loads((RESULTS / f"{name}.json").read_text())["cells"]
    fields = set(Cell.__dataclass_fields__)
    again = [Cell.from_json({key: value for key, value in cell.items() if key in fields}) for cell in stored]
    assert [cell.hash for cell in again] == [cell["hash"] for cell in stored]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("precison: 32-true", "placed.yaml:6: trainer: unknown setting 'precison'; did you mean 'precision'?"),
        ("precision: 16-mixed", "placed.yaml:6: precision 16-mixed needs accelerator: cuda or mps"),
        ("precision: bf16-true", "placed.yaml:6: precision bf16-true: networks are measured in float32"),
        ("precision: double", "placed.yaml:6: unknown precision 'double'; "),
        ("accelerator: auto", "placed.yaml:6: unknown accelerator 'auto'; "),
        ("accelerator: 3", "placed.yaml:6: accelerator is 3; expected one of cpu, cuda, mps"),
        ("devices: 0", "placed.yaml:6: devices is 0; expected a whole number from 1 on"),
        ("devices: auto", "placed.yaml:6: devices is 'auto'; expected a whole number from 1 on"),
        ("devices: [0, 1]", "placed.yaml:6: devices [0, 1] are indices, which CPUs do not have"),
        ("accelerator: cuda, devices: [1, 1]", "placed.yaml:6: devices is [1, 1]; expected"),
        ("strategy: ddp", "placed.yaml:6: strategy ddp needs several devices; set devices: 2 or more"),
        (
            "devices: 2, strategy: ddp_spawn",
            "placed.yaml:6: strategy ddp_spawn starts processes in the middle of a run",
        ),
        ("devices: 2, strategy: fsdp", "placed.yaml:6: strategy fsdp splits the network, which is measured whole"),
        ("devices: 2, strategy: dpp", "placed.yaml:6: unknown strategy 'dpp'; did you mean 'ddp'?"),
    ],
)
def test_mistakes_are_named_with_their_line(expand, given, message):
    with pytest.raises(SuiteError) as caught:
        expand(SUITE.replace("precision: bf16-mixed", given))
    assert str(caught.value).startswith(message)


TOY = """
from tests_toy_task import TASK
from tlzoo.bench import protocols
from tlzoo.bench.protocols import skeleton

skeleton.load_task = lambda *_, **__: TASK
REVISIONS = protocols.REVISIONS

def run(cell, report):
    import os
    if cell.budget.get("fail_at", "none") == os.environ.get("LOCAL_RANK"):
        raise ValueError("rank fell")
    return protocols.run(cell, report)
"""
TASK = """
import numpy as np
from tlzoo.data import DomainTask, ExampleSet
from tlzoo.lit.data import base

def drawn(count, seed, shift=0.0):
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(count) % 3)
    centers = np.random.default_rng(99).normal(size=(3, 6)) * 3
    inputs = (centers[labels] + random.normal(size=(count, 6)) + shift).astype(np.float32)
    return ExampleSet(inputs=inputs, modality="features", labels=labels, checksum=f"toy {seed}")

TASK = DomainTask(
    name="toy", class_names=tuple("abc"), source_train=drawn(60, 1), source_test=drawn(31, 2),
    target_train=drawn(61, 3, 0.5), target_test=drawn(45, 4, 0.5),
)
base.with_features = lambda task, _: task
"""


@pytest.fixture
def toy(tmp_path, home, monkeypatch):  # noqa: ARG001
    """Name of a protocol that runs the real one on a task of a few points, in processes of its own, too."""
    folder = tmp_path / "importable"
    folder.mkdir()
    (folder / "tests_toy_task.py").write_text(TASK)
    (folder / "tests_toy_protocol.py").write_text(TOY)
    monkeypatch.syspath_prepend(str(folder))
    for name in ("tests_toy_task", "tests_toy_protocol"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(skeleton, "load_task", skeleton.load_task)  # put back what the module above replaces
    monkeypatch.setattr(base, "with_features", base.with_features)
    return "tests_toy_protocol"


def cell(method="adaptation/dan", **changes):
    given = {
        "kind": "domain",
        "task": "toy",
        "backbone": "identity",
        "method": method,
        "module": {"frozen": True},  # no batch norm: two processes compute what one does
        "budget": {"steps": 20, "batch_size": 12},
    }
    return Cell(**{**given, **changes})


def outcome(made, store, toy):
    assert execute(made, store, toy, lambda _: None) is None
    return store.read(made), store.predictions(made)["test_logits"].astype(np.float64)


def test_two_processes_measure_what_one_does(tmp_path, toy):
    store = Store(tmp_path / "runs")
    one, logits = outcome(cell(), store, toy)
    two, joined = outcome(cell(trainer={"devices": 2}), store, toy)
    np.testing.assert_allclose(joined, logits, rtol=0, atol=2e-3)  # stored in float16
    assert two.metrics["test/accuracy"] == pytest.approx(one.metrics["test/accuracy"], abs=0.03)
    assert len(joined) == 45


def test_a_source_model_is_trained_by_one_process_for_all(tmp_path, toy):
    store = Store(tmp_path / "runs")
    module = {"frozen": True, "bottleneck": 8, "adaptation_lr": 0.001}
    one, _ = outcome(cell("adaptation/shot", module=module), store, toy)
    two, _ = outcome(cell("adaptation/shot", module=module, trainer={"devices": 2}), store, toy)
    assert two.metrics["test/accuracy"] == pytest.approx(one.metrics["test/accuracy"], abs=0.05)


def test_a_process_that_fails_ends_the_others_and_says_why(tmp_path, toy):
    made = cell(trainer={"devices": 2}, budget={**cell().budget, "fail_at": "1"})
    error = execute(made, Store(tmp_path / "runs"), toy, lambda _: None)
    assert error == "ValueError: rank fell"
    assert "in run" in Store(tmp_path / "runs").failure(made).traceback


@pytest.mark.parametrize("method", ["adaptation/dan", "adaptation/bnm", "confusion/cdan", "confusion/mcd"])
def test_half_precision_is_another_run_with_figures_alike(tmp_path, toy, method):
    store = Store(tmp_path / "runs")
    made = cell(method, module={"frozen": True, "bottleneck": 8})
    full, logits = outcome(made, store, toy)
    half, rounded = outcome(replace(made, trainer={"precision": "bf16-mixed"}), store, toy)
    assert not np.array_equal(logits, rounded)
    assert half.metrics["test/accuracy"] == pytest.approx(full.metrics["test/accuracy"], abs=0.15)
