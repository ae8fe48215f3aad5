import numpy as np
import pytest
from PIL import Image

from tlzoo.data import load_task
from tlzoo.data.datasets.folders import ImageFiles


@pytest.fixture
def root(tmp_path):
    for place, domain in enumerate(("photo", "sketch")):
        for label, name in enumerate(("cat", "dog")):
            folder = tmp_path / domain / name
            folder.mkdir(parents=True)
            for number in range(5):
                color = (place * 100, label * 100, number * 10)
                Image.new("RGB", (30 + number, 40), color).save(folder / f"{number}.png")
            (folder / "notes.txt").write_text("no picture")
    return tmp_path


def test_a_set_on_disk(root):
    task = load_task("folder:photo->sketch", root=root)
    assert task.class_names == ("cat", "dog")
    assert {name: len(examples) for name, examples in task.sets().items()} == {
        "source_train": 7,
        "source_test": 3,
        "target_train": 7,
        "target_test": 3,
    }
    batch = task.target_test.batch(np.arange(3))
    assert batch.inputs.shape == (3, 224, 224, 3)
    colors = batch.inputs[:, 100, 100]
    assert (colors[:, 0] == 100).all()
    assert colors[:, 1].tolist() == [100 * label for label in batch.labels.tolist()]


def test_the_split_is_fixed_and_disjoint(root):
    task = load_task("folder:photo->sketch", root=str(root))
    train, test = (
        {f.relative_to(root) for f in part.detached().inputs.files} for part in (task.source_train, task.source_test)
    )
    assert len(train | test) == 10
    assert load_task("folder:photo->sketch", root=root).checksum == task.checksum


def test_the_checksum_sees_another_file(root):
    before = load_task("folder:photo->sketch", root=root).checksum
    Image.effect_noise((50, 50), 90).save(root / "photo/cat/0.png")
    assert load_task("folder:photo->sketch", root=root).checksum != before


def test_a_view_holds_the_files_of_its_own_set(root):
    from tlzoo.types import Sees

    task = load_task("folder:photo->sketch", root=root)
    view = task.view({Sees.SOURCE_INPUTS, Sees.TARGET_INPUTS}, by="toy")
    assert len(view.target.inputs.files) == 7
    assert view.target.batch(np.array([0])).labels is None


def test_the_shorter_side_is_resized_and_the_middle_cut_out(tmp_path):
    wide = np.zeros((10, 40, 3), dtype=np.uint8)
    wide[:, 15:25] = 255
    Image.fromarray(wide).save(tmp_path / "wide.png")
    read = ImageFiles([tmp_path / "wide.png"], size=20)
    assert (read[np.array([0])] > 200).all()
    assert read[np.empty(0, dtype=np.int64)].shape == (0, 20, 20, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("folder:photo->scetch", "unknown domain 'scetch'; did you mean 'sketch'"),
        ("folder:photo", "names no two domains; write folder:SOURCE->TARGET"),
        ("folder:photo->photo", "names no two domains"),
    ],
)
def test_unknown_domains(root, name, message):
    with pytest.raises(ValueError, match=message):
        load_task(name, root=root)


def test_root_is_asked_for(tmp_path):
    with pytest.raises(ValueError, match="is read from disk; give root"):
        load_task("folder:photo->sketch")
    with pytest.raises(ValueError, match="holds no folders"):
        load_task("folder:photo->sketch", root=tmp_path)
    with pytest.raises(ValueError, match="is not a folder"):
        load_task("folder:photo->sketch", root=tmp_path / "none")


def test_other_classes_are_named(root):
    (root / "sketch/horse").mkdir()
    with pytest.raises(ValueError, match="differ in classes: horse in one alone"):
        load_task("folder:photo->sketch", root=root)


def test_a_domain_without_pictures(root):
    for file in (root / "sketch").glob("*/*.png"):
        file.unlink()
    with pytest.raises(ValueError, match="holds no pictures"):
        load_task("folder:photo->sketch", root=root)


def test_a_file_that_is_no_picture_is_named(tmp_path):
    (tmp_path / "a.jpg").write_text("no picture")
    with pytest.raises(ValueError, match=r"a\.jpg cannot be read as a picture"):
        ImageFiles([tmp_path / "a.jpg"])[np.array([0])]
