"""CST: pseudo-labels are good if a classifier trained on them is right on the source."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional import entropy
from tlzoo.functional.checks import check_at_least, check_positive
from tlzoo.functional.norms import directions
from tlzoo.functional.precision import at_least_float32
from tlzoo.methods.alignment import Alignment
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space, Uniform
from tlzoo.types import Context, Losses, Prediction

__all__ = ["CST"]


class CST(Alignment):
    r"""Cycle self-training (Liu et al., NeurIPS 2021), https://arxiv.org/abs/2103.03571.

    .. math::

        \frac{w}{N C} \left\lVert K_{st} (K_{tt} + \lambda I)^{-1} \bar Y_t - \bar Y_s \right\rVert^2
        + \frac{v}{\alpha - 1} \left[ C - \sum_c \frac{\sum_i a_i p_{ic}^\alpha}{\sum_i a_i p_{ic}} \right]

    First, kernel ridge regression on the target with its pseudo-labels predicts the labels of the source, through which
    the features learn: K are cosines of features, and :math:`\bar Y` one-hot classes minus 1/C. Second, a Tsallis
    entropy of the target's predictions p, softened by a temperature, with weights a as in
    :class:`~tlzoo.methods.adaptation.mcc.MCC`.

    Differs from the paper: the entropic index alpha is a setting, as in the authors' code, and is not searched during
    training. Their code also has FixMatch on strong views, and sharpness-aware steps on the whole loss; combine with
    :class:`~tlzoo.methods.adaptation.fixmatch.FixMatch` and :class:`~tlzoo.methods.adaptation.sdat.SDAT` (steps on the
    source loss) by ``"cst+fixmatch+sdat"``.

    Args:
        num_features: D.
        num_classes: C.
        reverse_weight: w.
        entropy_weight: v.
        alpha: entropic index; near 1 it is Shannon's entropy, 2 is Gini's impurity.
        temperature: of the softmax in the entropy.
        penalty: lambda of the ridge regression.
    """

    label = "CST"
    paper = Paper(
        title="Cycle Self-Training for Domain Adaptation",
        authors=("Liu", "Wang", "Long"),
        venue="NeurIPS",
        year=2021,
        arxiv="2103.03571",
    )
    space = Space(
        reverse_weight=LogUniform(0.05, 5.0), entropy_weight=LogUniform(0.008, 0.8), temperature=Uniform(1.0, 4.0)
    )

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        reverse_weight: float = 0.5,
        entropy_weight: float = 0.08,
        alpha: float = 1.9,
        temperature: float = 2.0,
        penalty: float = 1e-3,
    ) -> None:
        super().__init__(num_features, num_classes)
        check_at_least(0, reverse_weight=reverse_weight, entropy_weight=entropy_weight)
        check_positive(alpha=alpha, temperature=temperature, penalty=penalty)
        if alpha == 1:
            raise ValueError("alpha 1 is Shannon's entropy, which the formula does not give; choose 1.001, for example")
        self.reverse_weight, self.entropy_weight = reverse_weight, entropy_weight
        self.alpha, self.temperature, self.penalty = alpha, temperature, penalty

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the loss on features (N, D) and (M, D), source labels (N,) and target logits (M, C).

        Raises:
            ValueError: the source has no labels.
        """
        if source.labels is None:
            raise ValueError("cst needs the labels of the source; give them with its Prediction")
        reverse = self._reverse(source.features, source.labels, target)
        uncertainty = self._tsallis(target.logits)
        return {
            "loss": self.reverse_weight * reverse + self.entropy_weight * uncertainty,
            "reverse": reverse.detach(),
            "tsallis_entropy": uncertainty.detach(),
        }

    def _reverse(self, features: Tensor, labels: Tensor, target: Prediction) -> Tensor:
        """Return the squared error on the source of a classifier that is fitted to the target's pseudo-labels."""
        # in float64: the penalty is small beside the cosines, and few features make them nearly singular
        ours, theirs = directions(features.double()), directions(target.features.double())
        gram = theirs @ theirs.T + self.penalty * torch.eye(len(theirs), dtype=theirs.dtype, device=theirs.device)
        fitted = torch.linalg.solve(gram, self._targets(target.logits.argmax(dim=1), ours))
        return F.mse_loss(ours @ theirs.T @ fitted, self._targets(labels, ours)).to(features.dtype)

    def _targets(self, labels: Tensor, like: Tensor) -> Tensor:
        """Return the one-hot classes (N, C) of labels (N,), minus 1/C."""
        classes = torch.arange(self.num_classes, device=labels.device)
        return (labels[:, None] == classes).to(like.dtype) - 1 / self.num_classes

    def _tsallis(self, logits: Tensor) -> Tensor:
        """Return the Tsallis entropy of predictions (M, C), each class weighed by its share of the batch."""
        scaled = at_least_float32(logits) / self.temperature
        p = scaled.softmax(dim=1)
        certainty = 1 + torch.exp(-entropy(scaled.detach()))
        weights = (certainty / certainty.mean())[:, None]
        sizes = (weights * p).sum(dim=0).clamp_min(torch.finfo(p.dtype).tiny)
        return (self.num_classes - ((weights * p**self.alpha).sum(dim=0) / sizes).sum()) / (self.alpha - 1)
