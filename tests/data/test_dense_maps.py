"""NYUv2, Cityscapes and Office as multitask sets on small generated copies of their layouts; and suites, in small."""

import numpy as np
import pytest
import yaml
from PIL import Image

import tlzoo
from tlzoo.bench.suite_reader import find_suite
from tlzoo.data import load_task

COUNTS = {"train": 10, "val": 3}
SIZE = (6, 8)


@pytest.fixture
def nyuv2(tmp_path, monkeypatch):
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path / "home"))
    random = np.random.default_rng(0)
    for part, count in COUNTS.items():
        for number in range(count):
            normal = random.normal(size=(*SIZE, 3)).astype(np.float32)
            picture = random.random((*SIZE, 3)).astype(np.float32)
            picture[0, 0] = number / 255
            arrays = {
                "image": picture,
                "label": random.integers(-1, 7, size=SIZE).astype(np.float32),
                "depth": np.where(random.random((*SIZE, 1)) < 0.3, 0, 1 + number).astype(np.float32),
                "normal": normal / np.linalg.norm(normal, axis=-1, keepdims=True),
            }
            for kind, array in arrays.items():
                (tmp_path / part / kind).mkdir(parents=True, exist_ok=True)
                np.save(tmp_path / part / kind / f"{number}.npy", array)
    return tmp_path


def test_nyuv2(nyuv2):
    task = load_task("nyuv2", root=nyuv2)
    assert {name: len(part) for name, part in task.sets().items()} == {"train": 9, "validation": 1, "test": 3}
    assert {name: part.shape for name, part in task.test.targets.items()} == {
        "segmentation": (3, 6, 8),
        "depth": (3, 6, 8),
        "normal": (3, 3, 6, 8),
    }
    assert task.test.inputs[np.arange(3)][:, 0, 0, 0].tolist() == [0, 1, 2]  # 10.npy does not come before 2.npy
    assert task.test.targets["segmentation"].min() == -1
    depth = task.test.targets["depth"]
    assert np.isnan(depth).any()
    assert np.nanmax(depth[2]) == np.nanmin(depth[2]) == 3
    np.testing.assert_allclose(np.linalg.norm(task.test.targets["normal"], axis=1), 1, rtol=1e-5)
    assert load_task("nyuv2", root=nyuv2).checksum == task.checksum


def test_what_is_missing_or_odd_is_named(nyuv2):
    with pytest.raises(ValueError, match=r"give root \(--root\), the folder that holds train/ and val/ of Cityscapes"):
        load_task("cityscapes")
    np.save(nyuv2 / "val/depth/2.npy", np.ones((3, 3, 1)))
    with pytest.raises(ValueError, match=r"2\.npy has shape \(3, 3\), others \(6, 8\)"):
        load_task("nyuv2", root=nyuv2)
    (nyuv2 / "val/depth/2.npy").unlink()
    with pytest.raises(ValueError, match=r"val has \[2, 3\] files of each kind"):
        load_task("nyuv2", root=nyuv2)
    for file in (nyuv2 / "val/depth").iterdir():
        file.unlink()
    with pytest.raises(ValueError, match=r"depth has no 0\.npy.*LibMTL, examples/nyu"):
        load_task("nyuv2", root=nyuv2)


@pytest.fixture
def office_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path / "home"))
    for place, domain in enumerate(("Art", "Clipart", "Product", "Real World")):
        for label in ("bike", "mug"):
            for number in range(5):
                file = tmp_path / "data" / domain / label / f"{number}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (8, 8), (50 * place, 100 * (label == "mug"), number)).save(file)
    return tmp_path / "data"


def test_every_picture_has_a_label_for_the_task_of_its_domain(office_home):
    task = load_task("office_home-tasks", root=office_home)
    assert list(task.targets) == ["Art", "Clipart", "Product", "Real_World"]
    assert [len(part) for part in task.sets().values()] == [24, 8, 8]
    files = [file for part in task.sets().values() for file in part.detached().inputs.files]
    assert len({*files}) == 40
    pixels = task.train.inputs[np.arange(24)][:, 0, 0]
    for place, (domain, labels) in enumerate(task.train.targets.items()):
        own = pixels[:, 0] == 50 * place
        assert (labels[~own] == -1).all()
        assert [task.targets[domain].names[label] for label in labels[own]] == [
            "mug" if green else "bike" for green in pixels[own, 1]
        ]


def test_lists_of_libmtl_go_first(office_home):
    for domain, folder in (
        ("Art", "Art"),
        ("Clipart", "Clipart"),
        ("Product", "Product"),
        ("Real_World", "Real World"),
    ):
        for part, numbers in (("train", (0, 1, 2)), ("val", (3,)), ("test", (4,))):
            lines = [
                f"{folder}/{label}/{n}.png {place}" for place, label in enumerate(("bike", "mug")) for n in numbers
            ]
            (office_home / f"{domain}_{part}.txt").write_text("\n".join(lines))
    task = load_task("office_home-tasks", root=office_home)
    assert {file.stem for file in task.test.detached().inputs.files} == {"4"}


SMALL = {
    "timm": ("timm:test_resnet", {"pretrained": False}),
    "segnet": ("segnet", {"widths": [4, 4, 4, 4, 4]}),
}
"""Network of a group -> a small one, and its settings."""


@pytest.mark.parametrize("name", ["nyuv2", "cityscapes", "office-home-multitask"])
def test_suites_run_in_small(name, request, tmp_path):
    suite = yaml.safe_load(find_suite(name).read_text(encoding="utf-8"))
    dense = name != "office-home-multitask"
    for group in suite["groups"]:
        backbone, settings = SMALL[group["backbones"][0].partition(":")[0]]
        further = [row for row in group["methods"] if row["label"] in ("cross-stitch", "PCGrad (MTAN)")]
        group["methods"] = [*group["methods"][:2], *(further if name == "nyuv2" else ())]
        group["methods"][1]["candidates"]["weights"] = group["methods"][1]["candidates"]["weights"][:2]
        group |= {"backbones": [backbone], "budget": {"steps": 1, "batch_size": 4}}
        given = group["module"].get("backbone_settings", {})
        group["module"]["backbone_settings"] = {**given, **settings, "image_size": [32, 48] if dense else 64}
    suite["seeds"] = 1
    root = request.getfixturevalue("nyuv2" if dense else "office_home")
    run = tlzoo.run_suite(suite, store=tmp_path / "store", root=root, executor="in_process", progress=False)
    assert not run.failures(), run.failures()[0].traceback
    frame = run.to_dataframe()
    assert len(frame) == {"nyuv2": 6, "cityscapes": 4, "office-home-multitask": 2}[name]
    assert all(frame[column].notna().all() for column in suite["groups"][0]["columns"])
