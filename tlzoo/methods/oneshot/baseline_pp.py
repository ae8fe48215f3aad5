"""Baseline++: a cosine classifier trained on the support."""

from __future__ import annotations

from torch import Tensor

from tlzoo.functional import cosine_similarities, memberships, prototypes
from tlzoo.methods.oneshot.features import FeatureClassifier, Transform
from tlzoo.methods.oneshot.fitting import fit_cosine
from tlzoo.paper import Paper

__all__ = ["BaselinePP"]


class BaselinePP(FeatureClassifier):
    """Baseline++ (Chen, Liu, Kira, Wang & Huang, ICLR 2019), https://arxiv.org/abs/1904.04232.

    logits = scale * cos(f, w), the class weights w trained on the support by cross-entropy.

    Args:
        num_features: D, the width of the base mean.
        transform: UN, L2N or CL2N, see SimpleShot; the paper has UN.
        scale: multiplies the cosines, 2 in the paper where base classes are few, 30 where many.
        steps: of descent.
        rate: length of a step.

    Differs from the paper: weights start at the class means rather than at random, and go down by steps of one length
    in any coordinates; features are CL2N by default.

    >>> import torch
    >>> support, labels, query = torch.eye(2).unsqueeze(0), torch.tensor([[0, 1]]), torch.tensor([[[9.0, 0.0]]])
    >>> BaselinePP(2, transform="UN")(support, labels, query, way=2).argmax(dim=-1).tolist()
    [[0]]
    """

    label = "Baseline++"
    paper = Paper(
        title="A Closer Look at Few-shot Classification",
        authors=("Chen", "Liu", "Kira", "Wang", "Huang"),
        venue="ICLR",
        year=2019,
        arxiv="1904.04232",
    )
    variants = ({}, {"transform": "UN", "scale": 30.0})
    rotation_invariant = True

    def __init__(
        self,
        num_features: int,
        *,
        transform: Transform = "CL2N",
        scale: float = 2.0,
        steps: int = 100,
        rate: float = 0.01,
    ) -> None:
        super().__init__(num_features, transform)
        self.scale, self.steps, self.rate = scale, steps, rate

    def classify(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map transformed support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way)."""
        members, shots = memberships(support_labels, way, dtype=support.dtype), support.shape[1]
        weights = fit_cosine(
            prototypes(support, support_labels, way),
            support,
            lambda logits: (logits.softmax(dim=-1) - members) / shots,
            temperature=self.scale,
            steps=self.steps,
            rate=self.rate,
        )
        return self.scale * cosine_similarities(query, weights)
