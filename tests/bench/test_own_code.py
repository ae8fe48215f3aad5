"""A package that is not tlzoo, installed beside it: listed, run by a suite beside built-in methods, reproduced."""

import importlib
import json
import sys

import pytest

from tlzoo import registry
from tlzoo.backbones import names
from tlzoo.bench.cell import Cell
from tlzoo.bench.execution.local_executors import InProcess, Pool
from tlzoo.bench.execution.one_cell import execute
from tlzoo.bench.execution.runner import run_cells
from tlzoo.bench.plan import make_plan
from tlzoo.bench.shared_extensions import in_session
from tlzoo.bench.store import Store
from tlzoo.bench.suite_reader import load_suite
from tlzoo.bench.yaml_lines import SuiteError
from tlzoo.cli import main
from tlzoo.data import catalog
from tlzoo.data.tasks import DomainTask
from tlzoo.methods.adaptation import DAN

CODE = '''
"""What a researcher writes."""

import numpy as np
from torch import nn

from tlzoo.data import DomainTask, ExampleSet
from tlzoo.methods.alignment import Alignment

from frogs.helper import square


class MeanMatching(Alignment):
    """Difference of means."""

    def term(self, source, target, context):
        return {"loss": square(source.features.mean(0) - target.features.mean(0)).sum()}


class Fails(Alignment):
    """A mistake of its author's, in a function that it calls."""

    def term(self, source, target, context):
        return {"loss": square(source.features @ target.features)}


def make_task():
    """A toy domain gap."""

    def examples(count, shift, seed):
        random = np.random.default_rng(seed)
        labels = np.arange(count) % 3
        inputs = random.normal(size=(count, 6)) + 2 * np.eye(6)[labels] + shift
        checksum = f"toy {count} {shift} {seed}"
        return ExampleSet(inputs=inputs.astype(np.float32), modality="features", labels=labels, checksum=checksum)

    return DomainTask(
        name="frogs",
        class_names=("a", "b", "c"),
        source_train=examples(60, 0, 0),
        source_test=examples(30, 0, 1),
        target_train=examples(60, 1, 2),
        target_test=examples(30, 1, 3),
    )


class Network(nn.Module):
    """Two layers."""

    modality = "features"
    num_features = 8

    def __init__(self, hidden=8):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, hidden), nn.ReLU(), nn.Linear(hidden, 8))

    def forward(self, inputs):
        return self.layers(inputs)
'''

SUITE = """\
suite: frogs
question: Does my method beat the others?
groups:
  - title: Frogs
    kind: domain
    tasks: [frogs/toy]
    backbones: [frogs/net]
    budget: {steps: 4, batch_size: 12}
    methods: [source_only, dan, mean_matching, "mean_matching+mcc", target_only]
"""

