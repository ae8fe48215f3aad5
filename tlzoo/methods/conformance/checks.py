"""The checks. Each takes a scenario and raises :class:`ConformanceError` if its method fails it."""

from __future__ import annotations

import copy
import inspect
import pickle
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tlzoo.methods.base import Method
from tlzoo.methods.conformance.autocast import check_autocast
from tlzoo.methods.conformance.families import scenarios
from tlzoo.methods.conformance.frozen import FrozenParts
from tlzoo.methods.conformance.function_transforms import check_function_transforms
from tlzoo.methods.conformance.scenario import ConformanceError, Inputs, Scenario, Subject, require
from tlzoo.types import Need, Sees

__all__ = ["CHECKS", "ConformanceError", "check_method"]


def check_method(method: str | type[Method]) -> None:
    """Run every check on every variant of a method, given by registry name or class.

    Raises:
        ConformanceError: a check failed.
    """
    for scenario in scenarios(method):
        for check in CHECKS.values():
            check(scenario)


def check_declaration(scenario: Scenario) -> None:
    """Declares what it sees and needs, links its paper, and takes settings by keyword only."""
    cls = scenario.cls
    sees = getattr(cls, "sees", None)
    require(isinstance(sees, frozenset) and all(isinstance(s, Sees) for s in sees), scenario, "sees holds no Sees")
    require(all(isinstance(need, Need) for need in cls.needs), scenario, "needs holds something that is no Need")
    require(isinstance(cls.revision, int) and cls.revision >= 1, scenario, f"revision {cls.revision}; expected >= 1")
    doc = cls.__doc__ or ""
    require(bool(doc.strip()), scenario, "no docstring")
    if cls.paper is not None:
        require(cls.paper.url is not None, scenario, "its paper has no link: give arxiv, doi or page")
        require(str(cls.paper.url) in doc, scenario, f"its docstring does not link {cls.paper.url}")
    for name, parameter in inspect.signature(cls).parameters.items():
        require(f"{name}:" in doc, scenario, f"its docstring does not explain the argument {name}")
        keyword = parameter.kind is parameter.KEYWORD_ONLY
        require(keyword or name in scenario.positional, scenario, f"the tuning argument {name} is not keyword-only")


def check_gradient_arrives(scenario: Scenario) -> None:
    """The gradient for what is trained is finite and not zero everywhere."""
    subject, inputs = scenario.build(), _differentiable(scenario.inputs())
    reached = scenario.reached(subject, inputs)
    if not reached:
        return
    loss = scenario.loss(subject, inputs)
    require(loss.requires_grad, scenario, "no gradient comes back from its loss")
    gradients = _gradients(loss, reached)
    require(all(bool(g.isfinite().all()) for g in gradients), scenario, "its gradient is not finite")
    require(any(bool((g != 0).any()) for g in gradients), scenario, "its gradient is zero everywhere")


def check_gradient_is_right(scenario: Scenario) -> None:
    """The gradient equals finite differences of the loss with everything detached held constant."""
    subject, inputs = scenario.build(), _differentiable(scenario.inputs())
    variables = [p for p in [*inputs.values(), *subject.parameters()] if p.requires_grad]
    parts = FrozenParts()
    with parts.recorded():
        loss = scenario.loss(subject, inputs)
    if not loss.requires_grad:
        return
    gradients = _gradients(loss, variables)
    generator = torch.Generator().manual_seed(5)
    for _ in range(3):
        directions = [torch.randn(v.shape, generator=generator, dtype=v.dtype) for v in variables]
        found = float(sum((g * d).sum() for g, d in zip(gradients, directions, strict=True)))
        size = float(sum((g * d).abs().sum() for g, d in zip(gradients, directions, strict=True)))
        for step in _STEPS:
            expected = _difference(lambda: _frozen_loss(scenario, subject, inputs, parts), variables, directions, step)
            agree = abs(found - expected) <= 1e-6 * max(size, abs(expected), 1e-2)
            if agree:
                break
        require(
            agree,
            scenario,
            f"along a random direction its gradient is {found:.9g}, its finite difference {expected:.9g}",
        )


