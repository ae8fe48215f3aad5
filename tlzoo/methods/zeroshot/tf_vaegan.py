"""TF-VAEGAN: a decoder of embeddings feeds back into the generator, and its hidden layer helps to classify."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Adam, Optimizer

from tlzoo.functional.checks import check_at_least, check_positive
from tlzoo.methods.zeroshot.adversarial_features import BETAS, Fakes, Turn, Update, two_layers
from tlzoo.methods.zeroshot.f_vaegan import FVAEGAN, autoencoder_loss
from tlzoo.paper import Paper

__all__ = ["TFVAEGAN"]


class TFVAEGAN(FVAEGAN):
    r"""TF-VAEGAN, inductive (Narayan et al., ECCV 2020), https://arxiv.org/abs/2003.07833.

    To f-VAEGAN-D2, whose critic here sees features that are rebuilt from encoded latents, it adds a decoder of
    embeddings, :math:`\hat a = \mathrm{Dec}(x)` of length 1, trained on real and on generated features by

    .. math:: \rho \, \mathbb{E}\left[ \sum_k \frac{e_k^2 \, |e_k|}{\lVert e \rVert} \right], \qquad e = \hat a - a

    Every other pass over the training set, and for the features that are classified in the end, a feedback network F
    turns the decoder's hidden layer for a generated feature into a correction of G's hidden layer for the same noise:

    .. math:: g \leftarrow g + \alpha F(h), \qquad h = \mathrm{Dec}_{\text{hidden}}(G(z, a))

    The softmax classifies features joined with the decoder's output and hidden layer.

    Args:
        num_features: D.
        num_embedding: A, also the width of z.
        generator_hidden: width of the hidden layers of G, E, Dec and F.
        critic_hidden: width of the hidden layer of D.
        steps: updates of G.
        batch_size: examples per update.
        critic_steps: updates of D before each of G.
        lr: rate of Adam for E, G and D.
        penalty: lambda, weight of the gradient penalty at the start. It grows by a tenth after updates of D with a mean
            penalty above 1.05, and shrinks as much below 1.001.
        weight: gamma.
        reconstruction: rho.
        feedback: alpha.
        decoder_lr: rate of Adam for Dec.
        feedback_lr: rate of Adam for F.
        generated_per_class: examples to generate of each class.
        classifier_epochs: passes of the softmax over its examples.
        classifier_batch: examples per step of the softmax.
        classifier_lr: rate of Adam for the softmax.

    >>> method = TFVAEGAN(4, 3, generator_hidden=8, critic_hidden=8, steps=2)
    >>> _ = method.fit(torch.rand(6, 4), torch.tensor([0, 0, 0, 1, 1, 1]), torch.eye(3)[:2])
    >>> score = method.bind(torch.eye(3), seen=torch.tensor([True, True, False]))
    >>> score(torch.rand(2, 4)).shape
    torch.Size([2, 3])

    Differs from the paper: defaults are those of the authors' code for CUB, except for ``steps``. The softmax answers
    as it is after the last pass, while their code reports the best pass on the test set.
    """

    label = "TF-VAEGAN"
    paper = Paper(
        title="Latent Embedding Feedback and Discriminative Features for Zero-Shot Classification",
        authors=("Narayan", "Gupta", "Khan", "Snoek", "Shao"),
        venue="ECCV",
        year=2020,
        arxiv="2003.07833",
    )
    adapts_penalty = True

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
        weight: float = 10.0,
        reconstruction: float = 0.01,
        feedback: float = 1.0,
        decoder_lr: float = 1e-4,
        feedback_lr: float = 1e-5,
        generated_per_class: int = 300,
        classifier_epochs: int = 25,
        classifier_batch: int = 300,
        classifier_lr: float = 0.001,
    ) -> None:
        super().__init__(
            num_features,
            num_embedding,
            generator_hidden=generator_hidden,
            critic_hidden=critic_hidden,
            steps=steps,
            batch_size=batch_size,
            critic_steps=critic_steps,
            lr=lr,
            penalty=penalty,
            weight=weight,
            generated_per_class=generated_per_class,
            classifier_epochs=classifier_epochs,
            classifier_batch=classifier_batch,
            classifier_lr=classifier_lr,
        )
        check_at_least(0, reconstruction=reconstruction, feedback=feedback)
        check_positive(decoder_lr=decoder_lr, feedback_lr=feedback_lr)
        self.reconstruction, self.feedback = reconstruction, feedback
        self.decoder_lr, self.feedback_lr = decoder_lr, feedback_lr
        self.decoder = two_layers(num_features, generator_hidden, num_embedding).requires_grad_(False)
        self.correction = two_layers(generator_hidden, generator_hidden, generator_hidden).requires_grad_(False)

    def players(
        self, points: Tensor, labels: Tensor, embeddings: Tensor, generator: torch.Generator
    ) -> tuple[Fakes, Update]:
        """Return what trains Dec on real features and makes others for the critic, and what updates the others."""
        decoding = Adam(self.decoder.parameters(), lr=self.decoder_lr, betas=BETAS, foreach=True)
        correcting = Adam(self.correction.parameters(), lr=self.feedback_lr, betas=BETAS, foreach=True)
        usual: list[Optimizer] = [
            Adam(self.encoder.parameters(), lr=self.lr, foreach=True),
            Adam(self.generator.parameters(), lr=self.lr, betas=BETAS, foreach=True),
            decoding,
        ]
        steps_of_a_pass = -(-len(points) // self.batch_size)

        def feeds_back(step: int) -> bool:
            return step // steps_of_a_pass % 2 == 1

        def rebuilt(turn: Turn) -> tuple[Tensor, Tensor, Tensor]:
            mean, log_variance = self.encoder(turn.x, turn.a)
            make = self.corrected if feeds_back(turn.step) else self.made
            return make(self.drawn(mean, log_variance, generator), turn.a), mean, log_variance

        def fakes(turn: Turn) -> Tensor:
            decoding.zero_grad()
            torch.autograd.backward(self.reconstruction * _decoding_error(self.decoded(turn.x)[0], turn.a))
            decoding.step()
            with torch.no_grad():
                return rebuilt(turn)[0]

        def update(turn: Turn) -> None:
            x, a = turn.x, turn.a
            optimizers = [*usual, correcting] if feeds_back(turn.step) else usual
            for optimizer in optimizers:
                optimizer.zero_grad()
            made, mean, log_variance = rebuilt(turn)
            loss = autoencoder_loss(made, x, mean, log_variance) - self.weight * self.judged(made, a).mean()
            torch.autograd.backward(loss + self.reconstruction * _decoding_error(self.decoded(made)[0], a))
            for optimizer in optimizers:
                optimizer.step()

        return fakes, update

    def decoded(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return embeddings (B, A) of length 1 for features (B, D), and the hidden layer."""
        hidden = self.decoder[:2](x)
        return F.normalize(self.decoder[2](hidden), dim=1), hidden

    def corrected(self, z: Tensor, a: Tensor) -> Tensor:
        """Return the features that G makes with feedback."""
        correction = F.leaky_relu(self.correction(self.decoded(self.made(z, a))[1].detach()), 0.2)
        hidden = self.generator[:2](torch.cat([z, a], dim=1))
        features: Tensor = self.generator[2:](hidden + self.feedback * correction)
        return features

    def answered(self, z: Tensor, a: Tensor) -> Tensor:
        """Return the features that the classifier is trained on, with feedback."""
        return self.corrected(z, a)

    def represented(self, points: Tensor) -> Tensor:
        """Join features with the decoder's output and hidden layer."""
        return torch.cat([points, *self.decoded(points)], dim=1)


def _decoding_error(decoded: Tensor, a: Tensor) -> Tensor:
    """Return the mean over a batch of absolute errors weighted by their squares over the length of the error."""
    error = decoded - a
    length = torch.linalg.vector_norm(error, dim=1, keepdim=True).clamp_min(torch.finfo(error.dtype).tiny)
    weighted: Tensor = error.square() / length * error.abs()
    return weighted.sum() / len(a)
