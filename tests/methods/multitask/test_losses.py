"""Weightings of losses, and those that learn or remember."""

import copy
import math

import pytest
import torch
import torchjd.scalarization

from tlzoo.methods.multitask import (
    COSMOS,
    DBMTL,
    DWA,
    FAMO,
    IMTL,
    IMTLL,
    PBI,
    RLW,
    STCH,
    ExcessMTL,
    Geometric,
    GradNorm,
    GradVac,
    Uncertainty,
    UncertaintySoftmax,
)

LOSSES = torch.tensor([0.2, 1.0, 7.0], dtype=torch.float64)
PARTIAL = torch.tensor([True, False, True])


def gradient(function, losses=LOSSES):
    losses = losses.clone().requires_grad_()
    return torch.autograd.grad(function(losses), losses)[0]


@pytest.mark.verdict("multitask/geometric", against="the gradient of the geometric mean", within=1e-12)
def test_geometric_weights_are_the_gradient_of_the_geometric_mean(equal):
    equal(Geometric(3).weights(LOSSES), gradient(lambda x: x.prod() ** (1 / 3)))
    method = Geometric(3)
    with method.among(PARTIAL):
        weights = method.weights(LOSSES)
    expected = gradient(lambda x: (x[0] * x[2]).sqrt())
    equal(weights, expected)


@pytest.mark.parametrize("mu", [0.1, 1.0])
@pytest.mark.verdict("multitask/stch", against="the gradient of the smooth maximum", within=1e-12)
def test_stch_weights_are_the_gradient_of_the_smooth_maximum(mu, equal):
    preference, ideal = [0.5, 0.3, 0.2], [0.1, 0.0, 0.5]
    method = STCH(3, mu=mu, preference=preference, ideal=ideal).double()
    p, z = torch.tensor(preference).double(), torch.tensor(ideal).double()
    expected = gradient(lambda x: mu * torch.logsumexp(p * (x - z) / mu, dim=0))
    equal(method.weights(LOSSES), expected)


SHARES = (0.2, 0.3, 0.5)
POINT = (0.1, 0.0, 0.4)


@pytest.mark.parametrize("strength", [0.0, 0.5, 8.0])
@pytest.mark.verdict("multitask/cosmos", against="TorchJD's, by autograd", within=1e-12)
def test_cosmos_weights_are_the_gradient_of_its_objective(strength, equal):
    method = COSMOS(3, alignment=strength, preference=SHARES).double()
    theirs = torchjd.scalarization.COSMOS(strength, method.preference)
    equal(method.weights(LOSSES), gradient(theirs))
    pair = torchjd.scalarization.COSMOS(strength, method.preference[PARTIAL])
    with method.among(PARTIAL):
        weights = method.weights(LOSSES)
    equal(weights[PARTIAL], gradient(pair, LOSSES[PARTIAL]))
    assert weights[1] == 0


@pytest.mark.parametrize("strength", [0.0, 0.5, 5.0])
@pytest.mark.verdict("multitask/pbi", against="TorchJD's, by autograd", within=1e-12)
def test_pbi_weights_are_the_gradient_of_its_objective(strength, equal):
    method = PBI(3, penalty=strength, preference=SHARES, ideal=POINT).double()
    theirs = torchjd.scalarization.PBI(strength, method.preference, method.ideal)
    equal(method.weights(LOSSES), gradient(theirs))
    pair = torchjd.scalarization.PBI(strength, method.preference[PARTIAL], method.ideal[PARTIAL])
    with method.among(PARTIAL):
        weights = method.weights(LOSSES)
    equal(weights[PARTIAL], gradient(pair, LOSSES[PARTIAL]))
    assert weights[1] == 0


