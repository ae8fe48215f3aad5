"""Published picture sets on small generated copies of their layouts; and their suites, in small."""

import numpy as np
import pytest
import yaml
from PIL import Image

import tlzoo
from tlzoo.bench.suite_reader import find_suite
from tlzoo.data import load_task
from tlzoo.data.datasets.image_domains import SIZE
from tlzoo.data.image_sets import IMAGE_SETS

PER_CLASS = 3


def draw(file, place, number):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 9), (place % 251, 10 * number, 0)).save(file)


def copy(root, domains, names, inside="", *, count=PER_CLASS):
    """Write a domain set; the color of a picture tells its class."""
    for domain in domains:
        for place, name in enumerate(names):
            for number in range(count):
                draw(root / domain / inside / name / f"{number}.png", place, number)
    return root


def named(count):
    return [f"class_{place:02}" for place in range(count)]


OFFICE_31 = [*IMAGE_SETS["office31"].partial, *(f"x{place:02}" for place in range(21))]


@pytest.fixture(scope="module")
def office31(tmp_path_factory):
    return copy(tmp_path_factory.mktemp("office31"), ("amazon", "webcam"), OFFICE_31, "images")


@pytest.fixture(scope="module")
def office_home(tmp_path_factory):
    return copy(tmp_path_factory.mktemp("home"), ("Art", "Real World"), named(30))


def test_office_31(office31):
    task = load_task("office31:amazon->webcam", root=office31)
    assert task.class_names == tuple(sorted(OFFICE_31))
    assert task.mirrored
    assert len(task.source_train) + len(task.source_test) == 31 * PER_CLASS
    whole = load_task("office31:amazon->webcam:literature", root=office31)
    assert whole.transductive
    assert len(whole.target_train) == len(whole.target_test) == 31 * PER_CLASS
    batch = whole.target_test.batch(np.arange(0, 93, 10))
    assert batch.inputs.shape == (10, SIZE, SIZE, 3)
    assert batch.inputs[:, 0, 0, 0].tolist() == [OFFICE_31.index(whole.class_names[label]) for label in batch.labels]


def test_the_whole_picture_is_squeezed(tmp_path):
    """Published code resizes both sides; nothing is cut off before the crop."""
    from tlzoo.data.pictures import ImageFiles

    wide = np.zeros((4, 16, 3), dtype=np.uint8)
    wide[:, 8:] = 255
    Image.fromarray(wide).save(tmp_path / "wide.png")
    reader = ImageFiles([tmp_path / "wide.png"], size=8, whole=True)
    for read in (reader, reader.take(np.array([0]))):
        (row,) = read[np.array([0])][:, 0, :, 0]
        assert row.tolist() == sorted(row.tolist())
        assert (row[:3].max(), row[5:].min()) == (0, 255)


def test_partial_and_open_office_31(office31):
    task = load_task("office31:amazon->webcam:partial:literature", root=office31)
    kept = {task.class_names[label] for label in task.target_test.labels}
    assert kept == set(IMAGE_SETS["office31"].partial)
    assert len(set(task.source_train.labels)) == 31
    task = load_task("office31:amazon->webcam:open:literature", root=office31)
    assert task.unknown == 20
    assert task.class_names == (*sorted(OFFICE_31)[:20], "unknown")
    assert sorted(set(task.source_train.labels)) == list(range(20))
    assert np.bincount(task.target_test.labels).tolist() == [PER_CLASS] * 20 + [11 * PER_CLASS]


def test_universal_office_31(office31):
    task = load_task("office31:amazon->webcam:universal:literature", root=office31)
    shared, others = IMAGE_SETS["office31"].shared, sorted(f"x{place:02}" for place in range(21))
    assert task.unknown == 20
    assert task.class_names == (*sorted({*shared, *others[:10]}), "unknown")
    assert {*task.source_train.labels} == {*range(20)}
    found = {task.class_names[label] for label in task.target_test.labels}
    assert found == {*shared, "unknown"}
    assert (task.target_test.labels == 20).sum() == 11 * PER_CLASS


