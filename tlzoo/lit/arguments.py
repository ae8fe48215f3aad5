"""What constructors of the modules make of their arguments: backbones and methods by name or as objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from tlzoo.backbones import create_backbone
from tlzoo.errors import InputError, InputTypeError
from tlzoo.extensions import is_import_path
from tlzoo.methods.base import Method
from tlzoo.registry import METHODS, accepted_settings, create_method, family_of, method_class, resolve_name
from tlzoo.types import Backbone

if TYPE_CHECKING:
    from tlzoo.lit.module import TransferModule

__all__ = ["as_backbone", "as_method", "objects", "taker_of"]


def objects(**arguments: Any) -> list[str]:
    """Return the names of arguments that are modules, whose weights are in the checkpoint."""
    return [name for name, value in arguments.items() if isinstance(value, nn.Module)]


def as_backbone(backbone: str | nn.Module, settings: Mapping[str, Any] | None) -> Backbone:
    """Return the backbone given by name and settings, or as a module."""
    if isinstance(backbone, Backbone):
        return backbone
    return create_backbone(backbone, **dict(settings or {}))


def as_method(
    method: str | Method | Any, module: type[TransferModule], settings: Mapping[str, Any] | None, **shape: Any
) -> Any:
    """Return the method given by name and settings, or as an object.

    A bare name is first looked up in the module's own families. The method gets those entries of ``shape`` that it
    needs.

    Raises:
        ValueError: the method of this name belongs to another module, which the message names.
        TypeError: a given method belongs to another module.
    """
    if isinstance(method, Method):
        if not isinstance(method, module.takes):
            raise InputTypeError(_misplaced(type(method), method.name, module))
        return method
    if not isinstance(method, str):
        name = getattr(method, "__name__", type(method).__name__)
        raise InputTypeError(f"method {name} is no name and no method; give an object, {name}(...), or 'module:{name}'")
    full = "+".join(_in_families(part.strip(), module.families) for part in method.split("+"))
    cls = method_class(full)
    families = set(module.families) if is_import_path(full) else {family_of(part) for part in full.split("+")}
    if not issubclass(cls, module.takes) or not families & set(module.families):
        raise InputError(_misplaced(cls, full, module))
    return create_method(full, **accepted_settings(full, **shape) | dict(settings or {}))


def _misplaced(cls: type[Method], name: str, module: type[TransferModule]) -> str:
    return f"{name} is a method for {taker_of(cls, name)}, not for {module.__name__}"


_TAKERS = {
    "FeatureTransform": "DomainData(transform=...)",
    "FeatureMethod": "tlzoo.estimators.DomainAdapter, or tlzoo.methods.transforms.AlignedClassifier",
    "SourceFree": "SourceFreeAdaptation",
    "TestTime": "TestTimeAdaptation",
    "DomainMethod": "DomainAdaptation",
    "EpisodeClassifier": "OneShot",
    "MetaLearner": "OneShot",
    "ImageTextClassifier": "the benchmark harness, or your own loop",
    "Weighting": "Multitask",
    "Compatibility": "ZeroShot",
    "TextCompatibility": "ZeroShot",
    "Strategy": "FineTuning",
}
"""Kind of method -> what takes it, the special kinds first."""


def taker_of(cls: type[Method], name: str) -> str:
    """Return the module that takes a method."""
    bases = {base.__name__ for base in cls.__mro__}
    taker = next((taker for base, taker in _TAKERS.items() if base in bases), "no module")
    return "DomainConfusion" if taker == "DomainAdaptation" and name.startswith("confusion/") else taker


def _in_families(name: str, families: tuple[str, ...]) -> str:
    """Return the full name of a method that may be bare: looked for in ``families`` first."""
    own = [f"{family}/{name}" for family in families if f"{family}/{name}" in METHODS]
    return resolve_name(own[0] if own else name)
