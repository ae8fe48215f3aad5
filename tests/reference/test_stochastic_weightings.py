"""MoCo and MoDo against the authors' updates, restated; the split of a batch against gradients taken alone."""

import pytest
import torch
from torchjd.aggregation import CRMOGMWeighting
from torchjd.aggregation import Weighting as TorchJDWeighting

from tlzoo.lit import Multitask
from tlzoo.lit.task_batches import parts_of
from tlzoo.methods.multitask import CRMOGM, MoCo, MoDo
from tlzoo.registry import create_method
from tlzoo.types import TaskBatch


def jacobians(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, 7, generator=generator).double()


def simplex(y):
    """The loop of the authors' code."""
    falling, total = torch.sort(y, descending=True)[0], 0.0
    level = (torch.sum(y) - 1.0) / len(y)
    for i in range(len(y) - 1):
        total += falling[i]
        if (total - 1) / (i + 1.0) > falling[i + 1]:
            level = (total - 1) / (i + 1.0)
            break
    return torch.max(y - level, torch.zeros_like(y))


@pytest.mark.parametrize("paper", [False, True])
@pytest.mark.verdict("multitask/moco", against="the authors' code in LibMTL, restated", within=1e-10)
def test_moco(equal, paper):
    settings = {"scaled": False, "onto": "projection", "rho": 0.2} if paper else {}
    method = MoCo(3, **settings).double()
    method.lambdas.fill_(1 / 3)  # to all digits
    losses = torch.tensor([0.5, 2.0, 1.0]).double()
    y, lambd = torch.zeros(3, 7).double(), torch.ones(3).double() / 3
    for step, grads in enumerate(jacobians(4), start=1):
        found = method.direction(grads, losses=losses * step)
        if not paper:
            grads = torch.stack([g / (g.norm() + 1e-8) * loss * step for g, loss in zip(grads, losses, strict=True)])
        y = y - 0.5 / step**0.5 * (y - grads)
        moved = lambd - 0.1 / step**0.5 * (y @ y.T + (0.2 if paper else 0) * torch.eye(3)) @ lambd
        lambd = simplex(moved) if paper else moved.softmax(-1)
        equal(found, y.T @ lambd)


def test_moco_keeps_the_average_of_a_task_without_labels():
    method = MoCo(3, scaled=False)
    first, second = jacobians(2)
    method.direction(first)
    kept = method.averages[1].clone()
    with method.among(torch.tensor([True, False, True])):
        method.direction(second * torch.tensor([[1.0], [0.0], [1.0]]).double())
    assert torch.equal(method.averages[1], kept)
    with pytest.raises(ValueError, match="give direction"):
        MoCo(3).direction(first)


@pytest.mark.verdict("multitask/modo", against="the authors' code, restated", within=1e-12)
def test_modo(equal):
    method = MoDo(3, gamma=0.05, rho=0.1).double()
    method.lambdas.fill_(1 / 3)
    lambd = torch.ones(3).double() / 3
    for step in range(5):
        grads = jacobians(3, seed=step)
        method.observe(list(grads[:2]))
        lambd = simplex(lambd - 0.05 * (grads[0] @ (grads[1].T @ lambd) + 0.1 * lambd))
        equal(method.direction(grads[2]), lambd @ grads[2])
    with pytest.raises(ValueError, match=r"expected two of shape \(3, P\)"):
        method.observe([grads[0]])


def test_a_batch_is_split_into_independent_samples():
    torch.manual_seed(0)
    settings = {"num_inputs": 5, "hidden": [4]}
    targets = {"color": 3, "shape": 2}
    module = Multitask("mlp", MoDo(2, gamma=0.5), targets=targets, backbone_settings=settings)
    labels = {"color": torch.arange(10) % 3, "shape": torch.arange(10) % 2}
    labels["shape"][1::3] = -1  # the second sample has none
    batch = TaskBatch(inputs=torch.randn(10, 5), targets=labels)

    def gradients(part):
        shared = list(module.sharing.shared_parameters())
        rows = []
        for task in targets:
            loss = module._losses(part).get(task)
            found = [torch.zeros_like(p) for p in shared] if loss is None else torch.autograd.grad(loss, shared)
            rows.append(torch.cat([g.flatten() for g in found]))
        return torch.stack(rows)

    first, second, third = (gradients(part) for part in parts_of(batch, 3))
    assert not second[1].any()
    lambd = torch.tensor([0.5, 0.5])
    lambd = simplex(lambd - 0.5 * (first @ (second.T @ lambd) + 0.1 * lambd))
    module.training_step(batch, 0).backward()
    torch.testing.assert_close(module.method.lambdas, lambd)
    found = torch.cat([p.grad.flatten() for p in module.sharing.shared_parameters()])
    torch.testing.assert_close(found, lambd @ third)
    with pytest.raises(ValueError, match="a batch of 2 for a method that needs 3 samples"):
        parts_of(TaskBatch(inputs=torch.ones(2, 5), targets={}), 3)
    with pytest.raises(ValueError, match="leave out space='features'"):
        Multitask("mlp", "modo", targets=targets, space="features", backbone_settings=settings)


@pytest.mark.parametrize("base", ["mgda", "upgrad"])
@pytest.mark.verdict("multitask/cr_mogm", against="TorchJD's average of the base's weights", within=1e-12)
def test_cr_mogm(equal, base):
    method, alone = CRMOGM(3, base=base, alpha=0.7).double(), create_method(f"multitask/{base}", num_tasks=3)
    losses = torch.ones(3).double()

    class Base(TorchJDWeighting):
        def forward(self, gramian, /):
            return alone.weights(losses, gramian)

    expected = CRMOGMWeighting(Base(), alpha=0.7)
    for rows in jacobians(4):
        equal(method.weights(losses, rows @ rows.T), expected(rows @ rows.T))


def test_cr_mogm_keeps_the_average_of_a_task_without_labels():
    method = CRMOGM(3, alpha=0.5).double()
    first, second = (rows @ rows.T for rows in jacobians(2))
    losses, present = torch.ones(3).double(), torch.tensor([True, False, True])
    kept = method.weights(losses, first)[1]
    with method.among(present):
        assert method.weights(losses, second)[1] == 0
    assert method.averages[1] == kept
    with pytest.raises(ValueError, match="equal has none"):
        CRMOGM(3, base="equal")
    with pytest.raises(ValueError, match="mgdaa"):
        CRMOGM(3, base="mgdaa")
