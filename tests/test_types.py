import copy
import pickle

import pytest
import torch

from tlzoo.backbones import create_backbone
from tlzoo.types import (
    DomainBatch,
    Episode,
    Examples,
    Prediction,
    SupervisionError,
    TaskBatch,
    is_withheld,
    withheld,
)

WHY = "dan does not declare TARGET_LABELS"


def prediction():
    return Prediction(features=torch.ones(2, 3), logits=torch.zeros(2, 4), labels=torch.tensor([0, 1]))


def examples():
    return Examples(
        inputs=torch.arange(6.0).reshape(2, 3),
        labels=torch.tensor([0, 1]),
        indices=torch.tensor([4, 5]),
        views={"weak": torch.ones(2, 3)},
    )


def test_withheld_attributes_raise_with_their_name():
    view = withheld(prediction(), "labels", why=WHY)
    with pytest.raises(SupervisionError, match=f"labels: {WHY}"):
        view.labels  # noqa: B018
    assert torch.equal(view.features, torch.ones(2, 3))
    assert isinstance(view, Prediction)
    assert len(view) == 2
    assert is_withheld(view, "labels")
    assert not is_withheld(view, "features")
    assert not is_withheld(prediction(), "labels")


def test_values_are_dropped_not_hidden():
    view = withheld(prediction(), "labels", why=WHY)
    assert "labels" not in vars(view)
    with pytest.raises(SupervisionError):
        getattr(view, "labels", None)  # a default does not silence it
    assert not any(torch.is_tensor(value) and value.dtype == torch.int64 for value in vars(view).values())
    assert repr(view) == "<Prediction without labels>"


def test_withholding_twice_keeps_both():
    view = withheld(withheld(prediction(), "labels", why="first"), "logits", why="second")
    with pytest.raises(SupervisionError, match="labels: first"):
        view.labels  # noqa: B018
    with pytest.raises(SupervisionError, match="logits: second"):
        view.logits  # noqa: B018
    assert type(view) is type(withheld(prediction(), "labels", why=WHY))


def test_withholding_what_is_not_there():
    with pytest.raises(ValueError, match="Prediction has no lables; it has features, logits, labels"):
        withheld(prediction(), "lables", why=WHY)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda view: pickle.loads(pickle.dumps(view))])
def test_copies_of_a_view_stay_closed(copied):
    view = copied(withheld(examples(), "labels", why=WHY))
    with pytest.raises(SupervisionError, match=WHY):
        view.labels  # noqa: B018
    assert torch.equal(view.indices, torch.tensor([4, 5]))


@pytest.mark.parametrize("change", [lambda batch: batch.to("cpu"), lambda batch: batch.clone()])
def test_moved_batches_stay_closed(change):
    batch = change(DomainBatch(source=examples(), target=withheld(examples(), "labels", why=WHY)))
    assert torch.equal(batch.source.labels, torch.tensor([0, 1]))
    with pytest.raises(SupervisionError, match=WHY):
        batch.target.labels  # noqa: B018


def test_to_moves_every_tensor():
    batch = DomainBatch(source=examples(), target=None).to("meta")
    assert batch.target is None
    assert {batch.source.inputs.device.type, batch.source.labels.device.type} == {"meta"}
    assert batch.source.views["weak"].device.type == "meta"
    tasks = TaskBatch(inputs=["a", "b"], targets={"x": torch.ones(2)}, present={"x": torch.ones(2).bool()}).to("meta")
    assert tasks.inputs == ["a", "b"]
    assert tasks.targets["x"].device.type == tasks.present["x"].device.type == "meta"
    ones = torch.ones(1, 2, 3)
    episode = Episode(support=ones, support_labels=torch.ones(1, 2), query=ones, query_labels=None, way=2).to("meta")
    assert episode.support.device.type == "meta"
    assert (episode.query_labels, episode.way) == (None, 2)


def test_clone_shares_nothing_and_may_enter_autograd():
    with torch.inference_mode():
        batch = DomainBatch(source=examples(), target=None)
    with torch.inference_mode(False):
        fresh = batch.clone()
        assert not fresh.source.inputs.is_inference()
        (fresh.source.views["weak"] * torch.ones(3, requires_grad=True)).sum().backward()
        fresh.source.inputs[0] = 9.0
    assert batch.source.inputs[0, 0] == 0.0


def test_sizes():
    assert examples().size == 2
    assert DomainBatch(source=examples(), target=None).size == 2
    assert DomainBatch(source=examples(), target=examples()).size == 4
    assert TaskBatch(inputs=torch.ones(3, 1), targets={}).size == 3


def test_freezing():
    backbone = create_backbone("mlp", num_inputs=4, hidden=(3, 2))
    first, second = (group.name for group in backbone.layer_groups())

    def trained():
        return [all(p.requires_grad for m in g.modules for p in m.parameters()) for g in backbone.layer_groups()]

    backbone.freeze(until=first)
    assert trained() == [False, True]
    backbone.freeze()
    assert trained() == [False, False]
    with pytest.raises(ValueError, match=f"mlp has no layer group 'layer9'; it has {first}, {second}"):
        backbone.freeze(until="layer9")
    with pytest.raises(TypeError, match="mlp has no feature map"):
        backbone.forward_map(torch.ones(1, 4))
