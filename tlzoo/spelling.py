"""Messages about unknown names, and safe display of external text."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

__all__ = ["is_line", "nearest", "printable", "shortened"]

_FEW = 16
"""So many known names are listed where none is near; more would bury the message."""


def nearest(name: str, known: Iterable[str], *, kind: str, related: Iterable[str] = ()) -> str:
    """Return the sentence for an unknown name, with the nearest known ones.

    Args:
        name: the unknown name; case is ignored.
        known: the known names.
        kind: what the names stand for.
        related: known names related to ``name`` despite their spelling; they come first.

    >>> nearest("DNA", ["dan", "dann", "mcc"], kind="method")
    "unknown method 'DNA'; did you mean 'dan' or 'dann'?"
    >>> nearest("mmd", ["dan", "mme"], kind="method", related=["dan"])
    "unknown method 'mmd'; did you mean 'dan' or 'mme'?"
    """
    name = shortened(name)
    spelled = {each.casefold(): each for each in sorted(known)}
    alike = difflib.get_close_matches(name.casefold(), spelled, n=3, cutoff=0.5)
    close = list(dict.fromkeys([*related, *(spelled[each] for each in alike)]))[:3]
    said = f"unknown {kind} {name!r}"
    if close:
        return f"{said}; did you mean {' or '.join(map(repr, close))}?"
    if len(spelled) <= _FEW:
        return f"{said}; known are {', '.join(spelled.values())}"
    return f"{said}; none of the {len(spelled)} known ones is spelled like it"


_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Return text in one line with control characters escaped, so it cannot move the cursor or change colors.

    >>> printable("a\x1b[31mb\nc")
    'a\\x1b[31mb\\nc'
    """
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)


def is_line(value: object) -> bool:
    r"""Return whether a value is text, not empty, in one line without control characters.

    >>> is_line("age.group"), is_line("age\n"), is_line(5)
    (True, False, False)
    """
    return isinstance(value, str) and bool(value.strip()) and printable(value) == value


def shortened(text: str, length: int = 80) -> str:
    """Return text of at most ``length`` characters, the last of them dots if it was cut.

    >>> shortened("abcdefgh", 6)
    'abc...'
    """
    return text if len(text) <= length else f"{text[: length - 3]}..."
