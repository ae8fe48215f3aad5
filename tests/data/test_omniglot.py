import numpy as np
import pytest
import yaml
from PIL import Image

import tlzoo
from tlzoo import load_task
from tlzoo.bench.suite_reader import find_suite
from tlzoo.data.datasets.omniglot import _VINYALS_TEST, _VINYALS_VALIDATION, SIZE

CHARACTERS = 6
DRAWERS = 7


def draw(file, place, *, noise=0):
    """Write a black stroke on white, as Lake's files are, at a place of its own."""
    pixels = np.full((105, 105), 255, dtype=np.uint8)
    pixels[10 + 7 * place : 17 + 7 * place, 20 : 80 + noise] = 0
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert("1").save(file)


def write_alphabets(folder, names):
    for name in names:
        for character in range(CHARACTERS):
            for drawer in range(DRAWERS):
                file = folder / name / f"character{character + 1:02}" / f"{character:04}_{drawer + 1:02}.png"
                draw(file, character, noise=drawer)


def write_runs(folder, *, runs=3, way=5):
    for number in range(1, runs + 1):
        run = folder / f"run{number:02}"
        answers = np.random.default_rng(number).permutation(way)
        lines = []
        for place, answer in enumerate(answers):
            draw(run / "training" / f"class{place + 1:02}.png", place + number)
            draw(run / "test" / f"item{place + 1:02}.png", answer + number, noise=3)
            lines.append(f"{run.name}/test/item{place + 1:02}.png {run.name}/training/class{answer + 1:02}.png\n")
        (run / "class_labels.txt").write_text("".join(lines))


@pytest.fixture
def root(tmp_path):
    write_alphabets(tmp_path / "images_background", [f"Alphabet_{place}" for place in range(5)])
    write_alphabets(tmp_path / "images_evaluation", ["Novel_0", "Novel_1"])
    write_runs(tmp_path / "all_runs")
    return tmp_path


def test_whole_alphabets_are_base_validation_or_novel(root):
    task = load_task("omniglot", root=root)
    alphabets = {name: set(part.attributes["alphabet"].tolist()) for name, part in task.sets().items()}
    assert {name: len(found) for name, found in alphabets.items()} == {"base": 4, "validation": 1, "novel": 2}
    assert not alphabets["base"] & alphabets["validation"]
    assert task.num_classes == 7 * CHARACTERS
    assert [len(part) for part in task.sets().values()] == [4 * 42, 42, 2 * 42]
    novel = task.novel.labels[task.novel.attributes["alphabet"] == "Novel_1"]
    assert task.class_names[novel.min()] == "Novel_1/character01"


def test_strokes_are_white_on_black(root):
    picture = load_task("omniglot", root=root).base.inputs[np.array([0])][0]
    assert picture.shape == (SIZE, SIZE, 1)
    assert picture.dtype == np.uint8
    assert picture[0, 0, 0] == 0
    assert picture.max() == 255


def test_a_folder_in_the_folder_is_found(root, tmp_path_factory):
    outer = tmp_path_factory.mktemp("outer")
    (outer / "omniglot-py").symlink_to(root)
    assert load_task("omniglot", root=outer).checksum == load_task("omniglot", root=root).checksum


def test_runs_are_the_episodes_of_the_test(root):
    task = load_task("omniglot-oneshot", root=root)
    listed = task.listed
    assert (len(listed), listed.way, listed.shot, listed.query) == (3, 5, 1, 1)
    for place in range(3):
        support, _, query, answers = listed[place]
        for number, picture in enumerate(query):
            right = support[answers[number]]
            assert task.novel.labels[picture] == task.novel.labels[right]
            # the same stroke, drawn a little longer
            rows = [task.novel.inputs[np.array([index])][0, :, 10, 0].argmax() for index in (picture, right)]
            assert rows[0] == rows[1]
    assert sorted(task.novel.labels[listed[0].support]) != sorted(task.novel.labels[listed[1].support])


def test_training_episodes_keep_to_an_alphabet(root):
    task = load_task("omniglot-oneshot", root=root)
    episodes = task.episodes("base", seed=0).stack(0, 20)
    drawn = task.base.attributes["alphabet"][episodes.support]
    assert all(len(set(row)) == 1 for row in drawn.tolist())


def test_the_runs_are_part_of_the_identity(root):
    before = load_task("omniglot-oneshot", root=root).checksum
    labels = root / "all_runs" / "run01" / "class_labels.txt"
    lines = labels.read_text().splitlines()
    swapped = [f"{a.split()[0]} {b.split()[1]}" for a, b in zip(lines, [lines[1], lines[0], *lines[2:]], strict=True)]
    labels.write_text("\n".join(swapped))
    assert load_task("omniglot-oneshot", root=root).checksum != before


