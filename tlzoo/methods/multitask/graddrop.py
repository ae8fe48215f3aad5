"""GradDrop: at every coordinate, randomly drop the gradients of one sign."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.methods.multitask.jacobian import JacobianWeighting
from tlzoo.nn.random_stream import RandomStream
from tlzoo.paper import Paper

__all__ = ["GradDrop"]


class GradDrop(JacobianWeighting):
    r"""Gradient sign dropout (Chen et al., NeurIPS 2020), https://arxiv.org/abs/2010.06808.

    .. math:: p = \frac{1}{2} \left( 1 + \frac{\sum_i g_i}{\sum_i |g_i|} \right)

    With probability p, the purity of a coordinate, its positive entries are kept, otherwise its negative ones. The kept
    entries are summed. At shared features x (``space="features"`` of :class:`tlzoo.lit.Multitask`), purity and signs
    are those of sign(x) * g, summed over the batch, so that all examples share one mask per feature.

    Differs from the paper: by default it acts on the gradients of the shared parameters, each coordinate on its own.

    Args:
        num_tasks: T.
        leak: share of the dropped gradients to keep, in [0, 1].

    >>> GradDrop(2).direction(torch.tensor([[1.0, -1.0], [2.0, -3.0]]))
    tensor([ 3., -4.])
    """

    paper = Paper(
        title="Just Pick a Sign: Optimizing Deep Multitask Models with Gradient Sign Dropout",
        authors=("Chen", "Ngiam", "Huang", "Luong", "Kretzschmar", "Chai", "Anguelov"),
        venue="NeurIPS",
        year=2020,
        arxiv="2010.06808",
    )
    revision = 3

    def __init__(self, num_tasks: int, *, leak: float = 0.0) -> None:
        super().__init__(num_tasks)
        if not 0 <= leak <= 1:
            raise ValueError(f"leak {leak}; expected a number in [0, 1]")
        self.leak = leak
        self.random = RandomStream()

    @torch.no_grad()
    def combine(self, jacobian: Tensor) -> Tensor:
        """Map J (T, P) to the sum (P,) of the kept entries."""
        generator, parts = self.random.next(), self.by_feature(jacobian)
        if not parts:
            return (jacobian * self._mask(jacobian, generator)).sum(dim=0)
        kept = []
        for gradients, values in zip(parts, self.features, strict=True):
            mask = self._mask((values.sign() * gradients).sum(dim=1), generator)
            kept.append((gradients * mask[:, None]).sum(dim=0).flatten())
        return torch.cat(kept)

    def _mask(self, signed: Tensor, generator: torch.Generator) -> Tensor:
        """Return the factor of each gradient entry, given the signs (T, ...): 1 if it is kept, otherwise the leak."""
        absolute = signed.abs().sum(dim=0)
        purity = 0.5 * (1 + signed.sum(dim=0) / absolute.clamp_min(torch.finfo(absolute.dtype).tiny))
        drawn = torch.rand(purity.shape, generator=generator, dtype=torch.float64).to(purity)
        kept = ((drawn < purity) & (signed > 0)) | ((drawn >= purity) & (signed < 0))
        return self.leak + (1 - self.leak) * kept.to(signed)
