"""The supervision of a result, declared and measured."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tlzoo.bench.dependence import TOLERANCE, measure_dependence
from tlzoo.data.example_set import ExampleSet
from tlzoo.methods.base import Method
from tlzoo.types import Sees, SupervisionError

__all__ = ["receipt"]

_BATCH = 256
"""Items that are answered together, as they are in the test (:meth:`tlzoo.lit.data.base.TaskData.passes`)."""
_MOST, _MOST_DECLARED = 4096, 256
"""Test items of which the dependence on one another is measured, spread over the test; and where it is declared."""


def receipt(
    method: Method,
    answer: Callable[[Any], Tensor],
    items: Any,
    *,
    further: Iterable[tuple[Callable[[Any], Tensor], Any]] = (),
    shown: Collection[Sees] = (),
    **notes: Any,
) -> dict[str, Any]:
    """Return the receipt of a method's answers.

    Args:
        method: what answers.
        answer: maps a batch of test items to scores (N, ...).
        items: of the test, as a set, or in any form that an array of indices picks from.
        further: other answers and items of the same method, such as those of single episodes.
        shown: what training showed beyond what the method declares for its answers.
        notes: further entries for the reader; entries that are None are left out.

    Raises:
        SupervisionError: answers depend on the test batch, and the method does not declare TEST_INPUTS.
    """
    with torch.no_grad():
        most = _MOST_DECLARED if Sees.TEST_INPUTS in method.sees else _MOST
        measured = [measure_dependence(_in_batches(answer), _spread(items, most))]
        measured += [measure_dependence(each, asked) for each, asked in further]
    dependence = {name: max(each.get(name, 0.0) for each in measured) for each in measured for name in each}
    looked = max(value for name, value in dependence.items() if name != "drawn")
    if looked > TOLERANCE and Sees.TEST_INPUTS not in method.sees:
        figures = ", ".join(f"{name} {value:.2g}" for name, value in dependence.items())
        raise SupervisionError(
            f"answers of {type(method).__name__} change with the other test items ({figures} of the spread of its "
            f"scores, where {TOLERANCE:g} is rounding); it must declare TEST_INPUTS"
        )
    return {
        "sees": sorted({*method.sees, *shown}),
        "declared": True,
        "transductive": Sees.TEST_INPUTS in method.sees,
        "dependence": dependence,
        **{name: note for name, note in notes.items() if note is not None},
    }


def _in_batches(answer: Callable[[Any], Tensor]) -> Callable[[Any], Tensor]:
    def answered(items: Any) -> Tensor:
        return torch.cat([answer(items[first : first + _BATCH]) for first in range(0, len(items), _BATCH)])

    return answered


def _spread(examples: Any, most: int) -> Any:
    """Return items of a set, all or evenly spread ones, such that an array of indices picks some of them."""
    if not isinstance(examples, ExampleSet):
        return examples
    count = len(examples)
    places = np.arange(count) if count <= most else np.linspace(0, count - 1, most).astype(int)
    inputs = examples.batch(places).inputs
    return np.array(inputs, dtype=object) if isinstance(inputs, list) else inputs
