"""Gradients of float32 that depend linearly on each other: directions are those of float64."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tlzoo.functional.gramians import left_singular, min_norm_weights, resolved_gramian
from tlzoo.methods.multitask import (
    IMTL,
    IMTLG,
    MGDA,
    AlignedMTL,
    CAGrad,
    ConFIG,
    DualProj,
    FairGrad,
    NashMTL,
    SDMGrad,
    UPGrad,
)
from tlzoo.nn.gradients import TaskTape

DRAWS, WIDTH = 20, 1000
DEPENDENT = {
    "two to a third": [[1.0, 0, 0], [0, 1, 0], [0.3, 0.6, 0]],
    "a difference": [[1.0, 0, 0], [0, 1, 0], [0.9, -0.2, 0]],
    "the same twice": [[1.0, 0, 0], [0, 1, 0], [1, 0, 0]],
    "two lengths": [[1.0, 0, 0], [0, 300, 0], [0.3, 180, 0]],
    "five of rank three": [[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.2, 0.1], [0.2, 0.7, -0.4]],
    "five of rank two": [[1.0, 0, 0], [0, 1, 0], [0.5, 0.5, 0], [0.3, 0.9, 0], [2, 0.1, 0]],
}
INVERTING = {
    "config": ConFIG,
    "imtl_g": IMTLG,
    "imtl": IMTL,
    "aligned_mtl": AlignedMTL,
    "aligned_mtl, median": lambda tasks: AlignedMTL(tasks, scale="median"),
    "aligned_mtl, rmse": lambda tasks: AlignedMTL(tasks, scale="rmse", reduction="sum"),
}
OTHERS = {cls.__name__: cls for cls in (MGDA, CAGrad, NashMTL, FairGrad, UPGrad, DualProj, SDMGrad)}


def jacobian(case, noise, seed):
    """Return rows of which some depend on others, but for noise of that share of their length."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.tensor(DEPENDENT[case]).double() @ torch.randn(3, WIDTH, generator=generator).double()
    added = torch.randn(rows.shape, generator=generator).double()
    return rows + noise * added * rows.norm(dim=1, keepdim=True) / added.norm(dim=1, keepdim=True)


def taped(rows):
    """Return the task gradients of losses <row, theta>."""
    theta = nn.Parameter(torch.zeros(rows.shape[1], dtype=rows.dtype))
    tape = TaskTape([theta])
    with tape:
        shared = tape.cut(theta * 1)
    return theta, tape.gradients([shared @ row for row in rows])


def direction(method, rows):
    """Return what reaches the parameters."""
    theta, gradients = taped(rows)
    weights = method.weights(torch.ones(len(rows), dtype=rows.dtype), gradients.gramian())
    gradients.deliver(weights).backward()
    return theta.grad.double()


def distance(found, expected):
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("noise", [0.0, 3e-3, 1e-2, 0.1])
@pytest.mark.parametrize("case", DEPENDENT)
@pytest.mark.parametrize("name", INVERTING)
def test_float32_follows_the_direction_of_float64(name, case, noise):
    for seed in range(DRAWS):
        rows = jacobian(case, noise, seed)
        method = INVERTING[name](len(rows))
        assert distance(direction(method, rows.float()), direction(method, rows)) <= 1e-3


@pytest.mark.parametrize("noise", [0.0, 1e-5, 1e-4, 3e-3])
@pytest.mark.parametrize("case", DEPENDENT)
@pytest.mark.parametrize("name", OTHERS)
def test_so_do_those_that_invert_nothing(name, case, noise):
    rows = jacobian(case, noise, seed=0)
    method = OTHERS[name](len(rows))
    assert distance(direction(method, rows.float()), direction(method, rows)) <= 1e-3


@pytest.mark.parametrize("case", DEPENDENT)
@pytest.mark.parametrize("name", INVERTING)
def test_a_gramian_of_float32_is_judged_by_float32(name, case):
    """It tells less of independent rows: those that nearly depend on others need a Gramian of float64."""
    for seed in range(DRAWS):
        for noise in (0.0, 0.3):
            rows = jacobian(case, noise, seed)
            method, rounded = INVERTING[name](len(rows)), rows.float()
            weights = method.weights(torch.ones(len(rows)), rounded @ rounded.T)
            assert distance(weights.double() @ rounded.double(), direction(method, rows)) <= 1e-3


def test_dependent_losses_of_a_network_are_seen_through_float32():
    """Layers are kept in factors, whose products are made in float64 where the last digits decide."""
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Linear(40, 60), nn.ReLU(), nn.Linear(60, 30), nn.ReLU(), nn.Conv1d(1, 2, 3), nn.Flatten())
    trunk.insert(4, nn.Unflatten(1, (1, 30)))
    inputs, targets = torch.randn(16, 40), torch.randint(4, (2, 16))
    heads = [nn.Linear(56, 4) for _ in targets]
    found = {}
    for dtype in (torch.float32, torch.float64):
        trunk.to(dtype)
        tape = TaskTape(trunk.parameters())
        with tape:
            features = tape.cut(trunk(inputs.to(dtype)))
        losses = [F.cross_entropy(h.to(dtype)(features), labels) for h, labels in zip(heads, targets, strict=True)]
        gradients = tape.gradients([*losses, 0.3 * losses[0] + 0.6 * losses[1]])
        gramian = gradients.gramian()
        assert gramian.dtype == torch.float64
        assert len(left_singular(resolved_gramian(gramian, gradients=dtype))[1]) == 2
        weights = [make(3).weights(torch.ones(3, dtype=dtype), gramian) for make in INVERTING.values()]
        parts = [torch.cat([p.flatten() for p in gradients.combined(w)]).double() for w in weights]
        found[dtype] = torch.stack(parts)
    for single, double in zip(found[torch.float32], found[torch.float64], strict=True):
        assert distance(single, double) <= 1e-4


