"""Linear layers, whose weight gradients are products of two thin matrices."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from tlzoo.functional import gather_with_gradient
from tlzoo.nn.gradients.blocks import Block, exact, world_size

__all__ = ["LinearBlock", "LinearCall", "LinearLayer", "factored_is_cheaper"]


def factored_is_cheaper(tasks: int, rows: int, inputs: int, outputs: int) -> bool:
    """Return whether inner products take fewer operations from (A A^T) o (D_s D_t^T) than from weight gradients.

    >>> factored_is_cheaper(8, 64, 4096, 128), factored_is_cheaper(8, 12544, 384, 384)
    (True, False)
    """
    pairs = tasks * (tasks + 1) // 2
    factored = rows**2 * (inputs + pairs * outputs)
    dense = tasks * rows * inputs * outputs + pairs * inputs * outputs
    return factored < dense


@dataclass(frozen=True)
class LinearCall:
    """One call of a linear layer: its input, and where to find the gradient of its output."""

    weight: Tensor
    bias: Tensor | None
    inputs: Tensor
    version: int
    output: GradientEdge

    @property
    def size(self) -> int:
        """The number of rows of the input."""
        return self.inputs.numel() // self.inputs.shape[-1]

    def rows(self) -> Tensor:
        """Return the inputs (N, I).

        Raises:
            RuntimeError: they were changed in place after the call.
        """
        if self.inputs._version != self.version:
            raise RuntimeError(
                "the input of a linear layer was changed in place after the call, so its gradient is unknown; "
                "use an operation that is not in place"
            )
        return self.inputs.reshape(-1, self.inputs.shape[-1]).to(self.weight.dtype)


class LinearLayer:
    """All calls of one weight.

    Args:
        calls: at least one.
        bias: their bias if it belongs to this layer alone, otherwise None.
    """

    def __init__(self, calls: list[LinearCall], bias: Tensor | None) -> None:
        self.calls, self.weight, self.bias = calls, calls[0].weight, bias

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """The weight, and the bias if it is the layer's own."""
        return (self.weight,) if self.bias is None else (self.weight, self.bias)

    @property
    def rows(self) -> int:
        """The number of rows of all calls in this process."""
        return sum(call.size for call in self.calls)

    def is_cheaper(self, tasks: int, rows: int) -> bool:
        """Return whether factors are cheaper, given the number of rows in all processes."""
        outputs, inputs = self.weight.shape
        return factored_is_cheaper(tasks, rows, inputs, outputs)

    def block(self, gradients: list[list[Tensor | None]]) -> LinearBlock:
        """Return the factored gradients, from the gradients of the outputs by call and task."""
        inputs = torch.cat([call.rows() for call in self.calls])
        parts = [self._outputs(call, column) for call, column in zip(self.calls, gradients, strict=True)]
        return LinearBlock(self.weight, self.bias, inputs, torch.cat(parts, dim=1))

    def _outputs(self, call: LinearCall, column: list[Tensor | None]) -> Tensor:
        shape = (call.size, self.weight.shape[0])
        zero = self.weight.new_zeros(shape, requires_grad=False)
        return torch.stack([zero if g is None else g.reshape(shape).to(zero.dtype) for g in column])


class LinearBlock(Block):
    """The gradients of a linear layer's weight (and bias), kept as its inputs and the gradients of its outputs.

    The weight gradient of task t is D_t^T A, so <g_s, g_t> is the sum of the entries of (A A^T) o (D_s D_t^T), and no
    weight gradient is ever formed.

    Args:
        weight: (O, I).
        bias: (O,), or None.
        inputs: A (N, I), rows of all calls of the layer.
        gradients: D (T, N, O).
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, inputs: Tensor, gradients: Tensor) -> None:
        self.parameters = (weight,) if bias is None else (weight, bias)
        if (world := world_size()) > 1:
            # the average over processes, each of which has its own rows
            inputs = gather_with_gradient(inputs.contiguous())
            gradients = gather_with_gradient(gradients.transpose(0, 1).contiguous()).transpose(0, 1) / world
        self.inputs, self.gradients = inputs, gradients

    def gramian(self) -> Tensor:
        """Return the inner products (T, T) of the rows, in float64."""
        return self._products(exact(self.inputs), exact(self.gradients))

    def quick_gramian(self) -> Tensor:
        """Return the inner products (T, T) of the rows from matrix products in the precision of the weights.

        This takes half the time on a CPU, and far less on accelerators that are slow in float64.
        """
        return exact(self._products(self.inputs, self.gradients))

    def _products(self, inputs: Tensor, gradients: Tensor) -> Tensor:
        tasks, count, _ = gradients.shape
        likeness = inputs @ inputs.T
        if len(self.parameters) == 2:
            likeness = likeness + 1  # the bias is the weight of an input that is always 1
        flat = gradients.reshape(tasks * count, -1)
        result = likeness.new_empty(tasks, tasks)
        for task in range(tasks):
            products = (flat[task * count :] @ gradients[task].T).view(tasks - task, count, count)
            result[task, task:] = result[task:, task] = (products * likeness).sum(dim=(1, 2))
        return result

    def combined(self, weights: Tensor) -> tuple[Tensor, ...]:
        """Return the weighted sum of the rows, (O, I) and (O,)."""
        outputs = torch.einsum("t,tno->no", weights.to(self.gradients), self.gradients)
        return (outputs.T @ self.inputs, outputs.sum(dim=0))[: len(self.parameters)]

    def rows(self) -> tuple[Tensor, ...]:
        """Form the rows (T, O * I) and (T, O)."""
        weight = torch.einsum("tno,ni->toi", self.gradients, self.inputs).flatten(1)
        return (weight, self.gradients.sum(dim=1))[: len(self.parameters)]
