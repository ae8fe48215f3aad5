"""PLUE: neighbors' pseudo-labels, weighed by how certain they are, learned by what an item is not."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tlzoo.functional.checks import check_counts
from tlzoo.methods.checks import required
from tlzoo.methods.contrasting import Contrasting, diversity_loss
from tlzoo.nn.memory_bank import Memory
from tlzoo.paper import Paper
from tlzoo.types import Context, Losses, Prediction

__all__ = ["PLUE"]

_EPS = 1e-5


class PLUE(Contrasting):
    r"""Guiding pseudo-labels with uncertainty estimation (Litrico et al., CVPR 2023), https://arxiv.org/abs/2303.03770.

    Neighbors in a bank of weak views label an item by their mean prediction r. Another class :math:`\bar y` than the
    most probable one is drawn at random, and the network learns that the item is not of it:

    .. math:: -\frac{1}{M} \sum_i e^{-H(r_i) / \ln C} \ln(1 - p^{\text{strong}}_{i \bar y_i})
        + L_\text{contrast} - H(\bar p^{\text{weak}}) - H(\bar p^{\text{strong}})

    with the mean predictions of a batch. The contrast is that of
    :class:`~tlzoo.methods.adaptation.adacontrast.AdaContrast`, but spares the keys of items that had the same label as
    this one in any of the last ``memory`` epochs. The bank starts anew in each epoch.

    Differs from the paper: views are the library's, and all pass the network as one batch; labels of an epoch go to one
    column of the memory, where the first batch of the authors' code still writes to the column before.

    Args:
        num_features: D.
        num_classes: C.
        memory: epochs whose labels are remembered.
        neighbors: number of entries of the bank that label an item, the item itself included.
        temperature: of the contrast.
        smoothing: share of the slow copy that each step keeps.
        queue: the most items in bank and queue.
    """

    paper = Paper(
        title="Guiding Pseudo-Labels with Uncertainty Estimation for Source-Free Unsupervised Domain Adaptation",
        authors=("Litrico", "Del Bue", "Morerio"),
        venue="CVPR",
        year=2023,
        arxiv="2303.03770",
    )
    variants = ({}, {"neighbors": 2, "queue": 4, "memory": 2})
    epoch: Tensor

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        memory: int = 5,
        neighbors: int = 10,
        temperature: float = 0.07,
        smoothing: float = 0.999,
        queue: int = 16_384,
    ) -> None:
        super().__init__(
            num_features, num_classes, neighbors=neighbors, temperature=temperature, smoothing=smoothing, queue=queue
        )
        check_counts(memory=memory)
        check_counts(low=2, num_classes=num_classes)
        self.memory = memory
        self.past = Memory(labels=torch.zeros(0, memory, dtype=torch.long))
        self.register_buffer("epoch", torch.tensor(-1))

    @property
    def order_matters(self) -> bool:
        """Whether order matters: other classes are drawn by position."""
        return True

    def on_epoch(self, target: Prediction) -> None:
        """Fill the bank with the whole target; labels before the first epoch are random."""
        self.fill(target)
        if not len(self.past.get_buffer("labels")):
            size = (len(target), self.memory)
            labels = torch.randint(self.num_classes, size, generator=self.random.next())
            self.past.labels = labels.to(target.features.device)
        self.epoch += 1

    def term(self, target: Prediction, context: Context) -> Losses:
        """Return the loss of the views' features (M, D) and logits (M, C), and store the batch.

        Raises:
            ValueError: the target has no views, inputs or indices, or :meth:`on_epoch` has not filled the bank.
            RuntimeError: :meth:`prepare` was not called.
        """
        indices, weak, strong = (
            required(self, target.indices, "target.indices"),
            target.view("weak"),
            target.view("strong"),
        )
        answers = self.neighborhood(weak.features.detach())
        labels, keys = answers.argmax(dim=1), self.keys_of(self.follow(context), target)
        past = self.past.get_buffer("labels")
        with torch.no_grad():
            alike = (past[indices][:, None] == past[self.keys.get_buffer("items")]).any(dim=2)
        contrast = self.contrast(target, keys, alike)
        weights = torch.exp((answers * (answers + _EPS).log()).sum(dim=1) / math.log(self.num_classes))
        denied = strong.logits.softmax(dim=1).gather(1, self._others(labels)[:, None])[:, 0]
        negative = -(weights * (1 - denied).clamp_min(_EPS).log()).mean()
        diversity = diversity_loss(weak.logits) + diversity_loss(strong.logits)
        self.enqueue(keys, labels, target)
        self.past.labels = past.index_put((indices, self.epoch % self.memory), labels)
        self.update_bank(weak)
        loss = negative + contrast + diversity
        return {"loss": loss, "contrast": contrast.detach(), "negative": negative.detach()}

    @torch.no_grad()
    def _others(self, labels: Tensor) -> Tensor:
        """Return random other classes (M,) than the labels."""
        shifts = torch.randint(1, self.num_classes, labels.shape, generator=self.random.next())
        return (labels + shifts.to(labels)) % self.num_classes
