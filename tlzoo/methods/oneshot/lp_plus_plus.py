"""LP++: a linear probe beside the texts, with step sizes out of the features."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional.checks import check_counts
from tlzoo.methods.image_text_classifier import ImageTextClassifier, one_hot
from tlzoo.paper import Paper

__all__ = ["LPPlusPlus"]

_BLOCK, _TINY = 10, 1e-12


class LPPlusPlus(ImageTextClassifier):
    r"""LP++ (Huang et al., CVPR 2024), https://arxiv.org/abs/2404.02285.

    .. math:: q^\top (w_c + \alpha_c t_c)

    with w and :math:`\alpha` trained by cross-entropy on the support: w by gradient descent with momentum at the rate
    :math:`4 S / \lambda_{\max}(X^\top X)`, from the sums of each class's features; in every tenth step
    :math:`\alpha` at the rate :math:`S / (4 \max_c \sum_i (x_i^\top t_c)^2)`, from 250 times the mean similarity of a
    class's features and its text. Nothing is chosen on validation data. Classes without support are scored by their
    text at the first :math:`\alpha`.

    Differs from the paper: the last step answers, not the best on validation data. The authors' code adds the gradients
    of all earlier steps to that of :math:`\alpha`, and has a bias that starts at random; neither is in the paper, nor
    here.

    Args:
        steps: number of steps.
    """

    label = "LP++"
    paper = Paper(
        title="LP++: A Surprisingly Strong Linear Probe for Few-Shot CLIP",
        authors=("Huang", "Shakeri", "Dolz", "Boudiaf", "Bahig", "Ben Ayed"),
        venue="CVPR",
        year=2024,
        arxiv="2404.02285",
    )

    def __init__(self, *, steps: int = 300) -> None:
        super().__init__()
        check_counts(steps=steps)
        self.steps = steps

    def answer(self, support: Tensor, labels: Tensor, query: Tensor, texts: Tensor, *, way: int) -> Tensor:
        """Return the logits."""
        count = support.shape[1]
        targets = one_hot(labels, way, support)
        kernel, similar = support @ support.mT, support @ texts[:, :way].mT
        known = kernel.detach().nan_to_num(posinf=0.0, neginf=0.0)  # what is not finite is named after the answer
        rate = 4 * count / torch.linalg.eigvalsh(known)[:, -1].clamp_min(_TINY)[:, None, None]
        blend_rate = count / (4 * similar.square().sum(dim=1).amax(dim=1).clamp_min(_TINY)[:, None, None])
        own = (targets * similar).sum(dim=1, keepdim=True) / targets.sum(dim=1, keepdim=True)
        first = blend = 250 * own.mean(dim=2, keepdim=True).expand_as(own)
        weights, velocity = targets, torch.zeros_like(targets)  # the sums of each class's features
        for step in range(self.steps):
            wrong = ((kernel @ weights + blend * similar).softmax(dim=-1) - targets) / count
            velocity = 0.9 * velocity + wrong
            weights = weights - rate * velocity
            if (step + 1) % _BLOCK == 0:
                blend = blend - blend_rate * (wrong * similar).sum(dim=1, keepdim=True)
        logits = query @ texts.mT
        trained = query @ (support.mT @ weights) + blend * logits[..., :way]
        return torch.cat([trained, first[..., :1] * logits[..., way:]], dim=-1)
