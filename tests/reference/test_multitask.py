import math

import pytest
import torch

from tlzoo.methods.multitask import Equal, Fixed, Uncertainty

LOSSES = torch.tensor([0.2, 1.0, 7.0], dtype=torch.float64)


def test_uncertainty_is_at_its_optimum_where_s_is_log_of_the_loss():
    method = Uncertainty(3, factor=0.5).double()
    with torch.no_grad():
        method.log_variances.copy_(LOSSES.log())
    method.objective(LOSSES).backward()
    torch.testing.assert_close(method.log_variances.grad, torch.zeros(3).double(), atol=1e-12, rtol=0)


def test_uncertainty_finds_its_optimum():
    method = Uncertainty(3).double()
    optimizer = torch.optim.LBFGS(method.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        value = method.objective(LOSSES)
        value.backward()
        return value

    optimizer.step(closure)
    torch.testing.assert_close(method.log_variances.detach(), LOSSES.log(), atol=1e-5, rtol=0)


@pytest.mark.verdict("multitask/uncertainty", against="the formula, by hand", within=1e-06)
def test_uncertainty_value_and_weights(equal):
    method = Uncertainty(3, initial=0.3).double()
    expected = sum(0.5 * math.exp(-0.3) * loss + 0.15 for loss in LOSSES.tolist())
    equal(method.objective(LOSSES).item(), expected)
    weights = method.weights(LOSSES)
    equal(weights, torch.full((3,), 0.5 * math.exp(-0.3)).double())
    assert not weights.requires_grad


def test_objective_of_uncertainty_moves_the_variances_alone():
    losses = LOSSES.clone().requires_grad_()
    method = Uncertainty(3).double()
    method.objective(losses).backward()
    assert losses.grad is None
    assert method.log_variances.grad is not None


@pytest.mark.parametrize(
    ("method", "weights"),
    [(Equal(3), [1.0, 1.0, 1.0]), (Fixed(3, weights=[0.5, 0.0, 2.0]), [0.5, 0.0, 2.0])],
)
def test_total_is_the_weighted_sum(method, weights):
    losses = LOSSES.clone().requires_grad_()
    total = method(losses)
    total.backward()
    assert losses.grad.tolist() == weights
    assert total.item() == pytest.approx(sum(w * loss for w, loss in zip(weights, LOSSES.tolist(), strict=True)))


@pytest.mark.parametrize("weights", [[1.0], [1.0, 2.0, -1.0], [1.0, 1.0, math.nan], [1.0, 1.0, math.inf]])
def test_fixed_refuses(weights):
    with pytest.raises(ValueError, match="one number >= 0 per task"):
        Fixed(3, weights=weights)
