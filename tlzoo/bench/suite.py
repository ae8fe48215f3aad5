"""A suite: the YAML file that says what is compared, on what, how often."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from tlzoo.bench.cell import KINDS, SCHEMA_REVISION, Cell
from tlzoo.bench.facts import Facts
from tlzoo.bench.located import Located, SuiteError, parse
from tlzoo.bench.search import Search, grid_size, read_search
from tlzoo.registry import nearest
from tlzoo.space import read_distribution

__all__ = ["Group", "Row", "Suite", "SuiteError", "find_suite", "list_suites", "load_suite"]

_SHIPPED = Path(__file__).parent / "suites"

_SEARCH_KEYS = ("trials", "rule", "space")
_SUITE_KEYS = ("suite", "question", "seeds", "groups", *_SEARCH_KEYS)
_GROUP_KEYS = (
    *("title", "kind", "tasks", "backbones", "methods", "budget", "module", "seeds", "root"),
    *("metric", "columns", "percent", "better"),
    *_SEARCH_KEYS,
)
_ROW_KEYS = ("method", "label", "settings", "module", "budget", "candidates")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A method with its settings: one row of a table."""

    method: Located
    label: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    module: Mapping[str, Any] = field(default_factory=dict)
    budget: Mapping[str, Any] = field(default_factory=dict)
    candidates: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rows that are compared on the same tasks and backbones, under one budget.

    Attributes:
        metric: headline of its tables; ``columns`` are further metrics, shown as means.
        percent: show figures times 100.
        better: which end of the metric is good.
        search: of settings, the same for all rows.
        place: where the suite says so, for messages.
    """

    title: str
    kind: str
    tasks: tuple[Located, ...]
    backbones: tuple[Located, ...]
    rows: tuple[Row, ...]
    seeds: tuple[int, ...]
    place: Located
    metric: str = "test/accuracy"
    columns: tuple[str, ...] = ()
    percent: bool = True
    better: Literal["higher", "lower"] = "higher"
    root: str | None = None
    search: Search = field(default_factory=Search)

    def cells(self, facts: Facts) -> list[Cell]:
        """Return the product of tasks, backbones, rows and seeds, identities filled in.

        Raises:
            SuiteError: a method, setting, task or backbone does not exist, or a row stands twice.
        """
        protocol = facts.protocol_of(self.kind)
        self.search.check(self.kind, protocol["search"])
        methods = [self._method(row, facts, protocol["allowed"], protocol["search"]["module"]) for row in self.rows]
        for backbone in self.backbones:
            if backbone.value is not None:
                _at(backbone, facts.backbone, backbone.value)
        checksums = {task.value: self._checksum(task, facts) for task in self.tasks}
        revisions = {"protocol": protocol["revision"], "schema": SCHEMA_REVISION}
        cells = [
            Cell(
                kind=self.kind,  # type: ignore[arg-type]  # checked when the suite was read
                task=task.value,
                backbone=backbone.value,
                method=method["name"],
                label=row.label or method["label"],
                settings=row.settings,
                module=row.module,
                budget=row.budget,
                **self._tried(row, method, seed),
                seed=seed,
                task_checksum=checksums[task.value],
                revisions={**revisions, "method": method["revision"], **method["part_revisions"]},
                root=self.root,
            )
            for task, backbone in itertools.product(self.tasks, self.backbones)
            for row, method in zip(self.rows, methods, strict=True)
            for seed in self.seeds
        ]
        self._refuse_twins(cells)
        return cells

    def _method(self, row: Row, facts: Facts, allowed: Mapping[str, list[str]], tunable: list[str]) -> dict[str, Any]:
        method: dict[str, Any] = _at(row.method, facts.method, row.method.value)
        known = {"settings": method["settings"], "candidates": None, **allowed}
        if method["settings"] is not None:
            known["candidates"] = [*method["settings"], *tunable]
        for part in ("settings", "candidates", "module", "budget"):
            names = known.get(part)
            for name in getattr(row, part):
                if names is not None and name not in names:
                    raise row.method.error(
                        f"{row.label or method['name']}: {nearest(name, names, kind=_SINGULAR[part])}"
                    )
        if tried := [part for part in method["parts"] if part in row.candidates]:
            raise row.method.error(
                f"{row.label or method['name']}: {tried[0]} is what the row is made of; write a row for each"
            )
        return method | {"part_revisions": dict(_part_revisions(row, method, row.settings, facts))}

    def _tried(self, row: Row, method: Mapping[str, Any], seed: int) -> dict[str, Any]:
        """Return the candidates of a cell, and the search that they are of."""
        rule = {"search": {"rule": self.search.rule}} if self.search.rule else {}
        if row.candidates or not self.search.trials:
            size = grid_size(row.candidates)
            if self.search.trials and size != self.search.trials:
                raise row.method.error(
                    f"{row.label or method['name']} tries {size} settings where every row has {self.search.trials} "
                    f"trials; give as many candidates, or none"
                )
            return {"candidates": row.candidates, **(rule if row.candidates else {})}
        space = {name: read_distribution(data) for name, data in method["space"].items()}
        drawn = self.search.candidates(method["name"], space, {**row.module, **row.settings}, seed=seed)
        return {"candidates": drawn, "search": self.search.of_cell()} if drawn else {}

    def _checksum(self, task: Located, facts: Facts) -> str:
        fact: dict[str, Any] = _at(task, facts.task, task.value, self.root)
        if self.kind in ("domain", "multitask", "episode", "zeroshot") and fact["kind"] != self.kind:
            raise task.error(f"task {task.value!r} is of kind {fact['kind']!r}, its group of kind {self.kind!r}")
        return str(fact["checksum"])

    def _refuse_twins(self, cells: list[Cell]) -> None:
        labels: dict[str, str] = {}
        hashes: dict[tuple[Any, ...], str] = {}
        for cell in cells:
            label = labels.setdefault(cell.hash, cell.label)
            if label != cell.label:
                raise self.place.error(f"rows {label!r} and {cell.label!r} of {self.title!r} are the same run")
            place = (cell.label, cell.task, cell.backbone, cell.seed)
            if hashes.setdefault(place, cell.hash) != cell.hash:
                raise self.place.error(f"{self.title!r} has two different rows labelled {cell.label!r}")


def _part_revisions(
    row: Row, method: Mapping[str, Any], settings: Mapping[str, Any], facts: Facts, *, of: str = "method"
) -> Iterator[tuple[str, int]]:
    """Return the revisions of the methods that a method is made of, and of those that these are made of.

    Raises:
        SuiteError: a part, or one of its settings, does not exist.
    """
    family = method["name"].split("/")[0]
    for name, own in method["parts"].items():
        if name not in settings:
            continue
        bare = str(settings[name])
        part: dict[str, Any] = _at(row.method, facts.method, bare if "/" in bare else f"{family}/{bare}")
        inner = settings.get(own) or {}
        for setting in inner:
            if part["settings"] is not None and setting not in part["settings"]:
                raise row.method.error(f"{part['name']}: {nearest(setting, part['settings'], kind='setting')}")
        place = f"{of}/{name}"
        yield place, part["revision"]
        yield from _part_revisions(row, part, inner, facts, of=place)


_SINGULAR = {
    "settings": "setting",
    "candidates": "setting to tune",
    "module": "module setting",
    "budget": "budget entry",
}


def _at(place: Located, call: Any, *arguments: Any) -> Any:
    """Call, and give an error about a name the place of that name."""
    try:
        return call(*arguments)
    except (ValueError, KeyError, FileNotFoundError) as error:
        raise place.error(str(error.args[0]) if isinstance(error, KeyError) else str(error)) from error


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A question, and the groups of runs that answer it."""

    name: str
    question: str
    groups: tuple[Group, ...]
    path: Path

    def with_seeds(self, count: int) -> Suite:
        """Return the suite with ``count`` seeds where it has more than one.

        A group of one seed is deterministic: more seeds would give the same figures again.
        """
        if count < 1:
            raise ValueError(f"{count} seeds; expected at least 1")
        groups = [replace(g, seeds=tuple(range(count))) if len(g.seeds) > 1 else g for g in self.groups]
        return replace(self, groups=tuple(groups))


