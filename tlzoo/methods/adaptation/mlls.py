"""MLLS: answers under the class proportions of the test, found by expectation maximization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tlzoo.functional.label_shift import em_prior
from tlzoo.functional.precision import at_least_float32
from tlzoo.methods.test_time import TestTime
from tlzoo.nn.memory_bank import Memory
from tlzoo.paper import Paper

__all__ = ["MLLS"]

_TINY = 1e-30


class MLLS(TestTime):
    r"""Maximum likelihood label shift (Saerens, Latinne & Decaestecker, 2002), https://doi.org/10.1162/089976602753284446.

    Estimates the class proportions q of all test items so far by EM, and answers with

    .. math:: p'(c \mid x) \propto \frac{q_c}{\pi_c} \, p(c \mid x)

    for the proportions :math:`\pi` of the source. The model stays as it is; only its predictions are remembered.

    Differs from the paper: items of earlier batches keep their answers, where the paper has the whole test at once.

    Args:
        model: the source model; copied.
        source_prior: proportions of the source's classes; None for equal ones.
    """

    paper = Paper(
        title="Adjusting the Outputs of a Classifier to New a Priori Probabilities: A Simple Procedure",
        authors=("Saerens", "Latinne", "Decaestecker"),
        venue="Neural Computation",
        year=2002,
        doi="10.1162/089976602753284446",
    )
    variants = ({}, {"source_prior": (0.5, 0.3, 0.2)})

    def __init__(self, model: nn.Module, *, source_prior: Sequence[float] | None = None) -> None:
        super().__init__(model)
        self.source_prior = source_prior
        self.seen = Memory(probabilities=torch.zeros(0, 0))

    def adapt(self, inputs: Any) -> Tensor:
        """Return log-probabilities (B, C) under the proportions of all items so far."""
        logits = at_least_float32(self.predict(inputs).logits)
        probabilities, before = logits.softmax(dim=1), self.seen.get_buffer("probabilities")
        self.seen.probabilities = torch.cat([before.to(probabilities), probabilities]) if len(before) else probabilities
        classes = logits.shape[1]
        source = logits.new_tensor(self.source_prior or [1 / classes] * classes)
        target = em_prior(self.seen.probabilities, source)
        return (logits + (target / source).clamp_min(_TINY).log()).log_softmax(dim=1)

    def reset(self) -> None:
        """Return to the source model."""
        super().reset()
        self.seen.probabilities = self.seen.get_buffer("probabilities").new_zeros(0, 0)
