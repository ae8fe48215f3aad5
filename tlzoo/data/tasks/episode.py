"""One-shot and few-shot learning."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar, Literal

from tlzoo.data.episodes import EpisodeSampler
from tlzoo.data.sets import ExampleSet
from tlzoo.data.tasks.base import Task, close, restricted
from tlzoo.types import Sees

__all__ = ["EpisodeTask", "EpisodeView"]


@dataclass(frozen=True, kw_only=True, eq=False)
class EpisodeView:
    """What an episode classifier is given beside its support sets."""

    base: ExampleSet


@dataclass(frozen=True, kw_only=True, eq=False)
class EpisodeTask(Task):
    """One-shot and few-shot: classes split into base, validation and novel; episodes come from novel.

    ``cross_domain`` episodes take a class's support from one domain (``ExampleSet.domains``), drawn for each class,
    and its queries from all others.
    """

    kind: ClassVar[str] = "episode"
    base: ExampleSet
    validation: ExampleSet
    novel: ExampleSet
    cross_domain: bool = False
    way: int = 5
    shot: int = 1
    query: int = 6

    def view(self, sees: Collection[Sees], *, by: str) -> EpisodeView:
        """Return the base set as ``by``, a method that declares ``sees``, may see it."""
        whole = EpisodeView(base=restricted(self.base, by=by, labels=Sees.SOURCE_LABELS in sees))
        return close(whole, {"base": Sees.SOURCE_INPUTS}, sees, by=by)

    def episodes(
        self,
        split: Literal["base", "validation", "novel"] = "novel",
        *,
        seed: int,
        dirichlet: float | None = None,
        **shape: int,
    ) -> EpisodeSampler:
        """Return the sampler of episodes from one split.

        Args:
            split: which classes.
            seed: an episode depends on (seed, step) alone.
            dirichlet: concentration of the classes' shares of the queries; None for balanced ones.
            shape: ``way``, ``shot`` or ``query`` other than the task's.

        Raises:
            ValueError: the split has no labels, or too few classes with enough examples.
        """
        examples: ExampleSet = getattr(self, split)
        if examples.labels is None:
            raise ValueError(f"{split} of {self.name} has no labels; episodes are drawn by class")
        shape = {"way": self.way, "shot": self.shot, "query": self.query, **shape}
        domains = examples.domains if self.cross_domain else None
        return EpisodeSampler(examples.labels, seed=seed, domains=domains, dirichlet=dirichlet, **shape)
