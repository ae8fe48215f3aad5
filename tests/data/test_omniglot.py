import numpy as np
import pytest
from PIL import Image

from tlzoo import load_task
from tlzoo.data.datasets.omniglot import SIZE

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


@pytest.mark.parametrize("task", ["omniglot", "omniglot-oneshot"])
def test_root_is_asked_for(task):
    with pytest.raises(ValueError, match=rf"{task} is read from disk; give root \(--root\), the folder that holds"):
        load_task(task)
