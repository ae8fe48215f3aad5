"""Values and gradients of adaptation and confusion against numbers that plain NumPy computed."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from tlzoo.functional import (
    coral_loss,
    entropy,
    entropy_weights,
    gradient_reversal,
    information_maximization,
    mmd,
    multilinear_map,
    pairwise_squared_distances,
    reversal_coefficient,
)
from tlzoo.methods.adaptation import DAN, DeepCORAL
from tlzoo.methods.confusion import CDAN, DANN
from tlzoo.selection.validators import neighborhood_density, soft_neighborhood_density
from tlzoo.types import Prediction

GOLDEN = json.loads((Path(__file__).parent / "golden_alignment.json").read_text())
INPUTS = {name: torch.tensor(value, dtype=torch.float64) for name, value in GOLDEN["inputs"].items()}
DAN_SCALES = [2.0**i for i in range(-3, 2)]


def holds(value, key, tolerance=1e-9):
    expected = torch.as_tensor(GOLDEN[key], dtype=torch.float64)
    torch.testing.assert_close(torch.as_tensor(value, dtype=torch.float64), expected, rtol=tolerance, atol=tolerance)


@pytest.fixture
def features():
    return INPUTS["source_features"].clone().requires_grad_(), INPUTS["target_features"].clone().requires_grad_()


@pytest.fixture
def predictions(features):
    source, target = features
    return (
        Prediction(features=source, logits=INPUTS["source_logits"]),
        Prediction(features=target, logits=INPUTS["target_logits"]),
    )


@pytest.mark.parametrize("progress", GOLDEN["grl_coefficient"])
def test_reversal_coefficient(progress):
    assert reversal_coefficient(float(progress)) == pytest.approx(GOLDEN["grl_coefficient"][progress], abs=1e-9)


def test_mean_distance(features):
    holds(pairwise_squared_distances(torch.cat(features)).mean(), "mean_pairwise_sq_distance_incl_diagonal")


@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
def test_mmd_of_one_kernel(features, estimator):
    holds(mmd(*features, estimator=estimator), f"mmd_gaussian_{estimator}")


@pytest.mark.parametrize("estimator", ["biased", "unbiased", "linear"])
def test_mmd_of_five_kernels(features, predictions, estimator):
    holds(mmd(*features, scales=DAN_SCALES, estimator=estimator), f"mkmmd_{estimator}")
    holds(DAN(3, 3, scales=DAN_SCALES, estimator=estimator)(*predictions)["loss"], f"mkmmd_{estimator}")


@pytest.mark.parametrize("estimator", ["biased", "linear"])
def test_mmd_of_the_older_bandwidth(features, predictions, estimator):
    key = f"mkmmd_legacy_bandwidth_{estimator}"
    holds(mmd(*features, scales=DAN_SCALES, estimator=estimator, bandwidth="legacy"), key)
    holds(DAN(3, 3, estimator=estimator, bandwidth="legacy")(*predictions)["loss"], key)


def test_gradient_of_mmd_with_a_detached_bandwidth(features, predictions):
    DAN(3, 3, estimator="biased")(*predictions)["loss"].backward()
    holds(features[0].grad, "mkmmd_biased_source_gradient_bandwidth_detached", 1e-6)


@pytest.mark.parametrize("normalization", ["paper", "domainbed"])
def test_coral(features, predictions, normalization):
    holds(coral_loss(*features, normalization=normalization), f"coral_{normalization}")
    holds(DeepCORAL(3, 3, normalization=normalization)(*predictions)["loss"], f"coral_{normalization}")


def test_multilinear_map():
    joint = multilinear_map(INPUTS["target_features"], INPUTS["target_logits"].softmax(dim=1))
    holds(joint[0], "cdan_map_row0")


def test_entropy_weights_per_domain():
    source, target = entropy_weights(entropy(INPUTS["source_logits"]), entropy(INPUTS["target_logits"]))
    holds(source, "cdan_entropy_weights_per_domain_source")
    holds(target, "cdan_entropy_weights_per_domain_target")


def test_entropy_weights_of_both_domains():
    weights = entropy_weights(entropy(INPUTS["source_logits"]), entropy(INPUTS["target_logits"]), normalization="joint")
    holds(torch.cat(weights), "cdan_entropy_weights_joint_sum_2n")


def test_information():
    holds(entropy(INPUTS["target_logits"]).mean(), "entropy_mean_target")
    holds(information_maximization(INPUTS["target_logits"]), "information_maximization")


def test_soft_neighborhood_density():
    holds(soft_neighborhood_density(INPUTS["target_logits"]), "snd_softmax_T0.05")
    holds(soft_neighborhood_density(INPUTS["target_logits"], temperature=1.0), "snd_softmax_T1")
    holds(neighborhood_density(INPUTS["target_features"], temperature=1.0), "snd_features_T1")


def written_out_loss(discriminator, source, target, weights=None):
    """Return the cross-entropy of a discriminator, one example after the other."""
    logits = discriminator(torch.cat([source, target])).squeeze(1)
    n, m = len(source), len(target)
    weights = [1 / n] * n + [1 / m] * m if weights is None else weights
    total = 0.0
    for place, (logit, weight) in enumerate(zip(logits, weights, strict=True)):
        total = total - weight * (F.logsigmoid(logit) if place < n else F.logsigmoid(-logit))
    return total / sum(weights)


@pytest.mark.verdict("confusion/dann", against="the formula, example by example, and its gradient", within=1e-12)
def test_dann_reverses_the_gradient_of_a_written_out_loss(features, predictions, equal):
    torch.manual_seed(0)
    dann = DANN(3, 3, hidden=8).double()
    plain = written_out_loss(dann.discriminator, *features)
    expected = torch.autograd.grad(plain, [*features, *dann.parameters()])
    loss = dann(*predictions, progress=0.3)["loss"]
    found = torch.autograd.grad(loss, [*features, *dann.parameters()])
    equal(loss.item(), plain.item())
    coefficient = 2 / (1 + math.exp(-3)) - 1
    for ours, theirs in zip(found[:2], expected[:2], strict=True):
        equal(ours, -coefficient * theirs)
    for ours, theirs in zip(found[2:], expected[2:], strict=True):
        equal(ours, theirs)


def test_dann_counts_each_domain_one_half_at_unequal_sizes(predictions):
    torch.manual_seed(0)
    dann = DANN(3, 3, hidden=8).double()
    source, target = predictions
    few = Prediction(features=target.features[:2], logits=target.logits[:2])
    expected = written_out_loss(dann.discriminator, source.features, few.features)
    assert dann(source, few)["loss"].item() == pytest.approx(expected.item(), abs=1e-12)


@pytest.mark.parametrize("normalization", ["per_domain", "joint"])
@pytest.mark.parametrize("rows", [4, 2])
@pytest.mark.verdict("confusion/cdan", against="the formula, example by example", within=1e-12)
def test_cdan_with_entropy_equals_a_written_out_loss(predictions, normalization, rows, equal):
    torch.manual_seed(0)
    source, target = predictions
    target = Prediction(features=target.features[:rows], logits=target.logits[:rows])
    cdan = CDAN(3, 3, hidden=8, entropy=True, normalization=normalization).double()

    raw = [1 + math.exp(-h) for side in (source, target) for h in entropy(side.logits).tolist()]
    ours, theirs = raw[:4], raw[4:]
    if normalization == "per_domain":
        weights = [w / sum(ours) for w in ours] + [w / sum(theirs) for w in theirs]
    else:
        weights = [w * len(raw) / sum(raw) for w in raw]

    maps = [
        torch.stack([torch.outer(p, f).flatten() for p, f in zip(s.logits.softmax(1), s.features, strict=True)])
        for s in (source, target)
    ]
    expected = written_out_loss(cdan.discriminator, *maps, weights)
    equal(cdan(source, target)["loss"].item(), expected.item())


def test_the_two_normalizations_of_cdan_differ(predictions):
    torch.manual_seed(0)
    per_domain = CDAN(3, 3, hidden=8, entropy=True).double()
    joint = CDAN(3, 3, hidden=8, entropy=True, normalization="joint").double()
    joint.load_state_dict(per_domain.state_dict())
    assert per_domain(*predictions)["loss"].item() != pytest.approx(joint(*predictions)["loss"].item(), abs=1e-6)


def test_cdan_of_random_projections(predictions):
    torch.manual_seed(0)
    cdan = CDAN(3, 3, hidden=8, random_width=5).double()
    f, g = cdan.random.features, cdan.random.predictions
    maps = [(s.features @ f) * (s.logits.softmax(1) @ g) / math.sqrt(5) for s in predictions]
    expected = written_out_loss(cdan.discriminator, *maps)
    assert cdan(*predictions)["loss"].item() == pytest.approx(expected.item(), abs=1e-12)
    assert {"random.features", "random.predictions"} <= set(cdan.state_dict())


def test_predictions_are_constants_of_cdan(features):
    cdan = CDAN(3, 3, hidden=8, entropy=True, weight_gradient="none").double()
    logits = INPUTS["source_logits"].clone().requires_grad_()
    side = Prediction(features=features[0], logits=logits)
    cdan(side, Prediction(features=features[1], logits=logits))["loss"].backward()
    assert not logits.grad.any()
    assert features[0].grad.abs().sum() > 0


def test_reversal_leaves_the_value():
    x = torch.randn(3, dtype=torch.float64, requires_grad=True)
    y = gradient_reversal(x, 0.25)
    assert torch.equal(x, y)
    y.square().sum().backward()
    torch.testing.assert_close(x.grad, -0.5 * x.detach())
