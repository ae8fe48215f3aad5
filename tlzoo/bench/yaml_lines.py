"""YAML values with their lines, so that errors can name file and line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from tlzoo.spelling import nearest, printable

__all__ = ["Located", "SuiteError", "parse"]


class SuiteError(ValueError):
    """A mistake in a suite; the message begins with file and line."""


class _Loader(yaml.SafeLoader):
    """A safe loader that reads ``1e-3`` as a number; plain PyYAML requires a dot and a sign."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9][0-9_]*)(?:\.[0-9_]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


@dataclass(frozen=True)
class Located:
    """A value with its location; mappings and lists hold located values."""

    value: Any
    file: str
    line: int

    def error(self, message: str) -> SuiteError:
        """Return the error ``message`` at this location."""
        return SuiteError(f"{self.file}:{self.line}: {message}")

    def mapping(self, known: Iterable[str] | None = None, *, what: str = "this") -> dict[str, Located]:
        """Return the mapping; with ``known`` keys, any other key is an error."""
        if not isinstance(self.value, dict):
            raise self.error(f"{what} is {self.spelled}; expected a mapping (name: value)")
        if known is not None:
            known = list(known)
            for key, item in self.value.items():
                if key not in known:
                    raise item.error(f"{what}: {nearest(key, known, kind='key')}")
        return self.value

    def items(self, *, what: str) -> list[Located]:
        """Return the entries of a non-empty list."""
        if not isinstance(self.value, list) or not self.value:
            raise self.error(f"{what} is {self.spelled}; expected a list with at least one entry")
        return self.value

    def scalar(self, kind: type | tuple[type, ...], *, what: str, expected: str) -> Any:
        """Return the value if it has the type ``kind``; a boolean does not count as a number."""
        wanted = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(self.value, kind) or (isinstance(self.value, bool) and bool not in wanted):
            raise self.error(f"{what} is {self.spelled}; expected {expected}")
        if isinstance(self.value, str) and printable(self.value.strip()) != self.value.strip():
            raise self.error(f"{what} is {self.spelled}; expected {expected} in one line, without control characters")
        return self.value.strip() if isinstance(self.value, str) else self.value

    def plain(self) -> Any:
        """Return the value without locations."""
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        return self.value

    @property
    def spelled(self) -> str:
        """The value as shown in an error message."""
        if self.value is None:
            return "empty"
        if isinstance(self.value, dict):
            return "a mapping"
        return "a list" if isinstance(self.value, list) else repr(self.value)


def parse(text: str, file: str) -> Located:
    """Parse one YAML document.

    Raises:
        SuiteError: it is not valid YAML, is empty, or repeats a key.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise SuiteError(f"{file}:1: the file is empty; expected a suite (suite:, groups: ...)")
        return _located(loader, node, file)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise SuiteError(f"{file}:{line}: not valid YAML: {error.problem or error.context}") from None
    finally:
        loader.dispose()


def _located(loader: _Loader, node: yaml.Node, file: str) -> Located:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        _refuse_repeated(node, file)
        loader.flatten_mapping(node)  # resolves "<<: *anchor"
        return Located(dict(_entries(loader, node, file)), file, line)
    if isinstance(node, yaml.SequenceNode):
        return Located([_located(loader, item, file) for item in node.value], file, line)
    value = loader.construct_object(node)
    if not isinstance(value, (str, int, float, bool)) and value is not None:
        value = str(node.value)  # dates and the like stay plain text
    return Located(value, file, line)


def _entries(loader: _Loader, node: yaml.MappingNode, file: str) -> Iterator[tuple[str, Located]]:
    for key, item in node.value:
        value = _located(loader, item, file)
        if isinstance(value.value, (dict, list)):
            # a block begins below its key, but a reader looks at the line of the key
            value = Located(value.value, file, key.start_mark.line + 1)
        yield str(key.value), value


def _refuse_repeated(node: yaml.MappingNode, file: str) -> None:
    seen: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if key.value in seen and key.value != "<<":
            raise SuiteError(f"{file}:{line}: key {key.value!r} is already on line {seen[key.value]}")
        seen[key.value] = line