@pytest.mark.parametrize(("cls", "settings"), [(COSMOS, {"alignment": 20.0}), (PBI, {"penalty": 5.0})])
def test_losses_follow_the_preferred_direction(cls, settings):
    """Two losses that compete for a place on a circle meet the ray of the preference, where the plain sum does not."""

    def ratio(method):
        angle = torch.tensor(0.3).requires_grad_()
        for _ in range(400):
            losses = torch.stack([1.2 - angle.cos(), 1.2 - angle.sin()])
            (slope,) = torch.autograd.grad(method(losses), angle)
            angle = (angle - 0.005 * slope).detach().requires_grad_()
        return float((losses[0] / losses[1]).detach())

    assert ratio(cls(2, preference=(0.8, 0.2), **settings)) == pytest.approx(4, rel=0.2)
    assert ratio(cls(2, preference=(0.8, 0.2), **dict.fromkeys(settings, 0.0))) < 1


@pytest.mark.parametrize("cls", [COSMOS, PBI])
def test_preferences_have_a_number_above_zero_per_task(cls):
    for preference in ((0.5, 0.5), (1.0, 0.0, 1.0)):
        with pytest.raises(ValueError, match="for 3 tasks; expected a number > 0 for each"):
            cls(3, preference=preference)
    with pytest.raises(ValueError, match="for 3 tasks; expected a number for each"):
        PBI(3, ideal=(0.0,))


def test_stch_of_logarithms_after_the_first_epoch():
    """The authors' total: T mu log sum of exp(log(L / L0) / mu), and sum of log L in the warm-up."""
    first = torch.tensor([1.0, 2.0, 3.0]).double()
    for mu in (0.1, 1.0, 3.0):
        method = STCH(3, mu=mu, logarithm=True).double()
        torch.testing.assert_close(method.weights(LOSSES), gradient(lambda x: x.log().sum()))
        method.on_epoch(first)
        method.on_epoch(10 * first)
        expected = gradient(lambda x, mu=mu: 3 * mu * torch.logsumexp((x / first).log() / mu, dim=0))
        torch.testing.assert_close(method.weights(LOSSES), expected)
        assert float((method.weights(LOSSES) * LOSSES).sum()) == pytest.approx(3)
    preferring = STCH(3, logarithm=True, preference=[1.0, 2.0, 0.5]).double()
    preferring.on_epoch(first)
    lam = torch.tensor([1.0, 2.0, 0.5]).double()
    expected = gradient(lambda x: 3 * torch.logsumexp(lam * (x / first).log(), dim=0))
    torch.testing.assert_close(preferring.weights(LOSSES), expected)


@pytest.mark.verdict("multitask/uncertainty_softmax", against="the formula", within=1e-12)
def test_uncertainty_softmax(equal):
    expected = ((1 / LOSSES) / 3).softmax(dim=0)
    method = UncertaintySoftmax(3, temperature=3.0)
    equal(method.weights(LOSSES), expected)
    with method.among(PARTIAL):
        assert method.weights(LOSSES)[1] == 0


@pytest.mark.verdict("multitask/dwa", against="the formula", within=1e-12)
def test_dwa(equal):
    method = DWA(3).double()
    ones = torch.ones(3).double()
    assert torch.equal(method.weights(LOSSES), ones)
    method.on_epoch(torch.tensor([2.0, 2.0, 4.0]).double())
    assert torch.equal(method.weights(LOSSES), ones)
    method.on_epoch(torch.tensor([1.0, 2.0, 3.0]).double())
    expected = 3 * (torch.tensor([0.5, 1.0, 0.75]).double() / 2).softmax(dim=0)
    equal(method.weights(LOSSES), expected)


def test_rlw_draws_anew_and_goes_on_from_a_state():
    torch.manual_seed(3)
    method = RLW(3)
    first = method.weights(LOSSES)
    state = copy.deepcopy(method.state_dict())
    second = method.weights(LOSSES)
    assert float(first.sum()) == pytest.approx(1)
    assert not torch.equal(first, second)
    other = RLW(3)
    other.load_state_dict(state)
    assert torch.equal(other.weights(LOSSES), second)
    torch.manual_seed(3)
    assert torch.equal(RLW(3).weights(LOSSES), first)


