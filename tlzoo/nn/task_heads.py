"""Heads of single tasks: the output, the loss and the missing labels of each kind of target."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.labels import is_missing
from tlzoo.nn.maps import pooled

__all__ = [
    "DECODERS",
    "HEADS",
    "ClassHead",
    "Decoder",
    "DenseHead",
    "NormalsHead",
    "OrdinalHead",
    "TaskHead",
    "ValueHead",
]


Decoder = Literal["linear", "conv", "aspp"]
DECODERS: tuple[Decoder, ...] = ("linear", "conv", "aspp")
"""What maps a feature map to answers at every position."""


class TaskHead(nn.Module):
    """Base: maps features to an output, and computes its loss.

    Args:
        num_features: D.
        classes: C; 0 for values.
    """

    def __init__(self, num_features: int, classes: int) -> None:
        super().__init__()
        self.num_features, self.classes = num_features, classes

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, D) to the task's output."""
        raise NotImplementedError

    def loss(self, output: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of outputs with labels; no label is missing."""
        raise NotImplementedError

    def answer(self, output: Tensor) -> Tensor:
        """Return what an output says: class probabilities (B, C), values (B,), or the like at every position."""
        raise NotImplementedError

    def present(self, labels: Tensor) -> Tensor:
        """Return (B,) booleans: which items have a label; NaN and negative integers are missing."""
        return ~is_missing(labels)


class ClassHead(TaskHead):
    """One of C classes: linear logits (B, C), cross-entropy.

    Args:
        num_features: D.
        classes: C.
    """

    def __init__(self, num_features: int, classes: int) -> None:
        super().__init__(num_features, classes)
        self.layer = nn.Linear(num_features, classes)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, D), or the mean of a map's positions, to logits (B, C)."""
        return self.layer(pooled(features))  # type: ignore[no-any-return]

    def loss(self, output: Tensor, labels: Tensor) -> Tensor:
        """Return the cross-entropy."""
        return F.cross_entropy(output, labels)

    def answer(self, output: Tensor) -> Tensor:
        """Return class probabilities (B, C)."""
        return output.softmax(dim=1)


class ValueHead(TaskHead):
    """A value: linear output (B, 1) in units of ``spread`` around ``center``, mean squared error in these units.

    Args:
        num_features: D.
        classes: 0.
        center: of the values.
        spread: of the values.
    """

    def __init__(self, num_features: int, classes: int = 0, *, center: float = 0.0, spread: float = 1.0) -> None:
        super().__init__(num_features, classes)
        self.layer = nn.Linear(num_features, 1)
        self.center, self.spread = center, spread

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, D), or the mean of a map's positions, to values (B, 1)."""
        units: Tensor = self.layer(pooled(features))
        return units if (self.center, self.spread) == (0.0, 1.0) else units * self.spread + self.center

    def loss(self, output: Tensor, labels: Tensor) -> Tensor:
        """Return the mean squared error, in units of the spread."""
        error = F.mse_loss(output.squeeze(1), labels.to(output.dtype))
        return error if self.spread == 1.0 else error / self.spread**2

    def answer(self, output: Tensor) -> Tensor:
        """Return values (B,)."""
        return output.squeeze(1)


class OrdinalHead(TaskHead):
    """One of C ordered classes: CORAL (Cao, Mirjalili & Raschka, 2020), https://arxiv.org/abs/1901.07884.

    One score per item and C - 1 thresholds; logit k predicts whether the class is above k. The loss is the binary
    cross-entropy, averaged over thresholds, which start in order so that predictions do not contradict each other.

    Args:
        num_features: D.
        classes: C, at least 2.
    """

    def __init__(self, num_features: int, classes: int) -> None:
        super().__init__(num_features, classes)
        if classes < 2:
            raise ValueError(f"{classes} ordered classes; expected at least 2")
        self.layer = nn.Linear(num_features, 1, bias=False)
        self.thresholds = nn.Parameter(torch.linspace(1, -1, classes - 1))

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, D), or the mean of a map's positions, to logits (B, C - 1)."""
        return self.layer(pooled(features)) + self.thresholds  # type: ignore[no-any-return]

    def loss(self, output: Tensor, labels: Tensor) -> Tensor:
        """Return the mean binary cross-entropy of being above each threshold."""
        above = labels[:, None] > torch.arange(self.classes - 1, device=labels.device)
        return F.binary_cross_entropy_with_logits(output, above.to(output.dtype))

    def answer(self, output: Tensor) -> Tensor:
        """Return class probabilities (B, C): differences of the probabilities of being above each threshold."""
        above = F.pad(F.pad(output.sigmoid(), (1, 0), value=1.0), (0, 1))
        shares = (above[:, :-1] - above[:, 1:]).clamp_min(0)  # thresholds may have crossed
        return shares / shares.sum(dim=1, keepdim=True)


