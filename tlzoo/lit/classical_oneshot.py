"""Classical few-shot training: a linear head over all base classes, dropped after training the backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.lit.oneshot import OneShot
from tlzoo.lit.optimizer import OptimizerSettings
from tlzoo.methods.base import Method
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.types import Examples

if TYPE_CHECKING:
    from tlzoo.lit.data.episodes import EpisodeData

__all__ = ["ClassicalOneShot"]


class ClassicalOneShot(OneShot):
    """A :class:`OneShot` whose backbone is trained by classifying all base classes at once.

    ``EpisodeData`` gives it labelled batches of the base set. In evaluation it works like ``OneShot``: the method
    classifies the queries of episodes on the backbone's features, without the linear head. The method itself is not
    trained.

    Source: Chen et al., ICLR 2019, https://arxiv.org/abs/1904.04232, who show that this baseline is hard to beat.

    Args:
        backbone: see :class:`OneShot`.
        method: an episode classifier, or its name.
        num_base_classes: outputs of the linear head, ``EpisodeData.num_base_classes``.
        optimizer: see :class:`OneShot`.
        backbone_settings: see :class:`OneShot`.
        method_settings: see :class:`OneShot`.

    Raises:
        TypeError: the method is not an episode classifier; a meta-learner learns from episodes.
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

    @property
    def label_classes(self) -> int:
        """The number of base classes."""
        return self.base_head.out_features

    @classmethod
    def settings_from_data(cls, data: EpisodeData) -> dict[str, Any]:
        """Return the number of base classes."""
        return {"num_base_classes": data.num_base_classes}

    def training_step(self, batch: Examples, batch_idx: int) -> Tensor:  # type: ignore[override]  # other batches
        """Return the cross-entropy of the base classes."""
        batch = self.checked(batch)
        assert batch.labels is not None
        with self.passing(self.backbone):
            logits = self.base_head(self.backbone(self.backbone.preprocess(batch.inputs)))
        loss = F.cross_entropy(self.joined(logits), self.joined(batch.labels))
        terms = {"loss": loss}
        self.log_terms(terms, batch.size)
        return self.check_loss(loss, terms)

    def begin_epoch(self) -> None:
        """Do nothing: the method takes no part in training."""
