"""ROID: certain and diverse predictions, held by the source model's weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam, Optimizer

from tlzoo.functional import entropy
from tlzoo.functional.checks import check_positive, check_shares
from tlzoo.methods.augmenting import Augment, changed, check_augment
from tlzoo.methods.test_time import Online
from tlzoo.nn.memory_bank import Memory
from tlzoo.nn.random_stream import RandomStream
from tlzoo.paper import Paper

__all__ = ["ROID", "prior_corrected", "soft_likelihood_ratio", "symmetric_cross_entropy"]

_CLIP, _EPS, _TINY = 0.99, 1e-5, 1e-12


class ROID(Online):
    r"""Robust online adaptation in dynamic settings (Marsden, Döbler & Yang, WACV 2024), https://arxiv.org/abs/2306.00650.

    One Adam step a batch on the scales and shifts of normalization lowers the soft likelihood ratio

    .. math:: -\frac{1}{B} \sum_i w_i \sum_c p_{ic} \ln \frac{p_{ic}}{1 - p_{ic}}, \qquad
        w_i = \exp(d_i u_i / T)

    with the diversity d of a prediction (one minus its cosine to the running mean of predictions) and its certainty u
    (minus its entropy), both scaled to [0, 1] in the batch; predictions of less than mean diversity do not count. With
    ``augment`` the symmetric cross-entropy to changed inputs is added. Then the weights move to those of the source
    model by 1 - ``keep``, and the logits are multiplied by the smoothed mean of the batch's predictions.

    Differs from the paper: the user says how inputs are changed (``augment``), as that depends on their kind; without
    it there is no consistency.

    Args:
        model: the source model; copied.
        lr: learning rate of Adam.
        keep: share of the adapted weights that stays.
        smoothing: of the running mean of predictions.
        temperature: T.
        correct_prior: whether logits are multiplied by the batch's mean prediction.
        augment: maps inputs (B, ...) and a generator to changed inputs, or names a view, see
            :func:`~tlzoo.methods.augmenting.changed`; None for no consistency.
    """

    paper = Paper(
        title="Universal Test-time Adaptation through Weight Ensembling, Diversity Weighting, and Prior Correction",
        authors=("Marsden", "Döbler", "Yang"),
        venue="WACV",
        year=2024,
        arxiv="2306.00650",
    )
    variants = ({}, {"keep": 0.5, "correct_prior": False})

    def __init__(
        self,
        model: nn.Module,
        *,
        lr: float = 1e-3,
        keep: float = 0.99,
        smoothing: float = 0.9,
        temperature: float = 1 / 3,
        correct_prior: bool = True,
        augment: Augment | str | None = None,
    ) -> None:
        check_augment(augment)
        self.lr = lr
        super().__init__(model)
        check_shares(keep=keep, smoothing=smoothing)
        check_positive(temperature=temperature)
        self.keep, self.smoothing, self.temperature = keep, smoothing, temperature
        self.correct_prior, self.augment = correct_prior, augment
        self.mean = Memory(probabilities=torch.zeros(0))
        self.source = Memory(**{f"start{place}": p.detach().clone() for place, p in enumerate(self.trained)})
        self.random = RandomStream()

    @property
    def order_matters(self) -> bool:
        """Whether the order of a batch matters: each changed item draws its own numbers."""
        return self.augment is not None

    def make_optimizer(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """Return Adam."""
        return Adam(parameters, lr=self.lr)

    def adapt(self, inputs: Any) -> Tensor:
        """Return the corrected logits (B, C) of the current model, then learn from them."""
        logits = super().adapt(inputs).detach()
        return prior_corrected(logits) if self.correct_prior else logits

    def learn(self, inputs: Any, logits: Tensor) -> None:
        """Take a step on logits (B, C), and move the weights back."""
        weights = self._weights(logits.detach())
        loss = (weights * soft_likelihood_ratio(logits)).sum() / len(logits)
        generator = self.random.next()
        counted = weights > 0
        if self.augment is not None and bool(counted.any()):
            others = self.answer(changed(self.augment, inputs[counted], generator)).logits
            loss = loss + (weights[counted] * symmetric_cross_entropy(others, logits[counted])).sum() / len(logits)
        self.step(loss)
        self.hold()

    def _weights(self, logits: Tensor) -> Tensor:
        """Return w (B,), and update the running mean of predictions."""
        probabilities, mean = logits.softmax(dim=1), self.mean.get_buffer("probabilities")
        if not len(mean):
            mean = torch.full_like(probabilities[0], 1 / logits.shape[1])
        diversity = _spread_out(1 - F.cosine_similarity(mean[None], probabilities, dim=1))
        certainty = _spread_out(-entropy(logits))
        self.mean.probabilities = self.smoothing * mean + (1 - self.smoothing) * probabilities.mean(dim=0)
        return torch.exp(diversity * certainty / self.temperature) * (diversity >= diversity.mean())

    @torch.no_grad()
    def hold(self) -> None:
        """Move the trained weights to the source model's."""
        for place, parameter in enumerate(self.trained):
            parameter.lerp_(self.source.get_buffer(f"start{place}"), 1 - self.keep)

    def reset(self) -> None:
        """Return to the source model."""
        super().reset()
        self.mean.probabilities = self.mean.get_buffer("probabilities").new_zeros(0)
        self.random.restart()


def _spread_out(values: Tensor) -> Tensor:
    """Return values (B,) scaled to [0, 1]; zeros where they are all equal."""
    low, high = values.aminmax()
    return (values - low) / (high - low).clamp_min(_TINY)


def soft_likelihood_ratio(logits: Tensor) -> Tensor:
    """Return -sum_c p ln(p / (1 - p)) of logits (B, C), with p at most 0.99, as the authors' code has it: (B,)."""
    p = logits.softmax(dim=1).clamp_max(_CLIP)
    return -(p * (p / (1 - p) + _EPS).log()).sum(dim=1)


def symmetric_cross_entropy(logits: Tensor, others: Tensor) -> Tensor:
    """Return half the cross-entropy in either direction of logits (B, C) and others: (B,)."""
    forth = (others.softmax(dim=1) * logits.log_softmax(dim=1)).sum(dim=1)
    back = (logits.softmax(dim=1) * others.log_softmax(dim=1)).sum(dim=1)
    return -(forth + back) / 2


def prior_corrected(logits: Tensor) -> Tensor:
    """Return logits (B, C) times the smoothed mean of their probabilities (Marsden et al., WACV 2024)."""
    prior = logits.softmax(dim=1).mean(dim=0)
    smooth = max(1 / len(logits), 1 / logits.shape[1]) / prior.max()
    return logits * (prior + smooth) / (1 + smooth * logits.shape[1])
