"""Support-based fine-tuning: start from class means and train on the support."""

from __future__ import annotations

from typing import Any

from tlzoo.methods.oneshot.descent import DescendingClassifier
from tlzoo.methods.oneshot.features import Transform
from tlzoo.paper import Paper

__all__ = ["Finetune"]


class Finetune(DescendingClassifier):
    """Fine-tuning from class means (Dhillon et al., ICLR 2020), https://arxiv.org/abs/1909.02729.

    The cosine classifier starts from the class means, which Dhillon et al. show to be good already, and is trained on
    the support by cross-entropy. TransductiveFinetuning adds the entropy of the queries.

    Args:
        num_features: D, the width of the base mean.
        transform: UN, L2N or CL2N, see SimpleShot.
        base_mean: (D,) mean of the base set, for CL2N; None to learn it by ``fit_base``.
        temperature: factor of the cosines.
        steps: number of descent steps.
        rate: length of a step.

    Differs from the paper: only the head is trained, on frozen features; step lengths do not depend on the coordinates.

    >>> import torch
    >>> support, labels, query = torch.eye(2).unsqueeze(0), torch.tensor([[0, 1]]), torch.tensor([[[9.0, 0.0]]])
    >>> Finetune(2, transform="L2N")(support, labels, query, way=2).argmax(dim=-1).tolist()
    [[0]]
    """

    label = "fine-tuned head"
    paper = Paper(
        title="A Baseline for Few-Shot Image Classification",
        authors=("Dhillon", "Chaudhari", "Ravichandran", "Soatto"),
        venue="ICLR",
        year=2020,
        arxiv="1909.02729",
    )
    variants = ({}, {"transform": "L2N", "temperature": 10.0})

    def __init__(
        self,
        num_features: int,
        *,
        transform: Transform = "CL2N",
        base_mean: Any = None,
        temperature: float = 1.0,
        steps: int = 200,
        rate: float = 3e-3,
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
