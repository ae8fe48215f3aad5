"""Mixup between source domains: examples and labels on the line between two domains."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.checks import check_positive
from tlzoo.methods.source_risk import SourceRisk
from tlzoo.nn.batch_statistics import resting_statistics
from tlzoo.nn.network import after_preprocessing
from tlzoo.nn.random_stream import RandomStream
from tlzoo.paper import Paper
from tlzoo.randomness import Stream, numpy_generator
from tlzoo.space import LogUniform, Space
from tlzoo.types import Context, Losses, Need, Prediction

__all__ = ["Mixup"]


class Mixup(SourceRisk):
    r"""Mixup between the source domains (Zhang et al., ICLR 2018; Yan et al., 2020), https://arxiv.org/abs/2001.00677.

    .. math::

        \mathrm{E} \; a \, \mathrm{CE}(g(z), y_i) + (1 - a) \, \mathrm{CE}(g(z), y_j), \qquad
        z = a x_i + (1 - a) x_j, \quad a \sim \mathrm{Beta}(\alpha, \alpha)

    The domains of a batch are put into a random cycle; each is mixed with the next one, by one share a. Inputs are
    mixed where the network's first layer takes them: pixels after preprocessing, or frozen features. Domain
    generalization: the target is never seen. With a single source, its examples are mixed with each other.

    Differs from the paper: it adapts to a target, mixes features as well, and trains a discriminator; DomainBed, whose
    alpha is the default, mixes source domains. There each pair is a batch of its own for batch normalization; here all
    pairs are one, and running statistics follow the unmixed batch.

    Args:
        num_features: D.
        num_classes: C.
        alpha: of the Beta distribution; small values mix little.
    """

    paper = Paper(
        title="Improve Unsupervised Domain Adaptation with Mixup Training",
        authors=("Yan", "Song", "Li", "Zou", "Ren"),
        venue="arXiv",
        year=2020,
        arxiv="2001.00677",
    )
    needs = frozenset({Need.DOMAINS, Need.MODEL})
    space = Space(alpha=LogUniform(0.1, 10.0))

    def __init__(self, num_features: int, num_classes: int, *, alpha: float = 0.2) -> None:
        super().__init__(num_features, num_classes)
        check_positive(alpha=alpha)
        self.alpha = alpha
        self.random = RandomStream()

    @property
    def transformable(self) -> bool:
        """It draws random numbers."""
        return False

    @property
    def order_matters(self) -> bool:
        """Whether order matters: partners are drawn by place."""
        return True

    def risk(self, source: Prediction, rows: list[Tensor], context: Context) -> Losses:
        """Return the loss of mixtures of ``source.inputs``, by the model."""
        assert source.labels is not None
        inputs, answer = after_preprocessing(context.model, source.inputs, "source")
        pairs = self._pairs(rows)
        first, second, shares = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        a = shares.to(inputs).view(-1, *[1] * (inputs.ndim - 1))
        with resting_statistics(context.model):
            logits = answer(a * inputs[first] + (1 - a) * inputs[second]).logits
        ours, theirs = (F.cross_entropy(logits, source.labels[side], reduction="none") for side in (first, second))
        losses = shares.to(logits) * ours + (1 - shares.to(logits)) * theirs
        of_pairs = torch.split(losses, [len(one) for one, _, _ in pairs])
        return {"loss": torch.stack([each.mean() for each in of_pairs]).mean()}

    @torch.no_grad()
    def _pairs(self, rows: list[Tensor]) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Return the examples of each domain, their partners in the next one, and the share of the former."""
        generator = self.random.next()
        beta = numpy_generator(int(torch.randint(2**62, (), generator=generator)), Stream.METHOD_STEPS)
        order = torch.randperm(len(rows), generator=generator).tolist()
        pairs = []
        for place, domain in enumerate(order):
            own, partner = rows[domain], rows[order[(place + 1) % len(order)]]
            turned = partner[torch.randperm(len(partner), generator=generator).to(partner.device)]
            count = min(len(own), len(turned))
            share = torch.full((count,), beta.beta(self.alpha, self.alpha), dtype=torch.float64, device=own.device)
            pairs.append((own[:count], turned[:count], share))
        return pairs
