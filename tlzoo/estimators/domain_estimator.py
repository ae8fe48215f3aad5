"""What estimators of domain adaptation share, whether they learn classes or numbers."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import TransformerMixin
from torch import nn

from tlzoo.data import DomainTask, ExampleSet
from tlzoo.estimators.base import TransferEstimator, numbers, seeded
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

__all__ = ["DomainEstimator"]


class _Sides(NamedTuple):
    """Checked inputs of both domains, and the labels of the source."""

    source: Any
    labels: Any
    target: Any
    domains: NDArray[np.int64] | None


class DomainEstimator(TransformerMixin, TransferEstimator):  # type: ignore[misc]
    """Base of :class:`~tlzoo.estimators.DomainAdapter` and :class:`~tlzoo.estimators.DomainRegressor`."""

    method: str | Method
    backbone: str | nn.Module | None
    features: str | None
    method_settings: Mapping[str, Any] | None
    backbone_settings: Mapping[str, Any] | None
    bottleneck: int | None
    scale: bool
    steps: int
    batch_size: int
    optimizer: Mapping[str, Any] | None
    penalty: float | str | None
    trainer: Mapping[str, Any] | None

    def _taught(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Return labels as a task holds them, and keep what predictions need of them."""
        raise NotImplementedError

    def _named(self) -> dict[str, Any]:
        """Return what a task is told of its labels: ``class_names`` or ``value_names``."""
        raise NotImplementedError

    def _aligned_model(self, made: FeatureMethod) -> AlignedClassifier:
        """Return the model on top of a method on features, not fitted yet."""
        raise NotImplementedError

    def fit(self, X: Any, y: Any, X_target: Any = None, *, sample_domain: Any = None) -> Self:
        """Learn from labelled source and unlabelled target data.

        Args:
            X: source data (N, D), an array or a table; with ``features`` or ``backbone`` also texts, uint8 pictures
                (N, H, W, C) or series (N, time, channels). With ``sample_domain``, data of both domains.
            y: (N,) classes, as names or numbers; in a regression (N,) or (N, T) numbers. Those of the target are not
                read.
            X_target: target data. In a cross-validation wrap it in :class:`~tlzoo.estimators.Whole`.
            sample_domain: (N,) the domain of each row, as in skada: positive for a source (several sources have
                different numbers), negative for the target.

        Raises:
            ValueError: labels are no classes, or no numbers in a regression; there is no source; or see the method.

        Warns:
            UserWarning: there is no target, so the source takes its place.
        """
        kind = type(self.method) if isinstance(self.method, Method) else method_class(self.method)
        sees = self.method.sees if isinstance(self.method, Method) else kind.sees
        if Sees.TARGET_LABELS in sees and issubclass(kind, DomainMethod | FeatureMethod):
            raise ValueError(
                f"{self.method} learns from target labels, which {type(self).__name__} never sees; use FineTuner on "
                "the target"
            )
        sides = self._sides(X, y, unwrapped(X_target), unwrapped(sample_domain))
        places = self._taught(sides.labels)
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

    def _task(self, sides: _Sides, places: NDArray[Any]) -> DomainTask:
        named = self._named()
        source = self._examples(sides.source, places, domains=sides.domains, regression="value_names" in named)
        target = self._examples(sides.target)
        names = () if sides.domains is None else tuple(f"source{k}" for k in range(int(sides.domains.max()) + 1))
        nobody = np.empty(0, dtype=np.int64)
        return DomainTask(
            name="arrays",
            source_train=source,
            source_test=source.subset(nobody),
            target_train=target,
            target_test=target,
            source_names=names,
            **named,
        )

    def _fit_transform(self, sides: _Sides, places: NDArray[Any]) -> None:
        source, target = (self._frozen(items) for items in (sides.source, sides.target))
        made = self._made_method(num_features=source.shape[1], num_classes=len(next(iter(self._named().values()))))
        seen = Sees.TARGET_INPUTS in made.sees
        aligned = self._aligned_model(made).double()
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
