"""Sphinx extension: the directive ``{generated}`` puts a table of ``tables.py`` into a page when it is built."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from tables import GENERATED

from tlzoo.spelling import nearest

_CODE = re.compile(r"(``.*?``|:\w+(?::\w+)?:`.*?`|`[^`]*`_)")
_MARKUP = re.compile(r"(?<!\\)(?:\||\*(?!\s)|(?<=\w)_(?!\w))")
_LETTER = re.compile(r"^(\s*(?::param \w+: )?)([A-Z])\.")


class Generated(SphinxDirective):
    """``{generated} NAME [ARGUMENT]``: the table of that name, parsed as the page's own text."""

    required_arguments: ClassVar[int] = 1
    optional_arguments: ClassVar[int] = 1

    def run(self) -> list[nodes.Node]:
        """Return the parsed table."""
        name, *arguments = self.arguments
        if name not in GENERATED:
            raise self.error(nearest(name, GENERATED, kind="generated part"))
        return self.parse_text_to_nodes(GENERATED[name](*arguments))


def escape_formulas(*event: Any) -> None:
    """Keep reStructuredText from reading plain formulas as markup; code and ``.. math::`` are left alone.

    Sphinx calls it with (app, what, name, object, options, lines); the lines are changed in place.
    """
    lines: list[str] = event[-1]
    formula: int | None = None  # the indentation of a ``.. math::`` that goes on
    for place, line in enumerate(lines):
        indentation = len(line) - len(line.lstrip())
        if formula is not None and (not line.strip() or indentation > formula):
            continue
        formula = indentation if line.lstrip().startswith(".. math::") else None
        if line.lstrip().startswith((">>>", "..")):
            continue
        parts = _CODE.split(line)
        parts[::2] = [_MARKUP.sub(r"\\\g<0>", part) for part in parts[::2]]
        # "C." alone after a parameter would begin a list counted in letters
        lines[place] = _LETTER.sub(r"\1\2\.", "".join(parts))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive and the docstring filter."""
    app.add_directive("generated", Generated)
    app.connect("autodoc-process-docstring", escape_formulas)
    # tables may change without a change of the page
    return {"parallel_read_safe": False, "parallel_write_safe": True}
