import numpy as np
import pytest

from tlzoo.data import ExampleSet
from tlzoo.data.joined_tasks import united


def examples(size, checksum="", **targets):
    return ExampleSet(inputs=np.full((size, 2), float(size)), modality="features", targets=targets, checksum=checksum)


def test_targets_that_a_set_lacks_are_missing():
    first = examples(3, kind=np.array([0, 1, 2]), both=np.array([5, 6, 7]))
    second = examples(2, height=np.array([0.5, 1.5]), both=np.array([8, 9]))
    whole = united({"first": first, "second": second})
    assert len(whole) == 5
    assert whole.targets["kind"][:3].tolist() == [0, 1, 2]
    assert np.isnan(whole.targets["kind"][3:]).all()
    assert whole.targets["both"].tolist() == [5, 6, 7, 8, 9]
    assert np.isnan(whole.targets["height"][:3]).all()
    assert whole.attributes["set"].tolist() == ["first"] * 3 + ["second"] * 2
    assert whole.inputs[:, 0].tolist() == [3, 3, 3, 2, 2]


def test_dense_targets_keep_their_shape():
    whole = united({"a": examples(1, depth=np.ones((1, 4, 4))), "b": examples(2, kind=np.zeros(2, dtype=int))})
    assert whole.targets["depth"].shape == (3, 4, 4)
    assert np.isnan(whole.targets["depth"][1:]).all()


def test_identity_follows_from_the_parts():
    parts = {"a": examples(1, "x", t=np.array([1])), "b": examples(1, "y", t=np.array([2]))}
    again = {"a": examples(1, "x", t=np.array([1])), "b": examples(1, "z", t=np.array([2]))}
    assert united(parts).checksum == united(dict(parts)).checksum != united(again).checksum


def test_sets_that_do_not_go_together():
    texts = ExampleSet(inputs=np.array(["a"]), modality="text")
    with pytest.raises(ValueError, match="one modality"):
        united({"a": examples(1), "b": texts})
    with pytest.raises(ValueError, match="no set"):
        united({})
    with pytest.raises(ValueError, match="several types"):
        united({"a": examples(1, t=np.array([1])), "b": examples(1, t=np.array([0.5]))})
