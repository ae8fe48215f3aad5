"""Reads suites from YAML, checks their form, and reports every mistake with its line."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from tlzoo.bench.cell import KINDS
from tlzoo.bench.search import Search, read_search
from tlzoo.bench.shared_extensions import is_task, name_of
from tlzoo.bench.suite import MOST_SEEDS, Group, Row, Suite
from tlzoo.bench.trainer import read_trainer
from tlzoo.bench.yaml_lines import Located, parse
from tlzoo.data.specification_keys import KEYS
from tlzoo.errors import InputError, MissingFileError
from tlzoo.spelling import nearest

__all__ = ["find_suite", "list_suites", "load_suite"]

_SHIPPED = Path(__file__).parent / "suites"

_SEARCH_KEYS = ("trials", "rule", "space", "sampler", "tuned_on")
_SUITE_KEYS = ("suite", "question", "seeds", "cell_timeout", "groups", *_SEARCH_KEYS)
_GROUP_KEYS = (
    *("title", "kind", "task", "tasks", "backbones", "methods", "budget", "module", "trainer", "seeds", "root"),
    *("metric", "columns", "percent", "better"),
    *_SEARCH_KEYS,
)
_ROW_KEYS = ("method", "label", "settings", "module", "budget", "trainer", "candidates")
_SHARED = ("module", "budget", "trainer")


def list_suites() -> list[str]:
    """Return the names of the suites in the package."""
    return sorted(path.stem for path in _SHIPPED.glob("*.yaml"))


def find_suite(name: str) -> Path:
    """Return the file of a suite given by name or path.

    Raises:
        ValueError: the package has no suite of that name.
        FileNotFoundError: there is no file at that path.
    """
    if name.endswith((".yaml", ".yml")) or "/" in name:
        if not Path(name).is_file():
            raise MissingFileError(f"no suite file {name}; give the path of a YAML file, or one of {list_suites()}")
        return Path(name)
    if name not in list_suites():
        raise InputError(nearest(name, list_suites(), kind="suite"))
    return _SHIPPED / f"{name}.yaml"


def load_suite(suite: str | os.PathLike[str] | Mapping[str, Any]) -> Suite:
    """Read and check a suite, given by name or path (see :func:`find_suite`) or as the contents of a file.

    Expanding the suite (:meth:`Group.cells`) checks the names of methods, tasks and backbones. In place of a name a
    mapping may have the class or function itself, or a task, which is registered for this process under its name.

    Raises:
        SuiteError: the suite has a mistake; the message names file and line (for a mapping, the line in its YAML form).
    """
    if isinstance(suite, Mapping):
        path, folder = Path(f"{suite.get('suite', 'suite')}.yaml"), Path.cwd()
        text: str | bytes = yaml.safe_dump(_named(suite), sort_keys=False, allow_unicode=True)
    else:
        path = find_suite(os.fspath(suite))
        folder = path.absolute().parent
        text = path.read_bytes()
    top = parse(text, path.name)
    parts = top.mapping(_SUITE_KEYS, what="a suite")
    _require(top, parts, ("suite", "groups"), what="a suite")
    seeds = _seeds(parts["seeds"]) if "seeds" in parts else (0,)
    search = read_search(parts, Search())
    return Suite(
        name=_file_name(parts["suite"]),
        question=parts["question"].scalar(str, what="question", expected="a sentence") if "question" in parts else "",
        groups=tuple(_group(item, seeds, search, folder) for item in parts["groups"].items(what="groups")),
        cell_timeout=_seconds(parts["cell_timeout"]) if "cell_timeout" in parts else None,
        path=path,
    )


def _file_name(place: Located) -> str:
    """Return the name of a suite, which names its folders and files of results."""
    expected = "a name of letters, digits and . _ + -, such as my-suite"
    name: str = place.scalar(str, what="suite", expected=expected)
    if not re.fullmatch(r"\w[\w.+-]{0,99}", name):
        raise place.error(f"suite is {place.spelled}; expected {expected}: results are stored under it")
    return name


def _named(value: Any) -> Any:
    """Return plain data of a suite: a class, a function or a task by the name that it is found under."""
    if isinstance(value, Mapping):
        return {str(key): _named(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_named(item) for item in value]
    return name_of(value) if callable(value) or is_task(value) else value


def _require(place: Located, parts: Mapping[str, Any], names: Iterable[str], *, what: str) -> None:
    missing = [name for name in names if name not in parts]
    if missing:
        raise place.error(f"{what} has no {' and no '.join(map(repr, missing))}")


def _group(place: Located, seeds: tuple[int, ...], search: Search, folder: Path) -> Group:
    parts = place.mapping(_GROUP_KEYS, what="a group")
    if "task" in parts:
        parts = {**parts, "tasks": _alone(parts["task"], parts)}
    _require(place, parts, ("title", "kind", "tasks", "methods"), what="a group")
    kind = parts["kind"].scalar(str, what="kind", expected=f"one of {', '.join(KINDS)}")
    if kind not in KINDS:
        raise parts["kind"].error(nearest(kind, KINDS, kind="kind"))
    shared = {part: parts[part].mapping(what=part) if part in parts else {} for part in _SHARED}
    rows = [_row(item, shared) for item in parts["methods"].items(what="methods")]
    _refuse_repeated(rows)
    options = {
        name: parts[name].scalar(kind_, what=name, expected=expected)
        for name, kind_, expected in (
            ("metric", str, "the name of a metric such as test/accuracy"),
            ("percent", bool, "true or false"),
            ("better", str, "higher or lower"),
            ("root", str, "a folder"),
        )
        if name in parts
    }
    if options.get("better", "higher") not in ("higher", "lower"):
        raise parts["better"].error(f"better is {options['better']!r}; expected higher or lower")
    if "columns" in parts:
        options["columns"] = tuple(_names(parts["columns"], what="columns"))
    return Group(
        title=parts["title"].scalar(str, what="title", expected="a title"),
        kind=kind,
        tasks=tuple(_tasks(parts["tasks"], kind, folder)),
        backbones=tuple(_checked_names(parts["backbones"], what="backbones", empty=True))
        if "backbones" in parts
        else (Located(None, place.file, place.line),),
        rows=tuple(rows),
        seeds=_seeds(parts["seeds"]) if "seeds" in parts else seeds,
        place=place,
        search=read_search(parts, search),
        **options,
    )


def _alone(task: Located, parts: Mapping[str, Located]) -> Located:
    if "tasks" in parts:
        raise task.error("a group has both task and tasks; keep one")
    return Located([task], task.file, task.line)


def _tasks(place: Located, kind: str, folder: Path) -> Iterator[Located]:
    """Yield the tasks of a group: names, and descriptions of tasks on files, which are relative to ``folder``."""
    for item in place.items(what="tasks"):
        if not isinstance(item.value, dict):
            item.scalar(str, what="an entry of tasks", expected="a name, or a mapping: {from: my.npz}")
            yield item
            continue
        keys = item.mapping(KEYS[kind], what=f"a {kind} task")
        if "kind" in keys and keys["kind"].value != kind:
            raise keys["kind"].error(
                f"a task of kind {keys['kind'].spelled} in a group of kind {kind!r}; expected the same"
            )
        base = folder / Path(str(keys["root"].value)).expanduser() if "root" in keys else folder
        yield replace(item, value={**item.plain(), "kind": kind, "root": str(base)})


def _row(place: Located, shared: Mapping[str, Mapping[str, Located]]) -> Row:
    if isinstance(place.value, str):
        place = Located({"method": place}, place.file, place.line)
    parts = place.mapping(_ROW_KEYS, what="a method")
    _require(place, parts, ("method",), what="a method")
    parts["method"].scalar(str, what="method", expected="the name of a method")
    given = {part: parts[part].mapping(what=part) if part in parts else {} for part in _ROW_KEYS[2:]}
    for name, values in given["candidates"].items():
        values.items(what=f"candidates of {name}")
    plain: dict[str, Any]
    plain = {part: {name: item.plain() for name, item in values.items()} for part, values in given.items()}
    plain["fixed"] = frozenset([*plain["settings"], *plain["module"]])
    for part, common in shared.items():
        plain[part] = {**{name: item.plain() for name, item in common.items()}, **plain[part]}
    plain["trainer"] = read_trainer({**shared["trainer"], **given["trainer"]})
    label = parts["label"].scalar(str, what="label", expected="a name") if "label" in parts else ""
    return Row(method=parts["method"], label=label, **plain)


def _refuse_repeated(rows: Iterable[Row]) -> None:
    seen: dict[str, int] = {}
    for row in rows:
        label = row.label or row.method.value
        if label in seen:
            raise row.method.error(f"label {label!r} is already used on line {seen[label]}; change one of them")
        seen[label] = row.method.line


def _checked_names(place: Located, *, what: str, empty: bool = False) -> Iterator[Located]:
    for item in place.items(what=what):
        if not (empty and item.value is None):
            item.scalar(str, what=f"an entry of {what}", expected="a name")
        yield item


def _names(place: Located, *, what: str) -> list[str]:
    return [item.value for item in _checked_names(place, what=what)]


def _seconds(place: Located) -> float:
    expected = "seconds > 0 that a cell may take"
    seconds = place.scalar((int, float), what="cell_timeout", expected=expected)
    if not 0 < seconds < math.inf:
        raise place.error(f"cell_timeout is {seconds}; expected {expected}")
    return float(seconds)


def _seeds(place: Located) -> tuple[int, ...]:
    if isinstance(place.value, list):
        expected = "a whole number from 0 to 2**32 - 1"  # which every library takes
        chosen = [item.scalar(int, what="a seed", expected=expected) for item in place.items(what="seeds")]
        for seed, item in zip(chosen, place.value, strict=True):
            if not 0 <= seed < 2**32:
                raise item.error(f"a seed is {seed}; expected {expected}")
        if len(set(chosen)) < len(chosen):
            raise place.error(f"seeds {chosen} contain a duplicate")
        return tuple(chosen)
    count = place.scalar(int, what="seeds", expected="a whole number, or a list of them")
    if not 1 <= count <= MOST_SEEDS:
        raise place.error(f"seeds is {count}, a number of runs; expected 1 to {MOST_SEEDS:,}")
    return tuple(range(count))
