"""Classifiers of episodes whose classes also have texts, in one space with the features of pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, final

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.checks import check_positive
from tlzoo.functional.precision import full_precision, working_dtype
from tlzoo.methods.base import Method
from tlzoo.methods.checks import as_tensor, check_output
from tlzoo.methods.episode_checks import take_episodes
from tlzoo.types import Sees

__all__ = ["ImageTextClassifier"]


class ImageTextClassifier(Method):
    """Classifies queries from a few labelled features and one text embedding a class; both lie in one space.

    The space is that of CLIP and its kin, or of any two encoders that
    :func:`tlzoo.functional.aligned_space` has joined. Features and embeddings are normalized to length 1 before a
    method sees them. The first ``way`` classes have labelled features, the others a text alone: this is how
    base-to-new generalization is measured.

    Users call the method, which has no state: all that it learns, it learns from the episode. A method implements
    :meth:`answer`.

    Args:
        scale: tau, the factor of cosines; CLIP's is 100.
    """

    sees = frozenset({Sees.TARGET_INPUTS, Sees.TARGET_LABELS, Sees.CLASS_DESCRIPTIONS})
    implements: ClassVar[str] = "answer(support, labels, query, texts, way=...)"

    def __init__(self, *, scale: float = 100.0) -> None:
        super().__init__()
        check_positive(scale=scale)
        self.scale = scale

    @final  # type: ignore[misc]  # torch declares forward a variable, which mypy never takes as final
    def forward(self, support: Any, support_labels: Any, query: Any, class_embeddings: Any, *, way: int) -> Tensor:
        """Return the logits (E, Q, C) of E episodes of one shape, or (Q, C) for a single episode without E.

        Args:
            support: features (E, S, D), or (S, D).
            support_labels: (E, S) or (S,) in ``range(way)``, with every class present.
            query: features (E, Q, D) or (Q, D).
            class_embeddings: embeddings of the classes' texts (E, C, D), or (C, D) for a single episode; those of the
                supported classes first.
            way: number of classes with support, at most C.

        Raises:
            ValueError: the shapes do not fit, a label is out of range, or a class has no support.
            FloatingPointError: NaN or Inf in the logits; the message names the episode. Checked on the CPU only.
        """
        name = type(self).__name__
        episodes = take_episodes(self, support, support_labels, query, way=way, item="D")
        texts = as_tensor(class_embeddings, what=f"{name}: class_embeddings").to(episodes.support.device)
        texts = texts.unsqueeze(0) if episodes.alone and texts.ndim == 2 else texts
        expected = (len(episodes.support), episodes.support.shape[-1])
        if texts.ndim != 3 or (texts.shape[0], texts.shape[2]) != expected or texts.shape[1] < way:
            raise ValueError(
                f"{name}: class_embeddings of shape {tuple(texts.shape)}; expected ({expected[0]}, C, {expected[1]}), "
                f"one embedding for each of the {way} classes or more, as wide as the features"
            )
        dtype = working_dtype(self.parameters(), episodes.support, episodes.query, texts)
        given = [part.to(dtype) for part in (episodes.support, episodes.query, texts)]
        with full_precision(given[0]):
            unit = [F.normalize(part, dim=-1) for part in given]
            logits = self.answer(unit[0], episodes.labels, unit[1], unit[2], way=way)
        inputs: dict[str, Tensor | None] = {"support": given[0], "query": given[1], "class embeddings": given[2]}
        check_output(self, logits, inputs, what="the logits", unit="episode")
        return logits[0] if episodes.alone else logits

    if TYPE_CHECKING:
        __call__ = forward

    def answer(self, support: Tensor, labels: Tensor, query: Tensor, texts: Tensor, *, way: int) -> Tensor:
        """Map support (E, S, D), labels (E, S), query (E, Q, D) and texts (E, C, D) of length 1 to logits (E, Q, C)."""
        raise NotImplementedError(f"{type(self).__name__} implements no {self.implements}")

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean cross-entropy of logits (E, Q, C) and labels (E, Q)."""
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten())

    def text_logits(self, query: Tensor, texts: Tensor) -> Tensor:
        """Return the zero-shot logits (E, Q, C)."""
        return self.scale * query @ texts.mT


def one_hot(labels: Tensor, classes: int, like: Tensor) -> Tensor:
    """Return labels (E, S) as (E, S, C) in the dtype of ``like``."""
    return F.one_hot(labels, classes).to(like)


def class_means(features: Tensor, targets: Tensor) -> Tensor:
    """Return the means (E, C, D) of features (E, S, D) by one-hot targets (E, S, C); zero for classes without any."""
    counts = targets.sum(dim=1).clamp_min(1).unsqueeze(-1)
    return targets.mT @ features / counts


def with_texts(ours: Tensor, texts: Tensor) -> Tensor:
    """Return weights (E, way, D) of the supported classes, followed by the texts of the others: (E, C, D)."""
    return torch.cat([ours, texts[:, ours.shape[1] :]], dim=1)
