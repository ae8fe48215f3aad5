"""Logistic regression on features that are whitened within the base classes."""

from __future__ import annotations

from torch import Tensor

from tlzoo.functional.checks import check_counts, check_positive
from tlzoo.methods.oneshot.logistic import logistic_answers
from tlzoo.methods.oneshot.whitening import Whitening
from tlzoo.space import LogUniform, Space

__all__ = ["WhitenedLogistic"]


class WhitenedLogistic(Whitening):
    """Logistic regression on features that are centered, whitened within the base classes and normalized.

    The features are those of :class:`~tlzoo.methods.oneshot.whitening.Whitening`, the classifier that of
    :class:`~tlzoo.methods.oneshot.logistic.Logistic`. It is a stronger baseline than either where the base classes vary
    as the new ones do.

    Args:
        num_features: D.
        shrinkage: what is added to the variances within classes, as a share of their mean.
        strength: C, the weight of the data in logistic regression.
        steps: number of steps of gradient descent.

    >>> import torch
    >>> base = torch.tensor([[0.0, 5.0], [0.0, -5.0], [4.0, 5.0], [4.0, -5.0]])  # the second feature is noise
    >>> method = WhitenedLogistic(2, shrinkage=0.01)
    >>> _ = method.fit_base(base, torch.tensor([0, 0, 1, 1]))
    >>> support, labels = torch.tensor([[0.0, 5.0], [4.0, -5.0]]), torch.tensor([0, 1])
    >>> method(support, labels, torch.tensor([[0.0, -3.0]]), way=2).argmax(dim=1).tolist()
    [0]
    """

    label = "logistic regression, whitened within classes"
    space = Space(strength=LogUniform(0.1, 100.0), shrinkage=LogUniform(0.1, 10.0))
    variants = ({}, {"shrinkage": 0.1, "strength": 10.0})

    def __init__(self, num_features: int, *, shrinkage: float = 1.0, strength: float = 1.0, steps: int = 200) -> None:
        super().__init__(num_features, shrinkage=shrinkage)
        check_positive(strength=strength)
        check_counts(steps=steps)
        self.strength, self.steps = strength, steps

    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map transformed support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way)."""
        return logistic_answers(support, support_labels, query, way=way, strength=self.strength, steps=self.steps)