_STEPS = (1e-6, 1e-8)
"""The second is for networks with so many kinks (ReLU) that one is within the first; rounding matters more there."""


def _frozen_loss(scenario: Scenario, subject: Subject, inputs: Inputs, parts: FrozenParts) -> float:
    with parts.frozen():
        return scenario.loss(subject, inputs).item()


def _difference(function: Callable[[], float], variables: list[Tensor], directions: list[Tensor], step: float) -> float:
    values = []
    before = [variable.detach().clone() for variable in variables]
    for sign in (1, -1):
        for variable, value, direction in zip(variables, before, directions, strict=True):
            variable.data.copy_(value + sign * step * direction)
        values.append(function())
    for variable, value in zip(variables, before, strict=True):
        variable.data.copy_(value)
    return (values[0] - values[1]) / (2 * step)


def check_state_is_complete(scenario: Scenario) -> None:
    """A method built from another seed gives the same loss once it has loaded the state."""
    inputs = scenario.inputs()
    saved = scenario.build(seed=0)
    state = copy.deepcopy(saved.state_dict())
    other = scenario.build(seed=1, ready=False)
    other.load_state_dict(state)
    ours, theirs = (scenario.loss(subject, dict(inputs)).item() for subject in (saved, other))
    require(ours == theirs, scenario, f"loss {ours} became {theirs} after its state was loaded into a new one")


def check_copies_agree(scenario: Scenario) -> None:
    """A deep copy and a pickled copy give the same loss."""
    subject, inputs = scenario.build(), scenario.inputs()
    copies = {"a deep copy": copy.deepcopy(subject), "a pickled copy": pickle.loads(pickle.dumps(subject))}
    ours = scenario.loss(subject, inputs).item()
    for name, other in copies.items():
        theirs = scenario.loss(other, inputs).item()
        require(ours == theirs, scenario, f"loss {ours}, of {name} {theirs}")


def check_order_is_free(scenario: Scenario) -> None:
    """The loss does not depend on the order of a batch, unless the method declares ``order_matters``."""
    if scenario.create().order_matters:
        return
    inputs = scenario.inputs(fit=True)
    ours, theirs = (scenario.loss(scenario.build(), i).item() for i in (inputs, scenario.permuted(inputs)))
    same = abs(ours - theirs) <= 1e-9 * max(abs(ours), 1.0)
    require(same, scenario, f"loss {ours}, in another order of the batch {theirs}; order_matters is not declared")


def check_degenerate_batches(scenario: Scenario) -> None:
    """Degenerate batches give a finite loss and gradient, or a ``ValueError``."""
    for name, inputs in scenario.hard().items():
        inputs = _differentiable(inputs)
        subject = scenario.build()
        try:
            loss = scenario.loss(subject, inputs)
        except ValueError:
            continue
        except Exception as error:
            raise ConformanceError(f"{scenario!r}: {name}: {type(error).__name__}, not ValueError: {error}") from error
        require(bool(loss.isfinite()), scenario, f"{name}: loss {loss.item()}")
        if loss.requires_grad:
            leaves = [value for value in [*inputs.values(), *subject.parameters()] if value.requires_grad]
            finite = all(bool(g.isfinite().all()) for g in _gradients(loss, leaves))
            require(finite, scenario, f"{name}: its gradient is not finite")


def check_invalid_batches(scenario: Scenario) -> None:
    """Invalid inputs give a ``ValueError`` with a message."""
    for name, inputs in scenario.invalid().items():
        try:
            scenario.loss(scenario.build(), inputs)
        except ValueError as error:
            require(len(str(error)) > 20, scenario, f"{name}: the error says {str(error)!r}")
        except Exception as error:
            raise ConformanceError(f"{scenario!r}: {name}: {type(error).__name__}, not ValueError: {error}") from error
        else:
            raise ConformanceError(f"{scenario!r}: {name}: no error")


