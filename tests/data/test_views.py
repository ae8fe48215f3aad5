"""Augmented views: what changes, what stays, and that chance depends on (seed, step, item) alone."""

import numpy as np
import pytest
import torch

from tlzoo.data import ExampleSet
from tlzoo.data.augment import VIEWS, augment
from tlzoo.data.augmented_views import AugmentedInputs, DrawnViews, StoredViews

RANDOM = np.random.default_rng(0)
ITEMS = {
    "gray": ("image", RANDOM.integers(256, size=(20, 16, 16, 1), dtype=np.uint8)),
    "color": ("image", RANDOM.integers(256, size=(20, 16, 12, 3), dtype=np.uint8)),
    "series": ("series", RANDOM.normal(size=(20, 30, 6)).astype(np.float32)),
    "features": ("features", RANDOM.normal(size=(20, 50)).astype(np.float32)),
}


def examples(kind):
    modality, items = ITEMS[kind]
    return ExampleSet(inputs=items, modality=modality, checksum=kind)


def drawn(kind, **settings):
    return DrawnViews(examples(kind), seed=0, **settings)


@pytest.mark.parametrize("kind", ITEMS)
@pytest.mark.parametrize("view", VIEWS)
def test_views_are_items_of_the_same_kind(kind, view):
    shown = drawn(kind, mirrored=True)(np.arange(20), 0)[view].numpy()
    items = ITEMS[kind][1]
    assert (shown.shape, shown.dtype) == (items.shape, items.dtype)
    assert np.isfinite(shown).all()
    changed = (shown != items).reshape(20, -1).any(axis=1)
    assert changed.mean() > 0.8


@pytest.mark.parametrize("kind", ITEMS)
def test_views_depend_on_seed_step_and_item_alone(kind):
    views = drawn(kind)
    state = torch.get_rng_state(), np.random.get_state(legacy=False)  # noqa: NPY002 - the legacy state is watched
    whole = views(np.arange(20), 7)
    part = views(np.array([13, 2]), 7)
    for name in VIEWS:
        torch.testing.assert_close(part[name], whole[name][[13, 2]], rtol=0, atol=0)
        assert not torch.equal(views(np.arange(20), 8)[name], whole[name])
        assert not torch.equal(DrawnViews(examples(kind), seed=1)(np.arange(20), 7)[name], whole[name])
    assert torch.equal(torch.get_rng_state(), state[0])
    after = np.random.get_state(legacy=False)  # noqa: NPY002
    np.testing.assert_array_equal(after["state"]["key"], state[1]["state"]["key"])


def test_drawing_is_deterministic_where_torch_is_asked_to_be():
    torch.use_deterministic_algorithms(True)
    try:
        for step in range(10):
            drawn("color")(np.arange(20), step)
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("kind", ["series", "features"])
def test_strong_views_are_further_away(kind):
    shown, items = drawn(kind)(np.arange(20), 0), ITEMS[kind][1]
    weak, strong = (np.abs(shown[name].numpy() - items).mean() for name in VIEWS)
    assert 0 < 2 * weak < strong


def test_weak_pictures_are_shifted_and_mirrored_only_where_the_class_stays():
    picture = np.zeros((16, 16, 1), dtype=np.uint8)
    picture[6:10, 4:6] = 255  # left of the middle, and so it stays when shifted by two
    mirrored = [
        augment(picture, "weak", "image", np.random.default_rng(seed), mirrored=True)[:, :8].sum() < 255
        for seed in range(60)
    ]
    assert 15 < sum(mirrored) < 45
    for seed in range(60):
        kept = augment(picture, "weak", "image", np.random.default_rng(seed))
        assert kept.sum() == picture.sum()
        assert kept[:, :9].sum() == picture.sum()


def test_texts_have_no_views():
    with pytest.raises(ValueError, match="no augmented views of text items; use features of a frozen backbone"):
        augment(np.array("a text"), "weak", "text", np.random.default_rng(0))


def test_stored_views_are_one_of_the_copies():
    copies = {name: [np.full((9, 2), 10 * number + copy) for copy in range(3)] for number, name in enumerate(VIEWS)}
    views = StoredViews(copies, seed=0)
    shown = torch.stack([views(np.arange(9), step)["strong"][:, 0] for step in range(30)])
    assert set(shown.flatten().tolist()) == {10, 11, 12}
    torch.testing.assert_close(views(np.array([4, 1]), 3)["weak"], views(np.arange(9), 3)["weak"][[4, 1]])


def test_another_view_of_a_kind_is_another_copy_or_another_draw():
    copies = {name: [np.full((9, 2), 10 * number + copy) for copy in range(3)] for number, name in enumerate(VIEWS)}
    names = (*VIEWS, "strong again")
    both = [StoredViews(copies, seed=0, names=names)(np.arange(9), step) for step in range(30)]
    again = torch.stack([shown["strong again"] for shown in both])
    assert not (again == torch.stack([shown["strong"] for shown in both])).any()
    assert set(again.flatten().tolist()) == {10, 11, 12}
    pictures = ITEMS["color"][1]
    examples = ExampleSet(inputs=pictures, modality="image", labels=np.arange(len(pictures)))
    drawn, usual = (DrawnViews(examples, seed=0, names=each)(np.arange(5), 2) for each in (names, VIEWS))
    assert (drawn["strong again"] != drawn["strong"]).any()
    assert all(torch.equal(drawn[view], usual[view]) for view in VIEWS)


def test_fixed_views_depend_on_the_place_in_the_raw_set():
    items = ITEMS["color"][1]

    def shown(indices, copy=0, view="strong"):
        inputs = AugmentedInputs(items, indices, view=view, copy=copy, modality="image", mirrored=True)
        return inputs[np.arange(len(inputs))]

    np.testing.assert_array_equal(shown(np.arange(20))[[5, 3]], shown(np.array([5, 3])))
    assert (shown(np.arange(20)) != shown(np.arange(20), copy=1)).any()
    assert (shown(np.arange(20)) != shown(np.arange(20), view="weak")).any()
