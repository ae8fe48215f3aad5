"""Losses over several labelled domains, in the place of their pooled cross-entropy: domain generalization."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.checks import check_at_least, check_shares
from tlzoo.methods.alignment import Alignment
from tlzoo.types import Context, Losses, Need, Prediction, Sees

__all__ = ["AnnealedPenalty", "SourceRisk"]


class SourceRisk(Alignment):
    """A loss over the source domains of a batch; the target is never seen.

    Modules add the pooled cross-entropy, so the term is the difference from it. ``domains`` tells the sources apart
    (tasks such as ``google+apple->windows``, whose batches hold as many examples of each). A method implements
    :meth:`risk`.

    Args:
        num_features: D.
        num_classes: C.
    """

    sees = frozenset({Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS})
    needs = frozenset({Need.DOMAINS})
    implements: ClassVar[str] = "risk(source, rows, context)"

    @final
    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the risk minus the cross-entropy of ``source.logits`` (N, C).

        Raises:
            ValueError: the source has no labels.
        """
        if source.labels is None:
            raise ValueError(f"{type(self).__name__} needs the labels of the source; give them with its Prediction")
        domains = source.features.new_zeros(len(source)) if source.domains is None else source.domains
        rows = [(domains == domain).nonzero().flatten() for domain in torch.unique(domains)]
        terms = dict(self.risk(source, rows, context))
        terms["loss"] = terms["loss"] - F.cross_entropy(source.logits, source.labels)
        return terms

    def risk(self, source: Prediction, rows: list[Tensor], context: Context) -> Losses:
        """Return the whole loss under ``"loss"``, and values worth logging.

        Args:
            source: predictions with labels.
            rows: indices in the batch of the examples of each domain that it has.
            context: progress and model.
        """
        raise NotImplementedError(f"{type(self).__name__} implements no {self.implements}")


class AnnealedPenalty(SourceRisk):
    """The mean risk of the domains plus a penalty, whose weight is 1 for the first ``anneal`` of training.

    Where the weight exceeds 1, all is divided by it, as IRM's authors do: steps keep their length, which matters to SGD
    and not to Adam. A method implements :meth:`penalty`.

    Args:
        num_features: D.
        num_classes: C.
        weight: of the penalty, afterwards.
        anneal: share of training before.
    """

    implements: ClassVar[str] = "penalty(source, rows, risks)"

    def __init__(self, num_features: int, num_classes: int, *, weight: float, anneal: float = 0.1) -> None:
        super().__init__(num_features, num_classes)
        check_at_least(0, weight=weight)
        check_shares(anneal=anneal)
        self.weight, self.anneal = weight, anneal

    @final
    def risk(self, source: Prediction, rows: list[Tensor], context: Context) -> Losses:
        """Return the mean risk with its penalty."""
        risks = domain_risks(source, rows)
        penalty = self.penalty(source, rows, risks)
        weight = self.weight if context.progress >= self.anneal else 1.0
        return {"loss": (risks.mean() + weight * penalty) / max(weight, 1.0), "penalty": penalty.detach()}

    def penalty(self, source: Prediction, rows: list[Tensor], risks: Tensor) -> Tensor:
        """Return the penalty from the risks (S,) of the domains of a batch."""
        raise NotImplementedError(f"{type(self).__name__} implements no {self.implements}")


def domain_risks(source: Prediction, rows: list[Tensor]) -> Tensor:
    """Return the cross-entropy (S,) of each domain."""
    assert source.labels is not None
    losses = F.cross_entropy(source.logits, source.labels, reduction="none")
    return torch.stack([losses[own].mean() for own in rows])
