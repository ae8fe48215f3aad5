import numpy as np
import pytest
import torch

from tlzoo.data.example_set import ExampleSet, content_hash
from tlzoo.types import SupervisionError, withheld


def example_set(size=6, **columns):
    defaults = {
        "inputs": np.arange(size * 2, dtype=np.float32).reshape(size, 2),
        "modality": "features",
        "labels": np.arange(size) % 3,
        "domains": np.arange(size) % 2,
        "targets": {"left": np.arange(size)},
        "attributes": {"concept": np.arange(size) + 10},
        "checksum": "raw",
    }
    return ExampleSet(**{**defaults, **columns})


def test_a_subset_takes_all_columns():
    part = example_set().subset(np.array([4, 1]))
    assert len(part) == 2
    assert part.labels.tolist() == [1, 1]
    assert part.domains.tolist() == [0, 1]
    assert part.targets["left"].tolist() == [4, 1]
    assert part.attributes["concept"].tolist() == [14, 11]
    assert part.inputs[np.array([0])].tolist() == [[8.0, 9.0]]


def test_masks_are_indices():
    mask = np.array([False, True, False, False, True, True])
    assert example_set().subset(mask).targets["left"].tolist() == [1, 4, 5]
    assert example_set().subset(mask).checksum == example_set().subset(np.array([1, 4, 5])).checksum


def test_subsets_of_subsets_read_the_right_rows_and_know_their_base():
    part = example_set().subset(np.array([5, 3, 1])).subset(np.array([2, 0]))
    assert part.inputs[np.array([0, 1])].tolist() == [[2.0, 3.0], [10.0, 11.0]]
    inputs, indices, checksum = part.base
    assert len(inputs) == 6
    assert indices.tolist() == [1, 5]
    assert checksum == "raw"


def test_checksums_tell_subsets_apart():
    whole = example_set()
    checksums = {whole.checksum, *(whole.subset(np.array(i)).checksum for i in ([0, 1], [1, 0], [2]))}
    assert len(checksums) == 4
    assert whole.subset(np.array([0])).checksum != example_set(checksum="other").subset(np.array([0])).checksum


def test_columns_of_another_length_are_refused():
    with pytest.raises(ValueError, match="labels has 2 entries for 6 inputs"):
        example_set(labels=np.arange(2))
    with pytest.raises(ValueError, match="left has 1 entries"):
        example_set(targets={"left": np.arange(1)})


def test_batch_is_tensors():
    batch = example_set().batch(np.array([3, 2]))
    assert batch.inputs.tolist() == [[6.0, 7.0], [4.0, 5.0]]
    assert batch.labels.tolist() == [0, 2]
    assert batch.indices.tolist() == [3, 2]
    assert batch.domains.tolist() == [1, 0]
    assert batch.labels.dtype == torch.int64


def test_text_comes_as_strings_and_missing_columns_as_none():
    texts = ExampleSet(inputs=np.array(["a", "bc"]), modality="text")
    batch = texts.batch(np.array([1]))
    assert batch.inputs == ["bc"]
    assert batch.labels is None
    assert batch.domains is None


def test_read_only_indices_are_taken():
    indices = np.array([1, 0])
    indices.setflags(write=False)
    assert example_set().batch(indices).indices.tolist() == [1, 0]


def test_batches_subsets_and_features_of_a_restricted_set():
    closed = withheld(example_set(), "labels", "attributes", why="test")
    assert closed.batch(np.array([0])).labels is None
    assert closed.batch(np.array([1])).domains.tolist() == [1]
    for derived in (closed.subset(np.array([1, 2])), closed.with_inputs(np.zeros((6, 1))), closed.detached()):
        assert derived.batch(np.array([0])).labels is None
        with pytest.raises(SupervisionError, match="labels: test"):
            _ = derived.labels
        with pytest.raises(SupervisionError, match="attributes: test"):
            _ = derived.attributes


def test_small_memory_maps_are_read_into_memory(tmp_path):
    np.save(tmp_path / "f.npy", np.ones((6, 4), dtype=np.float32))
    features = np.load(tmp_path / "f.npy", mmap_mode="r")
    inputs = example_set().with_inputs(features).inputs
    assert not isinstance(inputs, np.memmap)
    np.testing.assert_array_equal(inputs, features)
    with pytest.raises(ValueError, match="6 inputs for 3 examples"):
        example_set(3).with_inputs(features)


class Reader:
    """Inputs of a kind of their own, that can be narrowed."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, indices):
        return np.array([self.items[i] for i in indices])

    def take(self, indices):
        return Reader([self.items[i] for i in indices])


@pytest.mark.parametrize("inputs", [np.arange(6)[:, None], Reader([[i] for i in range(6)])])
def test_a_detached_subset_has_no_way_back(inputs):
    part = example_set(inputs=inputs).subset(np.array([4, 2])).detached()
    assert part.inputs[np.array([0, 1])].tolist() == [[4], [2]]
    base, indices, _ = part.base
    assert len(base) == 2
    assert indices.tolist() == [0, 1]
    if isinstance(part.inputs, np.ndarray):
        assert part.inputs.base is None


def test_a_slice_of_an_array_is_detached_too():
    whole = np.arange(10.0)[:, None]
    part = example_set(3, inputs=whole[2:5]).detached()
    assert part.inputs.base is None
    assert part.inputs.tolist() == [[2], [3], [4]]


def test_content_hash_sees_values_shape_and_type():
    arrays = [np.zeros(4), np.zeros((2, 2)), np.zeros(4, dtype=np.float32), np.ones(4), np.array(["a"]), "a"]
    assert len({content_hash(array) for array in arrays}) == len(arrays)
    assert content_hash(np.arange(6).reshape(2, 3).T) == content_hash(np.arange(6).reshape(2, 3).T.copy())


def test_joined_sets_follow_each_other():
    whole = example_set()
    joined = whole.subset(np.array([5, 0])).joined(whole.subset(np.array([2])))
    assert joined.labels.tolist() == [2, 0, 2]
    assert joined.targets["left"].tolist() == [5, 0, 2]
    assert joined.inputs.tolist() == [[10.0, 11.0], [0.0, 1.0], [4.0, 5.0]]
    assert joined.checksum != whole.subset(np.array([2])).joined(whole.subset(np.array([5, 0]))).checksum
    with pytest.raises(ValueError, match="only one of the two sets to join has labels"):
        whole.joined(example_set(labels=None))
