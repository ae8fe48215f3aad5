"""Classifies many episodes of one set of features, with shared computations done once.

Gathering an episode's features costs more than most methods themselves: 35 x 1,280 numbers for five ways, one shot and
six queries. A method that depends only on inner products needs 35 x 35 of them, or 6 x 35 if each query is classified
on its own. They come from the products of the whole set, and the episode is expressed in as few coordinates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tlzoo.functional.isometry import joint_coordinates, split_coordinates
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.types import Sees

__all__ = ["EpisodeAnswers", "Episodes", "Items"]

_BYTES = 2**29
_NUMBERS = 2**19


class Episodes(Protocol):
    """The indices of episodes: :class:`tlzoo.data.episodes.EpisodeIndices` with a leading dimension."""

    @property
    def support(self) -> NDArray[np.int64]:
        """(E, S) indices into the set."""
        ...

    @property
    def support_labels(self) -> NDArray[np.int64]:
        """(E, S) in ``range(way)``."""
        ...

    @property
    def query(self) -> NDArray[np.int64]:
        """(E, Q) indices into the set."""
        ...


class EpisodeAnswers:
    """An episode classifier on one set of features.

    A rotation-invariant method can get episodes in their own coordinates, which equal the features up to a rotation and
    rounding. The sizes decide whether this is faster; ``coordinates`` overrides the decision.

    Args:
        method: the method, which has already seen its base set if it needs one.
        features: (N, D) features of the set that episodes are drawn from.
        coordinates: True for coordinates, False for features, None for the faster one.

    Raises:
        ValueError: ``coordinates`` is True, but the method is not rotation-invariant.

    >>> from tlzoo.data.episodes import EpisodeSampler
    >>> from tlzoo.methods.oneshot import ProtoNet
    >>> features = torch.arange(12.0)[:, None] // 4 * torch.ones(2)
    >>> sampler = EpisodeSampler(np.arange(12) // 4, way=3, shot=1, query=2, seed=0)
    >>> logits = EpisodeAnswers(ProtoNet(), features)(sampler.stack(0, 50), way=3)
    >>> bool((logits.argmax(dim=-1) == torch.from_numpy(sampler.stack(0, 50).query_labels)).all())
    True
    """

    def __init__(self, method: EpisodeClassifier, features: Tensor, *, coordinates: bool | None = None) -> None:
        if coordinates and not method.rotation_invariant:
            raise ValueError(
                f"{type(method).__name__} does not declare rotation_invariant; leave coordinates to None or False"
            )
        self.method, self.coordinates = method, coordinates
        with torch.no_grad():
            self.items = Items(method.transform(method.as_features(features)))

    def __call__(
        self, episodes: Episodes, *, way: int, on_progress: Callable[[float], None] = lambda _: None
    ) -> Tensor:
        """Return the query logits (E, Q, way) of E episodes, without gradient.

        Args:
            episodes: indices of their items in the features.
            way: number of classes per episode.
            on_progress: gets the progress.

        Raises:
            FloatingPointError: NaN or Inf in the features of an episode; the message names it.
        """
        self.items.check(episodes)
        jointly = Sees.TEST_INPUTS in self.method.sees
        support, query = episodes.support.shape[1], episodes.query.shape[1]
        dims = support + (query if jointly else 1)
        by_products = self.coordinates
        if by_products is None:
            by_products = self.method.rotation_invariant and self.items.worthwhile(
                len(episodes.support), support + query, dims
            )
        width = dims if by_products else self.items.features.shape[1]
        size = max(_NUMBERS // ((support + query) * width), 8)
        answers = []
        with torch.no_grad():
            for first in range(0, len(episodes.support), size):
                part = slice(first, first + size)
                rows = [torch.from_numpy(np.array(indices[part])) for indices in (episodes.support, episodes.query)]
                labels = torch.from_numpy(np.array(episodes.support_labels[part]))
                pair = self.items.in_coordinates(*rows, jointly=jointly) if by_products else self.items.rows(*rows)
                answers.append(self.method.classify(pair[0], labels.to(pair[0].device), pair[1], way=way))
                on_progress(min((first + size) / len(episodes.support), 1.0))
        return torch.cat(answers)


class Items:
    """A set of features (N, D) with the inner products of all pairs."""

    def __init__(self, features: Tensor) -> None:
        self.features = features
        self._products: Tensor | None = None
        self._bad = (~features.isfinite().all(dim=1)).cpu().numpy()

    @property
    def products(self) -> Tensor:
        """The inner products (N, N) of all pairs, computed on first use."""
        if self._products is None:
            self._products = _symmetric_products(self.features)
        return self._products

    def worthwhile(self, episodes: int, items: int, dims: int) -> bool:
        """Return whether product lookup is cheaper than gathering ``items`` features for each of ``episodes``.

        A product costs about a hundredth of gathering the same number of values.
        """
        count, width = self.features.shape
        if dims >= width or count**2 * self.features.element_size() > _BYTES:
            return False
        return self._products is not None or count**2 <= 100 * episodes * items

    def check(self, episodes: Episodes) -> None:
        """Check that no episode has NaN or Inf.

        Raises:
            FloatingPointError: an episode does; the message names it.
        """
        if self._bad.any():
            hit = np.concatenate([self._bad[episodes.support], self._bad[episodes.query]], axis=1).any(axis=1)
            if hit.any():
                first = int(hit.argmax())
                items = np.concatenate([episodes.support[first], episodes.query[first]])
                raise FloatingPointError(
                    f"NaN or Inf in episode {first}: item {int(items[self._bad[items]][0])} of the transformed "
                    f"features; {int(hit.sum())} of {hit.size} episodes have such an item. Drop or fix it"
                )

    def rows(self, support: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features (E, S, D) and (E, Q, D) at indices (E, S) and (E, Q)."""
        return self.features[support], self.features[query]

    def in_coordinates(self, support: Tensor, query: Tensor, *, jointly: bool) -> tuple[Tensor, Tensor]:
        """Return support and query in coordinates; ``jointly`` also keeps the products between queries."""
        flat, count = self.products.view(-1), len(self.features)

        def at(places: Tensor) -> Tensor:
            return flat.index_select(0, places.flatten()).view(places.shape)  # a tenth of the time of flat[places]

        def between(rows: Tensor, columns: Tensor) -> Tensor:
            return at(rows.unsqueeze(2) * count + columns.unsqueeze(1))

        if jointly:
            items = torch.cat([support, query], dim=1)
            points = joint_coordinates(between(items, items))
            return points[:, : support.shape[1]], points[:, support.shape[1] :]
        return split_coordinates(between(support, support), between(query, support), at(query * (count + 1)))


def _symmetric_products(features: Tensor, *, size: int = 256) -> Tensor:
    """Return features @ features.T, with the product of each pair computed once."""
    count = len(features)
    products = features.new_empty(count, count)
    for first in range(0, count, size):
        last = min(first + size, count)
        products[first:last, :last] = features[first:last] @ features[:last].T
        products[:first, first:last] = products[first:last, :first].T
    return products
