import os
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from tlzoo.data import load_task
from tlzoo.data.pictures import ImageFiles


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
    assert batch.inputs.shape == (3, 32, 32, 3)  # half of the pictures have no more
    colors = batch.inputs[:, 16, 16]
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
    view = task.training_data({Sees.SOURCE_INPUTS, Sees.TARGET_INPUTS}, by="toy")
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
    with pytest.raises(ValueError, match="has no folders"):
        load_task("folder:photo->sketch", root=tmp_path)
    with pytest.raises(ValueError, match="is not a folder"):
        load_task("folder:photo->sketch", root=tmp_path / "none")


def test_other_classes_are_named(root):
    (root / "sketch/horse").mkdir()
    Image.new("RGB", (8, 8)).save(root / "sketch/horse/1.png")
    with pytest.raises(ValueError, match="differ in classes: horse in one alone"):
        load_task("folder:photo->sketch", root=root)


def test_a_domain_without_pictures(root):
    for file in (root / "sketch").glob("*/*.png"):
        file.unlink()
    with pytest.raises(ValueError, match="has no images"):
        load_task("folder:photo->sketch", root=root)


def test_a_file_that_is_no_picture_is_named(tmp_path):
    (tmp_path / "a.jpg").write_text("no picture")
    with pytest.raises(ValueError, match=r"a\.jpg cannot be read as an image"):
        ImageFiles([tmp_path / "a.jpg"])[np.array([0])]


def counts(root, name="folder:photo->sketch"):
    """Return how many pictures each class of the first domain has, all of them read."""
    task = load_task(name, root=root)
    sets = task.source_train, task.source_test
    for examples in sets:
        assert len(examples.batch(np.arange(len(examples))).inputs) == len(examples)
    return sum(np.bincount(examples.labels, minlength=task.num_classes) for examples in sets).tolist()


JUNK = [
    ".DS_Store",
    "cat/.DS_Store",
    "cat/._0.png",
    "cat/.hidden.png",
    "cat/Thumbs.db",
    "cat/desktop.ini",
    "cat/@eaDir/0.png",
    "cat/.ipynb_checkpoints/0-checkpoint.png",
    "__MACOSX/cat/._0.png",
    "__MACOSX/photo.png",
    "cat/__MACOSX/0.png",
    ".thumbnails/0.png",
    "$RECYCLE.BIN/0.png",
    "cat/readme.md",
    "cat/labels.csv",
    "cat/weights.h5",
    "cat/notes",
]


@pytest.mark.parametrize("name", JUNK)
def test_what_systems_and_people_leave_behind_is_no_picture(root, name):
    wanted = load_task("folder:photo->sketch", root=root).checksum
    file = root / "photo" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"\x89HDF\r\n\x1a\n" if file.suffix == ".h5" else b"\x00\x05\x16\x07 no picture")
    assert counts(root) == [5, 5]
    assert load_task("folder:photo->sketch", root=root).checksum == wanted
    assert load_task("folder:photo->sketch", root=root).class_names == ("cat", "dog")


def test_junk_beside_the_domains_is_no_domain(root):
    (root / "__MACOSX").mkdir()
    (root / ".git").mkdir()
    with pytest.raises(ValueError, match=r"unknown domain '__MACOSX'; .*photo"):
        load_task("folder:__MACOSX->photo", root=root)


SUFFIXES = "bmp gif jfif jp2 jpe jpeg JPG pbm pgm PNG pnm ppm TIF tiff webp".split()  # noqa: SIM905


@pytest.mark.parametrize("suffix", [*(f".{name}" for name in SUFFIXES), "", ".img", ".1"])
def test_pictures_of_any_format_count(root, suffix):
    formats = {"": "PNG", ".img": "JPEG", ".1": "PNG", ".jpe": "JPEG", ".jfif": "JPEG", ".jp2": "JPEG2000"}
    for number in range(5):
        file = root / f"photo/cat/{number}.png"
        with Image.open(file) as picture:
            shown = picture.convert("1") if suffix == ".pbm" else picture.copy()
            file.unlink()
            shown.save(file.with_suffix(suffix), format=formats.get(suffix))
    assert counts(root) == [5, 5]


