import json

import numpy as np
import pytest

from tlzoo import sources
from tlzoo.data import load_task
from tlzoo.data.datasets import emoji
from tlzoo.data.datasets.emoji import VENDORS, concept_group, drawn_by_all
from tlzoo.data.near_copies import shared_words


def picture(path, color, *, size=(72, 72)):
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGBA", size, color).save(path)


@pytest.fixture
def drawings(tmp_path):
    """All vendors draw 1F600; 1F601 is shared by two, 1F602 lacks one, 1F44B-1F3FB has a skin tone."""
    for place, vendor in enumerate(VENDORS.values()):
        folder = tmp_path / vendor
        picture(folder / "U+1F600.png", (place, 0, 0, 255))
        picture(folder / "U+1F601.png", (max(place, 1), 0, 0, 255))
        picture(folder / "U+1F44B-U+1F3FB.png", (place, 0, 0, 255))
        if place:
            picture(folder / "U+1F602.png", (place, 0, 0, 255))
    return tmp_path


def test_only_artwork_of_all_vendors_without_skin_tone_counts(drawings):
    assert drawn_by_all(drawings) == ["1F600"]


def test_gender_variants_share_a_group_and_others_do_not():
    scientists = ["1F468-200D-1F52C", "1F469-200D-1F52C", "1F9D1-200D-1F52C"]
    assert {concept_group(code) for code in scientists} == {"1F9D1-1F52C"}
    assert concept_group("1F6B6-200D-2640-FE0F") == concept_group("1F6B6-200D-2642-FE0F") == "1F6B6"
    assert concept_group("1F468-200D-1F3A4") != concept_group("1F468-200D-1F52C")


@pytest.mark.parametrize(
    ("codes", "group"),
    [
        (["1F550", "1F55A", "1F567"], "clock"),
        (["0023-FE0F-20E3", "002A-FE0F-20E3", "0039-FE0F-20E3"], "keycap"),
        (["1F46A", "1F468-200D-1F469-200D-1F466", "1F469-200D-1F467"], "family"),
        (
            ["1F46B", "1F46D", "1F491", "1F469-200D-2764-FE0F-200D-1F48B-200D-1F468", "1F9D1-200D-1F91D-200D-1F9D1"],
            "family",
        ),
    ],
)
def test_series_that_differ_in_a_detail_share_a_group(codes, group):
    assert {concept_group(code) for code in codes} == {group}


def test_single_persons_and_lookalike_codes_are_no_series():
    assert concept_group("1F469-200D-1F37C") == "1F9D1-1F37C"
    assert concept_group("1F476") == "1F476"
    assert concept_group("23F0") == "23F0"


def test_pictures_are_flattened_onto_white_and_of_one_size(tmp_path):
    picture(tmp_path / "clear.png", (0, 0, 0, 0))
    picture(tmp_path / "odd.png", (10, 20, 30, 255), size=(60, 81))
    picture(tmp_path / "half.png", (0, 0, 0, 128))
    assert (emoji.read_picture(tmp_path / "clear.png") == 255).all()
    odd = emoji.read_picture(tmp_path / "odd.png")
    assert odd.shape == (72, 72, 3)
    assert odd.dtype == np.uint8
    assert odd[40, 40].tolist() == [10, 20, 30]
    assert emoji.read_picture(tmp_path / "half.png")[0, 0].tolist() == pytest.approx([127] * 3, abs=1)


def test_a_table_is_made_of_the_three_sources(drawings, tmp_path, monkeypatch):
    names = [
        {"unified": "1F600", "name": "GRINNING FACE", "category": "Smileys", "subcategory": "face-smiling"},
        {"unified": "1F602", "name": "NOT DRAWN BY ALL", "category": "Smileys", "subcategory": "face-smiling"},
    ]
    (tmp_path / "names.json").write_text(json.dumps(names), "utf-8")
    (tmp_path / "keywords.json").write_text(json.dumps({"\U0001f600": ["grinning_face", "smile"]}), "utf-8")
    files = {
        "emoji": drawings,
        "emoji-names": tmp_path / "names.json",
        "emoji-keywords": tmp_path / "keywords.json",
    }
    monkeypatch.setattr(sources, "path", files.__getitem__)
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path / "home"))
    emoji._read.cache_clear()
    table = emoji.load_emoji()
    emoji._read.cache_clear()
    assert table.codes.tolist() == ["1F600"]
    assert table.names.tolist() == ["grinning face"]
    assert table.descriptions.tolist() == ["grinning face, smile"]
    assert table.pictures[:, 5, 5, 0].tolist() == list(range(7))
    examples = table.examples(np.array([0]), [2, 4], np.array([9]))
    assert examples.domains.tolist() == [2, 4]
    assert examples.labels.tolist() == [9, 9]
    assert examples.inputs[np.array([0, 1])][:, 0, 0, 0].tolist() == [2, 4]


def test_descriptions_name_each_thing_once():
    assert emoji._description("grinning face", ["grinning_face", "smile", "smile"]) == "grinning face, smile"


