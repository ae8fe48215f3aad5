"""AdaContrast: pseudo-labels of neighbors, and a contrast of views that spares items of the same class."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tlzoo.functional.checks import check_at_least
from tlzoo.methods.contrasting import Contrasting, diversity_loss
from tlzoo.paper import Paper
from tlzoo.types import Context, Losses, Prediction

__all__ = ["AdaContrast"]


class AdaContrast(Contrasting):
    r"""Contrastive test-time adaptation (Chen et al., CVPR 2022), https://arxiv.org/abs/2204.10377.

    The label of an item is the most probable class of the mean prediction of its neighbors, in a bank of weak views:

    .. math:: \alpha \, \mathrm{CE}(\text{logits}^{\text{strong}}, \hat y)
        - \frac{\beta}{M} \sum_i \ln \frac{e^{z_i^\top k_i / T}}{e^{z_i^\top k_i / T}
        + \sum_{q : \hat y_q \ne \hat y_i} e^{z_i^\top k_q / T}}
        - \eta \, H\left( \frac{1}{M} \sum_i p_i^{\text{strong}} \right)

    with normalized features z of the strong view, and keys k of another strong view by a slow copy of the network,
    which a queue remembers with the labels of their items. The slow copy also says what the bank holds of later
    batches.

    Differs from the paper: the queue holds no more keys than there are target items, and at first random ones, as in
    the authors' code; keys are spared by the labels that they came with, where the code replaces some before they are
    used. Views are the library's, and all pass the network as one batch.

    Args:
        num_features: D.
        num_classes: C.
        classification: alpha.
        contrastive: beta.
        diversity: eta.
        neighbors: number of entries of the bank that label an item, the item itself included.
        temperature: T.
        smoothing: share of the slow copy that each step keeps.
        queue: the most items in bank and queue.
    """

    paper = Paper(
        title="Contrastive Test-Time Adaptation",
        authors=("Chen", "Wang", "Darrell", "Ebrahimi"),
        venue="CVPR",
        year=2022,
        arxiv="2204.10377",
    )
    variants = ({}, {"neighbors": 2, "queue": 4})

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        classification: float = 1.0,
        contrastive: float = 1.0,
        diversity: float = 1.0,
        neighbors: int = 10,
        temperature: float = 0.07,
        smoothing: float = 0.999,
        queue: int = 16_384,
    ) -> None:
        super().__init__(
            num_features, num_classes, neighbors=neighbors, temperature=temperature, smoothing=smoothing, queue=queue
        )
        check_at_least(0, classification=classification, contrastive=contrastive, diversity=diversity)
        self.classification, self.contrastive, self.diversity = classification, contrastive, diversity

    def on_epoch(self, target: Prediction) -> None:
        """Fill the bank with the whole target, once."""
        if not len(self.bank.get_buffer("features")):
            self.fill(target)

    def term(self, target: Prediction, context: Context) -> Losses:
        """Return the loss of the strong view's features (M, D) and logits (M, C), and store the batch.

        Raises:
            ValueError: the target has no views, inputs or indices, or :meth:`on_epoch` has not filled the bank.
            RuntimeError: :meth:`prepare` was not called.
        """
        labels = self.neighborhood(target.view("weak").features.detach()).argmax(dim=1)
        slow = self.follow(context)
        keys = self.keys_of(slow, target)
        with torch.no_grad():
            alike = labels[:, None] == self.keys.get_buffer("labels")
        contrast = self.contrast(target, keys, alike)
        learned = F.cross_entropy(target.view("strong").logits, labels)
        diversity = diversity_loss(target.view("strong").logits)
        self.enqueue(keys, labels, target)
        self.update_bank(self.said(slow, target))
        loss = self.classification * learned + self.contrastive * contrast + self.diversity * diversity
        return {"loss": loss, "contrast": contrast.detach(), "classification": learned.detach()}
