"""What the ways of an exchange rate are called, in blocks: one block for each place that knowledge comes from."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

__all__ = ["BLOCKS", "STYLE", "Block", "blocks_of", "examples_used", "in_words", "other_place"]

STYLE = "another style's labels"


@dataclass(frozen=True, kw_only=True)
class Block:
    """Ways that know the classes from the same place.

    Attributes:
        heading: where from, and by which learner; what its first row is called where it stands alone.
        color: of the block in pictures.
        rows: label of each way -> its name under the heading; "+" adds to the row that begins the block.
        begins: what names with "+" add to where they stand alone; the heading if empty.
    """

    heading: str
    color: str
    rows: dict[str, str]
    begins: str = ""

    def alone(self, way: str) -> str:
        """Return the name of a way where no heading says what it adds to."""
        name = self.rows[way]
        if name.startswith("+"):
            return f"{self.begins or self.heading} {name}"
        return name if self.begins else self.heading


BLOCKS = (
    Block(
        heading="words only",
        color="#b45309",
        rows={
            "class names": "class names",
            "class names and keywords": "names and keywords",
            "class names and keywords, and 1 label": "names, keywords + 1 example",
        },
        begins="words",
    ),
    Block(
        heading="one other style, logistic regression",
        color="#0b62a4",
        rows={
            f"{STYLE} (tuned logistic)": "its labelled examples",
            f"class names and keywords, and {STYLE} (tuned logistic)": "+ names and keywords",
        },
    ),
    Block(
        heading="one other style, network without batch norm",
        color="#0b62a4",
        rows={
            f"{STYLE}, no second task": "its labelled examples, one task",
            f"{STYLE} and a second task": "+ a second task",
        },
    ),
    Block(
        heading="one other style, network",
        color="#0b62a4",
        rows={
            "source only": "its labelled examples",
            "DANN": "+ unlabelled, confusion (DANN)",
            "T3A": "+ test-time adaptation (T3A)",
            "TENT": "+ test-time adaptation (TENT)",
            "DAN": "+ unlabelled, adaptation (DAN)",
            f"{STYLE} and 1 label": "+ 1 example",
            "the same, unlabelled images and 1 label": "+ 1 example + unlabelled (DAN)",
        },
    ),
    Block(
        heading="six other styles, network",
        color="#6d28d9",
        rows={
            "six other styles' labels": "their labelled examples",
            "six other styles' labels and unlabelled images": "+ unlabelled, adaptation (DAN)",
        },
    ),
    Block(
        heading="no transfer, for comparison",
        color="#4b5563",
        rows={
            "1 label and the whole test at once (TIM)": "1 example + whole test (TIM)",
            "larger encoder, whitened, 1 label": "1 example, larger encoder",
            "larger encoder, whitened, 4 labels": "4 examples, larger encoder",
        },
        begins="no transfer",
    ),
)


def other_place(ways: Iterable[str]) -> str:
    """Return what another domain of the data is called in some labels.

    >>> other_place(["source only", "another domain's labels and 1 label"]), other_place(["DAN"])
    ('domain', 'style')
    """
    return "domain" if any("domain" in way for way in ways) else "style"


def in_words(way: str, domain: str = "style") -> str:
    """Return what a way is called where it stands alone.

    Args:
        way: its label in the suite.
        domain: what another domain of the data is called, such as "collection".

    >>> in_words("another style's labels and 1 label")
    'one other style, network + 1 example'
    >>> in_words("another domain's labels and 1 label")
    'one other domain, network + 1 example'
    >>> in_words("from scratch, 8 labels")
    'from scratch, 8 examples'
    """
    domain = "domain" if "domain" in way else domain
    label = way.replace("domain", "style")
    known = next((block for block in BLOCKS if label in block.rows), None)
    name = re.sub(r"(\d+) label", r"\1 example", label) if known is None else known.alone(label)
    return name.replace("style", domain)


def blocks_of(ways: Container[str], domain: str = "style") -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
    """Yield heading, color and rows (way, name) of each block that has any of the ways.

    Args:
        ways: labels, of the suite or with "domain" for "style" as tasks of one's own have them.
        domain: what another domain of the data is called.
    """
    for block in BLOCKS:
        pairs = ((own, name) for way, name in block.rows.items() for own in {way, way.replace("style", "domain")})
        rows = [(own, name.replace("style", domain)) for own, name in pairs if own in ways]
        if rows:
            yield block.heading.replace("style", domain), block.color, rows


def examples_used(way: str) -> int:
    """Return how many labelled target examples a class a way itself uses.

    >>> examples_used("another style's labels and 1 label"), examples_used("another style's labels")
    (1, 0)
    """
    found = re.search(r"(\d+) labels?\b", way)
    return int(found[1]) if found else 0
