"""BD-CSPN: rectify prototypes with the queries."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional import cosine_similarities, memberships, prototypes
from tlzoo.functional.checks import check_choice, check_positive
from tlzoo.methods.oneshot.features import FeatureClassifier, Transform
from tlzoo.paper import Paper
from tlzoo.types import Sees

__all__ = ["BDCSPN", "rectified"]


def rectified(
    support: Tensor, support_labels: Tensor, query: Tensor, *, way: int, sharpness: float
) -> tuple[Tensor, Tensor]:
    """Return prototypes (E, way, D) rectified by the queries, and the queries (E, Q, D) shifted to the support's mean.

    Each query joins the class with the nearest mean by cosine. A prototype averages the support and the queries of its
    class with weights exp(sharpness * cosine to the mean).
    """
    query = query + support.mean(dim=1, keepdim=True) - query.mean(dim=1, keepdim=True)
    members = memberships(support_labels, way, dtype=support.dtype)
    centers = prototypes(support, support_labels, way)
    cosines = cosine_similarities(torch.cat([support, query], dim=1), centers)
    guessed = F.one_hot(cosines[:, support.shape[1] :].argmax(dim=-1), way).to(support.dtype)
    weights = (sharpness * cosines).exp() * torch.cat([members, guessed], dim=1)
    weights = weights / weights.sum(dim=1, keepdim=True)
    return weights.transpose(1, 2) @ torch.cat([support, query], dim=1), query


class BDCSPN(FeatureClassifier):
    r"""BD-CSPN (Liu, Song & Qin, ECCV 2020), https://arxiv.org/abs/1911.10713.

    Queries are shifted by mean(support) - mean(queries), and each joins the class with the nearest mean by cosine. The
    rectified prototypes

    .. math:: p_c = \frac{\sum_i w_i f_i}{\sum_i w_i}, \qquad w_i = e^{\beta \cos(f_i, m_c)}

    over the support and queries of a class classify the queries by cosine. Transductive.

    Args:
        num_features: D, the width of the base mean.
        transform: UN, L2N or CL2N, see SimpleShot.
        base_mean: (D,) mean of the base set, for CL2N; None to learn it by ``fit_base``.
        sharpness: beta; 10 in the paper. With one picture per class, 1 does as well or better.
        temperature: factor of the returned cosines.
        answered: which queries are classified: the ``"shifted"`` ones, as in the paper, or those ``"given"``, as in
            easyfsl, which suffers less from unequal numbers of queries per class.

    Differs from the paper: all queries join a class, not only the eight most confident ones.

    >>> support, labels, query = torch.eye(2).unsqueeze(0), torch.tensor([[0, 1]]), torch.tensor([[[9.0, 0.0], [0, 9]]])
    >>> BDCSPN(2, transform="L2N")(support, labels, query, way=2).argmax(dim=-1).tolist()
    [[0, 1]]
    """

    label = "BD-CSPN"
    paper = Paper(
        title="Prototype Rectification for Few-Shot Learning",
        authors=("Liu", "Song", "Qin"),
        venue="ECCV",
        year=2020,
        arxiv="1911.10713",
    )
    sees = FeatureClassifier.sees | {Sees.TEST_INPUTS}
    variants = ({}, {"transform": "UN", "sharpness": 10.0}, {"answered": "given"})
    rotation_invariant = True

    def __init__(
        self,
        num_features: int,
        *,
        transform: Transform = "CL2N",
        base_mean: Any = None,
        sharpness: float = 1.0,
        temperature: float = 10.0,
        answered: Literal["shifted", "given"] = "shifted",
    ) -> None:
        super().__init__(num_features, transform, base_mean=base_mean)
        check_positive(sharpness=sharpness, temperature=temperature)
        check_choice(answered, ("shifted", "given"), what="answered")
        self.sharpness, self.temperature, self.answered = sharpness, temperature, answered

    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map transformed support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way)."""
        centers, moved = rectified(support, support_labels, query, way=way, sharpness=self.sharpness)
        return self.temperature * cosine_similarities(query if self.answered == "given" else moved, centers)
