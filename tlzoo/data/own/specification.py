"""Tasks as a suite's YAML writes them: ``{kind: domain, from: my.npz, ...}``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tlzoo.data.own.domain import domain, fine_tuning
from tlzoo.data.own.episodes import episodes
from tlzoo.data.own.multitask import multitask
from tlzoo.data.own.selection import INPUTS, Rows, named_arrays, rows_of, taken
from tlzoo.data.own.zero_shot import zero_shot
from tlzoo.data.readers import Columns, read_columns
from tlzoo.data.tasks import Task
from tlzoo.errors import InputError, InputTypeError
from tlzoo.spelling import nearest

__all__ = ["task_of"]

Spec = Mapping[str, Any]


def task_of(spec: Spec, root: Path) -> Task:
    """Return the task of a specification.

    Args:
        spec: see :data:`tlzoo.data.specification_keys.KEYS` for what each kind takes.
        root: folder of relative paths.

    Raises:
        ValueError: a key is unknown or missing, or the data do not fit; the message names the file.
        ImportError: a format needs a package that is not installed.
    """
    kind = spec["kind"]
    return _BUILDERS[kind]({key: value for key, value in spec.items() if key != "kind"}, root)


class _Files:
    """Reads each file once."""

    def __init__(self, spec: Spec, root: Path) -> None:
        self.spec, self.root = spec, root
        self._read: dict[Path, Columns] = {}

    def columns(self, name: Any, key: str = "from") -> Columns:
        if not isinstance(name, str):
            raise InputTypeError(f"{key} is {name!r}; expected the path of a file or folder")
        path = self.root / Path(name).expanduser()
        if path not in self._read:
            self._read[path] = read_columns(path)
        return self._read[path]

    def rows(self, name: Any, key: str, *, used: Sequence[str] = ()) -> Rows:
        pictures = {"pictures": self.root / self.spec["pictures"]} if "pictures" in self.spec else {}
        return rows_of(self.columns(name, key), {**self.spec, **pictures}, used=used)

    def whole(self, name: Any, key: str) -> tuple[Any, Any]:
        """Return all items of a file of its own, with labels if it has any."""
        rows = self.rows(name, key)
        return rows.items, rows.labels


def _options(spec: Spec, names: Sequence[str]) -> dict[str, Any]:
    """Return the settings of a specification that the function of its kind takes as they are."""
    modality = next((INPUTS[key] for key in INPUTS if key in spec), None)
    given = {key: spec[key] for key in (*names, "size", "class_names") if key in spec}
    return {"modality": spec.get("modality", modality), **given}


def _named(spec: Spec, *files: Any) -> str:
    """Return the name of a task: its own, or that of its files."""
    return str(spec.get("name") or "+".join(Path(str(file)).stem for file in files))


def _pair(items: Any, labels: Any) -> Any:
    return items if labels is None else (items, labels)


_DOMAIN = ("setting", "train_share", "metric", "mirrored")
_SIDES = ("source", "target", "test", "source_test")


def _domain(spec: Spec, root: Path) -> Task:
    files, options = _Files(spec, root), _options(spec, _DOMAIN)
    if "from" not in spec:
        if lacking := [side for side in ("source", "target") if side not in spec]:
            raise InputError(f"a domain task without from and without {lacking[0]}; give the file of each domain")
        several = {side: _listed(spec[side]) for side in _SIDES if side in spec}
        sides = {
            side: _one_or_all({Path(str(name)).stem: _pair(*files.whole(name, side)) for name in names})
            for side, names in several.items()
        }
        name = f"{_named({}, *several['source'])}->{_named({}, *several['target'])}"
        return domain(**sides, **options, name=str(spec.get("name") or name))
    columns = files.columns(spec["from"])
    if "domain" not in spec and "domain" not in columns.roles:
        return domain(**_arrays(columns, spec), **options, name=_named(spec, spec["from"]))
    rows = files.rows(spec["from"], "from")
    name = f"{_named({}, spec['from'])}/{_joined(spec.get('source'))}->{_joined(spec.get('target'))}"
    return domain(**_by_domain(rows, spec), **options, name=str(spec.get("name") or name))


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _joined(value: Any) -> str:
    return "+".join(map(str, _listed(value)))


def _one_or_all(sets: dict[str, Any]) -> Any:
    return next(iter(sets.values())) if len(sets) == 1 else sets


def _arrays(columns: Columns, spec: Spec) -> dict[str, Any]:
    """Return the sets of a domain task whose arrays have names of their own."""
    usual = {side: (f"X_{side}", f"y_{side}") for side in _SIDES}
    found = {side: named_arrays(columns, spec.get(side), usual[side], key=side) for side in _SIDES}
    for side in ("source", "target"):
        if found[side] is None:
            raise InputError(
                f"{columns.path.name} has no array X_{side}; it has {', '.join(columns.columns)}. Name the arrays of "
                f"the {side}, {side}: [X, y], or the column of domains, domain: NAME"
            )
    if columns.path.suffix == ".mat":
        found = _oriented(found)
    return {side: _pair(*pair) for side, pair in found.items() if pair is not None}


def _oriented(found: dict[str, Any]) -> dict[str, Any]:
    """Return arrays of MATLAB with an example in each row: those without labels are as wide as the source."""
    width = found["source"][0].shape[-1]

    def turned(pair: Any) -> Any:
        alike = pair is None or pair[1] is not None or pair[0].ndim != 2 or pair[0].shape[1] == width
        return pair if alike or pair[0].shape[0] != width else (pair[0].T, None)

    return {side: turned(pair) for side, pair in found.items()}


def _by_domain(rows: Rows, spec: Spec) -> dict[str, Any]:
    """Return the sets of a domain task whose rows name their domain."""
    assert rows.domains is not None
    known = sorted(set(rows.domains.tolist()))
    sides: dict[str, Any] = {}
    for side in ("source", "target"):
        if side not in spec:
            raise InputError(f"{side} is missing; expected one or several of the domains {', '.join(known)}")
        names = [str(name) for name in _listed(spec[side])]
        if strange := [name for name in names if name not in known]:
            raise InputError(nearest(strange[0], known, kind="domain"))
        inside = {name: rows.domains == name for name in names}
        sides[side] = _one_or_all({name: _pair(*rows.of(rows.part("train", mask))) for name, mask in inside.items()})
        tested = rows.part("test", np.logical_or.reduce(list(inside.values())))
        if tested.any():
            sides["test" if side == "target" else "source_test"] = _pair(*rows.of(tested))
    return sides


_TUNING = ("train_share", "metric", "mirrored")


def _fine_tuning(spec: Spec, root: Path) -> Task:
    files, options = _Files(spec, root), _options(spec, _TUNING)
    sets = {}
    if "from" in spec:
        columns = files.columns(spec["from"])
        arrays = {key: named_arrays(columns, spec.get(key), (f"X_{key}", f"y_{key}"), key=key) for key in _FIT}
        if columns.is_table or arrays["train"] is None:
            rows = files.rows(spec["from"], "from")
            arrays = {key: rows.of(rows.part(key)) for key in ("train", "test") if rows.part(key).any()}
        sets = {key: _pair(*pair) for key, pair in arrays.items() if pair is not None}
    elif "train" not in spec:
        raise InputError("a fine-tuning task without from and without train; give the file of the training set")
    else:
        sets = {key: _pair(*files.whole(spec[key], key)) for key in _FIT if key in spec}
    return fine_tuning(**sets, **options, name=_named(spec, spec.get("from") or spec["train"]))


_FIT = ("train", "test", "pretraining")


def _episodes(spec: Spec, root: Path) -> Task:
    rows = _single(spec, root)
    options = _options(spec, ("base", "validation", "novel", "way", "shot", "query"))
    options.pop("class_names", None)
    if rows.splits is not None and not {"base", "novel"} & set(spec):
        labels = np.asarray(rows.labels, dtype=object)
        kinds = {"base": "train", "validation": "validation", "novel": "test"}
        options |= {kind: sorted(set(labels[rows.splits == split].tolist()), key=str) for kind, split in kinds.items()}
    return episodes(
        rows.items,
        rows.labels,
        **options,
        domains=rows.domains if spec.get("cross_domain") else None,
        superclasses=rows.columns[spec["superclass"]] if "superclass" in spec else None,
        name=_named(spec, spec["from"]),
    )


def _multitask(spec: Spec, root: Path) -> Task:
    given = spec.get("targets")
    if not given:
        raise InputError("targets are missing; expected the names of their columns, or name: kind")
    names = [str(name) for name in given]
    kinds = {str(name): kind for name, kind in given.items()} if isinstance(given, Mapping) else {}
    rows = _single({**spec, "labels": names[0]}, root, used=names)
    columns = {name: rows.columns[name] for name in names}

    def part(split: str) -> tuple[Any, dict[str, Any]]:
        mask = rows.part(split)
        return rows.of(mask)[0], {name: taken(column, mask) for name, column in columns.items()}

    others: dict[str, Any] = {each: part(each) for each in ("validation", "test") if rows.part(each).any()}
    items, targets = part("train")
    return multitask(
        items,
        targets,
        **others,
        kinds={name: kind for name, kind in kinds.items() if kind is not None},
        **_options(spec, ()),
        name=_named(spec, spec["from"]),
    )


def _zero_shot(spec: Spec, root: Path) -> Task:
    rows = _single(spec, root)
    described = spec.get("descriptions")
    if isinstance(described, str):
        is_array = not rows.columns.is_table and described in rows.columns.columns
        described = rows.columns[described] if is_array else _descriptions(root / described)
    return zero_shot(
        rows.items,
        rows.labels,
        described,
        **_options(spec, ("unseen", "held_out", "generalized")),
        name=_named(spec, spec["from"]),
    )


def _descriptions(path: Path) -> dict[str, Any]:
    """Read the descriptions of classes: a YAML or JSON mapping, or a table of class and text, or class and numbers."""
    if path.suffix in (".yaml", ".yml", ".json"):
        import yaml

        if not path.is_file():
            raise InputError(f"there is no file {path}")
        found = yaml.safe_load(path.read_text("utf-8"))
        if not isinstance(found, dict):
            raise InputError(f"{path.name} holds a {type(found).__name__}; expected class: description")
        return {str(name): value for name, value in found.items()}
    (_, names), *others = read_columns(path).columns.items()
    columns = [np.asarray(column) for _, column in others]
    if len(columns) == 1 and columns[0].dtype.kind not in "biuf":
        return dict(zip(map(str, names), map(str, columns[0]), strict=True))
    return dict(zip(map(str, names), np.stack(columns, axis=1), strict=True))


def _single(spec: Spec, root: Path, *, used: Sequence[str] = ()) -> Rows:
    """Return the rows of the one file of a task."""
    if "from" not in spec:
        raise InputError("from is missing; expected the path of a file or folder")
    rows = _Files(spec, root).rows(spec["from"], "from", used=used)
    if rows.labels is None:
        raise InputError(
            f"{Path(spec['from']).name}: labels are missing; expected labels: NAME of their {rows.columns.noun}"
        )
    return rows


_BUILDERS: dict[str, Callable[[Spec, Path], Task]] = {
    "domain": _domain,
    "episode": _episodes,
    "finetuning": _fine_tuning,
    "multitask": _multitask,
    "zeroshot": _zero_shot,
}
