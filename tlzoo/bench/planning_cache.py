"""A cache of what planning needs to know about methods, tasks and backbones, so that it need not load torch.

The cache key is a fingerprint of everything that the facts depend on: all code of this package, the file of the
protocol, and the versions of the installed dependencies. If any of these changes, the facts are determined again, so
they never go stale. A task without a pinned source, such as a user's folder, is never cached.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tlzoo
from tlzoo import registry
from tlzoo.backbones import names
from tlzoo.data import catalog
from tlzoo.errors import InputError
from tlzoo.registry import METHODS, family_of, method_class, resolve_name, short_name
from tlzoo.space import described
from tlzoo.storage import home, keep_file
from tlzoo.storage.contents import content_hashes

if TYPE_CHECKING:
    from tlzoo.data.tasks import Task

__all__ = ["DEFAULT_PROTOCOL", "Facts", "code_fingerprint"]

DEFAULT_PROTOCOL = "tlzoo.bench.protocols"
_KEPT_FILES = 8


def code_fingerprint(protocol: str = DEFAULT_PROTOCOL) -> str:
    """Return a hash of this package's code, the protocol's code and the versions of installed dependencies."""
    digest = hashlib.sha256()
    root = Path(tlzoo.__file__).parent
    files = sorted([*root.rglob("*.py"), *root.rglob("*.pyi")])
    if not protocol.startswith("tlzoo."):
        spec = importlib.util.find_spec(protocol)
        if spec is None or spec.origin is None:
            raise InputError(f"no protocol module {protocol!r}; give the name of an importable module")
        files.append(Path(spec.origin))
    for file in files:
        digest.update(f"{file.name} {file.parent.name}\0".encode() + file.read_bytes())
    for name, version in sorted(dependency_versions().items()):
        digest.update(f"{name}={version}\0".encode())
    return digest.hexdigest()[:16]


def dependency_versions() -> dict[str, str]:
    """Return the versions of the declared dependencies that are installed."""
    versions = {}
    for requirement in importlib.metadata.requires("tlzoo") or []:
        matched = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement)
        if matched:
            try:
                versions[matched[0]] = importlib.metadata.version(matched[0])
            except importlib.metadata.PackageNotFoundError:
                continue  # of an extra that is not installed
    return versions


class Facts:
    """Facts of one state of the code.

    Args:
        protocol: name of the module that runs cells. Beside ``run(cell, on_progress)`` and ``prepare(cells)`` it has
            ``REVISIONS``, a mapping of kind to integer, and may have ``allowed(kind)``, a mapping of ``"module"`` and
            ``"budget"`` to the names that a suite may set there, and ``SEARCH``, a mapping of kind to ``rules`` (which
            choose among settings, none of them by test labels; the first is the usual one) and ``module`` (settings of
            the module that may be tuned).
    """

    def __init__(self, protocol: str = DEFAULT_PROTOCOL) -> None:
        self.protocol = protocol
        self._file = home() / "facts" / f"{code_fingerprint(protocol)}.json"
        self._fresh: dict[str, Any] = {}
        self._session: dict[str, Any] = {}
        try:
            self._known: dict[str, Any] = json.loads(self._file.read_text())
        except (OSError, ValueError):
            self._known = {}

    def method(self, name: str) -> dict[str, Any]:
        """Return what planning needs to know about a method.

        Its ``name`` in a cell, ``family``, ``revision``, ``sees``, ``label``, ``settings`` (None: anything goes),
        ``parts``, ``space`` with the ``defaults`` of what is in it, ``kinds`` (names of its base classes), ``citation``
        of its paper, and ``code`` of what is not built in.

        Raises:
            ValueError: the name is unknown or ambiguous, or its module cannot be imported.
        """
        full = resolve_name(name)
        code = registry.code_of(full)
        facts: dict[str, Any] = self._remembered(f"method {full}", lambda: _method_facts(full), code=code)
        return {**facts, "code": code}

    def task(self, name: str | Mapping[str, Any], root: str | None = None) -> dict[str, Any]:
        """Return what planning needs to know about a task, given by name or described.

        Its ``name`` in a cell, ``kind``, ``checksum``, ``modality``, ``metric``, ``tested`` (whether test labels are
        known), ``code``, and ``data`` if it is described.

        Raises:
            ValueError: the name is unknown, or the files do not hold such a task.
        """
        if not isinstance(name, str):
            return self._described_task(name, root)
        code = catalog.code_of(name)

        def establish() -> dict[str, Any]:
            task = tlzoo.load_task(name) if root is None else tlzoo.load_task(name, root=root)
            return _task_facts(task, catalog.reference(name))

        key = _key(f"task {name} root {root}", code)
        fact: dict[str, Any] = self._remembered(key, establish, lasting=False)
        if fact["pinned"] and root is None and key not in self._known:
            self._fresh[key] = fact
        return {**fact, "code": code, "data": {}}

    def _described_task(self, spec: Mapping[str, Any], root: str | None) -> dict[str, Any]:
        """Return the facts of a task on the user's files, which are read again only if they change."""
        folder = Path(root if root is not None else spec.get("root", ".")).expanduser().absolute()
        files = catalog.files_of(spec, folder)
        hashes = [content_hashes(file.parent, [file])[file.name] for file in files]
        key = f"task {json.dumps(spec, sort_keys=True, default=str)} root {folder} {' '.join(hashes)}"
        fact: dict[str, Any] = self._remembered(
            key, lambda: _task_facts(tlzoo.load_task(spec, root=folder)), lasting=False
        )
        if fact["whole"] and files and key not in self._known:
            self._fresh[key] = fact
        return {**fact, "code": {}, "data": {**spec, "root": str(folder)}}

    def backbone(self, name: str) -> dict[str, Any]:
        """Return ``name`` in a cell, ``modality`` (None if unknown), ``code`` and ``own`` (not built in) of a backbone.

        Raises:
            ValueError: there is none of this name, or its module cannot be imported.
        """
        code = names.code_of(name)
        modality: str | None = self._remembered(f"backbone {name}", lambda: names.check_backbone(name), code=code)
        own = bool(names.EXTENSIONS.code(name))
        return {"name": names.EXTENSIONS.reference(name), "modality": modality, "code": code, "own": own}

    def fits(self, backbone: str | None, task: Mapping[str, Any], root: str | None, settings: Mapping[str, Any]) -> int:
        """Return the width of a backbone's features of a task's items, found by a dry run.

        Args:
            backbone: name; None for the items as they are.
            task: the facts of the task.
            root: folder of the user's data.
            settings: of the backbone.

        Raises:
            ValueError: the backbone cannot be made, or cannot take the items; the message has its own error.
        """
        name = backbone or "identity"
        code = {**names.EXTENSIONS.code(name), **task["code"]}
        key = _key(f"fit {name} {json.dumps(settings, sort_keys=True, default=str)} {task['checksum']}", code)

        def establish() -> int:
            from tlzoo.backbones.from_example import dry_run

            loaded = tlzoo.load_task(task["data"] or task["name"], root=root)
            return dry_run(name, loaded.example(), settings)

        width: int = self._remembered(key, establish, lasting=names.EXTENSIONS.is_shared(name))
        return width

    def protocol_of(self, kind: str) -> dict[str, Any]:
        """Return what planning needs to know about the protocol of a kind.

        Its ``revision``, ``allowed`` (names that may be set), ``search``, ``methods_in`` (settings that name one), and
        ``not_of`` (base class of methods -> settings of the module that make no difference to them).
        """

        def establish() -> dict[str, Any]:
            module: Any = importlib.import_module(self.protocol)
            if lacking := [name for name in ("REVISIONS", "prepare", "run") if not hasattr(module, name)]:
                raise InputError(f"{self.protocol} is no protocol: it has no {', '.join(lacking)}")
            allowed = module.allowed(kind) if hasattr(module, "allowed") else {}
            search = getattr(module, "SEARCH", {}).get(kind, {})
            return {
                "revision": int(module.REVISIONS[kind]),
                "allowed": {part: sorted(names) for part, names in allowed.items()},
                "search": {part: list(search.get(part, ())) for part in ("rules", "module")},
                "methods_in": getattr(module, "METHODS_IN", {}).get(kind, {}),
                "not_of": {own: list(names) for own, names in getattr(module, "NOT_OF", {}).get(kind, {}).items()},
            }

        known: dict[str, Any] = self._remembered(f"protocol {kind}", establish)
        return known

    def save(self) -> None:
        """Write the new facts; if other processes do so as well, the last one wins."""
        if not self._fresh:
            return
        keep_file(self._file, json.dumps({**self._known, **self._fresh}, indent=1, sort_keys=True).encode())
        self._known |= self._fresh
        self._fresh = {}
        old = sorted(self._file.parent.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in old[_KEPT_FILES:]:
            path.unlink(missing_ok=True)

    def _remembered(
        self, key: str, establish: Callable[[], Any], *, code: Mapping[str, str] | None = None, lasting: bool = True
    ) -> Any:
        key = _key(key, code or {})
        if key in self._known:
            return self._known[key]
        if key not in self._session:
            self._session[key] = establish()
            if lasting:
                self._fresh[key] = self._session[key]
        return self._session[key]


def _task_facts(task: Task, name: str | None = None) -> dict[str, Any]:
    sets = task.sets()
    tested = [getattr(sets[name], "labels", None) is not None for name in ("target_test",) if name in sets]
    return {
        "name": name or task.name,
        "kind": task.kind,
        "checksum": task.checksum,
        "metric": str(getattr(task, "metric", "accuracy")),
        "pinned": bool(task.sources),
        "modality": next((str(examples.modality) for examples in sets.values()), None),
        "tested": all(tested),
        # what is read of files that it names, and of no further ones, such as pictures
        "whole": all(type(examples.base[0]).__module__ == "numpy" for examples in sets.values()),
    }


def _key(key: str, code: Mapping[str, str]) -> str:
    """Return the key of a fact that depends on code which is not ours."""
    return " ".join([key, *(f"[{name} {origin}]" for name, origin in sorted(code.items()))])


def _method_facts(full: str) -> dict[str, Any]:
    cls = method_class(full)
    parameters = list(inspect.signature(cls).parameters.values())
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    return {
        "name": registry.reference(full),
        "family": family_of(full),
        "citation": cls.paper.citation if cls.paper else "baseline",
        "revision": cls.revision,
        "sees": sorted(str(item) for item in cls.sees),
        "label": " + ".join(map(_label, full.split("+"))),
        "parts": dict(cls.parts),
        "kinds": [base.__name__ for base in cls.__mro__],
        "space": {name: described(each) for name, each in cls.space.items()},
        "defaults": {
            parameter.name: parameter.default
            for parameter in parameters
            if parameter.name in cls.space and parameter.default is not parameter.empty
        },
        "settings": None if open_ended else sorted(parameter.name for parameter in parameters),
    }


def _label(full: str) -> str:
    cls = method_class(full)
    if cls.label:
        return cls.label
    return cls.__name__ if cls.paper or full not in METHODS else short_name(full).replace("_", " ")
