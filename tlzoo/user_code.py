"""The code of a user's object: its files, a hash of them, and their package.

A benchmark cell runs again when the code of its method changes. For code outside tlzoo, a hash of the module and of the
neighboring modules that it imports detects changes, together with the version of the installed package. Nothing is
imported for this.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import marshal
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from tlzoo.errors import InputError

__all__ = ["class_hash", "distribution_of", "find_file", "folder_of", "import_path", "module_hash", "object_hash"]

_DIGITS = 16


def folder_of(path: str) -> str | None:
    """Return the folder of an import path that begins with a file, otherwise None."""
    file, _, _ = path.rpartition(":")
    return str(Path(file).resolve().parent) if file.endswith(".py") else None


def find_file(module: str) -> Path | None:
    """Return the file of a module, given by name or file, without importing it; None if there is none."""
    if module.endswith(".py"):
        return Path(module) if Path(module).is_file() else None
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)  # finding a name without a dot imports nothing
    except ValueError:
        return None  # __main__ of an interactive session
    name = top
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            return None
        name = f"{name}.{part}"
        spec = PathFinder.find_spec(name, list(spec.submodule_search_locations))
    return Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None


def import_path(target: Any) -> str | None:
    """Return ``module:Name`` of an object that other processes can import, otherwise None."""
    module, name = getattr(target, "__module__", None), getattr(target, "__qualname__", None)
    if not module or not name or module == "__main__" or "<" in name:
        return None
    loaded, found = getattr(sys.modules.get(module), "__file__", None), find_file(module)
    same = loaded is not None and found is not None and found.exists() and found.samefile(loaded)
    return f"{module}:{name}" if same else None


def module_hash(module: str) -> str:
    """Return a hash of the source of a module, given by name or file, and of the neighboring modules that it imports.

    Neighbors are modules of the same package or, without a package, of the same folder. For a loaded module, the first
    hash counts until it is loaded again, because this process keeps running that code even if the file changes.

    Raises:
        ValueError: there is no such module.
    """
    spec = getattr(sys.modules.get(_name(module)), "__spec__", None)
    if spec is not None and (known := _hashed.get(spec.name)) is not None and known[0] is spec:
        return known[1]
    file = _loaded_or_found(module)
    if file is None or not file.is_file():
        raise InputError(f"the source of module {module!r} cannot be found")
    depth = 0 if module.endswith(".py") else module.count(".") + (file.stem == "__init__")
    file = file.absolute()
    root = file.parents[depth]
    digest = hashlib.sha256()
    for each in sorted(_with_imports(file, root)):
        digest.update(each.relative_to(root).as_posix().encode() + b"\0" + each.read_bytes() + b"\0")
    if spec is not None:
        _hashed[spec.name] = spec, digest.hexdigest()[:_DIGITS]
    return digest.hexdigest()[:_DIGITS]


_hashed: dict[str, tuple[ModuleSpec, str]] = {}
"""Loaded module -> its loader, and the hash of its source."""


def _name(module: str) -> str:
    return Path(module).stem if module.endswith(".py") else module


def _loaded_or_found(module: str) -> Path | None:
    loaded = getattr(sys.modules.get(module), "__file__", None)
    return Path(loaded) if loaded else find_file(module)


def _with_imports(file: Path, root: Path) -> set[Path]:
    """Return a file, its packages, and all files under ``root`` that these import directly or indirectly."""
    found: set[Path] = set()
    waiting = [file, *_packages(file, root)]
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            if each.suffix == ".py":
                waiting += _imported(each, root, top=file)
    return found


def _packages(file: Path, root: Path) -> list[Path]:
    folders = [folder for folder in file.parents if folder != root and folder.is_relative_to(root)]
    return [folder / "__init__.py" for folder in folders if (folder / "__init__.py").is_file()]


def _imported(file: Path, root: Path, *, top: Path) -> Iterator[Path]:
    """Yield the files under ``root`` that a file may import; within a package, only files of that package.

    Among installed packages, a module without package has no neighbors. The code of tlzoo has revisions instead.
    """
    package = top.relative_to(root).parts[0] if top.parent != root else None
    if package is None and next(root.glob("*.dist-info"), None):
        return
    for name in _names(file, root):
        parts = name.split(".")
        if parts[0] == "tlzoo" or parts[0] != (package or parts[0]):
            continue
        for count in range(1, len(parts) + 1):
            place = root.joinpath(*parts[:count])
            yield from (path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file())


def _names(file: Path, root: Path) -> Iterator[str]:
    """Yield the full names of the modules and objects that a file imports."""
    here = file.relative_to(root).parent.parts
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError:
        return  # the import will report it
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = here[: len(here) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names)


@cache
def distribution_of(module: str) -> str:
    """Return name and version of the installed package of a module, or an empty string."""
    if module.endswith(".py") or (file := find_file(module)) is None:
        return ""
    top = module.split(".")[0]
    root = file.parents[module.count(".") + (file.stem == "__init__")]
    for each in metadata.distributions(path=[str(root)]):
        listed = each.read_text("top_level.txt")
        tops = listed.split() if listed else {Path(str(path)).parts[0].removesuffix(".py") for path in each.files or ()}
        if top in tops:
            return f"{each.name} {each.version}"
    return ""


def object_hash(target: Any) -> str:
    """Return a hash of the code of an object that is defined in this session.

    It covers the functions, classes and plain values of the session that the object uses, directly or not.
    """
    found: dict[str, str] = {}
    waiting: list[Any] = [target if isinstance(target, type) or inspect.isroutine(target) else type(target)]
    while waiting:
        each = waiting.pop()
        name = getattr(each, "__qualname__", repr(each))
        if name in found:
            continue
        found[name] = _text(each)
        around = next((code.__globals__ for code in _functions(each)), {})
        for used in sorted(_names_in(each)):
            value = around.get(used)
            if _is_plain(value):
                found[used] = repr(value)
            elif (isinstance(value, type) or inspect.isfunction(value)) and value.__module__ == each.__module__:
                waiting.append(value)
        waiting += [base for base in getattr(each, "__mro__", ())[1:] if base.__module__ == each.__module__]
    return hashlib.sha256("\0".join(f"{name}\0{found[name]}" for name in sorted(found)).encode()).hexdigest()[:_DIGITS]


def _text(target: Any) -> str:
    """Return the source of a class or function; where nothing has kept it, its bytecode and plain attributes."""
    try:
        return inspect.getsource(target)
    except (OSError, TypeError):
        codes = [each.__code__.replace(co_filename="", co_firstlineno=1) for each in _functions(target)]
        members = vars(target) if isinstance(target, type) else {}
        plain = {name: value for name, value in sorted(members.items()) if name[:2] != "__" and _is_plain(value)}
        return hashlib.sha256(b"".join(map(marshal.dumps, codes)) + repr(plain).encode()).hexdigest()


def _functions(target: Any) -> list[FunctionType]:
    """Return a function, or the functions in the body of a class."""
    members = vars(target).values() if isinstance(target, type) else (target,)
    plain = [getattr(each, "__func__", None) or getattr(each, "fget", None) or each for each in members]
    return [function for each in plain if isinstance(function := inspect.unwrap(each), FunctionType)]


def _names_in(target: Any) -> set[str]:
    """Return the names that the functions of an object look up."""
    found: set[str] = set()
    codes: list[CodeType] = [function.__code__ for function in _functions(target)]
    while codes:
        code = codes.pop()
        found |= set(code.co_names)
        codes += [constant for constant in code.co_consts if inspect.iscode(constant)]
    return found


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_plain, [*value, *value.values()]))
    if isinstance(value, tuple | list | set | frozenset):
        return all(map(_is_plain, value))
    return isinstance(value, bool | int | float | complex | str | bytes)


def class_hash(cls: type) -> str:
    """Return a hash of the code of a class; empty if it is in an installed package or cannot be read."""
    if cls.__module__.split(".")[0] in ("tlzoo", "torch") or distribution_of(cls.__module__):
        return ""
    try:
        return module_hash(cls.__module__) if import_path(cls) else object_hash(cls)
    except ValueError:
        return ""
