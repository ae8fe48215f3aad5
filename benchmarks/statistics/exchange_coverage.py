"""How often intervals of exchange rates hold the truth: python benchmarks/statistics/exchange_coverage.py [--write].

A world has classes of unequal difficulty, test examples that the runs share, draws of 20 of 28 classes, each with an
effect of its own, and runs. Its curve and the accuracy of its ways are known, so the worth of each way is known, too.
The 90 % interval should hold it in 90 % of the worlds, and the order of the ways should be the true one. With one draw,
test examples are drawn again instead of classes, as ``tlzoo bench run`` does: the truth is then that of these classes.
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
CLASSES, IN_A_DRAW, RUNS = 28, 20, 5
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


def _odds(log_odds: Values) -> Values:
    return 1 / (1 + np.exp(-log_odds))


def simulate(world: World, random: np.random.Generator) -> tuple[Answers, dict[str, float], list[str]]:
    """Return the answers of one world, what its ways are worth, and the ways from the worst to the best.

    A way answers as the curve does at its true worth, but for noise of its own.
    """
    return _of_these_classes(world, random) if world.draws == 1 else _of_drawn_classes(world, random)


def _of_drawn_classes(world: World, random: np.random.Generator) -> tuple[Answers, dict[str, float], list[str]]:
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
    answers = Answers(
        shots=SHOTS,
        curve=curve,
        ways=ways,
        total=total,
        draws=list(np.arange(entries) % world.draws),
        targets=list(np.arange(entries) // world.draws),
    )
    return answers, {name: _told(worth) for name, worth in TRUE_WORTH.items()}, list(TRUE_WORTH)


def _of_these_classes(world: World, random: np.random.Generator) -> tuple[Answers, dict[str, float], list[str]]:
    """Return answers by test example, and what each way is worth on examples of the same classes."""
    sizes = random.integers(4, 20, size=IN_A_DRAW)
    share = sizes / sizes.sum()
    owners = random.choice(IN_A_DRAW, p=share, size=sizes.sum())
    easy = world.classes * random.normal(size=IN_A_DRAW)
    hard = world.examples * random.normal(size=len(owners))
    nodes, weights = np.polynomial.hermite_e.hermegauss(21)
    spread = np.hypot(world.examples, world.runs) * nodes

    def own() -> Values:
        return easy + world.interaction * random.normal(size=IN_A_DRAW)

    def answered(log_odds: Values, of_class: Values) -> Values:
        """Return right answers (1, RUNS, M, examples) at log odds (M,)."""
        runs = world.runs * random.normal(size=(RUNS, 1, 1))
        odds = log_odds[:, None] + of_class[owners] + hard + runs
        return (random.random(odds.shape) < _odds(odds))[None].astype(float)

    def expected(log_odds: Values, of_class: Values) -> Values:
        odds = log_odds[:, None, None] + of_class[:, None] + spread
        found: Values = (_odds(odds) @ weights / weights.sum()) @ share
        return found

    fine, of_curve = np.geomspace(SHOTS[0], SHOTS[-1], 200), own()
    curve = answered(world.height(np.array(SHOTS, dtype=float)), of_curve)
    ways, heights = {}, {}
    for name, worth in TRUE_WORTH.items():
        log_odds, of_way = world.height(np.array([worth])), own()
        ways[name] = answered(log_odds, of_way)[:, :, 0]
        heights[name] = float(expected(log_odds, of_way)[0])
    known = expected(world.height(fine), of_curve)
    worths = np.interp(list(heights.values()), known, fine, left=0, right=np.inf)
    answers = Answers(shots=SHOTS, curve=curve, ways=ways, total=np.ones((1, len(owners))), draws=[0])
    truth = {name: _told(float(worth)) for name, worth in zip(heights, worths, strict=True)}
    return answers, truth, sorted(heights, key=lambda name: heights[name])


def _told(worth: float) -> float:
    """Return a worth as rates have it: infinite outside of the curve."""
    return -np.inf if worth < SHOTS[0] else np.inf if worth > SHOTS[-1] else worth


def judge(world: World, *, samples: int, resamples: int, seed: int = 0) -> dict[str, float]:
    """Return the share of intervals that hold a truth on the curve, below and above it, and how ways are ordered.

    ``order`` is the share of pairs of ways in the true order; ``told rightly`` that among the pairs that the bootstrap
    tells apart, since 95 % of resamples agree on them.
    """
    inside: dict[str, list[bool]] = {"on the curve": [], "below": [], "above": []}
    right = told = told_right = pairs = 0
    for place in range(samples):
        answers, truth, names = simulate(world, np.random.default_rng((seed, place)))
        found = exchange_rates(answers, resamples=resamples, seed=place)
        for name, worth in truth.items():
            where = "on the curve" if np.isfinite(worth) else "above" if worth > 0 else "below"
            inside[where].append(found.rates[name].low <= worth <= found.rates[name].high)
        for first, one in enumerate(names):
            for other in names[first + 1 :]:
                correct = found.rates[one].accuracy < found.rates[other].accuracy
                share = found.above[other, one]
                pairs, right = pairs + 1, right + correct
                told, told_right = told + (abs(share - 0.5) > 0.45), told_right + (correct and abs(share - 0.5) > 0.45)
    return {
        **{where: float(np.mean(held)) for where, held in inside.items()},
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
    "one draw, noisy runs": World(draws=1, of_draw=0.0, runs=0.3),
    "one draw, another curve": World(shape="logistic", draws=1, of_draw=0.0),
}


def table(samples: int, resamples: int) -> str:
    """Return the Markdown table of all worlds."""
    header = (
        "| world | on the curve | below it | above it | pairs in the true order | pairs told apart, in the true order |"
    )
    lines = [header, "|---|---:|---:|---:|---:|---:|"]
    for title, world in WORLDS.items():
        found = judge(world, samples=samples, resamples=resamples)
        shown = (found[name] for name in ("on the curve", "below", "above", "order", "told rightly"))
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
