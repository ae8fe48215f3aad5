"""Modules under arbitrary names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from torch import nn

__all__ = ["NamedModules", "attribute_name"]

_ESCAPED = "/"


def attribute_name(name: str, owner: type[nn.Module] = nn.Module) -> str:
    """Return an attribute name for a part called ``name``: the name itself, unless torch forbids it.

    Names of attributes (``"type"``, ``"values"``) and names with dots are escaped and begin with a slash.

    Args:
        name: any text.
        owner: the class whose attributes are reserved.

    Raises:
        ValueError: the name is empty.

    >>> attribute_name("age"), attribute_name("age.group"), attribute_name("values", nn.ModuleDict)
    ('age', '/age%2Egroup', '/values')
    """
    if not name:
        raise ValueError("an empty name; expected one letter or more")
    if "." not in name and not name.startswith(_ESCAPED) and not hasattr(owner(), name):
        return name
    return _ESCAPED + name.replace("%", "%25").replace(".", "%2E")


class NamedModules(nn.ModuleDict):
    """A dictionary of modules whose keys may be any text, such as names of tasks: ``"values"`` or ``"age.group"``.

    Plain names appear in ``state_dict`` as in :class:`torch.nn.ModuleDict`.

    >>> parts = NamedModules({"values": nn.Identity(), "age.group": nn.Identity()})
    >>> list(parts), "age.group" in parts, parts["values"]
    (['values', 'age.group'], True, Identity())
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        super().__init__(modules)

    def __getitem__(self, key: str) -> nn.Module:
        return super().__getitem__(_attribute(key))

    def __setitem__(self, key: str, module: nn.Module) -> None:
        super().__setitem__(_attribute(key), module)

    def __delitem__(self, key: str) -> None:
        super().__delitem__(_attribute(key))

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and bool(key) and _attribute(key) in self._modules

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> Any:
        """Return the original names."""
        return {_name(attribute): None for attribute in self._modules}.keys()

    def items(self) -> Any:
        """Return pairs of an original name and its module."""
        return {_name(attribute): module for attribute, module in self._modules.items()}.items()


def _attribute(name: str) -> str:
    return attribute_name(name, nn.ModuleDict)


def _name(attribute: str) -> str:
    return unquote(attribute[len(_ESCAPED) :]) if attribute.startswith(_ESCAPED) else attribute
