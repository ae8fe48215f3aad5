"""The smallest networks for checking methods."""

from __future__ import annotations

from torch import Tensor, nn

from tlzoo.methods.conformance.scenario import SHAPE
from tlzoo.types import Prediction

__all__ = ["SmallNetwork", "SourceModel"]

_D, _C = SHAPE["num_features"], SHAPE["num_classes"]


class SmallNetwork(nn.Module):
    """The smallest network that :class:`~tlzoo.types.Need` calls a model."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.head = nn.Linear(_D, _D), nn.Linear(_D, _C)

    def forward(self, inputs: Tensor) -> Prediction:
        """Map inputs (B, D) to features (B, D) and logits (B, C)."""
        features = self.backbone(inputs)
        return Prediction(features=features, logits=self.head(features))


class SourceModel(nn.Module):
    """The smallest source model with normalization and a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Sequential(nn.Linear(_D, _D), nn.BatchNorm1d(_D), nn.Tanh()), nn.Linear(_D, _C)

    def forward(self, inputs: Tensor) -> Prediction:
        """Map inputs (B, D) to features (B, D) and logits (B, C)."""
        features = self.body(inputs)
        return Prediction(features=features, logits=self.head(features))
