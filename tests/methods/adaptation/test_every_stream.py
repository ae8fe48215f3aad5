"""Every test-time method on a stream of pictures: a reset, a stop, copies and half precision."""

import copy
import io

import pytest
import torch
from torch import nn

from tlzoo.methods.test_time import TestTime
from tlzoo.nn.plain_classifier import PlainClassifier
from tlzoo.registry import create_method, list_methods, method_class

NAMES = [name for name in list_methods() if issubclass(method_class(name), TestTime)]
STREAM = [torch.rand(size, 3, 8, 8, generator=torch.Generator().manual_seed(size)) for size in (7, 6, 5, 1, 4, 3)]
STOP = 3


def brighter(inputs, generator):
    return inputs + torch.rand((), generator=generator).to(inputs.dtype)


SETTINGS = {"adaptation/memo": {"copies": 3, "augment": brighter}}
"""There are no views of floating-point pictures."""


def adapting(name, dtype=torch.float32):
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    model = PlainClassifier(nn.Sequential(*layers, nn.Linear(6, 4)).eval()).to(dtype)
    return create_method(name, model=model, **SETTINGS.get(name, {}))


def answers(method, stream):
    return torch.cat([method(batch) for batch in stream])


@pytest.mark.parametrize("name", NAMES)
def test_a_reset_begins_anew_and_a_stop_changes_nothing(name):
    method = adapting(name)
    torch.manual_seed(1)
    whole = answers(method, STREAM)
    method.reset()
    torch.manual_seed(1)
    assert torch.equal(answers(method, STREAM), whole)

    method.reset()
    torch.manual_seed(1)
    begun = answers(method, STREAM[:STOP])
    stored, random = io.BytesIO(), torch.get_rng_state()
    torch.save(method.state_dict(), stored)
    stored.seek(0)
    loaded = adapting(name)
    loaded.load_state_dict(torch.load(stored, weights_only=True))
    for each in (loaded, copy.deepcopy(method), method):
        torch.set_rng_state(random)
        assert torch.equal(torch.cat([begun, answers(each, STREAM[STOP:])]), whole)


@pytest.mark.parametrize("name", NAMES)
def test_half_precision(name):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert answers(adapting(name), STREAM).isfinite().all()
    assert answers(adapting(name, torch.bfloat16), [batch.bfloat16() for batch in STREAM]).isfinite().all()
    if not method_class(name).learns:  # torch's optimizers do not step in float16
        assert answers(adapting(name, torch.float16), [batch.half() for batch in STREAM]).isfinite().all()


def test_t3a_of_zeros_in_half_precision():
    """A class without a member, and features of zeros, have no direction."""
    model = PlainClassifier(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).eval()).half()
    with torch.no_grad():
        model.model[0].bias.fill_(-9.0)
        model.model[2].weight[1:] = 0
    assert create_method("t3a", model=model)(torch.randn(5, 4).half()).isfinite().all()