def list_suites() -> list[str]:
    """Return the names of the suites that come with the package."""
    return sorted(path.stem for path in _SHIPPED.glob("*.yaml"))


def find_suite(name: str) -> Path:
    """Return the file of a suite given by name or path.

    Raises:
        ValueError: no suite of that name comes with the package.
        FileNotFoundError: no file at that path.
    """
    if name.endswith((".yaml", ".yml")) or "/" in name:
        if not Path(name).is_file():
            raise FileNotFoundError(f"no suite file {name}; give the path of a YAML file, or one of {list_suites()}")
        return Path(name)
    if name not in list_suites():
        raise ValueError(nearest(name, list_suites(), kind="suite"))
    return _SHIPPED / f"{name}.yaml"


def load_suite(name: str) -> Suite:
    """Read and check a suite given by name or path; see :func:`find_suite`.

    Names of methods, tasks and backbones are checked when it is expanded (:meth:`Group.cells`).

    Raises:
        SuiteError: a mistake, with file and line.
    """
    path = find_suite(name)
    top = parse(path.read_text(encoding="utf-8"), path.name)
    parts = top.mapping(_SUITE_KEYS, what="a suite")
    _require(top, parts, ("suite", "groups"), what="a suite")
    seeds = _seeds(parts["seeds"]) if "seeds" in parts else (0,)
    search = read_search(parts, Search())
    return Suite(
        name=parts["suite"].scalar(str, what="suite", expected="a name"),
        question=parts["question"].scalar(str, what="question", expected="a sentence") if "question" in parts else "",
        groups=tuple(_group(item, seeds, search) for item in parts["groups"].items(what="groups")),
        path=path,
    )