def check_not_finite_is_named(scenario: Scenario) -> None:
    """NaN or Inf in an input of the loss gives a ``FloatingPointError`` that names method, input and position."""
    usual = scenario.inputs(fit=True)
    ours = scenario.loss(scenario.build(), usual).item()
    for name, phrase in scenario.watched.items():
        if name not in usual or scenario.loss(scenario.build(), _changed(usual, name, add=1.0)).item() == ours:
            continue
        for value in (torch.nan, torch.inf):
            try:
                scenario.loss(scenario.build(), _changed(usual, name, to=value))
            except FloatingPointError as error:
                named = phrase in str(error) and scenario.cls.__name__ in str(error)
                require(named, scenario, f"{value} in {phrase}: the error does not say so: {error}")
            else:
                raise ConformanceError(f"{scenario!r}: {value} in {name}: no FloatingPointError")


def _changed(inputs: Inputs, name: str, *, add: float = 0.0, to: float | None = None) -> Inputs:
    """Return inputs with a new value in the first entry of the second row of one of them."""
    value = inputs[name].clone()
    entry = (1, *[0] * (value.ndim - 1))
    value[entry] = value[entry] + add if to is None else to
    return inputs | {name: value}


def check_no_global_randomness(scenario: Scenario) -> None:
    """The loss consumes no global random state of torch, NumPy or Python."""
    subject, inputs = scenario.build(), scenario.inputs(fit=True)
    before = _random_states()
    scenario.loss(subject, inputs)
    for name, state in _random_states().items():
        require(state == before[name], scenario, f"it draws from the global random state of {name}")


def _random_states() -> dict[str, Any]:
    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002 - the legacy global state is checked
    return {
        "torch": torch.get_rng_state().tolist(),
        "numpy": pickle.dumps(numpy_state),
        "python": random.getstate(),
    }


def check_inputs_are_left_alone(scenario: Scenario) -> None:
    """The loss does not change its inputs in place."""
    inputs = scenario.inputs(fit=True)
    before = {name: value.clone() for name, value in inputs.items()}
    scenario.loss(scenario.build(), inputs)
    for name, value in inputs.items():
        require(torch.equal(value, before[name]), scenario, f"it changes {name} in place")


def check_precisions_agree(scenario: Scenario) -> None:
    """In float32 the loss is float32, and equals that in float64 except for rounding."""
    subject = scenario.build()
    single = copy.deepcopy(subject).float()  # before a step changes its memory
    exact = scenario.loss(subject, scenario.inputs()).item()
    loss = scenario.loss(single, scenario.inputs(dtype=torch.float32))
    require(loss.dtype == torch.float32, scenario, f"float32 inputs give a loss of {loss.dtype}")
    close = abs(loss.item() - exact) <= 1e-3 * max(abs(exact), 1e-2)
    require(close, scenario, f"loss {exact} in float64, {loss.item()} in float32")


def _differentiable(inputs: Inputs) -> Inputs:
    return {
        name: value.detach().clone().requires_grad_() if value.is_floating_point() else value
        for name, value in inputs.items()
    }


def _gradients(loss: Tensor, variables: list[Tensor]) -> list[Tensor]:
    found = torch.autograd.grad(loss, variables, allow_unused=True)
    return [torch.zeros_like(v) if g is None else g for g, v in zip(found, variables, strict=True)]


CHECKS: dict[str, Callable[[Scenario], None]] = {
    check.__name__.removeprefix("check_"): check
    for check in (
        check_declaration,
        check_gradient_arrives,
        check_gradient_is_right,
        check_state_is_complete,
        check_copies_agree,
        check_order_is_free,
        check_degenerate_batches,
        check_invalid_batches,
        check_not_finite_is_named,
        check_no_global_randomness,
        check_inputs_are_left_alone,
        check_precisions_agree,
        check_function_transforms,
        check_autocast,
    )
}
"""Name -> check."""