def test_office_home_by_another_spelling_of_a_folder_with_the_first_25_classes(office_home):
    task = load_task("office_home:Art->Real_World:partial", root=office_home)
    assert set(task.target_test.labels) <= set(range(25))
    assert load_task("office_home:Art->Real_World:open", root=office_home).unknown == 25


def test_visda_counts_the_mean_over_classes(tmp_path):
    known = ("aeroplane", "bicycle", "bus", "car", "horse", "knife", "motorcycle", "plant", "train", "truck")
    copy(tmp_path, ("train", "validation"), known)
    task = load_task("visda2017:train->validation:open:literature", root=tmp_path)
    assert task.metric == "balanced_accuracy"
    assert task.class_names == ("bicycle", "bus", "car", "motorcycle", "train", "truck", "unknown")
    with pytest.raises(ValueError, match="unknown task 'visda2017:validation->train'"):
        load_task("visda2017:validation->train", root=tmp_path)


def test_lists_go_before_folders_and_give_the_same_labels(office_home):
    by_folder = load_task("office_home:Art->Real_World:literature", root=office_home)
    folder = office_home / "image_list"
    folder.mkdir()
    try:
        for domain, spelled in (("Art", "Art"), ("Real_World", "Real World")):
            files = sorted((office_home / spelled).rglob("*.png"))
            lines = [f"{file.relative_to(office_home)} {29 - int(file.parent.name[-2:])}" for file in files]
            (folder / f"{domain}.txt").write_text("\n".join(lines))
        listed = load_task("office_home:Art->Real_World:literature", root=office_home)
        assert listed.class_names == by_folder.class_names
        np.testing.assert_array_equal(listed.target_test.labels, by_folder.target_test.labels)
        (folder / "Art.txt").write_text("Art/class_00/0.png 0\nArt/class_01/0.png 0")
        with pytest.raises(ValueError, match="label 0 stands for class_00 and class_01"):
            load_task("office_home:Art->Real_World", root=office_home)
        (folder / "Art.txt").write_text("Art/class_00/7.png 0")
        with pytest.raises(ValueError, match=r"Art\.txt names .*7\.png, which does not exist"):
            load_task("office_home:Art->Real_World", root=office_home)
    finally:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


@pytest.fixture(scope="module")
def domainnet(tmp_path_factory):
    root = tmp_path_factory.mktemp("domainnet")
    names = (*IMAGE_SETS["domainnet126"].only[:3], "zigzag")
    copy(root, ("clipart", "sketch"), names)
    for domain in ("clipart", "sketch"):
        files = sorted((root / domain).rglob("*.png"))
        for part, own in (
            ("train", [f for f in files if f.stem != "2"]),
            ("test", [f for f in files if f.stem == "2"]),
        ):
            lines = [f"{file.relative_to(root)} {names.index(file.parent.name)}" for file in own]
            (root / f"{domain}_{part}.txt").write_text("\n".join(lines))
    return root


def test_domainnet_has_training_and_test_lists(domainnet):
    task = load_task("domainnet:clipart->sketch", root=domainnet)
    assert [len(examples) for examples in task.sets().values()] == [8, 4, 8, 4]
    assert not task.transductive
    assert {file.stem for file in task.target_test.detached().inputs.files} == {"2"}
    fewer = load_task("domainnet126:clipart->sketch:literature", root=domainnet)
    assert fewer.class_names == tuple(sorted(IMAGE_SETS["domainnet126"].only[:3]))
    assert len(IMAGE_SETS["domainnet126"].only) == 126


def test_what_is_missing_is_named_with_the_place_to_get_it(office31, domainnet):
    with pytest.raises(ValueError, match=r"has no folder dslr \(it has amazon, webcam\).*https://faculty\.cc\.gatech"):
        load_task("office31:amazon->dslr", root=office31)
    with pytest.raises(ValueError, match=r"has no real_train\.txt, here or in image_list.*M3SDA"):
        load_task("domainnet:real->sketch", root=domainnet)
    with pytest.raises(ValueError, match=r"PACS is to be had from|the folder that holds photo/ and sketch/ of PACS"):
        load_task("pacs:photo->sketch")
    copy(domainnet, ("Art", "Product"), named(4))
    with pytest.raises(ValueError, match="Office-Home on disk has 4 classes; expected more than 25"):
        load_task("office_home:Art->Product:partial", root=domainnet)
    copy(domainnet, ("Art", "Product"), named(12))
    with pytest.raises(ValueError, match="Office-Home on disk has 12 classes; expected more than 15"):
        load_task("office_home:Art->Product:universal", root=domainnet)


