import copy
import pickle

import pytest
import torch
from torch import nn

from tlzoo.nn.named_modules import NamedModules, attribute_name

NAMES = [
    "plain",
    "values",
    "keys",
    "items",
    "pop",
    "type",
    "training",
    "forward",
    "_modules",
    "a.b",
    "a%2Eb",
    "/",
    "é ü",
]


def test_any_name_goes_in_and_comes_out():
    parts = {name: nn.Linear(1, place + 1) for place, name in enumerate(NAMES)}
    held = NamedModules(parts)
    assert list(held) == list(held.keys()) == NAMES
    assert dict(held.items()) == parts
    assert len({attribute_name(name, nn.ModuleDict) for name in NAMES}) == len(NAMES)
    for name, part in parts.items():
        assert name in held
        assert held[name] is part
    assert "other" not in held
    assert 3 not in held
    del held["a.b"]
    assert "a.b" not in held
    with pytest.raises(ValueError, match="an empty name"):
        attribute_name("")


def test_it_is_saved_copied_and_loaded_like_any_module():
    torch.manual_seed(0)
    held, other = (NamedModules({name: nn.Linear(2, 2) for name in NAMES}) for _ in range(2))
    other.load_state_dict(held.state_dict())
    for again in (other, copy.deepcopy(held), pickle.loads(pickle.dumps(held))):
        assert list(again) == NAMES
        assert all(torch.equal(again[name].weight, held[name].weight) for name in NAMES)
    assert "plain.weight" in held.state_dict()
