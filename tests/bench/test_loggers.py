"""Loggers by name: they get what is measured, and change nothing of it."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from tlzoo.bench import Cell, loggers, protocols
from tlzoo.bench.loggers import FOLDER, NAMES, choose_loggers
from tlzoo.cli import main
from tlzoo.data import DomainTask, ExampleSet


def drawn(count, seed):
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(count, 4)).astype(np.float32)
    return ExampleSet(inputs=inputs, modality="features", labels=np.arange(count) % 2, checksum=f"toy {seed}")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs one cell on a few points."""
    sets = {n: drawn(24, s) for s, n in enumerate(("source_train", "source_test", "target_train", "target_test"))}
    task = DomainTask(name="toy", class_names=("a", "b"), **sets)
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tlzoo.bench.protocols.skeleton.load_task", lambda *_, **__: task)
    monkeypatch.setattr("tlzoo.lit.data.base.with_features", lambda task, _: task)
    for name in (NAMES, FOLDER):
        monkeypatch.setenv(name, "")  # so that what a test chooses is taken back
    cell = Cell(
        kind="domain",
        task="toy",
        backbone="identity",
        method="confusion/dann",
        module={"frozen": True},
        budget={"steps": 20, "batch_size": 8},
    )

    def run():
        from tlzoo.bench.execution.one_cell import reproducible

        with reproducible(0, 1):
            return cell, protocols.run(cell, lambda _: None)

    return run


def test_tensorboard_has_what_was_measured_and_nothing_changes(run, tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    _, silent = run()
    choose_loggers(["tensorboard", "tensorboard"], tmp_path / "logs")
    cell, logged = run()
    run()
    assert logged.metrics == silent.metrics
    np.testing.assert_array_equal(logged.predictions["test_logits"], silent.predictions["test_logits"])
    (row,) = (tmp_path / "logs" / "tensorboard").iterdir()
    assert {path.name for path in row.iterdir()} == {cell.hash, f"{cell.hash}-2"}  # a run each, none mixed into another
    found = events.EventAccumulator(str(row / cell.hash)).Reload()
    scalars = found.Scalars("test")
    assert [event.step for event in scalars] == silent.curves["step"]
    assert [event.value for event in scalars] == pytest.approx(silent.curves["test"])
    assert "train/domain_accuracy" in found.Tags()["scalars"]


def test_companions_do_not_log(run, tmp_path, monkeypatch):
    choose_loggers(["tensorboard"], tmp_path / "logs")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert loggers.make_loggers(run()[0]) == []
    assert not (tmp_path / "logs").exists()


def test_a_missing_package_is_named_with_its_extra(run, monkeypatch, capsys):  # noqa: ARG001
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "wandb" else find(name))
    with pytest.raises(ImportError, match=r"pip install tlzoo\[wandb\]"):
        choose_loggers(["wandb"], Path())
    assert os.environ[NAMES] == ""
    with pytest.raises(ValueError, match="did you mean 'mlflow'"):
        choose_loggers(["mlfow"], Path())
    assert main(["bench", "run", "quickstart", "--logger", "mlfow"]) == 2
    assert "did you mean 'mlflow'" in capsys.readouterr().err
