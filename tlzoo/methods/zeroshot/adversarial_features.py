"""The base of methods whose generator of features fools a critic."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Adam

from tlzoo.functional.checks import check_at_least, check_counts
from tlzoo.methods.zeroshot.generating import Generating, initialize, noise, random_batches

__all__ = ["BETAS", "AdversarialFeatures", "Fakes", "Turn", "Update", "two_layers"]

BETAS = (0.5, 0.999)
"""Of Adam."""

_CLASSES_AT_ONCE = 64


class Turn(NamedTuple):
    """A batch of real features x (B, D) with labels y (B,) and embeddings a (B, A), and the update of G it is for."""

    x: Tensor
    y: Tensor
    a: Tensor
    step: int


Fakes = Callable[[Turn], Tensor]
Update = Callable[[Turn], object]


class AdversarialFeatures(Generating):
    r"""A generator G(z, a) of features, and a critic D(x, a) trained as in a Wasserstein GAN with gradient penalty.

    .. math:: \max_D \; \mathbb{E}[D(x, a)] - \mathbb{E}[D(\tilde x, a)]
        - \lambda \, \mathbb{E}\left[(\lVert \nabla_{\hat x} D(\hat x, a) \rVert - 1)^2\right]

    A method implements :meth:`players`.

    Args:
        num_features: D.
        num_embedding: A, also the width of z.
        output: what bounds the features.
        generator_hidden: width of the hidden layer of G.
        critic_hidden: width of the hidden layer of D.
        steps: updates of G.
        batch_size: examples per update.
        critic_steps: updates of D before each of G.
        lr: rate of Adam for G and D.
        penalty: lambda.
        generated_per_class: examples to generate of each class.
        classifier_epochs: passes of the classifier over its examples.
        classifier_batch: examples per step of the classifier.
        classifier_lr: rate of Adam for the classifier.
    """

    implements: ClassVar[str] = "players(points, labels, embeddings, generator)"
    critic_weight: float = 1.0
    adapts_penalty: ClassVar[bool] = False

    def __init__(
        self,
        num_features: int,
        num_embedding: int,
        *,
        output: nn.Module,
        generator_hidden: int,
        critic_hidden: int,
        steps: int,
        batch_size: int,
        critic_steps: int,
        lr: float,
        penalty: float,
        generated_per_class: int,
        classifier_epochs: int,
        classifier_batch: int,
        classifier_lr: float,
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
        check_counts(generator_hidden=generator_hidden, critic_hidden=critic_hidden, steps=steps)
        check_counts(critic_steps=critic_steps)
        check_at_least(0, penalty=penalty)
        self.steps, self.critic_steps, self.penalty = steps, critic_steps, penalty
        self.generator = nn.Sequential(*two_layers(2 * num_embedding, generator_hidden, num_features), output)
        self.critic = two_layers(num_features + num_embedding, critic_hidden, 1)
        self.requires_grad_(False)

    def players(
        self, points: Tensor, labels: Tensor, embeddings: Tensor, generator: torch.Generator
    ) -> tuple[Fakes, Update]:
        """Return what makes features for the critic, and what updates G."""
        raise NotImplementedError(f"{type(self).__name__} implements no {self.implements}")

    def train_networks(self, points: Tensor, labels: Tensor, embeddings: Tensor, generator: torch.Generator) -> None:
        """Train D and G in turn."""
        initialize(self, lambda weight: self.start(weight, generator))
        fakes, update = self.players(points, labels, embeddings, generator)
        optimizer, penalty = Adam(self.critic.parameters(), lr=self.lr, betas=BETAS, foreach=True), self.penalty
        for step in range(self.steps):
            slopes = 0.0
            for some in random_batches(len(points), self.batch_size, self.critic_steps, generator):
                x, y = points[some.to(points.device)], labels[some.to(labels.device)]
                turn = Turn(x, y, embeddings[y], step)
                made = fakes(turn).detach()
                between = torch.rand(len(x), 1, generator=generator, dtype=torch.float64).to(x)
                optimizer.zero_grad()
                apart, slope = self.critic_terms(x, made, turn.a, between)
                torch.autograd.backward(self.critic_weight * (apart + penalty * slope))
                optimizer.step()
                slopes += float(slope.detach()) / self.critic_steps
            if self.adapts_penalty and not 1.001 <= slopes <= 1.05:
                penalty *= 1.1 if slopes > 1.05 else 1 / 1.1
            self.critic.requires_grad_(False)
            update(turn)  # the last batch of the critic, as in the authors' code
            self.critic.requires_grad_(True)

    def critic_terms(self, x: Tensor, made: Tensor, a: Tensor, between: Tensor) -> tuple[Tensor, Tensor]:
        """Return how far D is from telling real and generated features (B, D) of embeddings (B, A), and the penalty.

        ``between`` (B, 1) is the share of the real ones where the gradient is penalized.
        """
        mixed = (between * x + (1 - between) * made).requires_grad_()
        (slope,) = torch.autograd.grad(self.judged(mixed, a).sum(), mixed, create_graph=True)
        penalty = (torch.linalg.vector_norm(slope, dim=1) - 1).square().mean()
        return self.judged(made, a).mean() - self.judged(x, a).mean(), penalty

    def generated(self, embeddings: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return features of classes, ``generated_per_class`` of each."""
        count, parts = self.generated_per_class, []
        for some in torch.split(embeddings, _CLASSES_AT_ONCE):
            a = some.repeat_interleave(count, dim=0)
            parts.append(self.represented(self.answered(noise(a, generator), a)))
        return torch.cat(parts), torch.arange(len(embeddings), device=embeddings.device).repeat_interleave(count)

    def made(self, z: Tensor, a: Tensor) -> Tensor:
        """Return the features (B, D) that G makes of z (B, A) and embeddings (B, A)."""
        features: Tensor = self.generator(torch.cat([z, a], dim=1))
        return features

    def answered(self, z: Tensor, a: Tensor) -> Tensor:
        """Return the features that the classifier is trained on."""
        return self.made(z, a)

    def judged(self, x: Tensor, a: Tensor) -> Tensor:
        """Return the scores (B, 1) that D gives features (B, D) with embeddings (B, A)."""
        score: Tensor = self.critic(torch.cat([x, a], dim=1))
        return score


def two_layers(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Return two linear layers with a leaky ReLU of slope 0.2 between them."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, outputs))
