"""f-CLSWGAN: a generator of features that fools a critic and suits a classifier."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam

from tlzoo.functional.checks import check_at_least, check_counts
from tlzoo.methods.zeroshot.adversarial_features import BETAS, AdversarialFeatures, Fakes, Turn, Update
from tlzoo.methods.zeroshot.generating import noise
from tlzoo.paper import Paper

__all__ = ["FCLSWGAN"]


class FCLSWGAN(AdversarialFeatures):
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
            output=nn.ReLU(),
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
        check_counts(low=0, pretraining_epochs=pretraining_epochs)
        check_at_least(0, classification=classification)
        self.classification, self.pretraining_epochs = classification, pretraining_epochs

    def players(
        self, points: Tensor, labels: Tensor, embeddings: Tensor, generator: torch.Generator
    ) -> tuple[Fakes, Update]:
        """Train P, and return what makes features from noise, and what updates G."""
        weight, bias = self.softmax_on(
            points, labels, len(embeddings), generator, epochs=self.pretraining_epochs, batch=100
        )
        optimizer = Adam(self.generator.parameters(), lr=self.lr, betas=BETAS, foreach=True)

        @torch.no_grad()
        def fakes(turn: Turn) -> Tensor:
            return self.made(noise(turn.a, generator), turn.a)

        def update(turn: Turn) -> None:
            optimizer.zero_grad()
            made = self.made(noise(turn.a, generator), turn.a)
            loss = F.cross_entropy(made @ weight.T + bias, turn.y)
            torch.autograd.backward(self.classification * loss - self.judged(made, turn.a).mean())
            optimizer.step()

        return fakes, update
