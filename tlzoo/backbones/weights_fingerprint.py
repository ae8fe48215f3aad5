"""Fingerprints that identify networks."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import torch
from torch import Tensor

from tlzoo.types import Backbone

__all__ = ["fingerprint"]

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def fingerprint(backbone: Backbone) -> str:
    """Return a fingerprint (32 hex digits) of a backbone's name, architecture, weights and preprocessing.

    The architecture is the printed form of the modules; for modules of your own the hash also covers their source.
    """
    digest = hashlib.sha256()
    if code := getattr(backbone, "code", ""):
        digest.update(code.encode() + b"\0")
    for part in (backbone.name, _ADDRESS.sub("", repr(backbone)), backbone.preprocessing):
        digest.update(part.encode() + b"\0")
    for name, value in sorted(backbone.state_dict().items()):
        digest.update(name.encode() + b"\0")
        if isinstance(value, Tensor):
            digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
            digest.update(_bytes(value))
        else:
            digest.update(repr(value).encode())
    return digest.hexdigest()[:32]


def _bytes(value: Tensor) -> Any:
    """Return the tensor's bytes as a buffer."""
    # as bytes: NumPy has no bfloat16
    flat = value.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy()
