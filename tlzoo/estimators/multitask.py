"""Multitask learning with ``fit`` and ``predict``."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_consistent_length
from torch import nn

from tlzoo.data import MultitaskTask, Target
from tlzoo.estimators.base import TransferEstimator, numbers, seeded
from tlzoo.labels import MISSING
from tlzoo.lit import Multitask, MultitaskData, Predictions
from tlzoo.methods.base import Method

__all__ = ["MultitaskModel"]


@dataclass(frozen=True)
class _Column:
    """What a target was in the fit: its classes, or mean and deviation of its values."""

    kind: str
    classes: NDArray[Any]
    mean: float = 0.0
    deviation: float = 1.0

    def encoded(self, column: Any) -> NDArray[Any]:
        """Return labels as the module takes them: indices with -1, or standardized values with NaN."""
        if self.kind == "value":
            return (numbers(column, what="y").astype(np.float64) - self.mean) / self.deviation
        known = {name: place for place, name in enumerate(self.classes.tolist())}
        return np.array([MISSING if _is_missing(name) else known[name] for name in np.asarray(column).tolist()])

    def decoded(self, said: Predictions | NDArray[Any]) -> NDArray[Any]:
        """Return classes or values of the module's answers."""
        if isinstance(said, Predictions):
            return np.asarray(self.classes[said.labels])
        return np.asarray(said, dtype=np.float64) * self.deviation + self.mean


