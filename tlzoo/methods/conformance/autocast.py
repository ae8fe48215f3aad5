"""Losses under automatic mixed precision."""

from __future__ import annotations

import copy

import torch

from tlzoo.methods.conformance.scenario import Scenario, require
from tlzoo.methods.domain_method import DomainMethod

__all__ = ["check_autocast"]


def check_autocast(scenario: Scenario) -> None:
    """Under autocast in float16 the loss is float32, and about that without; asked of methods on source and target."""
    if not issubclass(scenario.cls, DomainMethod):
        return
    subject = scenario.build().float()
    twin = copy.deepcopy(subject)
    usual = scenario.inputs(dtype=torch.float32)
    inputs = {name: x.clone().requires_grad_() if x.is_floating_point() else x for name, x in usual.items()}
    exact = scenario.loss(subject, usual).item()
    with torch.autocast("cpu", dtype=torch.float16):
        loss = scenario.loss(twin, inputs)
    require(loss.dtype == torch.float32, scenario, f"under autocast in float16 its loss is {loss.dtype}")
    close = abs(loss.item() - exact) <= 2e-2 * max(abs(exact), 0.1)  # logits of a head of its own are in float16
    require(close, scenario, f"loss {exact}, {loss.item()} under autocast in float16")
    if loss.requires_grad:
        leaves = [x for x in inputs.values() if x.requires_grad]
        gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
        finite = all(g is None or bool(g.isfinite().all()) for g in gradients)
        require(finite, scenario, "under autocast in float16 its gradient is not finite")
