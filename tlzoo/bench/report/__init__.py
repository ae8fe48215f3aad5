"""Tables, plots and pages from the results in a store."""

from tlzoo.bench.report.auxiliary_tables import build_auxiliary_tables
from tlzoo.bench.report.formats import FORMATS, render
from tlzoo.bench.report.lines import Line
from tlzoo.bench.report.tables import Section, Table, build_tables

__all__ = ["FORMATS", "Line", "Section", "Table", "build_auxiliary_tables", "build_tables", "render"]
