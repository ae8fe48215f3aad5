"""How often intervals of exchange rates hold the truth: python benchmarks/statistics/exchange_coverage.py [--write].

A world has classes of unequal difficulty, test examples that the runs share, draws of 20 of 27 classes, each with an
effect of its own, and runs. Its curve and the accuracy of its ways are known, so the worth of each way is known, too.
The 90 % interval should hold it in 90 % of the worlds, and the order of the ways should be the true one.
``--write`` puts the table into docs/exchange-rate.md.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tlzoo.stats.exchange import Answers, exchange_rates

SHOTS = (1, 2, 3, 4, 6, 8, 12)
TRUE_WORTH = {"half": 0.5, "one": 1.3, "two": 2.4, "five": 5.0, "nine": 9.0, "many": 20.0}
"""Way -> the labelled examples that it is worth; the first and the last lie outside the curve."""
CLASSES, IN_A_DRAW, RUNS = 27, 20, 5
PAGE = Path(__file__).parents[2] / "docs" / "exchange-rate.md"
BEGIN, END = "<!-- written by benchmarks/statistics/exchange_coverage.py -->", "<!-- end of written part -->"

Values = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """How large the differences are, in log odds, and what shape the curve has.

    Attributes:
        shape: ``power_law`` or ``logistic``: a curve that no power law is.
        draws: draws of classes.
        targets: targets that share the draws, the classes and their difficulty.
        classes, interaction, examples, runs, of_draw: standard deviations of the difficulty of classes, of what a way
            finds harder than the curve does in a class, of test examples, of runs, and of what a draw makes easier
            for a way.
    """

    shape: str = "power_law"
    draws: int = 3
    targets: int = 1
    classes: float = 1.0
    interaction: float = 0.5
    examples: float = 1.0
    runs: float = 0.1
    of_draw: float = 0.05

    def height(self, shots: Values) -> Values:
        """Return the log odds of a right answer in a class of mean difficulty."""
        if self.shape == "power_law":
            accuracy = 1 - 0.75 * shots**-0.25
            return np.log(accuracy / (1 - accuracy))
        return -2.2 + 2.4 * (1 - np.exp(-np.log1p(shots) / 1.2))

    def accuracy(self, log_odds: Values, random: np.random.Generator) -> Values:
        """Return the expected accuracy at log odds (M,) over classes, examples and runs."""
        deviation = np.sqrt(self.classes**2 + self.interaction**2 + self.examples**2 + self.runs**2 + self.of_draw**2)
        noise = deviation * random.normal(size=20_000)
        return np.array([_odds(each + noise).mean() for each in log_odds])


def _odds(log_odds: Values) -> Values:
    return 1 / (1 + np.exp(-log_odds))


def simulate(world: World, random: np.random.Generator) -> Answers:
    """Return the answers of one world; a way answers as the curve does at its true worth, but for noise of its own."""
    sizes = random.integers(4, 20, size=CLASSES)
    owners = np.repeat(np.arange(CLASSES), sizes)
    entries = world.draws * world.targets
    chosen = [np.sort(random.permutation(CLASSES)[:IN_A_DRAW]) for _ in range(world.draws)]
    easy = world.classes * random.normal(size=CLASSES)

    def answered(log_odds: Values, noise: Values, hard: Values) -> Values:
        """Return right answers (entries, RUNS, M, CLASSES) at log odds (M,); ``hard`` (targets, examples)."""
        found = np.zeros((entries, RUNS, len(log_odds), CLASSES))
        for entry in range(entries):
            draw, target = entry % world.draws, entry // world.draws
            shown = np.isin(owners, chosen[draw])
            runs = world.runs * random.normal(size=(RUNS, 1, 1)) + world.of_draw * random.normal()
            odds = log_odds[:, None] + (easy + noise[target])[owners] + hard[target] + runs
            right = (random.random(odds.shape) < _odds(odds)) & shown
            for label in range(CLASSES):
                found[entry, :, :, label] = right[:, :, owners == label].sum(axis=2)
        return found

    def own() -> Values:
        return world.interaction * random.normal(size=(world.targets, CLASSES))

    hard = world.examples * random.normal(size=(world.targets, len(owners)))
    curve = answered(world.height(np.array(SHOTS, dtype=float)), own(), hard)
    ways = {name: answered(world.height(np.array([worth])), own(), hard)[:, :, 0] for name, worth in TRUE_WORTH.items()}
    total = np.zeros((entries, CLASSES))
    for entry in range(entries):
        total[entry, chosen[entry % world.draws]] = sizes[chosen[entry % world.draws]]
    return Answers(
        shots=SHOTS,
        curve=curve,
        ways=ways,
        total=total,
        draws=list(np.arange(entries) % world.draws),
        targets=list(np.arange(entries) // world.draws),
    )


def judge(world: World, *, samples: int, resamples: int, seed: int = 0) -> dict[str, float]:
    """Return the share of intervals that hold the truth, by way and of ``all`` on the curve, and how ways are ordered.

    ``order`` is the share of pairs of ways in the true order; ``told rightly`` that among the pairs that the bootstrap
    tells apart, since 95 % of resamples agree on them.
    """
    inside = dict.fromkeys(TRUE_WORTH, 0)
    right = told = told_right = pairs = 0
    names = list(TRUE_WORTH)
    for place in range(samples):
        found = exchange_rates(simulate(world, np.random.default_rng((seed, place))), resamples=resamples, seed=place)
        for name, worth in TRUE_WORTH.items():
            truth = -np.inf if worth < SHOTS[0] else np.inf if worth > SHOTS[-1] else worth
            inside[name] += found.rates[name].low <= truth <= found.rates[name].high
        for first, one in enumerate(names):
            for other in names[first + 1 :]:
                correct = found.rates[one].accuracy < found.rates[other].accuracy
                share = found.above[other, one]
                pairs, right = pairs + 1, right + correct
                told, told_right = told + (abs(share - 0.5) > 0.45), told_right + (correct and abs(share - 0.5) > 0.45)
    shares = {name: count / samples for name, count in inside.items()}
    on_curve = [shares[name] for name, worth in TRUE_WORTH.items() if SHOTS[0] <= worth <= SHOTS[-1]]
    return {
        **shares,
        "all": float(np.mean(on_curve)),
        "order": right / pairs,
        "told": told / pairs,
        "told rightly": told_right / max(told, 1),
    }


WORLDS = {
    "power law, 3 draws": World(),
    "another curve, 3 draws": World(shape="logistic"),
    "large class effects": World(classes=1.5, interaction=0.8),
    "noisy draws and runs": World(of_draw=0.15, runs=0.3),
    "4 targets": World(targets=4),
    "one draw": World(draws=1, of_draw=0.0),
}


def table(samples: int, resamples: int) -> str:
    """Return the Markdown table of all worlds."""
    header = (
        "| world | on the curve | below it | above it | pairs in the true order | pairs told apart, in the true order |"
    )
    lines = [header, "|---|---:|---:|---:|---:|---:|"]
    for title, world in WORLDS.items():
        found = judge(world, samples=samples, resamples=resamples)
        shown = (found[name] for name in ("all", "half", "many", "order", "told rightly"))
        lines.append(f"| {title} | " + " | ".join(f"{100 * each:.1f} %" for each in shown) + " |")
        print(lines[-1], {name: round(100 * share, 1) for name, share in found.items()}, flush=True)
    return "\n".join(lines)


def main() -> None:
    """Print the table, or write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=500)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    text = table(arguments.samples, arguments.resamples)
    if arguments.write:
        before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
