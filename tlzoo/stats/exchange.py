"""What supervision of another kind is worth in labelled examples a class, with a bootstrap over all that was drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlzoo.stats.shot_curve import Form, ShotCurve, choose_form, fit_shot_curves

__all__ = ["Answers", "Exchange", "Rate", "exchange_rates"]

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """Right answers of the same test by all ways, in D draws of classes.

    Attributes:
        shots: (K,) numbers of labelled examples of the curve.
        curve: (D, S, K, U) right answers with so many examples, in S runs of each draw, of each of U units.
        ways: name -> (D, R, U) right answers in R runs; R is 1 where nothing is random.
        total: (D, U) test examples of each unit; 0 where a draw does not have it.
        draws: (D,) which draw of classes each entry is; several targets may share one.
        targets: (D,) which target each entry is; None where there is one.

    A unit is what is drawn from a population together: a class where classes are drawn, else a test example.
    """

    shots: Sequence[int]
    curve: Values
    ways: Mapping[str, Values]
    total: Values
    draws: Sequence[int]
    targets: Sequence[int] | None = None

    def __post_init__(self) -> None:
        entries, units = self.total.shape
        if self.curve.ndim != 4 or (self.curve.shape[0], *self.curve.shape[2:]) != (entries, len(self.shots), units):
            raise ValueError(
                f"a curve of shape {self.curve.shape}; expected ({entries}, runs, {len(self.shots)}, {units})"
            )
        for name, right in self.ways.items():
            if right.ndim != 3 or (right.shape[0], right.shape[2]) != (entries, units):
                raise ValueError(f"{name} has answers of shape {right.shape}; expected ({entries}, runs, {units})")
            if (right > self.total[:, None]).any():
                raise ValueError(f"{name} has more right answers than there are test examples")


@dataclass(frozen=True, kw_only=True)
class Rate:
    """What a way is worth.

    Attributes:
        accuracy: mean over draws and runs, with ``accuracy_low`` and ``accuracy_high``.
        worth: labelled examples a class at which the curve is as accurate; -inf below the curve, inf above it.
        low, high: ends of the interval of ``worth``, infinite likewise.
    """

    accuracy: float
    accuracy_low: float
    accuracy_high: float
    worth: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Exchange:
    """The curve and the rates of all ways.

    Attributes:
        curve: fitted to the mean of draws and runs.
        measured: (K,) mean accuracies that it is fitted to; ``low`` and ``high`` (K,) their intervals.
        rates: by way, best first.
        above: (way, other) -> share of resamples in which the way is the more accurate one.
    """

    curve: ShotCurve
    measured: Values
    low: Values
    high: Values
    rates: Mapping[str, Rate]
    above: Mapping[tuple[str, str], float]

    @property
    def form(self) -> Form:
        """The form that predicts left-out points of the curve better."""
        return self.curve.form


def exchange_rates(answers: Answers, *, confidence: float = 0.9, resamples: int = 2000, seed: int = 0) -> Exchange:
    """Convert the accuracy of each way into labelled examples a class.

    The curve is fitted to mean accuracies, in the form that :func:`~tlzoo.stats.shot_curve.choose_form` takes, and
    inverted. Intervals are percentiles of a bootstrap that draws units, effects of draws and effects of runs again, the
    same units and draws for the curve and all ways, the same runs for all points of the curve. The effect of a draw is
    what its units do better in it than in other draws, that of a run what it does better than chance in its answers
    explains: what the choice of units and chance do, drawing units again does already. All are few, so of n, n - 1 are
    drawn, which keeps the variance of their mean unbiased (Rao and Wu, JASA 1988); effects of runs are divided by the
    root of a chi-squared variable over its degrees of freedom, so that few runs have the tails of Student's t. Targets
    are not drawn: the rates are of those that were measured.

    Args:
        answers: right answers of the curve and of all ways.
        confidence: of the intervals.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    random = np.random.default_rng(seed)
    resample = _Resample.drawn(answers, resamples, random)
    points = resample.accuracy(answers.curve, random)
    found = {name: resample.accuracy(right[:, :, None], random)[:, 0] for name, right in answers.ways.items()}
    form = choose_form(answers.shots, points[0])
    curves = fit_shot_curves(answers.shots, points, form)
    ends = (1 - confidence) / 2, (1 + confidence) / 2
    rates = {name: _rate(accuracy, curves.shots_at(accuracy), ends) for name, accuracy in found.items()}
    order = sorted(rates, key=lambda name: -rates[name].accuracy)
    above = {
        (one, other): float(np.mean(np.sign(found[one][1:] - found[other][1:]) + 1) / 2)
        for one in order
        for other in order
        if one != other
    }
    return Exchange(
        curve=fit_shot_curves(answers.shots, points[:1], form),
        measured=points[0],
        low=np.quantile(points[1:], ends[0], axis=0),
        high=np.quantile(points[1:], ends[1], axis=0),
        rates={name: rates[name] for name in order},
        above=above,
    )


