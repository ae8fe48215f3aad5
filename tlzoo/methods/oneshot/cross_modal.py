"""Cross-modal probe: class texts are further examples."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.checks import check_at_least, check_counts, check_positive
from tlzoo.functional.span import cosine_schedule, cosine_step, descend
from tlzoo.methods.image_text_classifier import ImageTextClassifier, one_hot, with_texts
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space

__all__ = ["CrossModal"]


class CrossModal(ImageTextClassifier):
    r"""Cross-modal linear probe (Lin et al., CVPR 2023), https://arxiv.org/abs/2301.06267.

    .. math:: \frac12 \mathrm{CE}\left(\tau \frac{x^\top w}{\lVert w \rVert}\right)
        + \frac12 \mathrm{CE}\left(\tau \frac{t^\top w}{\lVert w \rVert}\right)

    with weights w that start at the texts t, and are trained on the support x and on the texts as further pictures.
    Classes without support keep their text.

    Differs from the paper: gradient descent with momentum 0.9 on all of both, where the paper takes AdamW on batches of
    eight, half of them texts, and stops by a validation set.

    Args:
        scale: tau.
        text_share: share of the texts in the loss.
        steps: number of steps, with a cosine schedule, the first at 1e-5.
        lr: learning rate.
        text_norm: length of the texts for which the rate is meant; CLIP's are about 10 long before normalization.
    """

    label = "cross-modal probe"
    paper = Paper(
        title="Multimodality Helps Unimodality: Cross-Modal Few-Shot Learning with Multimodal Models",
        authors=("Lin", "Yu", "Kuang", "Pathak", "Ramanan"),
        venue="CVPR",
        year=2023,
        arxiv="2301.06267",
    )

    space = Space(lr=LogUniform(0.03, 30.0))

    def __init__(
        self,
        *,
        scale: float = 100.0,
        text_share: float = 0.5,
        steps: int = 300,
        lr: float = 0.1,
        text_norm: float = 10.0,
    ) -> None:
        super().__init__(scale=scale)
        check_at_least(0, text_share=text_share)
        check_counts(steps=steps)
        check_positive(lr=lr, text_norm=text_norm)
        self.text_share, self.steps, self.lr, self.text_norm = text_share, steps, lr, text_norm

    def answer(self, support: Tensor, labels: Tensor, query: Tensor, texts: Tensor, *, way: int) -> Tensor:
        """Return the logits."""
        own, count = texts[:, :way], support.shape[1]
        points = torch.cat([support, own], dim=1)
        itself = torch.eye(way).to(own).expand(len(own), -1, -1)
        start = torch.cat([torch.zeros_like(support[..., :1]).expand(-1, -1, way), itself], dim=1)
        targets = torch.cat([one_hot(labels, way, support), itself], dim=1)
        pictured = torch.full_like(support[..., :1], (1 - self.text_share) / count)
        shares = torch.cat([pictured, torch.full_like(own[..., :1], self.text_share / way)], dim=1)

        def step(weights: Tensor, scores: Tensor) -> Tensor:
            return cosine_step(weights, scores, targets, shares, scale=self.scale)

        rates = cosine_schedule(self.lr, self.steps, warmup=1e-5, length=self.text_norm)
        weights = (points.mT @ descend(points @ points.mT, start, step, rates)).mT
        return self.scale * query @ F.normalize(with_texts(weights, texts), dim=-1).mT
