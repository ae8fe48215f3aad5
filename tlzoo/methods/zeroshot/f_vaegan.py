"""f-VAEGAN-D2: the generator of an adversarial network is the decoder of an autoencoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam, Optimizer

from tlzoo.functional.checks import check_at_least
from tlzoo.methods.zeroshot.adversarial_features import BETAS, AdversarialFeatures, Fakes, Turn, Update
from tlzoo.methods.zeroshot.generating import noise
from tlzoo.paper import Paper

__all__ = ["FVAEGAN"]


class FVAEGAN(AdversarialFeatures):
    r"""f-VAEGAN-D2, inductive (Xian et al., CVPR 2019), https://arxiv.org/abs/1903.10132.

    An encoder E maps a feature x, in [0, 1], and the embedding a of its class to a normal distribution of the latent z.
    The generator G decodes it, and also makes features of noise, which a critic D tells from real ones:

    .. math::

        \min_{E, G} \; \mathrm{KL}\left(E(x, a) \,\|\, N(0, I)\right) + \mathrm{BCE}(G(z, a), x)
        - \gamma \, \mathbb{E}[D(\tilde x, a)], \qquad \tilde x = G(z', a), \; z' \sim N(0, I)

    D is trained as in f-CLSWGAN, with gamma times its loss. A softmax on generated features of unseen classes, and real
    ones of seen classes if these are candidates, gives the answers.

    Args:
        num_features: D.
        num_embedding: A, also the width of z.
        generator_hidden: width of the hidden layers of G and E.
        critic_hidden: width of the hidden layer of D.
        steps: updates of G.
        batch_size: examples per update.
        critic_steps: updates of D before each of G.
        lr: rate of Adam for E, G and D.
        penalty: lambda, weight of the gradient penalty.
        weight: gamma.
        generated_per_class: examples to generate of each class; 300 to 1800, by the data set.
        classifier_epochs: passes of the softmax over its examples.
        classifier_batch: examples per step of the softmax.
        classifier_lr: rate of Adam for the softmax.

    >>> method = FVAEGAN(4, 3, generator_hidden=8, critic_hidden=8, steps=2)
    >>> _ = method.fit(torch.rand(6, 4), torch.tensor([0, 0, 0, 1, 1, 1]), torch.eye(3)[:2])
    >>> score = method.bind(torch.eye(3), seen=torch.tensor([True, True, False]))
    >>> score(torch.rand(2, 4)).shape
    torch.Size([2, 3])

    Differs from the paper: its second critic, for unlabelled features of unseen classes, is left out. The authors
    published no code; networks and rates that the paper leaves open are those of TF-VAEGAN's, which is built on it. The
    softmax answers as it is after the last pass.
    """

    label = "f-VAEGAN-D2"
    paper = Paper(
        title="f-VAEGAN-D2: A Feature Generating Framework for Any-Shot Learning",
        authors=("Xian", "Sharma", "Schiele", "Akata"),
        venue="CVPR",
        year=2019,
        arxiv="1903.10132",
    )
    variants = (
        {"generator_hidden": 8, "critic_hidden": 8, "steps": 3, "classifier_epochs": 2, "generated_per_class": 4},
    )

    def __init__(
        self,
        num_features: int,
        num_embedding: int,
        *,
        generator_hidden: int = 4096,
        critic_hidden: int = 4096,
        steps: int = 6000,
        batch_size: int = 64,
        critic_steps: int = 5,
        lr: float = 1e-4,
        penalty: float = 10.0,
        weight: float = 1000.0,
        generated_per_class: int = 300,
        classifier_epochs: int = 25,
        classifier_batch: int = 300,
        classifier_lr: float = 0.001,
    ) -> None:
        super().__init__(
            num_features,
            num_embedding,
            output=nn.Sigmoid(),
            generator_hidden=generator_hidden,
            critic_hidden=critic_hidden,
            steps=steps,
            batch_size=batch_size,
            critic_steps=critic_steps,
            lr=lr,
            penalty=penalty,
            generated_per_class=generated_per_class,
            classifier_epochs=classifier_epochs,
            classifier_batch=classifier_batch,
            classifier_lr=classifier_lr,
        )
        check_at_least(0, weight=weight)
        self.weight = self.critic_weight = weight
        self.encoder = _Encoder(num_features, num_embedding, generator_hidden).requires_grad_(False)

    def players(
        self, points: Tensor, labels: Tensor, embeddings: Tensor, generator: torch.Generator
    ) -> tuple[Fakes, Update]:
        """Return what makes features for the critic, and what updates E and G."""
        optimizers: list[Optimizer] = [
            Adam(self.encoder.parameters(), lr=self.lr, foreach=True),
            Adam(self.generator.parameters(), lr=self.lr, betas=BETAS, foreach=True),
        ]

        @torch.no_grad()
        def fakes(turn: Turn) -> Tensor:
            return self.made(noise(turn.a, generator), turn.a)

        def update(turn: Turn) -> None:
            x, a = turn.x, turn.a
            for optimizer in optimizers:
                optimizer.zero_grad()
            mean, log_variance = self.encoder(x, a)
            rebuilt = self.made(self.drawn(mean, log_variance, generator), a)
            loss = autoencoder_loss(rebuilt, x, mean, log_variance)
            loss = loss - self.weight * self.judged(self.made(noise(a, generator), a), a).mean()
            torch.autograd.backward(loss)
            for optimizer in optimizers:
                optimizer.step()

        return fakes, update

    def drawn(self, mean: Tensor, log_variance: Tensor, generator: torch.Generator) -> Tensor:
        """Return a latent of each distribution."""
        return mean + (log_variance / 2).exp() * noise(mean, generator)


class _Encoder(nn.Module):
    """Maps features and embeddings to the means and the logarithms of the variances of latents."""

    def __init__(self, num_features: int, latent: int, hidden: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(
            nn.Linear(num_features + latent, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, 2 * latent),
            nn.LeakyReLU(0.2),
        )
        self.mean, self.log_variance = nn.Linear(2 * latent, latent), nn.Linear(2 * latent, latent)

    def forward(self, x: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.hidden(torch.cat([x, a], dim=1))
        return self.mean(hidden), self.log_variance(hidden)


def autoencoder_loss(rebuilt: Tensor, x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the binary cross-entropy of features (B, D) in [0, 1] plus the divergence of latents from N(0, I).

    Both are summed over dimensions, and means over the batch.
    """
    smallest = torch.finfo(x.dtype).eps
    error = F.binary_cross_entropy(rebuilt.clamp(smallest, 1 - smallest), x, reduction="sum")
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()
    return (error + divergence) / len(x)