@pytest.mark.data
def test_the_counts_of_the_protocol():
    table = emoji.load_emoji()
    assert len(table) == 1441
    assert table.pictures.shape == (10087, 72, 72, 3)
    assert len(set(table.names.tolist())) == 1441
    assert len(set(table.groups.tolist())) == 1059
    assert table.codes.tolist() == sorted(table.codes.tolist())


@pytest.mark.data
def test_44_concepts_are_fill_ins_and_4_have_no_name():
    files = sources.path("emoji")
    by_vendor = [{path.stem for path in (files / vendor).glob("*.png")} for vendor in VENDORS.values()]
    tones = {"U+1F3FB", "U+1F3FC", "U+1F3FD", "U+1F3FE", "U+1F3FF"}
    common = [code for code in set.intersection(*by_vendor) if not tones & set(code.split("-"))]
    kept = drawn_by_all(files)
    assert (len(common), len(kept)) == (1489, 1445)
    assert len(kept) - len(emoji.load_emoji()) == 4


@pytest.mark.data
@pytest.mark.parametrize(
    ("classes", "number", "concepts", "groups", "train", "test"),
    [("category", 8, 1435, 1054, 1010, 425), ("subcategory", 49, 1121, 832, 753, 368)],
)
def test_adaptation_counts(classes, number, concepts, groups, train, test):
    task = load_task(f"emoji/{classes}:google->windows")
    assert task.num_classes == number
    assert {name: len(examples) for name, examples in task.sets().items()} == {
        "source_train": train,
        "source_test": test,
        "target_train": train,
        "target_test": test,
    }
    both = concepts_of(task.source_train) | concepts_of(task.source_test)
    assert len(both) == concepts
    assert len(groups_of(both)) == groups
    assert not groups_of(concepts_of(task.source_train)) & groups_of(concepts_of(task.source_test))
    assert concepts_of(task.source_train) == concepts_of(task.target_train)
    assert set(task.target_test.domains.tolist()) == {6}
    assert set(task.source_test.domains.tolist()) == {2}


def concepts_of(examples):
    return set(examples.attributes["concept"].tolist())


def groups_of(concepts):
    return set(emoji.load_emoji().groups[sorted(concepts)].tolist())


@pytest.mark.data
def test_labels_and_pictures_belong_to_the_concept():
    table = emoji.load_emoji()
    task = load_task("emoji/category:google->windows")
    examples = task.target_test
    for place in (0, 100, 424):
        concept = examples.attributes["concept"][place]
        assert task.class_names[examples.labels[place]] == table.categories[concept]
        name = emoji.emoji_file(str(table.codes[concept]))
        decoded = emoji.read_picture(sources.path("emoji") / "Wind" / name)
        np.testing.assert_array_equal(examples.inputs[np.array([place])][0], decoded)


@pytest.mark.data
def test_unpaired_training_sets_share_no_group():
    plain = load_task("emoji/category:apple->samsung")
    task = load_task("emoji/category:apple->samsung:unpaired")
    source, target = concepts_of(task.source_train), concepts_of(task.target_train)
    assert not groups_of(source) & groups_of(target)
    assert source | target == concepts_of(plain.source_train)
    assert abs(len(groups_of(source)) - len(groups_of(target))) <= 1
    assert concepts_of(task.target_test) == concepts_of(plain.target_test)


@pytest.mark.data
@pytest.mark.parametrize("classes", ["category", "subcategory"])
@pytest.mark.parametrize("variant", ["", ":unpaired"])
def test_every_class_is_trained_and_tested_on(classes, variant):
    task = load_task(f"emoji/{classes}:google->windows{variant}")
    for examples in task.sets().values():
        assert set(examples.labels.tolist()) == set(range(task.num_classes))


@pytest.mark.data
@pytest.mark.parametrize("variant", ["", ":unpaired", ":shifted", ":partial", ":open", ":3shot"])
def test_places_in_the_sets_of_two_domains_have_nothing_to_do_with_each_other(variant):
    task = load_task(f"emoji/category:google->windows{variant}")
    for part in ("train", "test"):
        pair = [getattr(task, f"{side}_{part}").attributes["concept"] for side in ("source", "target")]
        rows = min(map(len, pair))
        assert (pair[0][:rows] == pair[1][:rows]).mean() < 0.02
        for concepts in pair:  # nor is either in the order of the table
            assert abs(np.corrcoef(concepts, np.arange(len(concepts)))[0, 1]) < 0.2


@pytest.mark.data
@pytest.mark.parametrize("name", ["emoji/category:google->windows", "emoji/subcategory:apple->samsung:unpaired"])
def test_no_picture_of_the_test_has_a_near_copy_that_is_trained_on(name):
    def pictures(examples):
        return examples.inputs[np.arange(len(examples))].astype(np.float32).reshape(len(examples), -1) / 255

    task = load_task(name)
    trained = np.concatenate([pictures(task.source_train), pictures(task.target_train)])
    for tested in (pictures(task.target_test), pictures(task.source_test)):
        squared = np.square(trained).sum(1)[:, None] + np.square(tested).sum(1) - 2 * trained @ tested.T
        assert np.sqrt(squared.clip(0) / trained.shape[1]).min() > 0.0999


