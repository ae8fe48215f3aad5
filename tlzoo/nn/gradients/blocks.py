"""Parts of a Jacobian, each kept in its smallest form."""

from __future__ import annotations

import functools

import torch
import torch.distributed as dist
from torch import Tensor

from tlzoo.functional import gather_with_gradient

__all__ = ["Block", "DenseBlock", "FeatureBlock", "exact", "stacked", "summed_counts", "world_size"]

_COLUMNS = 1 << 14
"""Columns of a Jacobian that are converted to float64 at once, few enough to fit a processor's cache."""


def exact(tensor: Tensor) -> Tensor:
    """Return a tensor in the precision of inner products: float64 if the device supports it.

    With inner products summed in float32, float32 rows that differ by less than a thousandth look linearly dependent;
    summed in float64, rows that differ by less than a millionth.
    """
    return tensor.float() if tensor.device.type == "mps" else tensor.double()


def row_products(matrix: Tensor) -> Tensor:
    """Return the inner products (T, T) of rows (T, P) in float64."""
    width = _COLUMNS if matrix.device.type == "cpu" else matrix.shape[1]
    parts = (exact(part) for part in torch.split(matrix, max(width, 1), dim=1))
    return torch.stack([part @ part.T for part in parts]).sum(dim=0)


def world_size() -> int:
    """Return the number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def summed_counts(counts: list[int], *, like: Tensor) -> list[int]:
    """Return counts summed over processes, so that all make the same decision; ``like`` determines the device."""
    if world_size() == 1 or not counts:
        return counts
    total = torch.tensor(counts, device=like.device)
    dist.all_reduce(total)
    return [int(count) for count in total]


class Block:
    """The rows of T task gradients for some parameters."""

    parameters: tuple[Tensor, ...]

    @property
    def columns(self) -> int:
        """The number of columns."""
        return sum(parameter.numel() for parameter in self.parameters)

    def gramian(self) -> Tensor:
        """Return the inner products (T, T) of the rows, in float64."""
        raise NotImplementedError

    def combined(self, weights: Tensor) -> tuple[Tensor, ...]:
        """Return the weighted sum of the rows, one tensor per parameter."""
        raise NotImplementedError

    def rows(self) -> tuple[Tensor, ...]:
        """Return the rows (T, numel), one tensor per parameter."""
        raise NotImplementedError

    def parted(self, direction: Tensor) -> tuple[Tensor, ...]:
        """Return the part of a direction (:attr:`columns`,) that belongs to each parameter."""
        return torch.split(direction, [parameter.numel() for parameter in self.parameters])


class DenseBlock(Block):
    """The gradients themselves.

    Args:
        parameter: of any shape.
        gradients: one per task, of that shape; None for a task that does not depend on it.
    """

    def __init__(self, parameter: Tensor, gradients: list[Tensor | None]) -> None:
        self.parameters = (parameter,)
        self.matrix = stacked(parameter, gradients)
        if (world := world_size()) > 1:
            dist.all_reduce(self.matrix)
            self.matrix /= world

    def gramian(self) -> Tensor:
        """Return the inner products (T, T) of the rows, in float64."""
        return row_products(self.matrix)

    def combined(self, weights: Tensor) -> tuple[Tensor, ...]:
        """Return the weighted sum of the rows."""
        return ((weights.to(self.matrix) @ self.matrix).view(self.parameters[0].shape),)

    def rows(self) -> tuple[Tensor, ...]:
        """Return the rows (T, numel)."""
        return (self.matrix,)


class FeatureBlock(Block):
    """Gradients for a shared result, instead of gradients for the parameters that produced it.

    Each process has the rows of its own examples. Inner products are summed over processes. Rows, when requested, cover
    the whole batch, and each process keeps its part of the direction.

    Args:
        shared: the result (B, ...); gradients for it go on to the parameters that produced it.
        gradients: one per task, of its shape; None for a task that does not depend on it.
    """

    def __init__(self, shared: Tensor, gradients: list[Tensor | None]) -> None:
        self.parameters = (shared,)
        self.matrix = stacked(shared, gradients)

    @property
    def columns(self) -> int:
        """The number of columns, for the examples of all processes."""
        return super().columns if world_size() == 1 else sum(self._sizes) * self._width

    @property
    def _width(self) -> int:
        return self.parameters[0].shape[1:].numel()

    @functools.cached_property
    def _sizes(self) -> list[int]:
        """The number of examples of each process."""
        size = torch.tensor([len(self.parameters[0])], device=self.matrix.device)
        return [int(count) for count in gather_with_gradient(size)]

    def values(self) -> Tensor:
        """Return the shared result of the whole batch (sum of B, ...), to which the columns belong."""
        return gather_with_gradient(self.parameters[0].detach())

    def gramian(self) -> Tensor:
        """Return the inner products (T, T) of the rows, in float64."""
        products = row_products(self.matrix)
        if (world := world_size()) > 1:
            dist.all_reduce(products)
            products /= world**2
        return products

    def combined(self, weights: Tensor) -> tuple[Tensor, ...]:
        """Return the weighted sum of the rows."""
        return ((weights.to(self.matrix) @ self.matrix).view(self.parameters[0].shape),)

    def rows(self) -> tuple[Tensor, ...]:
        """Return the rows (T, columns)."""
        if (world := world_size()) == 1:
            return (self.matrix,)
        tasks = len(self.matrix)
        by_example = self.matrix.view(tasks, -1, self._width).transpose(0, 1).contiguous()
        # each process went backward from the loss of the whole batch, and the gradients were summed
        joint = gather_with_gradient(by_example) / world
        return (joint.transpose(0, 1).reshape(tasks, -1),)

    def parted(self, direction: Tensor) -> tuple[Tensor, ...]:
        """Return the part of a direction (columns,) that belongs to this process's examples."""
        if (world := world_size()) == 1:
            return (direction,)
        before, own = sum(self._sizes[: dist.get_rank()]), self._sizes[dist.get_rank()]
        # gradients are averaged over processes, each of which only has the columns of its own examples
        return (world * direction[before * self._width : (before + own) * self._width],)


def stacked(parameter: Tensor, gradients: list[Tensor | None]) -> Tensor:
    """Return gradients as rows (T, numel), in float32 at least; zeros stand for None."""
    dtype = torch.promote_types(parameter.dtype, torch.float32)
    matrix = parameter.new_zeros((len(gradients), parameter.numel()), dtype=dtype, requires_grad=False)
    for row, gradient in zip(matrix, gradients, strict=True):
        if gradient is not None:
            row.copy_(gradient.reshape(-1))
    return matrix
