"""The page "Bring your own": every row of its tables and every suite on it works as written."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from torch import nn
from torch.utils.data import TensorDataset

import tlzoo
from tlzoo import tasks
from tlzoo.bench.execution.local_executors import InProcess
from tlzoo.bench.suite_run import open_suite
from tlzoo.data.tasks import Task

PAGE = Path(__file__).parents[2] / "docs" / "bring-your-own.md"
TEXT = PAGE.read_text("utf-8")
ROWS = re.findall(r"^\| .+ \| `(.+)` \|$", TEXT, flags=re.MULTILINE)
SUITES = {yaml.safe_load(block)["suite"]: block for block in re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.M | re.S)}
TASKS = """\
from tlzoo import tasks

def make_task():
    return tasks.fine_tuning(([[0.0], [1.0]] * 9, [0, 1] * 9))
"""
NETWORKS = """\
from torch import nn

class Network(nn.Conv2d):
    def __init__(self):
        super().__init__(3, 5, 3)
"""


class Several(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 5, 3)

    def forward(self, inputs):
        return {"map": self.layer(inputs), "sum": inputs.sum()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with every file that the page names."""
    root, random = tmp_path_factory.mktemp("own"), np.random.default_rng(0)
    centers = random.normal(size=(8, 6)) * 2
    plants = np.array(["ash", "elm", "fir", "fig", "oak", "pine", "plum", "yew"])
    kind = np.arange(160) % 8
    X = (centers[kind] + random.normal(size=(160, 6))).astype(np.float32)
    lab = kind[:48] % 3
    arrays = {"Xs": centers[lab] + random.normal(size=(48, 6)), "ys": lab, "Xt": centers[lab] + 1, "yt": lab}
    usual = dict(zip(("X_source", "y_source", "X_target", "y_target"), arrays.values(), strict=True))
    np.savez(root / "labs.npz", **arrays, **usual)
    np.savez(root / "plants.npz", X=X, y=plants[kind], attributes=random.normal(size=(8, 4)))
    pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "height": X[:, 2], "species": plants[kind]}).to_csv(
        root / "trees.csv", index=False
    )
    animals = {
        "weight": X[:24, 0],
        "length": X[:24, 1],
        "species": ["cat", "dog"] * 12,
        "place": ["zoo"] * 12 + ["wild"] * 12,
    }
    pd.DataFrame(animals).to_csv(root / "animals.csv", index=False)
    reviews = {"words": ["good", "bad"] * 12, "verdict": ["yes", "no"] * 12, "site": ["books"] * 12 + ["films"] * 12}
    pd.DataFrame(reviews).to_parquet(root / "reviews.parquet")
    (root / "described.json").write_text(json.dumps({plant: f"a {plant}" for plant in plants}))
    photos = []
    for domain in ("photo", "sketch"):
        lines = []
        for row in range(12):
            path = f"pictures/{domain}/{('cat', 'dog')[row % 2]}/{row}.png"
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (30, 24, 3), dtype=np.uint8)).save(root / path)
            lines.append(f"{path} {('cat', 'dog')[row % 2]}")
        (root / f"{domain}.txt").write_text("\n".join(lines))
        photos += lines
    table = pd.DataFrame([line.split() for line in photos], columns=["file", "animal"])
    table.assign(part=["train"] * 18 + ["test"] * 6).to_csv(root / "photos.csv", index=False)
    (root / "mytasks.py").write_text(TASKS)
    (root / "mynetworks.py").write_text(NETWORKS)
    return root


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    return folder


@pytest.fixture(scope="module")
def names(folder):
    """What the expressions of the tables use."""
    import timm
    from safetensors.torch import save_file
    from transformers import ViTConfig, ViTModel

    random = np.random.default_rng(0)
    X, y = random.normal(size=(40, 4)), np.array(["cat", "dog", "fir", "oak"] * 10)
    save_file(timm.create_model("resnet10t", num_classes=0).state_dict(), folder / "weights.safetensors")
    config = ViTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, image_size=16, patch_size=8
    )
    ViTModel(config).save_pretrained(folder / "model")
    (folder / "model" / "preprocessor_config.json").write_text(json.dumps({"size": {"height": 16, "width": 16}}))
    files = sorted(folder.glob("pictures/photo/*/*.png"))
    memory_map = np.lib.format.open_memmap(folder / "map.npy", mode="w+", dtype=np.float32, shape=X.shape)
    memory_map[:] = X
    return {
        **{"tlzoo": tlzoo, "tasks": tasks, "X": X, "y": y, "X_target": X + 1, "X_test": X + 1, "y_test": y},
        **{"height": X[:, 0], "descriptions": {name: f"a {name}" for name in ("cat", "dog", "fir", "oak")}},
        **{"texts": ["some words"] * 40, "files": files, "labels": [file.parent.name for file in files]},
        "dataset": TensorDataset(torch.from_numpy(X), torch.arange(40) % 4),
        "table": pd.read_csv(folder / "animals.csv"),
        "memory_map": memory_map,
        **{"network": nn.Conv2d(3, 5, 3), "several": Several()},
        "pictures": random.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8),
    }


@pytest.mark.parametrize("row", [row for row in ROWS if row.startswith("tl") or row.startswith("tasks.")])
@pytest.mark.usefixtures("here")
def test_a_row_of_python(names, row):
    made = eval(row, dict(names))
    assert isinstance(made, Task) or made.num_features > 0


@pytest.mark.parametrize("row", [row for row in ROWS if row.startswith("{")])
@pytest.mark.usefixtures("here")
def test_a_row_of_a_suite(row):
    task = tlzoo.load_task(yaml.safe_load(row))
    assert len(task.class_names) > 1 or len(task.targets) > 1


@pytest.mark.parametrize("suite", SUITES)
def test_a_suite_of_at_most_twelve_lines_gives_a_table_with_intervals(here, tmp_path, suite):
    assert len(SUITES[suite].splitlines()) <= 12
    (here / f"{suite}.yaml").write_text(SUITES[suite])
    run = open_suite(f"{suite}.yaml", store=tmp_path, seeds=2)
    run.run(InProcess())
    assert [failure.last_line for failure in run.failures()] == []
    assert len({cell.label for cell in run.plan.cells}) >= 3
    latex = run.render("latex")
    assert r"\begin{tabular}" in latex
    assert re.search(r"\[[^\]]*\d, [^\]]*\d\]", latex) or suite in ("plants", "unseen-plants")  # one run


def test_the_five_types_and_fine_tuning_are_on_the_page():
    kinds = [yaml.safe_load(block)["groups"][0]["kind"] for block in SUITES.values()]
    assert kinds == ["domain", "multitask", "episode", "zeroshot", "finetuning"]
    assert len(ROWS) >= 30
