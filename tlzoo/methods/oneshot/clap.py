"""CLAP: a cosine probe that is pulled to the texts, class by class."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional.checks import check_counts, check_positive
from tlzoo.functional.span import cosine_schedule, cosine_step, descend
from tlzoo.methods.image_text_classifier import ImageTextClassifier, one_hot, with_texts
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space

__all__ = ["CLAP"]


class CLAP(ImageTextClassifier):
    r"""Class-adaptive linear probe (Silva-Rodriguez et al., CVPR 2024), https://arxiv.org/abs/2312.12730.

    .. math:: \mathrm{CE}\left(\tau \frac{x^\top w}{\lVert w \rVert}\right) + \frac{1}{C} \sum_c \lambda_c
        \lVert w_c - t_c \rVert^2

    with weights that start at the texts t and the multipliers :math:`\lambda_c`, the mean probability of class c that
    the texts give to its support. Nothing is chosen on validation data, which is the paper's point. Classes without
    support keep their text.

    Differs from the paper: all texts have one length, while its code starts from unnormalized ones, and the support is
    one picture an item, not twenty augmented ones.

    Args:
        scale: tau.
        steps: number of steps, with a cosine schedule, the first at 1e-5.
        lr: rate of gradient descent with momentum 0.9.
        text_norm: length of the texts for which the rate is meant; CLIP's are about 10 long before normalization.
    """

    paper = Paper(
        title="A Closer Look at the Few-Shot Adaptation of Large Vision-Language Models",
        authors=("Silva-Rodriguez", "Hajimiri", "Ben Ayed", "Dolz"),
        venue="CVPR",
        year=2024,
        arxiv="2312.12730",
    )

    space = Space(lr=LogUniform(0.03, 10.0))  # above, the pull overshoots

    def __init__(self, *, scale: float = 100.0, steps: int = 300, lr: float = 0.1, text_norm: float = 10.0) -> None:
        super().__init__(scale=scale)
        check_counts(steps=steps)
        check_positive(lr=lr, text_norm=text_norm)
        self.steps, self.lr, self.text_norm = steps, lr, text_norm

    def answer(self, support: Tensor, labels: Tensor, query: Tensor, texts: Tensor, *, way: int) -> Tensor:
        """Return the logits."""
        own, count = texts[:, :way], support.shape[1]
        points = torch.cat([support, own], dim=1)
        none = torch.zeros_like(support[..., :1]).expand(-1, -1, way)
        start = torch.cat([none, torch.eye(way).to(own).expand(len(own), -1, -1)], dim=1)
        labelled = one_hot(labels, way, support)
        targets = torch.cat([labelled, torch.zeros_like(start[:, count:])], dim=1)
        shares = torch.cat([torch.full_like(support[..., :1], 1 / count), torch.zeros_like(own[..., :1])], dim=1)
        trusted = (labelled * self.text_logits(support, own).softmax(dim=-1)).sum(dim=1, keepdim=True)
        pull = 2 / way * self.text_norm**2 * trusted / labelled.sum(dim=1, keepdim=True)

        def step(coefficients: Tensor, scores: Tensor) -> Tensor:
            return cosine_step(coefficients, scores, targets, shares, scale=self.scale) + pull * (coefficients - start)

        rates = cosine_schedule(self.lr, self.steps, warmup=1e-5, length=self.text_norm)
        weights = (points.mT @ descend(points @ points.mT, start, step, rates)).mT
        return self.scale * query @ torch.nn.functional.normalize(with_texts(weights, texts), dim=-1).mT
