"""On a small generated copy of torchvision's files: five pictures with three attributes."""

import numpy as np
import pytest
from PIL import Image

from tlzoo.data import load_task
from tlzoo.errors import InputError

ROWS = {"1.jpg": "-1 1 -1", "2.jpg": "1 -1 -1", "3.jpg": "1 1 -1", "4.jpg": "-1 -1 1", "5.jpg": "1  1  1"}
PARTS = {"1.jpg": 0, "2.jpg": 0, "3.jpg": 0, "4.jpg": 1, "5.jpg": 2}


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path / "home"))
    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    for place, name in enumerate(ROWS):
        Image.new("RGB", (8, 10), (40 * place, 0, 0)).save(folder / "img_align_celeba" / name, quality=95)
    lines = ["5", "Bald Eyeglasses Smiling ", *(f"{name} {marks}" for name, marks in ROWS.items())]
    (folder / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
    (folder / "list_eval_partition.txt").write_text("".join(f"{name} {part}\n" for name, part in PARTS.items()))
    return tmp_path


def test_forty_attributes_are_tasks(root):
    task = load_task("celeba", root=root)
    assert list(task.targets) == ["Bald", "Eyeglasses", "Smiling"]
    assert [len(part) for part in task.sets().values()] == [3, 1, 1]
    assert {name: labels.tolist() for name, labels in task.train.targets.items()} == {
        "Bald": [0, 1, 1],
        "Eyeglasses": [1, 0, 1],
        "Smiling": [0, 0, 0],
    }
    pictures = task.test.inputs[np.array([0])]
    assert pictures.shape == (1, 64, 64, 3)
    assert abs(int(pictures[0, 0, 0, 0]) - 160) < 5
    assert load_task("celeba", root=root / "celeba").checksum == task.checksum


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("list_attr_celeba.txt", None, "", r"lists 0 pictures, says ''"),
        ("list_attr_celeba.txt", "-1 1 -1", "-1 x -1", r"a mark of 1\.jpg is neither -1 nor 1"),
        ("list_eval_partition.txt", "1.jpg 0", "1.jpg", r"has a line '1\.jpg'; expected a picture and 0, 1 or 2"),
        ("list_eval_partition.txt", "1.jpg 0", "1.jpg 9", r"has a line '1\.jpg 9'"),
    ],
)
def test_odd_lists_are_named(root, file, old, new, message):
    whole = (root / "celeba" / file).read_text()
    (root / "celeba" / file).write_text(new if old is None else whole.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        load_task("celeba", root=root)


def test_what_is_missing_or_odd_is_named(root):
    folder = root / "celeba"
    (folder / "img_align_celeba/5.jpg").unlink()
    with pytest.raises(ValueError, match=r"5\.jpg is missing; CelebA is to be had from https://mmlab"):
        load_task("celeba", root=root)
    lists = folder / "list_attr_celeba.txt"
    whole = lists.read_text()
    lists.write_text(whole.replace("4.jpg -1 -1 1", "4.jpg -1 -1"))
    with pytest.raises(ValueError, match=r"4\.jpg has 2 marks; expected 3"):
        load_task("celeba", root=root)
    lists.write_text(whole.replace("4.jpg -1 -1 1\n", ""))
    with pytest.raises(ValueError, match=r"lists 4 pictures, says '5', and list_eval_partition\.txt lists 5"):
        load_task("celeba", root=root)
    (folder / "list_eval_partition.txt").unlink()
    with pytest.raises(ValueError, match=r"list_eval_partition\.txt is missing; CelebA is to be had from"):
        load_task("celeba", root=root)
    with pytest.raises(ValueError, match=r"give root \(--root\), the folder that holds img_align_celeba/"):
        load_task("celeba")
