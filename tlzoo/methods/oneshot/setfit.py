"""SetFit: fine-tune the encoder contrastively on the support set, then fit a logistic head."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from tlzoo.functional.checks import check_at_least, check_counts, check_positive, check_shares
from tlzoo.methods.meta_learning import MetaLearner
from tlzoo.methods.oneshot.logistic import Logistic
from tlzoo.nn.batch_statistics import statistics_of, uses_batch_statistics
from tlzoo.paper import Paper

__all__ = ["SetFit"]


class SetFit(MetaLearner):
    """SetFit (Tunstall et al., 2022), https://arxiv.org/abs/2209.11055.

    A copy of the encoder takes AdamW steps on (cos(f_i, f_j) - [y_i = y_j])^2 over the pairs of the support set, pairs
    of one class and of two weighing the same; then logistic regression is fitted on the support's features. Each
    episode starts from the encoder as it is, which stays so.

    Args:
        rate: learning rate of the steps.
        steps: number of steps, each over all pairs.
        decay: weight decay of AdamW.
        warmup: share of the steps in which the rate rises from 0; then it falls to 0 in a straight line. Zero for a
            constant rate.
        clip: largest norm of the gradient in a step; None to leave it.
        strength: weight of the data in the logistic regression, ``C`` of scikit-learn.
        normalize: bring features to length 1 before the logistic regression.

    The network has an encoder called ``backbone`` and a head, which is not used (``tlzoo.OneShot`` builds it this way).
    With one example per class, all pairs are across classes; with a single example there are no pairs and no steps.
    Training over episodes is first-order: the change that the steps make counts as a constant.

    Differs from the paper: a step covers all pairs instead of 16 drawn ones, which has the same mean and encodes each
    example once. No example is paired with itself, and there is no dropout.
    """

    paper = Paper(
        title="Efficient Few-Shot Learning Without Prompts",
        authors=("Tunstall", "Reimers", "Jo", "Bates", "Korat", "Wasserblat", "Pereg"),
        venue="arXiv",
        year=2022,
        arxiv="2209.11055",
    )
    variants = (
        {"rate": 1e-3, "steps": 3},
        {"steps": 1, "decay": 0.0, "warmup": 0.0, "clip": None, "strength": 10.0, "normalize": True},
    )
    revision = 2

    def __init__(
        self,
        *,
        rate: float = 2e-5,
        steps: int = 20,
        decay: float = 0.01,
        warmup: float = 0.1,
        clip: float | None = 1.0,
        strength: float = 1.0,
        normalize: bool = False,
    ) -> None:
        super().__init__()
        check_positive(rate=rate, strength=strength, clip=1.0 if clip is None else clip)
        check_at_least(0, decay=decay)
        check_shares(warmup=warmup)
        check_counts(low=0, steps=steps)
        self.rate, self.steps, self.decay, self.warmup, self.clip = rate, steps, decay, warmup, clip
        self.strength, self.normalize = strength, normalize

    def answer(self, model: nn.Module, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map support (E, S, ...), support_labels (E, S) and query (E, Q, ...) to logits (E, Q, way)."""
        encoder = _encoder(model)
        found = []
        for items, labels, queries in zip(support, support_labels, query, strict=True):
            parameters = self.adapted(encoder, items, labels)
            with _normalizing_by(encoder, len(items)):
                features = functional_call(encoder, parameters, (torch.cat([items, queries]),))
            head = Logistic(features.shape[1], transform="L2N" if self.normalize else "UN", strength=self.strength)
            found.append(head(features[: len(items)], labels, features[len(items) :], way=way))
        return torch.stack(found)

    def adapted(self, encoder: nn.Module, items: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the encoder's parameters after the steps on one support set: items (S, ...), labels (S,).

        Raises:
            ValueError: the encoder is frozen.
        """
        start = {name: p for name, p in encoder.named_parameters() if p.requires_grad}
        if not start:
            raise ValueError("SetFit fine-tunes the encoder, which is frozen; call requires_grad_(True) on it")
        own = {name: p.detach().clone().requires_grad_() for name, p in start.items()}
        weights = _pair_weights(labels)
        if bool(weights.any()):
            optimizer = torch.optim.AdamW(own.values(), lr=self.rate, weight_decay=self.decay)
            for step in range(self.steps):
                optimizer.param_groups[0]["lr"] = self.rate * self._share_of_rate(step)
                with torch.enable_grad(), _normalizing_by(encoder, len(items)):
                    loss = pair_loss(functional_call(encoder, own, (items,)), labels, weights)
                slopes = torch.autograd.grad(loss, [*own.values()], allow_unused=True, materialize_grads=True)
                for parameter, slope in zip(own.values(), slopes, strict=True):
                    parameter.grad = slope
                if self.clip is not None:
                    nn.utils.clip_grad_norm_(own.values(), self.clip)
                optimizer.step()
        return {name: p + (own[name].detach() - p.detach()) for name, p in start.items()}

    def _share_of_rate(self, step: int) -> float:
        rising = math.ceil(self.warmup * self.steps)
        if not rising:
            return 1.0
        return step / rising if step < rising else (self.steps - step) / max(self.steps - rising, 1)


def pair_loss(features: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted sum over pairs of (cosine - [same class])^2: features (S, D), labels (S,), weights (S, S)."""
    directions = F.normalize(features, dim=1)
    same = (labels[:, None] == labels).to(features)
    return (weights.to(features) * (directions @ directions.T - same).square()).sum()


def _pair_weights(labels: Tensor) -> Tensor:
    """Return pair weights (S, S) that sum to 1: half within classes, half across, none for an item with itself."""
    same = labels[:, None] == labels
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    kinds = [kind.double() for kind in (same & ~itself, ~same) if bool(kind.any())]
    return sum((kind / kind.sum() / len(kinds) for kind in kinds), torch.zeros(same.shape, device=labels.device))


def _encoder(model: nn.Module) -> nn.Module:
    encoder = getattr(model, "backbone", None)
    if not isinstance(encoder, nn.Module):
        raise TypeError(f"{type(model).__name__} has no encoder called backbone, which SetFit fine-tunes")
    return encoder


def _normalizing_by(encoder: nn.Module, rows: int) -> AbstractContextManager[object]:
    return statistics_of(rows) if uses_batch_statistics(encoder) else nullcontext()
