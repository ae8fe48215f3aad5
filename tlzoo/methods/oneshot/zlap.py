"""ZLaP: labels spread from class texts over a graph of all queries."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional.checks import check_at_least, check_counts, check_shares
from tlzoo.methods.image_text_classifier import ImageTextClassifier
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space, Uniform
from tlzoo.types import Sees

__all__ = ["ZLaP"]


class ZLaP(ImageTextClassifier):
    r"""Zero-shot classification with label propagation (Stojnić et al., CVPR 2024), https://arxiv.org/abs/2404.04072.

    Each query is joined with the k queries most similar to it, itself included, by their cosine, and with the k texts
    most similar to it, by their cosine to the power of gamma; negative ones count as 0. The graph W and its transpose
    are added, their diagonal taken away, and the scores of a query are the entries of

    .. math:: (I - \alpha D^{-1/2} W D^{-1/2})^{-1}, \qquad D = \operatorname{diag}(W 1)

    between it and the texts. The support is not used, all queries of the episode are. It is the paper's transductive
    setting.

    Args:
        scale: not used.
        neighbors: k.
        power: gamma, which brings cosines between pictures and texts to the range of those between pictures.
        alpha: how far labels spread, below 1.

    Differs from the paper: the system is solved exactly, not by 50 steps of conjugate gradients.
    """

    paper = Paper(
        title="Label Propagation for Zero-shot Classification with Vision-Language Models",
        authors=("Stojnić", "Kalantidis", "Tolias"),
        venue="CVPR",
        year=2024,
        arxiv="2404.04072",
    )
    sees = ImageTextClassifier.sees | {Sees.TEST_INPUTS}
    space = Space(power=LogUniform(0.5, 10.0), alpha=Uniform(0.1, 0.95))

    def __init__(self, *, scale: float = 100.0, neighbors: int = 5, power: float = 5.0, alpha: float = 0.3) -> None:
        super().__init__(scale=scale)
        check_counts(neighbors=neighbors)
        check_at_least(0, power=power)
        check_shares(below_one=True, alpha=alpha)
        self.neighbors, self.power, self.alpha = neighbors, power, alpha

    def answer(self, support: Tensor, labels: Tensor, query: Tensor, texts: Tensor, *, way: int) -> Tensor:
        """Return the scores."""
        classes, count = texts.shape[1], query.shape[1]
        told, alike = self._nearest(query @ texts.mT), self._nearest(query @ query.mT)
        tiny = torch.finfo(told.dtype).tiny  # a power below 1 has no gradient at zero
        told = torch.where(told <= 0, torch.zeros_like(told), told.clamp_min(tiny) ** self.power)
        alike = (alike + alike.mT) * (1 - torch.eye(count).to(alike))
        none = torch.zeros_like(told[:, :1, :1]).expand(-1, classes, classes)
        graph = torch.cat([torch.cat([none, told.mT], dim=2), torch.cat([told, alike], dim=2)], dim=1)
        degree = graph.sum(dim=2, keepdim=True)
        root = torch.where(degree > 0, degree, torch.ones_like(degree)).rsqrt()
        system = torch.eye(classes + count).to(graph) - self.alpha * root * graph * root.mT
        of_classes = torch.eye(classes + count, classes).to(graph).expand(len(graph), -1, -1)
        spread: Tensor = torch.linalg.solve(system, of_classes)
        return spread[:, classes:]

    def _nearest(self, similar: Tensor) -> Tensor:
        """Return the similarities (E, N, M) of each row to its nearest columns, zero elsewhere and where negative."""
        values, places = similar.topk(min(self.neighbors, similar.shape[2]), dim=2)
        return torch.zeros_like(similar).scatter(2, places, values.clamp_min(0))
