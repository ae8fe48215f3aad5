"""CIFAR-10-C, CIFAR-100-C and ImageNet-C on small generated copies of their layouts; and their suites, in small."""

import pickle
from itertools import product

import numpy as np
import pytest
import timm
import torch
import torchvision.datasets.cifar
import yaml
from PIL import Image

import tlzoo
from tlzoo.backbones import resnet26_gn, resnext29
from tlzoo.backbones.published_weights import CLASSIFIERS
from tlzoo.bench.cell import Cell
from tlzoo.bench.protocols.networks import load_pretrained_head
from tlzoo.bench.suite_reader import find_suite
from tlzoo.data import load_task
from tlzoo.data.corruptions import CORRUPTIONS
from tlzoo.errors import InputError

COUNT = 20


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """CIFAR of 20 pictures a file; torchvision is told not to compare them with the real ones."""
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(torchvision.datasets.cifar, "check_integrity", lambda *_, **__: True)
    random, labels = np.random.default_rng(0), np.arange(COUNT) % 10
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in (*(f"data_batch_{place}" for place in range(1, 6)), "test_batch"):
        pixels = random.integers(256, size=(COUNT, 3072), dtype=np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": pixels, "labels": labels.tolist()}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    corrupted = tmp_path / "CIFAR-10-C"
    corrupted.mkdir()
    np.save(corrupted / "labels.npy", np.tile(labels, 5))
    for place, name in enumerate(CORRUPTIONS):
        pictures = np.zeros((5 * COUNT, 32, 32, 3), dtype=np.uint8)
        pictures[..., 0], pictures[..., 1] = place, (1 + np.arange(5 * COUNT) // COUNT)[:, None, None]
        pictures[..., 2] = (np.arange(5 * COUNT) % COUNT)[:, None, None]
        np.save(corrupted / f"{name}.npy", pictures)
    hundred = tmp_path / "cifar-100-python"
    hundred.mkdir()
    for name in ("train", "test"):
        (hundred / name).write_bytes(pickle.dumps({"data": pixels, "fine_labels": labels.tolist()}))
    (hundred / "meta").write_bytes(pickle.dumps({"fine_label_names": [f"class {place}" for place in range(100)]}))
    (tmp_path / "CIFAR-100-C").symlink_to(corrupted)
    return tmp_path


def shown(task):
    """Return corruption, severity and number of each picture in the order of the stream."""
    order = tlzoo.DomainData(task).order_of(task.target_test)
    return task.target_test.inputs[order][:, 0, 0].T, task.target_test.labels[order]


def test_all_test_pictures_under_each_corruption_at_severity_5(cifar):
    task = load_task("cifar10-c:continual", root=cifar)
    assert [len(part) for part in task.sets().values()] == [100, 20, 100, 300]
    assert task.class_names == tuple("abcdefghij")
    (corruptions, severities, numbers), labels = shown(task)
    assert corruptions.tolist() == np.repeat(np.arange(15), COUNT).tolist()
    assert set(severities) == {5}
    np.testing.assert_array_equal(labels, numbers % 10)
    (mixed, _, _), _ = shown(load_task("cifar10-c:mixed", root=cifar))
    assert len(set(mixed[:40].tolist())) > 5


def test_corruptions_grow_and_wane(cifar):
    (corruptions, severities, numbers), _ = shown(load_task("cifar10-c:gradual", root=cifar))
    first = severities[corruptions == 0]
    assert first[np.diff(first, prepend=0) != 0].tolist() == [1, 2, 3, 4, 5, 4, 3, 2, 1]
    assert sorted(numbers[corruptions == 0].tolist()) == list(range(COUNT))


def test_what_is_missing_is_named_with_the_place_to_get_it(cifar, monkeypatch):
    (cifar / "CIFAR-10-C/fog.npy").unlink()
    with pytest.raises(ValueError, match=r"fog\.npy is missing; CIFAR-10-C is to be had from https://zenodo"):
        load_task("cifar10-c:reset", root=cifar)
    np.save(cifar / "CIFAR-10-C/fog.npy", np.zeros((3, 32, 32, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match=r"fog\.npy: uint8 of shape \(3, 32, 32, 3\); expected uint8 \(100, H, W, 3\)"):
        load_task("cifar10-c:reset", root=cifar)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"no whole CIFAR10; torchvision\.datasets\.CIFAR10"):
        load_task("cifar10-c:reset", root=cifar)


@pytest.fixture
def imagenet(tmp_path, monkeypatch):
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path / "home"))
    for label in ("n01", "n02"):
        for number in range(11):
            folders = ["val", *(f"ImageNet-C/{name}/5" for name in CORRUPTIONS if number < 10)]
            for place, folder in enumerate(folders):
                file = tmp_path / folder / label / f"ILSVRC2012_val_{number:08}.JPEG"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (8, 8), (10 * place, 0, 0)).save(file, quality=95)
    return tmp_path


