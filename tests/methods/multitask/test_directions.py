"""Directions of the weightings of gradients: golden values, and invariants on hard Jacobians."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tlzoo.methods.multitask import (
    IMTLG,
    MGDA,
    AlignedMTL,
    CAGrad,
    ConFIG,
    DualProj,
    FairGrad,
    GradDrop,
    GradVac,
    NashMTL,
    PCGrad,
    SDMGrad,
    UPGrad,
)

J1 = torch.tensor([[-4.0, 1, 1], [6, 1, 1]], dtype=torch.float64)
J2 = torch.tensor([[1.0, 0, 2], [0, 1, -1], [-1, 2, 0.5]], dtype=torch.float64)


def direction(method, jacobian):
    weights = method.weights(torch.ones(len(jacobian), dtype=torch.float64), jacobian @ jacobian.T)
    return weights @ jacobian


@pytest.mark.parametrize(
    ("cls", "first", "second"),
    [
        pytest.param(
            UPGrad,
            [0.2929, 1.9004, 1.9004],
            [0.1333, 1.3331, 0.4335],
            marks=pytest.mark.verdict("multitask/upgrad", against="TorchJD, to four digits", within=6e-5),
        ),
        pytest.param(
            MGDA,
            [0.0, 1.0, 1.0],
            [0.3636, 0.6364, 0.0909],
            marks=pytest.mark.verdict("multitask/mgda", against="the exact solutions, to four digits", within=6e-5),
        ),
        pytest.param(
            PCGrad,
            [0.5848, 3.8012, 3.8012],
            None,
            marks=pytest.mark.verdict("multitask/pcgrad", against="TorchJD, to four digits", within=6e-5),
        ),
        pytest.param(
            GradVac,
            [0.5848, 3.8012, 3.8012],
            None,
            marks=pytest.mark.verdict("multitask/gradvac", against="TorchJD, to four digits", within=6e-5),
        ),
        pytest.param(
            CAGrad,
            [0.1835, 1.2041, 1.2041],
            [0.2196, 1.5093, 0.4299],
            marks=pytest.mark.verdict("multitask/cagrad", against="TorchJD, to four digits", within=6e-5),
        ),
        pytest.param(
            IMTLG,
            [0.0767, 1.0, 1.0],
            [0.4525, 0.5475, 0.1154],
            marks=pytest.mark.verdict("multitask/imtl_g", against="TorchJD, to four digits", within=6e-5),
        ),
        pytest.param(
            AlignedMTL,
            [0.2133, 0.9673, 0.9673],
            [0.1536, 0.4011, 0.1317],
            marks=pytest.mark.verdict("multitask/aligned_mtl", against="TorchJD, to four digits", within=6e-5),
        ),
        pytest.param(
            ConFIG,
            [0.1588, 2.0706, 2.0706],
            [1.5866, 1.9195, 0.4044],
            marks=pytest.mark.verdict("multitask/config", against="TorchJD, to four digits", within=6e-5),
        ),
        pytest.param(
            NashMTL,
            [0.0766, 0.9985, 0.9985],
            [0.3581, 1.6002, 0.5578],
            marks=pytest.mark.verdict("multitask/nash_mtl", against="TorchJD, to four digits", within=6e-5),
        ),
    ],
)
def test_golden(cls, first, second, equal):
    for jacobian, expected in ((J1, first), (J2, second)):
        if expected is not None:
            apart = direction(cls(len(jacobian)), jacobian) - torch.tensor(expected).double()
            equal(apart, torch.zeros_like(apart))  # apart by no more than rounding, not relative to the largest


@st.composite
def jacobians(draw, *, zero_rows=True):
    """Matrices of 2 to 10 tasks, often rank deficient or with a row of zeros, at scales from 1e-6 to 1e6."""
    tasks, columns = draw(st.integers(2, 10)), draw(st.integers(1, 12))
    rank = draw(st.integers(1, min(tasks, columns)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    left, right = (torch.randn(*size, generator=generator).double() for size in ((tasks, rank), (rank, columns)))
    jacobian = left @ right * 10.0 ** draw(st.integers(-6, 6))
    if draw(st.booleans()):
        jacobian = jacobian * 10 ** (2 * torch.rand(tasks, 1, generator=generator).double())
    if zero_rows and draw(st.booleans()):
        jacobian[draw(st.integers(0, tasks - 1))] = 0
    return jacobian


def shortest(jacobian):
    """Return the length of the shortest convex combination of the rows at unit length, zero rows left out."""
    lengths = jacobian.norm(dim=1)
    units = jacobian[lengths > 0] / lengths[lengths > 0, None]
    return float((MGDA(len(units)).weights(torch.ones(len(units)).double(), units @ units.T) @ units).norm())


quick = settings(max_examples=30, deadline=None, derandomize=True)


@quick
@given(jacobians())
def test_mgda_points_along_no_gradient_less_than_its_square(jacobian):
    weights = MGDA(len(jacobian)).weights(torch.ones(len(jacobian)).double(), jacobian @ jacobian.T)
    d = weights @ jacobian
    tolerance = 1e-7 * float(jacobian.norm(dim=1).min()) * float(jacobian.norm(dim=1).max()) + 1e-300
    assert float(weights.sum()) == pytest.approx(1)
    assert bool((weights >= 0).all())
    gains = jacobian @ d - d @ d
    assert float(gains.min()) >= -tolerance
    active = weights > 1e-6
    assert float(gains[active].abs().max()) <= max(1e3 * tolerance, 1e-6 * float(d @ d))


@quick
@given(jacobians(), st.floats(0.05, 0.95))
def test_cagrad_stays_on_the_border_of_its_ball(jacobian, c):
    d, mean = direction(CAGrad(len(jacobian), c=c), jacobian), jacobian.mean(dim=0)
    if float(d.norm()) > 0:
        assert float((d - mean).norm()) == pytest.approx(c * float(mean.norm()), rel=1e-5)
        rescaled = direction(CAGrad(len(jacobian), c=c, scaling="rescaled"), jacobian)
        torch.testing.assert_close(rescaled, d / (1 + c**2))
    else:
        lengths = jacobian.norm(dim=1)
        scale = float((lengths.square().mean()).sqrt()) or 1.0
        shortest_row = direction(MGDA(len(jacobian)), jacobian)
        assert min(float(shortest_row.norm()), float(mean.norm())) <= 1e-4 * scale


@quick
@given(jacobians())
def test_cagrad_at_zero_is_the_mean(jacobian):
    torch.testing.assert_close(direction(CAGrad(len(jacobian), c=0.0), jacobian), jacobian.mean(dim=0))


@quick
@given(jacobians(), st.floats(0.1, 0.9), st.integers(0, 1000))
def test_cagrad_serves_the_worst_task_best(jacobian, c, seed):
    d, mean = direction(CAGrad(len(jacobian), c=c), jacobian), jacobian.mean(dim=0)
    generator = torch.Generator().manual_seed(seed)
    step = torch.randn(20, len(mean), generator=generator).double()
    others = mean + c * float(mean.norm()) * step / step.norm(dim=1, keepdim=True)
    if float(d.norm()) > 0:
        worst = (jacobian @ others.T).min(dim=0).values.max()
        assert float((jacobian @ d).min()) >= float(worst) - 1e-5 * float(jacobian.norm() * mean.norm())


@quick
@given(jacobians())
def test_nash_gains_are_inverse_to_weights(jacobian):
    gramian = jacobian @ jacobian.T
    weights = NashMTL(len(jacobian)).weights(torch.ones(len(jacobian)).double(), gramian)
    there = jacobian.norm(dim=1) > 0
    if bool((weights > 0).any()):
        products = (weights * (gramian @ weights))[there]
        torch.testing.assert_close(products, torch.ones_like(products), rtol=1e-4, atol=1e-4)
    else:
        assert shortest(jacobian) <= 1e-4


@quick
@given(jacobians(), st.sampled_from([0.5, 1.0, 2.0, 5.0]))
def test_fairgrad_gains_are_powers_of_weights(jacobian, alpha):
    gramian = jacobian @ jacobian.T
    weights = FairGrad(len(jacobian), alpha=alpha).weights(torch.ones(len(jacobian)).double(), gramian)
    there = (jacobian.norm(dim=1) > 0) & (weights > 0)
    products = (weights ** (1 / alpha) * (gramian @ weights))[there]
    torch.testing.assert_close(products, torch.ones_like(products), rtol=1e-3, atol=1e-3)


@pytest.mark.verdict("multitask/fairgrad", against="Nash-MTL at alpha 1", within=1e-12)
def test_fairgrad_at_one_is_nash(equal):
    equal(direction(FairGrad(3, alpha=1.0), J2), direction(NashMTL(3), J2))


@quick
@given(jacobians())
@pytest.mark.parametrize("cls", [UPGrad, DualProj])
def test_projections_let_no_task_lose(cls, jacobian):
    d = direction(cls(len(jacobian), regularization=0.0), jacobian)
    lengths = jacobian.norm(dim=1)
    assert bool((jacobian @ d >= -1e-6 * lengths * float(lengths.max())).all())


def projected(jacobian):
    """The mean gradient projected onto the dual cone, by the set of active tasks that meets the KKT conditions."""
    mean = jacobian.mean(dim=0)
    for size in range(len(jacobian) + 1):
        for active in itertools.combinations(range(len(jacobian)), size):
            rows = jacobian[list(active)]
            multipliers = torch.linalg.solve(rows @ rows.T, -rows @ mean)
            found = mean + multipliers @ rows
            if bool((multipliers >= 0).all()) and bool((jacobian @ found >= -1e-12).all()):
                return found
    raise AssertionError("no set of tasks meets the conditions")


@pytest.mark.verdict("multitask/dual_proj", against="the set of tasks that meets the KKT conditions", within=1e-9)
@pytest.mark.parametrize("seed", range(5))
def test_dual_proj_is_the_nearest_direction_without_conflict(equal, seed):
    random = torch.randn(4, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    for jacobian in (J1, J2, random - 0.5 * random.mean(dim=0)):
        equal(direction(DualProj(len(jacobian), regularization=0.0), jacobian), projected(jacobian))


def test_projections_leave_gradients_without_conflict():
    jacobian = torch.tensor([[1.0, 0.2], [0.3, 2.0]], dtype=torch.float64)
    for cls in (UPGrad, DualProj):
        torch.testing.assert_close(direction(cls(2), jacobian), jacobian.mean(dim=0))


@quick
@given(jacobians(zero_rows=False))
def test_imtl_g_projections_are_equal(jacobian):
    full = jacobian.shape[1] >= len(jacobian) and float(torch.linalg.cond(jacobian)) < 1e3
    if full:
        d = direction(IMTLG(len(jacobian)), jacobian)
        projections = jacobian @ d / jacobian.norm(dim=1)
        torch.testing.assert_close(projections, projections.mean().expand_as(projections), rtol=1e-5, atol=0)


@quick
@given(jacobians(zero_rows=False))
def test_config_cosines_are_equal(jacobian):
    units = jacobian / jacobian.norm(dim=1, keepdim=True)
    if jacobian.shape[1] >= len(jacobian) and float(torch.linalg.cond(units)) < 1e3:
        d = direction(ConFIG(len(jacobian)), jacobian)
        cosines = units @ d / d.norm()
        torch.testing.assert_close(cosines, cosines.mean().expand_as(cosines), rtol=1e-4, atol=1e-9)
        assert float(d.norm()) == pytest.approx(float((jacobian @ d / d.norm()).sum()), rel=1e-6)


@quick
@given(jacobians(zero_rows=False))
def test_aligned_is_the_polar_factor_at_the_smallest_singular_value(jacobian):
    if jacobian.shape[1] >= len(jacobian) and float(torch.linalg.cond(jacobian)) < 1e3:
        u, s, vt = torch.linalg.svd(jacobian, full_matrices=False)
        expected = s.min() * (u @ vt).mean(dim=0)
        torch.testing.assert_close(direction(AlignedMTL(len(jacobian)), jacobian), expected, rtol=1e-4, atol=0)


SCALED = [MGDA, CAGrad, IMTLG, AlignedMTL, ConFIG, UPGrad, DualProj, SDMGrad, PCGrad]


@quick
@given(jacobians(), st.integers(-5, 5))
@pytest.mark.parametrize("cls", SCALED)
def test_weights_do_not_depend_on_a_common_scale(cls, jacobian, power):
    torch.manual_seed(0)
    method, again = cls(len(jacobian)), cls(len(jacobian))
    again.load_state_dict(method.state_dict())
    first, second = direction(method, jacobian), direction(again, jacobian * 2.0**power)
    scale = float(jacobian.norm(dim=1).max()) or 1.0
    torch.testing.assert_close(first, second / 2.0**power, atol=1e-4 * scale, rtol=1e-4)


@quick
@given(jacobians(), st.randoms(use_true_random=False))
@pytest.mark.parametrize("cls", [c for c in (*SCALED, NashMTL, FairGrad) if c is not PCGrad])
def test_order_of_the_tasks_does_not_matter(cls, jacobian, random):
    order = list(range(len(jacobian)))
    random.shuffle(order)
    first, second = direction(cls(len(jacobian)), jacobian), direction(cls(len(jacobian)), jacobian[order])
    assert bool(first.isfinite().all())
    if shortest(jacobian) > 1e-3:
        torch.testing.assert_close(first, second, atol=1e-4 * (float(first.norm()) or 1.0), rtol=1e-3)


def test_pcgrad_depends_on_the_order_of_draws_but_not_on_the_global_state():
    torch.manual_seed(0)
    method = PCGrad(3)
    state = torch.get_rng_state()
    conflicting = torch.tensor([[1.0, 0.0], [-0.5, 0.9], [-0.5, -0.8]]).double()
    drawn = {tuple(direction(method, conflicting).round(decimals=6).tolist()) for _ in range(20)}
    assert len(drawn) > 1
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.verdict("multitask/pcgrad", against="the formula for two tasks", within=1e-12)
def test_pcgrad_of_two_tasks_removes_the_conflicting_parts(equal):
    a, b = J1
    expected = (a - (a @ b) / (b @ b) * b) + (b - (a @ b) / (a @ a) * a)
    equal(direction(PCGrad(2), J1), expected)


@pytest.mark.verdict("multitask/gradvac", against="the formula for two tasks", within=1e-06)
def test_gradvac_brings_the_cosine_to_its_target(equal):
    method = GradVac(2, beta=0.5)
    a, b = torch.tensor([1.0, 0.0]).double(), torch.tensor([math.cos(1.0), math.sin(1.0)]).double()
    method.get_buffer("targets").fill_(0.9)
    d = direction(method, torch.stack([a, b]))
    # both gradients are turned to a cosine of 0.9 with the other
    equal(float(d @ a / d.norm()), float(d @ b / d.norm()))
    expected = 0.5 * 0.9 + 0.5 * math.cos(1.0)
    equal(method.get_buffer("targets")[0, 1].item(), expected)
    weights = method.weights(torch.ones(2).double(), torch.eye(2).double())
    assert bool((weights > 1).all())


@pytest.mark.parametrize("lam", [0.0, 0.3, 2.0])
@pytest.mark.verdict("multitask/sdmgrad", against="the shortest combination, by MGDA", within=1e-12)
def test_sdmgrad_is_the_shortest_of_the_shifted_combinations(lam, equal):
    d = direction(SDMGrad(3, lam=lam), J2) * (1 + lam)
    shifted = J2 + lam * J2.mean(dim=0)
    equal(d, direction(MGDA(3), shifted))


def test_graddrop_keeps_one_sign_a_coordinate():
    torch.manual_seed(0)
    jacobian = torch.randn(4, 200).double()
    d = GradDrop(4).direction(jacobian)
    positive, negative = jacobian.clamp_min(0).sum(dim=0), jacobian.clamp_max(0).sum(dim=0)
    kept = torch.isclose(d, positive) | torch.isclose(d, negative)
    assert bool(kept.all())
    torch.testing.assert_close(GradDrop(4, leak=1.0).direction(jacobian), jacobian.sum(dim=0))


def test_graddrop_keeps_the_purer_sign_more_often():
    torch.manual_seed(0)
    jacobian = torch.tensor([[3.0], [-1.0]]).double().expand(2, 4000)
    kept = GradDrop(2).direction(jacobian) > 0
    assert kept.double().mean().item() == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize("cls", [MGDA, CAGrad, NashMTL, PCGrad, UPGrad, IMTLG, AlignedMTL, ConFIG])
def test_a_task_without_labels_has_no_row(cls):
    torch.manual_seed(0)
    method, smaller = cls(3), cls(2)
    if hasattr(method, "random"):
        smaller.random.load_state_dict(method.random.state_dict())
    jacobian = torch.cat([J1[:1], torch.full((1, 3), 7.0).double(), J1[1:]])
    with method.among(torch.tensor([True, False, True])):
        weights = method.weights(torch.tensor([1.0, 0.0, 1.0]).double(), jacobian @ jacobian.T)
    expected = smaller.weights(torch.ones(2).double(), J1 @ J1.T)
    assert weights[1] == 0
    torch.testing.assert_close(weights[[0, 2]], expected)
    assert method.present is None


def test_mgda_normalizations():
    losses = torch.tensor([2.0, 5.0]).double()
    for name, divisor in {"l2": J1.norm(dim=1), "loss": losses, "loss+": losses * J1.norm(dim=1)}.items():
        weights = MGDA(2, normalization=name).weights(losses, J1 @ J1.T)
        scaled = J1 / divisor[:, None]
        torch.testing.assert_close(weights @ J1, direction(MGDA(2), scaled))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CAGrad(2, c=-1.0), "c -1.0"),
        (lambda: CAGrad(2, scaling="x"), "unknown scaling"),
        (lambda: MGDA(2, normalization="x"), "unknown normalization"),
        (lambda: FairGrad(2, alpha=-1.0), "alpha"),
        (lambda: GradVac(2, beta=2.0), "beta"),
        (lambda: UPGrad(2, regularization=-1.0), "regularization"),
        (lambda: SDMGrad(2, lam=-1.0), "lam"),
        (lambda: GradDrop(2, leak=2.0), "leak"),
        (lambda: AlignedMTL(2, scale="max"), "unknown scale"),
        (lambda: MGDA(2).weights(torch.ones(2)), "needs the Gramian"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("beta", [0.01, 0.5, 1.0])
def test_gradvac_after_gradients_that_were_alike(beta):
    """The target of a pair that always agreed tends to 1, where the formula divides by zero."""
    method, alike = GradVac(2, beta=beta), torch.tensor([[1.0, 2.0], [1.0, 2.0]]).double()
    for _ in range(4000 if beta < 0.1 else 100):
        direction(method, alike)
    a, b = torch.tensor([1.0, 0.0]).double(), torch.tensor([-0.5, 1.0]).double()
    found = direction(method, torch.stack([a, b]))
    assert float(found.norm()) < 500
    assert float(found @ (a / a.norm() + b / b.norm())) > 0
