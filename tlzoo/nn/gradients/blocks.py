"""Parts of a Jacobian, each kept in the form in which it is small."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = ["Block", "DenseBlock", "FeatureBlock", "exact", "stacked", "summed_counts", "world_size"]

_COLUMNS = 1 << 14
"""How many columns of a Jacobian are widened at once: few enough to stay in a processor's cache."""


def exact(tensor: Tensor) -> Tensor:
    """Return a tensor in the precision of inner products: float64, where the device has it.

    Rows of float32 whose inner products are summed in float32 cannot be told from dependent ones unless they differ by
    a thousandth; summed in float64, by a millionth.
    """
    return tensor.float() if tensor.device.type == "mps" else tensor.double()


def row_products(matrix: Tensor) -> Tensor:
    """Return the inner products (T, T) of rows (T, P) in float64."""
    width = _COLUMNS if matrix.device.type == "cpu" else matrix.shape[1]
    parts = (exact(part) for part in torch.split(matrix, max(width, 1), dim=1))
    return torch.stack([part @ part.T for part in parts]).sum(dim=0)


def world_size() -> int:
    """Count the processes that train together; 1 where there is one."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def summed_counts(counts: list[int], *, like: Tensor) -> list[int]:
    """Return counts summed over processes, so that all of them decide alike; ``like`` names the device."""
    if world_size() == 1 or not counts:
        return counts
    total = torch.tensor(counts, device=like.device)
    dist.all_reduce(total)
    return [int(count) for count in total]


class Block:
    """The rows of T task gradients for some parameters."""

    parameters: tuple[Tensor, ...]

    def gramian(self) -> Tensor:
        """Return the inner products (T, T) of the rows, in float64."""
        raise NotImplementedError

    def combined(self, weights: Tensor) -> tuple[Tensor, ...]:
        """Return the weighted sum of the rows, one tensor a parameter."""
        raise NotImplementedError

    def rows(self) -> tuple[Tensor, ...]:
        """Return the rows (T, numel), one tensor a parameter."""
        raise NotImplementedError


class DenseBlock(Block):
    """The gradients themselves.

    Args:
        parameter: of any shape.
        gradients: one a task, of that shape; None where a task does not depend on it.
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
    """Gradients for a shared result, in place of those for the parameters behind it.

    Each process has the rows of its own examples: inner products are summed over processes, rows are not exchanged.

    Args:
        shared: the result; what it is given goes on to the parameters behind it.
        gradients: one a task, of its shape; None where a task does not depend on it.
    """

    def __init__(self, shared: Tensor, gradients: list[Tensor | None]) -> None:
        self.parameters = (shared,)
        self.matrix = stacked(shared, gradients)

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
        """Return the rows (T, numel).

        Raises:
            ValueError: there are several processes, each of which has a part alone.
        """
        if (world := world_size()) > 1:
            raise ValueError(
                f"gradients at the features are spread over {world} processes; methods that ask for the whole "
                'Jacobian take space="parameters" there'
            )
        return (self.matrix,)


def stacked(parameter: Tensor, gradients: list[Tensor | None]) -> Tensor:
    """Return gradients as rows (T, numel), in the precision of the weights; zeros stand for None."""
    matrix = parameter.new_zeros((len(gradients), parameter.numel()), requires_grad=False)
    for row, gradient in zip(matrix, gradients, strict=True):
        if gradient is not None:
            row.copy_(gradient.reshape(-1))
    return matrix
