"""What test-time methods do between two batches."""

import math

import pytest
import torch
from torch import nn

from tlzoo.functional import entropy
from tlzoo.functional.laplacian import laplacian_adjusted
from tlzoo.methods.adaptation import EATA, LAME, SAR, T3A, TENT, CoTTA
from tlzoo.types import Prediction


class Source(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU()), nn.Linear(6, 3)

    def forward(self, inputs):
        features = self.body(inputs)
        return Prediction(features=features, logits=self.head(features))


def batch(seed=0, rows=16):
    return torch.randn(rows, 4, generator=torch.Generator().manual_seed(seed)) + 0.5


def moved(method, model):
    start = dict(model.named_parameters())
    return {name for name, p in method.model.named_parameters() if not torch.equal(p, start[name])}


@pytest.mark.verdict("adaptation/tent", against="a step of gradient descent", within=1e-12)
def test_tent_moves_scale_and_shift_downhill_and_answers_before(equal):
    model, inputs = Source(), batch()
    method = TENT(model, lr=0.05)
    model.train()
    expected = model(inputs).logits.detach()
    first = method(inputs)
    equal(first, expected)
    assert moved(method, model) == {"body.1.weight", "body.1.bias"}
    for _ in range(10):
        last = method(inputs)
    assert entropy(last).mean() < entropy(first).mean()


@pytest.mark.parametrize("cls", [TENT, EATA, SAR, CoTTA])
def test_running_statistics_stay_and_one_item_is_answered_by_them(cls):
    model = Source().eval()
    method = cls(model)
    method(batch())
    for name, buffer in method.model.named_buffers():
        if "running" in name:
            assert torch.equal(buffer, dict(model.named_buffers())[name])
    method.reset()
    one = batch(rows=1)
    torch.testing.assert_close(method(one), model(one).logits.detach())


def test_eata_learns_from_certain_and_new_answers_alone():
    model = Source()
    nobody = EATA(model, margin=1e-6, lr=0.1)
    nobody(batch())
    assert not moved(nobody, model)
    method = EATA(model, margin=1.0, redundancy=1.0, lr=0.1)
    method(batch())
    assert moved(method, model)
    same = EATA(model, margin=1.0, redundancy=-1.0, lr=0.1)  # the first batch counts, then nothing is new
    same(batch())
    before = [p.detach().clone() for p in same.trained]
    same(batch(1))
    for ours, theirs in zip(same.trained, before, strict=True):
        assert torch.equal(ours, theirs)


def test_eata_is_anchored_by_what_it_remembers():
    free, held = (EATA(Source(), margin=1.0, redundancy=1.0, lr=0.05, anchoring=50.0) for _ in range(2))
    held.remember([batch(5), batch(6)])
    start = [p.detach().clone() for p in free.trained]
    for seed in range(6):
        free(batch(seed)), held(batch(seed))
    distance = [
        sum(float((p.detach() - q).square().sum()) for p, q in zip(m.trained, start, strict=True)) for m in (free, held)
    ]
    assert distance[1] < distance[0]


def test_sar_starts_again_where_it_collapses():
    model = Source()
    method = SAR(model, margin=1.0, floor=100.0, lr=0.1)
    method(batch())
    assert not moved(method, model)  # set back at once
    method = SAR(model, margin=1.0, floor=0.0, lr=0.1)
    method(batch())
    assert moved(method, model) == {"body.1.weight", "body.1.bias"}
    assert method.running > 0


def test_cotta_restores_and_follows():
    model = Source()
    whole = CoTTA(model, restore=1.0, lr=0.1)
    whole(batch())
    assert not moved(whole, model)
    method = CoTTA(model, restore=0.0, smoothing=0.5, lr=0.1)
    method(batch())
    for teacher, student, start in zip(
        method.teacher.parameters(), method.model.parameters(), model.parameters(), strict=True
    ):
        torch.testing.assert_close(teacher, (student + start) / 2)


@pytest.mark.verdict("adaptation/cotta", against="the mean over augmented inputs", within=1e-12)
def test_cotta_averages_augmented_answers_where_the_source_is_not_certain(equal):
    method = CoTTA(Source(), threshold=1.1, augmentations=2, augment=lambda inputs, _: inputs * 2)
    plain = CoTTA(Source())
    equal(method(batch()), plain(batch() * 2))


def test_t3a_begins_with_the_head_and_keeps_the_most_certain():
    model = Source()
    method = T3A(model, keep=1)
    assert len(method.memory.features) == 3
    method(batch())
    assert len(method.memory.features) <= 3
    assert T3A(model, keep=None)(batch()).shape == (16, 3)
    with pytest.raises(ValueError, match="keep 0"):
        T3A(model, keep=0)


def test_lame_is_a_fixed_point_that_neighbors_agree_on():
    unary = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.45, 0.55]]).log()
    affinity = torch.ones(3, 3) - torch.eye(3)
    answers = laplacian_adjusted(unary, affinity)
    again = (unary + affinity @ answers.exp()).log_softmax(dim=1)
    torch.testing.assert_close(answers, again, atol=1e-4, rtol=1e-3)
    assert answers.argmax(dim=1).tolist() == [0, 0, 0]
    torch.testing.assert_close(laplacian_adjusted(unary, affinity, weight=0.0), unary)
    assert LAME(Source())(batch(rows=1)).exp().sum().item() == pytest.approx(1.0)


def test_a_model_that_returns_logits_is_told():
    with pytest.raises(TypeError, match="expected a Prediction"):
        LAME(nn.Linear(4, 3))(batch())
    with pytest.raises(TypeError, match="linear head"):
        T3A(nn.Linear(4, 3))
    assert math.isfinite(float(TENT(Source())(batch()).sum()))