@pytest.mark.parametrize("space", ["parameters", "features"])
@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_dependent_losses_are_seen_through_autocast(half, space):
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Linear(40, 60), nn.ReLU(), nn.Linear(60, 30), nn.ReLU())
    heads, inputs, targets = [nn.Linear(30, 4) for _ in range(2)], torch.randn(32, 40), torch.randint(4, (2, 32))
    with torch.autocast("cpu", dtype=half):
        tape = TaskTape(trunk.parameters())
        with tape:
            features = tape.cut(trunk(inputs))

        def losses():
            return [F.cross_entropy(head(features), labels) for head, labels in zip(heads, targets, strict=True)]

        first, second = losses()
        other, another = losses()
        gradients = tape.gradients([first, second, 0.3 * other + 0.6 * another], space=space)
        gramian = gradients.gramian()
    assert len(left_singular(gramian)[1]) == 2
    for make in INVERTING.values():
        assert float(make(3).weights(torch.ones(3), gramian).abs().max()) < 20


STATIONARY = {
    "a triangle": ([[1.0, 0], [0, 1], [-0.5, -1]], 3),
    "opposite": ([[1.0, 0], [-0.7, 0]], 2),
    "opposite, and one beside": ([[1.0, 0], [-0.4, 0], [-0.2, 0.0], [0.0, 0.0]], 4),
    "a cross": ([[1.0, 0], [-2, 0], [0, 1], [0, -1.5]], 4),
}


@pytest.mark.parametrize("known", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", STATIONARY)
def test_cagrad_stands_still_at_stationarity_where_its_ball_allows_it(case, known):
    combination, tasks = STATIONARY[case]
    for seed in range(DRAWS):
        base = torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(seed)).double() / WIDTH**0.5
        rows = (torch.tensor(combination).double() @ base).float()
        products = rows.to(known)
        weights = CAGrad(tasks, c=1.0).weights(torch.ones(tasks), products @ products.T)
        d, mean = weights.double() @ rows.double(), rows.double().mean(dim=0)
        assert d.norm() <= 8e-5
        assert (d - mean).norm() <= (1 + 1e-5) * mean.norm()
        assert weights.max() <= 20


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("length", [0.0, 1e-12, 1e-8, 1e-6, 8e-6, 1e-4, 1e-3])
@pytest.mark.parametrize("c", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("tasks", [2, 3, 6])
def test_cagrad_moves_the_trunk_whatever_the_length_of_one_gradient(tasks, c, length, dtype):
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randn(tasks, WIDTH, generator=generator).double() / WIDTH**0.5
        rows[-1] *= length
        rows = rows.to(dtype)
        weights = CAGrad(tasks, c=c).weights(torch.ones(tasks, dtype=dtype), rows @ rows.T).double()
        d, mean = weights @ rows.double(), rows.double().mean(dim=0)
        assert (d - mean).norm() <= (1 + 1e-5) * c * mean.norm()
        assert d.norm() >= (1 - c) * mean.norm() * (1 - 1e-5)
        assert 1 / tasks - 1e-6 <= float(weights.min())
        assert float(weights.max()) <= 1 / tasks + 1001
        gains = rows.double() @ d / rows.double().norm(dim=1).clamp_min(1e-300)
        assert float(gains[:-1].min()) > 0
        if length < 1e-5:
            assert float(weights.max()) <= 3  # nobody waits for a task without gradient


def test_cagrad_with_opposite_gradients_leaves_the_mean_no_further_than_it_may():
    """No direction serves both: the least gain is 0, across them, where the mean goes if it may."""
    rows = torch.tensor([[1.0, 0.2, 0], [-1, 0.2, 0], [0, 0, 0]]).double()
    rows = torch.cat([rows[:2], torch.tensor([[0.0, -1.0, 0]]).double()])
    for c in (0.3, 0.9):
        d, mean = CAGrad(3, c=c).weights(torch.ones(3).double(), rows @ rows.T) @ rows, rows.mean(dim=0)
        assert float((d - mean).norm()) <= c * float(mean.norm()) * (1 + 1e-9)
        assert float(d.norm()) >= (1 - c) * float(mean.norm()) * (1 - 1e-9)


def test_what_a_gramian_cannot_tell_is_zero_in_it():
    rows = jacobian("two to a third", 0.0, seed=0)
    for dtype in (torch.float32, torch.float64):
        products = rows.to(dtype) @ rows.to(dtype).T
        found = resolved_gramian(products)
        assert found.dtype == torch.float64
        torch.testing.assert_close(found, products.double(), rtol=1e-6, atol=1e-3)
        assert torch.linalg.eigvalsh(found)[0].abs() <= 1e-12 * found.trace()
        assert left_singular(products)[0].shape == (3, 2)
    independent = torch.diag(torch.tensor([1e-8, 1.0, 1e8]))
    assert torch.equal(resolved_gramian(independent), independent.double())
    assert len(left_singular(independent)[1]) == 3
    bare = torch.zeros(3, 3)
    assert left_singular(bare)[0].shape == (3, 0)
    assert torch.equal(resolved_gramian(bare), bare.double())


def test_half_precision_has_its_own_idea_of_dependence():
    rows = jacobian("the same twice", 0.0, seed=0).bfloat16()
    for cls in (ConFIG, IMTLG, AlignedMTL):
        weights = cls(3).weights(torch.ones(3), (rows @ rows.T))
        assert float(weights.abs().max()) < 10
    assert float(min_norm_weights(rows @ rows.T).sum()) == pytest.approx(1)
