"""Tables and figures of docs/exchange-rate.md, from benchmarks/results/exchange-rate.json: ``python docs/rates.py``."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from results import FOLDER

from tlzoo.bench.report.exchange_figures import savings_figure, worth_figure
from tlzoo.bench.report.exchange_tables import currency_line, rate_lines
from tlzoo.bench.report.exchange_words import in_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "committed_rates", "digest", "draw", "exchange_tables"]

RESULTS = FOLDER / "exchange-rate.json"
_MAIN = "emoji/subcategory"
_TITLES = {
    _MAIN: "20 subcategories of emoji",
    "emoji/concept": "100 concepts of emoji, labelled examples in other styles",
    "reuters-r8": "Eight topics of news (R8)",
    "newsgroups": "Twenty newsgroups",
    "digits": "Ten digits, pixels",
}
FIGURES: dict[str, Callable[[dict[str, Any]], Figure]] = {
    "exchange_rate.svg": worth_figure,
    "exchange_savings.svg": savings_figure,
}
"""File in docs/figures -> what draws it."""


def committed_rates() -> list[dict[str, Any]]:
    """Return the rates of the committed results; none where there are no results."""
    if not RESULTS.is_file():
        return []
    rates: list[dict[str, Any]] = json.loads(RESULTS.read_text("utf-8")).get("exchange", [])
    return rates


def exchange_tables(table: Callable[..., str]) -> str:
    """Return the tables of all families, and how well targets agree.

    Args:
        table: makes a table of a header and rows.
    """
    families = committed_rates()
    if not families:
        return "No results are committed yet; `tlzoo bench run exchange-rate` makes some."
    return "\n\n".join(part for family in families for part in _family(family, table))


def _family(family: dict[str, Any], table: Callable[..., str]) -> Iterator[str]:
    yield f"**{_TITLES.get(family['family'], family['family'])}.** {currency_line(family)}"
    domain = "collection" if family["family"] == "digits" else "style"
    header, *lines = rate_lines(family, domain)
    times = {in_words(way, domain): f"{seconds:.1f}" for way, seconds in family["seconds"].items()}
    shown = [(*line, times.get(line[0], "")) for line in lines]
    yield table((*header, "time"), shown) if times else table(header, lines)
    if len(family["targets"]) > 2:
        yield _agreement(family)


def _agreement(family: dict[str, Any]) -> str:
    """Say on which comparisons all targets agree."""
    rates = [own["rates"] for own in family["targets"].values()]
    ways = list(family["overall"]["rates"])
    gains = {
        (one, other): [own[one]["accuracy"] - own[other]["accuracy"] for own in rates]
        for one, other in combinations(ways, 2)
    }
    same = sum(all(gain > 0 for gain in own) or all(gain < 0 for gain in own) for own in gains.values())
    ranks = [sorted(ways, key=lambda way: -own[way]["accuracy"]) for own in rates]
    pairs = list(combinations(ranks, 2))
    mean = sum(_spearman(one, other) for one, other in pairs) / len(pairs)
    return (
        f"Of {len(gains)} pairs of ways, {same} are in the same order in all {len(rates)} targets; the rank "
        f"correlation (Spearman) between two targets is {mean:.2f} on average."
    )


def _spearman(one: list[str], other: list[str]) -> float:
    count = len(one)
    squares = sum((place - other.index(way)) ** 2 for place, way in enumerate(one))
    return 1 - 6 * squares / (count * (count**2 - 1))


def digest() -> str:
    """Return what the rates hash to: a figure that says another is not of these results."""
    return hashlib.sha256(json.dumps(committed_rates()).encode()).hexdigest()


def draw(folder: Path = Path(__file__).parent / "figures") -> None:
    """Draw the figures of the committed rates."""
    import matplotlib as mpl

    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "tlzoo"})
    family = next(family for family in committed_rates() if family["family"] == _MAIN)
    for name, made in FIGURES.items():
        made(family).savefig(folder / name, format="svg", metadata={"Date": None, "Description": digest()})


if __name__ == "__main__":
    draw()
    print(*FIGURES, "are up to date", file=sys.stderr)
