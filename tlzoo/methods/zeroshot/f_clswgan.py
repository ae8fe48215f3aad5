"""f-CLSWGAN: a generator of features that fools a critic and suits a classifier."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam

from tlzoo.functional.checks import check_at_least, check_counts, check_positive
from tlzoo.methods.zeroshot.generating import Generating, initialize, noise, random_batches
from tlzoo.paper import Paper

__all__ = ["FCLSWGAN"]

_BETAS = (0.5, 0.999)
_CLASSES_AT_ONCE = 64


class FCLSWGAN(Generating):
    r"""Feature generating networks (Xian et al., CVPR 2018), https://arxiv.org/abs/1712.00981.

    A generator G maps noise z and the embedding a of a class to features, and a critic D tells them from real ones x:

    .. math::

        \min_G \max_D \; \mathbb{E}[D(x, a)] - \mathbb{E}[D(\tilde x, a)]
        - \lambda \, \mathbb{E}\left[(\lVert \nabla_{\hat x} D(\hat x, a) \rVert - 1)^2\right]
        + \beta \, \mathbb{E}\left[-\log P(y \mid \tilde x)\right]

    where :math:`\tilde x = G(z, a)`, :math:`\hat x` lies at random between real and generated features, and P is a
    softmax that was trained on the seen classes first. A softmax on generated features of unseen classes, and real
    ones of seen classes if these are candidates, gives the answers.

    Args:
        num_features: D.
        num_embedding: A, also the width of z.
        generator_hidden: width of the hidden layer of G.
        critic_hidden: width of the hidden layer of D.
        steps: updates of G; the authors take 56 to 100 passes over the training set.
        batch_size: examples per update.
        critic_steps: updates of D before each of G.
        lr: rate of Adam for G and D.
        penalty: lambda.
        classification: beta.
        pretraining_epochs: passes of P over the seen examples.
        generated_per_class: examples to generate of each class; 50 to 4000 in the paper, by the data set.
        classifier_epochs: passes of the last softmax over its examples.
        classifier_batch: examples per step of the last softmax.
        classifier_lr: rate of Adam for both softmaxes.

    >>> method = FCLSWGAN(4, 3, generator_hidden=8, critic_hidden=8, steps=2)
    >>> _ = method.fit(torch.rand(6, 4), torch.tensor([0, 0, 0, 1, 1, 1]), torch.eye(3)[:2])
    >>> score = method.bind(torch.eye(3), seen=torch.tensor([True, True, False]))
    >>> score(torch.rand(2, 4)).shape
    torch.Size([2, 3])

    Differs from the paper: the last softmax answers as it is after the last pass, while the authors' code reports the
    best pass on the test set. Passes end with a smaller batch instead of running on into the next pass.
    """

    label = "f-CLSWGAN"
    paper = Paper(
        title="Feature Generating Networks for Zero-Shot Learning",
        authors=("Xian", "Lorenz", "Schiele", "Akata"),
        venue="CVPR",
        year=2018,
        arxiv="1712.00981",
    )
    variants = (
        {"generator_hidden": 8, "critic_hidden": 8, "steps": 3, "classifier_epochs": 2, "pretraining_epochs": 2},
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
        classification: float = 0.01,
        pretraining_epochs: int = 50,
        generated_per_class: int = 300,
        classifier_epochs: int = 25,
        classifier_batch: int = 300,
        classifier_lr: float = 0.001,
    ) -> None:
        super().__init__(
            num_features,
            num_embedding,
            classifier_epochs=classifier_epochs,
            classifier_batch=classifier_batch,
            classifier_lr=classifier_lr,
        )
        check_counts(generator_hidden=generator_hidden, critic_hidden=critic_hidden, steps=steps)
        check_counts(batch_size=batch_size, critic_steps=critic_steps, generated_per_class=generated_per_class)
        check_counts(low=0, pretraining_epochs=pretraining_epochs)
        check_positive(lr=lr)
        check_at_least(0, penalty=penalty, classification=classification)
        self.steps, self.batch_size, self.critic_steps, self.lr = steps, batch_size, critic_steps, lr
        self.penalty, self.classification = penalty, classification
        self.pretraining_epochs, self.generated_per_class = pretraining_epochs, generated_per_class
        made = [nn.Linear(2 * num_embedding, generator_hidden), nn.Linear(generator_hidden, num_features)]
        told = [nn.Linear(num_features + num_embedding, critic_hidden), nn.Linear(critic_hidden, 1)]
        self.generator = nn.Sequential(made[0], nn.LeakyReLU(0.2), made[1], nn.ReLU()).requires_grad_(False)
        self.critic = nn.Sequential(told[0], nn.LeakyReLU(0.2), told[1]).requires_grad_(False)

    def train_networks(self, points: Tensor, labels: Tensor, embeddings: Tensor, generator: torch.Generator) -> None:
        """Train P, then D and G in turn."""
        initialize(nn.ModuleList([self.generator, self.critic]), lambda weight: self.start(weight, generator))
        weight, bias = self.softmax_on(
            points, labels, len(embeddings), generator, epochs=self.pretraining_epochs, batch=100
        )
        critic_optimizer = Adam(self.critic.parameters(), lr=self.lr, betas=_BETAS, foreach=True)
        generator_optimizer = Adam(self.generator.parameters(), lr=self.lr, betas=_BETAS, foreach=True)
        for _ in range(self.steps):
            for some in random_batches(len(points), self.batch_size, self.critic_steps, generator):
                x, y = points[some.to(points.device)], labels[some.to(labels.device)]
                a = embeddings[y]
                with torch.no_grad():
                    made = self._made(a, generator)
                between = torch.rand(len(x), 1, generator=generator, dtype=torch.float64).to(x)
                critic_optimizer.zero_grad()
                torch.autograd.backward(self.critic_loss(x, made, a, between))
                critic_optimizer.step()
            self.critic.requires_grad_(False)
            generator_optimizer.zero_grad()
            made = self._made(a, generator)  # the authors keep the last batch of the critic
            loss = F.cross_entropy(made @ weight.T + bias, y)
            torch.autograd.backward(self.classification * loss - self._judged(made, a).mean())
            generator_optimizer.step()
            self.critic.requires_grad_(True)

    def critic_loss(self, x: Tensor, made: Tensor, a: Tensor, between: Tensor) -> Tensor:
        """Return the loss of D for real and generated features (B, D) of embeddings (B, A).

        ``between`` (B, 1) is the share of the real ones where the gradient is penalized.
        """
        mixed = (between * x + (1 - between) * made).requires_grad_()
        (slope,) = torch.autograd.grad(self._judged(mixed, a).sum(), mixed, create_graph=True)
        penalty = (torch.linalg.vector_norm(slope, dim=1) - 1).square().mean()
        loss: Tensor = self._judged(made, a).mean() - self._judged(x, a).mean() + self.penalty * penalty
        return loss

    def generated(self, embeddings: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return features of classes, ``generated_per_class`` of each."""
        count = self.generated_per_class
        parts = [
            self._made(some.repeat_interleave(count, dim=0), generator)
            for some in torch.split(embeddings, _CLASSES_AT_ONCE)
        ]
        return torch.cat(parts), torch.arange(len(embeddings), device=embeddings.device).repeat_interleave(count)

    def _made(self, a: Tensor, generator: torch.Generator) -> Tensor:
        features: Tensor = self.generator(torch.cat([noise(a, generator), a], dim=1))
        return features

    def _judged(self, x: Tensor, a: Tensor) -> Tensor:
        score: Tensor = self.critic(torch.cat([x, a], dim=1))
        return score
