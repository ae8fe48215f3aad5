"""The contracts that all layers share: predictions, batches, and what a method may see.

Shapes: B batch, D feature width, C classes, E episodes, S = way * shot support items, Q queries, T tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol, Self, TypeVar

import torch
from torch import Tensor, nn

from tlzoo.errors import InputError, InputTypeError
from tlzoo.supervision import Sees, SupervisionError, is_withheld, withheld

__all__ = [
    "Backbone",
    "Context",
    "DomainBatch",
    "Episode",
    "Examples",
    "LayerGroup",
    "Losses",
    "Modality",
    "Need",
    "Prediction",
    "Scorer",
    "Sees",
    "SupervisionError",
    "TaskBatch",
    "is_withheld",
    "withheld",
]

T = TypeVar("T")

Losses = Mapping[str, Tensor]
"""Named scalar terms: the total under ``"loss"``; the others are logged."""


Modality = Literal["image", "text", "series", "features"]
"""The kind of raw items: uint8 (N, H, W, C); strings; float (N, time, channels); float (N, D)."""


class Need(StrEnum):
    """What a method needs besides features, logits and labels."""

    INDICES = "indices"
    DOMAINS = "domains"
    VIEWS = "views"
    MODEL = "model"
    TEXTS = "texts"
    HELD_OUT = "held-out source"


def _mapped(batch: T, change: Callable[[Tensor], Tensor]) -> T:
    """Return ``batch`` (a dataclass) with every tensor, nested or not, mapped."""

    def apply(value: Any) -> Any:
        if isinstance(value, Tensor):
            return change(value)
        if isinstance(value, _Batch):
            return _mapped(value, change)
        if isinstance(value, Mapping):
            return {key: apply(item) for key, item in value.items()}
        return value

    copy = object.__new__(type(batch))
    for name, value in vars(batch).items():
        object.__setattr__(copy, name, apply(value))
    return copy


class _Batch:
    """Base of batches; Lightning moves every object with a method ``to``.

    Batches are not frozen, because Lightning changes the dtype of their tensors in a copy for ``precision="64-true"``.
    """

    def clone(self) -> Self:
        """Return the batch with every tensor copied; a copy of inference tensors may enter autograd."""
        return _mapped(self, torch.clone)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Self:
        return _mapped(self, lambda tensor: tensor.to(device, non_blocking=non_blocking))


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """The predictions of a network for one batch; NumPy arrays become tensors.

    Attributes:
        features: (B, D) representation.
        logits: (B, C) class scores before the softmax.
        labels: (B,) class indices, or None if unknown.
        indices: (B,) indices in the data set, for methods with a memory.
        domains: (B,) number of the source, in multi-source sets.
        views: augmented views of the same items, by name (``"weak"``, ``"strong"``).
        inputs: (B, ...) raw inputs, for methods that pass inputs through the model themselves.
    """

    features: Tensor
    logits: Tensor
    labels: Tensor | None = None
    indices: Tensor | None = None
    domains: Tensor | None = None
    views: Mapping[str, Prediction] = field(default_factory=dict)
    inputs: Any = None

    def __post_init__(self) -> None:
        for name in ("features", "logits", "labels", "indices", "domains"):
            value: Any = getattr(self, name)
            if value is not None and not isinstance(value, Tensor):
                object.__setattr__(self, name, torch.as_tensor(value))

    def __len__(self) -> int:
        return len(self.features)

    def view(self, name: str) -> Prediction:
        """Return an augmented view of the same items.

        Raises:
            ValueError: there is no view of this name.
        """
        if name not in self.views:
            raise InputError(
                f"a prediction without view {name!r} (it has {', '.join(self.views) or 'none'}); DomainData provides "
                "them for methods that declare Need.VIEWS; in your own loop, pass the views through the network as well"
            )
        return self.views[name]


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a method's own function may use besides the batch; base classes create it from the arguments of a call.

    Attributes:
        progress: share of training done, in [0, 1].
        network: the network, or None; methods that require it use :attr:`model`.
        method: name of the method, for errors.
    """

    progress: float = 1.0
    network: nn.Module | None = None
    method: str = "the method"

    def __post_init__(self) -> None:
        if not 0.0 <= self.progress <= 1.0:
            raise InputError(f"{self.method}: progress {self.progress}; expected the share of training done, in [0, 1]")

    @property
    def model(self) -> nn.Module:
        """The network.

        Raises:
            ValueError: the caller did not pass one.
        """
        if self.network is None:
            raise InputError(
                f"{self.method} passes inputs through the network and got none; call it with model=network"
            )
        return self.network


