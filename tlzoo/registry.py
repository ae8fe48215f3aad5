"""Methods by name; nothing is imported before it is used.

Built-in methods are the rows of ``tlzoo/methods/FAMILY/__init__.pyi``, which type checkers and editors also read. To
add one, write its file, its row there, a test against a reference and a changelog line; the command line, the docs, the
conformance tests and suites follow from the row. Methods of other packages need none of this: see
:mod:`tlzoo.extensions`.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from tlzoo import lazy
from tlzoo.errors import InputError, InputTypeError
from tlzoo.extensions import Extensions, is_import_path
from tlzoo.spelling import nearest

if TYPE_CHECKING:
    from tlzoo.methods.base import Method

    M = TypeVar("M", bound=type[Method])

__all__ = [
    "EXTENSIONS",
    "FAMILIES",
    "METHODS",
    "accepted_settings",
    "code_of",
    "create_method",
    "family_of",
    "lazy_family",
    "list_methods",
    "method_class",
    "reference",
    "register_method",
    "registered_name",
    "resolve_name",
    "short_name",
]

FAMILIES = ("adaptation", "confusion", "multitask", "oneshot", "zeroshot", "finetuning")

_ROW = re.compile(r"^from \.(\w+) import (\w+) as \2$", re.MULTILINE)


def _rows(family: str) -> dict[str, str]:
    stub = Path(__file__).parent / "methods" / family / "__init__.pyi"
    return {f"{family}/{module}": name for module, name in _ROW.findall(stub.read_text(encoding="utf-8"))}


METHODS: dict[str, str] = {name: cls for family in FAMILIES for name, cls in _rows(family).items()}
"""``family/name`` of every built-in method -> its class in ``tlzoo.methods.<family>.<name>``."""

EXTENSIONS = Extensions("method", built_in=lambda name: _built_in(name) is not None)

_FAMILIES_OF_BASES = {
    "DomainMethod": "adaptation",
    "TestTime": "adaptation",
    "Weighting": "multitask",
    "EpisodeClassifier": "oneshot",
    "MetaLearner": "oneshot",
    "Compatibility": "zeroshot",
    "TextCompatibility": "zeroshot",
    "Strategy": "finetuning",
}
"""Base class -> family of a method that does not name its own."""


def lazy_family(family: str) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__all__``, ``__getattr__`` and ``__dir__`` of a family's package, which import classes on first use."""
    modules = {cls: f"tlzoo.methods.{name.replace('/', '.')}" for name, cls in METHODS.items() if _is_of(family, name)}
    return sorted(modules), *lazy.attach(f"tlzoo.methods.{family}", modules)


def list_methods(family: str | None = None) -> list[str]:
    """Return full method names, of one family or of all: built-in ones first, then those of extensions.

    >>> list_methods("oneshot")[:2]
    ['oneshot/protonet', 'oneshot/simpleshot']
    """
    if family is not None and family not in FAMILIES:
        raise InputError(nearest(family, FAMILIES, kind="family"))
    names = [*METHODS, *EXTENSIONS.names()]
    return names if family is None else [name for name in names if _is_of(family, name)]


def _is_of(family: str, name: str) -> bool:
    return name.split("/")[0] == family


@overload
def register_method(name: str, cls: M) -> M: ...
@overload
def register_method(name: str, cls: str) -> str: ...
@overload
def register_method(name: str) -> Callable[[M], M]: ...
def register_method(name: str, cls: Any = None) -> Any:
    """Register a method for this process: ``register_method("adaptation/mine", Mine)``, or as a decorator.

    Its name then works everywhere. An installable package should register an entry point ``tlzoo.methods`` instead. A
    class in a module needs no registration: ``"package.module:Mine"`` names it.

    Args:
        name: ``family/name``; registering a name again replaces the method.
        cls: the class, or its ``"package.module:Name"``.

    Raises:
        ValueError: the family does not exist, or a built-in method or an installed package has this name.
        TypeError: the class is not a :class:`~tlzoo.methods.base.Method`.
    """
    if cls is None:
        return lambda decorated: register_method(name, decorated)
    family, slash, short = name.partition("/")
    if not slash or not short:
        raise InputError(f"{name!r} is no name for a method; expected FAMILY/NAME, FAMILY one of {', '.join(FAMILIES)}")
    if family not in FAMILIES:
        raise InputError(nearest(family, FAMILIES, kind="family"))
    if not isinstance(cls, str):
        _checked_class(name, cls)
    EXTENSIONS.register(name, cls)
    return cls


def resolve_name(name: str) -> str:
    """Return the full name of a method from its full or its bare, unique name, ignoring case.

    Names joined by ``+`` are a composition, see :class:`tlzoo.methods.combined.Combined`. A user's class is named by
    its import path (``"package.module:Name"``).

    >>> resolve_name("MCC+dann")
    'adaptation/mcc+confusion/dann'

    Raises:
        ValueError: there is no such method (the message suggests the nearest names), or several have this name.
    """
    if "+" in name:
        return "+".join(resolve_name(part.strip()) for part in name.split("+"))
    if (full := _built_in(name)) is not None:
        return full
    if (own := EXTENSIONS.get(name)) is not None:
        return own.name
    shown = str if "/" in name else short_name
    related = map(shown, _that_mention(name))
    raise InputError(nearest(name, map(shown, list_methods()), kind="method", related=related))


def _built_in(name: str) -> str | None:
    """Return the full name of a built-in method from any of its names or the import path of its class."""
    return _spellings().get(_folded(name))


