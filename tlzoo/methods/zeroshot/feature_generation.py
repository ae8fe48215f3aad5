"""Generate features of unseen classes from their descriptions, and fit a classifier on them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional.checks import check_counts, check_shares
from tlzoo.methods.compatibility import LearnedCompatibility
from tlzoo.nn.random_stream import RandomStream
from tlzoo.paper import Paper
from tlzoo.types import Losses, Scorer

__all__ = ["FeatureGeneration"]

_CLASSES_AT_ONCE = 64


class FeatureGeneration(LearnedCompatibility):
    r"""A conditional variational autoencoder (Mishra et al., CVPR Workshops 2018).

    Source:
        https://openaccess.thecvf.com/content_cvpr_2018_workshops/w42/html/Mishra_A_Generative_Model_CVPR_2018_paper.html.

    An encoder maps (x, a) to a normal distribution q(z | x, a), and a decoder maps (z, a) back to x. The loss is

    .. math:: \tfrac{1}{2} \lVert x - x' \rVert^2 + \mathrm{KL}\left( q \parallel \mathcal{N}(0, I) \right)

    ``bind`` generates features of every candidate class from normal z and fits a classifier on them in closed form: the
    linear one for normal classes with a shared covariance.

    Args:
        num_features: D; features are scaled to length sqrt(D).
        num_embedding: A.
        hidden: width of the hidden layer of both networks.
        latent: width of z.
        generated: number of features to generate per class.
        shrinkage: share of the covariance to replace with its mean variance, because the generated features span few
            of their many dimensions.

    The noise is drawn row by row, so the order of a batch matters.

    >>> method = FeatureGeneration(4, 3)
    >>> score = method.bind(torch.eye(3), seen=torch.ones(3).bool())
    >>> score(torch.ones(2, 4)).shape
    torch.Size([2, 3])

    Differs from the paper: a closed form replaces the support vector machine on generated features, so binding other
    candidates is cheap and deterministic.
    """

    label = "feature generation"
    paper = Paper(
        title="A Generative Model for Zero Shot Learning Using Conditional Variational Autoencoders",
        authors=("Mishra", "Krishna Reddy", "Mittal", "Murthy"),
        venue="CVPR Workshops",
        year=2018,
        page="https://openaccess.thecvf.com/content_cvpr_2018_workshops/w42/html/Mishra_A_Generative_Model_CVPR_2018_paper.html",
    )
    revision = 2

    def __init__(
        self,
        num_features: int,
        num_embedding: int,
        *,
        hidden: int = 512,
        latent: int = 50,
        generated: int = 50,
        shrinkage: float = 0.1,
    ) -> None:
        super().__init__(num_features, num_embedding)
        check_counts(hidden=hidden, latent=latent)
        check_counts(low=2, generated=generated)
        check_shares(above_zero=True, shrinkage=shrinkage)
        self.latent, self.generated, self.shrinkage = latent, generated, shrinkage
        self.encoder = _network(num_features + num_embedding, hidden, 2 * latent)
        self.decoder = _network(latent + num_embedding, hidden, num_features)
        self.random = RandomStream()

    @property
    def order_matters(self) -> bool:
        """Whether order matters: the noise is drawn row by row."""
        return True

    def batch_loss(self, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> Losses:
        """Return the negative evidence bound of a batch, up to constants."""
        x, a = _scaled(features), F.normalize(class_embeddings, dim=1)[labels]
        mean, log_variance = self.encoder(torch.cat([x, a], dim=1)).chunk(2, dim=1)
        z = mean + (0.5 * log_variance).exp() * _noise(mean, self.random.next())
        rebuilt = self.decoder(torch.cat([z, a], dim=1))
        reconstruction = 0.5 * (x - rebuilt).square().sum(dim=1).mean()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean()
        return {"loss": reconstruction + divergence, "reconstruction": reconstruction, "divergence": divergence}

    def scorer(self, class_embeddings: Tensor, seen: Tensor) -> Scorer:
        """Return the log-densities of the candidates' normal distributions, without shared terms."""
        means, covariance = self._moments(F.normalize(class_embeddings, dim=1))
        weight = torch.linalg.solve(covariance, means.T)
        bias = -0.5 * (means.T * weight).sum(dim=0)
        return lambda features: _scaled(features) @ weight.to(features) + bias.to(features)

    @torch.no_grad()
    def _moments(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Return the means (C, D) of generated features and their shrunk covariance (D, D) within classes, float64."""
        z = _noise(embeddings.new_empty(self.generated, self.latent), self.random.constant())
        means, scatter = [], 0.0
        for some in torch.split(embeddings, _CLASSES_AT_ONCE):
            pairs = [z.expand(len(some), -1, -1), some[:, None].expand(-1, len(z), -1)]
            drawn = self.decoder(torch.cat(pairs, dim=2)).double()
            means.append(drawn.mean(dim=1))
            within = (drawn - means[-1][:, None]).flatten(0, 1)
            scatter = scatter + within.T @ within
        covariance = torch.as_tensor(scatter) / (len(embeddings) * (self.generated - 1))
        variance = covariance.diagonal().mean().clamp_min(1e-6)
        identity = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
        return torch.cat(means), (1 - self.shrinkage) * covariance + self.shrinkage * variance * identity


@torch.no_grad()
def _noise(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return normal noise in a tensor's shape, drawn in float64 so that all precisions see the same."""
    return torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like)


def _network(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def _scaled(features: Tensor) -> Tensor:
    scale: float = features.shape[1] ** 0.5
    return F.normalize(features, dim=1) * scale
