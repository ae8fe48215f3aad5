"""SJE: a bilinear compatibility trained on the worst violator."""

from __future__ import annotations

from torch import Tensor

from tlzoo.functional.checks import check_positive
from tlzoo.functional.ranking import margin_violations
from tlzoo.methods.zeroshot.bilinear import Bilinear
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Losses

__all__ = ["SJE"]


class SJE(Bilinear):
    r"""Structured joint embedding (Akata et al., CVPR 2015), https://arxiv.org/abs/1409.8403.

    .. math::

        F(x, c) = f^\top W a_c, \qquad \ell = \max_c \left( m \, \mathbf{1}[c \ne y] + F(x, c) - F(x, y) \right)

    Only the wrong class that comes closest to the right one, or exceeds it most, is pushed away.

    Args:
        num_features: D.
        num_embedding: A.
        margin: m, the required lead of the right class; 1 in the paper.

    With a single class there is no violator, and the loss is 0.

    >>> import torch
    >>> sje = SJE(2, 2)
    >>> _ = torch.nn.init.eye_(sje.weight)
    >>> sje.loss(torch.eye(2), torch.tensor([1, 1]), torch.eye(2))["loss"].item()
    1.0

    Differs from the paper: batches instead of single examples, features and embeddings L2-normalized (as Xian et al.
    do in their comparison).
    """

    paper = Paper(
        title="Evaluation of Output Embeddings for Fine-Grained Image Classification",
        authors=("Akata", "Reed", "Walter", "Lee", "Schiele"),
        venue="CVPR",
        year=2015,
        arxiv="1409.8403",
    )
    space = Space(margin=LogUniform(0.1, 10.0))

    def __init__(self, num_features: int, num_embedding: int, *, margin: float = 1.0) -> None:
        super().__init__(num_features, num_embedding)
        check_positive(margin=margin)
        self.margin = margin

    def batch_loss(self, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> Losses:
        """Return the mean loss of a batch."""
        hinges = margin_violations(self.scores(features, class_embeddings), labels, margin=self.margin)
        return {"loss": hinges.amax(dim=1).mean()}
