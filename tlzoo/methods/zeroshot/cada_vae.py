"""CADA-VAE: two autoencoders, of features and of descriptions, that share one latent space."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim import Adam

from tlzoo.functional.checks import check_at_least, check_choice, check_counts
from tlzoo.methods.zeroshot.generating import Generating, initialize, noise, random_batches
from tlzoo.paper import Paper
from tlzoo.types import Losses

__all__ = ["CADAVAE"]

_DIVERGENCE, _CROSS, _ALIGNMENT = (0.0, 0.93), (0.21, 0.75), (0.06, 0.22)
"""Shares of the training between which a factor rises from 0 to its full value."""

_Code = tuple[Tensor, Tensor]


class CADAVAE(Generating):
    r"""Cross- and distribution-aligned VAEs (Schönfeld et al., CVPR 2019), https://arxiv.org/abs/1812.01784.

    Both variational autoencoders map an example to a normal distribution of its latent z, with mean :math:`\mu` and
    deviation :math:`\sigma`. The loss of a feature x and the embedding a of its class is

    .. math::

        \sum_{m \in \{x, a\}} \lVert m - D_m(z_m) \rVert_1 + \beta \, \mathrm{KL}_m
        + \gamma \left( \lVert x - D_x(z_a) \rVert_1 + \lVert a - D_a(z_x) \rVert_1 \right)
        + \delta \sqrt{\lVert \mu_x - \mu_a \rVert^2 + \lVert \sigma_x - \sigma_a \rVert^2}

    The factors rise linearly from pass to pass: beta from 0 to 93 % of the training, gamma from 21 to 75 %, delta from
    6 to 22 %. A softmax on latents answers, from the mean latent of a feature. It is trained on latents of embeddings
    for unseen classes, and of examples for seen ones if these are candidates.

    Args:
        num_features: D.
        num_embedding: A.
        latent: width of z.
        feature_hidden: widths of the hidden layers of the encoder and the decoder of features.
        embedding_hidden: widths of those of embeddings.
        epochs: passes over the training set.
        batch_size: examples per step.
        lr: rate of Adam (with AMSGrad) for the autoencoders.
        divergence: beta.
        cross: gamma.
        alignment: delta.
        sampling: ``"paper"``: noise of its own for each dimension of z, times sigma; ``"code"``: one number for all of
            them, times the variance.
        seen_per_class: latents per seen class, from its examples in turn.
        generated_per_class: latents per class without examples.
        classifier_epochs: passes of the softmax over the latents; 21 to 100 in the authors' code, by the data set.
        classifier_batch: latents per step.
        classifier_lr: rate of Adam for the softmax.

    >>> method = CADAVAE(4, 3, latent=2, feature_hidden=(8, 8), embedding_hidden=(8, 8), epochs=2)
    >>> _ = method.fit(torch.rand(6, 4), torch.tensor([0, 0, 0, 1, 1, 1]), torch.eye(3)[:2])
    >>> score = method.bind(torch.eye(3), seen=torch.tensor([True, True, False]))
    >>> score(torch.rand(2, 4)).shape
    torch.Size([2, 3])

    Differs from the paper: embeddings have length 1, and the softmax answers as it is after the last pass, a number
    that the authors chose on validation data. Passes of the softmax end with a smaller batch.
    """

    label = "CADA-VAE"
    paper = Paper(
        title="Generalized Zero- and Few-Shot Learning via Aligned Variational Autoencoders",
        authors=("Schönfeld", "Ebrahimi", "Sinha", "Darrell", "Akata"),
        venue="CVPR",
        year=2019,
        arxiv="1812.01784",
    )
    variants = tuple(
        {
            "latent": 3,
            "feature_hidden": (8, 8),
            "embedding_hidden": (8, 8),
            "epochs": 3,
            "seen_per_class": 4,
            "generated_per_class": 4,
            "classifier_epochs": 2,
            "sampling": sampling,
        }
        for sampling in ("paper", "code")
    )

    def __init__(
        self,
        num_features: int,
        num_embedding: int,
        *,
        latent: int = 64,
        feature_hidden: tuple[int, int] = (1560, 1660),
        embedding_hidden: tuple[int, int] = (1450, 665),
        epochs: int = 100,
        batch_size: int = 50,
        lr: float = 1.5e-4,
        divergence: float = 0.25,
        cross: float = 2.37,
        alignment: float = 8.13,
        sampling: Literal["paper", "code"] = "paper",
        seen_per_class: int = 200,
        generated_per_class: int = 400,
        classifier_epochs: int = 23,
        classifier_batch: int = 32,
        classifier_lr: float = 0.001,
    ) -> None:
        super().__init__(
            num_features,
            num_embedding,
            batch_size=batch_size,
            lr=lr,
            generated_per_class=generated_per_class,
            classifier_epochs=classifier_epochs,
            classifier_batch=classifier_batch,
            classifier_lr=classifier_lr,
        )
        check_counts(latent=latent, epochs=epochs, seen_per_class=seen_per_class)
        check_at_least(0, divergence=divergence, cross=cross, alignment=alignment)
        check_choice(sampling, ("paper", "code"), what="sampling")
        self.epochs, self.seen_per_class, self.sampling = epochs, seen_per_class, sampling
        self.divergence, self.cross, self.alignment = divergence, cross, alignment
        self.encode_features = _Encoder(num_features, feature_hidden[0], latent)
        self.decode_features = _decoder(latent, feature_hidden[1], num_features)
        self.encode_embeddings = _Encoder(num_embedding, embedding_hidden[0], latent)
        self.decode_embeddings = _decoder(latent, embedding_hidden[1], num_embedding)
        self.requires_grad_(False)

    def start(self, weight: Tensor, generator: torch.Generator) -> None:
        """Initialize the weight of a linear layer in place, as the authors: Glorot's uniform one, halved."""
        nn.init.xavier_uniform_(weight, gain=0.5, generator=generator)

    def train_networks(self, points: Tensor, labels: Tensor, embeddings: Tensor, generator: torch.Generator) -> None:
        """Train both autoencoders together."""
        initialize(self, lambda weight: self.start(weight, generator))
        optimizer = Adam(self.parameters(), lr=self.lr, amsgrad=True, foreach=True)
        steps = -(-len(points) // self.batch_size)
        for epoch in range(self.epochs):
            for some in random_batches(len(points), self.batch_size, steps, generator):
                x, a = points[some.to(points.device)], embeddings[labels[some.to(labels.device)]]
                optimizer.zero_grad()
                torch.autograd.backward(self.terms(x, a, epoch / self.epochs, generator)["loss"])
                optimizer.step()

    def terms(self, x: Tensor, a: Tensor, progress: float, generator: torch.Generator) -> Losses:
        """Return the loss of scaled features (B, D) and embeddings (B, A), summed over the batch, and its parts."""
        seen, told = self.encode_features(x), self.encode_embeddings(a)
        from_x, from_a = self._sampled(seen, generator), self._sampled(told, generator)
        own = _l1(self.decode_features(from_x), x) + _l1(self.decode_embeddings(from_a), a)
        cross = _l1(self.decode_features(from_a), x) + _l1(self.decode_embeddings(from_x), a)
        divergence = _divergence(seen) + _divergence(told)
        apart = (seen[0] - told[0]).square() + ((seen[1] / 2).exp() - (told[1] / 2).exp()).square()
        alignment = apart.sum(dim=1).clamp_min(torch.finfo(x.dtype).tiny).sqrt().sum()
        loss = own + self.divergence * _risen(progress, _DIVERGENCE) * divergence
        loss = loss + self.cross * _risen(progress, _CROSS) * cross
        loss = loss + self.alignment * _risen(progress, _ALIGNMENT) * alignment
        return {"loss": loss, "own": own, "cross": cross, "divergence": divergence, "alignment": alignment}

    def generated(self, embeddings: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return latents of class embeddings, ``generated_per_class`` of each."""
        mean, log_variance = self.encode_embeddings(embeddings)
        count = self.generated_per_class
        code = mean.repeat_interleave(count, dim=0), log_variance.repeat_interleave(count, dim=0)
        labels = torch.arange(len(embeddings), device=embeddings.device).repeat_interleave(count)
        return self._sampled(code, generator), labels

    def real(self, points: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return latents of examples, ``seen_per_class`` of each class; the same examples again if there are fewer."""
        mean, log_variance = self.encode_features(points)
        rows = [(labels == label).nonzero()[:, 0] for label in torch.unique(labels)]
        turns = torch.arange(self.seen_per_class, device=labels.device)
        chosen = torch.cat([own[turns % len(own)] for own in rows])
        return self._sampled((mean[chosen], log_variance[chosen]), generator), labels[chosen]

    def represented(self, points: Tensor) -> Tensor:
        """Return the mean latent."""
        mean: Tensor = self.encode_features(points)[0]
        return mean

    def _sampled(self, code: _Code, generator: torch.Generator) -> Tensor:
        mean, log_variance = code
        if self.sampling == "code":
            return mean + log_variance.exp() * noise(mean[:, :1], generator)
        return mean + (log_variance / 2).exp() * noise(mean, generator)


class _Encoder(nn.Module):
    """Maps examples to the means and the logarithms of the variances of their latents."""

    def __init__(self, inputs: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(inputs, hidden)
        self.mean, self.log_variance = nn.Linear(hidden, latent), nn.Linear(hidden, latent)

    def forward(self, values: Tensor) -> _Code:
        hidden = self.hidden(values).relu()
        return self.mean(hidden), self.log_variance(hidden)


def _decoder(latent: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def _l1(rebuilt: Tensor, given: Tensor) -> Tensor:
    return (rebuilt - given).abs().sum()


def _divergence(code: _Code) -> Tensor:
    mean, log_variance = code
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()


def _risen(progress: float, between: tuple[float, float]) -> float:
    """Return the share of a factor at a share of the training.

    >>> [round(_risen(progress, (0.2, 0.6)), 2) for progress in (0.1, 0.3, 0.9)]
    [0.0, 0.25, 1.0]
    """
    first, last = between
    return min(max((progress - first) / (last - first), 0.0), 1.0)
