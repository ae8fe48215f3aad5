"""Suites on a user's own files: planned, run, reproduced, and refused with their line."""

import sys

import numpy as np
import pytest

from tlzoo import tasks
from tlzoo.bench.execution.local_executors import InProcess, Pool
from tlzoo.bench.price import prices
from tlzoo.bench.reproduce import reproduce
from tlzoo.bench.suite_run import asked_suite, open_suite, run_suite
from tlzoo.bench.yaml_lines import SuiteError
from tlzoo.data.catalog import EXTENSIONS

RANDOM = np.random.default_rng(0)
CENTERS = RANDOM.normal(size=(3, 4)) * 2

SUITE = """\
suite: mine
groups:
  - title: From lab A to lab B
    kind: domain
    task: {from: labs.npz}
    budget: {steps: 4, batch_size: 12}
    methods: [source_only, dan, target_only]
"""

NETWORKS = '''
import torch
from torch import nn


class Net(nn.Module):
    """Takes float pictures in their own size; several outputs, one a map."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 6, 3)

    def forward(self, inputs):
        assert inputs.dtype == torch.float32 and inputs.shape[1:] == (3, 12, 12) and inputs.max() <= 1
        return {"map": self.layer(inputs), "other": inputs.mean((2, 3))}


class Prepared(nn.Module):
    """Prepares raw pictures itself."""

    preprocessing = "mean color"

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 5)

    def preprocess(self, items):
        pixels = torch.as_tensor(items)
        assert pixels.dtype == torch.uint8
        return pixels.float().mean((1, 2)) / 255

    def forward(self, inputs):
        return self.layer(inputs)
'''


def labs(shift):
    labels = np.arange(30) % 3
    return (CENTERS[labels] + RANDOM.normal(size=(30, 4)) + shift).astype(np.float32), np.array(list("abc"))[labels]


