"""MEMO: make the predictions for augmented copies of one example certain and equal, then answer it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import SGD, Optimizer

from tlzoo.functional.checks import check_at_least, check_counts, check_positive
from tlzoo.functional.precision import at_least_float32
from tlzoo.methods.augmenting import Augment, changed, check_augment
from tlzoo.methods.test_time import Online
from tlzoo.nn.normalization import batch_layers
from tlzoo.nn.random_stream import RandomStream
from tlzoo.paper import Paper

__all__ = ["MEMO", "marginal_entropy"]


class MEMO(Online):
    r"""Marginal entropy minimization (Zhang, Levine & Finn, NeurIPS 2022), https://arxiv.org/abs/2110.09506.

    For each example alone, all weights take ``steps`` steps of gradient descent on the entropy of the mean prediction
    for augmented copies,

    .. math:: H\left( \frac{1}{K} \sum_k p(\tilde x_k) \right)

    which is low where the copies are classified alike and with certainty. The model then answers the example and
    returns to the source model. Batch normalization blends the source's statistics with those of the copies, or of the
    example, in which the source counts as ``prior`` of ``prior`` + 1 parts.

    The defaults are those for CIFAR-10, where the network has no batch normalization; for ImageNet, the paper takes 64
    copies, ``lr=0.00025`` and ``prior=16``.

    Differs from the paper: copies are views of the library (:func:`~tlzoo.methods.augmenting.changed`) instead of
    AugMix, or what you give.

    Args:
        model: the source model; copied.
        lr: learning rate of gradient descent.
        steps: steps for each example.
        copies: K.
        prior: weight of the source's statistics in batch normalization.
        augment: maps inputs (B, ...) and a generator to changed inputs, or names a view. There are none of texts, or of
            pictures that are no uint8 (B, H, W, C): give a function.
    """

    label = "MEMO"
    paper = Paper(
        title="MEMO: Test Time Robustness via Adaptation and Augmentation",
        authors=("Zhang", "Levine", "Finn"),
        venue="NeurIPS",
        year=2022,
        arxiv="2110.09506",
    )
    variants = ({"copies": 4}, {"copies": 3, "steps": 2, "augment": "weak"})

    def __init__(
        self,
        model: nn.Module,
        *,
        lr: float = 0.005,
        steps: int = 1,
        copies: int = 32,
        prior: float = 16.0,
        augment: Augment | str = "strong",
    ) -> None:
        check_positive(lr=lr)
        check_counts(steps=steps, copies=copies)
        check_at_least(0, prior=prior)
        check_augment(augment)
        self.lr = lr
        super().__init__(model)
        self.steps, self.copies, self.prior, self.augment = steps, copies, prior, augment
        self.random = RandomStream()

    @property
    def order_matters(self) -> bool:
        """Whether the order of a batch matters: each example draws its own copies."""
        return True

    def select(self) -> list[nn.Parameter]:
        """Return all parameters."""
        return list(self.model.parameters())

    def make_optimizer(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """Return gradient descent."""
        return SGD(parameters, lr=self.lr)

    def adapt(self, inputs: Any) -> Tensor:
        """Return the logits (B, C), each of the source model adapted to this example."""
        with self._blended():
            logits = [self._alone(inputs[place : place + 1]) for place in range(len(inputs))]
        self._return()
        return torch.cat(logits)

    def _alone(self, example: Any) -> Tensor:
        self._return()
        generator = self.random.next()
        for _ in range(self.steps):
            copies = [changed(self.augment, example, generator) for _ in range(self.copies)]
            joined = torch.cat(copies) if isinstance(example, Tensor) else [each for copy in copies for each in copy]
            self.step(marginal_entropy(self.predict(joined).logits))
        with torch.no_grad():
            return self.predict(example).logits

    @torch.no_grad()
    def _return(self) -> None:
        for own, source in zip(self.trained, self.initial.parameters(), strict=True):
            own.copy_(source)

    @contextmanager
    def _blended(self) -> Iterator[None]:
        """Let batch normalization blend the source's statistics with those of what comes in."""
        share = 1 / (self.prior + 1)

        @torch.no_grad()
        def blend(layer: _BatchNorm, source: _BatchNorm, values: Tensor) -> None:
            flat = at_least_float32(values.detach()).transpose(0, 1).flatten(1)
            found = flat.mean(dim=1), flat.var(dim=1, correction=min(flat.shape[1] - 1, 1))
            for name, value in zip(("running_mean", "running_var"), found, strict=True):
                start = source.get_buffer(name)
                layer.get_buffer(name).copy_(torch.lerp(start, value.to(start), share))

        pairs = list(zip(batch_layers(self.model), batch_layers(self.initial), strict=True))
        hooks = [
            layer.register_forward_pre_hook(lambda own, given, source=source: blend(own, source, given[0]))
            for layer, source in pairs
        ]
        try:
            yield
        finally:
            for hook, (layer, source) in zip(hooks, pairs, strict=True):
                hook.remove()
                layer.load_state_dict(source.state_dict())

    def reset(self) -> None:
        """Return to the source model, and to the first copies."""
        super().reset()
        self.random.restart()


def marginal_entropy(logits: Tensor) -> Tensor:
    """Return the entropy of the mean of the probabilities of logits (K, C).

    >>> round(float(marginal_entropy(torch.tensor([[9.0, -9.0], [-9.0, 9.0]]))), 3)
    0.693
    """
    chances = at_least_float32(logits).log_softmax(dim=1)
    mean = chances.logsumexp(dim=0) - chances.new_tensor(len(chances)).log()
    return -(mean.clamp_min(torch.finfo(mean.dtype).min) * mean.exp()).sum()
