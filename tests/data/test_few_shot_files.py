"""Few-shot sets on small generated copies of their layouts; and a suite, in small."""

import json

import pytest
import torch
import yaml
from PIL import Image

import tlzoo
from tlzoo.backbones import create_backbone
from tlzoo.backbones.resnet12 import _LAYERS
from tlzoo.bench.suite_reader import find_suite
from tlzoo.data import load_task
from tlzoo.data.datasets.few_shot_files import FEW_SHOT_SETS, _range

CLASSES = {"train": ["a", "b"], "val": ["c"], "test": ["d", "e"]}
COUNTS = {"base": 6, "validation": 3, "novel": 6}


def draw(folder, label, *, count=3, flat=False):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        file = folder / (f"{label}_{number}.png" if flat else f"{number}.png")
        Image.new("RGB", (8, 6), (ord(label[-1]), 40 * number, 0)).save(file)


def by_folders(root):
    for split, labels in CLASSES.items():
        for label in labels:
            draw(root / split / label, label)


def by_table(root, header="class_name,image_name"):
    for split, labels in CLASSES.items():
        rows = []
        for label in labels:
            draw(root / "images", label, flat=True)
            pairs = [(label, f"{label}_{number}.png") for number in range(3)]
            rows += [pair if header.startswith("class") else pair[::-1] for pair in pairs]
        (root / f"{split}.csv").write_text("\n".join([header, *map(",".join, rows)]))


def by_json(root):
    for split, labels in CLASSES.items():
        for label in labels:
            draw(root / "images" / label, label)
        roots = [f"./data/tiered_imagenet/images/{label}" for label in labels]
        (root / f"{split}.json").write_text(json.dumps({"class_names": labels, "class_roots": roots}))


def by_list(root):
    (root / "splits/bertinetto").mkdir(parents=True)
    for split, labels in CLASSES.items():
        for label in labels:
            draw(root / "data" / label, label)
        (root / "splits/bertinetto" / f"{split}.txt").write_text("\n".join(labels))


def by_other_table(root):
    by_table(root, "filename,label")


@pytest.mark.parametrize("write", [by_folders, by_table, by_other_table, by_json, by_list])
def test_every_layout_gives_the_same_split(tmp_path, write):
    write(tmp_path)
    task = load_task("mini-imagenet", root=tmp_path)
    assert task.class_names == ("a", "b", "c", "d", "e")
    assert {name: len(part) for name, part in task.sets().items()} == COUNTS
    assert sorted(set(task.novel.labels)) == [3, 4]
    batch = task.novel.whole()
    assert batch.inputs.shape == (6, 96, 96, 3)
    assert [chr(red) for red in batch.inputs[:, 0, 0, 0].tolist()] == [task.class_names[i] for i in task.novel.labels]
    assert task.query == 15


def test_the_birds_need_no_list(tmp_path):
    for number in (1, 200, 8, 9):
        draw(tmp_path / "images" / f"{number:03}.Some_Bird", "x")
    task = load_task("cub-fewshot", root=tmp_path)
    assert task.class_names == ("001.Some_Bird", "200.Some_Bird", "008.Some_Bird", "009.Some_Bird")
    splits = [[n for part in each.split() for n in _range(part)] for each in FEW_SHOT_SETS["cub-fewshot"].numbers]
    assert [len(split) for split in splits] == [140, 30, 30]
    assert sorted(n for split in splits for n in split) == list(range(1, 201))


def test_what_is_missing_or_twice_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"has no train\.csv, train\.json.*of tieredImageNet; it is to be had from"):
        load_task("tiered-imagenet", root=tmp_path)
    by_list(tmp_path)
    (tmp_path / "splits/bertinetto/val.txt").write_text("c\nd")
    with pytest.raises(ValueError, match="class d is in two splits"):
        load_task("cifar-fs", root=tmp_path)
    (tmp_path / "splits/bertinetto/val.txt").write_text("z")
    with pytest.raises(ValueError, match="has no pictures of class z"):
        load_task("cifar-fs", root=tmp_path)
    with pytest.raises(ValueError, match=r"give root \(--root\), the folder that holds the pictures of fc100"):
        load_task("fc100")


def feat_layout(network):
    """Return the weights as FEAT's authors store them."""
    theirs = {ours: name for name, ours in _LAYERS.items()}
    state = {}
    for name, value in network.state_dict().items():
        _, block, layer = name.split(".", 2)
        place, _, leaf = layer.rpartition(".")
        if leaf != "num_batches_tracked":
            state[f"encoder.layer{block[-1]}.0.{theirs[place]}.{leaf}"] = value
    return {"params": {**state, "slf_attn.w_qs.weight": torch.zeros(2)}}


def test_weights_of_feat_load(tmp_path):
    torch.manual_seed(0)
    widths = {"widths": (4, 4, 4, 8)}
    network = create_backbone("resnet12", **widths).train()
    with torch.no_grad():
        network(torch.randn(8, 3, 32, 32))  # running statistics of its own
    torch.save(feat_layout(network), tmp_path / "feat.pth")
    found = create_backbone("resnet12", checkpoint_path=tmp_path / "feat.pth", **widths)
    pictures = torch.randn(2, 3, 32, 32)
    assert torch.equal(found.eval()(pictures), network.eval()(pictures))
    with pytest.raises(ValueError, match="holds no weights of this ResNet-12"):
        create_backbone("resnet12", checkpoint_path=tmp_path / "feat.pth")
    with pytest.raises(FileNotFoundError, match=r"none\.pth is not a file"):
        create_backbone("resnet12", checkpoint_path=tmp_path / "none.pth")


@pytest.mark.parametrize("name", ["mini-imagenet", "tiered-imagenet", "cub-fewshot"])
def test_suites_run_in_small(name, tmp_path, monkeypatch):
    by_json(tmp_path)
    monkeypatch.chdir(tmp_path)
    suite = yaml.safe_load(find_suite(name).read_text(encoding="utf-8"))
    suite["groups"] = suite["groups"][:1]
    (group,) = suite["groups"]
    group["methods"] = [row for row in group["methods"] if not isinstance(row, str) and row["method"] == "protonet"]
    group["budget"] |= {"way": 2, "query": 2, "episodes": 5}
    settings = group["module"]["backbone_settings"]
    settings |= {"widths": [4, 4, 4, 8]}
    torch.save(feat_layout(create_backbone("resnet12", widths=(4, 4, 4, 8))), settings["checkpoint_path"])
    run = tlzoo.run_suite(suite, store="store", root=tmp_path, executor="in_process", progress=False)
    assert not run.failures(), run.failures()[0].traceback
    assert len(run.to_dataframe()) == 1
    assert ("Bennequin, easyfsl" in run.render("markdown")) == (name != "cub-fewshot")