@cache
def _spellings() -> dict[str, str]:
    """Return every way to write the name of a built-in method: full, bare, its class, the class's import path."""
    found: dict[str, str] = {}
    for full, cls in METHODS.items():
        module = f"tlzoo.methods.{full.replace('/', '.')}"
        for spelling in (full, short_name(full), cls, f"{module}:{cls}", f"{module.rpartition('.')[0]}:{cls}"):
            found.setdefault(_folded(spelling), full)
    return found


def _folded(name: str) -> str:
    return name.casefold().replace("-", "_").replace(" ", "_")


def _that_mention(name: str) -> list[str]:
    """Return built-in methods with the word ``name`` in their first lines, those that begin with it first."""
    word = re.compile(rf"\b{re.escape(name)}\b", re.IGNORECASE)
    ranked = []
    for full, cls in METHODS.items():
        text = (Path(__file__).parent / "methods" / f"{full}.py").read_text(encoding="utf-8")
        heads = [text.partition("\n")[0], text.partition(f"class {cls}(")[2].partition('"""')[2][:200]]
        if place := [found.start() for head in heads if (found := word.search(head))]:
            ranked.append((min(place), full))
    return [full for _, full in sorted(ranked)]


def short_name(full: str) -> str:
    """Return the name of a method without its family, or the object name of an import path.

    >>> short_name("adaptation/dan"), short_name("package.module:Mine")
    ('dan', 'Mine')
    """
    return full.rpartition(":")[2] if is_import_path(full) else full.rpartition("/")[2]


def family_of(name: str) -> str:
    """Return the family of a method; a composition belongs to the family of its first part.

    A user's class that is not registered belongs to the family of its base class.
    """
    full = resolve_name(name).partition("+")[0]
    if (family := full.partition("/")[0]) in FAMILIES:
        return family
    bases = [base.__name__ for base in method_class(full).__mro__]
    return next(_FAMILIES_OF_BASES[base] for base in bases if base in _FAMILIES_OF_BASES)


def code_of(name: str) -> dict[str, str]:
    """Return the code of a method that is not built in, of a composition's parts: see :meth:`Extensions.code`."""
    return {key: origin for part in resolve_name(name).split("+") for key, origin in EXTENSIONS.code(part).items()}


def reference(name: str) -> str:
    """Return the name of a method for a benchmark cell, see :attr:`Extension.reference`."""
    return "+".join(map(EXTENSIONS.reference, resolve_name(name).split("+")))


def method_class(name: str) -> type[Method]:
    """Import and return the class of a method, or of a composition of several.

    Raises:
        ValueError: there is no such method, or its module cannot be imported.
        TypeError: the name does not stand for a :class:`~tlzoo.methods.base.Method`.
    """
    full = resolve_name(name)
    if "+" in full:
        combined: type[Method] = importlib.import_module("tlzoo.methods.combined").composition(tuple(full.split("+")))
        return combined
    if full in METHODS:
        cls: type[Method] = getattr(importlib.import_module(f"tlzoo.methods.{full.replace('/', '.')}"), METHODS[full])
        return cls
    own = EXTENSIONS.get(full)
    assert own is not None
    return _checked_class(full, own.load())


def _checked_class(name: str, cls: Any) -> type[Method]:
    base: type[Method] = importlib.import_module("tlzoo.methods.base").Method
    if not (isinstance(cls, type) and issubclass(cls, base)):
        given = cls.__name__ if isinstance(cls, type) else type(cls).__name__
        raise InputTypeError(f"{name} is no method but {given}; expected a subclass of one in tlzoo.methods")
    if not any(each.__name__ in _FAMILIES_OF_BASES for each in cls.__mro__):
        raise InputTypeError(f"{name} inherits from Method alone; expected a base class of a family, such as Alignment")
    return cls


def registered_name(cls: type[Method]) -> str:
    """Return the registered full name of a class, or the name of a user's class."""
    module = cls.__module__.removeprefix("tlzoo.methods.").replace(".", "/")
    if METHODS.get(module) == cls.__name__:
        return module
    return EXTENSIONS.named(cls) or cls.__name__


def accepted_settings(name: str, **offered: Any) -> dict[str, Any]:
    """Return those of the offered settings that the method's constructor takes.

    Modules offer the shape of their network; a method without parameters needs none of it.

    >>> accepted_settings("protonet", num_features=512)
    {}
    >>> accepted_settings("simpleshot", num_features=512)
    {'num_features': 512}
    """
    taken = inspect.signature(method_class(name)).parameters
    return {setting: value for setting, value in offered.items() if setting in taken}


def create_method(name: str, **settings: Any) -> Method:
    """Build a method by name: ``create_method("dan", num_features=256, num_classes=8)``.

    Raises:
        ValueError: the name is unknown or ambiguous; the message suggests the nearest names.
        TypeError: a setting is unknown, or a required one is missing; the message lists the settings.
    """
    cls = method_class(name)
    signature = inspect.signature(cls)
    try:
        signature.bind_partial(**settings)  # unknown settings are reported before missing ones
        signature.bind(**settings)
    except TypeError as error:
        known = ", ".join(_shown(parameter) for parameter in signature.parameters.values()) or "none"
        raise InputTypeError(f"{resolve_name(name)}: {error}; its settings are {known}") from None
    return cls(**settings)


def _shown(parameter: inspect.Parameter) -> str:
    return parameter.name if parameter.default is parameter.empty else f"{parameter.name}={parameter.default!r}"
