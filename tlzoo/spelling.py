"""What to say of a name that is unknown, and how to show text that came from elsewhere."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

__all__ = ["nearest", "printable"]

_FEW = 16
"""So many known names are listed where none is near; more would bury the message."""


def nearest(name: str, known: Iterable[str], *, kind: str, related: Iterable[str] = ()) -> str:
    """Return the sentence for an unknown name, with the nearest known ones.

    Args:
        name: what was given; case does not count.
        known: the names that there are.
        kind: what they are names of.
        related: known names that have to do with ``name`` though they are spelled otherwise; they come first.

    >>> nearest("DNA", ["dan", "dann", "mcc"], kind="method")
    "unknown method 'DNA'; did you mean 'dan' or 'dann'?"
    >>> nearest("mmd", ["dan", "mme"], kind="method", related=["dan"])
    "unknown method 'mmd'; did you mean 'dan' or 'mme'?"
    """
    spelled = {each.casefold(): each for each in sorted(known)}
    alike = difflib.get_close_matches(name.casefold(), spelled, n=3, cutoff=0.5)
    close = list(dict.fromkeys([*related, *(spelled[each] for each in alike)]))[:3]
    said = f"unknown {kind} {name!r}"
    if close:
        return f"{said}; did you mean {' or '.join(map(repr, close))}?"
    if len(spelled) <= _FEW:
        return f"{said}; known are {', '.join(spelled.values())}"
    return f"{said}; none of the {len(spelled)} known ones is spelled like it"


_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    r"""Return text in one line that moves no cursor, colors nothing and turns no direction: controls as escapes.

    >>> printable("a\x1b[31mb\nc")
    'a\\x1b[31mb\\nc'
    """
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)
