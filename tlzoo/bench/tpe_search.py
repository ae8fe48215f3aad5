"""Adaptive search: candidates from tree-structured Parzen estimators, with Optuna."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tlzoo.bench.cell import Cell
from tlzoo.errors import MissingPackageError
from tlzoo.randomness import Stream, derived_seed
from tlzoo.space import Choice, Distribution, read_distribution

__all__ = ["search_by_tpe"]


def search_by_tpe(cell: Cell, evaluate: Callable[[dict[str, Any]], float]) -> None:
    """Evaluate as many settings as a cell has trials.

    Bergstra et al., NIPS 2011, https://papers.nips.cc/paper/4443-algorithms-for-hyper-parameter-optimization. The first
    third of the trials is random; each later one uses the validation scores of all earlier ones, and nothing else. The
    seed of the cell and the name of its method determine the draws.

    Args:
        cell: a cell whose candidates are distributions as plain data.
        evaluate: returns the validation score of the settings to try; a score that is not finite counts as failed.

    Raises:
        ImportError: Optuna is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise MissingPackageError("sampler: tpe needs Optuna: pip install tlzoo[optuna]") from None
    space = {name: read_distribution(_listed(data)) for name, data in sorted(cell.candidates.items())}
    count = int(cell.search["trials"])
    seed = derived_seed(cell.seed, Stream.TPE, cell.method)
    with _silent(optuna):
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(count // 3, 1))
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for _ in range(count):
            trial = study.ask({name: _asked(optuna, each) for name, each in space.items()})
            choice = {name: _value(each, trial.params[name]) for name, each in space.items()}
            score = evaluate(choice)
            if math.isfinite(score):
                study.tell(trial, score)
            else:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)


def _asked(optuna: Any, distribution: Distribution) -> Any:
    """Return what Optuna draws from: one of the options, or a quantile, which both kinds of numbers are drawn by."""
    if isinstance(distribution, Choice):
        return optuna.distributions.CategoricalDistribution(range(len(distribution.options)))
    return optuna.distributions.FloatDistribution(0.0, 1.0)


def _value(distribution: Distribution, drawn: float) -> Any:
    return distribution.options[int(drawn)] if isinstance(distribution, Choice) else distribution.at(drawn)


def _listed(data: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return a cell's distribution with lists: in it they are frozen."""
    return {name: list(values) for name, values in data.items()}


@contextmanager
def _silent(optuna: Any) -> Iterator[None]:
    """Silence Optuna's line per trial, which would disturb the progress bar."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)
