"""Tables, plots and pages from the results in a store."""

from tlzoo.bench.report.auxiliary_tables import sheets
from tlzoo.bench.report.formats import FORMATS, render
from tlzoo.bench.report.tables import Line, Section, Table, build_tables

__all__ = ["FORMATS", "Line", "Section", "Table", "build_tables", "render", "sheets"]
