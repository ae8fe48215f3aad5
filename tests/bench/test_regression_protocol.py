"""The domain protocol on a toy regression."""

import numpy as np
import pytest

from tlzoo.bench import protocols
from tlzoo.bench.cell import Cell
from tlzoo.bench.execution.one_cell import reproducible
from tlzoo.data import DomainTask, ExampleSet


def drawn(count, seed, shift=0.0):
    inputs = np.random.default_rng(seed).normal(size=(count, 6)) + shift
    values = np.column_stack([100 + 20 * inputs[:, 0], inputs[:, 1] - inputs[:, 2]])
    return ExampleSet(
        inputs=inputs.astype(np.float32), modality="features", labels=values, checksum=f"toy {seed}", regression=True
    )


TASK = DomainTask(
    name="toy",
    value_names=("pressure", "rain"),
    source_train=drawn(60, 1),
    source_test=drawn(30, 2),
    target_train=drawn(60, 3, 0.5),
    target_test=drawn(45, 4, 0.5),
)


@pytest.fixture(autouse=True)
def _toy(tmp_path, monkeypatch):
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path))
    monkeypatch.setattr("tlzoo.bench.protocols.skeleton.load_task", lambda *_, **__: TASK)
    monkeypatch.setattr("tlzoo.lit.data.base.with_features", lambda task, _: task)


def run(method, **changes):
    given = {
        "kind": "domain",
        "task": "toy",
        "backbone": "identity",
        "method": method,
        "module": {"frozen": True, "scale": True, "bottleneck": 16},
        "budget": {"steps": 20, "batch_size": 12},
    }
    cell = Cell(**{**given, **changes})
    with reproducible(cell.seed, 1):
        return protocols.run(cell, lambda _: None)


@pytest.mark.parametrize("method", ["adaptation/rsd", "adaptation/coral", "adaptation/linear_classifier"])
def test_a_cell_of_values(method):
    candidates = {} if method != "adaptation/rsd" else {"weight": (0.001, 0.1)}
    outcome = run(method, candidates=candidates)
    found = {name for name in outcome.metrics if name.startswith("test/")}
    assert found >= {"test/r2", "test/mae", "test/rmse", "test/normalized_mae", "test/rain/mae"}
    assert outcome.predictions["test_values"].shape == (45, 2)
    assert "oracle/r2" in outcome.metrics
    chosen = {name for name in outcome.metrics if name.startswith("selected/")}
    blind = method == "adaptation/linear_classifier"  # it never sees the target
    assert chosen == {f"selected/{name}" for name in ("source", *(() if blind else ("source_risk", "mmd", "dev")))}
    if method != "adaptation/rsd":
        assert outcome.metrics["test/r2"] > 0.6
    else:
        assert outcome.receipt["rule"] == "source"


def test_what_reads_probabilities_is_refused():
    with pytest.raises(ValueError, match="adaptation/mcc needs classes, and toy is a regression"):
        run("adaptation/mcc")
    with pytest.raises(ValueError, match="rule 'information' reads probabilities, and toy is a regression"):
        run("adaptation/dan", candidates={"weight": (0.1, 1.0)}, search={"rule": "information"})