@pytest.mark.data
@pytest.mark.parametrize("classes", ["category", "subcategory"])
def test_shifted_targets_have_other_classes_in_other_shares(classes):
    plain = load_task(f"emoji/{classes}:apple->samsung")
    task = load_task(f"emoji/{classes}:apple->samsung:shifted")
    shares = []
    for name in ("target_train", "target_test"):
        whole, kept = getattr(plain, name), getattr(task, name)
        assert concepts_of(kept) < concepts_of(whole)
        assert len(concepts_of(kept)) == len(kept)
        assert set(kept.labels.tolist()) == set(whole.labels.tolist())
        shares.append(np.bincount(kept.labels) / np.bincount(whole.labels))
    assert shares[0].max() - shares[0].min() > 0.5
    if classes == "category":  # where classes are large, train and test are shifted alike
        np.testing.assert_allclose(shares[0], shares[1], atol=0.06)
    assert task.source_train.checksum == plain.source_train.checksum


@pytest.mark.data
def test_oneshot_counts():
    task = load_task("emoji-oneshot")
    splits = [task.base, task.validation, task.novel]
    assert [len(concepts_of(split)) for split in splits] == [907, 273, 261]
    assert [len(split) for split in splits] == [907 * 7, 273 * 7, 261 * 7]
    groups = [groups_of(concepts_of(split)) for split in splits]
    assert len(set.union(*groups)) == sum(map(len, groups))
    assert [(split.labels.min(), split.labels.max()) for split in splits] == [(0, 906), (907, 1179), (1180, 1440)]
    table = emoji.load_emoji()
    for split in splits:
        assert task.class_names[split.labels[7]] == table.names[split.attributes["concept"][7]]


@pytest.mark.data
@pytest.mark.parametrize("way", [5, 20])
def test_oneshot_episodes_ask_for_the_six_other_vendors(way):
    task = load_task("emoji-oneshot")
    episodes = task.episodes(seed=0, way=way).freeze(50)
    assert episodes.episodes.query.shape == (50, way * 6)
    for episode in (episodes[0], episodes[49]):
        for label in range(way):
            members = [*episode.support[episode.support_labels == label], *episode.query[episode.query_labels == label]]
            assert sorted(task.novel.domains[members].tolist()) == list(range(7))
            assert len(set(task.novel.labels[members].tolist())) == 1


@pytest.mark.data
def test_unseen_counts():
    task = load_task("emoji-unseen")
    assert [len(task.seen), len(task.held_out), len(task.unseen)] == [1041, 200, 200]
    assert [len(task.train), len(task.validation), len(task.test)] == [7287, 1400, 1400]
    assert task.test_seen is None
    parts = [groups_of(part.tolist()) for part in (task.seen, task.held_out, task.unseen)]
    assert len(set.union(*parts)) == sum(map(len, parts))
    assert set(task.test.labels.tolist()) == set(task.unseen.tolist())
    assert len(task.descriptions) == len(task.class_names) == 1441
    place = task.class_names.index("cherry blossom")
    assert task.descriptions[place] == "cherry blossom, nature, plant, spring, flower, pink, sakura"


@pytest.mark.data
def test_names_of_unseen_classes_that_seen_ones_nearly_have():
    task = load_task("emoji-unseen")
    known = [task.class_names[place] for place in (*task.seen, *task.held_out)]
    shares = shared_words([task.class_names[place] for place in task.unseen], known)
    assert (shares == 1).sum() == 0
    assert (shares >= 0.6).sum() == 22


@pytest.mark.data
def test_generalized_tests_on_one_vendor_of_each_seen_concept():
    task = load_task("emoji-unseen:generalized")
    assert len(task.train) == 1041 * 6
    assert len(task.test_seen) == 1041
    for place in (0, 1, 6, 7, 1040):
        (row,) = np.flatnonzero(task.test_seen.labels == task.seen[place])
        assert task.test_seen.domains[row] == place % 7
        assert place % 7 not in task.train.domains[task.train.labels == task.seen[place]]
    assert len(load_task("emoji-unseen").test) == len(task.test)


@pytest.mark.data
def test_tasks_of_one_name_are_one_and_others_are_not():
    names = [f"emoji/category:google->windows{suffix}" for suffix in ("", ":unpaired", ":shifted")]
    names += ["emoji/category:windows->google", "emoji-unseen", "emoji-unseen:generalized", "emoji-oneshot"]
    checksums = [load_task(name).checksum for name in names]
    assert len(set(checksums)) == len(names)
    assert [load_task(name).checksum for name in names] == checksums


@pytest.mark.data
def test_all_tasks_are_subsets_of_one_base():
    bases = {
        load_task(name).sets()[part].base[2]
        for name, part in [
            ("emoji-oneshot", "novel"),
            ("emoji-unseen", "test"),
            ("emoji/category:apple->google", "target_train"),
        ]
    }
    assert len(bases) == 1
