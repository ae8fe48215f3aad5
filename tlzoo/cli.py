"""The command line: ``tlzoo list | info | cite | data | rank-backbones | advise | bench | fit``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import tlzoo
from tlzoo.errors import InputError, UserError
from tlzoo.listing import add_commands
from tlzoo.spelling import printable

__all__ = ["main"]

USAGE_ERROR = 2

_EPILOG = """\
where to begin:
  tlzoo bench run quickstart    all five types of transfer learning on real data, in minutes
  tlzoo list                    all methods, by family
  tlzoo info cdan               paper, settings and supervision of one method
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    A user's mistake, or a file that the system refuses, prints one line on stderr and returns 2.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)  # "mymodule:Mine" in the current folder, which a console script does not see
    try:
        _check_words(words)
        if words[:1] == ["fit"]:
            return _fit(words)
        parser = _parser()
        arguments = parser.parse_args(words)
        if not hasattr(arguments, "handler"):
            arguments = parser.parse_args([*words, "--help"])
        status: int = arguments.handler(arguments)
    except KeyboardInterrupt:
        print("interrupted; run again to continue", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # the reader (head, less) has closed the pipe; Python must not complain about it on exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (UserError, OSError) as error:
        print("tlzoo:", *map(printable, str(error).splitlines()), sep=" ", file=sys.stderr)
        return USAGE_ERROR
    except Exception as error:
        error.add_note(
            "This is a bug of tlzoo, or of your own code that it runs; please report it with this traceback."
        )
        raise
    return status


def _check_words(words: Sequence[str]) -> None:
    """Refuse words that no system passes, though a program may."""
    if odd := [word for word in words if "\0" in word]:
        raise InputError(f"{printable(odd[0])!r} holds a NUL character; remove it")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tlzoo",
        description=(tlzoo.__doc__ or "").splitlines()[0],
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"tlzoo {tlzoo.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND")

    add_commands(commands)
    data = commands.add_parser(
        "data", help="fetch and check data and weights", description="Fetch and check data and weights."
    )
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

    advice = commands.add_parser(
        "advise",
        help="measure the shift of a task and recommend a method, or none, without target labels",
        description="Measure the shift of a task between domains; recommend a method by committed results, or none.",
    )
    advice.add_argument("task", help="name of a task, such as emoji/category:google->windows:unpaired")
    advice.add_argument("--backbone", default="efficientnet_lite0", help="frozen (default: %(default)s)")
    advice.add_argument("--root", help="folder of a data set on disk")
    advice.set_defaults(handler=_advise)

    bench = commands.add_parser("bench", help="run benchmarks, show results", description="Run benchmark suites.")
    from tlzoo.bench.commands import add_commands as add_bench_commands

    add_bench_commands(bench)
    commands.add_parser("fit", help="train one model from a config file (tlzoo fit --config FILE)", add_help=False)
    return parser


def _advise(arguments: argparse.Namespace) -> int:
    from tlzoo.bench.advice import advise

    print(advise(arguments.task, arguments.backbone, root=arguments.root))
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


def _add_data_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, handler, text, names in (
        ("list", _data_list, "list the sources, their licenses and owners", None),
        ("fetch", _data_fetch, "download sources into the cache; without names, all of them", "*"),
        ("verify", _data_verify, "check fetched sources against their pinned hashes", "*"),
        ("path", _data_path, "print the path of a source", 1),
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
