"""How often 95 % intervals of a mean hold it, in simulation: python benchmarks/statistics/coverage.py [--write].

For each number of runs, many samples of that size are drawn from a population whose mean is known, and each kind of
interval of ``tlzoo.stats.summary`` is made of each. ``--write`` puts the table into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tlzoo.stats import summary

RUNS = (3, 5, 10, 50)
POPULATIONS: dict[str, tuple[Callable[..., NDArray[np.float64]], float]] = {
    "normal": (lambda random, n: random.normal(size=n), 0.0),
    "skewed (exponential)": (lambda random, n: random.exponential(size=n), 1.0),
}
METHODS = ("t", "bootstrap")
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


def main() -> None:
    """Print the table, or write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    text = table(arguments.samples, arguments.resamples)
    print(text)
    if arguments.write:
        before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
        after = rest.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
