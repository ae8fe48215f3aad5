"""TaskRes: a residual of each class's text."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.checks import check_counts, check_positive
from tlzoo.functional.span import cosine_schedule, cosine_step, descend
from tlzoo.methods.image_text_classifier import ImageTextClassifier, one_hot, with_texts
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space

__all__ = ["TaskRes"]


class TaskRes(ImageTextClassifier):
    r"""Task residual (Yu et al., CVPR 2023), https://arxiv.org/abs/2211.10277.

    .. math:: \tau \frac{q^\top (t_c + \alpha r_c)}{\lVert t_c + \alpha r_c \rVert}

    with residuals r that start at zero and are trained by cross-entropy on the support. Classes without support keep
    their text.

    Differs from the paper: gradient descent with momentum 0.9 and all of the support in each step, as CLAP's authors
    train it; the paper takes Adam on batches of augmented pictures.

    Args:
        scale: tau.
        alpha: weight of the residuals.
        steps: number of steps, with a cosine schedule, the first at 1e-5.
        lr: learning rate.
        text_norm: length of the texts for which the rate is meant; CLIP's are about 10 long before normalization.
    """

    label = "TaskRes"
    paper = Paper(
        title="Task Residual for Tuning Vision-Language Models",
        authors=("Yu", "Lu", "Jin", "Chen", "Wang"),
        venue="CVPR",
        year=2023,
        arxiv="2211.10277",
    )

    space = Space(lr=LogUniform(0.03, 30.0))

    def __init__(
        self, *, scale: float = 100.0, alpha: float = 0.5, steps: int = 300, lr: float = 0.1, text_norm: float = 10.0
    ) -> None:
        super().__init__(scale=scale)
        check_counts(steps=steps)
        check_positive(alpha=alpha, lr=lr, text_norm=text_norm)
        self.alpha, self.steps, self.lr, self.text_norm = alpha, steps, lr, text_norm

    def answer(self, support: Tensor, labels: Tensor, query: Tensor, texts: Tensor, *, way: int) -> Tensor:
        """Return the logits."""
        own, count = texts[:, :way], support.shape[1]
        points = torch.cat([support, own], dim=1)
        none = torch.zeros_like(support[..., :1]).expand(-1, -1, way)
        start = torch.cat([none, torch.eye(way).to(own).expand(len(own), -1, -1)], dim=1)
        targets = torch.cat([one_hot(labels, way, support), torch.zeros_like(start[:, count:])], dim=1)
        shares = torch.cat([torch.full_like(support[..., :1], 1 / count), torch.zeros_like(own[..., :1])], dim=1)

        def step(weights: Tensor, scores: Tensor) -> Tensor:
            return cosine_step(weights, scores, targets, shares, scale=self.scale)

        # a step of the residual moves the weights by alpha of alpha times their gradient
        schedule = cosine_schedule(self.lr, self.steps, warmup=1e-5, length=self.text_norm)
        rates = [self.alpha**2 * rate for rate in schedule]
        weights = (points.mT @ descend(points @ points.mT, start, step, rates)).mT
        return self.scale * query @ F.normalize(with_texts(weights, texts), dim=-1).mT
