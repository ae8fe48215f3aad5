"""Published values of a suite's rows, with their sources, to stand beside ours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["Published", "published"]

_FOLDER = Path(__file__).parent / "published_values"
_RECALLED = "recalled, not confirmed"
_HAIR = 1e-9


@dataclass(frozen=True, kw_only=True)
class Published:
    """The published values of a row.

    Attributes:
        group: title of the suite's group.
        label: of the row; a row that the group lacks is shown as not rerun here.
        values: one for each of the group's tasks in their order, as shares; empty where only their mean is known.
        citation: of the paper.
        read_in: link to where the values were read.
        confirmed: whether they were read there; otherwise they are recalled.
        differs: what is known to differ from ours.
    """

    group: str
    label: str
    values: tuple[float, ...]
    citation: str
    read_in: str
    confirmed: bool
    differs: str = ""
    mean: float = math.nan
    """Of all tasks, where their own values are not known."""

    def of(self, task: int | None) -> float:
        """Return the value of the task at a place of the group, NaN if it is not known; or the mean of all for None.

        A mean that ends in 5 is rounded up when it is printed, as publications do: it lies a hair above.
        """
        if not self.values:
            return self.mean if task is None else math.nan
        return math.fsum(self.values) / len(self.values) + _HAIR if task is None else self.values[task]

    @property
    def note(self) -> str:
        """The source and what differs, in words."""
        parts = [self.citation, *([] if self.confirmed else [_RECALLED]), *([self.differs] if self.differs else [])]
        return f"{self.label}: {'; '.join(parts)}"


@cache
def published(suite: str) -> tuple[Published, ...]:
    """Return all published values of a suite; none if no file of the package has any.

    >>> [round(100 * each.of(None), 2) for each in published("office-caltech10") if each.label == "JDA"]
    [46.31]
    """
    file = _FOLDER / f"{suite}.yaml"
    if not suite.replace("-", "").isalnum() or not file.is_file():
        return ()
    import yaml

    content: Mapping[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    sources = content["sources"]
    return tuple(
        Published(
            group=row["group"],
            label=str(row["label"]),
            values=tuple(value / 100 for value in row.get("values", ())),
            mean=row["mean"] / 100 if "mean" in row else math.nan,
            differs=row.get("differs", ""),
            **sources[row["source"]],
        )
        for row in content["values"]
    )
