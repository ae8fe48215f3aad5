"""ToAlign: of the source, only what its class needs is aligned."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlzoo.functional import entropy, gradient_reversal
from tlzoo.methods.adversary import Adversary
from tlzoo.nn.discriminator import DomainDiscriminator, domain_loss
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Context, Losses, Need, Prediction

__all__ = ["ToAlign"]


class ToAlign(Adversary):
    r"""Task-oriented alignment (Wei et al., NeurIPS 2021), https://arxiv.org/abs/2106.10812.

    The features of a source example of class y are replaced by their task-relevant part

    .. math:: f_p = s \, (w_y \odot f), \qquad s = \lVert f \rVert / \lVert w_y \odot f \rVert

    with the weights :math:`w_y` of the head for its class, held constant. A discriminator behind a gradient reversal
    tells the head's predictions for these parts from those for the target. Each example weighs :math:`e^{-H}`,
    normalized in each domain; the gradient of these weights is reversed, too.

    Differs from the paper: it is built on a discriminator of predictions alone, without the three more heads of HDA,
    and the discriminator has batch normalization instead of dropout.

    Args:
        num_features: D.
        num_classes: C.
        hidden: width of the discriminator.
        gamma: steepness of the schedule of the reversal.
        weight: trade-off of the term.
    """

    label = "ToAlign"
    paper = Paper(
        title="ToAlign: Task-oriented Alignment for Unsupervised Domain Adaptation",
        authors=("Wei", "Lan", "Zeng", "Zhang", "Chen"),
        venue="NeurIPS",
        year=2021,
        arxiv="2106.10812",
    )
    needs = frozenset({Need.MODEL})
    space = Space(weight=LogUniform(0.1, 10.0))

    def __init__(
        self, num_features: int, num_classes: int, *, hidden: int = 1024, gamma: float = 10.0, weight: float = 1.0
    ) -> None:
        super().__init__(num_features, num_classes, gamma=gamma, weight=weight)
        self.discriminator = DomainDiscriminator(num_classes, hidden)

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the weighted discriminator loss on source (N, D) with labels (N,), and target logits (M, C).

        Raises:
            ValueError: the model or the source labels are missing, or the model has no linear ``head``.
        """
        head = getattr(context.model, "head", None)
        if source.labels is None or not isinstance(head, nn.Linear):
            raise ValueError(
                f"to_align needs source labels and a model with a linear head; got labels {source.labels}, head {head}"
            )
        relevant = _relevant(source.features, head.weight.detach()[source.labels])
        logits, n = torch.cat([head(relevant), target.logits]), len(source)
        coefficient = self.coefficient(context)
        judged = self.discriminator(gradient_reversal(logits.softmax(dim=1), coefficient))
        certainty = torch.exp(-gradient_reversal(entropy(logits), coefficient))
        ours, theirs = (part / part.sum().detach() for part in (certainty[:n], certainty[n:]))
        loss, accuracy = domain_loss(judged, n, (ours, theirs))
        return {"loss": self.weight * loss, "domain_accuracy": accuracy}


def _relevant(features: Tensor, weights: Tensor) -> Tensor:
    """Return features (N, D) times weights (N, D), with the length that they had."""
    chosen = features * weights
    tiny = torch.finfo(features.dtype).tiny
    energies = chosen.square().sum(dim=1, keepdim=True).clamp_min(tiny)
    return chosen * (features.square().sum(dim=1, keepdim=True).clamp_min(tiny) / energies).sqrt()
