"""The exchange rate of a suite: every way to answer one test, in labelled examples a class that answer it as well.

The tasks ``TASK:few`` give the curve (:mod:`tlzoo.data.few_labels`); all other rows whose tasks have the same test are
ways. Stored predictions are all that is read, so nothing is trained for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlzoo.bench.baselines import is_oracle
from tlzoo.bench.cell import Cell
from tlzoo.bench.plan import Plan
from tlzoo.bench.store import Record, Store
from tlzoo.stats.exchange import Answers, Exchange, exchange_rates

__all__ = ["Family", "Problem", "exchange_of", "has_exchange", "problem_of"]

CONFIDENCE = 0.9
_FEW = ":few"
_LEAST_POINTS = 2
_PLACE = re.compile(r"(?P<family>.+?):(?:[^:]*->)?(?P<target>[^:]+)(?::(?P<draw>draw\w+))?")

Scores = NDArray[np.float64]


@dataclass(frozen=True, order=True)
class Problem:
    """One test: the target of a family of tasks, and which draw of classes it has; the draw may be empty."""

    family: str
    target: str
    draw: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Family:
    """The rates of tasks of one kind.

    Attributes:
        name: of the family, such as ``emoji/subcategory``.
        currency: the row by whose curve is converted: the best on average of those with several numbers of examples.
        overall: over all targets.
        by_target: of each target, if there are several.
        other_curves: other rows with several numbers of examples -> their mean accuracies.
        sees: way -> what it sees.
        chance: accuracy of the most frequent class.
        way: number of classes.
        draws, tests: how many draws of classes, and tests of all targets and draws.
        progress: way -> (steps, accuracies) at the checkpoints of training, means of all cells.
        seconds: way -> time of a cell relative to ``source only``, in the same run.
    """

    name: str
    currency: str
    overall: Exchange
    by_target: Mapping[str, Exchange]
    other_curves: Mapping[str, list[float]]
    sees: Mapping[str, str]
    chance: float
    way: int
    draws: int
    tests: int
    progress: Mapping[str, tuple[list[float], list[float]]] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)


def problem_of(task: str) -> Problem:
    """Return the test that a task has, by its name.

    >>> problem_of("emoji/subcategory:google->apple:draw1")
    Problem(family='emoji/subcategory', target='apple', draw='draw1')
    >>> problem_of("emoji/subcategory:apple:draw1:few") == problem_of("emoji/subcategory:google->apple:draw1")
    True
    >>> problem_of("mine:few")
    Problem(family='mine', target='mine', draw='')
    """
    bare = re.sub(r":(few|names|second)$", "", task)
    found = None if re.fullmatch(r"[\w.]+:\w+", bare) and "." in bare.partition(":")[0] else _PLACE.fullmatch(bare)
    if found is None:
        return Problem(bare, bare)
    return Problem(found["family"], found["target"], found["draw"] or "")


def has_exchange(plan: Plan) -> bool:
    """Return whether a suite has a curve over numbers of labelled examples."""
    return any(len(points) >= _LEAST_POINTS for points in _points(plan.cells).values())


def exchange_of(plan: Plan, store: Store, *, resamples: int = 2000) -> list[Family]:
    """Return the exchange rates of each family of tasks of a suite, from its finished cells.

    Families whose curve is not finished are left out, as are ways that lack a test.
    """
    finished = store.finished(plan.cells)
    found = []
    for name in dict.fromkeys(problem_of(cell.task).family for cell in plan.cells if cell.task.endswith(_FEW)):
        own = {cell: record for cell, record in finished.items() if problem_of(cell.task).family == name}
        family = _Collected.of(own, store)
        if family is not None:
            found.append(family.rates(name, plan, resamples))
    return found


def _curve_row(cell: Cell) -> str:
    """Return the name that the points of one curve share: their label without its number."""
    return re.sub(r",? ?\d+ labels?$", "", cell.label)


def _points(cells: Iterable[Cell]) -> dict[tuple[str, str], set[int]]:
    """Return the numbers of labelled examples of each row and family."""
    points: dict[tuple[str, str], set[int]] = {}
    for cell in cells:
        if cell.task.endswith(_FEW) and "shot" in cell.budget:
            row = problem_of(cell.task).family, f"{_curve_row(cell)} ({cell.backbone})"
            points.setdefault(row, set()).add(int(cell.budget["shot"]))
    return points


@dataclass(frozen=True, kw_only=True, eq=False)
class _Test:
    """Labels (N,) of a test, the names of its classes and what identifies its examples for the bootstrap."""

    labels: NDArray[np.int64]
    class_names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Collected:
    """Scores of a family's cells.

    Attributes:
        tests: by problem.
        points: row -> number of examples -> problem -> (S, N, C) scores.
        ways: label -> problem -> (R, N, C) scores.
        cells: label -> its cells.
        records: of the cells.
    """

    tests: dict[Problem, _Test]
    points: dict[str, dict[int, dict[Problem, Scores]]]
    ways: dict[str, dict[Problem, Scores]]
    cells: dict[str, list[Cell]]
    records: Mapping[Cell, Record]

    @classmethod
    def of(cls, records: Mapping[Cell, Record], store: Store) -> _Collected | None:
        """Return the stored scores of a family's cells; None if no curve or no test is among them."""
        tests: dict[Problem, _Test] = {}
        points: dict[str, dict[int, dict[Problem, Scores]]] = {}
        ways: dict[str, dict[Problem, Scores]] = {}
        cells: dict[str, list[Cell]] = {}
        curves = {row for (_, row), numbers in _points(records).items() if len(numbers) > _LEAST_POINTS}
        for cell in records:
            problem = problem_of(cell.task)
            scores = _scores(store.predictions(cell))
            if scores is None or is_oracle(cell):
                continue
            if cell.task.endswith(_FEW):
                tests.setdefault(problem, _test_of(cell))
            row = f"{_curve_row(cell)} ({cell.backbone})"
            if cell.task.endswith(_FEW) and row in curves:
                points.setdefault(row, {}).setdefault(int(cell.budget["shot"]), {})[problem] = scores
                continue
            if cell.method == "oneshot/protonet":
                continue  # the baseline that every table of episodes has
            cells.setdefault(cell.label, []).append(cell)
            known = ways.setdefault(cell.label, {}).get(problem)
            ways[cell.label][problem] = scores if known is None else np.concatenate([known, scores])
        if not points or not tests:
            return None
        return cls(tests=tests, points=points, ways=ways, cells=cells, records=records)

    def rates(self, name: str, plan: Plan, resamples: int) -> Family:
        """Return the rate of each way on the best of the curves, over all problems and for each target."""
        problems = sorted(self.tests)
        targets = list(dict.fromkeys(problem.target for problem in problems))
        curves = {row: found for row, found in self.points.items() if self._whole(found, problems)}
        means = {row: {k: self._mean(found[k], problems) for k in sorted(found)} for row, found in curves.items()}
        currency = max(means, key=lambda row: np.mean(list(means[row].values())))
        ways = {label: found for label, found in self.ways.items() if all(problem in found for problem in problems)}
        ways |= self._combined(ways, curves[currency], problems)
        once = all(len(test.labels) == len(test.class_names) for test in self.tests.values())
        by_class = once or len({problem.draw for problem in problems}) > 1

        def exchange(chosen: Sequence[Problem]) -> Exchange:
            return exchange_rates(
                self._answers(chosen, curves[currency], ways, by_class=by_class),
                confidence=CONFIDENCE,
                resamples=resamples,
            )

        shares = [
            np.bincount(self.tests[problem].labels).max() / len(self.tests[problem].labels) for problem in problems
        ]
        return Family(
            name=name,
            currency=currency,
            overall=exchange(problems),
            by_target={t: exchange([p for p in problems if p.target == t]) for t in targets}
            if len(targets) > 1
            else {},
            other_curves={row: list(own.values()) for row, own in means.items() if row != currency},
            sees={label: "; ".join(self._sees(label, plan)) for label in ways},
            chance=float(np.mean(shares)),
            way=len(self.tests[problems[0]].class_names),
            draws=len({problem.draw for problem in problems}),
            tests=len(problems),
            progress=self._progress(),
            seconds=self._seconds(),
        )

    def _whole(self, found: Mapping[int, Mapping[Problem, Scores]], problems: Sequence[Problem]) -> bool:
        return len(found) >= _LEAST_POINTS and all(set(problems) <= set(own) for own in found.values())

    def _mean(self, scores: Mapping[Problem, Scores], problems: Sequence[Problem]) -> float:
        return float(np.mean([self._right(scores[problem], problem).mean() for problem in problems]))

    def _right(self, scores: Scores, problem: Problem) -> NDArray[np.bool_]:
        """Return which answers (R, N) are right."""
        right: NDArray[np.bool_] = scores.argmax(axis=2) == self.tests[problem].labels
        return right

    def _answers(
        self,
        problems: Sequence[Problem],
        curve: Mapping[int, Mapping[Problem, Scores]],
        ways: Mapping[str, Mapping[Problem, Scores]],
        *,
        by_class: bool,
    ) -> Answers:
        """Return right answers by class where classes are drawn or asked once each, else by test example."""
        units = self._units(problems, by_class=by_class)
        count = 1 + max(int(own.max()) for own in units.values())
        numbers = sorted(curve)

        def counted(right: NDArray[np.bool_], problem: Problem) -> Scores:
            found = np.zeros((len(right), count))
            for run, own in enumerate(right):
                np.add.at(found[run], units[problem], own)
            return found

        def of(scores: Mapping[Problem, Scores]) -> Scores:
            return np.stack([counted(self._right(scores[problem], problem), problem) for problem in problems])

        return Answers(
            shots=numbers,
            curve=np.stack([of(curve[number]) for number in numbers], axis=2),
            ways={label: of(found) for label, found in ways.items()},
            total=np.stack([np.bincount(units[problem], minlength=count) for problem in problems]).astype(float),
            draws=[sorted({p.draw for p in problems}).index(problem.draw) for problem in problems],
            targets=[sorted({p.target for p in problems}).index(problem.target) for problem in problems],
        )

    def _units(self, problems: Sequence[Problem], *, by_class: bool) -> dict[Problem, NDArray[np.int64]]:
        """Return the number (N,) of each test example's unit, the same for a class in all draws and targets."""
        if by_class:
            names = sorted({name for problem in problems for name in self.tests[problem].class_names})
            places = {name: place for place, name in enumerate(names)}
            return {
                problem: np.array([places[name] for name in test.class_names])[test.labels]
                for problem, test in ((problem, self.tests[problem]) for problem in problems)
            }
        starts = np.cumsum([0, *(len(self.tests[problem].labels) for problem in problems)])
        return {
            problem: first + np.arange(len(self.tests[problem].labels))
            for first, problem in zip(starts.tolist(), problems, strict=False)
        }

    def _combined(
        self,
        ways: Mapping[str, Mapping[Problem, Scores]],
        curve: Mapping[int, Mapping[Problem, Scores]],
        problems: Sequence[Problem],
    ) -> dict[str, dict[Problem, Scores]]:
        """Return class names together with one label, and with the labels of another domain.

        The scores of both, standardized over the classes of each example, are added: there is nothing to choose.
        """
        kinds = {label: {cell.kind for cell in self.cells[label]} for label in ways}
        named = [label for label, kind in kinds.items() if kind == {"zeroshot"}]
        if not named:
            return {}
        best = named[min(1, len(named) - 1)]  # names and keywords, where both are there
        others = {"1 label": curve.get(1)}
        others |= {label: ways[label] for label in ways if label.endswith("(tuned logistic)")}
        return {
            f"{best}, and {other}": {
                problem: _standardized(ways[best][problem]) + _standardized(scores[problem]) for problem in problems
            }
            for other, scores in others.items()
            if scores is not None
        }

    def _sees(self, label: str, plan: Plan) -> list[str]:
        cells = self.cells.get(label, [])
        record = self.records[cells[0]] if cells else None
        return [] if record is None else list(record.receipt.get("sees", plan.sees[cells[0].method]))

    def _progress(self) -> dict[str, tuple[list[float], list[float]]]:
        found = {}
        for label, cells in self.cells.items():
            curves = [self.records[cell].curves for cell in cells]
            curves = [each for each in curves if {"step", "test"} <= set(each) and len(each["step"]) > 1]
            if curves and len({len(each["step"]) for each in curves}) == 1:
                rows = np.mean([each["test"] for each in curves], axis=0)
                found[label] = [float(step) for step in curves[0]["step"]], [float(value) for value in rows]
        return found

    def _seconds(self) -> dict[str, float]:
        times = {
            label: float(np.median([self.records[cell].provenance.get("seconds") or np.nan for cell in cells]))
            for label, cells in self.cells.items()
        }
        reference = next(
            (label for label, own in self.cells.items() if own[0].method == "adaptation/source_only"), None
        )
        if reference is None or not times[reference] > 0:
            return {}
        return {label: round(own / times[reference], 1) for label, own in times.items() if own == own}


def _scores(predictions: Mapping[str, NDArray[Any]]) -> Scores | None:
    """Return the scores (R, N, C) of a test; None where they were not stored."""
    for name in ("query_logits", "test_logits", "test_class"):
        if name in predictions:
            scores = np.asarray(predictions[name], dtype=np.float64)
            return scores if scores.ndim == 3 else scores[None]
    return None


def _test_of(cell: Cell) -> _Test:
    """Return the test that a ``few`` task asks."""
    from tlzoo.data import load_task

    task = load_task(cell.task, root=cell.root, kind="episode")
    assert task.listed is not None
    return _Test(labels=task.listed.episodes.query_labels[0], class_names=task.class_names[: task.listed.way])


def _standardized(scores: Scores) -> Scores:
    """Return scores (R, N, C) with mean 0 and deviation 1 over the classes of each example."""
    centered = scores - scores.mean(axis=2, keepdims=True)
    standardized: Scores = centered / np.maximum(centered.std(axis=2, keepdims=True), 1e-12)
    return standardized
