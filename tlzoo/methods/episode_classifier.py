"""Episode classifiers: from the features of a support set to the logits of queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.precision import full_precision, working_dtype
from tlzoo.labels import class_labels
from tlzoo.methods.base import Method
from tlzoo.methods.checks import as_tensor, check_matrix, check_output, check_width
from tlzoo.methods.episode_checks import Episodes, take_episodes
from tlzoo.types import Sees

__all__ = ["EpisodeClassifier"]


class EpisodeClassifier(Method):
    """Classifies queries from features; users call the method, and a method implements :meth:`answer`.

    A method consists of a transform of each feature (:meth:`transform`) and of a classifier of episodes of transformed
    features (:meth:`answer`). They are separate because a data set is transformed once, but has many episodes.

    Features are tensors or NumPy arrays of any float dtype, labels integers of any dtype. A method with weights works
    in their dtype, the others in that of the features, at least float32; autocast does not reach inside.

    Attributes:
        num_features: D; None if any width will do.
        rotation_invariant: whether ``answer`` depends only on inner products of features, so that an episode may come
            in any coordinates that keep them. An episode of n items spans at most n dimensions, see
            :class:`tlzoo.methods.episode_answers.EpisodeAnswers`.
    """

    sees = frozenset({Sees.TARGET_INPUTS, Sees.TARGET_LABELS})
    implements: ClassVar[str] = "answer(support, support_labels, query, way=...)"
    num_features: int | None = None
    rotation_invariant: ClassVar[bool] = False

    @final  # type: ignore[misc]  # torch declares forward a variable, which mypy never takes as final
    def forward(self, support: Any, support_labels: Any, query: Any, *, way: int) -> Tensor:
        """Return the logits (E, Q, way) of E episodes of one shape, or (Q, way) for a single episode without E.

        Args:
            support: features (E, S, D), or (S, D).
            support_labels: (E, S) or (S,) in ``range(way)``, with every class present.
            query: features (E, Q, D) or (Q, D).
            way: number of classes per episode.

        Raises:
            ValueError: the shapes do not fit, a label is out of range, or a class has no support.
            FloatingPointError: NaN or Inf in the logits; the message names the episode. Checked on the CPU only.
        """
        episodes = self._taken(support, support_labels, query, way)
        check_width(self, episodes.support, "features", num_features=self.num_features)
        with full_precision(episodes.support):
            support, query = self.transform(episodes.support), self.transform(episodes.query)
            logits = self.answer(support, episodes.labels, query, way=way)
        return self._checked(logits, episodes, way)

    if TYPE_CHECKING:
        __call__ = forward

    @final
    def classify(self, support: Any, support_labels: Any, query: Any, *, way: int) -> Tensor:
        """Do the same as ``forward`` from features already mapped by :meth:`transform`; the errors are the same."""
        episodes = self._taken(support, support_labels, query, way)
        with full_precision(episodes.support):
            logits = self.answer(episodes.support, episodes.labels, episodes.query, way=way)
        return self._checked(logits, episodes, way)

    @final
    def fit_base(self, features: Any, labels: Any = None) -> Self:
        """Learn from the base set, once before the first episode; a method that does not see it ignores it.

        Args:
            features: (N, D).
            labels: (N,) integers; needed by methods that declare ``SOURCE_LABELS``, withheld from the others.

        Raises:
            ValueError: the features are not a matrix, or labels are missing or do not fit.
            FloatingPointError: NaN or Inf in the features; the message names the row.
        """
        features = self.as_features(features)
        check_matrix(self, features, "base features", "(N, D)", num_features=self.num_features)
        if Sees.SOURCE_LABELS not in self.sees:
            labels = None
        elif labels is None:
            raise ValueError(
                f"{type(self).__name__} learns from labels of the base set; call fit_base(features, labels)"
            )
        else:
            what = f"{type(self).__name__}: base labels"
            labels = class_labels(labels, size=len(features), complete=True, what=what).to(features.device)
        # a test may begin in inference mode, and what is learned answers in steps with gradients later
        with torch.inference_mode(False), full_precision(features):
            self.learn_base(features, labels)
        return self

    @final
    def as_features(self, features: Any) -> Tensor:
        """Return features as a tensor in the method's working dtype.

        Raises:
            ValueError: they are not numbers.
        """
        values = as_tensor(features, what="features")
        return values.to(working_dtype(self.parameters(), values))

    def transform(self, features: Tensor) -> Tensor:
        """Map each of the features (..., D) to one for :meth:`answer`."""
        return features

    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map transformed support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way)."""
        raise NotImplementedError(f"{type(self).__name__} implements no {self.implements}")

    def learn_base(self, features: Tensor, labels: Tensor | None) -> None:
        """Learn from the base set: features (N, D) and labels (N,), which are None unless the method declares them."""

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the scalar loss of episodic training, from logits (E, Q, way) and labels (E, Q)."""
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten())

    def _taken(self, support: Any, support_labels: Any, query: Any, way: int) -> Episodes:
        episodes = take_episodes(self, support, support_labels, query, way=way, item="D")
        dtype = working_dtype(self.parameters(), episodes.support, episodes.query)
        return episodes._replace(support=episodes.support.to(dtype), query=episodes.query.to(dtype))

    def _checked(self, logits: Tensor, episodes: Episodes, way: int) -> Tensor:
        inputs: dict[str, Tensor | None] = {"support": episodes.support, "query": episodes.query}
        check_output(self, logits, inputs, what="the logits", unit="episode")
        expected = (*episodes.query.shape[:2], way)
        if logits.shape != expected:
            raise ValueError(f"{type(self).__name__} answered with shape {tuple(logits.shape)}; expected {expected}")
        return logits[0] if episodes.alone else logits
