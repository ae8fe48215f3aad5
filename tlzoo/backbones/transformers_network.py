"""Networks of Hugging Face's transformers, from a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tlzoo.backbones.layer_groups import groups_by_name
from tlzoo.backbones.preprocess import ImagePreprocess
from tlzoo.backbones.resize import Interpolation
from tlzoo.backbones.sentence import without_bars
from tlzoo.errors import InputError
from tlzoo.types import Backbone, LayerGroup, Modality

__all__ = ["TransformersNetwork", "transformers_network"]

_INTERPOLATIONS: dict[int, Interpolation] = {2: "bilinear", 3: "bicubic"}
"""Pillow's number of a filter, as processors write it."""


class TransformersNetwork(Backbone):
    """An image or text model of transformers.

    Args:
        name: name that it was created by.
        network: the model.
        preprocess: of images; None for a model of texts.
        tokenizer: of texts; None for a model of images.
        pool: ``"mean"`` over tokens or positions, ``"first"`` token, or ``"pooler"``, the model's own.
    """

    def __init__(
        self, name: str, network: nn.Module, *, preprocess: ImagePreprocess | None, tokenizer: Any, pool: str
    ) -> None:
        super().__init__()
        self.name, self.network, self.pool = name, network, pool
        self._preprocess, self._tokenizer = preprocess, tokenizer
        self.modality: Modality = "image" if preprocess is not None else "text"
        with torch.no_grad():
            self.num_features = self(self.preprocess(self._example())).shape[1]

    def _example(self) -> Any:
        if self._preprocess is None:
            return ["width"]
        size = self._preprocess.size or 32
        height, width = (size, size) if isinstance(size, int) else size
        return torch.zeros(1, height, width, 3, dtype=torch.uint8)

    def forward(self, inputs: Any) -> Tensor:
        """Map images (B, 3, H, W), or B strings, to features (B, D)."""
        if isinstance(inputs, Tensor):
            return self._pooled(self.network(pixel_values=inputs), None)
        device = next(self.network.parameters()).device
        tokens = self._tokenizer(list(inputs), padding=True, truncation=True, return_tensors="pt").to(device)
        return self._pooled(self.network(**tokens), tokens["attention_mask"])

    def forward_map(self, inputs: Any) -> Tensor:
        """Map images to the last feature map (B, C, H, W).

        Raises:
            TypeError: the network has tokens in place of a map.
        """
        states: Tensor = self.network(pixel_values=inputs).last_hidden_state
        return states if states.dim() == 4 else super().forward_map(inputs)

    def _pooled(self, outputs: Any, mask: Tensor | None) -> Tensor:
        if self.pool == "pooler":
            pooled: Tensor | None = getattr(outputs, "pooler_output", None)
            if pooled is None:
                raise InputError(f"{self.name} has no pooler of its own; set pool='mean' or 'first'")
            return pooled.flatten(1)
        states: Tensor = outputs.last_hidden_state
        if states.dim() == 4:
            return states.mean(dim=(2, 3))
        if self.pool == "first":
            return states[:, 0]
        if mask is None:
            return states.mean(dim=1)
        weights = mask[..., None].to(states)
        return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp_min(1)

    def preprocess(self, items: Any) -> Any:
        """Turn images uint8 (B, H, W, C) into the input of ``forward``; texts stay as they are."""
        if self._preprocess is not None:
            return self._preprocess(items)
        return items.tolist() if hasattr(items, "tolist") else list(items)

    @property
    def preprocessing(self) -> str:
        """Identity of ``preprocess`` and of the pooling."""
        if self._preprocess is not None:
            return f"{self._preprocess.identity}, pool {self.pool}"
        vocabulary = hashlib.sha256(repr(sorted(self._tokenizer.get_vocab().items())).encode()).hexdigest()[:16]
        return f"text: {self._tokenizer.model_max_length} tokens, tokenizer {vocabulary}, pool {self.pool}"

    def layer_groups(self) -> tuple[LayerGroup, ...]:
        """Return the parts of the model in order, each of its layers apart."""

        def group_of(name: str) -> str:
            parts = name.split(".")
            numbered = next((place for place, part in enumerate(parts) if part.isdecimal()), None)
            return parts[0] if numbered is None else ".".join(parts[: numbered + 1])

        return groups_by_name(self.network, group_of)


def transformers_network(folder: str, *, pretrained: bool = True, pool: str = "mean") -> Backbone:
    """Make a backbone of an image or text model that ``save_pretrained`` wrote, from its folder.

    A folder with ``preprocessor_config.json`` holds a model of images, which are resized and normalized as it says;
    another one holds a model of texts with its tokenizer. Code in the folder is not run.

    Args:
        folder: of the model; nothing is looked up on a hub.
        pretrained: False starts with random weights, from the configuration alone.
        pool: ``"mean"`` over tokens (without padding) or positions, ``"first"`` token, or ``"pooler"``.

    Raises:
        ValueError: the folder holds no such model, or ``pool`` is unknown.
    """
    if pool not in ("mean", "first", "pooler"):
        raise InputError(f"pool {pool!r}; expected 'mean', 'first' or 'pooler'")
    path = Path(folder).expanduser()
    if not (path / "config.json").is_file():
        raise InputError(f"{path} has no config.json; expected a folder that save_pretrained wrote")
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    try:
        with without_bars():
            if pretrained:
                network: Any = AutoModel.from_pretrained(path, local_files_only=True, use_safetensors=True)
            else:
                make: Any = AutoModel
                network = make.from_config(AutoConfig.from_pretrained(path, local_files_only=True))
            pictured = path / "preprocessor_config.json"
            preprocess = _image_preprocess(json.loads(pictured.read_text())) if pictured.is_file() else None
            tokenizer: Any = None if preprocess else AutoTokenizer.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"transformers:{folder} cannot be loaded ({error}); save model and processor there") from error
    return TransformersNetwork(
        f"transformers:{folder}", network.eval(), preprocess=preprocess, tokenizer=tokenizer, pool=pool
    )


def _image_preprocess(config: Mapping[str, Any]) -> ImagePreprocess:
    size = config.get("crop_size" if config.get("do_center_crop") else "size", 224)
    side = size if isinstance(size, int) else size.get("height", size.get("shortest_edge", 224))
    normalizes = config.get("do_normalize", True)
    return ImagePreprocess(
        3,
        int(side),
        tuple(config.get("image_mean", (0.5,) * 3)) if normalizes else 0.0,
        tuple(config.get("image_std", (0.5,) * 3)) if normalizes else 1.0,
        _INTERPOLATIONS.get(int(config.get("resample", 3)), "bicubic"),
    )