@pytest.mark.parametrize("inside", ["a", "a/b", "train/2024"])
def test_pictures_in_folders_of_their_class_count(root, inside):
    folder = root / "photo/cat" / inside
    folder.mkdir(parents=True)
    for file in list((root / "photo/cat").glob("*.png"))[:3]:
        file.rename(folder / file.name)
    assert counts(root) == [5, 5]


def test_folders_that_are_links(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "pictures"
    (root / "photo/cat").rename(elsewhere)
    (root / "photo/cat").symlink_to(elsewhere)
    (elsewhere / "up").symlink_to(elsewhere)  # without end
    assert counts(root) == [5, 5]


def test_office_31_has_its_classes_one_folder_deeper(root):
    for name in ("cat", "dog"):
        (root / "photo/images").mkdir(exist_ok=True)
        (root / "photo" / name).rename(root / "photo/images" / name)
    assert counts(root) == [5, 5]
    assert load_task("folder:photo->sketch", root=root).class_names == ("cat", "dog")


def emptied(root):
    for file in (root / "photo/cat").iterdir():
        file.unlink()


def never_filled(root):
    for domain in ("photo", "sketch"):
        (root / domain / "cow").mkdir()


def of_hidden_files(root):
    emptied(root)
    (root / "photo/cat/._1.png").write_bytes(b"x")


def of_empty_folders(root):
    emptied(root)
    (root / "photo/cat/deeper/still").mkdir(parents=True)


def of_notes(root):
    emptied(root)
    (root / "photo/cat/1.txt").write_text("a cat")


@pytest.mark.parametrize(
    ("spoil", "name"),
    [(emptied, "cat"), (never_filled, "cow"), (of_hidden_files, "cat"), (of_empty_folders, "cat"), (of_notes, "cat")],
)
def test_a_class_without_pictures_is_named(root, spoil, name):
    spoil(root)
    with pytest.raises(ValueError, match=rf"photo/{name} has no images; fill it, or remove the folder"):
        load_task("folder:photo->sketch", root=root)


@pytest.mark.parametrize("link", ["photo/cat/new.png", "photo/cat/folder", "photo/bird", "else"])
def test_links_that_lead_nowhere_are_named(root, link):
    (root / link).symlink_to(root / "gone")
    with pytest.raises(ValueError, match=rf"{link} is a link to .*gone, which does not exist; fix or remove it"):
        load_task("folder:photo->sketch", root=root)


def test_pictures_outside_of_a_class_are_named(root):
    Image.new("RGB", (8, 8)).save(root / "photo/sheet.tif")
    with pytest.raises(ValueError, match=r"photo/sheet\.tif is in no class folder; move it into one"):
        load_task("folder:photo->sketch", root=root)


@pytest.mark.parametrize(
    "content", [b"", b"<html>404</html>", b"\x00\x05\x16\x07" * 20, b"\x89PNG\r\n\x1a\n" + b"\x00" * 30]
)
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_files_that_are_no_pictures_are_found_when_the_set_is_loaded(root, content, suffix):
    (root / f"sketch/dog/broken.{suffix}").write_bytes(content)
    with pytest.raises(ValueError, match=rf"sketch/dog/broken\.{suffix} cannot be read as an image"):
        load_task("folder:photo->sketch", root=root)


def shown(file, size=64):
    """Return the pixels that networks are given of a square picture."""
    return ImageFiles([file], size=size)[np.array([0])][0]


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm", "jp2"])
def test_sixteen_bits_of_gray_become_eight(tmp_path, suffix):
    deep = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (256, 1))
    Image.fromarray(deep).save(tmp_path / f"ramp.{suffix}")
    picture = shown(tmp_path / f"ramp.{suffix}", 256)
    np.testing.assert_allclose(picture[..., 0], np.tile(np.arange(256), (256, 1)), atol=1)
    assert (picture[..., :1] == picture).all()


