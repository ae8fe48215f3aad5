"""Modules under their former names."""

import importlib
import subprocess
import sys

import pytest

from tlzoo.moved import MOVED


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


def test_a_script_that_uses_one_runs():
    program = "from tlzoo.data.sets import ExampleSet; import tlzoo; print(ExampleSet is tlzoo.ExampleSet)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "True"
    assert done.stderr.count("FutureWarning: tlzoo.data.sets is tlzoo.data.example_set now") == 1


def test_other_names_are_not_found():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("tlzoo.data.nonsense")
