"""What to use on a task: its shift, an estimate of the accuracy without labels, and a recommendation or none.

The recommendation looks up the committed results on the tasks that are most alike in what can be measured without
target labels (``advice.json``, made by ``benchmarks/advice.py``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tlzoo.data import load_task
from tlzoo.data.tasks import DomainTask, Task
from tlzoo.errors import InputError, InputTypeError
from tlzoo.functional import mmd
from tlzoo.lit.frozen_features import with_features
from tlzoo.methods.adaptation import LinearClassifier
from tlzoo.methods.transforms import AlignedClassifier
from tlzoo.selection.shift import average_threshold, domain_probe, label_shift, nuclear_norm, temperature
from tlzoo.selection.validators import matrix_norm

__all__ = ["COMPARED", "Advice", "Known", "advise", "known_tasks", "measures", "recommended"]

COMPARED = ("probe", "drop", "nuclear_norm")
"""Measures by which tasks are alike: how far the domains are apart, the accuracy lost, how certain answers are."""

_NEAREST = 5
_POINTS = 500
_MEASURED, _FEWEST = ("source_train", "source_test", "target_train"), 4
_FILE = Path(__file__).parent / "advice.json"


@dataclass(frozen=True)
class Known:
    """A task of the committed results.

    Attributes:
        task: its name.
        measures: what can be measured without target labels.
        baseline: accuracy of the reference of its table.
        methods: method -> accuracy.
    """

    task: str
    measures: Mapping[str, float]
    baseline: float
    methods: Mapping[str, float]


@dataclass(frozen=True)
class Advice:
    """What is known of a task without target labels.

    Attributes:
        measures: ``probe`` (accuracy of telling the domains apart), ``mmd``, ``label_shift`` (total variation of the
            estimated class shares), ``source`` (accuracy on held-out source data), ``estimate`` (of the accuracy on the
            target, by ATC), ``drop`` (between them), ``nuclear_norm``, ``mano``.
        method: recommended; empty where nothing is better than the tuned linear baseline, as far as can be told.
        gain: expected over the baseline, and its standard error, in shares of 1.
        alike: the known tasks that it rests on.
    """

    measures: Mapping[str, float]
    method: str
    gain: tuple[float, float]
    alike: tuple[str, ...]

    def __str__(self) -> str:
        m = self.measures
        gain, error = (100 * part for part in self.gain)
        lines = [
            f"domains: a linear probe tells them apart with {100 * m['probe']:.0f} %, squared MMD {m['mmd']:.3f}",
            f"classes: the shares differ by about {100 * m['label_shift']:.0f} % (total variation, BBSE)",
            f"accuracy of a tuned linear classifier: {100 * m['source']:.1f} % on held-out source data, on the target "
            f"about {100 * m['estimate']:.1f} % (ATC)",
            f"label-free scores: nuclear norm {m['nuclear_norm']:.3f}, MaNo {m['mano']:.3f}",
        ]
        if self.method:
            verdict = f"use {self.method}: {gain:+.1f} points expected over the baseline, standard error {error:.1f}"
        else:
            verdict = f"no recommendation: the best, {gain:+.1f} points, is within its standard error of {error:.1f}"
        return "\n".join([*lines, f"{verdict}; by results on {', '.join(self.alike)}"])


def advise(task: str | DomainTask, backbone: str = "efficientnet_lite0", *, root: str | None = None) -> Advice:
    """Measure the shift of a task and recommend a method for it, or none.

    Args:
        task: name of a domain adaptation task, or the task, for example of arrays; its target labels are not read.
        backbone: extracts features; ``identity`` where inputs are features.
        root: folder of a data set on disk.

    Raises:
        TypeError: the task is of another kind.
        ValueError: it is a regression, or has no source, no held-out source examples, too few examples, or no
            features.
    """
    loaded: Any = load_task(task, root=root) if isinstance(task, str) else task
    if not isinstance(loaded, DomainTask):
        what = f"{loaded.name} is a task of kind {loaded.kind}" if isinstance(loaded, Task) else f"got {loaded!r}"
        raise InputTypeError(f"{what}; advice is for domain adaptation")
    if loaded.regression:
        raise InputError(f"{loaded.name} is a regression; advice is measured on classes")
    if few := [name for name in _MEASURED if len(loaded.sets()[name]) < _FEWEST]:
        size = len(loaded.sets()[few[0]])
        raise InputError(f"{loaded.name}: {few[0]} has {size} examples; advice needs {_FEWEST} or more")
    if backbone == "identity" and loaded.target_train.modality != "features":
        raise InputError(f"{loaded.name} holds {loaded.target_train.modality} items; name a backbone for them")
    extracted = loaded if backbone == "identity" else with_features(loaded, backbone)
    found = measures(extracted)
    method, gain, error, alike = recommended(found, [known for known in known_tasks() if known.task != loaded.name])
    return Advice(found, method, (gain, error), alike)


def measures(task: DomainTask) -> dict[str, float]:
    """Return the measures of a task of features; no label of the target is read."""
    source, held_out, target = (_features(part) for part in (task.source_train, task.source_test, task.target_train))
    assert task.source_train.labels is not None
    assert task.source_test.labels is not None
    model = AlignedClassifier(LinearClassifier(source.shape[1], task.num_classes))
    model.fit(source, torch.from_numpy(task.source_train.labels), None)
    labels = torch.from_numpy(task.source_test.labels)
    ours, theirs = model(held_out), model(target)
    sharpness = temperature(ours, labels)
    ours, theirs = sharpness * ours, sharpness * theirs
    shares = torch.from_numpy(np.bincount(task.source_train.labels, minlength=task.num_classes)).double()
    accuracy = float((ours.argmax(dim=1) == labels).double().mean())
    estimate = average_threshold(ours, labels, theirs)
    scale = source.std() or 1.0
    return {
        "probe": domain_probe(source[:_POINTS], target[:_POINTS]),
        "mmd": float(mmd(source[:_POINTS] / scale, target[:_POINTS] / scale)),
        "label_shift": float((label_shift(ours, labels, theirs) - shares / shares.sum()).abs().sum() / 2),
        "source": accuracy,
        "estimate": estimate,
        "drop": accuracy - estimate,
        "nuclear_norm": nuclear_norm(theirs),
        "mano": float(matrix_norm(theirs)),
    }


def _features(examples: Any) -> Tensor:
    values: Tensor = examples.batch(np.arange(len(examples))).inputs
    return values.float()


@cache
def known_tasks() -> tuple[Known, ...]:
    """Return the tasks of the committed results."""
    return tuple(Known(**each) for each in json.loads(_FILE.read_text(encoding="utf-8"))["tasks"])


def recommended(found: Mapping[str, float], known: Sequence[Known]) -> tuple[str, float, float, tuple[str, ...]]:
    """Return a method (empty for none), its expected gain and standard error, and the tasks that say so.

    The gain of a method is its mean over the five tasks that are nearest in :data:`COMPARED`, each measure in its own
    deviations; the method with the highest is recommended if it exceeds its standard error.

    Raises:
        ValueError: no task is known.
    """
    if not known:
        raise InputError("no results to advise by; run benchmarks/advice.py")
    table = np.array([[task.measures[name] for name in COMPARED] for task in known])
    spread = table.std(axis=0)
    apart = (table - [found[name] for name in COMPARED]) / np.where(spread > 0, spread, 1.0)
    nearest = [known[place] for place in np.argsort(np.square(apart).sum(axis=1), kind="stable")[:_NEAREST]]
    shared = set.intersection(*(set(task.methods) for task in nearest))
    gains = {name: [task.methods[name] - task.baseline for task in nearest] for name in sorted(shared)}
    names = tuple(task.task for task in nearest)
    if not gains:
        return "", 0.0, math.inf, names
    best = max(gains, key=lambda name: float(np.mean(gains[name])))
    mean, error = float(np.mean(gains[best])), float(np.std(gains[best], ddof=1) / len(nearest) ** 0.5)
    return best if mean > error else "", mean, error, names
