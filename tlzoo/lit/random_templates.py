"""Random words and characters as descriptions of classes, the control of ensembles of descriptions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tlzoo.errors import InputError
from tlzoo.functional.checks import check_counts
from tlzoo.randomness import Stream, numpy_generator

__all__ = ["random_templates"]

_STATES = ("has", "often", "typically", "may", "can")


def random_templates(
    names: Sequence[str], count: int, *, seed: int, templates: Sequence[str] = ("A photo of a {}.",)
) -> tuple[str, ...]:
    """Return templates with random descriptions after the class (WaffleCLIP, Roth et al., ICCV 2023), https://arxiv.org/abs/2306.07282.

    Each template becomes ``2 * count``, half with random words and half with random characters, such as
    ``"A photo of a {}, which has jfkq, wtzp."``. All classes share them, so none is described: what an ensemble of
    descriptions gains over them is due to what it says. There are as many words as a class name has on average, cut to
    the mean length of its words, and about as many characters as the longest word of a class name has on average, in
    as many groups.

    Args:
        names: of the classes; their words and characters are drawn from.
        count: pairs of random words and characters for each template; 15 in the paper.
        seed: of the draw.
        templates: each with one ``{}``; what follows it follows the description.

    Differs from the paper: words and characters are drawn from the class names, where the authors have a list of words
    and the characters of descriptions by a language model.

    Raises:
        ValueError: the count is below 1, or there is no word.

    >>> for each in random_templates(["red kite", "osprey"], 1, seed=0):
    ...     print(each)
    A photo of a {}, which has ospre ospre.
    A photo of a {}, which has eik, ekk.
    """
    check_counts(count=count)
    words = [name.replace("{", "").replace("}", "").split() for name in names]
    pool = sorted({word for some in words for word in some})
    if not pool:
        raise InputError(f"{len(names)} class names without a word; random descriptions are drawn from their words")
    characters = sorted(set("".join(pool)))
    many = max(1, round(sum(map(len, words)) / len(words)))
    length = round(sum(sum(map(len, some)) / max(1, len(some)) for some in words) / len(words))
    longest = math.ceil(sum(max(map(len, some), default=0) for some in words) / len(words))
    generator = numpy_generator(seed, Stream.DESCRIPTIONS)

    def drawn(source: Sequence[str], size: int) -> list[str]:
        return [source[place] for place in generator.integers(len(source), size=size)]

    made = []
    for _ in range(count):
        made.append(" ".join(word[:length] for word in drawn(pool, many)))
        made.append(", ".join("".join(drawn(characters, longest // many + 1)) for _ in range(many)))
    return tuple(template.replace("{}", f"{{}}, {_said(each)}") for template in templates for each in made)


def _said(description: str) -> str:
    """Return a description as a relative clause, by the rule of DCLIP's authors."""
    if description.startswith(("a", "used")):
        return f"which is {description}"
    return f"which {description}" if description.startswith(_STATES) else f"which has {description}"
