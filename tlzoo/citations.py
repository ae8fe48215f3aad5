"""BibTeX entries for the papers of methods."""

from __future__ import annotations

import re
import unicodedata

from tlzoo.given_names import GIVEN_NAMES
from tlzoo.paper import Paper

__all__ = ["bibtex"]

_JOURNALS = frozenset(
    {"IJCV", "Information Fusion", "JMLR", "Machine Learning", "Neural Computation", "Neural Networks"}
    | {"Pattern Recognition", "PNAS", "TIP", "TKDE", "TMLR", "TNNLS", "TPAMI"}
)
_SMALL = frozenset(
    {"a", "an", "and", "as", "at", "by", "do", "for", "from", "how", "in", "is", "of", "on", "the", "to"}
)


def bibtex(paper: Paper) -> str:
    """Return the BibTeX entry of a paper, with the short name of its venue.

    Authors have their given names if :data:`tlzoo.given_names.GIVEN_NAMES` lists the paper.

    >>> paper = Paper(title="Attention Is All", authors=("Vaswani", "Shazeer"), venue="NIPS", year=2017, arxiv="1706.0")
    >>> print(bibtex(paper))
    @inproceedings{vaswani2017attention,
      title = {{Attention Is All}},
      author = {Vaswani and Shazeer},
      booktitle = {NIPS},
      year = {2017},
      eprint = {1706.0},
      archiveprefix = {arXiv},
      url = {https://arxiv.org/abs/1706.0},
    }
    """
    kind, place = ("article", "journal") if paper.venue in _JOURNALS else ("inproceedings", "booktitle")
    if paper.venue == "arXiv":
        kind, place = "misc", "howpublished"
    fields = {
        "title": f"{{{_escaped(paper.title)}}}",  # braces inside: styles must not change the case of names
        "author": " and ".join(map(_escaped, _authors(paper))),
        place: _escaped(paper.venue),
        "year": str(paper.year),
        **({"eprint": paper.arxiv, "archiveprefix": "arXiv"} if paper.arxiv else {}),
        **({"doi": paper.doi} if paper.doi else {}),
        **({"url": paper.url} if paper.url else {}),
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@{kind}{{{_key(paper)},", *lines, "}"])


def _authors(paper: Paper) -> list[str]:
    given = GIVEN_NAMES.get(paper.title)
    if given is None:
        return list(paper.authors)
    return [f"{family}, {name}" for family, name in zip(paper.authors, given, strict=True)]


def _key(paper: Paper) -> str:
    """Return a key made of the first author's name, the year, and the first significant word of the title."""
    words = re.findall(r"[a-z0-9]+", _ascii(paper.title).lower())
    word = next((word for word in words if word not in _SMALL), "")
    author = "".join(re.findall(r"[a-z]+", _ascii(paper.authors[0]).lower()))
    return f"{author}{paper.year}{word}"


def _ascii(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def _escaped(text: str) -> str:
    return re.sub(r"([&%$#_])", r"\\\1", text)
