"""Every differentiable function of tlzoo.functional under torch's transforms, and on inputs made to hurt.

Finite values and gradients on constant, equal, zero, tiny and huge inputs in every float dtype; ``torch.func.vmap``
agrees with a loop, ``torch.func.grad`` with autograd, and ``torch.compile`` with the plain call.
"""

import pytest
import torch

from tlzoo import functional as F
from tlzoo.functional.precision import at_least_float32

N, M, D, C = 6, 5, 4, 3
LABELS = torch.tensor([[0, 1, 2, 0, 1, 2]])


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


DIRECTIONS = torch.nn.functional.normalize(drawn(C, 8, seed=7), dim=0)

SIDES = {"source": (N, D), "target": (M, D)}
BOTH = {"source": (N, D), "target": (N, D)}
LOGITS = {"logits": (N, C)}
PAIR = {"first": (N, C), "second": (N, C)}


def softmax(values):
    return values.softmax(dim=1)


def squares(values):
    """A loss on what is no loss: the mean square, in float32 at least, because float16 has none above 255."""
    return at_least_float32(values).square().mean()


LOSSES = {
    "mmd": (lambda s, t: F.mmd(s, t), SIDES),
    "mmd, unbiased": (lambda s, t: F.mmd(s, t, estimator="unbiased", scales=(0.5, 2.0)), SIDES),
    "mmd, linear": (lambda s, t: F.mmd(s, t, estimator="linear"), BOTH),
    "mmd, legacy": (lambda s, t: F.mmd(s, t, bandwidth="legacy"), SIDES),
    "joint_mmd": (lambda s, t, p, q: F.joint_mmd(s, t, softmax(p), softmax(q)), SIDES | {"p": (N, C), "q": (M, C)}),
    "local_mmd": (lambda s, t, p, q: F.local_mmd(s, t, softmax(p), softmax(q)), SIDES | {"p": (N, C), "q": (M, C)}),
    "gaussian_kernel": (lambda x: F.gaussian_kernel(x).sum(), {"points": (N, D)}),
    "pairwise_squared_distances": (lambda x: F.pairwise_squared_distances(x).sum(), {"points": (N, D)}),
    "coral_loss": (lambda s, t: F.coral_loss(s, t), SIDES),
    "coral_loss, domainbed": (lambda s, t: F.coral_loss(s, t, normalization="domainbed"), SIDES),
    "covariance": (lambda x: F.covariance(x).sum(), {"features": (N, D)}),
    "central_moment_discrepancy": (
        lambda s, t: F.central_moment_discrepancy(torch.tanh(s), torch.tanh(t), span=2.0),
        SIDES,
    ),
    "higher_order_moment_loss": (lambda s, t: F.higher_order_moment_loss(s.tanh(), t.tanh()), SIDES),
    "moment_distance": (lambda s, t: F.moment_distance([s.tanh(), 2 * s.tanh()], t.tanh()), SIDES),
    "spectral_penalty": (lambda s, t: F.spectral_penalty(s, t), SIDES),
    "stepwise_norm_loss": (lambda x: F.stepwise_norm_loss(x), {"features": (N, D)}),
    "fixed_norm_loss": (lambda x: F.fixed_norm_loss(x), {"features": (N, D)}),
    "minimum_class_confusion": (lambda x: F.minimum_class_confusion(x), LOGITS),
    "batch_nuclear_norm_loss": (lambda x: F.batch_nuclear_norm_loss(x), LOGITS),
    "classifier_discrepancy": (lambda a, b: F.classifier_discrepancy(a, b), PAIR),
    "uniform_confusion": (lambda x: F.uniform_confusion(x), LOGITS),
    "margin_disparity": (
        lambda a, b, c, d: F.margin_disparity(a, b, c, d),
        {"a": (N, C), "b": (N, C), "c": (M, C), "d": (M, C)},
    ),
    "entropy": (lambda x: F.entropy(x).mean(), LOGITS),
    "divergence": (lambda a, b: F.divergence(a, b).mean(), PAIR),
    "information_maximization": (lambda x: F.information_maximization(x), LOGITS),
    "sliced_wasserstein": (lambda a, b: F.sliced_wasserstein(a, b, DIRECTIONS.to(a)), PAIR),
    "multilinear_map": (
        lambda f, p: at_least_float32(F.multilinear_map(f, softmax(p))).mean(),
        {"f": (N, D), "p": (N, C)},
    ),
    "gradient_reversal": (lambda x: squares(F.gradient_reversal(x, 0.5)), {"x": (N, D)}),
    "cosine_similarities": (lambda q, c: F.cosine_similarities(q[None], c[None]).mean(), SIDES),
    "negative_squared_distances": (lambda q, c: F.negative_squared_distances(q[None], c[None]).mean(), SIDES),
    "prototypes": (lambda x: squares(F.prototypes(x[None], LABELS, 3)), {"support": (N, D)}),
}
BEYOND = {
    torch.float16: {
        ("gaussian_kernel", "1e-5"),
        ("pairwise_squared_distances", "1e4"),
        ("coral_loss", "1e4"),
        ("coral_loss, domainbed", "1e4"),
    },
    torch.bfloat16: {("coral_loss", "1e10"), ("coral_loss, domainbed", "1e10")},
    torch.float32: {("coral_loss", "1e10"), ("coral_loss, domainbed", "1e10")},
    torch.float64: set(),
}
"""Losses beyond the greatest number of float32, or whose gradient is beyond that of the inputs' dtype, which it has."""


