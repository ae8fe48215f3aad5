"""YAML values with their lines, so that errors can name file and line."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from tlzoo.errors import InputError
from tlzoo.spelling import nearest, printable, shortened

__all__ = ["Located", "SuiteError", "parse"]


class SuiteError(InputError):
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
        """Return the value without locations; its numbers are finite."""
        if isinstance(self.value, float) and not math.isfinite(self.value):
            raise self.error(f"{self.value} is no finite number")
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
        if isinstance(self.value, str):
            return _short(self.value)
        return "a list" if isinstance(self.value, list) else repr(self.value)


def parse(text: str | bytes, file: str) -> Located:
    """Parse one YAML document.

    Raises:
        SuiteError: it is not valid YAML, is empty, repeats a key, or is larger or deeper than any suite.
    """
    text = _decoded(text, file) if isinstance(text, bytes) else text
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        odd = chr(error.character) if isinstance(error.character, int) else error.character
        raise SuiteError(f"{file}:{line}: character {odd!r} does not belong in a text file; remove it") from None
    try:
        node = loader.get_single_node()
        if node is None:
            raise SuiteError(f"{file}:1: the file is empty; expected a suite (suite:, groups: ...)")
        return _Reader(loader, file).located(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        problem = printable(shortened(str(error.problem or error.context), 200))
        raise SuiteError(f"{file}:{line}: not valid YAML: {problem}") from None
    except RecursionError:
        raise SuiteError(f"{file}:1: lists and mappings are nested too deeply; a suite needs {_DEEPEST}") from None
    finally:
        loader.dispose()


def _decoded(data: bytes, file: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SuiteError(
            f"{file}:{line}: byte 0x{data[error.start]:02x} is no UTF-8; save the file as UTF-8 text"
        ) from None


_LARGEST = 100_000
_DEEPEST = 20


class _Reader:
    """Turns nodes of YAML into located values; an alias counts as what it stands for."""

    def __init__(self, loader: _Loader, file: str) -> None:
        self.loader, self.file, self.count = loader, file, 0

    def located(self, node: yaml.Node, depth: int = 0) -> Located:
        line = node.start_mark.line + 1
        self.count += 1
        if self.count > _LARGEST:
            raise self.error(line, f"more than {_LARGEST:,} values, with aliases replaced by what they stand for")
        if depth > _DEEPEST:
            raise self.error(line, f"more than {_DEEPEST} lists and mappings inside each other")
        if isinstance(node, yaml.MappingNode):
            self.check_keys(node)
            self.loader.flatten_mapping(node)  # resolves "<<: *anchor"
            self.check_keys(node, repeated=False)
            return Located(dict(self.entries(node, depth)), self.file, line)
        if isinstance(node, yaml.SequenceNode):
            return Located([self.located(item, depth + 1) for item in node.value], self.file, line)
        return Located(self.scalar(node, line), self.file, line)

    def entries(self, node: yaml.MappingNode, depth: int) -> Iterator[tuple[str, Located]]:
        for key, item in node.value:
            value = self.located(item, depth + 1)
            if isinstance(value.value, (dict, list)):
                # a block begins below its key, but a reader looks at the line of the key
                value = Located(value.value, self.file, key.start_mark.line + 1)
            yield str(key.value), value

    def scalar(self, node: yaml.Node, line: int) -> Any:
        try:
            value = self.loader.construct_object(node)
        except (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError):  # such as "!!int abc"
            raise self.error(line, f"{_short(str(node.value))} is no {node.tag.rpartition(':')[2]}") from None
        if isinstance(value, int) and not -(2**63) <= value < 2**64:
            raise self.error(line, f"{_short(str(node.value))} is a whole number of more than 64 bits")
        if not isinstance(value, (str, int, float, bool)) and value is not None:
            value = str(node.value)  # dates and the like stay plain text
        return value

    def check_keys(self, node: yaml.MappingNode, *, repeated: bool = True) -> None:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise self.error(line, "a list or a mapping as a key; expected a name")
            if repeated and key.value in seen and key.value != "<<":
                raise self.error(line, f"key {_short(key.value)} is already on line {seen[key.value]}")
            seen[key.value] = line

    def error(self, line: int, message: str) -> SuiteError:
        return SuiteError(f"{self.file}:{line}: {message}")


def _short(text: str) -> str:
    """Return quoted text, shortened for a message."""
    return repr(shortened(text))
