"""Test-time and source-free adaptation of any classifier, by one call."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from tlzoo.functional.checks import check_counts, check_positive
from tlzoo.methods.base import Method
from tlzoo.methods.checks import as_tensor
from tlzoo.methods.source_free import SourceFree
from tlzoo.methods.test_time import TestTime
from tlzoo.nn.network import Network
from tlzoo.nn.normalization import batch_layers
from tlzoo.nn.plain_classifier import Features, PlainClassifier
from tlzoo.registry import accepted_settings, create_method, method_class, resolve_name
from tlzoo.types import Prediction

__all__ = ["Adapted", "adapt"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Adapted:
    """A classifier after adaptation; call it on further inputs.

    Attributes:
        method: what adapted it.
        model: the adapted copy of the model, a plain module. T3A and LAME change answers, not the model.
        logits: (N, C), the answers to the items it adapted to, in their order.
    """

    method: Method
    model: nn.Module
    logits: Tensor

    @property
    def labels(self) -> Tensor:
        """The most probable class (N,) of each item."""
        return self.logits.argmax(dim=1)

    def __call__(self, inputs: Any) -> Tensor:
        """Map inputs (B, ...) to logits (B, C); a test-time method goes on adapting to them."""
        if isinstance(self.method, TestTime):
            return self.method(inputs)
        with torch.no_grad():
            return _prediction(self.model, inputs)


def adapt(
    model: nn.Module,
    method: str | Method,
    loader: Any,
    *,
    features: Features = None,
    head: str | None = None,
    batch_size: int = 64,
    epochs: int = 15,
    lr: float = 1e-3,
    optimizer: Callable[[list[nn.Parameter]], Optimizer] | None = None,
    seed: int = 0,
    **settings: Any,
) -> Adapted:
    """Adapt a trained classifier to unlabelled target inputs, at test time or source-free; the model stays as it is.

    A test-time method (TENT, EATA, SAR, CoTTA, LAME, T3A) answers each batch once, in the order of the loader. A
    source-free method (AdaBN, SHOT, NRC) reads the whole loader into memory first; one with a loss trains on it.

    Args:
        model: maps inputs (B, ...) to logits (B, C), or to a :class:`~tlzoo.types.Prediction`.
        method: a name of the registry, or a :class:`~tlzoo.methods.source_free.SourceFree` method.
        loader: batches of inputs, or of tuples whose first entry are inputs; labels are not read. Or all inputs as one
            tensor or array, of the model's dtype if it is floating.
        features: layer or function that gives the features, see :class:`~tlzoo.nn.plain_classifier.PlainClassifier`.
        head: name of the last linear layer, if it is not the last one defined.
        batch_size: items per batch of a tensor or an array.
        epochs: passes of a source-free method with a loss.
        lr: rate of its SGD with momentum 0.9; SHOT has a tenth of the source model's.
        optimizer: makes another optimizer from the parameters.
        seed: of the order of training items, and of the method.
        **settings: settings of a method given by name.

    Raises:
        ValueError: there is no item, no such layer, a setting is out of range, or the network has batch normalization
            and all batches to train on hold one item.
        TypeError: the model is no module or returns no logits, the method needs source data, or a batch has no inputs.

    >>> _ = torch.manual_seed(0)
    >>> classifier = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).eval()
    >>> adapted = adapt(classifier, "tent", torch.randn(100, 4) + 1, batch_size=50)
    >>> adapted.logits.shape, adapted(torch.randn(2, 4)).shape
    (torch.Size([100, 3]), torch.Size([2, 3]))
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"the model is a {type(model).__name__}; expected a torch.nn.Module")
    check_counts(batch_size=batch_size)
    check_counts(low=0, epochs=epochs, seed=seed)
    check_positive(lr=lr)
    own: nn.Module = copy.deepcopy(model)
    if not isinstance(own, Network | PlainClassifier):
        own = PlainClassifier(own, features=features, head=head)
    own.eval()
    kind = type(method) if isinstance(method, Method) else method_class(method)
    items = _inputs(loader, batch_size, own)
    if issubclass(kind, TestTime):
        return _at_test_time(own, method, items, settings, seed=seed)
    if not issubclass(kind, SourceFree):
        name = method.name if isinstance(method, Method) else resolve_name(method)
        raise TypeError(
            f"{name} does not adapt a trained model; see tlzoo.estimators.DomainAdapter, or its Lightning module"
        )
    batches = list(items)  # loaders draw random numbers, so all are read before the seed is set
    made = _made(method, own, batches, settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _source_free(own, made, batches, epochs=epochs, optimizer=optimizer or _sgd(lr))
    return Adapted(method=made, model=_inner(own), logits=_whole(own, batches).logits)


def _at_test_time(
    network: nn.Module, method: str | Method, items: Iterable[Any], settings: Mapping[str, Any], *, seed: int
) -> Adapted:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = method if isinstance(method, Method) else create_method(method, model=network, **settings)
        assert isinstance(made, TestTime)
        logits = _joined([made(batch) for batch in items])
    return Adapted(method=made, model=_inner(made.model), logits=logits)


def _sgd(lr: float) -> Callable[[list[nn.Parameter]], Optimizer]:
    return lambda parameters: SGD(parameters, lr=lr, momentum=0.9, nesterov=True)


def _made(method: str | Method, network: nn.Module, batches: list[Any], settings: Mapping[str, Any]) -> SourceFree:
    """Return the method, for the widths of the network."""
    if not batches:
        raise ValueError("there is no item to adapt to; expected one batch or more")
    if isinstance(method, str):
        with torch.no_grad():
            tried: Prediction = network(batches[0])
        shape = {"num_features": tried.features.shape[1], "num_classes": tried.logits.shape[1]}
        method = create_method(method, **{**accepted_settings(method, **shape), **settings})
    assert isinstance(method, SourceFree)
    return method


def _source_free(
    network: nn.Module,
    method: SourceFree,
    batches: list[Any],
    *,
    epochs: int,
    optimizer: Callable[[list[nn.Parameter]], Optimizer],
) -> None:
    """Adapt a network in place."""
    network.requires_grad_(True)
    method.prepare(network)
    order = torch.randperm(len(batches)).tolist()
    method.start(network, (batches[place] for place in order))
    trained = [p for p in [*network.parameters(), *method.parameters()] if p.requires_grad]
    if method.learns:
        usable = [index for index, batch in enumerate(batches) if len(batch) > 1 or not batch_layers(network)]
        if not usable:
            raise ValueError("a batch of one item has no statistics for batch normalization; give larger batches")
        steps, total = optimizer(trained), epochs * len(usable)
        places = torch.split(torch.arange(sum(map(len, batches))), [len(batch) for batch in batches])
        for epoch in range(epochs):
            method.on_epoch(_whole(network, batches))
            for number, index in enumerate(usable[place] for place in torch.randperm(len(usable)).tolist()):
                network.train()
                said = replace(network(batches[index]), indices=places[index], inputs=batches[index])
                progress = (epoch * len(usable) + number) / total
                loss = method.loss(said, progress=progress, model=network)["loss"]
                steps.zero_grad()
                torch.autograd.backward(loss)
                steps.step()
                method.after_step(network)
    network.eval()


@torch.no_grad()
def _whole(network: nn.Module, batches: list[Any]) -> Prediction:
    """Return the predictions for all items, with their indices."""
    network.eval()
    said = [network(batch) for batch in batches]
    features, logits = (_joined([getattr(part, name) for part in said]) for name in ("features", "logits"))
    return Prediction(features=features, logits=logits, indices=torch.arange(len(logits), device=logits.device))


def _joined(parts: list[Tensor]) -> Tensor:
    if not parts:
        raise ValueError("there is no item to adapt to; expected one batch or more")
    return torch.cat(parts)


def _inputs(loader: Any, batch_size: int, network: nn.Module) -> Iterator[Any]:
    """Yield batches of inputs on the network's device."""
    like = next((p for p in network.parameters() if p.is_floating_point()), torch.empty(0))
    if isinstance(loader, Tensor) or hasattr(loader, "__array__"):
        values = as_tensor(loader, what="inputs")
        loader = torch.split(values.to(like.dtype) if values.is_floating_point() else values, batch_size)
    if not isinstance(loader, Iterable) or isinstance(loader, str):
        raise TypeError(f"got a {type(loader).__name__}; expected batches of inputs, a tensor or an array")
    for batch in loader:
        inputs = batch[0] if isinstance(batch, tuple | list) and batch and not isinstance(batch[0], str) else batch
        inputs = getattr(inputs, "inputs", inputs)  # batches of tlzoo's own data modules
        if isinstance(inputs, Mapping):
            raise TypeError("batches are mappings; wrap the model in a module that takes one tensor")
        yield inputs.to(like.device) if isinstance(inputs, Tensor) else inputs


def _inner(network: nn.Module) -> nn.Module:
    return network.model if isinstance(network, PlainClassifier) else network


def _prediction(model: nn.Module, inputs: Any) -> Tensor:
    found = model(inputs)
    logits: Tensor = getattr(found, "logits", found)
    return logits
