"""CAN: classes of source and target close, different classes apart, with target labels from clusters."""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.checks import check_at_least, check_counts
from tlzoo.functional.precision import at_least_float32, matmul
from tlzoo.methods.alignment import Alignment
from tlzoo.methods.checks import required
from tlzoo.nn.memory_bank import Memory
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space
from tlzoo.types import Context, Losses, Need, Prediction

__all__ = ["CAN", "class_discrepancies", "spherical_clusters"]

_KERNELS = 5
_LEAST_BANDWIDTH, _RANGE = 1e-5, (1e-5, 1e5)
_STILL = 0.005


class CAN(Alignment):
    r"""Contrastive adaptation network (Kang et al., CVPR 2019), https://arxiv.org/abs/1901.00976.

    .. math:: \frac{w}{S} \sum_c D_{cc} - \frac{w}{S (S - 1)} \sum_{c \ne c'} D_{cc'}

    with the squared MMD D of the source's class c and the target's class c', on features and on probabilities, over the
    S classes that both sides of the batch have. Once an epoch, spherical k-means labels the target; it starts from the
    centers of the source's classes. Target examples farther than ``threshold`` from their center, and classes with
    fewer than ``least`` others, do not count.

    Differs from the paper: batches are drawn as for any method, not class by class. The source's centers are sums over
    the source batches since the last clustering, where the authors pass over the source again; the first are those of
    one batch. Batch normalization is not split between domains unless the module's ``batch_statistics`` say so.

    Args:
        num_features: D.
        num_classes: C.
        weight: w.
        threshold: the largest cosine distance (1 - cosine) / 2 to the center that counts: the authors' value for
            Office-31; 1 on VisDA.
        least: the fewest examples of a class that counts.
    """

    label = "CAN"
    paper = Paper(
        title="Contrastive Adaptation Network for Unsupervised Domain Adaptation",
        authors=("Kang", "Jiang", "Yang", "Hauptmann"),
        venue="CVPR",
        year=2019,
        arxiv="1901.00976",
    )
    needs = frozenset({Need.INDICES})
    space = Space(weight=LogUniform(0.03, 3.0), threshold=LogUniform(0.02, 1.0))
    variants = ({"threshold": 1.0, "least": 1},)

    def __init__(
        self, num_features: int, num_classes: int, *, weight: float = 0.3, threshold: float = 0.05, least: int = 3
    ) -> None:
        super().__init__(num_features, num_classes)
        check_at_least(0, weight=weight, threshold=threshold)
        check_counts(least=least)
        self.weight, self.threshold, self.least = weight, threshold, least
        self.memory = Memory(
            features=torch.zeros(0, num_features),
            labels=torch.zeros(0, dtype=torch.long),
            sums=torch.zeros(num_classes, num_features),
        )

    @property
    def transformable(self) -> bool:
        """It has a memory."""
        return False

    @torch.no_grad()
    def on_epoch(self, target: Prediction) -> None:
        """Take the features (N, D) of the whole target, by its indices; the next batch clusters them."""
        order = torch.arange(len(target)) if target.indices is None else target.indices.argsort()
        self.memory.features = at_least_float32(target.features.detach())[order.to(target.features.device)]

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the loss on source and target features (N, D), (M, D), logits, source labels and target indices.

        Raises:
            ValueError: labels or indices are missing, or :meth:`on_epoch` has not seen the target.
        """
        ours, indices = required(self, source.labels, "source.labels"), required(self, target.indices, "target.indices")
        self._remember(source.features, ours)
        labels = self.memory.get_buffer("labels")
        if int(indices.max()) >= len(labels):
            raise ValueError(f"can has labels of {len(labels)} target examples; call on_epoch with the whole target")
        theirs = labels[indices]
        sides = (torch.bincount(each, minlength=self.num_classes) for each in (ours, theirs[theirs >= 0]))
        shared = torch.stack([held > 0 for held in sides]).all(dim=0).nonzero()[:, 0]
        counts = {"classes": source.features.new_tensor(len(shared)), "confident": (theirs >= 0).float().mean()}
        if not len(shared):
            return {"loss": source.features.new_zeros(()), **counts}
        layers = [(source.features, target.features), (source.logits.softmax(dim=1), target.logits.softmax(dim=1))]
        found = class_discrepancies(layers, ours, theirs, classes=shared)
        within = found.diagonal().mean()
        between = (found.sum() - found.diagonal().sum()) / max(len(shared) * (len(shared) - 1), 1)
        loss = self.weight * (within - between)
        return {"loss": loss, "within": within.detach(), "between": between.detach(), **counts}

    @torch.no_grad()
    def _remember(self, features: Tensor, labels: Tensor) -> None:
        """Add a source batch to the sums of classes, and cluster the target where it is due."""
        sums, waiting = self.memory.get_buffer("sums"), self.memory.get_buffer("features")
        if len(waiting):
            self.memory.labels = self._labels(waiting, sums.index_add(0, labels, features.to(sums)).to(waiting))
            self.memory.features, self.memory.sums = waiting[:0], torch.zeros_like(sums)
        self.memory.sums = self.memory.get_buffer("sums").index_add(0, labels, features.to(sums))

    def _labels(self, features: Tensor, sums: Tensor) -> Tensor:
        """Return the labels (N,) of target features, -1 where they do not count."""
        known = (sums != 0).any(dim=1).nonzero()[:, 0]
        if not len(known):
            return torch.full((len(features),), -1, device=features.device)
        clusters, distances = spherical_clusters(features, sums[known])
        labels = torch.where(distances < self.threshold, known[clusters], -1)
        counts = torch.bincount(labels[labels >= 0], minlength=len(sums))
        return torch.where((labels >= 0) & (counts[labels] >= self.least), labels, -1)


def _distances(points: Tensor, centers: Tensor) -> Tensor:
    """Return (1 - cosine) / 2 of points (N, D) and centers (C, D): (N, C)."""
    return (1 - matmul(F.normalize(points, dim=1), F.normalize(centers, dim=1).T)) / 2


def spherical_clusters(points: Tensor, start: Tensor, *, steps: int = 100) -> tuple[Tensor, Tensor]:
    """Return the cluster (N,) of points (N, D) by k-means with cosine distances, and the distance (N,) to its center.

    Centers are sums of points; one without a point returns to its start (C, D). When the centers rest, the clusters are
    matched to the starts they are nearest to, one to one.
    """
    centers = start
    for _ in range(steps):
        members = F.one_hot(_distances(points, centers).argmin(dim=1), len(start)).to(points)
        found = torch.where(members.any(dim=0)[:, None], matmul(members.T, points), start)
        moved = _distances(found, centers).diagonal().mean()
        centers = found
        if moved < _STILL:
            break
    distances, clusters = _distances(points, centers).min(dim=1)
    _, matched = linear_sum_assignment(_distances(centers, start).cpu().numpy())
    return torch.as_tensor(matched, device=points.device)[clusters], distances


def class_discrepancies(
    layers: list[tuple[Tensor, Tensor]], ours: Tensor, theirs: Tensor, *, classes: Tensor
) -> Tensor:
    """Return the squared MMD (S, S) of each class of the source and each class of the target.

    Five Gaussian kernels a layer, their bandwidths around the mean distance within the two classes together, are added
    over the layers, as in the authors' code.

    Args:
        layers: source (N, .) and target (M, .) of each layer.
        ours: source labels (N,).
        theirs: target labels (M,); those of no class are left out.
        classes: (S,) those to compare, each with an example on both sides.
    """
    own, other = (torch.isin(labels, classes) for labels in (ours, theirs))
    a, b = (torch.searchsorted(classes, labels[kept]) for labels, kept in ((ours, own), (theirs, other)))
    first, second = (F.one_hot(places, len(classes)).to(layers[0][0]) for places in (a, b))
    n, m = first.sum(dim=0), second.sum(dim=0)
    same, alike = first @ first.T, second @ second.T
    total = first.new_zeros(len(classes), len(classes))
    for source, target in layers:
        x, y = source[own], target[other]
        ss, tt, st = (_squares(*pair) for pair in ((x, x), (y, y), (x, y)))
        spread = ((ss * same).sum(dim=1) @ first)[:, None] + (tt * alike).sum(dim=1) @ second
        pairs = (n * n - n)[:, None] + m * m - m + 2 * torch.outer(n, m)
        width = ((spread + 2 * first.T @ st @ second) / pairs).detach()
        within = torch.einsum("dij,ij,ic->cd", _kernel(ss, width[a].T[:, :, None]), same, first) / (n * n)[:, None]
        among = torch.einsum("cij,ij,id->cd", _kernel(tt, width[:, b][:, :, None]), alike, second) / (m * m)
        across = first.T @ _kernel(st, width[a][:, b]) @ second / torch.outer(n, m)
        total = total + within + among - 2 * across
    return total


def _squares(x: Tensor, y: Tensor) -> Tensor:
    return (x[:, None] - y).square().sum(dim=2)


def _kernel(squares: Tensor, width: Tensor) -> Tensor:
    """Return the sum of Gaussian kernels of squared distances, with bandwidths around ``width``."""
    factors = [2.0 ** (power - _KERNELS // 2) for power in range(_KERNELS)]
    scaled = [(squares / (width * factor).clamp_min(_LEAST_BANDWIDTH)).clamp(*_RANGE) for factor in factors]
    return torch.stack([torch.exp(-each) for each in scaled]).sum(dim=0)