def test_imagenet_c(imagenet):
    task = load_task("imagenet-c:continual", root=imagenet)
    assert [len(part) for part in task.sets().values()] == [12, 10, 10, 150]
    names = {name: {f.name for f in part.detached().inputs.files} for name, part in list(task.sets().items())[:3]}
    assert not names["source_train"] & names["source_test"]
    assert not names["target_train"] & names["source_test"]
    assert task.target_test.labels.tolist() == [0] * 5 + [1] * 5 + task.target_test.labels.tolist()[10:]
    with pytest.raises(ValueError, match=r"ImageNet-C.*1/n01.*is missing; ImageNet-C is to be had from"):
        load_task("imagenet-c:gradual", root=imagenet)


def test_the_suite_runs_in_small(cifar):
    suite = yaml.safe_load(find_suite("cifar10-c").read_text(encoding="utf-8"))
    suite["groups"], suite["seeds"] = suite["groups"][:1], 1
    (group,) = suite["groups"]
    rows = {row if isinstance(row, str) else row["method"]: row for row in group["methods"]}
    group["methods"] = [rows[name] for name in ("source_only", "bn_adapt", "target_only")]
    group["budget"] |= {"steps": 1, "batch_size": 8, "stream_batch": 50}
    group["module"]["backbone_settings"] = {"depth": 10, "width": 1}
    run = tlzoo.run_suite(suite, store=cifar / "store", root=cifar, executor="in_process", progress=False)
    assert not run.failures()
    assert len(run.to_dataframe()) == 3
    assert "online test-time adaptation" in run.render("markdown")


def test_the_source_model_may_be_the_network_as_it_comes(imagenet):
    """Source only and BN-1 start from the classifier of the weights' file, and nothing is trained."""
    torch.manual_seed(0)
    network = timm.create_model("test_resnet", num_classes=2)
    torch.save(network.state_dict(), imagenet / "weights.pth")
    suite = yaml.safe_load(find_suite("imagenet-c").read_text(encoding="utf-8"))
    suite["groups"], suite["seeds"] = suite["groups"][:1], 1
    (group,) = suite["groups"]
    rows = {row if isinstance(row, str) else row["method"]: row for row in group["methods"]}
    group |= {"methods": [rows[name] for name in ("source_only", "bn_adapt", "target_only")]}
    group |= {"backbones": ["timm:test_resnet"], "budget": {"steps": 1, "batch_size": 30}}
    settings = {"checkpoint_path": str(imagenet / "weights.pth"), "image_size": 32}
    group["module"]["backbone_settings"] = settings
    store, arguments = imagenet / "store", {"root": imagenet, "executor": "in_process", "progress": False}
    run = tlzoo.run_suite(suite, store=store, **arguments)
    assert not run.failures(), run.failures()[0].traceback
    frame = run.to_dataframe().set_index("label")
    task = load_task("imagenet-c:continual", root=imagenet)
    prepared = tlzoo.create_backbone("timm:test_resnet", **settings).preprocess(task.target_test.whole().inputs.numpy())
    with torch.no_grad():
        answers = network.eval()(prepared).argmax(dim=1).numpy()
    expected = (answers == task.target_test.labels).mean()
    assert frame.loc["source only", "test/accuracy"] == pytest.approx(expected)
    assert frame.loc["BN-1", "source_model/accuracy"] == pytest.approx(expected)
    assert "online test-time adaptation" in run.render("markdown")
    group["module"]["bottleneck"] = 4
    group["methods"] = ["source_only", "target_only"]
    (failure, _) = tlzoo.run_suite(suite, store=store, **arguments).failures()
    assert "the classifier of timm:test_resnet is 2 x 96 (classes x features), and that of the cell 2 x 4" in (
        failure.traceback
    )


