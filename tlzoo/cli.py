"""The command line: ``tlzoo list | info | cite | data | rank-backbones | bench | fit``."""

from __future__ import annotations

import argparse
import inspect
import os
import sys
from collections.abc import Sequence

import tlzoo
from tlzoo.registry import FAMILIES, list_methods, method_class
from tlzoo.spelling import printable

__all__ = ["main"]

USAGE_ERROR = 2

_EPILOG = """\
where to begin:
  tlzoo bench run quickstart    all five types of transfer learning on real data, in minutes
  tlzoo list                    every method, by family
  tlzoo info cdan               one method: paper, settings, what it sees
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; a user's mistake is one line on stderr and status 2."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if words[:1] == ["fit"]:
            return _fit(words)
        arguments = _parser().parse_args(words)
        status: int = arguments.handler(arguments)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # the reader (head, less) has seen enough; Python must not complain about it on exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if not _is_mistake(error):
            raise
        text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        print("tlzoo:", *map(printable, text.splitlines()), sep=" ", file=sys.stderr)
        return USAGE_ERROR
    return status


def _is_mistake(error: Exception) -> bool:
    """Whether an error tells a user what to mend: ours by type, or one of Python's that our own code raised.

    A ValueError out of a library is a bug of ours, and its traceback is wanted.
    """
    if type(error).__name__ in ("SupervisionError", "SourceError"):  # by name: their modules may not be loaded
        return type(error).__module__.startswith("tlzoo.")
    if isinstance(error, FileNotFoundError):
        return True
    if not isinstance(error, (ValueError, KeyError)) or " " not in str(error):
        return False  # our errors are sentences; ``{}["key"]`` is a bug
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = trace.tb_frame.f_globals.get("__name__", "") if trace else ""
    return str(module).split(".")[0] == "tlzoo"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tlzoo",
        description=(tlzoo.__doc__ or "").splitlines()[0],
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"tlzoo {tlzoo.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    listing = commands.add_parser("list", help="list methods", description="List methods with paper and supervision.")
    listing.add_argument("--family", help=f"one of {', '.join(FAMILIES)}")
    listing.set_defaults(handler=_list)

    info = commands.add_parser("info", help="describe a method", description="Paper, settings and supervision.")
    info.add_argument("method", help="name of a method, such as dan or adaptation/dan")
    info.set_defaults(handler=_info)

    cite = commands.add_parser("cite", help="print BibTeX", description="BibTeX of the papers of methods.")
    cite.add_argument("methods", nargs="+", metavar="METHOD", help="name of a method, such as dan or adaptation/dan")
    cite.set_defaults(handler=_cite)

    data = commands.add_parser("data", help="fetch and check data and weights", description="Data and weights.")
    _add_data_commands(data)

    ranking = commands.add_parser(
        "rank-backbones",
        help="rank pretrained backbones for a task, without training",
        description="Rank backbones by the transferability of their frozen features to a task's training examples.",
    )
    ranking.add_argument("task", help="name of a task, such as emoji/category:google->windows")
    ranking.add_argument("backbones", nargs="+", metavar="BACKBONE", help="such as efficientnet_lite0 or timm:NAME")
    ranking.add_argument("--root", help="folder of a data set on disk")
    ranking.set_defaults(handler=_rank_backbones)

    bench = commands.add_parser("bench", help="run benchmarks, show results", description="Run benchmark suites.")
    from tlzoo.bench.commands import add_commands

    add_commands(bench)
    commands.add_parser("fit", help="train one model from a config file (tlzoo fit --config FILE)", add_help=False)
    return parser


def _list(arguments: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, header_style="bold")
    names = list_methods(arguments.family)
    grid.add_column("method", min_width=max(map(len, names)))
    grid.add_column("paper", overflow="fold")
    grid.add_column("sees", overflow="fold")
    for name in names:
        cls = method_class(name)
        grid.add_row(name, cls.paper.citation if cls.paper else "baseline", ", ".join(sorted(cls.sees)) or "nothing")
    Console().print(grid)
    return 0


def _info(arguments: argparse.Namespace) -> int:
    from tlzoo.registry import resolve_name

    name = resolve_name(arguments.method)
    cls = method_class(name)
    print(f"{name} ({cls.__module__}.{cls.__name__})\n")
    print(_first_paragraphs(cls) + "\n")
    if cls.paper:
        print(f"paper     {cls.paper.title}\n          {cls.paper.citation}, {cls.paper.url or 'no link'}")
    print(f"sees      {', '.join(sorted(cls.sees)) or 'nothing'}")
    if cls.needs:
        print(f"needs     {', '.join(sorted(cls.needs))}")
    print(f"revision  {cls.revision}")
    print("settings")
    for parameter in inspect.signature(cls).parameters.values():
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        print(f"  {parameter.name}: {parameter.annotation}{default}")
    return 0


def _cite(arguments: argparse.Namespace) -> int:
    from tlzoo.citations import bibtex
    from tlzoo.registry import resolve_name

    # a composition is of several papers, and several methods may be of one
    names = [part for name in arguments.methods for part in resolve_name(name).split("+")]
    papers = {name: method_class(name).paper for name in names}
    for name in (name for name, paper in papers.items() if paper is None):
        print(f"% {name} is a baseline without a paper")
    entries = dict.fromkeys(bibtex(paper) for paper in papers.values() if paper is not None)
    print("\n\n".join(entries), end="\n" if entries else "")
    return 0


def _rank_backbones(arguments: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from tlzoo.bench.backbone_ranking import rank_backbones

    rows = rank_backbones(arguments.task, arguments.backbones, root=arguments.root)
    grid = Table(box=None, pad_edge=False, header_style="bold")
    scores = list(rows[0].scores)
    for title in ("backbone", "rank", *scores, "width", "weights", "by size"):
        grid.add_column(title, justify="left" if title == "backbone" else "right")
    for row in rows:
        values = [f"{row.scores[name]:.3g}" for name in scores]
        size = [str(row.num_features), f"{row.parameters / 1e6:.3g} M", f"{row.size_rank:g}"]
        grid.add_row(row.name, f"{row.rank:.2f}", *values, *size)
    Console().print(grid)
    return 0


def _first_paragraphs(cls: type) -> str:
    """Return a class docstring up to its arguments."""
    text = inspect.getdoc(cls) or ""
    return text.split("\n\nArgs:")[0].split("\nArgs:")[0].strip()


def _add_data_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, handler, text, names in (
        ("list", _data_list, "list the sources, their licenses and owners", None),
        ("fetch", _data_fetch, "download sources into the cache; all of them where none is named", "*"),
        ("verify", _data_verify, "check fetched sources against their pinned hashes", "*"),
        ("path", _data_path, "print where a source lies", 1),
    ):
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if names is not None:
            command.add_argument("names", nargs=names, metavar="NAME")
        command.set_defaults(handler=handler)


def _data_list(_: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from tlzoo import sources
    from tlzoo.storage import home

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("source", "MB", "license", "owner", "here"):
        grid.add_column(name, justify="right" if name == "MB" else "left", overflow="fold")
    for source in sources.list_sources():
        here = "yes" if sources.is_fetched(source.name) else "no"
        grid.add_row(source.name, f"{source.megabytes:g}", source.license, source.owner, here)
    Console().print(grid)
    print(f"cache: {home()}")
    return 0


def _data_fetch(arguments: argparse.Namespace) -> int:
    from tlzoo import sources

    for name in arguments.names or [source.name for source in sources.list_sources()]:
        print(f"{name}: {sources.fetch(name)[name]}", flush=True)
    return 0


def _data_verify(arguments: argparse.Namespace) -> int:
    from tlzoo import sources

    problems = sources.verify(*arguments.names)
    for name, problem in problems.items():
        print(f"{name}: {problem or 'ok'}")
    if not problems:
        print("nothing is fetched yet; tlzoo data fetch downloads it")
    return 1 if any(problems.values()) else 0


def _data_path(arguments: argparse.Namespace) -> int:
    from tlzoo import sources

    print(sources.path(arguments.names[0]))
    return 0


def _fit(words: list[str]) -> int:
    from tlzoo.lit.cli import main as fit

    fit(words)
    return 0


if __name__ == "__main__":
    sys.exit(main())