REGISTRIES = (registry.EXTENSIONS, names.EXTENSIONS, catalog.EXTENSIONS)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with entry points, as an installer leaves it, in a folder of ``sys.path``; also the current one."""
    folder = tmp_path / "site"
    (folder / "frogs").mkdir(parents=True)
    (folder / "frogs" / "__init__.py").write_text("")
    (folder / "frogs" / "core.py").write_text(CODE)
    (folder / "frogs" / "helper.py").write_text("def square(values):\n    return values * values\n")
    info = folder / "frogs-0.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: frogs\nVersion: 0.3\n")
    (info / "RECORD").write_text("frogs/__init__.py,,\nfrogs/core.py,,\nfrogs/helper.py,,\n")
    (info / "entry_points.txt").write_text(
        "[tlzoo.methods]\nadaptation/mean_matching = frogs.core:MeanMatching\n"
        "[tlzoo.tasks]\nfrogs/toy = frogs.core:make_task\n"
        "[tlzoo.backbones]\nfrogs/net = frogs.core:Network\n"
    )
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    importlib.invalidate_caches()
    for each in REGISTRIES:
        each.__dict__.pop("_installed", None)
    yield folder
    for each in REGISTRIES:
        each.__dict__.pop("_installed", None)
    forget_modules()


def forget_modules():
    for name in [name for name in sys.modules if name.split(".")[0] == "frogs"]:
        del sys.modules[name]


def plan(text, tmp_path):
    file = tmp_path / "frogs.yaml"
    file.write_text(text)
    return make_plan(load_suite(str(file)))


@pytest.mark.usefixtures("package")
def test_what_a_package_brings_is_listed(capsys):
    assert main(["list", "methods", "tasks", "backbones"]) == 0
    text = capsys.readouterr().out
    for line in ("adaptation/mean_matching", "frogs/toy", "frogs/net", "of frogs 0.3"):
        assert line in text
    assert main(["info", "mean_matching"]) == 0
    assert "Difference of means." in capsys.readouterr().out


def test_a_suite_runs_it_beside_built_in_methods_and_reproduces_it(package, tmp_path, capsys):
    (tmp_path / "frogs.yaml").write_text(SUITE)
    assert main(["bench", "run", "frogs.yaml", "--workers", "1"]) == 0
    shown = capsys.readouterr().out
    assert "5 cells: 5 run, 0 stored before, 0 failed" in shown
    assert "MeanMatching + MCC" in shown
    cells = make_plan(load_suite("frogs.yaml")).cells
    records = {cell.method: Store("runs/frogs").read(cell) for cell in cells}
    mine = records["adaptation/mean_matching"]
    assert mine.receipt["sees"] == ["source inputs", "source labels", "target inputs"]
    assert mine.receipt["declared"] is True
    assert mine.cell.code.keys() == {"method adaptation/mean_matching", "task frogs/toy", "backbone frogs/net"}
    assert all(code.startswith("frogs 0.3 ") for code in mine.cell.code.values())
    assert "method adaptation/mean_matching" not in records["adaptation/dan"].cell.code

    assert main(["bench", "reproduce", mine.cell.hash]) == 0
    assert "It matches bit for bit" in capsys.readouterr().out
    assert main(["bench", "compare", "mean_matching", "dan", "frogs.yaml"]) == 0
    assert "MeanMatching" in capsys.readouterr().out

    with (package / "frogs" / "helper.py").open("a") as file:
        file.write("# another version\n")
    assert main(["bench", "reproduce", mine.cell.hash]) == 0, "this process runs the code that it has loaded"
    forget_modules()  # as a new process would
    capsys.readouterr()
    assert main(["bench", "reproduce", mine.cell.hash]) == 2
    assert "method adaptation/mean_matching frogs 0.3 " in capsys.readouterr().err
    assert main(["bench", "status", "frogs.yaml"]) == 0
    assert "0 finished, 0 failed, 5 missing" in capsys.readouterr().out


def test_the_version_of_its_package_is_in_the_hash(package, tmp_path):
    before = plan(SUITE, tmp_path).cells
    metadata = package / "frogs-0.3.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("0.3", "0.4"))
    for each in REGISTRIES:
        each.__dict__.pop("_installed", None)
    after = plan(SUITE, tmp_path).cells
    assert not {cell.hash for cell in before} & {cell.hash for cell in after}


@pytest.mark.usefixtures("package")
def test_an_error_of_its_author_shows_his_code(tmp_path):
    text = SUITE.replace('mean_matching, "mean_matching+mcc"', '"frogs.core:Fails"')
    (cell,) = [cell for cell in plan(text, tmp_path).cells if cell.method == "frogs.core:Fails"]
    store = Store(tmp_path / "store")
    error = execute(cell, store, "tlzoo.bench.protocols", lambda _: None)
    assert error.startswith("RuntimeError: ")
    frames = [line for line in store.failure(cell).traceback.splitlines() if line.startswith("  File ")]
    assert "frogs/core.py" in frames[-1]
    between = [line for line in frames[: len(frames) - 1] if "/tlzoo/methods/" in line]
    assert len(between) == 1, "one frame of ours between the loop and the method's own function"


@pytest.mark.usefixtures("package")
def test_import_paths_in_place_of_names(tmp_path):
    by_path = SUITE.replace("frogs/toy", '"frogs.core:make_task"').replace("frogs/net", '"frogs.core:Network"')
    cells = plan(by_path.replace("mean_matching,", '"frogs.core:MeanMatching",'), tmp_path).cells
    assert {cell.task for cell in cells} == {"frogs.core:make_task"}
    assert {cell.backbone for cell in cells} == {"frogs.core:Network"}
    assert cells[2].method == "frogs.core:MeanMatching"
    assert cells[2].label == "MeanMatching"
    assert plan(SUITE.replace("frogs/toy", '"frogs.core:make_task:2shot"'), tmp_path).cells[0].code.keys() == {
        "task frogs.core:make_task",
        "backbone frogs/net",
    }


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("frogs/net", '"frogs.core:Net"', "frogs.yaml:7: frogs.core:Net: unknown name in frogs.core 'Net'; did you me"),
        ("frogs/net", '"nowhere:Net"', "frogs.yaml:7: nowhere:Net: there is no module 'nowhere'"),
        ("frogs/net", '"frogs.core:CODE"', "frogs.yaml:7: frogs.core:CODE: unknown name"),
        ("frogs/net", "lenet", "frogs.yaml:7: lenet takes images, and frogs/toy holds features"),
        ("frogs/toy", '"digits:mnist5k->optdigits"', "frogs.yaml:7: frogs/net takes features, and digits:mnist5k->opt"),
        ("frogs/net", '"timm:nonexistent"', "frogs.yaml:7: unknown network of timm 'nonexistent'"),
        ("frogs/toy", '"frogs.core:Network"', "frogs.yaml:6: frogs.core:Network is a Network; expected a task"),
        ("mean_matching,", '"frogs.core:make_task",', "frogs.yaml:9: frogs.core:make_task is no method but function"),
        ("mean_matching,", '"frogs.core",', "frogs.yaml:9: unknown method 'frogs.core'"),
    ],
)
def test_planning_refuses_what_cannot_be(tmp_path, old, new, message):
    with pytest.raises(SuiteError) as caught:
        plan(SUITE.replace(old, new, 1), tmp_path)
    assert str(caught.value).startswith(message)


@pytest.mark.usefixtures("package")
def test_what_a_session_defines_runs_in_it_and_nowhere_else(tmp_path):
    task = catalog.load_task("frogs/toy")

    class Local(DAN):
        pass

    registry.register_method("confusion/local", Local)
    catalog.register_task("local task", lambda: task)
    text = SUITE.replace("mean_matching, ", "confusion/local, ").replace("frogs/toy", "local task")
    made = plan(text.replace("frogs/net", '"frogs.core:Network"'), tmp_path)
    (cell,) = [cell for cell in made.cells if cell.method == "confusion/local"]
    assert cell.task == "local task"
    assert in_session([cell])
    with pytest.raises(ValueError, match="is defined in this session, where worker processes cannot import it"):
        run_cells([cell], Store(tmp_path / "store"), executor=Pool(1))
    done = run_cells([cell], Store(tmp_path / "store"), executor=InProcess())
    assert (done.finished, done.failed) == (1, {})


@pytest.mark.usefixtures("package")
def test_a_task_that_is_an_object(tmp_path):
    task = catalog.load_task("frogs/toy")
    assert isinstance(task, DomainTask)
    catalog.register_task("object", task)
    assert catalog.load_task("OBJECT", kind="domain") is task
    with pytest.raises(ValueError, match="object is a task of kind 'domain'; expected one of kind 'episode'"):
        catalog.load_task("object", kind="episode")
    (cell, *_) = plan(SUITE.replace("frogs/toy", "object"), tmp_path).cells
    assert not [name for name in cell.code if name.startswith("task")], "its checksum is its identity"
    assert in_session([cell])


def test_cells_of_built_in_code_are_as_they_were():
    cell = Cell(kind="domain", task="a->b", method="adaptation/dan", backbone="lenet")
    assert "code" not in cell.identity
    assert not in_session([cell])
    assert json.loads(json.dumps(cell.to_json()))["code"] == {}
