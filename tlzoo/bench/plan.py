"""Expands a suite to its cells."""

from __future__ import annotations

from dataclasses import dataclass

from tlzoo.bench.cell import Cell
from tlzoo.bench.planning_cache import DEFAULT_PROTOCOL, Facts
from tlzoo.bench.suite import Group, Suite

__all__ = ["Plan", "make_plan"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A suite with its cells.

    Attributes:
        suite: the suite.
        groups: each group with its cells.
        sees: name of a cell's method -> what it declares to see.
    """

    suite: Suite
    groups: tuple[tuple[Group, tuple[Cell, ...]], ...]
    sees: dict[str, list[str]]

    @property
    def cells(self) -> list[Cell]:
        """All cells, each once, in the order of the suite."""
        return list({cell.hash: cell for _, cells in self.groups for cell in cells}.values())


def make_plan(suite: Suite, protocol: str = DEFAULT_PROTOCOL) -> Plan:
    """Expand a suite; if all facts are cached, nothing heavy is imported.

    Raises:
        SuiteError: a name in it does not exist; the message has file and line.
    """
    facts = Facts(protocol)
    # methods and backbones of all groups are looked up before the first task is loaded, so a typo shows at once
    expanded = [(group, tuple(group.cells(facts))) for group in suite.groups]
    groups = tuple((group.with_metric(facts), cells) for group, cells in expanded)
    sees = {cell.method: facts.method(cell.method)["sees"] for _, cells in groups for cell in cells}
    facts.save()
    return Plan(suite=suite, groups=groups, sees=sees)