def _rate(accuracy: Values, worth: Values, ends: tuple[float, float]) -> Rate:
    """Return the rate of a way from accuracies and worths (B + 1,), the first ones measured, the others resampled."""
    return Rate(
        accuracy=float(accuracy[0]),
        accuracy_low=float(np.quantile(accuracy[1:], ends[0])),
        accuracy_high=float(np.quantile(accuracy[1:], ends[1])),
        worth=float(worth[0]),
        low=float(np.quantile(worth[1:], ends[0], method="lower")),
        high=float(np.quantile(worth[1:], ends[1], method="higher")),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Resample:
    """B resamples, after the data themselves.

    Attributes:
        answers: what is resampled.
        units: (B + 1, U) how often each unit is drawn.
        effects: (B + 1, D) weights of the effect of each entry's draw; 0 of the data themselves.
    """

    answers: Answers
    units: Values
    effects: Values

    @classmethod
    def drawn(cls, answers: Answers, resamples: int, random: np.random.Generator) -> _Resample:
        occurs = np.flatnonzero(answers.total.any(axis=0))
        units = np.zeros((resamples + 1, answers.total.shape[1]))
        units[0, occurs] = 1
        units[1:, occurs] = _resampled(len(occurs), resamples, random)
        empty = np.einsum("bu,du->bd", units, answers.total) == 0
        units[empty.any(axis=1)] = units[0]  # a draw none of whose units was drawn would say nothing
        names, places, counts = np.unique(answers.draws, return_inverse=True, return_counts=True)
        weights = _resampled(len(names), resamples, random)
        weights /= weights.sum(axis=1, keepdims=True)
        effects = np.zeros((resamples + 1, len(places)))
        effects[1:] = (weights / counts)[:, places]
        return cls(answers=answers, units=units, effects=effects)

    def accuracy(self, right: Values, random: np.random.Generator) -> Values:
        """Return the accuracies (B + 1, K) of right answers (D, R, K, U), the mean of all entries."""
        entries, runs = right.shape[:2]
        usual = right.mean(axis=1)
        counts = np.einsum("bu,dku->bdk", self.units, usual)
        sizes = np.einsum("bu,du->bd", self.units, self.answers.total)
        mean: Values = (counts / sizes[:, :, None]).mean(axis=1)
        mean += self.effects @ np.stack([self._effect(own) for own in usual.swapaxes(0, 1)], axis=1)
        if runs > 1:
            resamples, freedom = len(self.units) - 1, entries * (runs - 1)
            drawn = _resampled(runs, resamples * entries, random).reshape(resamples, entries, runs)
            drawn /= (runs - 1) * entries
            wider = np.sqrt(freedom / random.chisquare(freedom, size=resamples))
            mean[1:] += wider[:, None] * np.einsum("bdr,drk->bk", drawn, self._run_effects(right))
        return mean

    def _run_effects(self, right: Values) -> Values:
        """Return by how much each run (D, R, K) is better, less what chance in its answers (D, R, K, U) makes of it."""
        total = self.answers.total
        sizes, known = total.sum(axis=1), (total > 0).sum(axis=1)
        better = right.sum(axis=3) / sizes[:, None, None]
        better -= better.mean(axis=1, keepdims=True)
        rest = right - right.mean(axis=1, keepdims=True) - better[..., None] * total[:, None, None]
        chance = (rest**2).sum(axis=(1, 3)) * (known / np.maximum(known - 1, 1) / sizes**2)[:, None]
        spread = (better**2).sum(axis=1)
        kept = 1 - chance.sum(axis=0) / np.maximum(spread.sum(axis=0), 1e-12)
        effects: Values = better * np.sqrt(np.maximum(kept, 0))
        return effects

    def _effect(self, right: Values) -> Values:
        """Return what the draw of each entry (D,) makes of its units, from mean right answers (D, U)."""
        total, draws = self.answers.total, np.asarray(self.answers.draws)
        targets = np.zeros(len(draws), dtype=int) if self.answers.targets is None else np.asarray(self.answers.targets)
        effect = np.zeros(len(draws))
        for target in np.unique(targets):
            own = np.flatnonzero(targets == target)
            sizes = total[own]
            usual = right[own].sum(axis=0) / np.maximum(sizes.sum(axis=0), 1)
            several = sizes * ((sizes > 0).sum(axis=0) > 1)
            known = several.sum(axis=1)
            deviations = (several * (right[own] / np.maximum(sizes, 1) - usual)).sum(axis=1)
            effect[own] = np.where(known > 0, deviations / np.maximum(known, 1), 0)
            effect[own] -= effect[own].mean()
        return effect


def _resampled(count: int, resamples: int, random: np.random.Generator) -> Values:
    """Return how often (B, N) each of N is drawn in N - 1 draws; 1 where there is one."""
    if count == 1:
        return np.ones((resamples, 1))
    return random.multinomial(count - 1, np.full(count, 1 / count), size=resamples).astype(np.float64)
