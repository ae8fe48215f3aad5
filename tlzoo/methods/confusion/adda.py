"""ADDA: train a target encoder that a discriminator cannot tell from the source encoder."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional.checks import check_at_least
from tlzoo.methods.alternating import Alternating, Phase
from tlzoo.methods.checks import required
from tlzoo.nn.discriminator import DomainDiscriminator, domain_loss
from tlzoo.paper import Paper
from tlzoo.types import Losses, Prediction

__all__ = ["ADDA"]


class ADDA(Alternating):
    r"""Adversarial discriminative domain adaptation (Tzeng et al., CVPR 2017), https://arxiv.org/abs/1702.05464.

    For a share of training the network learns the source. A copy of it then stays fixed as the source encoder, and two
    phases alternate: a discriminator d learns to tell the copy's source features from the network's target features,
    and the network learns target features with inverted labels, as if the target were the source. The head stays fixed.

    .. math::

        \min_d \; -\mathbb{E}_s \log d(f_s) - \mathbb{E}_t \log\left(1 - d(f_t)\right), \qquad
        \min_{f_t} \; -w \, \mathbb{E}_t \log d(f_t)

    Args:
        num_features: D.
        num_classes: C.
        hidden: width of the discriminator.
        pretraining: share of training in which the network learns the source.
        weight: w, weight of the inverted loss; it scales the learning rate of the target encoder.
    """

    paper = Paper(
        title="Adversarial Discriminative Domain Adaptation",
        authors=("Tzeng", "Hoffman", "Saenko", "Darrell"),
        venue="CVPR",
        year=2017,
        arxiv="1702.05464",
    )
    variants = ({"hidden": 64}, {"hidden": 64, "pretraining": 0.7})
    copied: Tensor

    def __init__(
        self, num_features: int, num_classes: int, *, hidden: int = 500, pretraining: float = 0.5, weight: float = 0.1
    ) -> None:
        super().__init__(num_features, num_classes)
        check_at_least(0, weight=weight)
        if not 0 < pretraining < 1:
            raise ValueError(f"pretraining {pretraining}; expected a share between 0 and 1")
        self.pretraining, self.weight = pretraining, weight
        self.discriminator = DomainDiscriminator(num_features, hidden)
        self.encoder: nn.Module = nn.Identity()
        self.register_buffer("copied", torch.tensor(False))

    def prepare(self, network: nn.Module) -> None:
        """Reserve the source encoder."""
        self.encoder = copy.deepcopy(network).requires_grad_(False)

    def phases(self, progress: float) -> tuple[Phase, ...]:
        """Return learn for a share of training, then discriminate and deceive."""
        if progress < self.pretraining:
            return (Phase(name="learn", trains=("features", "head")),)
        return (Phase(name="discriminate", trains=("method",)), Phase(name="deceive", trains=("features",)))

    def source_network(self, phase: str, network: nn.Module) -> nn.Module:
        """Return the source encoder, a copy of the network made once it has learned the source."""
        if phase == "learn":
            return network
        if not self.copied:
            self.encoder.load_state_dict(network.state_dict())
            self.copied.fill_(True)
        return self.encoder.eval()  # its statistics belong to the source; a loop may have set it to training mode

    def term(self, phase: str, source: Prediction, target: Prediction) -> Losses:
        """Return the loss of a phase on source (N, D), (N, C), labels (N,) and target (M, D).

        Raises:
            ValueError: the source has no labels.
        """
        if phase == "learn":
            labels = required(self, source.labels, "source.labels")
            return {"loss": F.cross_entropy(source.logits, labels)}
        if phase == "discriminate":
            features = torch.cat([source.features.detach(), target.features.detach()])
            loss, accuracy = domain_loss(self.discriminator(features), len(source))
            return {"loss": loss, "domain_accuracy": accuracy}
        logits = self.discriminator(torch.cat([source.features.detach(), target.features]))
        deceived = F.softplus(-logits[len(source) :]).mean()
        return {"loss": self.weight * deceived, "deceived": deceived.detach()}
