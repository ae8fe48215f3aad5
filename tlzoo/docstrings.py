"""Descriptions of arguments in Google-style docstrings."""

from __future__ import annotations

import inspect
import re

__all__ = ["arguments", "summary"]

_SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Yields|Example|Examples|Note):\s*$")
_ARGUMENT = re.compile(r"^    (\*{0,2}\w+)(?: \([^)]*\))?: (.*)$")


def summary(documented: object) -> str:
    """Return a docstring up to its first section."""
    lines = (inspect.getdoc(documented) or "").splitlines()
    end = next((place for place, line in enumerate(lines) if _SECTION.match(line)), len(lines))
    return "\n".join(lines[:end]).strip()


def arguments(cls: type) -> dict[str, str]:
    """Return the descriptions of all arguments in the docstrings of a class and its bases; the class comes first.

    >>> class Base:
    ...     '''A base.
    ...
    ...     Args:
    ...         width: of the features,
    ...             in numbers.
    ...     '''
    >>> class Own(Base):
    ...     '''Another.
    ...
    ...     Args:
    ...         depth: layers.
    ...     '''
    >>> arguments(Own)
    {'depth': 'layers.', 'width': 'of the features, in numbers.'}
    """
    found: dict[str, str] = {}
    for each in cls.__mro__:
        for name, text in _arguments(inspect.cleandoc(vars(each).get("__doc__") or "")).items():
            found.setdefault(name, text)
    return found


def _arguments(doc: str) -> dict[str, str]:
    found: dict[str, str] = {}
    inside, name = False, ""
    for line in doc.splitlines():
        if _SECTION.match(line):
            inside = line.startswith("Args")
        elif inside and (begun := _ARGUMENT.match(line)):
            name = begun[1]
            found[name] = begun[2]
        elif inside and line.startswith("        ") and name:
            found[name] += f" {line.strip()}"
        elif line and not line.startswith(" "):
            inside = False
    return found
