"""Names of backbones; light, so that they can be listed and checked without torch."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlzoo.errors import InputError, InputTypeError
from tlzoo.extensions import Extensions
from tlzoo.spelling import nearest
from tlzoo.storage.contents import content_hashes
from tlzoo.user_code import find_file

if TYPE_CHECKING:
    from torch import nn

    from tlzoo.types import Modality

__all__ = [
    "ADAPTERS",
    "BUILT_IN",
    "EXTENSIONS",
    "FROM_FOLDERS",
    "PATTERNS",
    "check_backbone",
    "code_of",
    "list_backbones",
    "loaded",
    "refuse_path",
    "register_backbone",
    "unknown_backbone",
]

BUILT_IN: dict[str, str] = {
    "conv4": "conv4:conv4",
    "efficientnet_lite0": "efficientnet_lite0:efficientnet_lite0",
    "efficientnet_lite2": "efficientnet_lite0:efficientnet_lite2",
    "identity": "identity:identity",
    "lenet": "lenet:lenet",
    "message_passing": "message_passing:message_passing",
    "mlp": "mlp:mlp",
    "pixels": "pixels:pixels",
    "resnet12": "resnet12:resnet12",
    "resnet26_gn": "resnet26_gn:resnet26_gn",
    "resnext29": "resnext29:resnext29",
    "segnet": "segnet:segnet",
    "temporal": "temporal:temporal",
    "wide_resnet": "wide_resnet:wide_resnet",
}
"""Name -> ``module:function`` in this package."""

ADAPTERS: dict[str, str] = {
    "clip": "clip:clip",
    "sentence": "sentence:sentence",
    "timm": "timm_network:timm_network",
    "transformers": "transformers_network:transformers_network",
}
"""Prefix before the colon -> ``module:function``; the function takes what follows the colon first."""

MODALITIES: dict[str, Modality] = {
    **dict.fromkeys(
        (
            *("conv4", "efficientnet_lite0", "efficientnet_lite2", "lenet", "pixels", "resnet12", "resnet26_gn"),
            *("resnext29", "segnet", "timm", "wide_resnet"),
        ),
        "image",
    ),
    **dict.fromkeys(("identity", "message_passing", "mlp"), "features"),
    "sentence": "text",
    "temporal": "series",
}
"""Modality of each built-in backbone and prefix; ``clip:`` takes both images and texts, ``transformers:`` either."""

FROM_FOLDERS = ("clip", "sentence", "transformers")
"""Prefixes that a folder may follow."""

PATTERNS = {
    "timm:NAME": "image",
    "sentence:NAME": "text",
    "sentence:FOLDER": "text",
    "clip:FOLDER": "image, text",
    "transformers:FOLDER": "image or text",
}
"""Names that stand for many networks, with their modality."""

_WEIGHT_FILES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")

EXTENSIONS = Extensions(
    "backbone", built_in=lambda name: name.casefold() in BUILT_IN or name.partition(":")[0].casefold() in ADAPTERS
)


def list_backbones() -> list[str]:
    """Return the names that stand for one network each, built-in ones first.

    ``timm:``, ``sentence:`` and ``clip:`` stand for many more.

    >>> "efficientnet_lite0" in list_backbones()
    True
    """
    return [*sorted([*BUILT_IN, "sentence:minilm"]), *EXTENSIONS.names()]


def register_backbone(name: str, network: type[nn.Module] | Callable[..., nn.Module] | str) -> None:
    """Register a backbone for this process: ``register_backbone("mine", MyNetwork)``.

    An installable package should register an entry point ``tlzoo.backbones`` instead. A class or function in a module
    needs no registration: ``"package.module:MyNetwork"`` names it.

    Args:
        name: name of the backbone; registering it again replaces the backbone.
        network: a class or function that returns the module for given settings, or its ``"package.module:Name"``.

    Raises:
        ValueError: a built-in backbone or an installed package has this name.
    """
    EXTENSIONS.register(name, network)


def check_backbone(name: str) -> Modality | None:
    """Check that a backbone of this name exists, without building it, and return its modality, or None if unknown.

    Names on the model hub are not checked.

    Raises:
        ValueError: there is none, or its module cannot be imported.
        TypeError: it is no class or function.
    """
    prefix, colon, rest = name.partition(":")
    if colon and (prefix := prefix.casefold()) in ADAPTERS:
        if prefix not in FROM_FOLDERS:
            refuse_path(rest)
        if prefix == "timm":
            import timm

            if not timm.is_model(rest):
                raise InputError(nearest(rest, timm.list_models(), kind="network of timm"))
        if prefix == "transformers":
            folder = Path(rest).expanduser()
            if not (folder / "config.json").is_file():
                raise InputError(f"{folder} has no config.json; expected a folder that save_pretrained wrote")
            return "image" if (folder / "preprocessor_config.json").is_file() else "text"
        return MODALITIES.get(prefix)
    if name.casefold() in BUILT_IN:
        return MODALITIES[name.casefold()]
    modality: Modality | None = getattr(loaded(name), "modality", None)
    return modality


def code_of(name: str) -> dict[str, str]:
    """Return ``{"backbone NAME": identity}`` of what a name does not fix: the code of a network that is not built in.

    Of one from a folder, it is a hash of the files there, which holds their weights.
    """
    prefix, colon, rest = name.partition(":")
    if not (colon and prefix.casefold() in FROM_FOLDERS and (folder := Path(rest).expanduser()).is_dir()):
        return EXTENSIONS.code(name)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    digest = hashlib.sha256(repr(sorted(content_hashes(folder, files).items())).encode()).hexdigest()[:16]
    return {f"backbone {name}": f"files {digest}"}


def loaded(name: str) -> Any:
    """Return the class or function of a backbone that is not built in.

    Raises:
        ValueError: there is none of this name, or its module cannot be imported.
        TypeError: it is no class or function.
    """
    prefix, colon, _ = name.partition(":")
    misspelled = colon and find_file(prefix) is None and difflib.get_close_matches(prefix, ADAPTERS)
    own = None if misspelled else EXTENSIONS.get(name)
    if own is None:
        raise unknown_backbone(name)
    made = own.load()
    if not callable(made) or (hasattr(made, "forward") and not isinstance(made, type)):
        given = type(made).__name__
        raise InputTypeError(f"{name} is a {given}; expected a class of modules, or a function that makes one")
    return made


def unknown_backbone(name: str) -> ValueError:
    """Return the error for an unknown name."""
    try:
        refuse_path(name)
    except ValueError as error:
        return error
    return InputError(nearest(name, [*list_backbones(), *PATTERNS], kind="backbone"))


def refuse_path(name: str) -> None:
    """Reject a name that looks like a file, because a name alone never makes tlzoo load weights."""
    if name.startswith((".", "~")) or any(mark in name for mark in "/\\") or name.endswith(_WEIGHT_FILES):
        raise InputError(
            f"{name!r} looks like a path; expected the name of a network. For your own weights, pass the module "
            "itself, timm:NAME with checkpoint_path=..., sentence:FOLDER, clip:FOLDER or transformers:FOLDER"
        )
