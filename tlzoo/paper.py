"""The paper of a method."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Paper"]


@dataclass(frozen=True, kw_only=True)
class Paper:
    """The paper of a method.

    Attributes:
        title: as printed.
        authors: family names in order.
        venue: short name of the conference or journal.
        year: of publication.
        arxiv: identifier such as ``1502.02791``, or None.
        doi: used if there is no arXiv identifier.
        page: web address, used if there is neither.
    """

    title: str
    authors: tuple[str, ...]
    venue: str
    year: int
    arxiv: str | None = None
    doi: str | None = None
    page: str | None = None

    @property
    def url(self) -> str | None:
        """Link to the paper."""
        if self.arxiv:
            return f"https://arxiv.org/abs/{self.arxiv}"
        return f"https://doi.org/{self.doi}" if self.doi else self.page

    @property
    def citation(self) -> str:
        """Short form: ``Long et al., ICML 2015``."""
        first = self.authors[0]
        who = {1: first, 2: " and ".join(self.authors[:2])}.get(len(self.authors), f"{first} et al.")
        return f"{who}, {self.venue} {self.year}"
