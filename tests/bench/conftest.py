"""A protocol that runs without torch or data, importable by worker processes, and a world in which its tasks exist."""

from __future__ import annotations

import sys
import types

import pytest

import tlzoo

PROTOCOL = """
import os, signal, time
from pathlib import Path
import numpy as np
from tlzoo.bench import Outcome

REVISIONS = dict.fromkeys(["domain", "multitask", "episode", "zeroshot", "finetuning"], 1)

SEARCH = {"domain": {"rules": ("information", "snd"), "module": ("lr",)}, "multitask": {"rules": ("validation",)}}

def allowed(kind):
    return {"module": ["lr", "sharing"], "budget": ["steps", "fail", "die", "log"]}

def prepare(cells):
    pass

def run(cell, report):
    import torch
    if "log" in cell.budget:
        with open(cell.budget["log"], "a") as file:
            file.write(cell.hash + "\\n")
    report(0.25)
    if cell.budget.get("fail"):
        raise RuntimeError("the loss is not finite")
    if cell.budget.get("die"):
        os.kill(os.getpid(), signal.SIGKILL)
    if cell.seed >= int(os.environ.get("HANG_FROM", 10**9)):
        time.sleep(60)
    inputs = torch.randn(40, 120)
    logits = torch.nn.Linear(120, 7)(torch.tanh(inputs @ inputs.T @ inputs / 120)).detach().numpy()
    accuracy = float(np.random.rand() + np.linalg.norm(logits @ logits.T) * 1e-3)
    return Outcome(
        metrics={"test/accuracy": accuracy, "threads": torch.get_num_threads()},
        curves={"step": [10, 20], "test/accuracy": [accuracy / 2, accuracy]},
        receipt={"candidates": len(cell.candidates), "sees": ["source inputs"], "declared": True},
        predictions={"test": logits},
        splits={"test": "abc"},
    )
"""

KINDS = {"episodes": "episode", "unseen": "zeroshot", "two-digits": "multitask"}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty cache folder."""
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def protocol(tmp_path, monkeypatch):
    """Name of an importable module with the protocol above."""
    folder = tmp_path / "importable"
    folder.mkdir()
    (folder / "numeric_protocol.py").write_text(PROTOCOL)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "numeric_protocol", raising=False)  # that of the test before lies elsewhere
    return "numeric_protocol"


@pytest.fixture
def loaded(monkeypatch):
    """Names of the tasks that were loaded; the tasks are ``a->b``, ``c->d``, ``folder``, ``episodes`` ..."""
    names = []

    def load_task(name, root=None):  # noqa: ARG001
        names.append(name)
        if name not in ("a->b", "c->d", "folder", *KINDS):
            raise ValueError(f"unknown task {name!r}; did you mean 'a->b'?")
        return types.SimpleNamespace(
            kind=KINDS.get(name, "domain"),
            checksum=f"sum of {name}",
            sources=() if name == "folder" else ("emoji",),
            sets=dict,
        )

    monkeypatch.setattr(tlzoo, "load_task", load_task, raising=False)
    return names
