"""A suite of comparisons, and the cells that it expands to."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from tlzoo.bench.cell import SCHEMA_REVISION, Cell
from tlzoo.bench.planning_cache import Facts
from tlzoo.bench.search import Search
from tlzoo.bench.yaml_lines import Located
from tlzoo.data.catalog import task_revision
from tlzoo.errors import InputError
from tlzoo.space import Choice, read_distribution
from tlzoo.spelling import nearest

__all__ = ["MOST_SEEDS", "Group", "Row", "Suite"]

MOST_SEEDS = 10_000


@dataclass(frozen=True, kw_only=True)
class Row:
    """A method with its settings, one row of a table; ``fixed`` are those that the row itself gives."""

    method: Located
    label: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    module: Mapping[str, Any] = field(default_factory=dict)
    budget: Mapping[str, Any] = field(default_factory=dict)
    trainer: Mapping[str, Any] = field(default_factory=dict)
    candidates: Mapping[str, Any] = field(default_factory=dict)
    fixed: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rows that are compared on the same tasks and backbones with the same budget.

    Attributes:
        metric: main metric of its tables, by default ``test/`` and the metric of its tasks; ``columns`` are further
            metrics, shown as means.
        percent: whether to show values times 100.
        better: whether higher or lower values are better.
        search: search settings, the same for all rows.
        place: location in the suite, for messages.
    """

    title: str
    kind: str
    tasks: tuple[Located, ...]
    backbones: tuple[Located, ...]
    rows: tuple[Row, ...]
    seeds: tuple[int, ...]
    place: Located
    metric: str = ""
    columns: tuple[str, ...] = ()
    percent: bool = True
    better: Literal["higher", "lower"] = "higher"
    root: str | None = None
    search: Search = field(default_factory=Search)

    def cells(self, facts: Facts) -> list[Cell]:
        """Return the product of tasks, backbones, rows and seeds, with identities filled in.

        Raises:
            SuiteError: a method, setting, task or backbone does not exist, or a row is repeated.
        """
        protocol = facts.protocol_of(self.kind)
        self.search.check(protocol["search"])
        methods = [self._method(row, facts, protocol) for row in self.rows]
        backbones = [self._backbone(backbone, facts) for backbone in self.backbones]
        tasks = [self._task(task, facts) for task in self.tasks]
        self._refuse_namesakes(tasks)
        for place, backbone in zip(self.backbones, backbones, strict=True):
            _check_modalities(place, backbone, tasks)
            self._check_networks(place, backbone, tasks, facts)
        development = self._development(facts)
        revisions = {"protocol": protocol["revision"], "schema": SCHEMA_REVISION}
        cells = [
            Cell(
                kind=self.kind,  # type: ignore[arg-type]  # checked when the suite was read
                task=task["name"],
                backbone=backbone["name"],
                method=method["name"],
                label=row.label or method["label"],
                settings=row.settings,
                module=row.module,
                budget=row.budget,
                trainer=row.trainer,
                **self._tried(row, method, seed, protocol["not_of"], development),
                seed=seed,
                task_checksum=task["checksum"],
                data=task["data"],
                revisions={**revisions, **_raised(task), "method": method["revision"], **method["part_revisions"]},
                code={**method["code"], **backbone["code"], **task["code"]},
                root=self.root,
            )
            for task, backbone in itertools.product(tasks, backbones)
            for row, method in zip(self.rows, methods, strict=True)
            for seed in self.seeds
        ]
        self._refuse_twins(cells)
        return cells

    def with_metric(self, facts: Facts) -> Group:
        """Return the group with the main metric of its tasks, unless the suite names one.

        Raises:
            SuiteError: the tasks have different metrics.
        """
        found = [self._task(task, facts) for task in self.tasks]
        metrics = {each["name"]: str(each["metric"]) for each in found}
        if not self.metric and len(set(metrics.values())) > 1:
            named = ", ".join(f"{metric} ({task})" for task, metric in metrics.items())
            raise self.place.error(
                f"the tasks of {self.title!r} have different metrics: {named}; give metric: test/NAME"
            )
        names = [each["name"] if each["data"] else place.value for place, each in zip(self.tasks, found, strict=True)]
        tasks = [replace(place, value=name) for place, name in zip(self.tasks, names, strict=True)]
        return replace(self, tasks=tuple(tasks), metric=self.metric or f"test/{next(iter(metrics.values()))}")

    def _method(self, row: Row, facts: Facts, protocol: Mapping[str, Any]) -> dict[str, Any]:
        method: dict[str, Any] = _at(row.method, facts.method, row.method.value)
        known = {"settings": method["settings"], "candidates": None, **protocol["allowed"]}
        if method["settings"] is not None:
            known["candidates"] = [*method["settings"], *protocol["search"]["module"]]
        for part in ("settings", "candidates", "module", "budget"):
            names = known.get(part)
            for name in getattr(row, part):
                if names is not None and name not in names:
                    raise row.method.error(
                        f"{row.label or method['name']}: {nearest(name, names, kind=_SINGULAR[part])}"
                    )
        if tried := [part for part in method["parts"] if part in row.candidates]:
            raise row.method.error(
                f"{row.label or method['name']}: {tried[0]} defines the row and cannot be tuned; write a row for each"
            )
        inside = _methods_inside(row, method, protocol["methods_in"], facts)
        parts = dict([*_parts(row, method, row.settings, facts), *inside])
        return method | {
            "part_revisions": {place: part["revision"] for place, part in parts.items()},
            "code": dict(pair for part in (method, *parts.values()) for pair in part["code"].items()),
        }

    def _development(self, facts: Facts) -> dict[str, Any]:
        """Return where settings are chosen, with the identity of that task where it is another than the cell's."""
        if (name := self.search.tuned_on.get("task")) is None:
            return dict(self.search.tuned_on)
        assert self.search.place is not None
        fact = self._task(Located(name, self.search.place.file, self.search.place.line), facts)
        revision = {"revision": task_revision(fact["name"])} if _raised(fact) else {}
        return {**self.search.tuned_on, "task": fact["name"], "checksum": fact["checksum"], **revision}

    def _tried(
        self,
        row: Row,
        method: Mapping[str, Any],
        seed: int,
        not_of: Mapping[str, list[str]],
        development: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Return the candidates of a cell, and its search."""
        search = self.search
        if not search.trials:
            rule = {"search": {"rule": search.rule}} if search.rule and row.candidates else {}
            return {"candidates": row.candidates, **rule}
        useless = {name for kind, names in not_of.items() if kind in method["kinds"] for name in names}
        space = {name: read_distribution(data) for name, data in method["space"].items()}
        for name, values in row.candidates.items():
            if len(values) < 2:
                raise row.method.error(
                    f"{row.label or method['name']}: one candidate of {name} is a setting; give it so"
                )
            space[name] = Choice(tuple(values))
        known = {**search.space, **space}
        dropped = row.fixed | (useless - set(space))
        candidates, by_trial = replace(
            search, space={name: each for name, each in search.space.items() if name not in dropped}
        ).tried(
            method["name"],
            {name: each for name, each in space.items() if name not in row.fixed},
            {name: value for name, value in {**method["defaults"], **row.module}.items() if name in known},
            seed=development.get("seed", seed),
        )
        if not candidates:
            return {}
        kept = search.of_cell(development)
        if not by_trial:
            kept = {name: value for name, value in kept.items() if name not in ("trials", "sampler")}
        return {"candidates": candidates, "search": kept}

    def _backbone(self, backbone: Located, facts: Facts) -> dict[str, Any]:
        if backbone.value is None:
            return {"name": None, "modality": None, "code": {}, "own": False}
        found: dict[str, Any] = _at(backbone, facts.backbone, backbone.value)
        return found

    def _task(self, task: Located, facts: Facts) -> dict[str, Any]:
        fact: dict[str, Any] = _at(task, facts.task, task.value, self.root)
        if self.kind in ("domain", "multitask", "episode", "zeroshot") and fact["kind"] != self.kind:
            raise task.error(
                f"task {fact['name']!r} is of kind {fact['kind']!r}, but its group is of kind {self.kind!r}"
            )
        if not fact.get("tested", True):
            raise task.error(
                f"the test of {fact['name']} has no labels, by which a suite measures; give them, or let a trained "
                "module predict"
            )
        return fact

    def _check_networks(
        self, place: Located, backbone: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]], facts: Facts
    ) -> None:
        """Refuse a network of the user's that cannot take the items of a task, before it fails in every cell."""
        raw = [task for task in tasks if task["modality"] not in ("features", None)]
        if raw and backbone["name"] is None and self.kind in ("domain", "multitask", "finetuning"):
            raise place.error(f"{self.title!r} has no backbones, and its tasks hold no features; name a network")
        if not backbone["own"]:
            return
        for row, task in itertools.product(self.rows, tasks):
            settings = row.module.get("backbone_settings") or {}
            _at(place, facts.fits, backbone["name"], task, self.root, settings)

    def _refuse_namesakes(self, tasks: Sequence[Mapping[str, Any]]) -> None:
        names = [task["name"] for task in tasks]
        for place, name in zip(self.tasks, names, strict=True):
            if names.count(name) > 1:
                raise place.error(
                    f"two tasks of {self.title!r} are called {name!r}; give each a name of its own (name: ...)"
                )

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


def _raised(task: Mapping[str, Any]) -> dict[str, int]:
    """Return the revision of a task where it was raised: cells of other tasks stay what they are."""
    revision = 1 if task["data"] else task_revision(task["name"])
    return {"task": revision} if revision > 1 else {}


def _check_modalities(place: Located, backbone: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a backbone that cannot take the items of a task."""
    for task in tasks:
        if None not in (backbone["modality"], task["modality"]) and backbone["modality"] != task["modality"]:
            taken, held = _ITEMS[backbone["modality"]], _ITEMS[task["modality"]]
            raise place.error(f"{backbone['name']} takes {taken}, and {task['name']} holds {held}")


def _parts(
    row: Row, method: Mapping[str, Any], settings: Mapping[str, Any], facts: Facts, *, of: str = "method"
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the facts of the methods that a method consists of, recursively.

    Raises:
        SuiteError: a part, or one of its settings, does not exist.
    """
    for name, own in method["parts"].items():
        if name not in settings:
            continue
        bare = str(settings[name])
        full = bare if "/" in bare or ":" in bare else f"{method['family']}/{bare}"
        part: dict[str, Any] = _at(row.method, facts.method, full)
        inner = settings.get(own) or {}
        for setting in inner:
            if part["settings"] is not None and setting not in part["settings"]:
                raise row.method.error(f"{part['name']}: {nearest(setting, part['settings'], kind='setting')}")
        place = f"{of}/{name}"
        yield place, part
        yield from _parts(row, part, inner, facts, of=place)


def _methods_inside(
    row: Row, method: Mapping[str, Any], names: Mapping[str, Mapping[str, list[str]]], facts: Facts
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the facts of the methods that the module's settings ``names`` or their candidates refer to.

    Raises:
        SuiteError: the method does not exist, has the wrong kind, or the row's method takes none.
    """
    for name, rule in names.items():
        for given in [row.module.get(name), *row.candidates.get(name, ())]:
            if given is None:
                continue
            inside: dict[str, Any] = _at(row.method, facts.method, str(given))
            if not set(rule["kinds"]) & set(inside["kinds"]):
                raise row.method.error(f"{name}: {inside['name']} is no {' or '.join(rule['kinds'])}")
            if not set(rule["before"]) & set(method["kinds"]):
                raise row.method.error(f"{method['name']} takes no {name}; only {' or '.join(rule['before'])} do")
            yield f"{name}/{inside['name']}", inside


_ITEMS = {"image": "images", "text": "texts", "series": "time series", "features": "features"}

_SINGULAR = {
    "settings": "setting",
    "candidates": "setting to tune",
    "module": "module setting",
    "budget": "budget entry",
}


def _at(place: Located, call: Any, *arguments: Any) -> Any:
    """Call a function and add the location of a name to its errors."""
    try:
        return call(*arguments)
    except (TypeError, ValueError, KeyError, FileNotFoundError) as error:
        raise place.error(str(error.args[0]) if isinstance(error, KeyError) else str(error)) from error


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A question with the groups of runs that answer it; ``cell_timeout`` limits the seconds of each run."""

    name: str
    question: str
    groups: tuple[Group, ...]
    path: Path
    cell_timeout: float | None = None

    def with_seeds(self, count: int) -> Suite:
        """Return the suite with ``count`` seeds in all groups that have more than one.

        A group with one seed is deterministic, so more seeds would only repeat its results.
        """
        if not 1 <= count <= MOST_SEEDS:
            raise InputError(f"{count} seeds; expected 1 to {MOST_SEEDS:,}, the number of runs")
        groups = [replace(g, seeds=tuple(range(count))) if len(g.seeds) > 1 else g for g in self.groups]
        return replace(self, groups=tuple(groups))

    def with_root(self, root: str) -> Suite:
        """Return the suite with the data of all groups in the folder ``root``."""
        absolute = str(Path(root).expanduser().resolve())  # workers may start elsewhere
        return replace(self, groups=tuple(replace(group, root=absolute) for group in self.groups))