class MultitaskModel(TransferEstimator):
    """Learns several targets of the same inputs with one network; labels may be missing (NaN, None).

    Args:
        method: a weighting of the tasks: a name of the registry, or a method.
        backbone: the shared network: a name for :func:`tlzoo.create_backbone`, or any module. None for features, on
            which a layer of ``hidden`` units is shared.
        features: the name of a frozen backbone that turns images or texts into features.
        kinds: ``"class"``, ``"value"`` or ``"ordinal"`` by target; where it is not said, floating-point numbers are
            values and everything else is a class.
        hidden: width of the shared layer on features.
        method_settings: settings of a method given by name.
        backbone_settings: settings of a backbone given by name.
        sharing: see :class:`~tlzoo.lit.Multitask`.
        steps: number of training steps.
        batch_size: examples per step.
        optimizer: settings, see :class:`~tlzoo.lit.OptimizerSettings`; Adam at 0.001 where None.
        trainer: settings of Lightning's Trainer, such as ``{"accelerator": "gpu"}``.
        random_state: None, a seed or a ``RandomState``.

    Attributes:
        targets_: names of the targets.
        module_: the trained :class:`~tlzoo.lit.Multitask`, whose values are standardized, with ``save``.

    >>> random = np.random.default_rng(0)
    >>> X = random.normal(size=(80, 4))
    >>> Y = {"side": np.where(X[:, 0] > 0, "right", "left"), "height": 3 * X[:, 1] + 50}
    >>> model = MultitaskModel(steps=200, optimizer={"name": "adam", "lr": 0.01}, random_state=0).fit(X, Y)
    >>> found = model.predict(X)
    >>> bool((found["side"] == Y["side"]).mean() > 0.9), bool(np.abs(found["height"] - Y["height"]).mean() < 1)
    (True, True)
    """

    def __init__(
        self,
        method: str | Method = "equal",
        backbone: str | nn.Module | None = None,
        *,
        features: str | None = None,
        kinds: Mapping[str, str] | None = None,
        hidden: int = 64,
        method_settings: Mapping[str, Any] | None = None,
        backbone_settings: Mapping[str, Any] | None = None,
        sharing: str = "hard",
        steps: int = 400,
        batch_size: int = 36,
        optimizer: Mapping[str, Any] | None = None,
        trainer: Mapping[str, Any] | None = None,
        random_state: Any = None,
    ) -> None:
        self.method = method
        self.backbone = backbone
        self.features = features
        self.kinds = kinds
        self.hidden = hidden
        self.method_settings = method_settings
        self.backbone_settings = backbone_settings
        self.sharing = sharing
        self.steps = steps
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.trainer = trainer
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Learn all targets.

        Args:
            X: (N, D), an array or a table; with ``features`` or ``backbone`` also texts, uint8 pictures (N, H, W, C) or
                series (N, time, channels).
            y: a table, a mapping from name to column, or an array (N, T) or (N,).

        Raises:
            ValueError: a kind is unknown, a target has no label, or columns differ in length.
        """
        if y is None:
            raise ValueError("MultitaskModel requires y to be passed, but the target y is None")
        items = self._items(X, reset=True)
        columns = _columns(y)
        self.form_ = "frame" if hasattr(y, "columns") else "mapping" if isinstance(y, Mapping) else np.asarray(y).ndim
        check_consistent_length(items, *columns.values())
        if unknown := sorted(set(self.kinds or {}) - set(columns)):
            raise ValueError(f"kinds names {unknown[0]!r}, which is no target; targets are {', '.join(columns)}")
        self.columns_ = {name: _learned(name, column, (self.kinds or {}).get(name)) for name, column in columns.items()}
        self.targets_ = list(columns)
        targets = {name: Target(classes=len(c.classes), kind=c.kind) for name, c in self.columns_.items()}  # type: ignore[arg-type]
        labels = {name: c.encoded(columns[name]) for name, c in self.columns_.items()}
        examples = self._examples(items, targets=labels)
        task = MultitaskTask(name="arrays", targets=targets, train=examples, validation=examples, test=examples)
        seed = self._seed()
        with seeded(seed):
            data = MultitaskData(task, features=self.features, batch_size=self.batch_size, seed=seed)
            module = Multitask.for_data(
                data,
                copy.deepcopy(self.method),
                sharing=self.sharing,
                optimizer=self.optimizer or {"name": "adam", "lr": 1e-3, "backbone_lr": 1.0, "schedule": "constant"},
                method_settings=self.method_settings,
                **self._network(data),
            )
            self._trained(module, data, steps=self.steps, trainer=self.trainer)
            self._kept(module)
        return self

    def _network(self, data: MultitaskData) -> dict[str, Any]:
        if self.backbone is not None:
            return {"backbone": copy.deepcopy(self.backbone), "backbone_settings": self.backbone_settings}
        return {"backbone": "mlp", "backbone_settings": {"num_inputs": data.num_features, "hidden": [self.hidden]}}

    def predict(self, X: Any) -> Any:
        """Return classes and values in the form that ``y`` had in the fit: a table, a mapping, or an array."""
        said = self._answers(X)
        found = {name: column.decoded(said[name]) for name, column in self.columns_.items()}
        if self.form_ == "frame":
            import pandas as pd

            return pd.DataFrame(found, index=getattr(X, "index", None))
        if self.form_ == "mapping":
            return found
        table = np.column_stack(list(found.values()))
        return table[:, 0] if self.form_ == 1 else table

    def class_probabilities(self, X: Any) -> dict[str, NDArray[np.floating[Any]]]:
        """Return the probabilities (N, C) of the classes by target; values have none."""
        return {name: said.probabilities for name, said in self._answers(X).items() if isinstance(said, Predictions)}

    def score(self, X: Any, y: Any) -> float:
        """Return the mean over targets of the accuracy of classes and the R^2 of values, of what is labelled."""
        from sklearn.metrics import r2_score

        said, columns, found = self._answers(X), _columns(y), []
        for name, column in self.columns_.items():
            truth, answer = np.asarray(columns[name]), column.decoded(said[name])
            there = ~np.array([_is_missing(label) for label in truth.tolist()])
            if column.kind == "value":
                found.append(float(r2_score(truth[there].astype(float), answer[there])))
            else:
                found.append(float(np.mean(truth[there] == answer[there])))
        return float(np.mean(found))

    def _answers(self, X: Any) -> dict[str, Predictions | NDArray[Any]]:
        with self._answering() as module:
            found: dict[str, Predictions | NDArray[Any]] = module.predict(self._items(X, reset=False))
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = tags.target_tags.multi_output = True
        tags.non_deterministic = self.random_state is None
        return tags


def _columns(y: Any) -> dict[str, Any]:
    """Return the columns of targets by name."""
    if isinstance(y, Mapping) or hasattr(y, "columns"):
        return {str(name): y[name].to_numpy() if hasattr(y, "columns") else np.asarray(y[name]) for name in y}
    array = np.asarray(y)
    if array.ndim not in (1, 2):
        raise ValueError(f"y of shape {array.shape}; expected (N,) or (N, T)")
    array = array[:, None] if array.ndim == 1 else array
    return {f"target{place}": array[:, place] for place in range(array.shape[1])}


def _learned(name: str, column: NDArray[Any], kind: str | None) -> _Column:
    kind = kind or ("value" if column.dtype.kind == "f" else "class")
    if kind not in ("class", "value", "ordinal"):
        raise ValueError(f"target {name!r} of kind {kind!r}; expected class, value or ordinal")
    there = [label for label in column.tolist() if not _is_missing(label)]
    if not there:
        raise ValueError(f"target {name!r} has no label")
    if kind != "value":
        return _Column(kind, np.unique(np.asarray(there)))
    values = np.asarray(there, dtype=np.float64)
    if np.isinf(values).any():
        raise ValueError(f"y: target {name!r} contains infinity; expected numbers, NaN where one is missing")
    return _Column(kind, np.empty(0), float(values.mean()), float(values.std()) or 1.0)


def _is_missing(label: Any) -> bool:
    return label is None or label != label or str(label) == "<NA>"
