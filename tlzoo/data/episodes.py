"""Episodes that depend only on seed and step, and fixed lists of them for comparisons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tlzoo.data.example_set import content_hash
from tlzoo.errors import InputError
from tlzoo.randomness import Stream, numpy_generator

__all__ = ["EpisodeIndices", "EpisodeList", "EpisodeSampler"]

Indices = NDArray[np.int64]
_BLOCK = 64


class EpisodeIndices(NamedTuple):
    """The indices of the examples of one episode, or of E episodes with a leading dimension.

    Attributes:
        support: (..., S) indices into the example set, class by class, S = way * shot.
        support_labels: (..., S) in ``range(way)``.
        query: (..., Q) indices into the example set, in random order, Q = way * query.
        query_labels: (..., Q) in ``range(way)``.
    """

    support: Indices
    support_labels: Indices
    query: Indices
    query_labels: Indices


@dataclass(frozen=True, kw_only=True, eq=False)
class EpisodeList:
    """A fixed list of episodes; methods on lists with the same hash can be compared in pairs.

    Attributes:
        episodes: index arrays with a leading dimension E, read-only.
        way: number of classes per episode.
        shot: support examples per class.
        query: query examples per class; 1 where classes have different numbers.
    """

    episodes: EpisodeIndices
    way: int
    shot: int
    query: int

    def __post_init__(self) -> None:
        for array in self.episodes:
            array.setflags(write=False)

    def __len__(self) -> int:
        return len(self.episodes.support)

    def __getitem__(self, place: int | slice) -> EpisodeIndices:
        return EpisodeIndices(*(array[place] for array in self.episodes))

    def with_shot(self, shot: int) -> EpisodeList:
        """Return the same episodes with the first ``shot`` support examples of each class.

        Raises:
            ValueError: ``shot`` is below 1 or more than there are.
        """
        if not 1 <= shot <= self.shot:
            raise InputError(f"{shot} shots of episodes with {self.shot}; expected 1 to {self.shot}")
        if shot == self.shot:
            return self

        def first(column: Indices) -> Indices:
            return column.reshape(len(self), self.way, self.shot)[:, :, :shot].reshape(len(self), -1)

        support, labels, query, query_labels = self.episodes
        episodes = EpisodeIndices(first(support), first(labels), query, query_labels)
        return EpisodeList(episodes=episodes, way=self.way, shot=shot, query=self.query)

    @property
    def hash(self) -> str:
        """The identity of the list."""
        return content_hash(self.way, self.shot, self.query, *self.episodes)


class EpisodeSampler:
    """Draws classes, then the support and queries of each, without replacement within an episode.

    Args:
        labels: (N,) classes of the set that episodes are drawn from.
        way: number of classes per episode.
        shot: support examples per class.
        query: query examples per class; their mean if ``dirichlet`` is given.
        seed: an episode depends only on seed, stream and step.
        stream: stream of random numbers: that of training, or that of the fixed test lists.
        domains: (N,) for cross-domain episodes: the support of a class comes from one random domain, its queries from
            all others. The domain differs between classes, so that style does not give a class away.
        dirichlet: None for the same number of queries per class. A number > 0 for unbalanced queries: class proportions
            are drawn from a symmetric Dirichlet distribution with this concentration (2 in Veilleux et al., NeurIPS
            2021), and way * query queries by these proportions, as far as a class has examples; a class may have none.
        superclasses: (N,) for hard episodes: all classes of an episode come from one superclass, with equal probability
            for each superclass that has ``way`` classes. A class belongs to the superclass of its first example.

    Raises:
        ValueError: too few classes (of one superclass) have enough examples, or ``dirichlet`` is set although ``query``
            takes all examples of every class.

    >>> sampler = EpisodeSampler(np.repeat(np.arange(6), 4), way=5, shot=1, query=3, seed=0)
    >>> sampler(0).support.shape, sampler(0).query.shape
    ((5,), (15,))
    """

    def __init__(
        self,
        labels: Indices,
        *,
        way: int,
        shot: int,
        query: int,
        seed: int,
        stream: Stream = Stream.EPISODES,
        domains: Indices | None = None,
        dirichlet: float | None = None,
        superclasses: NDArray[Any] | None = None,
    ) -> None:
        if way < 2 or shot < 1 or query < 1:
            raise InputError(f"way {way}, shot {shot}, query {query}; expected at least 2, 1 and 1")
        for what, column in (("domains", domains), ("superclasses", superclasses)):
            if column is not None and len(column) != len(labels):
                raise InputError(f"{len(column)} {what} for {len(labels)} labels; expected one each")
        if dirichlet is not None and dirichlet <= 0:
            raise InputError(f"dirichlet {dirichlet}; expected a number > 0, or None for balanced queries")
        self.way, self.shot, self.query, self.seed, self.dirichlet = way, shot, query, seed, dirichlet
        self.stream = stream
        self._members, self._filled = _by_class(labels)
        self._domains = None if domains is None else np.where(self._filled, domains[self._members], -1)
        self._domain_names = np.empty(0, dtype=np.int64) if domains is None else np.unique(domains)
        self._usable = self._usable_domains()
        self._eligible = self._eligible_classes()
        self._pools = None if superclasses is None else self._pools_of(superclasses[self._members[:, 0]])
        self._last: tuple[int, EpisodeIndices] | None = None

    def __call__(self, step: int) -> EpisodeIndices:
        """Return the episode of one step."""
        block, place = divmod(step, _BLOCK)
        return EpisodeIndices(*(array[place] for array in self._block(block)))

    def stack(self, first: int, count: int) -> EpisodeIndices:
        """Return ``count`` episodes from step ``first`` on, as arrays with a leading dimension."""
        if count < 1:
            raise InputError(f"{count} episodes; expected at least one")
        blocks = range(first // _BLOCK, (first + count - 1) // _BLOCK + 1)
        skipped = first - blocks[0] * _BLOCK
        drawn = zip(*(self._block(block) for block in blocks), strict=True)
        return EpisodeIndices(*(np.concatenate(arrays)[skipped : skipped + count] for arrays in drawn))

    def freeze(self, count: int) -> EpisodeList:
        """Return the first ``count`` episodes as a list with a hash."""
        return EpisodeList(episodes=self.stack(0, count), way=self.way, shot=self.shot, query=self.query)

    def _block(self, number: int) -> EpisodeIndices:
        """Draw the episodes from ``number * _BLOCK`` on, many at once, because a single draw is mostly overhead."""
        if self._last is None or self._last[0] != number:
            random = numpy_generator(self.seed, self.stream, number)
            rows = self._classes(random)
            support, candidates = self._split(rows, random)
            members = self._members[rows]
            query, query_labels = self._queries(members, candidates, random)
            order = np.argsort(random.random(query.shape), axis=1)
            drawn = EpisodeIndices(
                np.take_along_axis(members, support, axis=2).reshape(_BLOCK, -1),
                np.tile(np.arange(self.way).repeat(self.shot), (_BLOCK, 1)),
                np.take_along_axis(query, order, axis=1),
                np.take_along_axis(query_labels, order, axis=1),
            )
            self._last = number, drawn
        return self._last[1]

    def _classes(self, random: np.random.Generator) -> Indices:
        """Draw the rows (_BLOCK, way) of each episode's classes."""
        keys = random.random((_BLOCK, len(self._eligible)))
        if self._pools is not None:
            pools = self._pools[random.integers(len(self._pools), size=_BLOCK)]
            keys = np.where(pools, keys, np.inf)
        return self._eligible[_smallest(keys, self.way)]

    def _split(self, rows: Indices, random: np.random.Generator) -> tuple[Indices, NDArray[np.bool_]]:
        """Return indices (_BLOCK, way, shot) of the support among each class's members, and which may be queries."""
        candidates = self._filled[rows]
        if self._domains is None:
            support = _smallest(np.where(candidates, random.random(candidates.shape), np.inf), self.shot)
            np.put_along_axis(candidates, support, values=False, axis=2)
            return support, candidates
        usable = self._usable[rows]
        domain = np.where(usable, random.random(usable.shape), np.inf).argmin(axis=2)
        inside = self._domains[rows] == self._domain_names[domain][:, :, None]
        support = _smallest(np.where(inside, random.random(inside.shape), np.inf), self.shot)
        return support, candidates & ~inside

    def _queries(
        self, members: Indices, candidates: NDArray[np.bool_], random: np.random.Generator
    ) -> tuple[Indices, Indices]:
        """Draw queries and their labels, both (_BLOCK, way * query), among the candidates of each class."""
        keys = random.exponential(size=candidates.shape)
        if self.dirichlet is None:
            places = _smallest(np.where(candidates, keys, np.inf), self.query)
            drawn = np.take_along_axis(members, places, axis=2).reshape(_BLOCK, -1)
            return drawn, np.tile(np.arange(self.way).repeat(self.query), (_BLOCK, 1))
        shares = random.dirichlet(np.full(self.way, self.dirichlet), size=_BLOCK)[:, :, None].clip(1e-12)
        # the smallest of exponential variables over weights: a weighted draw without replacement
        keys = np.where(candidates, keys * candidates.sum(axis=2, keepdims=True) / shares, np.inf)
        places = _smallest(keys.reshape(_BLOCK, -1), self.way * self.query)
        return np.take_along_axis(members.reshape(_BLOCK, -1), places, axis=1), places // members.shape[2]

    def _usable_domains(self) -> NDArray[np.bool_]:
        """Return (C, domains) which domains can provide a class's support; one column if domains do not matter."""
        counts: Indices = self._filled.sum(axis=1, keepdims=True)
        support, left = counts, counts - self.shot
        if self._domains is not None:
            support = np.stack([(self._domains == domain).sum(axis=1) for domain in self._domain_names], axis=1)
            left = counts - support
        usable: NDArray[np.bool_] = (support >= self.shot) & (left >= self.query)
        if self.dirichlet is not None and usable.any() and left[usable].max() <= self.query:
            raise InputError(
                f"dirichlet {self.dirichlet} has no effect: a class has {self.query} examples for queries at most, and "
                f"query {self.query} asks for all of them; lower query"
            )
        return usable

    def _eligible_classes(self) -> Indices:
        """Return the rows of classes with enough examples."""
        eligible = np.flatnonzero(self._usable.any(axis=1))
        if len(eligible) < self.way:
            wanted = f"{self.shot} + {self.query} examples"
            if self._domains is not None:
                wanted = f"{self.shot} examples in one domain and {self.query} in the others"
            raise InputError(
                f"{self.way}-way episodes need {self.way} classes with {wanted}; "
                f"{len(eligible)} of {len(self._members)} classes have them; lower way, shot or query"
            )
        return eligible

    def _pools_of(self, superclasses: NDArray[Any]) -> NDArray[np.bool_]:
        """Return (pools, eligible): which eligible classes belong to each superclass that has enough of them.

        Args:
            superclasses: (C,) superclass of every class.
        """
        names, numbers = np.unique(superclasses[self._eligible], return_inverse=True)
        counts = np.bincount(numbers)
        large = np.flatnonzero(counts >= self.way)
        if not len(large):
            most = names[counts.argmax()]
            raise InputError(
                f"{self.way}-way episodes within a superclass need {self.way} of its classes; the largest, {most}, has "
                f"{counts.max()} with enough examples; lower way, shot or query"
            )
        pools: NDArray[np.bool_] = numbers == large[:, None]
        return pools


def _by_class(labels: Indices) -> tuple[Indices, NDArray[np.bool_]]:
    """Return the members (C, most) of each class, padded with 0, and where they are real."""
    _, numbers, counts = np.unique(labels, return_inverse=True, return_counts=True)
    filled = np.arange(counts.max(initial=0)) < counts[:, None]
    members = np.zeros(filled.shape, dtype=np.int64)
    members[filled] = np.argsort(numbers, kind="stable")
    return members, filled


def _smallest(keys: NDArray[np.float64], count: int) -> Indices:
    """Return the indices of the ``count`` smallest along the last axis, in order."""
    if count < keys.shape[-1]:
        places = np.argpartition(keys, count - 1, axis=-1)[..., :count]
        order = np.argsort(np.take_along_axis(keys, places, axis=-1), axis=-1)
        return np.take_along_axis(places, order, axis=-1)
    return np.argsort(keys, axis=-1)
