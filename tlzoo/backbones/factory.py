"""The list of backbones, and their creation by name."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import nn

from tlzoo.backbones.names import ADAPTERS, BUILT_IN, FROM_FOLDERS, loaded, refuse_path
from tlzoo.errors import InputTypeError
from tlzoo.functional.checks import check_counts, check_positive, check_shares
from tlzoo.signatures import check_arguments
from tlzoo.types import Backbone

__all__ = ["WIDTHS", "create_backbone"]

WIDTHS = {"identity": "num_features", "mlp": "num_inputs", "temporal": "in_channels"}
"""Built-in network -> the setting that is the last dimension of its items."""


def create_backbone(
    name: str | nn.Module | Callable[..., nn.Module], pretrained: bool = True, *, example: Any = None, **settings: Any
) -> Backbone:
    """Make a backbone.

    Args:
        name: one of :func:`list_backbones`; ``timm:NAME`` for a network of timm; ``sentence:NAME`` or
            ``sentence:FOLDER`` for one of sentence-transformers; ``clip:FOLDER`` for one that encodes images and texts;
            any module that maps (B, ...) to (B, D); a class or a function that makes one from settings, or
            ``"package.module:Name"`` of it.
        pretrained: load weights if the network has any (``efficientnet_lite0``, ``timm:``, ``sentence:``,
            ``clip:``). All other networks start with random weights.
        example: a few raw items; they tell the width of the inputs, and a dry run on them that of the features of a
            module of your own that declares none.
        **settings: settings of the network; the error for an unknown one lists them.

    Raises:
        ValueError: the name is unknown, or looks like a path.
        TypeError: a setting is unknown or missing.

    >>> create_backbone("conv4", image_size=28).num_features
    64
    """
    if isinstance(name, nn.Module):
        name = _compiled_in_place(name)
    if isinstance(name, Backbone):
        if settings:
            raise InputTypeError(f"{name.name} is made already; settings {', '.join(settings)} come too late")
        return name
    if isinstance(name, nn.Module):
        tried = {} if example is None else {"example": example}
        return _call(type(name).__name__, "wrapped:wrapped", name, settings=settings | tried)
    if not isinstance(name, str):
        return _own(getattr(name, "__name__", "backbone"), name, settings, example)
    prefix, colon, rest = name.partition(":")
    if colon and (prefix := prefix.casefold()) in ADAPTERS:
        if prefix not in FROM_FOLDERS:
            refuse_path(rest)
        made = _call(f"{prefix}:{rest}", ADAPTERS[prefix], rest, settings={"pretrained": pretrained, **settings})
    elif name.casefold() in BUILT_IN:
        if example is not None and (width := WIDTHS.get(name.casefold())) is not None:
            settings = {width: int(example.shape[-1]), **settings}
        made = _call(name.casefold(), BUILT_IN[name.casefold()], settings=settings, pretrained=pretrained)
    else:
        return _own(name, loaded(name), settings, example)
    made.recipe = (name, settings)
    return made


def _compiled_in_place(module: nn.Module) -> nn.Module:
    """Return what ``torch.compile(module)`` wraps, compiled in place as by ``module.compile()``.

    The wrapper would hide the layer groups and rename the weights in checkpoints.
    """
    inner, compiler = getattr(module, "_orig_mod", None), getattr(module, "dynamo_ctx", None)
    if not isinstance(inner, nn.Module) or compiler is None:
        return module
    inner._compiled_call_impl = compiler(inner._call_impl)
    return inner


def _own(name: str, make: Any, settings: dict[str, Any], example: Any) -> Backbone:
    """Return the backbone of a class or function of the user's own.

    Settings that it does not take go to the wrapper: ``num_features``, ``input_shape``, ``modality`` ...
    """
    taken = inspect.signature(make).parameters
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values())
    own = settings if open_ended else {key: value for key, value in settings.items() if key in taken}
    module = make(**own)
    if not isinstance(module, nn.Module):
        raise InputTypeError(f"{name} made a {type(module).__name__}; expected a torch.nn.Module")
    rest = {key: value for key, value in settings.items() if key not in own}
    if isinstance(module, Backbone):  # what it says of itself may be said again
        rest = {key: value for key, value in rest.items() if getattr(module, key, None) != value}
    return create_backbone(module, example=example, **rest)


def _call(name: str, target: str, *arguments: Any, settings: dict[str, Any], pretrained: bool = False) -> Backbone:
    """Call the function of a network after checking the settings against its signature."""
    module, function_name = target.split(":")
    function: Callable[..., Backbone] = getattr(importlib.import_module(f"tlzoo.backbones.{module}"), function_name)
    signature = inspect.signature(function)
    if "pretrained" in signature.parameters and "pretrained" not in settings:
        settings = {"pretrained": pretrained, **settings}
    try:
        signature.bind(*arguments, **settings)
    except TypeError as error:
        known = [_spelled(p) for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
        raise InputTypeError(f"{name}: {error}; its settings are {', '.join(known)}") from None
    check_arguments(function, arguments, settings)
    _check(settings)
    return function(*arguments, **settings)


_CHECKS: dict[str, Callable[..., None]] = {
    **dict.fromkeys(("num_inputs", "num_features", "width", "image_size", "in_channels", "channels"), check_counts),
    "hidden": check_counts,
    "dropout": partial(check_shares, below_one=True),
    "crop": partial(check_shares, above_zero=True),
    "std": check_positive,
}
"""Setting of a network -> what each of its values must be."""


def _check(settings: Mapping[str, Any]) -> None:
    """Check the values of settings, each entry of a list.

    Raises:
        ValueError: a value is out of range.
    """
    for name, check in _CHECKS.items():
        value = settings.get(name)
        for each in value if isinstance(value, list | tuple) else [value]:
            if each is not None:
                check(**{name: each})


def _spelled(parameter: inspect.Parameter) -> str:
    has_default = parameter.default is not parameter.empty
    return f"{parameter.name}={parameter.default!r}" if has_default else parameter.name
