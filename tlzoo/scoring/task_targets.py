"""Answers to the targets of a multitask set, each with the scores of its kind."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.utilities import dim_zero_cat

from tlzoo.data.tasks import Target, mean_metric
from tlzoo.labels import value_labels
from tlzoo.scoring.base import Scores
from tlzoo.scoring.classification import ClassScores, mean

__all__ = ["MultitaskScores", "target_scores"]


class RankScores(ClassScores):
    """Ordered classes: the predicted rank is the number of positive logits of an output (B, C - 1), one per threshold.

    ``accuracy``; ``mae``, the mean absolute error of the rank; ``kendall_tau`` (tau-b) of ranks and labels, 0 if all
    answers are equal.
    """

    most_confused: ClassVar[int] = 2**15

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.headline = "kendall_tau"

    def update(self, output: Tensor, labels: Tensor, groups: Tensor | None = None) -> None:
        """Add logits of thresholds (B, C - 1) and labels (B,), negative if unknown."""
        self.count((output > 0).sum(dim=1), labels, groups)

    def compute(self) -> dict[str, float]:
        """Return the scores by name."""
        table = self.confusion.cpu().numpy()
        labels, ranks = np.repeat(np.indices(table.shape).reshape(2, -1), table.ravel(), axis=1)
        error = mean(np.abs(labels - ranks).astype(np.float64))
        return {"accuracy": super().compute()["accuracy"], "mae": error, "kendall_tau": _kendall_tau(labels, ranks)}


def _kendall_tau(labels: NDArray[np.int64], ranks: NDArray[np.int64]) -> float:
    from scipy.stats import kendalltau

    if len(np.unique(labels)) < 2:
        return math.nan
    return float(kendalltau(labels, ranks).statistic) if len(np.unique(ranks)) > 1 else 0.0


class DenseClassScores(ClassScores):
    """A class at every position: ``pixel_accuracy``, and ``miou``, the mean over classes of intersection over union.

    Classes that occur neither among answers nor labels do not count.
    """

    most_confused: ClassVar[int] = 2**12

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.headline = "miou"

    def update(self, logits: Tensor, labels: Tensor, groups: Tensor | None = None) -> None:
        """Add logits (B, C, h, w), resized to the labels (B, H, W), negative if unknown."""
        super().update(_resized(logits, labels).movedim(1, -1).flatten(0, -2), labels.flatten(), groups)

    def compute(self) -> dict[str, float]:
        """Return the scores by name."""
        examples, right, answered = self.by_class().T
        union = examples + answered - right
        shares = right[union > 0] / union[union > 0]
        return {"miou": mean(shares), "pixel_accuracy": super().compute()["accuracy"]}


class _ItemSums(Scores):
    """Base of scores that compute a few numbers for each item in float32, and sum them over items in float64."""

    sums: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("sums", [], "cat")

    def columns(self) -> NDArray[np.float64]:
        """Return the numbers of all items, one row for each number."""
        return np.asarray(dim_zero_cat(self.sums).cpu(), dtype=np.float64).T


class ValueScores(_ItemSums):
    """Values: ``mse``, ``mae``, and the coefficient of determination ``r2``, as in scikit-learn."""

    headline = "r2"

    def update(self, output: Tensor, labels: Tensor) -> None:
        """Add values (B, 1) or (B,), and labels (B,), NaN if unknown."""
        labels = value_labels(labels, size=len(output))
        pairs = torch.stack([output.detach().reshape(labels.shape).float(), labels.float()], dim=1)
        self.sums.append(pairs[~labels.isnan()])

    def compute(self) -> dict[str, float]:
        """Return the scores by name."""
        answers, labels = self.columns()
        errors = answers - labels
        return {
            "mse": mean(errors**2),
            "mae": mean(np.abs(errors)),
            "r2": _determination(float(np.sum(errors**2)), float(np.sum((labels - mean(labels)) ** 2)), len(labels)),
        }


def _determination(unexplained: float, spread: float, count: float) -> float:
    if count < 2:
        return math.nan
    return 1 - unexplained / spread if spread else float(unexplained == 0)


class DenseValueScores(_ItemSums):
    """A value at every position: ``absolute_error``, ``relative_error`` and ``r2``.

    The relative error is the mean of abs(answer - label) / abs(label) over positions with a nonzero label.
    """

    headline = "r2"

    def update(self, output: Tensor, labels: Tensor) -> None:
        """Add values (B, 1, h, w), resized to the labels (B, H, W), NaN if unknown."""
        known = ~labels.isnan()
        labels = labels.float().nan_to_num()
        errors = torch.where(known, _resized(output.detach().float(), labels).squeeze(1) - labels, 0.0)
        relative = torch.where(labels != 0, errors.abs() / labels.abs(), 0.0)
        count = known.float().sum(dim=(1, 2))
        center = labels.sum(dim=(1, 2)) / count.clamp_min(1)
        spread = torch.where(known, labels - center[:, None, None], 0.0).square()
        parts = errors.abs(), relative, (known & (labels != 0)).float(), errors.square(), spread
        self.sums.append(torch.stack([count, center, *(part.sum(dim=(1, 2)) for part in parts)], dim=1))

    def compute(self) -> dict[str, float]:
        """Return the scores by name."""
        count, center, absolute, relative, divided, squared, within = self.columns()
        total = count.sum()
        between = count * (center - (count * center).sum() / max(total, 1)) ** 2
        return {
            "absolute_error": _ratio(absolute, count),
            "relative_error": _ratio(relative, divided),
            "r2": _determination(float(squared.sum()), float((within + between).sum()), total),
        }


def _ratio(values: NDArray[np.float64], counts: NDArray[np.float64]) -> float:
    return float(values.sum() / counts.sum()) if counts.sum() else math.nan


class NormalScores(_ItemSums):
    """A unit vector at every position, by its angle to the label in degrees.

    ``mean_angle``, ``median_angle`` (to 0.01 degrees), the shares ``within_11.25``, ``within_22.5``, ``within_30``, and
    the mean ``cosine``.
    """

    headline = "cosine"
    thresholds: ClassVar[tuple[float, ...]] = (11.25, 22.5, 30.0)
    angles: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("angles", torch.zeros(18_000, dtype=torch.long), "sum")

    def update(self, output: Tensor, labels: Tensor) -> None:
        """Add vectors (B, 3, h, w) of any length, resized to the labels (B, 3, H, W), NaN or 0 if unknown."""
        labels = labels.float().nan_to_num()
        known = labels.norm(dim=1) > 0
        answers = F.normalize(_resized(output.detach().float(), labels), dim=1)
        labels = F.normalize(labels, dim=1)
        cosines = (answers * labels).sum(dim=1)
        # atan2, because arccos loses half the digits of small angles
        angles = torch.atan2(torch.linalg.cross(answers, labels, dim=1).norm(dim=1), cosines).rad2deg()
        parts = (known, angles, cosines, *(angles < threshold for threshold in self.thresholds))
        sums = [torch.where(known, part, 0).float().sum(dim=(1, 2)) for part in parts]
        self.sums.append(torch.stack(sums, dim=1))
        places = (angles[known] * 100).long().clamp(0, len(self.angles) - 1)
        self.angles += torch.bincount(places, minlength=len(self.angles))

    def compute(self) -> dict[str, float]:
        """Return the scores by name."""
        count, angle, cosine, *within = self.columns()
        below = self.angles.cpu().cumsum(dim=0).numpy()
        median = (int(np.searchsorted(below, below[-1] / 2)) + 0.5) / 100 if below[-1] else math.nan
        shares = {f"within_{t:g}": _ratio(own, count) for t, own in zip(self.thresholds, within, strict=True)}
        angles = {"mean_angle": _ratio(angle, count), "median_angle": median}
        return {**angles, **shares, "cosine": _ratio(cosine, count)}


def _resized(output: Tensor, labels: Tensor) -> Tensor:
    return F.interpolate(output, labels.shape[-2:], mode="bilinear", align_corners=False)


def target_scores(target: Target) -> Scores:
    """Return the scorer of one target."""
    match target.kind:
        case "ordinal":
            return RankScores(target.classes)
        case "normals":
            return NormalScores()
        case "dense":
            return DenseClassScores(target.classes) if target.classes else DenseValueScores()
    return ClassScores(target.classes) if target.classes else ValueScores()


class MultitaskScores(nn.Module):
    """Answers to several targets: scores are named ``TARGET/SCORE``, and the headline of a target ``TARGET``.

    The headline is the mean headline of all targets that have labels, named ``accuracy`` if all targets are classes,
    otherwise ``score``.

    Args:
        targets: name -> target.
    """

    def __init__(self, targets: Mapping[str, Target]) -> None:
        super().__init__()
        self.names, self.headline = tuple(targets), mean_metric(targets)
        if self.headline in targets:
            raise ValueError(f"a task called {self.headline!r}, as the mean over tasks is called; give it another name")
        self.parts = nn.ModuleList(map(target_scores, targets.values()))  # names may be such that modules cannot have

    def update(self, outputs: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> None:
        """Take in outputs and labels by target, missing labels marked as its kind does; targets may be left out."""
        for name, part in zip(self.names, self.parts, strict=True):
            if name in labels:
                part.update(outputs[name], labels[name])  # type: ignore[operator]

    def compute(self) -> dict[str, float]:
        """Return the scores by name."""
        found: dict[str, float] = {}
        for name, part in zip(self.names, self.parts, strict=True):
            if not part.update_called:
                continue
            own: dict[str, float] = part.compute()  # type: ignore[operator]
            found[name] = own[part.headline]  # type: ignore[index]
            found |= {f"{name}/{figure}": value for figure, value in own.items()}
        known = [value for name, value in found.items() if name in self.names and not math.isnan(value)]
        return {self.headline: float(np.mean(known)) if known else math.nan, **found}

    def reset(self) -> None:
        """Discard all answers."""
        for part in self.parts:
            part.reset()  # type: ignore[operator]
