"""Every method of the registry that draws random numbers follows the run's seed. Nothing here names its draws."""

import copy

import pytest
import torch

from tlzoo.methods.conformance import scenarios
from tlzoo.nn.random_stream import RandomStream
from tlzoo.registry import METHODS

STEPS = 12
KNOWN = {
    "adaptation/cotta",
    "confusion/dirt_t",
    "confusion/vada",
    "multitask/graddrop",
    "multitask/gradvac",
    "multitask/pcgrad",
    "multitask/rlw",
    "zeroshot/calibrated_stacking",
    "zeroshot/devise",
    "zeroshot/feature_generation",
}
"""Some of the methods whose papers draw at random while they learn."""


def streams(module):
    return [part for part in module.modules() if isinstance(part, RandomStream)]


def noisy(items, generator):
    return items + 0.1 * torch.randn(items.shape, generator=generator, dtype=items.dtype)


def answers(scenario, seed):
    """Return the losses of a few steps of a method that differs from that of seed 0 in its random streams alone."""
    subject, other = scenario.build(seed=0, ready=False), scenario.build(seed=seed, ready=False)
    for method in (subject.method, other.method):
        if getattr(method, "augment", noisy) is None:  # draws only if somebody says how to augment
            method.augment = noisy
    for ours, theirs in zip(streams(subject), streams(other), strict=True):
        ours.load_state_dict(theirs.state_dict())
    scenario.make_ready(subject, scenario.inputs(seed=0, fit=True))
    return [scenario.loss(subject, scenario.inputs(seed=step)).item() for step in range(STEPS)]


@pytest.mark.parametrize("name", METHODS)
def test_what_is_drawn_follows_the_seed(name):
    found = [scenario for scenario in scenarios(name) if streams(scenario.build(ready=False))]
    assert found or name not in KNOWN
    for scenario in found:
        assert answers(scenario, 1) == answers(scenario, 1)
    if found:
        assert any(answers(scenario, 0) != answers(scenario, seed) for scenario in found for seed in range(1, 6))


@pytest.mark.parametrize("name", METHODS)
def test_equal_seeds_build_equal_methods(name):
    for scenario in scenarios(name):
        one, other = (scenario.build(seed=5).state_dict() for _ in range(2))
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


def test_streams_of_one_model_differ_and_go_on_from_a_state():
    torch.manual_seed(0)
    one, other = RandomStream(), RandomStream()
    assert int(one.seed) != int(other.seed)
    assert torch.rand((), generator=one.next()) != torch.rand((), generator=one.next())
    resumed = RandomStream()
    resumed.load_state_dict(copy.deepcopy(one.state_dict()))
    expected = torch.rand(9, generator=one.next())
    assert torch.equal(torch.rand(9, generator=resumed.next()), expected)
    assert torch.equal(torch.rand(9, generator=one.constant()), torch.rand(9, generator=resumed.constant()))
    one.restart()
    assert int(one.step) == 0
