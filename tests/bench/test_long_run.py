"""A long run holds no more at its end than at its beginning: a small version of benchmarks/speed/long_run.py."""

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks/speed/long_run.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("long_run", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["long_run"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["long_run"]


@pytest.mark.parametrize("executor", ["in_process", "pool"])
def test_nothing_grows_and_nothing_is_left(executor):
    command = [sys.executable, str(SCRIPT), "--cells", "40", "--steps", "1", "--executor", executor]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" cells  ") == 20
    assert done.stdout.endswith("nothing grows, nothing is left\n")


def test_what_grows_is_named(script):
    flat = script.Usage(megabytes=900.0, files=6, threads=1, processes=2, temporary=0)
    seen = [(250 * (place + 1), flat) for place in range(20)]
    assert script.grown(seen) == []
    for name, each in (("megabytes", 5.0), ("files", 1), ("threads", 1), ("processes", 1), ("temporary", 3)):
        leaking = [
            (count, replace(flat, **{name: getattr(flat, name) + place * each}))
            for place, (count, _) in enumerate(seen)
        ]
        (problem,) = script.grown(leaking)
        assert problem.startswith("memory by 20.0 MB" if name == "megabytes" else name)
    once = [(count, replace(flat, files=6 + (place == 15))) for place, (count, _) in enumerate(seen)]
    assert script.grown(once) == []  # a cell that is being written
