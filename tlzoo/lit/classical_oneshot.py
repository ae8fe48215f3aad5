"""Few-shot learning the classical way: a linear head over all base classes, dropped once the backbone is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.lit.oneshot import OneShot
from tlzoo.lit.optimizer import OptimizerSettings
from tlzoo.methods.base import Method
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.types import Examples

__all__ = ["ClassicalOneShot"]


class ClassicalOneShot(OneShot):
    """A :class:`OneShot` whose backbone is trained by classifying the base classes, all at once.

    ``EpisodeData`` gives it labelled batches of the base set. In evaluation it is what ``OneShot`` is: the method
    answers episodes on the backbone's features, and the linear head is out of use. The method itself is not trained.

    Source: Chen et al., ICLR 2019, https://arxiv.org/abs/1904.04232, who name it the baseline that is hard to beat.

    Args:
        backbone: see :class:`OneShot`.
        method: an episode classifier, or its name.
        num_base_classes: outputs of the linear head, ``EpisodeData.num_base_classes``.
        optimizer: see :class:`OneShot`.
        backbone_settings: see :class:`OneShot`.
        method_settings: see :class:`OneShot`.

    Raises:
        TypeError: the method is no episode classifier: a meta-learner learns from episodes.
    """

    takes = (EpisodeClassifier,)
    trains_on: ClassVar[Literal["episodes", "examples"]] = "examples"

    def __init__(
        self,
        backbone: str | nn.Module,
        method: str | Method,
        *,
        num_base_classes: int,
        optimizer: OptimizerSettings | Mapping[str, Any] | None = None,
        backbone_settings: Mapping[str, Any] | None = None,
        method_settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            backbone,
            method,
            way=num_base_classes,
            optimizer=optimizer,
            backbone_settings=backbone_settings,
            method_settings=method_settings,
        )
        self.base_head = nn.Linear(self.backbone.num_features, num_base_classes)

    def training_step(self, batch: Examples, batch_idx: int) -> Tensor:  # type: ignore[override]  # other batches
        """Return the cross-entropy of the base classes."""
        assert batch.labels is not None
        logits = self.base_head(self.backbone(self.backbone.preprocess(batch.inputs)))
        loss = F.cross_entropy(self.joined(logits), self.joined(batch.labels))
        terms = {"loss": loss}
        self.log_terms(terms, batch.size)
        return self.check_loss(loss, terms)

    def on_train_epoch_start(self) -> None:
        """Show the method nothing yet: it takes no part in training."""