@dataclass(kw_only=True, eq=False)
class Examples(_Batch):
    """One side of a batch before the network: inputs (B, ...) with their labels and other data."""

    inputs: Any
    labels: Tensor | None = None
    indices: Tensor | None = None
    domains: Tensor | None = None
    views: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Count the examples."""
        return len(self.inputs)


@dataclass(kw_only=True, eq=False)
class DomainBatch(_Batch):
    """A source and a target batch; a side that the method may not see is None. Sizes may differ.

    Attributes:
        source: source examples.
        target: target examples, with labels only if the method sees all of them.
        shots: labelled target examples of a semi-supervised task, for the module's supervised loss.
    """

    source: Examples | None
    target: Examples | None
    shots: Examples | None = None

    @property
    def size(self) -> int:
        """Count the examples."""
        return sum(part.size for part in (self.source, self.target, self.shots) if part is not None)


@dataclass(kw_only=True, eq=False)
class Episode(_Batch):
    """E episodes of one shape.

    Attributes:
        support: (E, S, ...) inputs or features, S = way * shot.
        support_labels: (E, S) in ``range(way)``.
        query: (E, Q, ...).
        query_labels: (E, Q), or None if unknown.
        way: number of classes per episode.
    """

    support: Tensor
    support_labels: Tensor
    query: Tensor
    query_labels: Tensor | None
    way: int


@dataclass(kw_only=True, eq=False)
class TaskBatch(_Batch):
    """Inputs with several targets.

    Attributes:
        inputs: (B, ...).
        targets: one tensor per task, with first dimension B.
        present: (B,) booleans for each task with missing targets; a task that is left out is complete.
    """

    inputs: Any
    targets: Mapping[str, Tensor]
    present: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Count the examples."""
        return len(self.inputs)


@dataclass(frozen=True, kw_only=True)
class LayerGroup:
    """A named part of a backbone, stem to head: the unit of freezing, unfreezing and learning rates."""

    name: str
    modules: tuple[nn.Module, ...]


class Backbone(nn.Module):
    """A network that turns inputs into features, as returned by :func:`tlzoo.create_backbone`.

    Attributes:
        name: what it was created as.
        num_features: D, width of the features.
        modality: what raw items ``preprocess`` takes; ``"any"`` where the network does not say.
        recipe: the name and settings that it was created from; None for a module of the user's own.
        composable: whether running ``layer_groups()`` in order, one module after the other, is ``forward``.
    """

    name: str
    num_features: int
    modality: Modality | Literal["any"]
    composable: bool = False
    recipe: tuple[str, Mapping[str, Any]] | None = None

    def forward(self, inputs: Any) -> Tensor:
        """Map preprocessed inputs (B, ...) to features (B, D)."""
        raise NotImplementedError

    def forward_map(self, inputs: Any) -> Tensor:
        """Map preprocessed inputs to the feature map (B, C, H, W) before pooling.

        Raises:
            TypeError: the network has no such map.
        """
        raise InputTypeError(f"{self.name} has no feature map; choose a convolutional backbone")

    def preprocess(self, items: Any) -> Any:
        """Turn raw items (uint8 images (B, H, W, C), strings, float arrays) into the input of ``forward``."""
        return items

    @property
    def preprocessing(self) -> str:
        """Identity of ``preprocess``, part of the feature cache's key."""
        return "none"

    def layer_groups(self) -> tuple[LayerGroup, ...]:
        """Return the parts of the network in order, stem first; every parameter is in exactly one."""
        raise NotImplementedError

    def freeze(self, until: str | None = None) -> None:
        """Freeze the groups from the stem up to and including ``until``; by default all of them.

        Frozen parameters get no gradient; normalization statistics are up to the caller (``eval``).

        Raises:
            ValueError: there is no group of that name.
        """
        names = [group.name for group in self.layer_groups()]
        if until is not None and until not in names:
            raise InputError(f"{self.name} has no layer group {until!r}; it has {', '.join(names)}")
        last = len(names) - 1 if until is None else names.index(until)
        for place, group in enumerate(self.layer_groups()):
            for module in group.modules:
                module.requires_grad_(place > last)


class Scorer(Protocol):
    """A compatibility bound to its candidate classes."""

    def __call__(self, features: Tensor) -> Tensor:
        """Map features (B, D) to scores (B, C)."""
        ...
