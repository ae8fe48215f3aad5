"""Choosing among the candidates of a cell by a validation score, and returning the run that was chosen."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

from tlzoo.bench.cell import Cell
from tlzoo.bench.tpe_search import search_by_tpe
from tlzoo.registry import method_class

__all__ = ["choose", "grid", "plain", "settings_of", "trials"]

R = TypeVar("R")
Settings = dict[str, Any]


def choose(cell: Cell, attempt: Callable[[Settings], R], score: Callable[[R], float]) -> tuple[R, dict[str, Any]]:
    """Run a cell with each of its candidates.

    A trial whose loss is not finite, or whose score is undefined, counts as failed.

    Args:
        cell: without candidates it is run once, and nothing is scored.
        attempt: runs it with some settings, of the method and those that are tried.
        score: of a run on validation data, higher is better; the first of equals wins.

    Returns:
        The chosen run, and a note for the receipt: ``tuned``, ``trials`` and ``validation_scores``.

    Raises:
        FloatingPointError: every trial failed.
    """
    settings = plain(cell.settings)
    if not cell.candidates:
        return attempt(settings), {}
    search = _Search(attempt, score, settings)
    if cell.search.get("sampler"):
        search_by_tpe(cell, search.evaluate)
    else:
        candidates = plain(cell.candidates)
        # trials are rows of the candidates' columns; without them every combination is tried
        for choice in trials(candidates) if cell.search.get("trials") else grid(candidates):
            search.evaluate(choice)
    return search.chosen()


class _Search(Generic[R]):
    """Keeps the best of the runs that were tried; the others are let go."""

    def __init__(self, attempt: Callable[[Settings], R], score: Callable[[R], float], settings: Settings) -> None:
        self.attempt, self.score, self.settings = attempt, score, settings
        self.scores: list[float] = []
        self.best: tuple[float, Settings, R] | None = None
        self.error: FloatingPointError | None = None

    def evaluate(self, choice: Settings) -> float:
        """Run with settings that are tried; return the score, NaN where it failed."""
        score = math.nan
        try:
            run = self.attempt({**self.settings, **choice})
            score = self.score(run)
            if not math.isnan(score) and (self.best is None or score > self.best[0]):
                self.best = score, choice, run
        except FloatingPointError as error:
            self.error = error
        self.scores.append(score)
        return score

    def chosen(self) -> tuple[R, dict[str, Any]]:
        """Return the best run and the note."""
        if self.best is None:
            raise FloatingPointError(f"all {len(self.scores)} trials failed: {self.error or 'no score is defined'}")
        _, choice, run = self.best
        scores = [round(score, 6) for score in self.scores]
        return run, {"tuned": choice, "trials": len(scores), "validation_scores": scores}


def grid(candidates: Mapping[str, Sequence[Any]]) -> list[Settings]:
    """Return every combination of the candidates, in order; one empty setting where there are none."""
    return [dict(zip(candidates, values, strict=True)) for values in itertools.product(*candidates.values())]


def trials(candidates: Mapping[str, Sequence[Any]]) -> list[Settings]:
    """Return the settings of each trial: the candidates at its place."""
    return [dict(zip(candidates, values, strict=True)) for values in zip(*candidates.values(), strict=True)]


def settings_of(cell: Cell, settings: Mapping[str, Any]) -> tuple[Cell, Settings]:
    """Return the cell with those of the tried settings that are its module's, and the method's own settings.

    A name that both have is the method's.
    """
    known = inspect.signature(method_class(cell.method)).parameters
    outside = [name for name in cell.candidates if name not in known and name in settings]
    module = {**plain(cell.module), **{name: settings[name] for name in outside}}
    return replace(cell, module=module), {name: value for name, value in settings.items() if name not in outside}


def plain(value: Any) -> Any:
    """Return plain, changeable data: a cell's are frozen."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, tuple) else value
