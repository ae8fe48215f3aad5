"""Trained modules as programs that run without tlzoo: ``torch.export`` and ONNX."""

from __future__ import annotations

import copy
import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tlzoo.backbones import create_backbone
from tlzoo.errors import InputError, MissingPackageError

if TYPE_CHECKING:
    from tlzoo.lit.module import TransferModule

__all__ = ["export"]

_SUFFIXES = (".pt2", ".onnx")


def export(module: TransferModule, path: str | os.PathLike[str], example: Any) -> Path:
    """Write a module as a program from raw items to probabilities, with its preprocessing, for batches of any size.

    Multitask modules give one output per task. Where the network takes features of a frozen backbone and ``example``
    holds raw items, the program includes that backbone.

    Args:
        module: trained, and not adapting while it predicts.
        path: a new file: ``.pt2`` for :func:`torch.export.load`, ``.onnx`` for ONNX (``pip install onnx onnxscript``).
        example: one item or more, as for ``predict``: uint8 pictures, series or features. Texts have no fixed form as
            tensors, so modules on texts cannot be exported.

    Returns:
        The file.

    Raises:
        ValueError: the path has another suffix, or the items are texts.
        FileExistsError: the file exists.
        ImportError: ONNX is not installed.
        TypeError: the module adapts while it predicts, or needs a support set.
    """
    file = Path(path).expanduser()
    if file.suffix not in _SUFFIXES:
        raise InputError(f"{file.name} ends in {file.suffix!r}; expected one of {', '.join(_SUFFIXES)}")
    if file.exists():
        raise FileExistsError(f"{file} exists; choose a new file")
    if file.suffix == ".onnx" and (missing := [n for n in ("onnx", "onnxscript") if not importlib.util.find_spec(n)]):
        raise MissingPackageError(
            f"ONNX needs {' and '.join(missing)}: pip install {' '.join(missing)}; or write a .pt2 file"
        )
    program, inputs = _program(module, example)
    shapes = ({0: torch.export.Dim("items", min=1)},)
    file.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        program(inputs)  # what is computed once and kept must not be kept from the trace
        if file.suffix == ".onnx":
            torch.onnx.export(
                program, (inputs,), file, dynamo=True, dynamic_shapes=shapes, input_names=["items"], verbose=False
            )
        else:
            torch.export.save(torch.export.export(program, (inputs,), dynamic_shapes=shapes), file)
    return file


class _Program(nn.Module):
    """Maps raw items to answers, through the frozen backbone where there is one."""

    def __init__(self, module: TransferModule, frozen: nn.Module | None) -> None:
        super().__init__()
        self.module, self.frozen = module, frozen

    def forward(self, items: Tensor) -> Any:
        """Map items (B, ...) to what the module answers."""
        if self.frozen is not None:
            items = self.frozen(self.frozen.preprocess(items))  # type: ignore[operator]  # a backbone's own
        return self.module.answers(items)


def _program(module: TransferModule, example: Any) -> tuple[_Program, Tensor]:
    """Return the program and two raw items for a trace: with one, the number of items would be taken for a constant."""
    if module.facts is None:
        raise InputError(f"{type(module).__name__} does not know its data; train or test it with a data module first")
    inputs, modality = module.facts.inputs(example)
    if modality == "text":
        raise InputError("modules on texts cannot be exported; texts have no fixed form as tensors")
    if not len(inputs):
        raise InputError("the example is empty; expected at least one item")
    frozen = None
    if module.facts.features is not None and modality != "features":
        frozen = create_backbone(module.facts.backbone_name()).eval().requires_grad_(False)
    rows = module.facts.tensor(inputs, [0, len(inputs) - 1], modality)
    return _Program(_merged(module), frozen).eval(), rows


def _merged(module: TransferModule) -> TransferModule:
    """Return a copy on the CPU whose adapters are part of its weights: some of peft's cannot be traced."""
    own = copy.deepcopy(module).cpu().eval()
    for layer in own.modules():
        if hasattr(layer, "merged_adapters"):
            base: Any = layer.get_base_layer()  # type: ignore[operator]  # peft's own, as is merge
            base.weight = nn.Parameter(base.weight.detach().clone())  # no longer tied: adapters of tied weights differ
            layer.merge()  # type: ignore[operator]
    return own