def save(path, shift=1.0):
    (first, first_labels), (second, second_labels) = labs(0), labs(shift)
    np.savez(path, X_source=first, y_source=first_labels, X_target=second, y_target=second_labels)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A suite beside its data, in a folder that is not the current one."""
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study").mkdir()
    save(tmp_path / "study" / "labs.npz")
    (tmp_path / "study" / "suite.yaml").write_text(SUITE)
    return tmp_path / "study"


def test_a_suite_on_own_files_runs_in_a_pool_and_reproduces(folder):
    run = open_suite(folder / "suite.yaml", store=folder / "store")
    run.run(Pool(1))
    assert not run.failures()
    frame = run.to_dataframe()
    assert set(frame["task"]) == {"labs"}
    assert frame["test/accuracy"].between(0, 1).all()
    record = run.store.read(run.plan.cells[0])
    stored = run.store.predictions(record.cell)
    right = stored["test_logits"].argmax(axis=1) == stored["test_logits#labels"]
    assert right.mean() == pytest.approx(record.metrics["test/accuracy"])
    assert len(np.unique(stored["test_logits#ids"])) == len(right)
    assert reproduce(record, run.store, run.protocol).matches


def test_a_task_itself_may_stand_in_a_suite_of_python(folder):
    (first, first_labels), (second, second_labels) = labs(0), labs(1)
    group = {
        "title": "In memory",
        "kind": "domain",
        "tasks": [tasks.domain(source=(first, first_labels), target=(second, second_labels), name="in memory")],
        "budget": {"steps": 2, "batch_size": 8},
        "methods": ["source_only", "dan", "target_only"],
    }
    run = run_suite({"suite": "memory", "groups": [group]}, store=folder / "store", progress=False)
    assert run.to_dataframe()["task"].unique().tolist() == ["in memory"]
    assert not run.failures()
    EXTENSIONS.forget("in memory")


def test_cells_follow_the_contents_of_the_files_and_not_their_place(folder, tmp_path):
    hashes = [cell.hash for cell in open_suite(folder / "suite.yaml").plan.cells]
    moved = folder.rename(tmp_path / "moved")
    assert [cell.hash for cell in open_suite(moved / "suite.yaml").plan.cells] == hashes
    save(moved / "labs.npz", shift=2.0)
    assert not {cell.hash for cell in open_suite(moved / "suite.yaml").plan.cells} & set(hashes)


def test_its_rows_are_run_in_small_to_price_it(folder):
    (price,) = prices(asked_suite(folder / "suite.yaml"))
    assert "3 of 3 rows run in small" in str(price)
    assert price.seconds > 0
    assert not (folder / "runs").exists()


def test_files_that_did_not_change_are_not_read_again(folder, monkeypatch):
    hashes = [cell.hash for cell in open_suite(folder / "suite.yaml").plan.cells]
    monkeypatch.setattr(np, "load", None)
    assert [cell.hash for cell in open_suite(folder / "suite.yaml").plan.cells] == hashes


def test_files_that_change_after_planning_are_an_error(folder):
    run = open_suite(folder / "suite.yaml", store=folder / "store")
    save(folder / "labs.npz", shift=2.0)
    run.run(InProcess())
    assert {failure.last_line for failure in run.failures()} == {
        "tlzoo.errors.InputError: the files of labs changed after the suite was planned; run it again"
    }


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("{from: labs.npz}", "{form: labs.npz}", 5, "a domain task: unknown key 'form'; did you mean 'from'"),
        ("{from: labs.npz}", "{from: lab.npz}", 5, "there is no file or folder .*lab.npz"),
        (
            "{from: labs.npz}",
            "{kind: episode, from: labs.npz}",
            5,
            "a task of kind 'episode' in a group of kind 'domain'",
        ),
        ("{from: labs.npz}", "{from: labs.npz, target: X_target}", 5, "the test of labs has no labels"),
        ("    task:", "    tasks: [digits:mnist5k->optdigits]\n    task:", 6, "both task and tasks"),
        ("    task: {from: labs.npz}", "    tasks: [{from: labs.npz}, {from: labs.npz}]", 5, "are called 'labs'"),
        ("    budget", "    backbones: [lenet]\n    budget", 6, "lenet takes images, and labs holds features"),
        ("    budget", "    backbones: ['nets.py:Net']\n    budget", 6, "there is no file nets.py"),
    ],
)
def test_a_mistake_is_said_with_its_line_before_anything_runs(folder, old, new, line, message):
    (folder / "suite.yaml").write_text(SUITE.replace(old, new))
    with pytest.raises(SuiteError, match=rf"suite.yaml:{line}: .*{message}"):
        open_suite(folder / "suite.yaml")


@pytest.fixture
def pictures(folder, monkeypatch):
    from PIL import Image

    for domain in "ab":
        for name in ("cat", "dog"):
            (folder / "pictures" / domain / name).mkdir(parents=True)
            for row in range(5):
                picture = RANDOM.integers(0, 256, (12, 14, 3), dtype=np.uint8)
                Image.fromarray(picture).save(folder / "pictures" / domain / name / f"{row}.png")
    (folder / "nets.py").write_text(NETWORKS)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "nets", raising=False)
    suite = SUITE.replace("{from: labs.npz}", "{from: pictures, source: a, target: b}")
    return lambda *lines: (folder / "suite.yaml").write_text(
        suite.replace("    budget", "\n".join([*lines, "    budget"]))
    )


@pytest.mark.parametrize(
    "lines",
    [
        ["    backbones: ['nets.py:Net']", "    module: {backbone_settings: {output: map}}"],
        ["    backbones: ['nets.py:Prepared']"],
        ["    backbones: ['nets.py:Prepared']", "    module: {frozen: true, scale: true}"],
    ],
)
def test_networks_of_ones_own_take_pictures_in_their_size(folder, pictures, lines):
    pictures(*lines)
    run = open_suite(folder / "suite.yaml", store=folder / "store")
    run.run(InProcess())
    assert [failure.last_line for failure in run.failures()] == []


def test_a_network_that_cannot_take_the_items_is_refused_when_the_suite_is_planned(folder, pictures):
    pictures("    backbones: ['nets.py:Net']")
    with pytest.raises(SuiteError, match=r"suite.yaml:6: .*Net returns a dict of 'map', 'other'; say which"):
        open_suite(folder / "suite.yaml")
    pictures()
    with pytest.raises(SuiteError, match="has no backbones, and its tasks hold no features"):
        open_suite(folder / "suite.yaml")


def test_a_backbone_is_trained_without_validation_classes_if_there_are_too_few(tmp_path):
    labels = np.arange(120) % 6
    task = tasks.episodes(RANDOM.normal(size=(120, 4)) + labels[:, None], labels, novel=[0, 1, 2], way=3, query=2)
    suite = {
        "suite": "six-classes",
        "groups": [
            {
                "title": "Six classes",
                "kind": "episode",
                "task": task,
                "backbones": ["mlp"],
                "module": {"training": "episodic", "backbone_settings": {"hidden": [4]}},
                "budget": {"episodes": 9, "backbone_steps": 4},
                "methods": ["protonet"],
            }
        ],
    }
    run = run_suite(suite, store=tmp_path, progress=False)
    assert run.failures() == []
    (record,) = run.store.finished(run.plan.cells).values()
    assert record.receipt["selection"].startswith("the last step")
