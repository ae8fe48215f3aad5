import pytest
import torch
from torch.nn import functional as F

from tlzoo.data.tasks import Target
from tlzoo.nn.task_heads import HEADS, ClassHead, DenseHead, NormalsHead, OrdinalHead, ValueHead

FEATURES = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))


def test_classes():
    head, labels = ClassHead(4, 3), torch.tensor([0, 2, 1, 1, 0])
    output = head(FEATURES)
    assert output.shape == (5, 3)
    torch.testing.assert_close(head.loss(output, labels), F.cross_entropy(output, labels))
    assert head.present(torch.tensor([0, -1, 2])).tolist() == [True, False, True]


def test_values():
    head, labels = ValueHead(4), torch.tensor([1.0, 2, 3, 4, 5]).double()
    output = head(FEATURES)
    torch.testing.assert_close(head.loss(output, labels), (output[:, 0] - labels.float()).square().mean())
    assert head.present(torch.tensor([0.0, torch.nan])).tolist() == [True, False]


def test_ordered_classes():
    head = OrdinalHead(4, 4)
    assert head(FEATURES).shape == (5, 3)
    output = torch.tensor([[-1.0, -2, -3], [1, -1, -2], [3, 2, 1]])
    above = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 1]])
    expected = -(above * torch.sigmoid(output).log() + (1 - above) * torch.sigmoid(-output).log()).mean()
    torch.testing.assert_close(head.loss(output, torch.tensor([0, 1, 3])), expected)
    far, near = (head.loss(output[:1], torch.tensor([label])) for label in (3, 1))
    assert far > near
    with pytest.raises(ValueError, match="at least 2"):
        OrdinalHead(4, 1)


def test_dense_classes_leave_out_positions_without_label():
    head = DenseHead(4, 3)
    output = head(torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(0)))
    labels = torch.randint(3, (2, 6, 6), generator=torch.Generator().manual_seed(1))
    labels[0, :3] = -1
    sized = F.interpolate(output, (6, 6), mode="bilinear", align_corners=False)
    kept = labels >= 0
    expected = F.cross_entropy(sized.movedim(1, -1)[kept], labels[kept])
    torch.testing.assert_close(head.loss(output, labels), expected)
    labels[1] = -1
    assert head.present(labels).tolist() == [True, False]
    with pytest.raises(ValueError, match="expected a map"):
        head(FEATURES)


def test_dense_values():
    head = DenseHead(4, 0)
    output = head(torch.ones(1, 4, 2, 2))
    labels = torch.full((1, 2, 2), 3.0)
    labels[0, 0, 0] = torch.nan
    torch.testing.assert_close(head.loss(output, labels), (output[0, 0, 0, 1] - 3).abs())


def test_normals_leave_out_positions_without_label():
    head = NormalsHead(4)
    output = head(torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(0)))
    assert output.shape == (2, 3, 3, 3)
    labels = F.normalize(torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(1)), dim=1)
    labels[0, :, :3] = torch.nan
    labels[0, :, 3:] = 0
    sized = F.normalize(F.interpolate(output, (6, 6), mode="bilinear", align_corners=False), dim=1)
    torch.testing.assert_close(head.loss(output, labels), 1 - (sized[1] * labels[1]).sum(dim=0).mean())
    torch.testing.assert_close(head.loss(sized, sized * 3), torch.tensor(0.0), atol=1e-6, rtol=0)
    assert head.present(labels).tolist() == [False, True]


def test_kinds_follow_from_classes_unless_given():
    assert (Target(classes=3).kind, Target(classes=0).kind) == ("class", "value")
    assert repr(Target(classes=3)) == "Target(classes=3)"  # part of a task's identity
    assert repr(Target(classes=3, kind="ordinal")) == "Target(classes=3, kind='ordinal')"
    assert set(HEADS) == {"class", "value", "ordinal", "dense", "normals"}


@pytest.mark.parametrize(
    "settings",
    [{"classes": -1}, {"classes": 2, "kind": "value"}, {"classes": 1, "kind": "ordinal"}, {"classes": 2, "kind": "x"}],
)
def test_targets_that_make_no_sense(settings):
    with pytest.raises(ValueError, match="for a target of kind"):
        Target(**settings)


def test_the_head_behind_segnet_looks_at_neighbors():
    head = DenseHead(4, 5, decoder="conv")
    maps = torch.zeros(1, 4, 6, 8)
    maps[0, :, 2, 3] = 1
    changed = (head(maps) != head(torch.zeros_like(maps))).any(dim=1)[0]
    assert changed.nonzero().tolist() == [[row, column] for row in (1, 2, 3) for column in (2, 3, 4)]


@pytest.mark.parametrize(("make", "channels"), [(DenseHead, 5), (NormalsHead, 3)])
def test_the_head_of_deeplab_answers_at_every_position(make, channels):
    head = make(4, 5 if make is DenseHead else 0, decoder="aspp")
    output = head(torch.randn(2, 4, 6, 8))
    assert output.shape == (2, channels, 6, 8)
    dilations = [layer.dilation[0] for layer in head.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert [each for each in dilations if each > 1] == [12, 24, 36]
    head.answer(output).sum().backward()
    assert all(parameter.grad is not None for parameter in head.parameters())
