"""On a generated copy of the layout: four domains of ten classes with five words."""

import numpy as np
import pytest
import yaml
from scipy.io import savemat

import tlzoo
from tlzoo.bench import protocols
from tlzoo.bench.cell import Cell
from tlzoo.bench.execution.one_cell import reproducible
from tlzoo.bench.suite_reader import find_suite
from tlzoo.data import list_tasks, load_task
from tlzoo.data.catalog import code_of

COUNTS = {"amazon": 40, "webcam": 30}


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path / "home"))
    for seed, (domain, count) in enumerate(COUNTS.items()):
        labels = np.arange(count) % 10
        words = np.random.default_rng(seed).poisson(2 + 8 * np.eye(10)[labels]).astype(np.uint8)
        savemat(tmp_path / f"{domain}_SURF_L10.mat", {"fts": words, "labels": labels[:, None] + 1})
    return tmp_path


def test_rows_are_divided_by_their_means(root):
    task = load_task("office_caltech10:amazon->webcam", root=root)
    assert (len(task.source_train), len(task.source_test)) == (28, 12)
    assert (len(task.target_train), len(task.target_test)) == (21, 9)
    rows = task.target_test.inputs[np.arange(9)]
    np.testing.assert_allclose(rows.mean(axis=1), 1, rtol=1e-6)
    assert task.num_classes == 10
    assert "office_caltech10:dslr->Caltech10" in list_tasks("domain")


def test_the_protocol_of_the_literature_trains_and_tests_on_whole_domains(root):
    task = load_task("office_caltech10:amazon->webcam:literature", root=root)
    assert (len(task.source_train), len(task.source_test), len(task.target_test)) == (40, 0, 30)
    assert task.target_train is task.target_test
    assert task.transductive
    assert task.source_train.domains is None
    inductive = load_task("office_caltech10:amazon->webcam", root=root)
    assert task.checksum != inductive.checksum
    whole = {row.tobytes() for row in task.source_train.inputs[np.arange(40)]}
    for part in (inductive.source_train, inductive.source_test):
        assert {row.tobytes() for row in part.inputs[np.arange(len(part))]} <= whole
    with pytest.raises(ValueError, match="has no protocol of the literature beside its own"):
        task.literature()
    assert code_of("office_caltech10:amazon->webcam:literature-20") == {}


def test_every_seed_draws_source_examples(root):
    task = load_task("office_caltech10:amazon->webcam:literature-3", root=root)
    drawn = [task.drawn(seed=seed).source_train for seed in (0, 0, 1)]
    assert np.bincount(drawn[0].labels).tolist() == [3] * 10
    assert drawn[0].checksum == drawn[1].checksum != drawn[2].checksum
    assert np.bincount(task.source_train.labels).tolist() == [4] * 10
    few = load_task("office_caltech10:webcam->amazon:literature-20", root=root)
    assert np.bincount(few.drawn(seed=0).source_train.labels).tolist() == [3] * 10


def test_a_cell_says_that_it_saw_test_inputs(root):
    found = {}
    for method in ("unaligned", "coral"):
        cell = Cell(
            kind="domain",
            task="office_caltech10:amazon->webcam:literature-3",
            root=str(root),
            backbone="identity",
            method=f"adaptation/{method}",
            module={"frozen": True, "classifier": "nearest_neighbor"},
            budget={"steps": 1, "batch_size": 1},
        )
        with reproducible(0, 1):
            found[method] = protocols.run(cell, lambda _: None)
        assert found[method].metrics["test/accuracy"] > 0.5
    assert found["coral"].receipt["transductive"]
    assert "test inputs" in found["coral"].receipt["sees"]
    assert found["unaligned"].receipt["sees"] == ["source inputs", "source labels"]


def test_what_is_missing_is_named_with_where_to_get_it(root):
    with pytest.raises(ValueError, match=r"dslr_SURF_L10\.mat is missing; .* are to be had from the authors' page"):
        load_task("office_caltech10:amazon->dslr", root=root)
    with pytest.raises(ValueError, match=r"give root \(--root\), the folder that holds amazon_SURF_L10\.mat and"):
        load_task("office_caltech10:amazon->dslr")
    savemat(root / "dslr_SURF_L10.mat", {"fts": np.ones((3, 5)), "labels": np.array([[1], [2], [11]])})
    with pytest.raises(ValueError, match="labels from 1 to 11; expected 1 to 10"):
        load_task("office_caltech10:amazon->dslr", root=root)
    savemat(root / "dslr_SURF_L10.mat", {"fts": np.ones((3, 5)), "labels": np.array([[1]])})
    with pytest.raises(ValueError, match=r"fts of shape \(3, 5\) and 1 labels"):
        load_task("office_caltech10:amazon->dslr", root=root)


@pytest.fixture
def decaf(tmp_path, monkeypatch):
    """Two domains, in the layouts of two copies; the classes are those of SURF."""
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path / "home"))
    for seed, (file, (features, labels)) in enumerate(
        {"caltech_decaf.mat": ("feas", "labels"), "amazon_decaf.mat": ("fea", "gnd")}.items()
    ):
        places = np.arange(30) % 10
        rows = np.random.default_rng(seed).random((30, 12)).astype(np.float32)
        rows[np.arange(30), places] += 3
        savemat(tmp_path / file, {features: rows, labels: places[:, None] + 1})
    return tmp_path


def test_decaf_features(decaf):
    task = load_task("office_caltech10_decaf:Caltech10->amazon:literature", root=decaf)
    assert (len(task.source_train), len(task.target_test)) == (30, 30)
    np.testing.assert_allclose(task.target_test.inputs[np.arange(9)].mean(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(task.target_test.inputs[np.arange(9)].argmax(axis=1), task.target_test.labels[:9])
    with pytest.raises(ValueError, match=r"has no dslr_decaf\.mat or Dslr_decaf\.mat; it is to be had from the links"):
        load_task("office_caltech10_decaf:dslr->amazon", root=decaf)
    with pytest.raises(ValueError, match=r"give root \(--root\), the folder that holds the files DOMAIN_decaf\.mat"):
        load_task("office_caltech10_decaf:dslr->amazon")
    savemat(decaf / "amazon_decaf.mat", {"other": np.ones(3)})
    with pytest.raises(ValueError, match="has no feas and no labels; it holds other"):
        load_task("office_caltech10_decaf:Caltech10->amazon", root=decaf)


def test_the_suite_of_decaf_runs_in_small(decaf):
    suite = yaml.safe_load(find_suite("office-caltech10-decaf").read_text(encoding="utf-8"))
    suite["groups"] = suite["groups"][:1]
    (group,) = suite["groups"]
    group["tasks"], group["methods"] = group["tasks"][:1], group["methods"][:3]
    group["methods"][2]["settings"]["dimensions"] = 5
    run = tlzoo.run_suite(suite, store=decaf / "store", root=decaf, executor="in_process", progress=False)
    assert not run.failures(), run.failures()[0].traceback
    assert (run.to_dataframe()["test/accuracy"] > 0.5).all()
    assert "Luo et al., 2018" in run.render("markdown")
