"""How often 95 % intervals of a mean hold it, in simulation: python benchmarks/statistics/coverage.py [--write].

For each number of runs, many samples of that size are drawn from a population whose mean is known, and each kind of
interval of ``tlzoo.stats.summary`` is made of each. Below, runs of a classifier on a test set are drawn: some runs are
better than others, some concepts harder, and several pictures show a concept. The accuracy that the intervals should
hold is that of further runs on further concepts. ``--write`` puts the tables into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from tlzoo.stats import by_cluster, crossed_summary, summary

RUNS = (3, 5, 10, 50)
POPULATIONS: dict[str, tuple[Callable[..., NDArray[np.float64]], float]] = {
    "normal": (lambda random, n: random.normal(size=n), 0.0),
    "skewed (exponential)": (lambda random, n: random.exponential(size=n), 1.0),
}
METHODS = ("t", "bootstrap")
SPREADS = {"runs alike": 0.02, "runs differ": 0.15, "runs differ much": 0.5}
"""Deviation of a run's skill, in units in which that of a picture's difficulty is 1."""
CONCEPTS, PICTURES, CONCEPT_SPREAD, SKILL = 100, 3, 1.0, 0.4
_ABOUT = (
    "Accuracies: each of 100 concepts is shown by one to five pictures, and runs answer all of them. The interval of\n"
    "tables covers both samples (`both`); one over runs alone says nothing of other pictures, and a single run says\n"
    "nothing of other runs."
)
PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- written by benchmarks/statistics/coverage.py -->", "<!-- end of written part -->"


def coverage(population: str, runs: int, method: str, *, samples: int, resamples: int, seed: int = 0) -> float:
    """Return the share of samples whose 95 % interval holds the mean of the population."""
    draw, mean = POPULATIONS[population]
    random = np.random.default_rng((seed, runs))
    inside = 0
    for place in range(samples):
        found = summary(draw(random, runs), method=method, resamples=resamples, seed=place)  # type: ignore[arg-type]
        inside += found.low <= mean <= found.high
    return inside / samples


def table(samples: int, resamples: int) -> str:
    """Return the Markdown table of all populations, methods and numbers of runs."""
    lines = [f"| population | interval, of runs: | {' | '.join(map(str, RUNS))} |", "|---|---|" + "---:|" * len(RUNS)]
    for population in POPULATIONS:
        for method in METHODS:
            found = [coverage(population, n, method, samples=samples, resamples=resamples) for n in RUNS]
            shares = " | ".join(f"{100 * share:.1f} %" for share in found)
            lines.append(f"| {population} | {method} | {shares} |")
    return "\n".join(lines)


def answers(runs: int, spread: float, random: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return right (1) and wrong (0) answers (runs, pictures), and the concept (pictures,) of each."""
    concepts = np.repeat(np.arange(CONCEPTS), random.integers(1, 2 * PICTURES, size=CONCEPTS))
    ease = CONCEPT_SPREAD * random.normal(size=CONCEPTS)[concepts] + random.normal(size=len(concepts)) / 2
    skill = SKILL + spread * random.normal(size=(runs, 1))
    luck = 0.75**0.5 * random.normal(size=(runs, len(concepts)))
    return (skill + ease + luck > 0).astype(np.float64), concepts


def crossed_coverage(runs: int, spread: float, *, samples: int) -> dict[str, float]:
    """Return the shares of samples in which each kind of interval holds the accuracy of all runs on all concepts."""
    random = np.random.default_rng((1, runs))
    truth = float(ndtr(SKILL / np.sqrt(spread**2 + CONCEPT_SPREAD**2 + 1)))
    inside = dict.fromkeys(("over runs", "over test examples", "both"), 0)
    for _ in range(samples):
        right, concepts = answers(runs, spread, random)
        table = by_cluster(right, concepts)
        found = {
            "over runs": summary(right.mean(axis=1)),
            "over test examples": crossed_summary(right.mean(axis=0, keepdims=True)),
            "both": crossed_summary(table),
        }
        for name, interval in found.items():
            inside[name] += interval.low <= truth <= interval.high
    return {name: count / samples for name, count in inside.items()}


def crossed_table(samples: int) -> str:
    """Return the Markdown table of the intervals of an accuracy."""
    lines = [f"| population | interval, of runs: | {' | '.join(map(str, (1, *RUNS[:3])))} |", "|---|---|" + "---:|" * 4]
    for name, spread in SPREADS.items():
        found = [crossed_coverage(runs, spread, samples=samples) for runs in (1, *RUNS[:3])]
        for kind in found[0]:
            shares = (f"{100 * each[kind]:.1f} %" if each[kind] else "–" for each in found)
            lines.append(f"| {name} | {kind} | {' | '.join(shares)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table, or write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    alone = crossed_table(max(arguments.samples // 5, 100))
    text = f"{table(arguments.samples, arguments.resamples)}\n\n{_ABOUT}\n\n{alone}"
    print(text)
    if arguments.write:
        before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
        after = rest.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
