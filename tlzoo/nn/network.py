"""A network of backbone, bottleneck and head, from inputs to a prediction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from tlzoo.functional.checks import check_counts
from tlzoo.nn.preparation import Preparation, Side
from tlzoo.types import Backbone, Prediction

__all__ = ["Network", "after_preprocessing", "bottleneck_layer"]


def bottleneck_layer(num_inputs: int, width: int | None) -> tuple[nn.Module, int]:
    """Return linear, batch normalization and ReLU layers to ``width``, and the width; for None, the identity."""
    if width is None:
        return nn.Identity(), num_inputs
    return nn.Sequential(nn.Linear(num_inputs, width), nn.BatchNorm1d(width), nn.ReLU()), width


class Network(nn.Module):
    """A classifier that also returns its features.

    Args:
        backbone: turns preprocessed inputs into features.
        num_classes: C.
        bottleneck: width D of a layer between backbone and head, None for none.
        head: the classifier on (B, D) features; a linear layer where None.

    Attributes:
        preparation: what raw inputs pass first; it does nothing until a data module fits it.
    """

    def __init__(
        self, backbone: Backbone, num_classes: int, *, bottleneck: int | None = None, head: nn.Module | None = None
    ) -> None:
        super().__init__()
        check_counts(num_classes=num_classes, **({} if bottleneck is None else {"bottleneck": bottleneck}))
        self.preparation = Preparation()
        self.backbone = backbone
        self.bottleneck, self.num_features = bottleneck_layer(backbone.num_features, bottleneck)
        self.head = head if head is not None else nn.Linear(self.num_features, num_classes)

    def forward(self, inputs: Any, *, side: Side = "target") -> Prediction:
        """Map raw inputs (B, ...) of a domain to features (B, D) and logits (B, C)."""
        return self.answer(self.prepared(inputs, side))

    def prepared(self, inputs: Any, side: Side = "target") -> Any:
        """Return what the backbone is given for raw inputs (B, ...) of a domain."""
        return self.backbone.preprocess(self.preparation(inputs, side))

    def answer(self, prepared: Any) -> Prediction:
        """Map what :meth:`prepared` returns to features (B, D) and logits (B, C)."""
        features: Tensor = self.bottleneck(self.backbone(prepared))
        return Prediction(features=features, logits=self.head(features))


def after_preprocessing(
    model: nn.Module, inputs: Any, side: Side = "target"
) -> tuple[Tensor, Callable[[Tensor], Prediction]]:
    """Return the first layer's input for raw inputs (B, ...) of a domain, and the model from there on.

    Small changes of the inputs only make sense there, because pixels are integers before. Modules other than
    :class:`Network` count as having no preprocessing.

    Raises:
        ValueError: there are no inputs, or they are not a floating-point tensor (for example texts).
    """
    prepared = model.prepared(inputs, side) if isinstance(model, Network) and inputs is not None else inputs
    if not isinstance(prepared, Tensor) or not prepared.is_floating_point():
        what = f"a tensor of {prepared.dtype}" if isinstance(prepared, Tensor) else type(prepared).__name__
        raise ValueError(
            f"the model's inputs are {what} after preprocessing; expected floating-point numbers to perturb: give "
            "inputs with each Prediction, and frozen features in place of texts"
        )
    return prepared, model.answer if isinstance(model, Network) else model
