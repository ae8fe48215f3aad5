import numpy as np
import pytest

from tlzoo.data.example_set import ExampleSet
from tlzoo.data.quarter_turns import with_quarter_turns
from tlzoo.lit import EpisodeData


def pictures(shape=(6, 3, 3, 1)):
    return np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)


def examples(**changes):
    columns = {"labels": np.array([0, 0, 2, 2, -1, 5]), "attributes": {"alphabet": np.array(list("aabbbb"))}}
    return ExampleSet(**{"inputs": pictures(), "modality": "image", **columns, **changes})


def test_each_turn_of_a_class_is_a_class():
    whole = with_quarter_turns(examples())
    assert len(whole) == 24
    assert whole.labels.reshape(4, 6).tolist() == [
        [0, 0, 2, 2, -1, 5],
        [6, 6, 8, 8, -1, 11],
        [12, 12, 14, 14, -1, 17],
        [18, 18, 20, 20, -1, 23],
    ]
    assert whole.attributes["alphabet"].reshape(4, 6).tolist() == [list("aabbbb")] * 4
    for turn in range(4):
        for place in range(6):
            read = whole.inputs[np.array([turn * 6 + place])][0]
            np.testing.assert_array_equal(read, np.rot90(pictures()[place], turn))
    assert whole.checksum != examples().checksum


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": None}, "the examples have no labels"),
        ({"inputs": np.ones((6, 4)), "modality": "features"}, "the examples are features"),
        ({"inputs": pictures((6, 3, 4, 1))}, "square pictures; these are 3 x 4"),
    ],
)
def test_what_cannot_be_turned_is_said(changes, message):
    with pytest.raises(ValueError, match=message):
        with_quarter_turns(examples(**changes)).inputs[np.array([7])]


@pytest.mark.parametrize("change", [{"quarter_turns": True}, {"augment": lambda picture: picture}])
def test_features_of_a_frozen_backbone_do_not_turn(change):
    with pytest.raises(ValueError, match="augment and quarter_turns change training pictures"):
        EpisodeData("emoji-oneshot", features="pixels", **change)
