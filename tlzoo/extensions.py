"""Methods, tasks and backbones of users and of other installed packages.

Each of the three registries finds them in the same three ways:

- ``"package.module:Name"`` or ``"path/to/file.py:Name"`` names an object without registration;
- a package registers entry points ``tlzoo.methods``, ``tlzoo.tasks`` or ``tlzoo.backbones``;
- ``register_method``, ``register_task`` and ``register_backbone`` register an object for the current process.

Nothing is imported before it is used, and entry points are only read for names that are not built in.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from tlzoo import user_code
from tlzoo.errors import InputError
from tlzoo.spelling import nearest

__all__ = ["Extension", "Extensions", "import_object", "is_import_path"]

_IMPORT_PATH = re.compile(r"(?:[^\W\d]\w*(?:\.[^\W\d]\w*)*|.+\.py):[^\W\d][\w.]*")


def is_import_path(name: str) -> bool:
    """Return whether a name is an import path: ``package.module:Name`` or ``path/to/file.py:Name``.

    >>> is_import_path("mypackage.methods:Mine"), is_import_path("mine.py:Mine"), is_import_path("adaptation/dan")
    (True, True, False)
    """
    return _IMPORT_PATH.fullmatch(name) is not None


def import_object(path: str) -> Any:
    """Import the object of an import path.

    The folder of a file is appended to ``sys.path``, as for a script, so that its neighbors can be imported.

    Raises:
        ValueError: the module cannot be imported or has no such object; the cause is the module's own error.
    """
    place, _, name = path.rpartition(":")
    module = _import(_module_of_file(path) if place.endswith(".py") else place, path)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            known = [each for each in vars(module) if not each.startswith("_")]
            raise InputError(f"{path}: {nearest(name, known, kind=f'name in {place}')}")
        found = getattr(found, part)
    return found


def _import(module: str, path: str) -> ModuleType:
    if (folder := user_code.folder_of(path)) is not None and folder not in sys.path:
        sys.path.append(folder)
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise InputError(f"{path} cannot be imported: {error}") from error
        raise InputError(
            f"{path}: there is no module {error.name!r}; run in the folder that contains it, install it, or set "
            "PYTHONPATH"
        ) from None
    except Exception as error:
        raise InputError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error


def _module_of_file(path: str) -> str:
    """Return the module name for importing a file.

    Raises:
        ValueError: there is no such file, or another module has its name.
    """
    file = Path(path.rpartition(":")[0])
    if not file.is_file():
        raise InputError(f"{path}: there is no file {file} in {Path.cwd()}")
    loaded = sys.modules.get(file.stem)
    other = getattr(loaded, "__file__", None) if loaded else user_code.find_file(file.stem)
    if (loaded or other) and (other is None or not file.samefile(other)):
        raise InputError(f"{path}: another module is called {file.stem!r} ({other or 'built in'}); rename the file")
    return file.stem


@dataclass(frozen=True)
class Extension:
    """An object that is not built in.

    Attributes:
        name: name of the object.
        target: the object, or its import path.
        distribution: name and version of the installed package that registers it; otherwise empty.
    """

    name: str
    target: Any
    distribution: str = ""

    def load(self) -> Any:
        """Return the object.

        Raises:
            ValueError: it cannot be imported.
        """
        return import_object(self.target) if isinstance(self.target, str) else self.target

    @cached_property
    def path(self) -> str | None:
        """The import path, or None if the object only exists in this process."""
        return self.target if isinstance(self.target, str) else user_code.import_path(self.target)

    @property
    def reference(self) -> str:
        """The name for a benchmark cell: one that other processes know, if there is one."""
        return self.name if self.distribution or is_import_path(self.name) else self.path or self.name

    @property
    def origin(self) -> str:
        """The identity of its code: the version of its package, if any, and a hash of its source.

        It is empty for an object without code, such as a task created in this process.

        Raises:
            ValueError: its source cannot be read.
        """
        if (path := self.path) is None:
            return user_code.object_hash(self.target) if callable(self.target) else ""
        module = path.rpartition(":")[0]
        if user_code.find_file(module) is None:
            self.load()  # an import error is more helpful than a missing source
        package = self.distribution or user_code.distribution_of(module)
        return " ".join(filter(None, (package, user_code.module_hash(module))))


class Extensions:
    """The extensions of one kind.

    Args:
        kind: ``"method"``, ``"task"`` or ``"backbone"``; determines the entry points ``tlzoo.KINDs``.
        built_in: returns whether a name is built in and thus reserved.
    """

    def __init__(self, kind: str, *, built_in: Callable[[str], bool]) -> None:
        self.kind = kind
        self.is_built_in = built_in
        self._registered: dict[str, Extension] = {}

    def register(self, name: str, target: Any) -> None:
        """Register ``name`` for an object or an import path in this process.

        Raises:
            ValueError: the name is built in, belongs to an installed package, or is an import path.
        """
        if is_import_path(name) or name != name.strip() or not name:
            raise InputError(f"{name!r} is no name for a {self.kind}; MODULE:NAME needs no registration")
        if self.is_built_in(name):
            raise InputError(f"{name!r} is a {self.kind} of tlzoo; choose another name")
        if (other := _folded(self._installed).get(name.casefold())) is not None:
            raise InputError(f"{name!r} is a {self.kind} of {other.distribution}; choose another name")
        if isinstance(target, str) and not is_import_path(target):
            raise InputError(f"{target!r} is no import path; expected package.module:Name")
        self._registered[name.casefold()] = Extension(name, target)

    def forget(self, name: str) -> None:
        """Undo :meth:`register`."""
        self._registered.pop(name.casefold(), None)

    def registered(self) -> list[str]:
        """Return the names that are registered in this process."""
        return [each.name for each in self._registered.values()]

    def names(self) -> list[str]:
        """Return the names of all that is registered, here or by installed packages."""
        return [*(each.name for each in self._installed.values()), *self.registered()]

    def get(self, name: str) -> Extension | None:
        """Return the extension with a name or an import path, or None.

        Names ignore case; ``NAME`` may stand for ``FAMILY/NAME``.

        Raises:
            ValueError: a bare name is ambiguous.
        """
        if is_import_path(name):
            return Extension(name, name)
        known = _folded(self._installed) | self._registered
        if (own := known.get(name.casefold())) is not None:
            return own
        ending = [each for folded, each in known.items() if folded.endswith(f"/{name.casefold()}")]
        if len(ending) > 1:
            raise InputError(f"{name!r} is ambiguous; write {' or '.join(each.name for each in ending)}")
        return ending[0] if ending else None

    def code(self, name: str) -> dict[str, str]:
        """Return ``{"KIND NAME": origin}`` of an extension, or an empty dictionary for a built-in name."""
        own = None if self.is_built_in(name) else self.get(name)
        return {f"{self.kind} {own.reference}": own.origin} if own is not None and own.origin else {}

    def reference(self, name: str) -> str:
        """Return the name for a benchmark cell; a built-in name stays unchanged."""
        own = None if self.is_built_in(name) else self.get(name)
        return name if own is None else own.reference

    def is_shared(self, name: str) -> bool:
        """Whether other processes can find the object, which is not the case if only this session defines it."""
        own = None if self.is_built_in(name) else self.get(name)
        return own is None or bool(own.distribution) or own.path is not None

    def require_shared(self, name: str) -> None:
        """Require an object that other processes can find.

        Raises:
            ValueError: only this session defines it.
        """
        if not self.is_shared(name):
            raise InputError(
                f"{self.kind} {name!r} is defined in this session, where worker processes cannot import it; move it to "
                "a module, or run with the executor in_process"
            )

    def named(self, target: Any) -> str | None:
        """Return the name under which this process registered an object."""
        return next((each.name for each in self._registered.values() if each.target is target), None)

    @cached_property
    def _installed(self) -> dict[str, Extension]:
        """Entry points by name; built-in names and those of earlier packages take precedence."""
        found: dict[str, Extension] = {}
        for point in metadata.entry_points(group=f"tlzoo.{self.kind}s"):
            of = f"{point.dist.name} {point.dist.version}" if point.dist else ""
            if not self.is_built_in(point.name):
                found.setdefault(point.name, Extension(point.name, point.value, of))
        return found


def _folded(extensions: dict[str, Extension]) -> dict[str, Extension]:
    return {name.casefold(): each for name, each in extensions.items()}