@pytest.fixture
def whole(tmp_path, monkeypatch):
    """The alphabets of the published lists, with a character of three drawings each; of Gurmukhi, five."""
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path / "home"))
    alphabets = sorted({"Greek", "Latin", "Gurmukhi"} | _VINYALS_VALIDATION | _VINYALS_TEST)
    for place, alphabet in enumerate(alphabets):
        folder = tmp_path / ("images_background" if place % 2 else "images_evaluation") / alphabet
        for character in range(41, 46) if alphabet == "Gurmukhi" else [1]:
            for drawer in range(3):
                draw(folder / f"character{character:02}" / f"{drawer}.png", place % 12, noise=drawer)
    return tmp_path


def test_vinyals_split_in_four_rotations(whole):
    task = load_task("omniglot-vinyals", root=whole)
    # Greek, Latin and the first character of Gurmukhi; five alphabets; twelve and four characters of Gurmukhi
    assert [len(part) for part in task.sets().values()] == [3 * 4 * 3, 5 * 4 * 3, 16 * 4 * 3]
    base, validation, novel = ({task.class_names[label] for label in part.labels} for part in task.sets().values())
    assert base == {
        f"{character}/rot{degrees:03}"
        for character in ("Greek/character01", "Latin/character01", "Gurmukhi/character41")
        for degrees in (0, 90, 180, 270)
    }
    assert "Hebrew/character01/rot090" in validation
    assert {f"Gurmukhi/character{number}/rot270" for number in range(42, 46)} < novel
    pictures = {
        task.class_names[label]: task.base.inputs[np.array([at])][0] for at, label in enumerate(task.base.labels)
    }
    for turns in range(4):
        turned = pictures[f"Greek/character01/rot{90 * turns:03}"]
        np.testing.assert_array_equal(turned, np.rot90(pictures["Greek/character01/rot000"], turns))
    next(whole.glob("*/Tengwar")).rename(whole / "gone")
    with pytest.raises(ValueError, match=r"has no Tengwar in images_background or images_evaluation; .*brendenlake"):
        load_task("omniglot-vinyals", root=whole)


def test_the_suite_of_the_vinyals_split_runs_in_small(whole):
    suite = yaml.safe_load(find_suite("omniglot-vinyals").read_text(encoding="utf-8"))
    assert all(group["module"]["train_shot"] == group["budget"]["shot"] for group in suite["groups"])
    suite["groups"], suite["seeds"] = suite["groups"][:1], 1
    (group,) = suite["groups"]
    del group["methods"][1:]
    group["budget"] |= {"way": 4, "query": 1, "episodes": 4, "backbone_steps": 2}
    group["module"] |= {"train_way": 6, "train_query": 1}
    group["module"]["backbone_settings"] |= {"width": 4}
    run = tlzoo.run_suite(suite, store=whole / "store", root=whole, executor="in_process", progress=False)
    assert not run.failures(), run.failures()[0].traceback
    assert len(run.to_dataframe()) == 1
    assert "Snell et al., NeurIPS 2017" in run.render("markdown")


@pytest.mark.parametrize(
    ("task", "spoil", "message"),
    [
        ("omniglot", lambda root: (root / "images_evaluation").rename(root / "other"), "has no folder images_eval"),
        (
            "omniglot-oneshot",
            lambda root: (root / "all_runs").rename(root.parent / "gone"),
            "has no class_labels.txt",
        ),
        (
            "omniglot-oneshot",
            lambda root: (root / "all_runs/run02/test/item03.png").unlink(),
            "names .*item03.png, which does not exist",
        ),
        (
            "omniglot-oneshot",
            lambda root: (root / "all_runs/run02/class_labels.txt").write_text("one two three\n"),
            "expected lines with a test and a training image",
        ),
        (
            "omniglot-oneshot",
            lambda root: write_runs(root / "more", runs=1, way=4),
            r"have \[\(4, 4\), \(5, 5\)\] training and test images",
        ),
        (
            "omniglot",
            lambda root: next((root / "images_background").rglob("*.png")).write_bytes(b"no picture"),
            "cannot be read as an image",
        ),
    ],
)
def test_what_is_wrong_with_a_folder_is_said(root, task, spoil, message):
    spoil(root)
    with pytest.raises(ValueError, match=message):
        load_task(task, root=root)


def test_an_empty_folder_is_an_error(root):
    for character in sorted((root / "images_background").glob("*/*")):
        for file in character.iterdir():
            file.unlink()
    with pytest.raises(ValueError, match=r"has no alphabet/character/\*\.png"):
        load_task("omniglot", root=root)


@pytest.mark.parametrize("task", ["omniglot", "omniglot-vinyals", "omniglot-oneshot"])
def test_root_is_asked_for(task):
    with pytest.raises(ValueError, match=rf"{task} is read from disk; give root \(--root\), the folder that holds"):
        load_task(task)
