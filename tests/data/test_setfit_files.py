"""SetFit's sets on small generated copies of their files."""

import json

import numpy as np
import pytest

from tlzoo.data import load_task
from tlzoo.data.datasets import setfit_files
from tlzoo.data.datasets.setfit_files import DRAWS
from tlzoo.data.readers import Columns
from tlzoo.errors import InputError

COUNTS = {"train": (9, 5, 6), "test": (2, 4, 1)}
NAMES = ("sad", "glad", "mad")


def rows(part):
    """Return texts whose first word is their class; classes are mixed."""
    all_rows = [
        {"text": f"{NAMES[label]} {part} {number}", "label": label, "label_text": NAMES[label]}
        for label, count in enumerate(COUNTS[part])
        for number in range(count)
    ]
    return [all_rows[place] for place in np.random.default_rng(0).permutation(len(all_rows))]


@pytest.fixture(params=[".jsonl", ".json"])
def root(request, tmp_path):
    (tmp_path / "emotion").mkdir()
    for part in COUNTS:
        content = "\n".join(map(json.dumps, rows(part))) + "\n" if request.param == ".jsonl" else json.dumps(rows(part))
        (tmp_path / f"emotion/{part}{request.param}").write_text(content)
    return tmp_path


def test_every_draw_is_asked_for_the_whole_test_set(root):
    task = load_task("setfit:emotion", root=root)
    assert task.class_names == NAMES
    assert (task.way, task.shot, task.query) == (3, 5, 1)
    assert (len(task.listed), task.listed.shot) == (DRAWS, 5)
    assert not len(task.base)
    supports = set()
    for place in range(DRAWS):
        support, labels, query, answers = task.listed[place]
        texts = task.novel.inputs[support]
        assert [text.split()[0] for text in texts] == [NAMES[label] for label in labels]
        assert all(" train " in text for text in texts)
        asked = task.novel.inputs[query]
        assert [text.split()[0] for text in asked] == [NAMES[label] for label in answers]
        assert sorted(asked) == sorted(row["text"] for row in rows("test"))
        supports.add(tuple(support))
    assert len(supports) == DRAWS
    few, many = task.listed.with_shot(2), task.listed
    assert {*few.episodes.support[0].tolist()} < {*many.episodes.support[0].tolist()}


ROW = '{"text": "glad", "label": 1}'


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (f'{ROW}\n{{"text": "sad", "label": "sad"}}', r"the labels of .* are \[1, 'sad'.*expected numbers alone"),
        ('{"text": "sad", "label": [1]}', r"row 1: .*expected a text and a label that is"),
        (f"{ROW}\n{ROW[:-4]}", r"train\.jsonl has a line that is no JSON"),
        (ROW.replace("glad", "caf\u00e9").encode("latin-1"), r"train\.jsonl is no text in UTF-8"),
    ],
)
def test_odd_lines_are_named(tmp_path, train, message):
    (tmp_path / "train.jsonl").write_bytes(train if isinstance(train, bytes) else train.encode())
    (tmp_path / "test.jsonl").write_text(ROW)
    with pytest.raises(InputError, match=message):
        load_task("setfit:emotion", root=tmp_path)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    for part, others in (("train", '{"text": "sad", "label": 0}\n'), ("test", "")):
        (tmp_path / f"{part}.jsonl").write_text(others + ROW, encoding="utf-8-sig")
    assert load_task("setfit:emotion", root=tmp_path).novel.inputs[np.array([0])].tolist() == ["sad"]


def test_a_folder_of_datasets(tmp_path, monkeypatch):
    """Its classes have names instead of numbers; what reads the folder has a test of its own."""
    columns = {"text": ["a", "b", "c", "d"], "label": ["mad", "glad", "glad", "mad"]}
    saved = Columns(tmp_path, {**columns, "split": ["train", "train", "test", "test"]})
    monkeypatch.setattr(setfit_files, "read_columns", lambda _: saved)
    (tmp_path / "sst5").mkdir()
    (tmp_path / "sst5/dataset_dict.json").touch()
    task = load_task("setfit:sst5", root=tmp_path)
    assert task.class_names == ("glad", "mad")
    assert task.novel.labels.tolist() == [1, 0, 0, 1]
    assert task.listed[0].query.tolist() == [2, 3]


def test_what_is_missing_or_odd_is_named(tmp_path):
    with pytest.raises(
        ValueError, match=r"has no train\.jsonl; cr is to be had from https://huggingface\.co/datasets/SetF"
    ):
        load_task("setfit:cr", root=tmp_path)
    with pytest.raises(ValueError, match=r"give root \(--root\), the folder that holds train\.jsonl and test\.jsonl"):
        load_task("setfit:cr")
    (tmp_path / "train.jsonl").write_text('{"text": "a", "label": 0}\n{"text": "b"}\n')
    with pytest.raises(ValueError, match=r"train\.jsonl, row 2: \{'text': 'b'\}; expected a text and a label"):
        load_task("setfit:cr", root=tmp_path)
    (tmp_path / "train.jsonl").write_text("no json")
    with pytest.raises(ValueError, match=r"train\.jsonl has a line that is no JSON"):
        load_task("setfit:cr", root=tmp_path)
    (tmp_path / "train.jsonl").write_text('{"text": "a", "label": 0}')
    (tmp_path / "test.jsonl").write_text('{"text": "a", "label": 1}')
    with pytest.raises(ValueError, match="class 1 of cr has no training text"):
        load_task("setfit:cr", root=tmp_path)
