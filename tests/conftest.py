"""What all tests share."""

import os

# one thread a process, before torch starts: several test processes with as many threads each wait for one another
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from tlzoo import registry
from tlzoo.backbones import names
from tlzoo.data import catalog


@pytest.fixture(autouse=True)
def _nothing_stays_registered():
    """Take back what a test registers: methods, tasks and backbones are of the whole process."""
    kinds = (registry.EXTENSIONS, catalog.EXTENSIONS, names.EXTENSIONS)
    before = [set(extensions.registered()) for extensions in kinds]
    yield
    for extensions, kept in zip(kinds, before, strict=True):
        for name in set(extensions.registered()) - kept:
            extensions.forget(name)


def _numbers(value: Any) -> np.ndarray:
    return np.asarray(value.detach().cpu() if isinstance(value, torch.Tensor) else value, dtype=np.float64)


@pytest.fixture
def equal(request: pytest.FixtureRequest) -> Iterator[Callable[[Any, Any], None]]:
    """Hold ours against theirs, as closely as the test's mark ``verdict`` says; docs/verdicts.py reads the marks."""
    (mark,) = request.node.iter_markers("verdict")
    compared = []

    def check(ours: Any, theirs: Any) -> None:
        found, expected = _numbers(ours), _numbers(theirs)
        assert found.shape == expected.shape
        assert found.size, "nothing to compare"
        bound = mark.kwargs["within"] * max(1.0, float(np.abs(expected).max()))
        apart = float(np.abs(found - expected).max())
        assert apart <= bound, f"{mark.args[0]}: {apart:.3g} apart; expected at most {bound:.3g}"
        compared.append(apart)

    yield check
    assert compared, f"the verdict on {mark.args[0]} compared nothing"
