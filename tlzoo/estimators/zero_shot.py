"""Zero-shot classification with ``fit`` and ``predict``."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from torch import nn

from tlzoo.data import ZeroShotTask
from tlzoo.estimators.base import TransferEstimator, class_names, classes_of, seeded
from tlzoo.lit import ZeroShot, ZeroShotData
from tlzoo.methods.base import Method
from tlzoo.methods.text_compatibility import TextCompatibility
from tlzoo.registry import method_class
from tlzoo.types import Modality, Sees

__all__ = ["ZeroShotClassifier"]


class _Untested(ZeroShotTask):
    """A task to train on, without a test."""

    _may_be_empty = frozenset({"test"})


class ZeroShotClassifier(ClassifierMixin, TransferEstimator):  # type: ignore[misc]
    """Learns from classes with examples, and predicts classes without any, by vectors or texts that describe them.

    Args:
        method: a name of the registry, or a compatibility.
        class_embeddings: a vector for each class, seen or not: a mapping from class to vector, or a table with the
            classes as index. ``"one-hot"`` makes each class of ``y`` its own attribute: nothing is then said about
            other classes, and the method is an ordinary classifier.
        descriptions: in their place a mapping from class to text, which ``text_encoder`` turns into a vector.
        text_encoder: the name of a text backbone.
        candidates: the classes to choose among: ``"all"`` that are described, those that are ``"unseen"``, or a list.
        features: the name of a frozen backbone that turns images or texts into features.
        method_settings: settings of a method given by name.
        steps: number of training steps, for methods that are not solved in closed form.
        batch_size: examples per step.
        optimizer: settings, see :class:`~tlzoo.lit.OptimizerSettings`.
        trainer: settings of Lightning's Trainer, such as ``{"accelerator": "gpu"}``.
        random_state: None, a seed or a ``RandomState``.

    Attributes:
        classes_: (C,) the candidates.
        module_: the :class:`~tlzoo.lit.ZeroShot`, with ``save`` and ``export``.

    >>> embeddings = {"red": [1, 0], "blue": [0, 1], "purple": [1, 1]}
    >>> X = np.repeat(np.eye(2), 5, axis=0)
    >>> y = ["red"] * 5 + ["blue"] * 5
    >>> model = ZeroShotClassifier("eszsl", embeddings, method_settings={"normalize": False}).fit(X, y)
    >>> model.predict([[1.0, 1.0]]).tolist()  # a class without examples
    ['purple']
    """

    def __init__(
        self,
        method: str | Method = "eszsl",
        class_embeddings: Any = None,
        *,
        descriptions: Mapping[Any, str] | None = None,
        text_encoder: str = "sentence:minilm",
        candidates: Any = "all",
        features: str | None = None,
        method_settings: Mapping[str, Any] | None = None,
        steps: int = 400,
        batch_size: int = 256,
        optimizer: Mapping[str, Any] | None = None,
        trainer: Mapping[str, Any] | None = None,
        random_state: Any = None,
    ) -> None:
        self.method = method
        self.class_embeddings = class_embeddings
        self.descriptions = descriptions
        self.text_encoder = text_encoder
        self.candidates = candidates
        self.features = features
        self.method_settings = method_settings
        self.steps = steps
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.trainer = trainer
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from examples of seen classes.

        Args:
            X: (N, D), an array or a table; with ``features`` also texts or uint8 pictures (N, H, W, C).
            y: (N,) classes, as names or numbers.

        Raises:
            ValueError: nothing describes the classes, a class of ``y`` or a candidate is not described, or classes
                are described alike.
            TypeError: ``class_embeddings`` is of another kind.
        """
        items, labels = self._labelled(X, y)
        seen, places = classes_of(labels)
        known, embeddings, texts = self._described(seen)
        if missing := [name for name in seen.tolist() if name not in known]:
            raise ValueError(f"class {missing[0]!r} of y has no description; those described are {_listed(known)}")
        numbers = np.array([known.index(name) for name in seen.tolist()])
        seed, reads = self._seed(), self._reads()
        if reads and embeddings is None:
            embeddings = np.eye(len(known), dtype=np.float32)  # which the method does not look at
        with seeded(seed):
            examples = self._examples(items, numbers[places])
            task = _Untested(
                name="arrays",
                class_names=class_names(known),
                descriptions=texts,
                embeddings=embeddings,
                seen=np.sort(numbers),
                held_out=np.empty(0, dtype=np.int64),
                unseen=np.setdiff1d(np.arange(len(known)), numbers),
                train=examples,
                test=examples.subset(np.empty(0, dtype=np.int64)),
            )
            data = ZeroShotData(
                task, features=self.features, descriptions=self.text_encoder, batch_size=self.batch_size, seed=seed
            )
            module = ZeroShot.for_data(
                data,
                copy.deepcopy(self.method),
                backbone=nn.Identity() if reads else None,
                backbone_settings={"num_features": 1} if reads else None,
                optimizer=self.optimizer,
                method_settings=self.method_settings,
            )
            if Sees.SOURCE_INPUTS in module.method.sees:
                limits = {"max_steps": self.steps} if module.trained else {"max_steps": -1, "max_epochs": 1}
                self._trained(module, data, steps=self.steps, trainer={**limits, **(self.trainer or {})})
            chosen = self._candidates(known, seen)
            self.classes_ = np.array([known[place] for place in chosen])
            shown = [texts[place] for place in chosen] if reads else torch.from_numpy(data.embeddings[chosen])
            module.bind(shown, seen=torch.from_numpy(np.isin(chosen, numbers)), names=class_names(self.classes_))
            self._kept(module)
            module._scorer = None  # it was bound in the precision of the training
        return self

    def _reads(self) -> bool:
        """Whether the method takes texts themselves."""
        kind = type(self.method) if isinstance(self.method, Method) else method_class(self.method)
        return issubclass(kind, TextCompatibility)

    def _raw_modality(self, X: Any) -> Modality | None:
        return "text" if self._reads() else super()._raw_modality(X)

    def _described(self, seen: NDArray[Any]) -> tuple[list[Any], NDArray[np.float32] | None, tuple[str, ...]]:
        """Return the classes that are described, their embeddings if they are given, and a text each."""
        given = self.class_embeddings
        if isinstance(given, str) and given == "one-hot":
            return list(seen.tolist()), np.eye(len(seen), dtype=np.float32), class_names(seen)
        if (given is None) == (self.descriptions is None):
            raise ValueError(
                'nothing or too much describes the classes; give class_embeddings={class: vector}, or "one-hot", or '
                "descriptions={class: text}"
            )
        if given is None:
            assert self.descriptions is not None
            return (
                _ordered(self.descriptions),
                None,
                tuple(str(self.descriptions[k]) for k in _ordered(self.descriptions)),
            )
        if hasattr(given, "loc"):  # a table with classes as its index
            given = {name: given.loc[name].to_numpy() for name in given.index}
        if not isinstance(given, Mapping):
            raise TypeError(
                f"class_embeddings is a {type(given).__name__}; expected a mapping from class to vector, a table with "
                'classes as its index, or "one-hot"'
            )
        known = _ordered(given)
        rows = [np.asarray(given[name], dtype=np.float32).ravel() for name in known]
        if len({len(row) for row in rows}) != 1:
            raise ValueError(f"class_embeddings have {sorted({len(row) for row in rows})} numbers; expected one width")
        return known, np.stack(rows), class_names(known)

    def _candidates(self, known: list[Any], seen: NDArray[Any]) -> NDArray[np.int64]:
        chosen: Any = self.candidates
        if isinstance(chosen, str) and chosen in ("all", "unseen"):
            chosen = known if chosen == "all" else [name for name in known if name not in seen]
        if isinstance(self.candidates, str) and not len(chosen):
            raise ValueError("candidates='unseen': every described class occurs in y; describe others, or use 'all'")
        if not len(chosen) or (unknown := [name for name in chosen if name not in known]):
            lacking = f"{unknown[0]!r} is not described" if len(chosen) else "there is none"
            raise ValueError(f"candidates: {lacking}; those described are {_listed(known)}")
        return np.array(sorted(known.index(name) for name in chosen))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the classes (N,)."""
        places = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[places])

    def predict_proba(self, X: Any) -> NDArray[np.floating[Any]]:
        """Return the softmax (N, C) of the scores of the candidates, which few methods calibrate."""
        with self._answering() as module:
            found: NDArray[np.floating[Any]] = module.predict(self._items(X, reset=False)).probabilities
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = self.random_state is None
        return tags


def _ordered(described: Mapping[Any, Any]) -> list[Any]:
    """Return the classes in ascending order, as scikit-learn has them."""
    return list(np.unique(np.asarray(list(described))).tolist())


def _listed(known: list[Any]) -> str:
    more = f" and {len(known) - 6} more" if len(known) > 6 else ""
    return ", ".join(str(name) for name in known[:6]) + more
