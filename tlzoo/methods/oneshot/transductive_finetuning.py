"""Transductive fine-tuning: make the predictions for the queries certain."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tlzoo.functional import entropy
from tlzoo.methods.oneshot.descent import DescendingClassifier, cross_entropy, through_softmax
from tlzoo.methods.oneshot.features import Transform
from tlzoo.methods.oneshot.finetune import Finetune
from tlzoo.types import Sees

__all__ = ["TransductiveFinetuning"]


class TransductiveFinetuning(DescendingClassifier):
    r"""Transductive fine-tuning (Dhillon et al., ICLR 2020), https://arxiv.org/abs/1909.02729.

    The weights of a cosine classifier start at the class means and minimize

    .. math:: \mathrm{CE}(\text{support}) + \frac{1}{Q} \sum_j H(p_j)

    with the predictions p for the queries.

    Args:
        num_features: D, the width of the base mean.
        transform: UN, L2N or CL2N, see SimpleShot.
        base_mean: (D,) mean of the base set, for CL2N; None to learn it by ``fit_base``.
        temperature: factor of the cosines.
        steps: number of descent steps; 25 in the paper.
        rate: length of a step.

    Differs from the paper: only the head is trained, on frozen features; step lengths do not depend on the coordinates.

    >>> support, labels, query = torch.eye(2).unsqueeze(0), torch.tensor([[0, 1]]), torch.tensor([[[9.0, 0.0], [0, 9]]])
    >>> TransductiveFinetuning(2, transform="L2N")(support, labels, query, way=2).argmax(dim=-1).tolist()
    [[0, 1]]
    """

    label = "transductive fine-tuning"
    paper = Finetune.paper
    sees = DescendingClassifier.sees | {Sees.TEST_INPUTS}
    variants = ({}, {"transform": "L2N", "temperature": 1.0})

    def __init__(
        self,
        num_features: int,
        *,
        transform: Transform = "CL2N",
        base_mean: Any = None,
        temperature: float = 10.0,
        steps: int = 25,
        rate: float = 0.01,
    ) -> None:
        super().__init__(
            num_features,
            transform,
            base_mean=base_mean,
            distance="cosine",
            temperature=temperature,
            steps=steps,
            rate=rate,
        )

    def objective(self, logits: Tensor, members: Tensor) -> Tensor:
        """Return CE(support) + H(Y|X)."""
        known, asked = logits[:, : members.shape[1]], logits[:, members.shape[1] :]
        return cross_entropy(known, members) + entropy(asked).mean(dim=1)

    def gradient(self, logits: Tensor, members: Tensor) -> Tensor:
        """Return the gradient of the objective with respect to the logits."""
        probabilities = logits.softmax(dim=-1)
        known, answers = probabilities[:, : members.shape[1]], probabilities[:, members.shape[1] :]
        by_answers = -answers.clamp_min(torch.finfo(answers.dtype).tiny).log()  # but for a constant
        by_known = 1 / members.shape[1] * (known - members)
        return torch.cat([by_known, through_softmax(answers, by_answers) / answers.shape[1]], dim=1)
