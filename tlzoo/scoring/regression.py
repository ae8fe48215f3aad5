"""Answers to real-numbered targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from tlzoo.labels import value_matrix
from tlzoo.scoring.base import Scores
from tlzoo.scoring.task_targets import ValueScores

__all__ = ["RegressionScores"]


class RegressionScores(Scores):
    """Answers to T real-numbered targets.

    ``r2``, ``mae`` and ``rmse`` are means over targets, each in its own unit, see
    :class:`~tlzoo.scoring.task_targets.ValueScores`; several targets add ``TARGET/r2`` and the others of each.
    ``normalized_mae`` is the sum over targets of the mean absolute error divided by the range of the target, which Chen
    et al. (ICML 2021, https://proceedings.mlr.press/v139/chen21u.html) and later papers report.

    Args:
        names: of the targets.
        ranges: (T,) largest less smallest value of each target; None to leave ``normalized_mae`` out.

    >>> scores = RegressionScores(["angle"], ranges=[90.0])
    >>> found = scores.of(torch.tensor([[10.0], [50.0]]), torch.tensor([[0.0], [60.0]]))
    >>> {name: round(value, 3) for name, value in found.items()}
    {'r2': 0.889, 'mae': 10.0, 'rmse': 10.0, 'normalized_mae': 0.111}
    """

    headline = "r2"
    groups: tuple[str, ...] = ()
    pairs: list[Tensor]

    def __init__(self, names: Sequence[str], *, ranges: Sequence[float] | None = None) -> None:
        super().__init__()
        self.names, self.ranges = tuple(names), None if ranges is None else tuple(ranges)
        self.add_state("pairs", [], "cat")

    def update(self, values: Tensor, labels: Tensor, groups: Tensor | None = None) -> None:
        """Add values (B, T) and labels (B, T), NaN if unknown.

        Raises:
            ValueError: the number of targets or of labels does not fit.
        """
        if values.ndim != 2 or values.shape[1] != len(self.names):
            raise ValueError(f"values of shape {tuple(values.shape)}; expected (N, {len(self.names)}), one per target")
        labels = value_matrix(labels, num_values=len(self.names), size=len(values)).to(values.device)
        self.pairs.append(torch.stack([values.detach().double(), labels.double()], dim=2))

    def compute(self) -> dict[str, float]:
        """Return the scores by name."""
        pairs: NDArray[np.float64] = dim_zero_cat(self.pairs).cpu().numpy()
        by_target = [self._of_target(pairs[:, place]) for place in range(len(self.names))]
        found = {figure: float(np.mean([own[figure] for own in by_target])) for figure in by_target[0]}
        if self.ranges is not None:
            found["normalized_mae"] = sum(o["mae"] / r for o, r in zip(by_target, self.ranges, strict=True))
        if len(self.names) > 1:
            for name, own in zip(self.names, by_target, strict=True):
                found |= {f"{name}/{figure}": value for figure, value in own.items()}
        return found

    def _of_target(self, pairs: NDArray[Any]) -> dict[str, float]:
        answers, labels = (torch.from_numpy(np.ascontiguousarray(column)) for column in pairs.T)
        found = ValueScores().of(answers[:, None], labels)
        return {"r2": found["r2"], "mae": found["mae"], "rmse": float(np.sqrt(found["mse"]))}
