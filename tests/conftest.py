"""What all tests share."""

import os

# one thread a process, before torch starts: several test processes with as many threads each wait for one another
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

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
