import numpy as np
import pytest

from tlzoo import load_task
from tlzoo.data.datasets import glyphs as module
from tlzoo.data.datasets.glyphs import SCRIPTS, SIZE, common_letters, glyphs


@pytest.fixture(scope="module")
def task():
    return load_task("glyphs")


def test_scripts_are_split_and_letters_have_two_pictures_a_font(task):
    assert {name: len(np.unique(part.labels)) for name, part in task.sets().items()} == {
        "base": 843,
        "validation": 260,
        "novel": 113,
    }
    for name, part in task.sets().items():
        assert {SCRIPTS[script] for script in part.attributes["script"].tolist()} == {name}
        assert set(np.bincount(part.labels)[np.unique(part.labels)].tolist()) == {24}
        assert set(np.bincount(part.domains).tolist()) == {2 * len(np.unique(part.labels))}
    assert task.class_names[task.novel.labels[0]] == "armenian capital letter ayb"


def test_pictures_are_gray_and_none_is_empty_or_cut_off(task):
    for part in task.sets().values():
        pictures = part.inputs[np.arange(0, len(part), 7)]
        assert pictures.shape[1:] == (SIZE, SIZE, 1)
        assert pictures.dtype == np.uint8
        assert (pictures.max(axis=(1, 2, 3)) > 100).all()
        border = np.concatenate([pictures[:, 0], pictures[:, -1], pictures[:, :, 0], pictures[:, :, -1]], axis=1)
        assert (border.max(axis=(1, 2)) > 0).mean() < 0.05


def test_variants_of_a_font_differ(task):
    pictures = task.novel.inputs[np.arange(24)].reshape(12, 2, -1)
    assert (pictures[:, 0] != pictures[:, 1]).any(axis=1).all()


def test_episodes_keep_to_a_script_and_queries_to_other_fonts(task):
    episodes = task.episodes(seed=0, way=20).stack(0, 20)
    scripts = task.novel.attributes["script"][episodes.support]
    assert (scripts == scripts[:, :1]).all()
    assert len(set(scripts[:, 0].tolist())) == 2
    for support, labels, query, answers in zip(*episodes, strict=True):
        for way in range(20):
            assert not set(task.novel.domains[support[labels == way]]) & set(task.novel.domains[query[answers == way]])


def test_letters_that_are_drawn_as_earlier_ones_are_left_out(task):
    names = set(task.class_names)
    assert "latin capital letter a" in names
    assert not {"greek capital letter alpha", "cyrillic capital letter a"} & names
    assert len(names) == task.num_classes


def test_drawing_again_gives_the_same_pixels(task, tmp_path, monkeypatch):
    few = {script: codes[:4] for script, codes in common_letters(module._fonts()).items()}
    monkeypatch.setattr(module, "common_letters", lambda _: few)
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        module._make(tmp_path / folder)
    first, second = (np.load(tmp_path / folder / "pictures.npy") for folder in ("first", "second"))
    assert len(first) > 10 * 24
    np.testing.assert_array_equal(first, second)
    assert glyphs("glyphs").checksum == task.checksum
