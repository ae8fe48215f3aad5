"""Runs one network with many sets of parameters, all at once if possible."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from tlzoo.nn.batch_statistics import statistics_of, uses_batch_statistics

__all__ = ["SeparateNetworks"]

_SLOW_RULE = "There is a performance drop"
"""Beginning of torch's warning that ``vmap`` repeats an operation for one network after the other."""


class SeparateNetworks:
    """Runs a network for E episodes, each with its own parameters.

    One call of ``vmap`` covers all episodes. If a layer does not support it (recurrent layers, value-dependent control
    flow), episodes run one after the other, with the same results and a single warning.

    Args:
        caller: name for the warning.
    """

    def __init__(self, caller: str) -> None:
        self.caller = caller
        self._one_by_one: dict[str, bool] = {}

    def __call__(
        self, model: nn.Module, parameters: Mapping[str, Tensor], inputs: Tensor, *, rows: int, twice: bool = False
    ) -> Tensor:
        """Return the outputs (E, N, ...) of a model.

        Args:
            model: maps (N, ...) to (N, ...).
            parameters: parameters by name, with a leading dimension E; missing ones are taken from the model.
            inputs: (E, N, ...).
            rows: the rows of each episode whose statistics normalize the batch.
            twice: whether the outputs are differentiated twice.
        """
        kind, failure = _kind(model), None
        alone = self._one_by_one.get(kind, _faster_one_by_one(model, inputs.device))
        # under vmap even for all rows, because torch's own batch normalization has a wrong second derivative there
        # (2.14: MAML's gradient through conv4 is off in the third digit)
        plain = not uses_batch_statistics(model) or (alone and rows == inputs.shape[1])
        with nullcontext() if plain else statistics_of(rows):
            if not alone:
                state = _random_state(inputs.device)
                try:
                    outputs = _all_at_once(model, parameters, inputs, strict=kind not in self._one_by_one)
                except torch.OutOfMemoryError:
                    raise
                except (RuntimeError, _SlowRuleError) as error:
                    failure = error
                    _restore(state, inputs.device)  # a run that goes on from a checkpoint fails again, and draws alike
                else:
                    self._one_by_one[kind] = False
                    return outputs
            outputs = _one_after_the_other(model, parameters, inputs, twice=twice)
        if failure is not None:
            self._warn(model, failure)
            self._one_by_one[kind] = True
        return outputs

    def _warn(self, model: nn.Module, error: Exception) -> None:
        reason = str(error).strip().split("\n")[0].split(". ")[0]
        warnings.warn(
            f"{self.caller}: {type(model).__name__} cannot run for all episodes at once ({reason}); they run one "
            "after the other, which takes longer",
            stacklevel=2,
        )


class _SlowRuleError(Exception):
    """Raised when an operation of the network has no rule for vmap."""


def _all_at_once(model: nn.Module, parameters: Mapping[str, Tensor], inputs: Tensor, *, strict: bool) -> Tensor:
    """Return the outputs (E, N, ...) of all episodes; ``strict``: refuse operations that vmap only repeats."""

    def output(parameters: dict[str, Tensor], inputs: Tensor) -> Tensor:
        result: Tensor = functional_call(model, parameters, (inputs,))
        return result

    with ExitStack() as stack:
        # fused attention has no rule for vmap and no second derivative
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.enter_context(_without_fused_encoders())
        if strict:
            stack.enter_context(_slow_rules_are_errors())
        stacked: Tensor = vmap(output, randomness="different")(dict(parameters), inputs)
    return stacked


def _one_after_the_other(model: nn.Module, parameters: Mapping[str, Tensor], inputs: Tensor, *, twice: bool) -> Tensor:
    """Return the outputs (E, N, ...) of all episodes."""
    apart = [{name: p[place] for name, p in parameters.items()} for place in range(len(inputs))]
    with ExitStack() as stack:
        if twice:
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            if any(isinstance(module, nn.RNNBase) for module in model.modules()):
                # cuDNN's have no second derivative
                stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        return torch.stack([functional_call(model, own, (items,)) for own, items in zip(apart, inputs, strict=True)])


def _random_state(device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Return the states of torch's generators on the processor and on a CUDA device."""
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def _restore(state: tuple[Tensor, Tensor | None], device: torch.device) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1], device)


@contextmanager
def _slow_rules_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=_SLOW_RULE)
        try:
            yield
        except UserWarning as warning:
            operation = str(warning).split("batching rule for ")[-1].split(". ")[0]
            raise _SlowRuleError(f"torch has no batching rule for {operation}") from warning


@contextmanager
def _without_fused_encoders() -> Iterator[None]:
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _faster_one_by_one(model: nn.Module, device: torch.device) -> bool:
    """Return whether the model convolves on a CPU.

    Separate filters for each episode become a grouped convolution, which takes a CPU 1.3 times as long as running
    conv4's convolutions one after the other, because these already keep it busy.
    """
    return device.type == "cpu" and any(isinstance(module, nn.modules.conv._ConvNd) for module in model.modules())


def _kind(model: nn.Module) -> str:
    """Return the classes of a model's modules, which determine whether all episodes can run at once."""
    classes = sorted({f"{type(m).__module__}.{type(m).__qualname__}" for m in model.modules()})
    return f"{'training' if model.training else 'evaluating'} {' '.join(classes)}"
