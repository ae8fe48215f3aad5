import pytest
import torch

from tlzoo.functional import negative_squared_distances, prototypes


def test_unequal_shots():
    support = torch.tensor([[[1.0], [3.0], [8.0]], [[1.0], [3.0], [8.0]]])
    labels = torch.tensor([[0, 0, 1], [1, 0, 1]])
    assert prototypes(support, labels, 2).tolist() == [[[2.0], [8.0]], [[3.0], [4.5]]]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[0, 1, 1], [0, 0, 0]], "episode 1: class 1 of 2 has no support; give each class at least one example"),
        ([[0, 1, 1], [0, 1, 2]], r"episode 1: label 2; expected labels in range\(2\)"),
        ([[0, 1, -1], [0, 1, 1]], r"episode 0: label -1; expected labels in range\(2\)"),
    ],
)
def test_bad_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        prototypes(torch.ones(2, 3, 4), torch.tensor(labels), 2)


def test_bad_shapes():
    with pytest.raises(ValueError, match=r"shapes \(2, 3, 4\) and \(2, 2\); expected \(E, S, D\) and \(E, S\)"):
        prototypes(torch.ones(2, 3, 4), torch.zeros(2, 2).long(), 2)


def test_distances():
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)
    centers = torch.randn(2, 5, 4, generator=generator, dtype=torch.float64)
    expected = -torch.cdist(query, centers).square()
    torch.testing.assert_close(negative_squared_distances(query, centers), expected)
