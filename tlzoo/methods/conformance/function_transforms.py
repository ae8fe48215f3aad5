"""Losses under torch's function transforms."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.methods.conformance.scenario import Inputs, Scenario, Subject, require

__all__ = ["check_function_transforms"]


def check_function_transforms(scenario: Scenario) -> None:
    """Under ``torch.func.grad`` and ``vmap``, the loss agrees with autograd and a loop over batches.

    Only for methods on source and target that are :attr:`~tlzoo.methods.domain_method.DomainMethod.transformable`.
    """
    if not getattr(scenario.create(), "transformable", False):
        return
    inputs = scenario.inputs()
    names = [name for name, value in inputs.items() if name.startswith("target") and value.is_floating_point()]
    values = tuple(inputs[name] for name in names)
    stacked = tuple(torch.stack([value, 1.5 * value]) for value in values)
    batches = [tuple(value[place] for value in stacked) for place in range(2)]

    found = torch.func.grad(_Loss(scenario, inputs, names), argnums=tuple(range(len(names))))(*values)
    leaves = [value.clone().requires_grad_() for value in values]
    loss = _Loss(scenario, inputs, names)(*leaves)
    if loss.requires_grad:
        expected = torch.autograd.grad(loss, leaves, allow_unused=True)
        for name, one, other in zip(names, found, expected, strict=True):
            same = other is None or torch.allclose(one, other)
            require(same, scenario, f"torch.func.grad and autograd differ in the gradient of {name}")
    one_by_one = torch.stack([_Loss(scenario, inputs, names)(*batch) for batch in batches])
    at_once = torch.func.vmap(_Loss(scenario, inputs, names))(*stacked)
    require(
        torch.allclose(at_once, one_by_one),
        scenario,
        f"torch.func.vmap gives {at_once.tolist()}, one batch after the other {one_by_one.tolist()}",
    )


class _Loss:
    """The loss as a function of some of the inputs, with its own method and networks."""

    def __init__(self, scenario: Scenario, inputs: Inputs, names: list[str]) -> None:
        self.scenario, self.inputs, self.names = scenario, inputs, names
        self.subject: Subject = scenario.build()
        # batch normalization updates running statistics in place, which vmap does not support
        torch.func.replace_all_batch_norm_modules_(self.subject)

    def __call__(self, *values: Tensor) -> Tensor:
        return self.scenario.loss(self.subject, self.inputs | dict(zip(self.names, values, strict=True)))