def test_imtl_l_is_at_its_optimum_where_scaled_losses_are_one():
    for cls in (IMTLL, IMTL):
        method = cls(3).double()
        with torch.no_grad():
            method.log_scales.copy_(-LOSSES.log())
        method.objective(LOSSES).backward()
        torch.testing.assert_close(method.log_scales.grad, torch.zeros(3).double(), atol=1e-12, rtol=0)


@pytest.mark.verdict("multitask/imtl", against="the formula", within=1e-06)
def test_imtl_scales_the_losses_that_heads_follow(equal):
    method = IMTL(3, initial=0.5).double()
    losses = LOSSES.clone().requires_grad_()
    method.transformed(losses).sum().backward()
    equal(losses.grad, torch.full((3,), math.exp(0.5)).double())
    assert method.log_scales.grad is None


@pytest.mark.parametrize("cls", [Uncertainty, IMTLL, IMTL])
def test_a_task_without_labels_does_not_train_its_scale(cls):
    method = cls(3).double()
    with method.among(PARTIAL):
        method.objective(LOSSES * PARTIAL).backward()
    (parameter,) = method.parameters()
    assert parameter.grad[1] == 0
    assert bool((parameter.grad[[0, 2]] != 0).all())


@pytest.mark.verdict("multitask/famo", against="the gradient of its objective", within=1e-12)
def test_famo_weights_are_the_gradient_of_its_objective(equal):
    method = FAMO(3).double()
    method.get_buffer("logits").copy_(torch.tensor([0.3, -0.2, 0.1]))
    shares = method.get_buffer("logits").softmax(dim=0)
    constant = 1 / (shares / (LOSSES + 1e-8)).sum()
    expected = gradient(lambda x: constant * (shares * (x + 1e-8).log()).sum())
    equal(method.weights(LOSSES), expected)
    equal(float(expected.sum()), 1)


def test_famo_moves_its_logits_as_adam_does():
    method = FAMO(3, lr=0.025, weight_decay=1e-3).double()
    logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([logits], lr=0.025, weight_decay=1e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        before, after = torch.rand(2, 3, generator=generator).double() + 0.1
        method.weights(before)
        method.after_step(after)
        falls = (before + 1e-8).log() - (after + 1e-8).log()
        logits.grad = torch.autograd.grad(logits.softmax(dim=0), logits, falls)[0]
        adam.step()
    torch.testing.assert_close(method.get_buffer("logits"), logits.detach())


def test_famo_favors_the_task_that_fell_less():
    method = FAMO(2)
    method.weights(torch.tensor([1.0, 1.0]))
    method.after_step(torch.tensor([0.2, 0.9]))
    logits = method.get_buffer("logits")
    assert logits[1] > logits[0]


JACOBIAN = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]], dtype=torch.float64)


@pytest.mark.verdict("multitask/gradnorm", against="the paper's objective and its gradient", within=1e-12)
def test_gradnorm_objective_is_that_of_the_paper(equal):
    method = GradNorm(3, alpha=1.5).double()
    gramian = JACOBIAN @ JACOBIAN.T
    method.objective(LOSSES, gramian)
    with torch.no_grad():
        method.logits.copy_(torch.tensor([0.1, -0.4, 0.3]))
    later = torch.tensor([0.1, 0.9, 3.5]).double()
    weights = 3 * method.logits.detach().softmax(dim=0)
    rates = later / LOSSES
    target = (weights * JACOBIAN.norm(dim=1)).mean() * (rates / rates.mean()) ** 1.5
    expected = (weights * JACOBIAN.norm(dim=1) - target).abs().sum()
    found = method.objective(later, gramian)
    equal(found.item(), expected.item())
    equal(float(method.weights(later, gramian).sum()), 3)


