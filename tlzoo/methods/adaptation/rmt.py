"""RMT: a mean teacher by symmetric cross-entropy, and features held at the source's prototypes."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam, Optimizer

from tlzoo.functional.checks import check_at_least, check_counts, check_positive, check_shares
from tlzoo.functional.precision import at_least_float32, matmul
from tlzoo.methods.adaptation.roid import symmetric_cross_entropy
from tlzoo.methods.augmenting import Augment, changed, check_augment
from tlzoo.methods.test_time import Online
from tlzoo.nn.random_stream import RandomStream
from tlzoo.paper import Paper
from tlzoo.types import Prediction, Sees

__all__ = ["RMT", "contrast"]


class RMT(Online):
    r"""Robust mean teacher (Döbler, Marsden & Yang, CVPR 2023), https://arxiv.org/abs/2211.13081.

    The answer is the sum of the student's and the teacher's logits. All weights of the student then take one Adam step
    on

    .. math:: \frac{1}{2} \mathrm{SCE}(x, t) + \frac{1}{2} \mathrm{SCE}(\tilde x, t) + w_c \, L_\text{contrast}
        + w_r \, \mathrm{CE}_\text{source}

    with the symmetric cross-entropy between the student on a batch x, or on its augmented version, and the teacher t.
    The contrastive loss (temperature ``temperature``) pulls together, behind a small projection, the features of an
    item, of its augmented version, and of the source's class mean that is nearest by cosine. The last term replays a
    labelled source batch. The teacher follows the student by ``smoothing``.

    :meth:`start` takes the labelled source: it computes the class means, and warms student and teacher up on
    ``warmup`` items by the symmetric cross-entropy, with a rate that grows linearly. The harness calls it. Without it,
    the rows of the head's weights are the class means, and there is neither warm-up nor replay. ``replay=0`` is the
    paper's source-free variant.

    Differs from the paper: without ``augment``, items have no augmented version. A batch of one does not train a
    network with batch normalization; the paper has a window of earlier items there.

    Args:
        model: the source model, with a linear ``head``; copied.
        lr: learning rate of Adam.
        smoothing: of the teacher.
        contrast: weight of the contrastive loss.
        temperature: of the contrastive loss.
        projection: width of the projection; None for none.
        replay: weight of the source's cross-entropy.
        warmup: items of the source to warm up on, 0 for none.
        augment: maps inputs (B, ...) and a generator to changed inputs, or names a view, see
            :func:`~tlzoo.methods.augmenting.changed`; None for none.
    """

    label = "RMT"
    paper = Paper(
        title="Robust Mean Teacher for Continual and Gradual Test-Time Adaptation",
        authors=("Döbler", "Marsden", "Yang"),
        venue="CVPR",
        year=2023,
        arxiv="2211.13081",
    )
    sees = frozenset({Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS, Sees.TEST_INPUTS})
    variants = ({}, {"projection": None, "augment": "weak"})
    prototypes: Tensor

    def __init__(
        self,
        model: nn.Module,
        *,
        lr: float = 1e-3,
        smoothing: float = 0.999,
        contrast: float = 1.0,
        temperature: float = 0.1,
        projection: int | None = 128,
        replay: float = 1.0,
        warmup: int = 50_000,
        augment: Augment | str | None = None,
    ) -> None:
        check_positive(lr=lr, temperature=temperature)
        check_shares(smoothing=smoothing)
        check_at_least(0, contrast=contrast, replay=replay)
        check_counts(low=0, warmup=warmup)
        check_augment(augment)
        if projection is not None:
            check_counts(projection=projection)
        self.lr, self.projection = lr, projection
        super().__init__(model)
        self.smoothing, self.contrast, self.temperature = smoothing, contrast, temperature
        self.replay, self.warmup, self.augment = replay, warmup, augment
        self.teacher = copy.deepcopy(self.model).requires_grad_(False)
        self.first = nn.ModuleList([copy.deepcopy(each).requires_grad_(False) for each in self._moving()])
        self.random = RandomStream()
        self.source: _Cycle | None = None
        self._first_state: dict[str, Any] = copy.deepcopy(self.optimizer.state_dict())

    @property
    def order_matters(self) -> bool:
        """Whether the order of a batch matters: each augmented item draws its own numbers."""
        return self.augment is not None

    def select(self) -> list[nn.Parameter]:
        """Return all parameters of the model, and those of a new projection.

        Raises:
            TypeError: the model has no linear head, which tells the width of its features.
        """
        head = getattr(self.model, "head", None)
        if not isinstance(head, nn.Linear):
            raise TypeError("rmt needs a linear head; give a tlzoo.nn.network.Network with one")
        self.register_buffer("prototypes", head.weight.detach().clone())
        self.projector: nn.Module = nn.Identity()
        if self.projection is not None:
            layers = nn.Linear(head.in_features, self.projection), nn.Linear(self.projection, self.projection)
            self.projector = nn.Sequential(layers[0], nn.ReLU(), layers[1]).to(head.weight)
        return [*self.model.parameters(), *self.projector.parameters()]

    def make_optimizer(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """Return Adam."""
        return Adam(parameters, lr=self.lr)

    def start(self, source: Iterable[tuple[Any, Tensor]]) -> None:
        """Compute class means and warm up; replay goes on from there.

        Args:
            source: each iteration passes over batches of inputs (B, ...) and labels (B,) of the source, in a random
                order.

        Raises:
            ValueError: there is no batch.
        """
        self.reset()
        with torch.inference_mode(False):
            with torch.no_grad():
                self._find_prototypes(source)
            self.source = _Cycle(source)
            with torch.enable_grad():
                self._warm_up(self.source)
            for kept, found in zip(self.first, self._moving(), strict=True):
                kept.load_state_dict(found.state_dict())
            self._first_state = copy.deepcopy(self.optimizer.state_dict())

    def _find_prototypes(self, source: Iterable[tuple[Any, Tensor]]) -> None:
        """Set the means of features by class; a class without an example keeps its row of the head's weights."""
        sums = torch.zeros(self.prototypes.shape, dtype=torch.float64, device=self.prototypes.device)
        counts = sums.new_zeros(len(sums))
        for inputs, labels in source:
            sums.index_add_(0, labels, self.answer(inputs).features.to(sums))
            counts += torch.bincount(labels, minlength=len(sums))
        if not counts.any():
            raise ValueError("the source has no example; expected batches of inputs and labels")
        means = (sums / counts[:, None]).to(self.prototypes)
        self.prototypes = torch.where(counts[:, None] > 0, means, self.prototypes)

    def _warm_up(self, source: _Cycle) -> None:
        step = count = 0
        while count < self.warmup:
            inputs, _ = source.next()
            if not step:
                steps = max(self.warmup // len(inputs), 1)
            if step == steps or not self.can_learn_from(inputs):
                break
            step, count = step + 1, count + len(inputs)
            self._rate(self.lr * step / steps)
            with torch.no_grad():
                answers = self.answer(inputs, self.teacher).logits
            self.step(symmetric_cross_entropy(self.answer(inputs).logits, answers).mean())
            self._follow()
        self._rate(self.lr)

    def _rate(self, lr: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = lr

    def adapt(self, inputs: Any) -> Tensor:
        """Return the sum (B, C) of the student's and the teacher's logits, and learn from them."""
        generator = self.random.next()
        with torch.no_grad():
            answers = self.answer(inputs, self.teacher).logits
        said = self.answer(inputs)
        if self.can_learn_from(inputs):
            others = None if self.augment is None else self.answer(changed(self.augment, inputs, generator))
            self.step(self._loss(said, others, answers))
            self._follow()
        return said.logits + answers

    def _loss(self, said: Prediction, others: Prediction | None, answers: Tensor) -> Tensor:
        shown = [said] if others is None else [said, others]
        loss = torch.stack([symmetric_cross_entropy(each.logits, answers).mean() for each in shown]).mean()
        if self.contrast:
            near = self.prototypes[nearest(said.features.detach(), self.prototypes)]
            loss = loss + self.contrast * contrast(
                [self.projector(each) for each in (near, *(each.features for each in shown))], self.temperature
            )
        if self.replay and self.source is not None:
            inputs, labels = self.source.next()
            loss = loss + self.replay * F.cross_entropy(self.answer(inputs).logits, labels)
        return loss

    @torch.no_grad()
    def _follow(self) -> None:
        for teacher, student in zip(self.teacher.parameters(), self.model.parameters(), strict=True):
            teacher.lerp_(student, 1 - self.smoothing)

    def _moving(self) -> tuple[nn.Module, ...]:
        return self.model, self.teacher, self.projector

    def reset(self) -> None:
        """Return to the model after the warm-up, or to the source model without one."""
        for found, kept in zip(self._moving(), self.first, strict=True):
            found.load_state_dict(kept.state_dict())
        with torch.inference_mode(False):  # its state is written to in later steps
            self.optimizer.load_state_dict(copy.deepcopy(self._first_state))
        self.random.restart()
        if self.source is not None:
            self.source = copy.copy(self.source)

    def get_extra_state(self) -> dict[str, Any]:
        """Return the state of the optimizer, and that to which a reset returns."""
        return {"now": super().get_extra_state(), "first": self._first_state}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Load both states of the optimizer."""
        super().set_extra_state(state["now"])
        self._first_state = state["first"]


class _Cycle:
    """Batches of a set, pass after pass; a copy begins a new pass."""

    def __init__(self, batches: Iterable[tuple[Any, Tensor]]) -> None:
        self.batches = batches
        self._pass: Iterator[tuple[Any, Tensor]] = iter(())

    def next(self) -> tuple[Any, Tensor]:
        """Return the next batch."""
        for batch in self._pass:
            return batch
        self._pass = iter(self.batches)
        return next(self._pass)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Cycle, (self.batches,)


def nearest(features: Tensor, prototypes: Tensor) -> Tensor:
    """Return for features (B, D) the rows (B,) of the prototypes (C, D) that are nearest by cosine."""
    ours, theirs = (F.normalize(at_least_float32(each), dim=1) for each in (features, prototypes))
    return matmul(ours, theirs.T).argmax(dim=1)


def contrast(views: Sequence[Tensor], temperature: float) -> Tensor:
    r"""Return the contrastive loss of V views (B, D) of the same items.

    .. math:: -\frac{1}{V B} \sum_a \frac{1}{V - 1} \sum_{p \in P(a)}
        \ln \frac{e^{z_a^\top z_p / T}}{\sum_{b \ne a} e^{z_a^\top z_b / T}}

    over all normalized views z, with the other views P(a) of the same item (Khosla et al., NeurIPS 2020,
    https://arxiv.org/abs/2004.11362).
    """
    z = F.normalize(torch.cat([at_least_float32(each) for each in views]), dim=1)
    size, rows = len(views[0]), torch.arange(len(z), device=z.device)
    similarity = matmul(z, z.T) / temperature
    own = rows[:, None] == rows
    chances = similarity - similarity.masked_fill(own, -torch.inf).logsumexp(dim=1, keepdim=True)
    others = [chances[rows, (rows + shift * size) % len(z)] for shift in range(1, len(views))]
    return -torch.stack(others).mean()
