"""Fine-tuning in the harness: candidates, other domains, and the suite in small."""

from dataclasses import replace

import numpy as np
import pytest
import yaml

import tlzoo
from tlzoo.bench.protocols.finetuning import FineTuningProtocol
from tlzoo.bench.suite_reader import find_suite
from tlzoo.data import load_task
from tlzoo.types import Sees

pytestmark = pytest.mark.data


def small():
    suite = yaml.safe_load(find_suite("finetuning").read_text(encoding="utf-8"))
    (group,) = suite["groups"]
    group |= {"backbones": ["lenet"], "trials": 2, "methods": ["from_scratch", "wise_ft", "soup", "bitfit"]}
    group["budget"] = {"steps": 4, "batch_size": 8}
    group["module"] |= {"backbone_settings": {"in_channels": 3}, "shots": 2, "validation_shots": 1}
    group["module"]["elsewhere"] = group["module"]["elsewhere"][:2]
    return {**suite, "seeds": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tlzoo.run_suite(small(), store=tmp_path_factory.mktemp("store"), executor="in_process", progress=False)


def test_the_suite_runs_in_small(run):
    frame = run.to_dataframe()
    assert not run.failures()
    assert len(frame) == 4
    others = [name for name in frame.columns if name.startswith("elsewhere/emoji")]
    assert len(others) == 2
    np.testing.assert_allclose(frame["elsewhere/accuracy"], frame[others].mean(axis=1))
    assert frame["elsewhere/accuracy"].between(0, 1).all()


def test_the_receipt_names_the_validation_labels(run):
    for record in run.store.finished(run.plan.cells).values():
        assert Sees.VALIDATION_LABELS.value in record.receipt["sees"]
        assert record.receipt["trials"] == 2
        assert record.receipt["rule"] == "validation"


def test_validation_shots_are_neither_trained_on_nor_tested():
    task = load_task("emoji/category:google->windows")
    few, more = task.target_shots(2, seed=3), task.target_shots(3, seed=3)
    assert set(few) < set(more)
    assert np.bincount(task.target_train.labels[np.setdiff1d(more, few)]).tolist() == [1] * task.num_classes
    np.testing.assert_array_equal(task.with_target_shots(2, seed=3).target_train.labels, task.target_train.labels[few])


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ({"validation_shots": 0}, "set module: {validation_shots: N}"),
        ({"shots": None}, "set shots as well"),
        ({"elsewhere": ["digits:mnist5k->optdigits"]}, "whose classes are not those of"),
    ],
)
def test_what_a_cell_lacks_is_said(run, module, message):
    cell = run.plan.cells[0]
    with pytest.raises(ValueError, match=message):
        FineTuningProtocol(replace(cell, module={**cell.module, **module}), lambda _: None)