def test_sixteen_bits_of_color_and_dark_pictures_keep_their_brightness(tmp_path):
    dark = np.full((64, 64), 257 * 3, dtype=np.uint16)
    Image.fromarray(dark).save(tmp_path / "dark.png")
    assert (shown(tmp_path / "dark.png") == 3).all()


@pytest.mark.parametrize("mode", ["I", "F"])
def test_values_without_a_known_range_are_refused(tmp_path, mode):
    Image.fromarray(np.ones((8, 8), dtype={"I": np.int32, "F": np.float32}[mode])).save(tmp_path / "x.tif")
    with pytest.raises(ValueError, match=rf"x\.tif .*mode {mode} have no known range; store 8 or 16 bits"):
        shown(tmp_path / "x.tif")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P"])
def test_what_is_transparent_is_white(tmp_path, mode):
    clear = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    if mode == "P":
        clear.convert("RGB").quantize(4).save(tmp_path / "clear.png", transparency=bytes([0] * 4))
    else:
        (clear if mode == "RGBA" else clear.convert("LA") if mode == "LA" else clear).save(tmp_path / "clear.png")
    assert (shown(tmp_path / "clear.png") == 255).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK"])
def test_other_modes_keep_their_colors(tmp_path, mode):
    suffix = "jpg" if mode == "CMYK" else "png"
    Image.new("RGB", (64, 64), "white").convert(mode).save(tmp_path / f"x.{suffix}")
    assert (shown(tmp_path / f"x.{suffix}") >= 253).all()


def test_of_an_animation_the_first_picture_is_read(tmp_path):
    frames = [Image.new("RGB", (64, 64), color) for color in ("white", "black")]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert (shown(tmp_path / "x.gif") > 250).all()


def replaced_by_another(file):
    Image.new("RGB", (32, 32), "white").save(file)


def replaced_with_its_times_kept(file):
    before = file.stat()
    replaced_by_another(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def moved_over(file):
    other = file.with_name("other.bmp")
    replaced_by_another(other)
    other.replace(file)


@pytest.mark.parametrize("change", [replaced_by_another, replaced_with_its_times_kept, moved_over])
@pytest.mark.parametrize("age", [0, 100])
def test_a_picture_replaced_by_one_of_equal_size_is_noticed(root, change, age):
    file = root / "photo/cat/0.bmp"
    Image.new("RGB", (32, 32), "red").save(file)
    if age:
        for path in root.rglob("*.*"):
            os.utime(path, (time.time() - age, time.time() - age))
    size, before = file.stat().st_size, load_task("folder:photo->sketch", root=root).checksum
    assert load_task("folder:photo->sketch", root=root).checksum == before
    change(file)
    assert file.stat().st_size == size
    assert load_task("folder:photo->sketch", root=root).checksum != before


def test_the_same_pictures_elsewhere_are_the_same_set(root, tmp_path_factory):
    copy = tmp_path_factory.mktemp("copy") / "set"
    shutil.copytree(root, copy)
    names = "folder:photo->sketch"
    assert load_task(names, root=copy).checksum == load_task(names, root=root).checksum
    (copy / "photo/cat/0.png").rename(copy / "photo/cat/9.png")
    assert load_task(names, root=copy).checksum != load_task(names, root=root).checksum


def test_a_picture_that_changes_after_loading_is_not_mistaken(root):
    task = load_task("folder:photo->sketch", root=root)
    for file in root.rglob("*.png"):
        Image.new("RGB", (60, 60)).save(file)
    with pytest.raises(ValueError, match="changed after the set was loaded; load it again"):
        task.source_train.batch(np.array([0]))
