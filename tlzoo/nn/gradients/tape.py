"""Records which layers of a network use which parameters during the forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from tlzoo.nn.gradients.blocks import Block, DenseBlock, FeatureBlock, summed_counts
from tlzoo.nn.gradients.linear import LinearCall, LinearLayer
from tlzoo.nn.gradients.task_gradients import TaskGradients

__all__ = ["GradientSpace", "TaskTape"]

GradientSpace = Literal["parameters", "features"]


class TaskTape(TorchFunctionMode):
    """Records the forward pass of a shared network, then computes the exact gradients of the tasks.

    Run the shared part inside ``with tape:`` and pass its result through :meth:`cut`; heads and losses follow, inside
    or outside. For a linear layer the tape only keeps the inputs and the gradients of the outputs; any other use of a
    parameter is differentiated as usual, so the gradients of every network are exact.

    Args:
        parameters: the shared parameters; those without gradient are left out.
    """

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        super().__init__()
        self.parameters = [p for p in parameters if p.requires_grad]
        self._known = {id(p) for p in self.parameters}
        self._direct: set[int] = set()
        self._calls: dict[int, list[LinearCall]] = {}
        self._shared: list[Tensor] = []
        self._leaves: list[Tensor] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        settings = kwargs or {}
        result = func(*args, **settings)
        if torch.is_grad_enabled():
            self._note(func, args, settings, result)
        return result

    def _note(self, func: Callable[..., Any], args: Sequence[Any], settings: Mapping[str, Any], result: Any) -> None:
        used = [t for t in _tensors([args, settings]) if id(t) in self._known]
        if not used or not any(t.requires_grad for t in _tensors([result])):
            return
        if func is F.linear:
            call = _linear_call(args, settings, result)
            if id(call.weight) in self._known:
                self._calls.setdefault(id(call.weight), []).append(call)
                used = [t for t in used if t is not call.weight and t is not call.bias]  # perhaps the input
        self._direct.update(map(id, used))

    def cut(self, shared: Any) -> Any:
        """Return the input of the heads for the shared network's result (a tensor or a tuple of tensors).

        Tensors that do not depend on shared parameters pass unchanged.
        """
        if isinstance(shared, tuple):
            return tuple(self.cut(part) for part in shared)
        if not isinstance(shared, Tensor) or not shared.requires_grad:
            return shared
        leaf = shared.detach().requires_grad_()
        self._shared.append(shared)
        self._leaves.append(leaf)
        return leaf

    def gradients(
        self, losses: Sequence[Tensor], *, private: Iterable[Tensor] = (), space: GradientSpace = "parameters"
    ) -> TaskGradients:
        """Return the gradients of the tasks' losses, which follow from the result of :meth:`cut`.

        Args:
            losses: T scalars, one per task; leave out tasks without labels in the batch.
            private: parameters after the cut (heads); they get the gradients of their own tasks' losses.
            space: ``"parameters"``: rows are gradients of the shared parameters. ``"features"``: gradients at the cut,
                an upper bound that costs next to nothing (MGDA-UB, IMTL).

        Raises:
            ValueError: there is no loss, or nothing shared to train.
        """
        if not losses or not self._shared:
            raise ValueError(
                f"{len(losses)} losses and {len(self._shared)} shared results that ask for a gradient; expected at "
                "least one of each: share trainable layers, and cut() what they return"
            )
        with torch.autocast(losses[0].device.type, enabled=False):
            private = [p for p in private if p.requires_grad]
            at_cut, own = _behind_the_cut(losses, self._leaves, private)
            if space == "features":
                rows = zip(self._shared, zip(*at_cut, strict=True), strict=True)
                blocks: list[Block] = [FeatureBlock(shared, list(gradients)) for shared, gradients in rows]
            else:
                blocks = self._before_the_cut(at_cut)
        made_in = max((shared.dtype for shared in self._shared), key=lambda dtype: torch.finfo(dtype).eps)
        return TaskGradients(blocks, losses=losses, private=private, own=own, made_in=made_in)

    def _before_the_cut(self, at_cut: list[list[Tensor | None]]) -> list[Block]:
        """Go backward through the shared network, once per task."""
        layers = self._factored_layers(len(at_cut))
        in_layers = {id(p) for layer in layers for p in layer.parameters}
        direct = [p for p in self.parameters if id(p) not in in_layers]
        edges: list[Any] = [call.output for layer in layers for call in layer.calls]
        found = []
        for number, gradients in enumerate(at_cut, start=1):
            reached = [(s, g) for s, g in zip(self._shared, gradients, strict=True) if g is not None]
            found.append(
                torch.autograd.grad(
                    [s for s, _ in reached],
                    [*edges, *direct],
                    [g for _, g in reached],
                    retain_graph=number < len(at_cut),
                    allow_unused=True,
                )
            )
        columns = [list(column) for column in zip(*found, strict=True)]
        blocks: list[Block] = []
        for layer in layers:
            blocks.append(layer.block(columns[: len(layer.calls)]))
            del columns[: len(layer.calls)]
        blocks += [DenseBlock(p, column) for p, column in zip(direct, columns, strict=True)]
        return blocks

    def _factored_layers(self, tasks: int) -> list[LinearLayer]:
        """Return the linear layers worth keeping in factors, with each parameter in at most one."""
        owners: dict[int, set[int]] = {}
        for weight, calls in self._calls.items():
            for call in calls:
                owners.setdefault(id(call.bias), set()).add(weight)
        layers = []
        for weight, calls in self._calls.items():
            if weight in self._direct:
                continue
            bias = calls[0].bias
            alone = all(call.bias is bias for call in calls) and owners[id(bias)] == {weight}
            if bias is None or not alone or id(bias) in self._direct or id(bias) not in self._known:
                bias = None
            layers.append(LinearLayer(calls, bias))
        rows = summed_counts([layer.rows for layer in layers], like=self._shared[0])
        return [layer for layer, count in zip(layers, rows, strict=True) if layer.is_cheaper(tasks, count)]


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
        elif isinstance(value, dict):
            yield from _tensors(value.values())


def _linear_call(args: Sequence[Any], settings: Mapping[str, Any], result: Tensor) -> LinearCall:
    given = dict(zip(_LINEAR_ARGUMENTS, args, strict=False)) | dict(settings)
    edge = get_gradient_edge(result)  # what happens to the result in place comes behind it
    inputs: Tensor = given["input"]
    return LinearCall(given["weight"], given.get("bias"), inputs.detach(), inputs._version, edge)


_LINEAR_ARGUMENTS = ("input", "weight", "bias")


def _behind_the_cut(
    losses: Sequence[Tensor], leaves: list[Tensor], private: list[Tensor]
) -> tuple[list[list[Tensor | None]], list[list[Tensor | None]]]:
    """Return the gradients of each task at the cut, and of the private parameters."""
    at_cut: list[list[Tensor | None]] = []
    own: list[list[Tensor | None]] = []
    for number, loss in enumerate(losses, start=1):
        found = torch.autograd.grad(loss, [*leaves, *private], retain_graph=number < len(losses), allow_unused=True)
        at_cut.append(list(found[: len(leaves)]))
        own.append(list(found[len(leaves) :]))
    return at_cut, own
