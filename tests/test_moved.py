"""Modules under their former names."""

import importlib
import subprocess
import sys
from types import ModuleType

import pytest

from tlzoo.moved import MOVED, SPLIT


@pytest.mark.parametrize(("former", "now"), MOVED.items())
def test_a_former_name_gives_the_module_of_today_and_warns(former, now):
    sys.modules.pop(f"tlzoo.{former}", None)
    module = importlib.import_module(f"tlzoo.{now}")
    spec = module.__spec__
    with pytest.warns(FutureWarning, match=rf"tlzoo\.{former} is tlzoo\.{now} now; the former name goes with tlzoo"):
        found = importlib.import_module(f"tlzoo.{former}")
    assert found is module
    assert module.__spec__ is spec
    assert module.__name__ == f"tlzoo.{now}"


@pytest.mark.parametrize(("former", "parts"), SPLIT.items())
def test_the_former_name_of_a_split_module_has_the_content_of_its_parts(former, parts):
    sys.modules.pop(f"tlzoo.{former}", None)
    with pytest.warns(FutureWarning, match=rf"tlzoo\.{former} is tlzoo\.{parts[0]} and tlzoo\.{parts[1]} now"):
        found = importlib.import_module(f"tlzoo.{former}")
    for part in parts:
        module = importlib.import_module(f"tlzoo.{part}")
        assert all(getattr(found, name) is getattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("former", [*MOVED, *SPLIT])
def test_a_former_name_hides_nothing_of_its_package(former):
    package, _, name = former.rpartition(".")
    sys.modules.pop(f"tlzoo.{former}", None)
    kept = vars(importlib.import_module(f"tlzoo.{package}")).get(name)
    assert kept is None or isinstance(kept, ModuleType)


def test_a_script_that_uses_one_runs():
    program = "from tlzoo.data.sets import ExampleSet; import tlzoo; print(ExampleSet is tlzoo.ExampleSet)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "True"
    assert done.stderr.count("FutureWarning: tlzoo.data.sets is tlzoo.data.example_set now") == 1


def test_other_names_are_not_found():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("tlzoo.data.nonsense")
