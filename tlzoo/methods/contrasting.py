"""Source-free methods that contrast views of the target with what a slow copy of the network said of it."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional.checks import check_counts, check_positive, check_shares
from tlzoo.functional.precision import at_least_float32, matmul
from tlzoo.methods.checks import required
from tlzoo.methods.source_free import SourceFree
from tlzoo.nn.memory_bank import Memory
from tlzoo.nn.random_stream import RandomStream
from tlzoo.types import Context, Need, Prediction

__all__ = ["Contrasting", "diversity_loss"]

_EPS = 1e-8


class Contrasting(SourceFree):
    """A bank whose nearest entries label an item, and a queue of keys that its strong view is contrasted with.

    The bank holds features and predictions of target items, the oldest of which make room; the queue holds keys,
    normalized features by a slow copy of the network, with the labels and indices of their items. Both are no longer
    than the target, nor than ``queue``.

    Args:
        num_features: D.
        num_classes: C.
        neighbors: number of entries of the bank that label an item, the item itself included.
        temperature: of the contrast.
        smoothing: share of the slow copy that each step keeps.
        queue: the most items in bank and queue.
    """

    needs = frozenset({Need.INDICES, Need.MODEL, Need.VIEWS})
    views = ("weak", "strong", "strong again")

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        neighbors: int = 10,
        temperature: float = 0.07,
        smoothing: float = 0.999,
        queue: int = 16_384,
    ) -> None:
        super().__init__(num_features, num_classes)
        check_counts(neighbors=neighbors, queue=queue)
        check_positive(temperature=temperature)
        check_shares(smoothing=smoothing)
        self.neighbors, self.temperature, self.smoothing, self.queue = neighbors, temperature, smoothing, queue
        none = torch.zeros(0, dtype=torch.long)
        self.bank = Memory(features=torch.zeros(0, num_features), probabilities=torch.zeros(0, num_classes))
        self.keys = Memory(features=torch.zeros(0, num_features), labels=none, items=none)
        self.register_buffer("bank_place", torch.zeros((), dtype=torch.long))
        self.register_buffer("key_place", torch.zeros((), dtype=torch.long))
        self.random = RandomStream()
        self.slow: nn.Module | None = None

    @property
    def transformable(self) -> bool:
        """It has memories."""
        return False

    def prepare(self, network: nn.Module) -> None:
        """Create the slow copy."""
        self.slow = copy.deepcopy(network).requires_grad_(False)

    @torch.no_grad()
    def fill(self, target: Prediction) -> None:
        """Put the whole target, in a random order, into the bank, and at first random keys into the queue."""
        order = torch.randperm(len(target), generator=self.random.next())[: self.queue].to(target.features.device)
        self.bank.features = at_least_float32(target.features)[order].clone()
        self.bank.probabilities = at_least_float32(target.logits)[order].softmax(dim=1)
        self.get_buffer("bank_place").zero_()
        if not len(self.keys.get_buffer("items")):
            random, size = self.random.next(), len(order)
            keys = torch.randn(size, self.num_features, generator=random)
            self.keys.features = F.normalize(keys, dim=1).to(self.bank.get_buffer("features"))
            self.keys.labels = torch.randint(self.num_classes, (size,), generator=random).to(order)
            self.keys.items = torch.randint(len(target), (size,), generator=random).to(order)

    @torch.no_grad()
    def follow(self, context: Context) -> nn.Module:
        """Move the slow copy toward the network, and return it.

        Raises:
            RuntimeError: :meth:`prepare` was not called.
        """
        if self.slow is None:
            raise RuntimeError(f"{type(self).__name__} has no slow copy yet; call prepare(network) before training")
        for own, weight in zip(self.slow.parameters(), context.model.parameters(), strict=True):
            own.lerp_(weight.to(own), 1 - self.smoothing)
        return self.slow

    @torch.no_grad()
    def neighborhood(self, features: Tensor) -> Tensor:
        """Return the mean predictions (M, C) of the nearest entries of the bank to features (M, D), by cosine.

        Raises:
            ValueError: the bank is empty.
        """
        bank = self.bank.get_buffer("features")
        if not len(bank):
            raise ValueError(f"{type(self).__name__} has an empty bank; call on_epoch with the whole target first")
        similarity = matmul(F.normalize(features, dim=1).to(bank), F.normalize(bank, dim=1).T)
        near = similarity.topk(min(self.neighbors, len(bank)), dim=1).indices
        return self.bank.get_buffer("probabilities")[near].mean(dim=1).to(features)

    @torch.no_grad()
    def update_bank(self, said: Prediction) -> None:
        """Put a batch in the place of the oldest entries."""
        size = len(self.bank.get_buffer("features"))
        rows = self._oldest(self.get_buffer("bank_place"), len(said), size)
        for name, value in (("features", said.features), ("probabilities", said.logits.softmax(dim=1))):
            held = self.bank.get_buffer(name)
            setattr(self.bank, name, held.index_copy(0, rows, value[-size:].to(held)))

    def contrast(self, target: Prediction, keys: Tensor, alike: Tensor) -> Tensor:
        """Return the cross-entropy of the strong view's features to the keys (M, D) of their items.

        Args:
            target: a batch with views.
            keys: normalized.
            alike: (M, K), which keys of the queue are left out.
        """
        queries = F.normalize(target.view("strong").features, dim=1)
        held = self.keys.get_buffer("features").detach().to(queries)
        others = matmul(queries, held.T).masked_fill(alike, -torch.inf)
        logits = torch.cat([(queries * keys.detach()).sum(dim=1, keepdim=True), others], dim=1) / self.temperature
        return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))

    @torch.no_grad()
    def keys_of(self, slow: nn.Module, target: Prediction) -> Tensor:
        """Return the normalized features (M, D) of the second strong view by the slow copy."""
        return F.normalize(slow(target.view("strong again").inputs).features, dim=1).to(target.features)

    @torch.no_grad()
    def said(self, slow: nn.Module, target: Prediction) -> Prediction:
        """Return what the slow copy says of the weak view."""
        found: Prediction = slow(target.view("weak").inputs)
        return found

    @torch.no_grad()
    def enqueue(self, keys: Tensor, labels: Tensor, target: Prediction) -> None:
        """Put the keys of a batch, with labels (M,), in the place of the oldest."""
        size = len(self.keys.get_buffer("items"))
        rows = self._oldest(self.get_buffer("key_place"), len(keys), size)
        items = required(self, target.indices, "target.indices")
        for name, value in (("features", keys), ("labels", labels), ("items", items)):
            held = self.keys.get_buffer(name)
            setattr(self.keys, name, held.index_copy(0, rows, value[-size:].to(held)))

    def _oldest(self, place: Tensor, count: int, size: int) -> Tensor:
        """Return the rows of the next ``count`` entries, at most ``size``, and move on."""
        rows = (place + torch.arange(min(count, size), device=place.device)) % size
        place.copy_((place + count) % size)
        return rows


def diversity_loss(logits: Tensor) -> Tensor:
    """Return the negative entropy of the mean prediction of logits (M, C)."""
    mean = logits.softmax(dim=1).mean(dim=0)
    return (mean * (mean + _EPS).log()).sum()
