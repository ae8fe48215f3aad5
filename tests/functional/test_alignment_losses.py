"""Values and gradients of the losses of adaptation and confusion against numbers that plain NumPy computed."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tlzoo.functional import (
    batch_nuclear_norm_loss,
    central_moment_discrepancy,
    classifier_discrepancy,
    fixed_norm_loss,
    higher_order_moment_loss,
    joint_mmd,
    local_mmd,
    margin_disparity,
    minimum_class_confusion,
    mmd,
    sliced_wasserstein,
    spectral_penalty,
    stepwise_norm_loss,
    transport_plan,
    uniform_confusion,
)
from tlzoo.functional.predictions import log_complement

GOLDEN = json.loads((Path(__file__).parents[1] / "reference" / "golden_alignment.json").read_text())
INPUTS = {name: torch.tensor(value, dtype=torch.float64) for name, value in GOLDEN["inputs"].items()}
SOURCE, TARGET = INPUTS["source_features"], INPUTS["target_features"]
OURS, THEIRS = INPUTS["source_logits"], INPUTS["target_logits"]


def holds(value, key):
    expected = torch.as_tensor(GOLDEN[key], dtype=torch.float64)
    torch.testing.assert_close(torch.as_tensor(value, dtype=torch.float64), expected, rtol=1e-9, atol=1e-9)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("estimator", ["biased", "unbiased", "linear"])
def test_joint_mmd(estimator):
    holds(joint_mmd(SOURCE, TARGET, OURS.softmax(1), THEIRS.softmax(1), estimator=estimator), f"jmmd_{estimator}")


@pytest.mark.parametrize(("temperature", "key"), [(2.5, "mcc_T2.5"), (1.0, "mcc_T1")])
def test_minimum_class_confusion(temperature, key):
    holds(minimum_class_confusion(THEIRS, temperature=temperature), key)


def test_margin_disparity():
    ours, theirs = OURS.roll(1, dims=1), THEIRS.roll(1, dims=1)
    holds(F.cross_entropy(ours, OURS.argmax(1)), "mdd_source_disparity")
    holds(log_complement(theirs, THEIRS.argmax(1)).mean(), "mdd_target_log1m")
    holds(margin_disparity(OURS, ours, THEIRS, theirs, margin=4.0), "mdd_gamma4")


def test_spectral_penalty_and_nuclear_norm():
    holds(spectral_penalty(SOURCE, TARGET), "bsp_k1")
    holds(batch_nuclear_norm_loss(THEIRS), "bnm")
    both = sum(np.square(np.linalg.svd(side.numpy(), compute_uv=False)[:2]).sum() for side in (SOURCE, TARGET))
    assert spectral_penalty(SOURCE, TARGET, count=2).item() == pytest.approx(both)


def test_classifier_discrepancy():
    holds(classifier_discrepancy(OURS, THEIRS), "mcd_discrepancy")


def test_gradient_of_stepwise_norms():
    features = SOURCE.clone().requires_grad_()
    loss = stepwise_norm_loss(features, step=1.0)
    loss.backward()
    assert loss.item() == pytest.approx(1.0)
    holds(features.grad[0], "safn_grad_row0_dr1")
    assert bool((features.grad * features.detach()).sum(dim=1).lt(0).all())  # downhill is longer


def test_fixed_norm_pulls_the_mean_length():
    assert fixed_norm_loss(5 * F.normalize(SOURCE, dim=1), norm=7.0).item() == pytest.approx(4.0)


def test_the_weights_of_class_confusion_are_constants():
    logits = random(5, 3).requires_grad_()
    scaled = logits.detach() / 2.5
    p = (logits / 2.5).softmax(1)
    plain = scaled.softmax(1)
    w = 1 + torch.exp((plain * plain.log()).sum(1))
    confusion = p.T @ torch.diag(5 * w / w.sum()) @ p
    rows = confusion / confusion.sum(1, keepdim=True)
    expected = torch.autograd.grad((rows.sum() - rows.trace()) / 3, logits)[0]
    found = torch.autograd.grad(minimum_class_confusion(logits), logits)[0]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("function", [minimum_class_confusion, batch_nuclear_norm_loss, uniform_confusion])
def test_empty_batches(function):
    with pytest.raises(ValueError, match="empty batch"):
        function(torch.empty(0, 3))


def test_log_complement_stays_finite_where_the_probability_rounds_to_one():
    logits = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
    value = log_complement(logits, torch.tensor([0]))
    value.sum().backward()
    assert value.item() == pytest.approx(math.log(2) - 200)
    assert bool(logits.grad.isfinite().all())
    with pytest.raises(ValueError, match="expected at least two"):
        log_complement(torch.zeros(2, 1), torch.zeros(2, dtype=torch.long))


def test_uniform_confusion_is_least_at_one_half():
    assert uniform_confusion(torch.zeros(4)).item() == pytest.approx(math.log(2))
    assert uniform_confusion(torch.tensor([3.0])) > math.log(2)


def test_local_mmd_equals_the_mean_over_classes_of_separate_batches():
    labels = torch.tensor([0, 0, 1, 1])
    hard = F.one_hot(labels, 3).double()  # nobody is of the third class
    joint = torch.cat([SOURCE, TARGET])
    distance = torch.cdist(joint, joint).square()
    spread = distance.sum() / (64 - 8)
    kernel = sum(torch.exp(-distance / (2 * spread * 2.0**i)) for i in range(-3, 2))
    expected = 0.0
    for c in (0, 1):
        member = (labels == c).double() / 2
        w = torch.cat([member, -member])
        expected += (w @ kernel @ w).item() / 2
    assert local_mmd(SOURCE, TARGET, hard, hard).item() == pytest.approx(expected)
    assert local_mmd(SOURCE, TARGET, hard, F.one_hot(torch.full((4,), 2), 3).double()).item() == 0.0


def test_local_mmd_of_one_class_is_mmd():
    ones = torch.ones(4, 1, dtype=torch.float64)
    scales = [2.0**i for i in range(-3, 2)]
    expected = mmd(SOURCE, TARGET, scales=scales, bandwidth="legacy")
    assert local_mmd(SOURCE, TARGET, ones, ones).item() == pytest.approx(expected.item())


def test_central_moments_equal_numpy():
    x, y = SOURCE.sigmoid(), TARGET.sigmoid()[:3]
    a, b = x.numpy(), y.numpy()
    expected = np.linalg.norm(a.mean(0) - b.mean(0)) / 2
    for k in (2, 3):
        moments = [((side - side.mean(0)) ** k).mean(0) for side in (a, b)]
        expected += np.linalg.norm(moments[0] - moments[1]) / 2**k
    assert central_moment_discrepancy(x, y, moments=3, span=2.0).item() == pytest.approx(expected)


@pytest.mark.parametrize(("order", "subscripts"), [(1, "na->a"), (2, "na,nb->ab"), (3, "na,nb,nc->abc")])
@pytest.mark.parametrize("center", [True, False])
def test_higher_order_moments_equal_the_written_out_tensors(order, subscripts, center):
    sides = [(s - s.mean(0) if center else s) for s in (SOURCE, TARGET[:3])]
    tensors = [torch.einsum(subscripts, *[side] * order) / len(side) for side in sides]
    expected = (tensors[0] - tensors[1]).square().sum() / 3**order
    found = higher_order_moment_loss(SOURCE, TARGET[:3], order=order, center=center)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_sliced_distance_of_unequal_sides_equals_that_of_repeated_ones():
    x, y, directions = random(4, 3), random(6, 3, seed=1), random(3, 5, seed=2)
    repeated = x.repeat_interleave(3, dim=0), y.repeat_interleave(2, dim=0)
    expected = sliced_wasserstein(*repeated, directions)
    assert sliced_wasserstein(x, y, directions).item() == pytest.approx(expected.item())


def test_sliced_distance_is_that_of_the_exact_plan_in_one_dimension():
    x, y = random(5, 1), random(5, 1, seed=1)
    cost = torch.cdist(x, y).square()
    expected = (transport_plan(cost) * cost).sum()
    assert sliced_wasserstein(x, y, torch.ones(1, 1).double()).item() == pytest.approx(expected.item())


def test_transport_plan_has_uniform_margins():
    plan = transport_plan(random(4, 6).square())
    torch.testing.assert_close(plan.sum(1), torch.full((4,), 1 / 4).double())
    torch.testing.assert_close(plan.sum(0), torch.full((6,), 1 / 6).double())
    with pytest.raises(ValueError, match=r"cost of shape \(0, 2\)"):
        transport_plan(torch.empty(0, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: minimum_class_confusion(OURS, temperature=0.0), "temperature 0.0; expected a number > 0"),
        (lambda: spectral_penalty(SOURCE, TARGET, count=0), "count 0"),
        (lambda: stepwise_norm_loss(SOURCE[:0]), "one row or more"),
        (lambda: classifier_discrepancy(OURS, OURS[:, :2]), "expected .B, C. of both"),
        (lambda: joint_mmd(SOURCE, TARGET, OURS, THEIRS, width=0.0), "width 0.0"),
        (lambda: joint_mmd(SOURCE, TARGET[:2], OURS, THEIRS, estimator="linear"), "got 4 and 2 points"),
        (lambda: central_moment_discrepancy(SOURCE, TARGET, span=0.0), "span 0.0"),
        (lambda: higher_order_moment_loss(SOURCE, TARGET, order=0), "order 0"),
        (lambda: sliced_wasserstein(SOURCE, TARGET[:0], torch.eye(3)), "1 or more a side"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
