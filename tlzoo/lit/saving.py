"""A trained module in a folder: what it is as JSON, its numbers as safetensors; nothing is pickled."""

from __future__ import annotations

import importlib
import inspect
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

import tlzoo
from tlzoo.backbones import create_backbone
from tlzoo.backbones.wrapped import Wrapped
from tlzoo.errors import InputError, MissingFileError
from tlzoo.methods.base import Method
from tlzoo.nn.network import Network
from tlzoo.storage.files import commit, draft_name
from tlzoo.types import Backbone

if TYPE_CHECKING:
    from tlzoo.lit.module import TransferModule

__all__ = ["load", "save"]

FORMAT = 1
_DESCRIPTION, _WEIGHTS = "module.json", "weights.safetensors"


def save(module: TransferModule, path: str | os.PathLike[str]) -> Path:
    """Store a module in a new folder: ``module.json`` and ``weights.safetensors``.

    Args:
        module: to store, with what it needs to answer new items.
        path: of the folder.

    Returns:
        The folder.

    Raises:
        FileExistsError: there is something at ``path``.
        ValueError: settings that JSON does not hold.
    """
    from safetensors.torch import save_file

    folder = Path(path).expanduser()
    if folder.exists():
        raise FileExistsError(f"{folder} is there already; choose a new folder")
    tensors: dict[str, Tensor] = {}
    state = {name: _packed(value, tensors, name) for name, value in module.state_dict().items()}
    try:
        description = json.dumps({**_described(module), "state": state}, indent=2)
    except TypeError as error:
        raise InputError(
            f"{type(module).__name__} has settings that JSON does not hold ({error}); give names and plain numbers"
        ) from None
    draft = draft_name(folder)
    draft.mkdir(parents=True)
    save_file(tensors, draft / _WEIGHTS)
    (draft / _DESCRIPTION).write_text(description, encoding="utf-8")
    commit(draft, folder)
    return folder


def load(path: str | os.PathLike[str], **objects: nn.Module) -> Any:
    """Return the module that :meth:`~tlzoo.lit.module.TransferModule.save` stored, in evaluation mode.

    Args:
        path: of the folder.
        **objects: modules of the user's own that it was built from (``backbone``, ``network``), which the folder names
            but does not hold; their weights are replaced by the stored ones.

    Raises:
        FileNotFoundError: no module was stored there.
        ValueError: a newer version stored it, it is damaged, or objects are missing.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(path).expanduser()
    if not (folder / _DESCRIPTION).is_file():
        raise MissingFileError(f"{folder} holds no {_DESCRIPTION}; give a folder that save(path) made")
    try:
        stored = json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8"))
        tensors = load_file(folder / _WEIGHTS)
        _ = stored["format"], stored["arguments"], stored["state"]
    except (ValueError, KeyError, TypeError, FileNotFoundError, SafetensorError) as error:
        raise InputError(f"{folder} is damaged ({error!r}); save the module again") from error
    if stored["format"] > FORMAT:
        raise InputError(f"{folder} was saved by tlzoo {stored['tlzoo']}; this is {tlzoo.__version__}, update it")
    if missing := [name for name in stored["objects"] if name not in objects]:
        given = ", ".join(f"{name}=..." for name in missing)
        raise InputError(f"{folder} was saved with objects that it does not hold; call load({str(path)!r}, {given})")
    if isinstance(own := objects.get("backbone"), nn.Module) and not isinstance(own, Backbone):
        objects["backbone"] = create_backbone(own, **stored.get("wrapping", {}))
    arguments = {name: _remade(value) for name, value in stored["arguments"].items()} | objects
    cls = getattr(importlib.import_module(stored["module"]), stored["class"])
    module = cls(**arguments)
    module.on_load_checkpoint(stored["checkpoint"])
    module.load_state_dict({name: _unpacked(value, tensors) for name, value in stored["state"].items()})
    return module.eval()


def _packed(value: Any, tensors: dict[str, Tensor], name: str) -> Any:
    """Return an entry of a state as JSON holds it, its tensors put aside; states of optimizers are nested."""
    if isinstance(value, Tensor):
        tensors[name] = value.detach().cpu().clone().contiguous()
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {"items": [[key, _packed(item, tensors, f"{name}/{key}")] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [_packed(item, tensors, f"{name}/{place}") for place, item in enumerate(value)]}
    return value


def _unpacked(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return tensors[value["tensor"]]
    if "items" in value:
        return {key: _unpacked(item, tensors) for key, item in value["items"]}
    return [_unpacked(item, tensors) for item in value["list"]]


def _described(module: TransferModule) -> dict[str, Any]:
    arguments: dict[str, Any] = dict(module.hparams)
    taken = inspect.signature(type(module)).parameters
    objects = {name: _given(module, name) for name in taken if name not in arguments}
    for name, made in list(objects.items()):
        if (recipe := _recipe(made)) is not None:
            arguments[name] = recipe
            del objects[name]
    beside_weights: dict[str, Any] = {}
    module.on_save_checkpoint(beside_weights)
    return {
        "format": FORMAT,
        "tlzoo": tlzoo.__version__,
        "module": type(module).__module__,
        "class": type(module).__name__,
        "arguments": arguments,
        "objects": sorted(objects),
        "wrapping": _wrapping(objects.get("backbone")),
        "checkpoint": beside_weights,
    }


def _wrapping(backbone: Any) -> dict[str, Any]:
    """Return what a dry run found of a user's own network, which is given again without an example of its inputs."""
    if not isinstance(backbone, Wrapped):
        return {}
    modality = None if backbone.modality == "any" else backbone.modality
    kept = {"num_features": backbone.num_features, "output": backbone.output, "modality": modality}
    return {**kept, "pool_maps": backbone.pool_maps}


def _given(module: TransferModule, name: str) -> Any:
    """Return the object that a module was built from, under the name of the argument."""
    network = getattr(module, "network", None) or getattr(module.method, "initial", None)
    if name == "backbone":
        return getattr(module, "backbone", getattr(network, "backbone", None))
    return {"network": network, "method": module.method}.get(name)


def _recipe(made: Any) -> dict[str, Any] | None:
    """Return how an object is made again from names; None where it cannot be."""
    if isinstance(made, Method):
        return {"method": made.name, "settings": made.settings} if made.name != type(made).__name__ else None
    if isinstance(made, Backbone):
        return None if made.recipe is None else {"backbone": made.recipe[0], "settings": dict(made.recipe[1])}
    if isinstance(made, Network) and type(made.head) is nn.Linear and made.backbone.recipe is not None:
        width = None if isinstance(made.bottleneck, nn.Identity) else made.num_features
        backbone = _recipe(made.backbone)
        return {"network": backbone, "num_classes": made.head.out_features, "bottleneck": width}
    return None


def _remade(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    if "network" in value:
        return Network(_remade(value["network"]), value["num_classes"], bottleneck=value["bottleneck"])
    if "backbone" in value:
        pretrained = {} if "pretrained" in value["settings"] else {"pretrained": False}
        return create_backbone(value["backbone"], **{**pretrained, **value["settings"]})
    return tlzoo.create_method(value["method"], **value["settings"]) if "method" in value else value
