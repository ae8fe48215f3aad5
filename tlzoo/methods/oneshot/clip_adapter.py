"""CLIP-Adapter: a bottleneck that is trained on the support, mixed with the features."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.checks import check_counts, check_positive, check_shares
from tlzoo.functional.span import adamw, cosine_schedule
from tlzoo.methods.image_text_classifier import ImageTextClassifier, one_hot
from tlzoo.nn.random_stream import RandomStream
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space, Uniform

__all__ = ["CLIPAdapter"]

_AT_ONCE = 2
"""Episodes whose weights are trained together; those of more would leave the processor's cache."""


class CLIPAdapter(ImageTextClassifier):
    r"""CLIP-Adapter (Gao et al., IJCV 2024), https://arxiv.org/abs/2110.04544, on the features of pictures.

    .. math:: \tau \frac{\hat q^\top t_c}{\lVert \hat q \rVert}, \qquad
        \hat q = \alpha \operatorname{relu}(\operatorname{relu}(q W_1) W_2) + (1 - \alpha) q

    with :math:`W_1` (D, D / 4) and :math:`W_2` (D / 4, D), trained by cross-entropy on the support. New classes are
    answered by the adapted features, too.

    Differs from the paper: Adam on all of the support at once, one picture an item, at the rate and for the number of
    steps of the authors' Tip-Adapter-F; their code takes CoOp's SGD on augmented pictures. The ratio is not searched on
    validation data of the same classes; give the harness candidates, which it chooses on other classes.

    Args:
        scale: tau.
        ratio: alpha, the share of the adapted features.
        reduction: width of the features, divided by that of the bottleneck.
        steps: number of Adam steps, with a cosine schedule.
        lr: learning rate.
    """

    label = "CLIP-Adapter"
    paper = Paper(
        title="CLIP-Adapter: Better Vision-Language Models with Feature Adapters",
        authors=("Gao", "Geng", "Zhang", "Ma", "Fang", "Zhang", "Li", "Qiao"),
        venue="IJCV",
        year=2024,
        arxiv="2110.04544",
    )
    space = Space(ratio=Uniform(0.1, 0.9), lr=LogUniform(0.0001, 0.01))

    def __init__(
        self, *, scale: float = 100.0, ratio: float = 0.2, reduction: int = 4, steps: int = 20, lr: float = 0.001
    ) -> None:
        super().__init__(scale=scale)
        check_shares(ratio=ratio)
        check_counts(reduction=reduction)
        check_counts(low=0, steps=steps)
        check_positive(lr=lr)
        self.ratio, self.reduction, self.steps, self.lr = ratio, reduction, steps, lr
        self.random = RandomStream()

    def answer(self, support: Tensor, labels: Tensor, query: Tensor, texts: Tensor, *, way: int) -> Tensor:
        """Return the logits."""
        targets, start = one_hot(labels, way, support), self._start(support)
        episodes = torch.arange(len(support), device=support.device)
        parts = [
            self._logits(support[some], targets[some], query[some], texts[some], start)
            for some in torch.split(episodes, _AT_ONCE)
        ]
        return torch.cat(parts)

    def _logits(self, support: Tensor, targets: Tensor, query: Tensor, texts: Tensor, start: list[Tensor]) -> Tensor:
        """Return the logits of a few episodes, whose weights begin at ``start``."""
        own, kept = texts[:, : targets.shape[-1]], (1 - self.ratio) * support
        share = self.scale * self.ratio / support.shape[1]

        def gradients(weights: list[Tensor]) -> list[Tensor]:
            hidden, found = _through(support, weights)
            mixed = kept + self.ratio * found
            length = torch.linalg.vector_norm(mixed, dim=-1, keepdim=True).clamp_min(1e-12)
            cosines = mixed @ own.mT / length
            by_cosines = share * ((self.scale * cosines).softmax(dim=-1) - targets) / length
            along = (by_cosines * cosines).sum(dim=-1, keepdim=True) / length
            by_found = (by_cosines @ own - along * mixed) * (found > 0)
            by_hidden = by_found @ weights[1].mT * (hidden > 0)
            return [support.mT @ by_hidden, hidden.mT @ by_found]

        begun = [each.expand(len(support), -1, -1) for each in start]
        weights = adamw(begun, gradients, cosine_schedule(self.lr, self.steps), decay=0.0)
        adapted = self.ratio * _through(query, weights)[1] + (1 - self.ratio) * query
        return self.text_logits(F.normalize(adapted, dim=-1), texts)

    @torch.no_grad()
    def _start(self, like: Tensor) -> list[Tensor]:
        """Return the initial weights, those of torch's linear layers, the same for all episodes."""
        generator, width = self.random.constant(), like.shape[-1]
        narrow = max(1, width // self.reduction)
        drawn = [torch.empty(shape, dtype=torch.float64) for shape in ((width, narrow), (narrow, width))]
        return [each.uniform_(-1, 1, generator=generator).div_(len(each) ** 0.5).to(like) for each in drawn]


def _through(features: Tensor, weights: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the hidden layer (E, N, R) and the output (E, N, D) of the bottleneck."""
    hidden = (features @ weights[0]).relu()
    return hidden, (hidden @ weights[1]).relu()