def _require(place: Located, parts: Mapping[str, Any], names: Iterable[str], *, what: str) -> None:
    missing = [name for name in names if name not in parts]
    if missing:
        raise place.error(f"{what} has no {' and no '.join(map(repr, missing))}")


def _group(place: Located, seeds: tuple[int, ...], search: Search) -> Group:
    parts = place.mapping(_GROUP_KEYS, what="a group")
    _require(place, parts, ("title", "kind", "tasks", "methods"), what="a group")
    kind = parts["kind"].scalar(str, what="kind", expected=f"one of {', '.join(KINDS)}")
    if kind not in KINDS:
        raise parts["kind"].error(nearest(kind, KINDS, kind="kind"))
    shared = {part: parts[part].mapping(what=part) if part in parts else {} for part in ("module", "budget")}
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
        tasks=tuple(_checked_names(parts["tasks"], what="tasks")),
        backbones=tuple(_checked_names(parts["backbones"], what="backbones", empty=True))
        if "backbones" in parts
        else (Located(None, place.file, place.line),),
        rows=tuple(rows),
        seeds=_seeds(parts["seeds"]) if "seeds" in parts else seeds,
        place=place,
        search=read_search(parts, search),
        **options,
    )


def _row(place: Located, shared: Mapping[str, Mapping[str, Located]]) -> Row:
    if isinstance(place.value, str):
        place = Located({"method": place}, place.file, place.line)
    parts = place.mapping(_ROW_KEYS, what="a method")
    _require(place, parts, ("method",), what="a method")
    parts["method"].scalar(str, what="method", expected="the name of a method")
    given = {part: parts[part].mapping(what=part) if part in parts else {} for part in _ROW_KEYS[2:]}
    for name, values in given["candidates"].items():
        values.items(what=f"candidates of {name}")
    plain = {part: {name: item.plain() for name, item in values.items()} for part, values in given.items()}
    for part, common in shared.items():
        plain[part] = {**{name: item.plain() for name, item in common.items()}, **plain[part]}
    label = parts["label"].scalar(str, what="label", expected="a name") if "label" in parts else ""
    return Row(method=parts["method"], label=label, **plain)


def _refuse_repeated(rows: Iterable[Row]) -> None:
    seen: dict[str, int] = {}
    for row in rows:
        label = row.label or row.method.value
        if label in seen:
            raise row.method.error(f"label {label!r} stands on line {seen[label]} already; give one of them another")
        seen[label] = row.method.line


def _checked_names(place: Located, *, what: str, empty: bool = False) -> Iterator[Located]:
    for item in place.items(what=what):
        if not (empty and item.value is None):
            item.scalar(str, what=f"an entry of {what}", expected="a name")
        yield item


def _names(place: Located, *, what: str) -> list[str]:
    return [item.value for item in _checked_names(place, what=what)]


def _seeds(place: Located) -> tuple[int, ...]:
    if isinstance(place.value, list):
        chosen = [item.scalar(int, what="a seed", expected="a whole number") for item in place.items(what="seeds")]
        if len(set(chosen)) < len(chosen):
            raise place.error(f"seeds {chosen}: one of them stands twice")
        return tuple(chosen)
    count = place.scalar(int, what="seeds", expected="a whole number, or a list of them")
    if count < 1:
        raise place.error(f"seeds is {count}; expected at least 1")
    return tuple(range(count))
