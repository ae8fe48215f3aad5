"""The supervision of a result, declared and measured."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tlzoo.bench.dependence import TOLERANCE, measure_dependence
from tlzoo.data.example_set import ExampleSet
from tlzoo.methods.base import Method
from tlzoo.types import Sees, SupervisionError

__all__ = ["receipt"]

_ITEMS = 64
"""Test items of which the dependence on one another is measured."""


def receipt(
    method: Method,
    answer: Callable[[Any], Tensor],
    items: ExampleSet | Tensor,
    *,
    shown: Collection[Sees] = (),
    **notes: Any,
) -> dict[str, Any]:
    """Return the receipt of a method's answers.

    Args:
        method: what answers.
        answer: maps test items to scores (N, ...).
        items: test items; of a set, the first 64 are used.
        shown: what training showed beyond what the method declares for its answers.
        notes: further entries for the reader; entries that are None are left out.

    Raises:
        SupervisionError: answers depend on the test batch, and the method does not declare TEST_INPUTS.
    """
    with torch.no_grad():
        dependence = measure_dependence(answer, items if isinstance(items, Tensor) else _first(items))
    if max(dependence.values()) > TOLERANCE and Sees.TEST_INPUTS not in method.sees:
        figures = ", ".join(f"{name} {value:.2g}" for name, value in dependence.items())
        raise SupervisionError(
            f"answers of {type(method).__name__} change with the test batch ({figures} of the spread of its scores, "
            f"where {TOLERANCE:g} is rounding); it must declare TEST_INPUTS"
        )
    return {
        "sees": sorted({*method.sees, *shown}),
        "declared": True,
        "transductive": Sees.TEST_INPUTS in method.sees,
        "dependence": dependence,
        **{name: note for name, note in notes.items() if note is not None},
    }


def _first(examples: ExampleSet) -> Any:
    """Return the first items of a set in a form that an array of indices can select from."""
    inputs = examples.batch(np.arange(min(_ITEMS, len(examples)))).inputs
    return np.array(inputs, dtype=object) if isinstance(inputs, list) else inputs
