"""Tip-Adapter-F: a cache of the support whose keys are trained."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.checks import check_at_least, check_counts, check_positive
from tlzoo.functional.span import adamw, cosine_schedule
from tlzoo.methods.image_text_classifier import ImageTextClassifier, one_hot
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space

__all__ = ["TipAdapterF"]


class TipAdapterF(ImageTextClassifier):
    r"""Tip-Adapter-F (Zhang et al., ECCV 2022), https://arxiv.org/abs/2207.09519.

    .. math:: \tau q^\top t_c + \alpha \sum_{i : y_i = c} e^{-\beta (1 - q^\top k_i)}

    with keys k that start at the support and are trained by cross-entropy on it. With ``steps: 0`` it is Tip-Adapter,
    without training. Classes without support are scored by their text.

    Differs from the paper: every step takes all of the support, one picture an item, and alpha and beta are not
    searched on validation data of the same classes; give the harness candidates, which it chooses on other classes.

    Args:
        scale: tau.
        alpha: weight of the cache.
        beta: sharpness of the affinity.
        steps: number of AdamW steps, with a cosine schedule.
        lr: learning rate.
    """

    label = "Tip-Adapter-F"
    paper = Paper(
        title="Tip-Adapter: Training-free Adaption of CLIP for Few-shot Classification",
        authors=("Zhang", "Zhang", "Fang", "Gao", "Li", "Dai", "Qiao", "Li"),
        venue="ECCV",
        year=2022,
        arxiv="2207.09519",
    )
    variants = ({}, {"steps": 0})
    space = Space(alpha=LogUniform(0.3, 30.0), beta=LogUniform(0.5, 20.0))

    def __init__(
        self, *, scale: float = 100.0, alpha: float = 1.0, beta: float = 5.5, steps: int = 20, lr: float = 0.001
    ) -> None:
        super().__init__(scale=scale)
        check_at_least(0, alpha=alpha, beta=beta)
        check_counts(low=0, steps=steps)
        check_positive(lr=lr)
        self.alpha, self.beta, self.steps, self.lr = alpha, beta, steps, lr

    def answer(self, support: Tensor, labels: Tensor, query: Tensor, texts: Tensor, *, way: int) -> Tensor:
        """Return the logits."""
        targets = one_hot(labels, way, support)
        keys = self._trained(support, targets, self.text_logits(support, texts[:, :way]))
        cached = self.alpha * torch.exp(-self.beta * (1 - query @ keys.mT)) @ targets
        return self.text_logits(query, texts) + F.pad(cached, (0, texts.shape[1] - way))

    def _trained(self, support: Tensor, targets: Tensor, text_logits: Tensor) -> Tensor:
        """Return the keys (E, S, D) after AdamW, whose steps are those of each episode alone."""

        def gradients(values: list[Tensor]) -> list[Tensor]:
            affinity = self.alpha * torch.exp(-self.beta * (1 - support @ values[0].mT))  # (E, item, key)
            wrong = ((text_logits + affinity @ targets).softmax(dim=-1) - targets) / support.shape[1]
            return [(self.beta * affinity * (wrong @ targets.mT)).mT @ support]

        return adamw([support], gradients, cosine_schedule(self.lr, self.steps), eps=1e-4)[0]
