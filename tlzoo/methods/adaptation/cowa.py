"""CoWA-JMDS: pseudo-labels of a Gaussian mixture, weighed by how far model and data agree on them."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.checks import check_counts, check_positive
from tlzoo.methods.source_free import SourceFree
from tlzoo.nn.memory_bank import Memory
from tlzoo.nn.network import after_preprocessing
from tlzoo.nn.random_stream import RandomStream
from tlzoo.paper import Paper
from tlzoo.types import Context, Losses, Need, Prediction

__all__ = ["CoWA", "joint_scores", "mixture_posteriors"]

_EPS, _TINY = 1e-6, 1e-300
"""The first, as in the authors' code, is added to the diagonal of covariances, and to probabilities in logarithms."""


class CoWA(SourceFree):
    r"""Confidence score weighting adaptation (Lee et al., ICML 2022), https://arxiv.org/abs/2206.06640.

    Each epoch fits a Gaussian mixture, with one full covariance a class, to the normalized features of the whole
    target, from the model's predictions p. With its posteriors g, the weight of an example is

    .. math:: w_i = \frac{\Delta_i}{\max_j \Delta_j} \, p_{i \hat y_i}, \qquad
        \hat y_i = \arg\max_c g_{ic}

    where Delta is the difference between the two largest log posteriors. Weight mixup trains on pairs of inputs,
    one-hot labels and weights that are mixed in the same random shares:

    .. math:: \frac{1}{M} \sum_i \tilde w_i \, \mathrm{CE}(\tilde x_i, \tilde y_i)

    Differs from the paper: inputs are mixed after preprocessing, because raw ones are integers. The authors train the
    head and the backbone at a tenth of the bottleneck's rate; here rates are up to the user.

    Args:
        num_features: D.
        num_classes: C.
        alpha: of the Beta distribution of shares; the authors take 0.2 on Office-Home and VisDA.
        rounds: updates of the mixture after the first posteriors.
    """

    label = "CoWA-JMDS"
    paper = Paper(
        title="Confidence Score for Source-Free Unsupervised Domain Adaptation",
        authors=("Lee", "Jung", "Yim", "Yoon"),
        venue="ICML",
        year=2022,
        arxiv="2206.06640",
    )
    needs = frozenset({Need.INDICES, Need.MODEL})
    variants = ({}, {"alpha": 2.0, "rounds": 2})

    def __init__(self, num_features: int, num_classes: int, *, alpha: float = 0.2, rounds: int = 1) -> None:
        super().__init__(num_features, num_classes)
        check_positive(alpha=alpha)
        check_counts(low=0, rounds=rounds)
        self.alpha, self.rounds = alpha, rounds
        self.memory = Memory(labels=torch.zeros(0, dtype=torch.long), weights=torch.zeros(0))
        self.random = RandomStream()

    @property
    def transformable(self) -> bool:
        """It draws random numbers."""
        return False

    @property
    def order_matters(self) -> bool:
        """Whether order matters: partners are drawn by position."""
        return True

    @torch.no_grad()
    def on_epoch(self, target: Prediction) -> None:
        """Find labels and weights of the whole target, features (N, D), logits (N, C), by its indices."""
        probabilities = target.logits.double().softmax(dim=1)
        points = F.normalize(target.features.double(), dim=1)
        found = mixture_posteriors(points, probabilities, rounds=self.rounds)
        labels, weights = found.argmax(dim=1), joint_scores(found, probabilities)
        order = torch.arange(len(labels)) if target.indices is None else target.indices.argsort().to(labels.device)
        self.memory.labels, self.memory.weights = labels[order], weights[order].to(target.features)

    def term(self, target: Prediction, context: Context) -> Losses:
        """Return the loss of the target's inputs through the model, given labels and weights by ``target.indices``.

        Raises:
            ValueError: the target has no indices or inputs, or :meth:`on_epoch` has not seen it.
        """
        labels, weights = self.memory.get_buffer("labels"), self.memory.get_buffer("weights")
        if target.indices is None or int(target.indices.max()) >= len(labels):
            raise ValueError(
                f"cowa has labels of {len(labels)} examples and got indices {target.indices}; call on_epoch with the "
                "whole target first, and index the examples by their position in it"
            )
        inputs, answer = after_preprocessing(context.model, target.inputs)
        shares, partners = self._pairs(inputs)

        def mixed(values: Tensor) -> Tensor:
            own = shares.to(values).view(-1, *[1] * (values.ndim - 1))
            return own * values + (1 - own) * values[partners]

        logits = answer(mixed(inputs)).logits
        wanted = F.one_hot(labels[target.indices], self.num_classes).to(logits)
        losses = -(mixed(wanted) * (logits.softmax(dim=1) + _EPS).log()).sum(dim=1)
        own = weights[target.indices].to(logits)
        return {"loss": (mixed(own) * losses).mean(), "weight": own.mean()}

    @torch.no_grad()
    def _pairs(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return shares (M,) of the Beta distribution and partners (M,)."""
        generator, size = self.random.next(), len(inputs)
        drawn = torch._standard_gamma(torch.full((2, size), self.alpha, dtype=torch.float64), generator=generator)
        # both underflow where alpha is small: then either is as good
        shares = (drawn[0] + _TINY / 2) / (drawn.sum(dim=0) + _TINY)
        partners = torch.randperm(size, generator=generator)
        return shares.to(inputs.device), partners.to(inputs.device)


def mixture_posteriors(points: Tensor, probabilities: Tensor, *, rounds: int = 1) -> Tensor:
    """Return the log posteriors (N, C) of a Gaussian mixture for float64 points (N, D).

    Means and shares are those of probabilities (N, C), covariances those of all points around a mean; each of
    ``rounds`` takes means, shares and covariances from the posteriors before.
    """
    found = _posteriors(points, probabilities, torch.ones_like(probabilities))
    for _ in range(rounds):
        found = _posteriors(points, found.exp(), found.exp())
    return found


def _posteriors(points: Tensor, shares: Tensor, spreads: Tensor) -> Tensor:
    """Return log posteriors (N, C), with means weighted by shares (N, C) and covariances by spreads (N, C)."""
    tiny = torch.finfo(points.dtype).tiny
    sizes = shares.sum(dim=0).clamp_min(tiny)
    means = shares.T @ points / sizes[:, None]
    ridge = _EPS * torch.eye(points.shape[1], dtype=points.dtype, device=points.device)
    logs = []
    for mean, size, spread in zip(means, sizes, spreads.T, strict=True):
        moved = points - mean
        covariance = moved.T @ (moved * spread[:, None]) / spread.sum().clamp_min(tiny) + ridge
        factor, failed = torch.linalg.cholesky_ex(covariance)
        if failed:
            factor = torch.linalg.cholesky(covariance + 100 * ridge)
        lengths = torch.linalg.solve_triangular(factor, moved.T, upper=False).square().sum(dim=0)
        volume = 2 * factor.diagonal().log().sum()
        logs.append(size.log() - (len(mean) * math.log(2 * math.pi) + volume + lengths) / 2)
    return torch.stack(logs, dim=1).log_softmax(dim=1)


def joint_scores(posteriors: Tensor, probabilities: Tensor) -> Tensor:
    """Return the JMDS scores (N,) of log posteriors (N, C) and the model's probabilities (N, C)."""
    if posteriors.shape[1] < 2:
        return torch.ones_like(posteriors[:, 0])
    best, labels = posteriors.topk(2, dim=1)
    gaps = best[:, 0] - best[:, 1]
    certain = gaps / gaps.max().clamp_min(torch.finfo(gaps.dtype).tiny)
    return certain * probabilities.gather(1, labels[:, :1])[:, 0]