def inputs_of(name, *, scale=1.0, dtype=torch.float64):
    return [(scale * drawn(*shape, seed=seed)).to(dtype) for seed, shape in enumerate(LOSSES[name][1].values(), 1)]


def gradients(loss, inputs):
    leaves = [value.clone().requires_grad_() for value in inputs]
    value = loss(*leaves)
    return value.detach(), torch.autograd.grad(value, leaves, allow_unused=True)


HURT = {
    "zeros": lambda value: torch.zeros_like(value),
    "a constant": lambda value: torch.full_like(value, 3.0),
    "equal rows": lambda value: value[:1].expand_as(value).clone(),
    "equal columns": lambda value: value[:, :1].expand_as(value).clone(),
    "one row of zeros": lambda value: torch.cat([torch.zeros_like(value[:1]), value[1:]]),
    "1e-10": lambda value: 1e-10 * value,
    "1e-5": lambda value: 1e-5 * value,
    "1e4": lambda value: 1e4 * value,
    "1e10": lambda value: 1e10 * value,
}


@pytest.mark.parametrize("hurt", HURT)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", LOSSES)
def test_values_and_gradients_are_finite(name, dtype, hurt):
    loss, inputs = LOSSES[name][0], [HURT[hurt](value).to(dtype) for value in inputs_of(name, dtype=torch.float64)]
    if not all(each.isfinite().all() for each in inputs):
        assert (dtype, hurt) == (torch.float16, "1e10")
        return
    value, found = gradients(loss, inputs)
    if (name, hurt) in BEYOND[dtype]:
        value, wide = gradients(loss, [each.double() for each in inputs])
        steepest = max(gradient.abs().max() for gradient in wide)
        assert value > torch.finfo(torch.float32).max or steepest > torch.finfo(dtype).max
        return
    assert value.isfinite()
    assert all(gradient is None or gradient.isfinite().all() for gradient in found)


@pytest.mark.parametrize("name", LOSSES)
def test_func_grad_agrees_with_autograd(name):
    loss, inputs = LOSSES[name][0], inputs_of(name)
    _, expected = gradients(loss, inputs)
    found = torch.func.grad(loss, argnums=tuple(range(len(inputs))))(*inputs)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, torch.zeros_like(one) if other is None else other)


@pytest.mark.parametrize("name", LOSSES)
def test_vmap_agrees_with_a_loop(name):
    loss = LOSSES[name][0]
    batches = [inputs_of(name, scale=scale) for scale in (0.5, 1.0, 2.0)]
    stacked = [torch.stack(values) for values in zip(*batches, strict=True)]
    at_once = torch.func.vmap(loss)(*stacked)
    torch.testing.assert_close(at_once, torch.stack([loss(*values) for values in batches]))


@pytest.mark.parametrize("name", LOSSES)
def test_vmap_of_grad_agrees_with_a_loop(name):
    loss = LOSSES[name][0]
    batches = [inputs_of(name, scale=scale) for scale in (0.5, 2.0)]
    stacked = [torch.stack(values) for values in zip(*batches, strict=True)]
    found = torch.func.vmap(torch.func.grad(loss))(*stacked)
    expected = torch.stack([torch.func.grad(loss)(*values) for values in batches])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", LOSSES)
def test_compiled_in_one_graph(name):
    torch._dynamo.reset()
    loss, inputs = LOSSES[name][0], inputs_of(name, dtype=torch.float32)
    value, expected = gradients(loss, inputs)
    compiled, found = gradients(torch.compile(loss, backend="aot_eager", fullgraph=True), inputs)
    torch.testing.assert_close(compiled, value)
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other)


def test_every_function_is_here():
    """What is not is no loss: no tensors in, no gradient, or a function as its argument."""
    elsewhere = {
        *("adversarial_direction", "virtual_adversarial_divergence", "entropy_weights", "reversal_coefficient"),
        *("average_gradients", "gather_with_gradient", "mean_over_processes", "harmonic_mean", "seen_unseen_curve"),
        *("memberships", "nearest_neighbors", "transport_plan", "standardization", "symmetric_power"),
        *("average_weights", "greedy_soup", "interpolate_weights", "aligned_space", "task_arithmetic", "ties", "dare"),
        *("fisher_merge", "reg_mean", "project_on_simplex", "transport_plans"),
        *(
            "bbse_prior",
            "em_prior",
            "otter_shares",
            "mean_contrasts",
            "transfer_components",
            "regularized_plan",
            "sinkhorn_plan",
        ),
        *(
            "inverse_gram_distance",
            "subspace_distance",
        ),  # their rank depends on values: tests/functional/test_regression.py
    }
    functions = {name for name in F.__all__ if name[0].islower()}
    assert functions - elsewhere == {name.split(",")[0] for name in LOSSES}
