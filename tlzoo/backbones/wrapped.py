"""Any module as a backbone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from tlzoo import user_code
from tlzoo.backbones.evaluation import evaluation
from tlzoo.backbones.layer_groups import groups_by_name
from tlzoo.errors import InputError
from tlzoo.types import Backbone, LayerGroup, Modality

__all__ = ["Wrapped", "wrapped"]

_USUAL = "pixels in [0, 1], channels first"
"""Identity of :func:`usual_preprocess`."""


class Wrapped(Backbone):
    """A module of the user.

    Args:
        module: maps (B, ...) to (B, D).
        num_features: D.
        modality: modality of the raw items; ``"any"`` if the module declares none.
        preprocess: turns raw items into the module's input.
        preprocessing: identity of ``preprocess``.
        output: key of the features in what the module returns, if that is a mapping or a tuple.
        pool_maps: whether features of a map (B, D, H, W) are its mean over positions; otherwise they are the map.

    Attributes:
        code: hash of the source of the module and its submodules; installed packages are left out.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        num_features: int,
        modality: Modality | Literal["any"],
        preprocess: Callable[[Any], Any],
        preprocessing: str,
        output: str | int | None = None,
        pool_maps: bool = False,
    ) -> None:
        super().__init__()
        self.output, self.pool_maps = output, pool_maps
        self.name, self.module = type(module).__name__, module
        self.num_features, self.modality = num_features, modality
        self._preprocess, self._preprocessing = preprocess, preprocessing
        self.code = " ".join(sorted({user_code.class_hash(type(part)) for part in module.modules()} - {""}))

    def forward(self, inputs: Any) -> Tensor:
        """Map inputs (B, ...) to features (B, D)."""
        features = self._found(inputs)
        return features.mean(dim=(2, 3)) if self.pool_maps and features.dim() == 4 else features

    def forward_map(self, inputs: Any) -> Tensor:
        """Map inputs to the module's feature map (B, C, H, W).

        Raises:
            TypeError: the module has no such map.
        """
        features = self._found(inputs)
        return features if features.dim() == 4 else super().forward_map(inputs)

    def _found(self, inputs: Any) -> Tensor:
        return picked(self.module(inputs), self.output, what=self.name)

    def preprocess(self, items: Any) -> Any:
        """Turn raw items into the module's input, with its own ``preprocess`` if it has one."""
        return self._preprocess(items)

    @property
    def preprocessing(self) -> str:
        """Identity of ``preprocess``."""
        return self._preprocessing

    def layer_groups(self) -> tuple[LayerGroup, ...]:
        """Return the module's children that have parameters, in order, by their names."""
        return groups_by_name(self.module, lambda name: name.split(".")[0])


def wrapped(
    module: nn.Module,
    *,
    num_features: int | None = None,
    input_shape: Sequence[int] | None = None,
    example: Any = None,
    modality: Modality | None = None,
    preprocess: Callable[[Any], Any] | None = None,
    preprocessing: str | None = None,
    output: str | int | None = None,
    pool_maps: bool | None = None,
) -> Backbone:
    """Make a backbone of any module that maps (B, ...) to (B, D).

    Args:
        module: used as it is, not copied.
        num_features: D; None uses the module's ``num_features`` or, without it, finds the width by a dry run.
        input_shape: shape of one input of the module, for a dry run on zeros.
        example: a few raw items for a dry run.
        modality: modality of the raw items; None uses the module's ``modality`` or, without it, accepts any.
        preprocess: turns raw items (:data:`tlzoo.types.Modality`) into the module's input; None uses the module's
            ``preprocess`` or, without it, :func:`usual_preprocess`.
        preprocessing: name of this ``preprocess`` in the feature cache; the default for a module's
            own is the module's ``preprocessing`` or, without it, a hash of its source and settings.
        output: key of the features, if the module returns several outputs; None uses the module's ``output``, if any.
        pool_maps: average a map (B, D, H, W) over positions; None does so where a dry run finds a map, and leaves it to
            a module whose width is known, such as one for dense targets.

    Raises:
        ValueError: ``num_features`` cannot be determined, or ``preprocess`` has no name.
    """
    if preprocess is not None and preprocessing is None:
        raise InputError("preprocess without preprocessing; name it, so that cached features are not mistaken")
    if preprocess is None:
        preprocess = getattr(module, "preprocess", None)
        preprocessing = preprocessing or (_USUAL if preprocess is None else _identity(module))
    ready = preprocess or usual_preprocess
    output = getattr(module, "output", None) if output is None else output
    if num_features is None:
        num_features, found_map = _width(module, input_shape, example, ready, output)
        pool_maps = found_map if pool_maps is None else pool_maps
    declared: Modality | None = getattr(module, "modality", None)
    return Wrapped(
        module,
        num_features=num_features,
        modality=modality or declared or "any",
        preprocess=ready,
        preprocessing=str(preprocessing),
        output=output if isinstance(output, str | int) else None,
        pool_maps=bool(pool_maps),
    )