BLOCKS = [f"layer{n}.{block}" for n in (1, 2, 3) for block in range(4)]
STAGES = [f"stage_{n}.{block}" for n in (1, 2, 3) for block in range(3)]
# suite, classes, settings of a small network, how its file's names become ours, its layers there but for the classifier
SOURCE_MODELS = {
    "cifar10-c": (10, {}, resnet26_gn._renamed, ["conv1", "bn", *product(BLOCKS, resnet26_gn._LAYERS)]),
    "cifar100-c": (
        *(100, {"groups": 1, "group_width": 4}, resnext29._renamed),
        ["conv_1_3x3", "bn_1", *product(STAGES, resnext29._LAYERS)],
    ),
}


@pytest.mark.parametrize("name", SOURCE_MODELS)
def test_a_published_source_model_answers_as_it_comes(cifar, monkeypatch, name):
    """The suite's last group: its network with its classifier lies in the working directory."""
    monkeypatch.chdir(cifar)
    suite = yaml.safe_load(find_suite(name).read_text(encoding="utf-8"))
    suite["groups"], suite["seeds"] = suite["groups"][-1:], 1
    (group,) = suite["groups"]
    group["methods"], group["budget"] = (
        ["source_only", "target_only"],
        {"steps": 1, "batch_size": 4, "stream_batch": 100},
    )
    (backbone,), settings = group["backbones"], group["module"]["backbone_settings"]
    classes, small, renamed, layers = SOURCE_MODELS[name]
    small = {**small, "image_size": 8}
    torch.manual_seed(0)
    network = tlzoo.create_backbone(backbone, **small)
    head, ours = torch.nn.Linear(network.num_features, classes), network.state_dict()
    leaves = ("weight", "bias", "running_mean", "running_var")
    names = [f"{'.'.join(each) if isinstance(each, tuple) else each}.{leaf}" for each, leaf in product(layers, leaves)]
    state = {each: ours[renamed(each)] for each in names if renamed(each) in ours}
    state |= {f"{CLASSIFIERS[backbone]}.{key}": value for key, value in head.state_dict().items()}
    torch.save({"net": state}, settings["checkpoint_path"])
    settings |= small
    run = tlzoo.run_suite(suite, store="store", root=cifar, executor="in_process", progress=False)
    assert not run.failures(), run.failures()[0].traceback
    task = load_task(group["tasks"][0], root=cifar)
    assert task.num_classes == classes
    with torch.no_grad():
        pictures = network.eval().preprocess(task.target_test.whole().inputs.numpy())
        answers = head(network(pictures)).argmax(dim=1).numpy()
    frame = run.to_dataframe().set_index("label")
    assert frame.loc["source only", "test/accuracy"] == pytest.approx((answers == task.target_test.labels).mean())
    bare = Cell(
        kind="domain", task="t", backbone=backbone, method="adaptation/source_only", module={"pretrained_head": True}
    )
    with pytest.raises(ValueError, match=f"the checkpoint_path of resnext29, resnet26_gn, wide_resnet; {backbone} has"):
        load_pretrained_head(bare, network)


@pytest.mark.parametrize("content", [b"", b"<html>", b"half"])
@pytest.mark.parametrize("name", ["fog", "labels"])
def test_damaged_arrays_are_named(cifar, name, content):
    file = cifar / f"CIFAR-10-C/{name}.npy"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) - 9] if content == b"half" else content)
    with pytest.raises(InputError, match=rf"{name}\.npy cannot be read as an array of NumPy; fetch it again"):
        load_task("cifar10-c:continual", root=cifar)