class DenseHead(TaskHead):
    """A class or a value at every position, from a feature map.

    The decoder gives the logits, which are resized to the labels (bilinear). The loss is the cross-entropy for classes
    and the mean absolute error for values; positions without label do not count.

    Args:
        num_features: D, channels of the map (B, D, h, w).
        classes: C; 0 for values.
        decoder: ``"linear"``, a 1x1 convolution; ``"conv"``, a 3x3 convolution that keeps the channels before it, as
            behind SegNet in multitask tables (Liu et al., 2019, https://arxiv.org/abs/1803.10704); or ``"aspp"``, the
            head of DeepLabv3 (Chen et al., 2017, https://arxiv.org/abs/1706.05587): convolutions dilated by 12, 24 and
            36 beside each other, 256 channels.
    """

    def __init__(self, num_features: int, classes: int, *, decoder: Decoder = "linear") -> None:
        super().__init__(num_features, classes)
        self.layer = _decoder(decoder, num_features, max(classes, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Map a feature map (B, D, h, w) to logits (B, C, h, w), or values (B, 1, h, w).

        Raises:
            ValueError: the features are no map.
        """
        if features.ndim != 4:
            raise ValueError(
                f"features of shape {tuple(features.shape)} for a dense target; expected a map (B, D, h, w): give a "
                "backbone that returns one"
            )
        return self.layer(features)  # type: ignore[no-any-return]

    def loss(self, output: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss over positions with a label (B, H, W)."""
        output = _resized(output, labels)
        if self.classes:
            return F.cross_entropy(output, labels.where(labels >= 0, -1), ignore_index=-1)
        there = ~labels.isnan()
        return (output.squeeze(1)[there] - labels[there].to(output.dtype)).abs().mean()

    def answer(self, output: Tensor) -> Tensor:
        """Return class probabilities (B, C, h, w), or values (B, h, w)."""
        return output.softmax(dim=1) if self.classes else output.squeeze(1)


class NormalsHead(DenseHead):
    """A unit vector at every position, from a feature map: the decoder's, resized to the labels.

    The loss is one minus the cosine between output and label, at positions whose label is neither NaN nor 0.

    Args:
        num_features: D, channels of the map (B, D, h, w).
        classes: 0.
        decoder: see :class:`DenseHead`.
    """

    def __init__(self, num_features: int, classes: int = 0, *, decoder: Decoder = "linear") -> None:
        super().__init__(num_features, 3, decoder=decoder)
        self.classes = classes

    def loss(self, output: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss over positions with a label (B, 3, H, W)."""
        labels = labels.to(output.dtype).nan_to_num()
        cosines = F.cosine_similarity(_resized(output, labels), labels, dim=1)
        return 1 - cosines[labels.norm(dim=1) > 0].mean()

    def answer(self, output: Tensor) -> Tensor:
        """Return unit vectors (B, 3, h, w)."""
        return F.normalize(output, dim=1)

    def present(self, labels: Tensor) -> Tensor:
        """Return (B,) booleans: which items have a label at any position."""
        return super().present((labels.nan_to_num().norm(dim=1) > 0).long() - 1)


def _decoder(kind: Decoder, num_features: int, channels: int) -> nn.Module:
    if kind == "linear":
        return nn.Conv2d(num_features, channels, 1)
    if kind == "conv":
        return nn.Sequential(nn.Conv2d(num_features, num_features, 3, padding=1), nn.Conv2d(num_features, channels, 1))
    from torchvision.models.segmentation.deeplabv3 import DeepLabHead

    head: nn.Module = DeepLabHead(num_features, channels)
    return head


def _resized(output: Tensor, labels: Tensor) -> Tensor:
    return F.interpolate(output, labels.shape[-2:], mode="bilinear", align_corners=False)


HEADS: dict[str, type[TaskHead]] = {
    "class": ClassHead,
    "value": ValueHead,
    "ordinal": OrdinalHead,
    "dense": DenseHead,
    "normals": NormalsHead,
}
"""Kind of target -> head."""