def picked(outputs: Any, output: str | int | None, *, what: str) -> Tensor:
    """Return the features among what a module returns.

    Raises:
        ValueError: it returns several outputs, and ``output`` names none of them.
    """
    if isinstance(outputs, Tensor):
        return outputs
    known = list(outputs) if isinstance(outputs, Mapping) else list(range(len(outputs)))
    if output not in known:
        raise InputError(
            f"{what} returns a {type(outputs).__name__} of {', '.join(map(repr, known))}; say which are the features: "
            f"output={known[0]!r}"
        )
    found: Tensor = outputs[output]
    return found


def usual_preprocess(items: Any) -> Any:
    """Turn raw items into what most modules expect.

    Images, uint8 (B, H, W, C), become floats (B, C, H, W) in [0, 1] and keep their size. Other numbers become tensors:
    floats in torch's default dtype, integers unchanged. Texts stay strings.
    """
    if isinstance(items, np.ndarray) and items.dtype.kind in "biuf":
        items = torch.from_numpy(items if items.flags.writeable else items.copy())
    if not isinstance(items, Tensor):
        return items
    if items.dtype == torch.uint8 and items.dim() == 4 and items.shape[-1] in (1, 3):
        return items.permute(0, 3, 1, 2).to(torch.get_default_dtype()) / 255
    return items.to(torch.get_default_dtype()) if items.is_floating_point() else items


def _identity(module: nn.Module) -> str:
    """Return the identity of a module's own ``preprocess``."""
    declared = getattr(module, "preprocessing", None)
    if isinstance(declared, str):
        return declared
    code = user_code.class_hash(type(module))
    if not code:
        raise InputError(
            f"{type(module).__name__}.preprocess has no identity; give the module a string preprocessing, so that "
            "cached features are not mistaken"
        )
    plain = {name: value for name, value in sorted(vars(module).items()) if _is_plain(value) and name[0] != "_"}
    plain.pop("training", None)
    return f"{type(module).__name__}.preprocess {code} {plain}"


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _width(
    module: nn.Module,
    input_shape: Sequence[int] | None,
    example: Any,
    preprocess: Callable[[Any], Any],
    output: str | int | None,
) -> tuple[int, bool]:
    """Return the width that a module declares or, without that, the one of a dry run and whether it showed a map."""
    declared = getattr(module, "num_features", None)
    if isinstance(declared, int):
        return declared, False
    if input_shape is not None:
        like = next(module.parameters(), torch.empty(0))
        inputs: Any = torch.zeros(2, *input_shape, dtype=like.dtype, device=like.device)
    elif example is not None:
        inputs = preprocess(example)
    else:
        raise InputError(
            f"{type(module).__name__}: the width of its features is unknown; pass num_features=D, or "
            "input_shape=(...) of one input to find out"
        )
    with evaluation(module), torch.random.fork_rng(devices=[]):
        features = picked(module(inputs), output, what=type(module).__name__)
    if features.dim() not in (2, 4):
        shape = tuple(features.shape)
        count = len(inputs) if hasattr(inputs, "__len__") else "some"
        raise InputError(
            f"{type(module).__name__} maps {count} inputs to {shape}; expected features ({count}, D). Pool and flatten "
            "them in a module around it"
        )
    return features.shape[1], features.dim() == 4
