"""On small generated copies of AdaTime's files, in each shape of samples; and its suite, in small."""

import numpy as np
import pytest
import torch
import yaml

import tlzoo
from tlzoo.bench.suite_reader import find_suite
from tlzoo.data import load_task

CHANNELS, STEPS = 9, 12


def save(folder, domain, *, seed, counts=(12, 6), wrap=torch.from_numpy, time_last=True):
    folder.mkdir(exist_ok=True)
    for part, count in zip(("train", "test"), counts, strict=True):
        labels = np.arange(count) % 6
        random = np.random.default_rng([seed, part == "test"])
        series = seed + 2 * random.normal(size=(count, CHANNELS, STEPS)) + 5 * labels[:, None, None]
        samples = series if time_last else np.ascontiguousarray(series.transpose(0, 2, 1))
        torch.save({"samples": wrap(samples), "labels": wrap(labels)}, folder / f"{part}_{domain}.pt")


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path / "home"))
    save(tmp_path / "HAR", 2, seed=0)
    save(tmp_path / "HAR", 11, seed=1, wrap=np.asarray, time_last=False)
    return tmp_path


def test_series_are_in_units_of_the_training_part(root):
    task = load_task("adatime/har:2->11", root=root)
    assert [len(part) for part in task.sets().values()] == [12, 6, 12, 6]
    for part in (task.source_train, task.target_train):
        series = part.inputs[np.arange(12)]
        assert series.shape == (12, STEPS, CHANNELS)
        np.testing.assert_allclose(series.mean(axis=(0, 1)), 0, atol=1e-5)
        np.testing.assert_allclose(series.std(axis=(0, 1)), 1, rtol=1e-5)
    assert abs(task.target_test.inputs[np.arange(6)].mean()) > 1e-4
    assert task.class_names[0] == "walk"
    inside = load_task("adatime/har:2->11", root=root / "HAR")
    assert inside.checksum == task.checksum
    assert sum(name.startswith("adatime/") for name in tlzoo.list_tasks("domain")) == 50


def test_series_of_one_channel_need_no_axis(tmp_path, monkeypatch):
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path / "home"))
    for domain, part in ((0, "train"), (0, "test"), (1, "train"), (1, "test")):
        torch.save(
            {"samples": torch.randn(4, 7), "labels": torch.tensor([0, 1, 2, 0])}, tmp_path / f"{part}_{domain}.pt"
        )
    task = load_task("adatime/fd:0->1", root=tmp_path)
    assert task.target_test.inputs[np.arange(4)].shape == (4, 7, 1)


class Runs:
    def __reduce__(self):
        return (print, ("this file runs code",))


def test_what_is_missing_or_odd_is_named(root, capsys):
    with pytest.raises(
        ValueError, match=r"train_6\.pt is missing; UCIHAR, preprocessed, is to be had from https://rese"
    ):
        load_task("adatime/har:6->23", root=root)
    with pytest.raises(
        ValueError, match=r"give root \(--root\), the folder that holds train_0\.pt, test_0\.pt and those"
    ):
        load_task("adatime/eeg:0->11")
    torch.save({"samples": torch.zeros(2, 3, 4), "labels": torch.zeros(2)}, root / "HAR/test_11.pt")
    with pytest.raises(ValueError, match=r"samples of shape \(2, 3, 4\) and 2 labels; expected \(N, 9, time\)"):
        load_task("adatime/har:2->11", root=root)
    torch.save(torch.zeros(2), root / "HAR/test_11.pt")
    with pytest.raises(ValueError, match="is no mapping of samples and labels"):
        load_task("adatime/har:2->11", root=root)
    torch.save({"samples": Runs(), "labels": torch.zeros(2)}, root / "HAR/test_11.pt")
    with pytest.raises(ValueError, match="cannot be read as tensors or arrays alone"):
        load_task("adatime/har:2->11", root=root)
    assert not capsys.readouterr().out


def test_the_suite_runs_in_small(root):
    suite = yaml.safe_load(find_suite("adatime").read_text(encoding="utf-8"))
    suite["groups"], suite["seeds"] = suite["groups"][:1], 1
    (group,) = suite["groups"]
    group["tasks"], group["budget"] = group["tasks"][:1], {"steps": 3, "batch_size": 4}
    group["methods"] = [row for row in group["methods"] if isinstance(row, str)]
    group["module"]["backbone_settings"] = {"widths": [4, 4, 4]}
    run = tlzoo.run_suite(suite, store=root / "store", root=root, executor="in_process", progress=False)
    assert not run.failures(), run.failures()[0].traceback
    assert run.to_dataframe()["test/macro_f1"].between(0, 1).all()
    assert "Ragab et al., TKDD 2023" in run.render("markdown")