def test_gradnorm_brings_gradients_to_one_length():
    method = GradNorm(3, alpha=0.0).double()
    optimizer = torch.optim.Adam(method.parameters(), lr=0.05)
    gramian = JACOBIAN @ JACOBIAN.T
    for step in range(400):
        optimizer.param_groups[0]["lr"] = 0.05 * 0.98**step
        optimizer.zero_grad()
        method.objective(LOSSES, gramian).backward()
        optimizer.step()
    lengths = method.weights(LOSSES, gramian) * JACOBIAN.norm(dim=1)
    torch.testing.assert_close(lengths, lengths.mean().expand(3), rtol=0.02, atol=0)
    with pytest.raises(ValueError, match="Gramian"):
        method.objective(LOSSES)


@pytest.mark.verdict("multitask/db_mtl", against="the formula, over several steps", within=1e-12)
def test_db_mtl_sums_averages_at_one_length(equal):
    method = DBMTL(3, beta=0.9, decay=0.5).double()
    first = method.direction(JACOBIAN)
    average = 0.1 * JACOBIAN
    equal(first, 0.3 * (average / average.norm(dim=1, keepdim=True)).sum(dim=0))
    kept = 0.9 / 2**0.5
    average = kept * average + (1 - kept) * JACOBIAN.flip(0)
    expected = average.norm(dim=1).max() * (average / average.norm(dim=1, keepdim=True)).sum(dim=0)
    equal(method.direction(JACOBIAN.flip(0)), expected)
    losses = LOSSES.clone().requires_grad_()
    method.transformed(losses).sum().backward()
    equal(losses.grad, 1 / (LOSSES + 1e-8))


def test_db_mtl_leaves_the_average_of_a_task_without_labels():
    method = DBMTL(3, beta=0.0).double()
    method.direction(JACOBIAN)
    with method.among(PARTIAL):
        method.direction(2 * JACOBIAN * PARTIAL[:, None])
    expected = JACOBIAN * torch.tensor([[2.0], [1.0], [2.0]])
    torch.testing.assert_close(method.get_buffer("averages"), expected)


@pytest.mark.verdict("multitask/excess_mtl", against="the formula, over several steps", within=1e-12)
def test_excess_mtl_weighs_tasks_by_relative_risk(equal):
    method = ExcessMTL(3, step_size=0.5).double()
    equal(method.direction(JACOBIAN), JACOBIAN.sum(dim=0))
    second = JACOBIAN * torch.tensor([[3.0], [1.0], [1.0]])
    squares = JACOBIAN**2 + second**2
    first_risks = (JACOBIAN**2 / (JACOBIAN**2 + 1e-7).sqrt()).sum(dim=1)
    risks = (second**2 / (squares + 1e-7).sqrt()).sum(dim=1)
    weights = 3 * (0.5 * risks / first_risks).softmax(dim=0)
    equal(method.direction(second), weights @ second)
    assert weights.argmax() == 0


@pytest.mark.parametrize("cls", [DBMTL, ExcessMTL])
def test_a_history_as_wide_as_the_jacobian_survives_a_checkpoint(cls):
    method = cls(3).double()
    method.direction(JACOBIAN)
    other = cls(3).double()
    other.load_state_dict(copy.deepcopy(method.state_dict()))
    torch.testing.assert_close(other.direction(2 * JACOBIAN), method.direction(2 * JACOBIAN))
    with pytest.raises(ValueError, match="make a new weighting for another network"):
        method.direction(JACOBIAN[:, :1])


def test_gradvac_targets_are_in_the_state():
    method = GradVac(3, beta=0.5)
    method.weights(LOSSES, JACOBIAN @ JACOBIAN.T)
    assert float(method.state_dict()["targets"].abs().sum()) > 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DWA(2, temperature=0.0), "temperature"),
        (lambda: UncertaintySoftmax(2, temperature=-1.0), "temperature"),
        (lambda: STCH(2, mu=0.0), "mu > 0"),
        (lambda: STCH(2, preference=[1.0]), "for 2 tasks"),
        (lambda: DBMTL(2, beta=1.5), "beta"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()
