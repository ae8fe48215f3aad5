"""The base of methods that make up examples of classes without any, and a softmax on real and made-up ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.functional.checks import check_counts, check_positive
from tlzoo.methods.base import fitted
from tlzoo.methods.compatibility import LearnedCompatibility, places_of
from tlzoo.nn.random_stream import RandomStream
from tlzoo.types import Scorer

__all__ = ["Generating", "noise", "random_batches", "trained_softmax"]


class Generating(LearnedCompatibility):
    """A compatibility that generates examples of unseen classes, and classifies by a softmax trained on examples.

    ``fit`` trains the networks, on features scaled to [0, 1] by the least and greatest value that each has in the
    training set. ``bind`` trains the classifier on real examples of seen candidates, and on generated ones of classes
    that the fit had no example of. Every fit and every binding draws the same numbers again, so both are repeatable.

    A method implements :meth:`train_networks`, :meth:`generated`, and, where the classifier does not work on the
    features themselves, :meth:`represented` and :meth:`real`.

    Args:
        num_features: D.
        num_embedding: A; embeddings are scaled to length 1.
        batch_size: examples per step of the networks.
        lr: rate of Adam for the networks.
        generated_per_class: examples to generate of each class.
        classifier_epochs: passes of the classifier over its examples.
        classifier_batch: examples per step of the classifier.
        classifier_lr: rate of Adam for the classifier.
    """

    low: Tensor
    span: Tensor

    def __init__(
        self,
        num_features: int,
        num_embedding: int,
        *,
        batch_size: int,
        lr: float,
        generated_per_class: int,
        classifier_epochs: int,
        classifier_batch: int,
        classifier_lr: float,
    ) -> None:
        super().__init__(num_features, num_embedding)
        check_counts(batch_size=batch_size, generated_per_class=generated_per_class)
        check_counts(classifier_epochs=classifier_epochs, classifier_batch=classifier_batch)
        check_positive(lr=lr, classifier_lr=classifier_lr)
        self.batch_size, self.lr, self.generated_per_class = batch_size, lr, generated_per_class
        self.classifier_epochs, self.classifier_batch = classifier_epochs, classifier_batch
        self.classifier_lr = classifier_lr
        self.random = RandomStream()
        self.reserve("low", num_features)
        self.reserve("span", num_features)
        self.reserve("points", 1, num_features)
        self.reserve("labels", 1)
        self.reserve("known", 1, num_embedding)

    @property
    def order_matters(self) -> bool:
        """Whether order matters: batches are drawn by position."""
        return True

    def learn(self, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> None:
        """Train the networks from their start, and keep the examples for :meth:`scorer`."""
        with torch.inference_mode(False), torch.no_grad():
            self.low, high = features.aminmax(dim=0)
            self.span = torch.where(high > self.low, high - self.low, torch.ones_like(high))
            self.points, self.labels = self._scaled(features.detach()), labels.clone()
            self.known = F.normalize(class_embeddings.detach(), dim=1)
            self.random.restart()
            with _learning(self):
                self.train_networks(self.points, self.labels, self.known, self.random.next())

    def scorer(self, class_embeddings: Tensor, seen: Tensor) -> Scorer:
        """Return the logits of a classifier trained on examples of the candidates."""
        weight, bias = (each.detach() for each in self._classifier(class_embeddings.detach(), seen))
        return lambda features: self.represented(self._scaled(features)) @ weight.to(features).T + bias.to(features)

    def train_networks(self, points: Tensor, labels: Tensor, embeddings: Tensor, generator: torch.Generator) -> None:
        """Initialize and train the networks; gradients are on, and all parameters want one.

        Args:
            points: scaled features (N, D).
            labels: (N,), which index ``embeddings``.
            embeddings: (C, A) of length 1.
            generator: on the CPU.
        """
        raise NotImplementedError(f"{type(self).__name__} implements no train_networks(...)")

    def generated(self, embeddings: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return generated examples (M, R) of classes (C, A), and their labels (M,) in ``range(C)``."""
        raise NotImplementedError(f"{type(self).__name__} implements no generated(embeddings, generator)")

    def real(self, points: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return what the classifier is trained on for scaled features (N, D), and the labels."""
        return self.represented(points), labels

    def represented(self, points: Tensor) -> Tensor:
        """Map scaled features (B, D) to what is classified (B, R)."""
        return points

    def start(self, weight: Tensor, generator: torch.Generator) -> None:
        """Initialize the weight of a linear layer in place: N(0, 0.02)."""
        nn.init.normal_(weight, 0.0, 0.02, generator=generator)

    def softmax_on(
        self, points: Tensor, labels: Tensor, classes: int, generator: torch.Generator, *, epochs: int, batch: int
    ) -> tuple[Tensor, Tensor]:
        """Return the weight (C, R) and bias (C,) of :func:`trained_softmax`, from :meth:`start`."""
        weight = _drawn(lambda empty: self.start(empty, generator), points.new_empty(classes, points.shape[1]))
        return trained_softmax(
            points, labels, weight, generator=generator, epochs=epochs, batch_size=batch, lr=self.classifier_lr
        )

    def _scaled(self, features: Tensor) -> Tensor:
        return (features - self.low.to(features)) / self.span.to(features)

    @torch.no_grad()
    def _classifier(self, class_embeddings: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        with torch.inference_mode(False):
            fitted(self, "low")
            generator = self.random.constant()
            embeddings = F.normalize(class_embeddings, dim=1)
            place = places_of(self.known, embeddings, seen)
            there = place[self.labels.long()]
            shown = there >= 0
            lacking = torch.ones(len(embeddings), dtype=torch.bool, device=embeddings.device)
            lacking[there[shown]] = False
            parts = []
            if bool(shown.any()):
                parts.append(self.real(self.points[shown].to(embeddings), there[shown], generator))
            if bool(lacking.any()):
                made, own = self.generated(embeddings[lacking], generator)
                parts.append((made, lacking.nonzero()[:, 0][own]))
            points, labels = (torch.cat(each) for each in zip(*parts, strict=True))
            classes, epochs, batch = len(embeddings), self.classifier_epochs, self.classifier_batch
            return self.softmax_on(points, labels, classes, generator, epochs=epochs, batch=batch)


@contextmanager
def _learning(method: nn.Module) -> Iterator[None]:
    """Turn gradients on, inside only: outside, no optimizer trains these networks."""
    with torch.enable_grad():
        method.requires_grad_(True)
        try:
            yield
        finally:
            method.requires_grad_(False)
            method.zero_grad()


def _drawn(draw: Callable[[Tensor], object], like: Tensor) -> Tensor:
    """Return what ``draw`` fills a tensor with, drawn on the CPU in float64 so that all precisions see the same."""
    values = torch.empty(like.shape, dtype=torch.float64)
    draw(values)
    return values.to(like)


@torch.no_grad()
def initialize(layers: nn.Module, draw: Callable[[Tensor], object]) -> None:
    """Fill the weights of all linear layers by ``draw``, and their biases with zeros."""
    for layer in layers.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.copy_(_drawn(draw, layer.weight))
            layer.bias.zero_()


@torch.no_grad()
def noise(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return normal noise in a tensor's shape, drawn in float64 so that all precisions see the same."""
    return _drawn(lambda empty: empty.normal_(generator=generator), like)


def random_batches(count: int, size: int, steps: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Return indices of ``steps`` batches, each drawn without replacement from ``count`` items."""
    for _ in range(steps):
        yield torch.randperm(count, generator=generator)[:size]


@torch.no_grad()
def trained_softmax(
    points: Tensor,
    labels: Tensor,
    weight: Tensor,
    *,
    generator: torch.Generator,
    epochs: int,
    batch_size: int,
    lr: float,
) -> tuple[Tensor, Tensor]:
    """Return the weight (C, R) and the bias (C,) of a softmax after Adam (betas 0.5 and 0.999) on the cross-entropy.

    Args:
        points: (N, R).
        labels: (N,).
        weight: the initial weight (C, R); the bias starts at zero.
        generator: orders the examples; on the CPU.
        epochs: number of passes.
        batch_size: examples per step; the last step of a pass has the rest.
        lr: learning rate.
    """
    weight, bias = weight.clone(), weight.new_zeros(len(weight))
    optimizer = torch.optim.Adam([weight, bias], lr=lr, betas=(0.5, 0.999))
    for _ in range(epochs):
        order = torch.randperm(len(points), generator=generator).to(points.device)
        for some in torch.split(order, batch_size):
            x, y = points[some], labels[some]
            wrong = torch.addmm(bias, x, weight.T).softmax(dim=1)
            wrong[torch.arange(len(y), device=y.device), y] -= 1
            wrong /= len(y)
            weight.grad, bias.grad = wrong.T @ x, wrong.sum(dim=0)
            optimizer.step()
    return weight, bias
