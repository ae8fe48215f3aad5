"""Domain adaptation and confusion with ``fit`` and ``predict``."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, TransformerMixin
from torch import nn

from tlzoo.data import DomainTask, ExampleSet
from tlzoo.estimators.base import TransferEstimator, class_names, classes_of, numbers, seeded
from tlzoo.estimators.whole import unwrapped
from tlzoo.lit import DomainAdaptation, DomainConfusion, DomainData, SourceFreeAdaptation, TestTimeAdaptation
from tlzoo.methods.base import Method
from tlzoo.methods.domain_method import DomainMethod
from tlzoo.methods.feature_method import FeatureMethod
from tlzoo.methods.source_free import SourceFree
from tlzoo.methods.test_time import TestTime
from tlzoo.methods.transforms import AlignedClassifier
from tlzoo.registry import accepted_settings, create_method, family_of, method_class
from tlzoo.types import Sees

__all__ = ["DomainAdapter"]


class _Sides(NamedTuple):
    """Checked inputs of both domains, and the labels of the source."""

    source: Any
    labels: Any
    target: Any
    domains: NDArray[np.int64] | None


class DomainAdapter(ClassifierMixin, TransformerMixin, TransferEstimator):  # type: ignore[misc]
    """Learns classes from labelled source data and unlabelled target data, and predicts those of target data.

    It takes every method of domain adaptation and confusion: alignments and adversaries train a network on both
    domains, methods on features (``coral``, ``linear_ot``, ``tca``, ``kmm``, ``jdot`` ...) map or weight them before a
    logistic regression, source-free methods (``shot``) go on from a source model, and test-time methods (``tent``) from
    it while they predict, starting anew in each call.

    Args:
        method: a name of the registry, or a method.
        backbone: a network to train: a name for :func:`tlzoo.create_backbone`, or any module. None for features, on
            which only ``bottleneck`` and the classifier are trained.
        features: the name of a frozen backbone that turns images or texts into features.
        method_settings: settings of a method given by name.
        backbone_settings: settings of a backbone given by name.
        bottleneck: width of a layer between features and classifier; None for none. Without it and without a backbone,
            a method has no layer to align features with.
        scale: divide features by the standard deviation of all their numbers.
        steps: number of training steps; source-free methods take as many again.
        batch_size: examples per step and domain.
        optimizer: settings, see :class:`~tlzoo.lit.OptimizerSettings`.
        classifier: after a method on features, see :class:`~tlzoo.methods.transforms.AlignedClassifier`.
        penalty: of that classifier.
        trainer: settings of Lightning's Trainer, such as ``{"accelerator": "gpu"}``.
        random_state: None, a seed or a ``RandomState``.

    Attributes:
        classes_: (C,) the classes of ``y``.
        module_: the trained Lightning module, with ``save`` and ``export``; for a transform, an
            :class:`~tlzoo.methods.transforms.AlignedClassifier`.

    >>> random = np.random.default_rng(0)
    >>> y = np.arange(60) % 2
    >>> X = random.normal(size=(60, 4)) + 4 * y[:, None]
    >>> adapter = DomainAdapter("mcc", steps=30, random_state=0).fit(X, y, X_target=X + 1)
    >>> adapter.score(X + 1, y) > 0.9
    True
    """

    def __init__(
        self,
        method: str | Method = "coral",
        backbone: str | nn.Module | None = None,
        *,
        features: str | None = None,
        method_settings: Mapping[str, Any] | None = None,
        backbone_settings: Mapping[str, Any] | None = None,
        bottleneck: int | None = 256,
        scale: bool = True,
        steps: int = 400,
        batch_size: int = 36,
        optimizer: Mapping[str, Any] | None = None,
        classifier: str = "logistic",
        penalty: float | str | None = 1.0,
        trainer: Mapping[str, Any] | None = None,
        random_state: Any = None,
    ) -> None:
        self.method = method
        self.backbone = backbone
        self.features = features
        self.method_settings = method_settings
        self.backbone_settings = backbone_settings
        self.bottleneck = bottleneck
        self.scale = scale
        self.steps = steps
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.classifier = classifier
        self.penalty = penalty
        self.trainer = trainer
        self.random_state = random_state

    def fit(self, X: Any, y: Any, X_target: Any = None, *, sample_domain: Any = None) -> Self:
        """Learn from labelled source and unlabelled target data.

        Args:
            X: source data (N, D), an array or a table; with ``features`` or ``backbone`` also texts, uint8 pictures
                (N, H, W, C) or series (N, time, channels). With ``sample_domain``, data of both domains.
            y: (N,) classes, as names or numbers; those of the target are not read.
            X_target: target data. In a cross-validation wrap it in :class:`~tlzoo.estimators.Whole`.
            sample_domain: (N,) the domain of each row, as in skada: positive for a source (several sources have
                different numbers), negative for the target.

        Raises:
            ValueError: labels are no classes, or there is no source; or see the method.

        Warns:
            UserWarning: there is no target, so the source takes its place.
        """
        kind = type(self.method) if isinstance(self.method, Method) else method_class(self.method)
        sees = self.method.sees if isinstance(self.method, Method) else kind.sees
        if Sees.TARGET_LABELS in sees and issubclass(kind, DomainMethod | FeatureMethod):
            raise ValueError(
                f"{self.method} learns from target labels, which DomainAdapter never sees; use FineTuner on the target"
            )
        sides = self._sides(X, y, unwrapped(X_target), unwrapped(sample_domain))
        self.classes_, places = classes_of(sides.labels)
        seed = self._seed()
        with seeded(seed):
            if issubclass(kind, FeatureMethod):
                self._fit_transform(sides, places)
            else:
                self._fit_network(kind, self._task(sides, places), seed)
        return self

    def _sides(self, X: Any, y: Any, X_target: Any, sample_domain: Any) -> _Sides:
        items, y = self._labelled(X, y)
        if sample_domain is None:
            if X_target is None:
                warnings.warn(
                    "no target: the source takes its place; give X_target=..., or sample_domain=... with negative "
                    "numbers for rows of the target",
                    stacklevel=3,
                )
                return _Sides(items, y, items, None)
            return _Sides(items, y, self._items(X_target, reset=False), None)
        if X_target is not None:
            raise ValueError("X_target and sample_domain both name the target; give one of them")
        ours = _is_source(sample_domain, len(y))
        domains = numbers(sample_domain, what="sample_domain")[ours]
        several = np.unique(domains, return_inverse=True)[1] if len(np.unique(domains)) > 1 else None
        if not ours.any() or ours.all():
            lacking = "source (positive numbers)" if not ours.any() else "target (negative numbers)"
            raise ValueError(f"sample_domain has no row of the {lacking}; expected rows of both domains")
        return _Sides(items[ours], y[ours], items[~ours], several)

    def _task(self, sides: _Sides, places: NDArray[np.int64]) -> DomainTask:
        source = self._examples(sides.source, places, domains=sides.domains)
        target = self._examples(sides.target)
        names = () if sides.domains is None else tuple(f"source{k}" for k in range(int(sides.domains.max()) + 1))
        nobody = np.empty(0, dtype=np.int64)
        return DomainTask(
            name="arrays",
            class_names=class_names(self.classes_),
            source_train=source,
            source_test=source.subset(nobody),
            target_train=target,
            target_test=target,
            source_names=names,
        )

    def _fit_transform(self, sides: _Sides, places: NDArray[np.int64]) -> None:
        source, target = (self._frozen(items) for items in (sides.source, sides.target))
        shape = {"num_features": source.shape[1], "num_classes": len(self.classes_)}
        made = self._made_method(**shape)
        seen = Sees.TARGET_INPUTS in made.sees
        aligned = AlignedClassifier(made, classifier=self.classifier, penalty=self.penalty).double()
        self.module_ = aligned.fit(source, torch.from_numpy(places), target if seen else None)

    def _made_method(self, **shape: Any) -> Any:
        if isinstance(self.method, Method):
            return copy.deepcopy(self.method)
        return create_method(
            self.method, **{**accepted_settings(self.method, **shape), **dict(self.method_settings or {})}
        )

    def _frozen(self, items: Any) -> torch.Tensor:
        """Return float64 features of checked items."""
        if self.modality_ == "features":
            return torch.from_numpy(np.array(items, dtype=np.float64))
        if self.features is None:
            raise ValueError(
                f"{self.method} maps features; give features=NAME of a frozen backbone, not {self.backbone!r}"
            )
        from tlzoo.backbones import FeatureCache, create_backbone

        examples: ExampleSet = self._examples(items)
        found = FeatureCache().apply(create_backbone(self.features), examples)
        return torch.as_tensor(np.asarray(found.inputs[np.arange(len(found))], dtype=np.float64))

    def _fit_network(self, kind: type[Method], task: DomainTask, seed: int) -> None:
        later = issubclass(kind, SourceFree | TestTime)
        first = getattr(kind, "starts_from", "adaptation/source_only") if later else self._own_method()
        settings = None if later else self.method_settings
        data = self._data(task, seed, scale=self.scale and self.backbone is None)
        module = self._module_for(first, data, settings)
        self._trained(module, data, steps=self.steps, trainer=self.trainer)
        if issubclass(kind, SourceFree):
            data = self._data(task.without_source(), seed, scale=False)
            module = SourceFreeAdaptation.for_data(
                data,
                self._own_method(),
                network=module.network,
                optimizer=self.optimizer,
                method_settings=self.method_settings,
            )
            self._trained(module, data, steps=self.steps, trainer=self.trainer)
        if issubclass(kind, TestTime):
            module.network.eval()
            module = TestTimeAdaptation.for_data(
                data, self._own_method(), network=module.network, method_settings=self.method_settings
            )
            module.start(data)
        self._kept(module)

    def _own_method(self) -> Any:
        return copy.deepcopy(self.method)

    def _data(self, task: DomainTask, seed: int, *, scale: bool) -> DomainData:
        return DomainData(task, features=self.features, scale=scale, batch_size=self.batch_size, seed=seed)

    def _module_for(self, method: Any, data: DomainData, method_settings: Any) -> Any:
        confusion = isinstance(method, str) and family_of(method) == "confusion"
        if isinstance(method, Method):
            confusion = method.name.startswith("confusion/")
        return (DomainConfusion if confusion else DomainAdaptation).for_data(
            data,
            method,
            backbone=copy.deepcopy(self.backbone),
            backbone_settings=self.backbone_settings,
            bottleneck=self.bottleneck,
            optimizer=self.optimizer,
            method_settings=method_settings,
        )

    def predict(self, X: Any, *, sample_domain: Any = None) -> NDArray[Any]:
        """Return the classes (N,) of target data; with ``sample_domain``, positive numbers mark rows of a source."""
        places = self.predict_proba(X, sample_domain=sample_domain).argmax(axis=1)
        return np.asarray(self.classes_[places])

    def predict_proba(self, X: Any, *, sample_domain: Any = None) -> NDArray[np.float64]:
        """Return the probabilities (N, C) of the classes, see :meth:`predict`."""
        return self._by_domain(X, sample_domain, self._probabilities)

    def transform(self, X: Any, *, sample_domain: Any = None) -> NDArray[np.float64]:
        """Return the aligned features (N, K) of target data: what the classifier is given; see :meth:`predict`."""
        return self._by_domain(X, sample_domain, self._aligned)

    def fit_transform(
        self, X: Any, y: Any = None, X_target: Any = None, *, sample_domain: Any = None
    ) -> NDArray[np.float64]:
        """Fit, and return the aligned features (N, K) of ``X``: source data, or rows of both domains."""
        self.fit(X, y, X_target, sample_domain=sample_domain)
        domains = np.ones(len(np.asarray(y)), dtype=np.int64) if sample_domain is None else sample_domain
        return self.transform(X, sample_domain=domains)

    def _by_domain(self, X: Any, sample_domain: Any, answer: Any) -> NDArray[np.float64]:
        with self._answering():
            items = self._items(X, reset=False)
            return self._by_side(items, unwrapped(sample_domain), answer)

    def _by_side(self, items: Any, sample_domain: Any, answer: Any) -> NDArray[np.float64]:
        if sample_domain is None:
            return np.asarray(answer(items, "target"))
        ours = _is_source(sample_domain, len(items))
        sides = {"source": ours, "target": ~ours}
        parts = {side: answer(items[rows], side) for side, rows in sides.items() if rows.any()}
        found = np.empty((len(items), next(iter(parts.values())).shape[1]))
        for side, part in parts.items():
            found[sides[side]] = part
        return found

    def _probabilities(self, items: Any, side: str) -> Any:
        with torch.no_grad():
            if isinstance(self.module_, AlignedClassifier):
                return self.module_.classifier(self._mapped(items, side)).softmax(dim=1).numpy()
        if isinstance(self.module_, TestTimeAdaptation):
            self.module_.method.reset()
            return self.module_.predict(items, batch_size=self.batch_size).probabilities
        return self._outputs(items, side, "logits").softmax(dim=1).numpy()

    def _aligned(self, items: Any, side: str) -> Any:
        if isinstance(self.module_, AlignedClassifier):
            with torch.no_grad():
                return self._mapped(items, side).numpy()
        return self._outputs(items, side, "features").numpy()

    def _mapped(self, items: Any, side: str) -> torch.Tensor:
        found: torch.Tensor = getattr(self.module_.transform, f"transform_{side}")(self._frozen(items))
        return found

    @torch.no_grad()
    def _outputs(self, items: Any, side: str, part: str) -> torch.Tensor:
        """Return features or logits of the network."""
        module, parts = self.module_, []
        for batch in module.batches_of(items, 256):
            online = isinstance(module, TestTimeAdaptation)
            network = module.method.model if online else module.answering_network()
            parts.append(getattr(network(batch, side=side), part))
        return torch.cat(parts).cpu()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = self.random_state is None and not _closed_form(self.method)
        return tags


def _closed_form(method: Any) -> bool:
    return issubclass(type(method) if isinstance(method, Method) else method_class(method), FeatureMethod)


def _is_source(sample_domain: Any, size: int) -> NDArray[np.bool_]:
    """Return which rows (N,) are of a source."""
    domains = numbers(sample_domain, what="sample_domain")
    if domains.shape != (size,) or (domains == 0).any():
        raise ValueError(
            f"sample_domain of shape {domains.shape} for {size} rows; expected a number each, positive for a source, "
            "negative for the target"
        )
    return np.asarray(domains > 0)
