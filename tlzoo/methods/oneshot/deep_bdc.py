"""DeepBDC: compare how the channels of feature maps depend on one another."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tlzoo.errors import InputError
from tlzoo.functional import prototypes
from tlzoo.functional.checks import check_counts
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.paper import Paper

__all__ = ["DeepBDC"]

_SMALL = 1e-5
_AT_ONCE = 2**24
"""Numbers of the matrices that are held at once."""


class DeepBDC(EpisodeClassifier):
    r"""Meta DeepBDC, by Brownian distance covariance (Xie et al., CVPR 2022), https://arxiv.org/abs/2204.04567.

    The matrix of a feature map, with channels :math:`x_k` over P places, holds the distances between channels, centered
    in rows and columns:

    .. math::

        A = \hat A - \tfrac{1}{C} (\mathbf 1 \hat A + \hat A \mathbf 1) + \tfrac{1}{C^2} \mathbf 1 \hat A \mathbf 1,
        \qquad \hat A_{kl} = \sqrt{e^{t} \lVert x_k - x_l \rVert^2 + 10^{-5}}

    with a temperature t that is trained over episodes. Its upper triangle represents the item, and a class is the mean
    of its shots. With one shot, the logits are inner products; with more, negative squared distances.

    Features are flattened maps, channels first, as ``conv4`` returns them: 1,600 features are 64 channels at 25 places.
    A map of C channels becomes C (C + 1) / 2 numbers, however many places it has: 2,080 for 64 channels, 820,000 for
    1,280.

    Differs from the paper: the optional convolution that reduces the channels first is left out, as for the authors'
    ResNet-12 by default; a backbone may end with one.

    Args:
        places: P, positions of a map; a divisor of the number of features.
    """

    label = "DeepBDC"
    paper = Paper(
        title="Joint Distribution Matters: Deep Brownian Distance Covariance for Few-Shot Classification",
        authors=("Xie", "Long", "Lv", "Wang", "Li"),
        venue="CVPR",
        year=2022,
        arxiv="2204.04567",
    )
    variants = ({}, {"places": 2})

    def __init__(self, *, places: int = 1) -> None:
        super().__init__()
        check_counts(places=places)
        self.places = places
        self.temperature = nn.Parameter(torch.tensor(-math.log(2 * places)))

    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way)."""
        if support.shape[-1] % self.places:
            raise InputError(
                f"DeepBDC: features of width {support.shape[-1]} are no maps of {self.places} places; set places to "
                "the positions of the backbone's map"
            )
        logits = []
        for shown, labels, asked in zip(support, support_labels, query, strict=True):
            classes = prototypes(self.represented(shown).unsqueeze(0), labels.unsqueeze(0), way)[0]
            count = max(1, _AT_ONCE // (shown.shape[-1] // self.places) ** 2)
            found = [self._compared(some, classes, shots=len(shown) / way) for some in torch.split(asked, count)]
            logits.append(torch.cat(found))
        return torch.stack(logits)

    def represented(self, features: Tensor) -> Tensor:
        """Map features (N, D) of C channels each to the upper triangles (N, C (C + 1) / 2) of their matrices."""
        maps = features.view(len(features), -1, self.places)
        maps = maps - maps.mean(dim=1, keepdim=True)  # distances do not change; float32 keeps more digits
        products = maps @ maps.mT
        sizes = products.diagonal(dim1=1, dim2=2)
        squares = (sizes.unsqueeze(1) + sizes.unsqueeze(2) - 2 * products).clamp_min(0)
        distances = (self.temperature.exp() * squares + _SMALL).sqrt()
        rows = distances.mean(dim=1, keepdim=True)
        centered = distances - rows - rows.mT + rows.mean(dim=2, keepdim=True)
        places = torch.triu_indices(*centered.shape[1:], device=centered.device)
        return centered[:, places[0], places[1]]

    def _compared(self, query: Tensor, classes: Tensor, *, shots: float) -> Tensor:
        """Return the logits (Q, way) of features (Q, D) for the representations of classes (way, R)."""
        asked = self.represented(query)
        if shots > 1:
            return -torch.cdist(asked, classes, compute_mode="donot_use_mm_for_euclid_dist").square()
        return asked @ classes.mT