SMALL = {
    "office31": ("amazon", "webcam", "images", [*IMAGE_SETS["office31"].partial, "x"]),
    "office-home": ("Art", "Clipart", "", named(26)),
    "visda": ("train", "validation", "", [*IMAGE_SETS["visda2017"].known, "aeroplane", "horse", "knife", "person"]),
}


def small(group, methods):
    """Return a group with its first task, few methods, one step and a tiny network; the rest stays as it is."""
    rows = {row if isinstance(row, str) else row["method"]: row for row in group["methods"]}
    group |= {"tasks": group["tasks"][:1], "methods": [rows[name] for name in methods]}
    group |= {"backbones": ["timm:test_resnet"], "budget": {"steps": 1, "batch_size": 4}}
    group["module"] |= {"bottleneck": 8, "backbone_settings": {"pretrained": False, "crop": 0.875, "image_size": 64}}
    group["module"]["augment"] |= {"size": 64}
    return group


@pytest.mark.parametrize(
    ("name", "groups"), [("office31", (1,)), ("office-home", (2,)), ("visda", (2,)), ("domainnet", (0,))]
)
def test_suites_run_in_small(name, groups, tmp_path, domainnet):
    """From nothing to a table beside published values, all groups but those that differ in their tasks alone."""
    suite = yaml.safe_load(find_suite(name).read_text(encoding="utf-8"))
    adapts = "dance" if name == "visda" else "dann"  # its universal group
    suite["groups"] = [small(suite["groups"][place], ("source_only", adapts, "target_only")) for place in groups]
    for group in suite["groups"] if name == "domainnet" else []:
        group["tasks"] = ["domainnet:clipart->sketch"]
    root = domainnet
    if name in SMALL:
        source, target, inside, classes = SMALL[name]
        root = copy(tmp_path / "data", (source, target), classes, inside, count=1)
        for group in suite["groups"]:
            family, _, rest = group["tasks"][0].partition(":")
            group["tasks"] = [":".join([family, f"{source}->{target}", *rest.split(":")[1:]])]
    run = tlzoo.run_suite(
        {**suite, "seeds": 1}, store=tmp_path / "store", root=root, executor="in_process", progress=False
    )
    assert not run.failures()
    frame = run.to_dataframe()
    assert len(frame) == 3 * len(groups)
    assert frame["test/accuracy"].between(0, 1).all()
    adapted = run.store.read(next(cell for cell in run.plan.cells if cell.method == f"confusion/{adapts}"))
    assert ("test inputs" in adapted.receipt["sees"]) == (name != "domainnet")


def test_pictures_are_cropped_at_random_to_train_on_and_in_the_middle_to_test():
    from tlzoo.backbones.preprocess import ImagePreprocess
    from tlzoo.bench.protocols.augmentation import crop_and_flip

    picture = np.zeros((1, 256, 256, 3), dtype=np.uint8)
    picture[:, 16:240, 16:240] = 255
    middle = ImagePreprocess(3, 224, 0.0, 1.0, "bilinear", crop=0.875)
    assert (middle(picture) == 1).all()
    assert middle(picture[:, :224, :224]).min() == 0  # pictures of the right size are left alone
    assert "center 0.875" in middle.identity
    assert ImagePreprocess(3, 224).identity == "image: 3 channels, 224 bicubic, mean 0.5, std 0.5"
    image = Image.fromarray(picture[0])
    assert np.asarray(crop_and_flip(size=224, flip=False)(image)).min() == 255
    assert np.asarray(crop_and_flip(size=224, scale=[0.9, 1.0])(image)).min() == 0
    with pytest.raises(ValueError, match=r"scale 1\.5|scale is 1\.5"):
        crop_and_flip(size=224, scale=[0.5, 1.5])
