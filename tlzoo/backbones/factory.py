"""The list of backbones, and how one is made from its name."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from tlzoo.spelling import nearest
from tlzoo.types import Backbone

__all__ = ["create_backbone", "list_backbones"]

_BUILT_IN: dict[str, str] = {
    "conv4": "conv4:conv4",
    "efficientnet_lite0": "efficientnet_lite0:efficientnet_lite0",
    "identity": "identity:identity",
    "lenet": "lenet:lenet",
    "mlp": "mlp:mlp",
    "pixels": "pixels:pixels",
    "resnet12": "resnet12:resnet12",
    "temporal": "temporal:temporal",
}
"""Name -> ``module:function`` in this package."""

_ADAPTERS: dict[str, str] = {
    "clip": "clip:clip",
    "sentence": "sentence:sentence",
    "timm": "timm_network:timm_network",
}
"""Prefix before the colon -> ``module:function``; the function takes what follows the colon first."""

_FROM_FOLDERS = ("clip", "sentence")
"""Prefixes that a folder may follow."""

_WEIGHT_FILES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")


def list_backbones() -> list[str]:
    """Return the names that stand for one network each; ``timm:``, ``sentence:`` and ``clip:`` stand for many more.

    >>> "efficientnet_lite0" in list_backbones()
    True
    """
    return sorted([*_BUILT_IN, "sentence:minilm"])


def create_backbone(name: str | nn.Module, pretrained: bool = True, **settings: Any) -> Backbone:
    """Make a backbone.

    Args:
        name: one of :func:`list_backbones`; ``timm:NAME`` for a network of timm; ``sentence:NAME`` or
            ``sentence:FOLDER`` for one of sentence-transformers; ``clip:FOLDER`` for one that encodes images and texts;
            or any module that maps (B, ...) to (B, D).
        pretrained: load weights where the name stands for a network that has any (``efficientnet_lite0``, ``timm:``,
            ``sentence:``, ``clip:``). The other networks always start at random.
        **settings: of the network; an unknown one is answered with the list.

    Raises:
        ValueError: the name is unknown, or looks like a path.
        TypeError: a setting is unknown or missing.

    >>> create_backbone("conv4", image_size=28).num_features
    64
    """
    if isinstance(name, Backbone):
        if settings:
            raise TypeError(f"{name.name} is made already; settings {', '.join(settings)} come too late")
        return name
    if isinstance(name, nn.Module):
        return _call(type(name).__name__, "wrapped:wrapped", name, settings=settings)
    prefix, colon, rest = name.partition(":")
    if colon and prefix in _ADAPTERS:
        if prefix not in _FROM_FOLDERS:
            _refuse_path(rest)
        return _call(name, _ADAPTERS[prefix], rest, settings={"pretrained": pretrained, **settings})
    if name not in _BUILT_IN:
        _refuse_path(name)
        raise ValueError(
            nearest(name, [*list_backbones(), "timm:NAME", "sentence:NAME", "clip:FOLDER"], kind="backbone")
        )
    return _call(name, _BUILT_IN[name], settings=settings, pretrained=pretrained)


def _refuse_path(name: str) -> None:
    """Raise where a name looks like a file: weights are never loaded because of how something is called."""
    if name.startswith((".", "~")) or any(mark in name for mark in "/\\") or name.endswith(_WEIGHT_FILES):
        raise ValueError(
            f"{name!r} looks like a path; expected the name of a network. For weights of your own pass the module "
            "itself, timm:NAME with checkpoint_path=..., sentence:FOLDER or clip:FOLDER"
        )


def _call(name: str, target: str, *arguments: Any, settings: dict[str, Any], pretrained: bool = False) -> Backbone:
    """Call the function of a network, its signature held against the settings first."""
    module, function_name = target.split(":")
    function: Callable[..., Backbone] = getattr(importlib.import_module(f"tlzoo.backbones.{module}"), function_name)
    signature = inspect.signature(function)
    if "pretrained" in signature.parameters and "pretrained" not in settings:
        settings = {"pretrained": pretrained, **settings}
    try:
        signature.bind(*arguments, **settings)
    except TypeError as error:
        known = [_spelled(p) for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
        raise TypeError(f"{name}: {error}; its settings are {', '.join(known)}") from None
    return function(*arguments, **settings)


def _spelled(parameter: inspect.Parameter) -> str:
    has_default = parameter.default is not parameter.empty
    return f"{parameter.name}={parameter.default!r}" if has_default else parameter.name
