"""Two processes on this machine, through gloo."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # files of this folder import one another, as they do in the processes that are started


@pytest.fixture(scope="session")
def load():
    """Return a function that imports a file of this folder."""

    def load(name):
        spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def two_processes(tmp_path_factory):
    """Return a function that runs a case of ``workers.py`` in two processes and returns what each has found."""

    def run(case):
        folder, path = tmp_path_factory.mktemp(case), [os.environ.get("PYTHONPATH")]
        finished = subprocess.run(
            [sys.executable, "-W", "error::UserWarning:tlzoo", HERE / "workers.py", case, folder],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, path)])},
        )
        assert finished.returncode == 0, finished.stderr[-3000:]
        return [torch.load(folder / f"{rank}.pt") for rank in range(2)]

    return run
