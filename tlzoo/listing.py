"""``tlzoo list``, ``info`` and ``cite``, for built-in objects and those of installed packages."""

from __future__ import annotations

import argparse
import inspect
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tlzoo.backbones import list_backbones
from tlzoo.backbones import names as backbone_names
from tlzoo.data import catalog
from tlzoo.errors import InputError
from tlzoo.registry import FAMILIES, list_methods, method_class, resolve_name

if TYPE_CHECKING:
    from tlzoo.extensions import Extensions

__all__ = ["add_commands"]


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the parser."""
    listing = commands.add_parser(
        "list",
        help="list methods, tasks and backbones",
        description="List methods with paper and supervision, tasks and backbones, those of installed packages too.",
    )
    listing.add_argument("what", nargs="*", metavar="WHAT", help=f"any of {', '.join(_SECTIONS)} (default: all)")
    listing.add_argument("--family", help=f"methods of one family: {', '.join(FAMILIES)}")
    listing.set_defaults(handler=_list)

    info = commands.add_parser("info", help="describe a method", description="Paper, settings and supervision.")
    info.add_argument("method", help="name of a method, such as dan or adaptation/dan, or package.module:Name")
    info.set_defaults(handler=_info)

    cite = commands.add_parser("cite", help="print BibTeX", description="BibTeX of the papers of methods.")
    cite.add_argument("methods", nargs="+", metavar="METHOD", help="name of a method, such as dan or adaptation/dan")
    cite.set_defaults(handler=_cite)


def _list(arguments: argparse.Namespace) -> int:
    from tlzoo.spelling import nearest

    for what in arguments.what:
        if what not in _SECTIONS:
            raise InputError(nearest(what, _SECTIONS, kind="list"))
    wanted = arguments.what or (["methods"] if arguments.family else list(_SECTIONS))
    for place, what in enumerate(wanted):
        if place:
            print()
        header, rows = _SECTIONS[what]
        _print_table(header, rows(arguments.family))
    return 0


def _print_table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, header_style="bold")
    listed = list(rows)
    for place, title in enumerate(header):
        grid.add_column(title, overflow="fold", min_width=0 if place else max(len(row[0]) for row in listed))
    for row in listed:
        grid.add_row(*map(escape, row))  # names of users' own may hold brackets
    Console().print(grid)


def _methods(family: str | None) -> Iterator[tuple[str, ...]]:
    from tlzoo.bench.planning_cache import Facts

    facts = Facts()  # cached, so that a list loads torch once per version of the code
    for name in list_methods(family):
        try:
            fact = facts.method(name)
        except (TypeError, ValueError) as error:
            yield name, str(error), ""  # an error in an installed package must not hide the others
            continue
        yield name, fact["citation"], ", ".join(fact["sees"]) or "nothing"
    facts.save()


def _tasks(_: str | None) -> Iterator[tuple[str, ...]]:
    """Yield one row for all tasks that only differ in their domains."""
    counts: Counter[tuple[str, str]] = Counter()
    for kind in ("domain", "multitask", "episode", "zeroshot"):
        counts.update((re.sub(r"[^:/]+->[^:]+", "SOURCE->TARGET", name), kind) for name in catalog.list_tasks(kind))
    yield from ((name, kind, str(count)) for (name, kind), count in counts.items())
    yield from ((name, catalog.ON_DISK[name], "of your own, with root=FOLDER") for name in catalog.ON_DISK)
    yield from _of_others(catalog.EXTENSIONS)


def _backbones(_: str | None) -> Iterator[tuple[str, ...]]:
    own = backbone_names.EXTENSIONS.names()
    for name in (name for name in list_backbones() if name not in own):
        yield name, backbone_names.check_backbone(name) or ""
    yield from backbone_names.PATTERNS.items()
    yield from _of_others(backbone_names.EXTENSIONS)


def _of_others(extensions: Extensions) -> Iterator[tuple[str, ...]]:
    for name in extensions.names():
        own = extensions.get(name)
        yield name, f"of {own.distribution}" if own is not None and own.distribution else ""


_SECTIONS = {
    "methods": (("method", "paper", "sees"), _methods),
    "tasks": (("task", "kind", "how many"), _tasks),
    "backbones": (("backbone", "takes"), _backbones),
}


def _info(arguments: argparse.Namespace) -> int:
    from tlzoo import docstrings

    name = resolve_name(arguments.method)
    cls = method_class(name)
    print(f"{name} ({cls.__module__}.{cls.__name__})\n")
    print(docstrings.without_markup(docstrings.summary(cls)) + "\n")
    if cls.paper:
        print(f"paper     {cls.paper.title}\n          {cls.paper.citation}, {cls.paper.url or 'no link'}")
    print(f"sees      {', '.join(sorted(cls.sees)) or 'nothing'}")
    if cls.needs:
        print(f"needs     {', '.join(sorted(cls.needs))}")
    print(f"revision  {cls.revision}")
    print("settings")
    meaning = docstrings.arguments(cls)
    for parameter in inspect.signature(cls).parameters.values():
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        annotation = "" if parameter.annotation is parameter.empty else f": {parameter.annotation}"
        print(f"  {parameter.name}{annotation}{default}")
        if text := meaning.get(parameter.name):
            print(_wrapped(text))
    return 0


def _wrapped(text: str) -> str:
    import textwrap

    from tlzoo.docstrings import without_markup

    return textwrap.fill(without_markup(text), width=100, initial_indent="      ", subsequent_indent="      ")


def _cite(arguments: argparse.Namespace) -> int:
    from tlzoo.citations import bibtex

    # a composition has several papers, and several methods may share one
    names = [part for name in arguments.methods for part in resolve_name(name).split("+")]
    papers = {name: method_class(name).paper for name in names}
    for name in (name for name, paper in papers.items() if paper is None):
        print(f"% {name} is a baseline without a paper")
    entries = dict.fromkeys(bibtex(paper) for paper in papers.values() if paper is not None)
    print("\n\n".join(entries), end="\n" if entries else "")
    return 0
