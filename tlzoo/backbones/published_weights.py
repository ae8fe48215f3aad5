"""Weights that papers published for networks that are built in: their files, and which of them are the classifier's."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tlzoo.errors import InputError, MissingFileError

__all__ = ["CLASSIFIERS", "load_published", "published_classifier"]

CLASSIFIERS = {"resnext29": "classifier", "resnet26_gn": "fc", "wide_resnet": "fc"}
"""Network -> its classifier's name in published files."""

_CONTAINERS = ("params", "state_dict", "state", "net", "model")
_PREFIXES = re.compile(r"^(?:module\.|model\.|encoder\.)+")


def load_published(
    network: nn.Module, file: str | Path, rename: Callable[[str], str | None], *, what: str, layout: str
) -> None:
    """Load weights from a file in another layout; others of the file, such as its classifier's, are left.

    Args:
        network: takes the weights.
        file: read with ``weights_only=True``.
        rename: a name in the file -> ours, or None for what is left. Prefixes of wrappers (``module.``) are gone.
        what: the network, for messages.
        layout: whose layout it is, for messages.

    Raises:
        FileNotFoundError: there is no file.
        ValueError: it cannot be read so, or its weights are those of another network.
    """
    found = {rename(name): value for name, value in _state(Path(file)).items()}
    found.pop(None, None)
    counters = {name: value for name, value in network.state_dict().items() if name.endswith("num_batches_tracked")}
    state: dict[str, Tensor] = {**counters, **{str(name): value for name, value in found.items()}}
    try:
        network.load_state_dict(state)  # old files have no counters
    except RuntimeError as error:
        raise InputError(f"{file} holds no weights of this {what} in {layout} layout ({error})") from error


def published_classifier(network: str, file: str | Path) -> tuple[Tensor, Tensor]:
    """Return weight (C, D) and bias (C,) of the classifier in a network's file.

    Args:
        network: one of :data:`CLASSIFIERS`.
        file: as of :func:`load_published`.

    Raises:
        FileNotFoundError: there is no file.
        ValueError: it cannot be read, or has no classifier.
    """
    state, name = _state(Path(file)), CLASSIFIERS[network]
    try:
        return state[f"{name}.weight"], state[f"{name}.bias"]
    except KeyError as error:
        raise InputError(f"{file} has no classifier of {network}: {name}.weight and {name}.bias") from error


def _state(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name, without the prefixes of wrappers."""
    if not file.is_file():
        raise MissingFileError(f"checkpoint_path {file} is not a file in {Path.cwd()}")
    try:
        content: Any = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise InputError(f"{file} is not a file of weights alone; save its state_dict again") from error
    while isinstance(content, dict) and (inside := next((name for name in _CONTAINERS if name in content), None)):
        content = content[inside]
    if not isinstance(content, dict):
        raise InputError(f"{file} holds a {type(content).__name__}; expected weights by name")
    return {_PREFIXES.sub("", name): value for name, value in content.items() if isinstance(value, Tensor)}
