"""Networks that encode images and texts into one space, such as CLIP, from a folder or a file."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from tlzoo.backbones.layer_groups import groups_by_name
from tlzoo.backbones.sentence import without_bars
from tlzoo.errors import InputError, InputTypeError, MissingFileError, MissingPackageError
from tlzoo.types import Backbone, LayerGroup

__all__ = ["ImageTextEncoder", "Towers", "clip"]

_OPEN_CLIP_CONFIG = "open_clip_config.json"


class Towers(nn.Module):
    """What an :class:`ImageTextEncoder` needs of a pair of networks."""

    @abstractmethod
    def pixels(self, images: list[Image.Image]) -> Tensor:
        """Turn images into inputs (B, 3, H, W) of the image network."""

    @abstractmethod
    def tokens(self, texts: list[str]) -> dict[str, Any]:
        """Turn texts into inputs of the text network."""

    @abstractmethod
    def encode_pixels(self, pixels: Tensor) -> Tensor:
        """Map (B, 3, H, W) to features (B, D)."""

    @abstractmethod
    def encode_tokens(self, tokens: dict[str, Any]) -> Tensor:
        """Map tokens of B texts to features (B, D)."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """All that happens to images and texts before the networks."""


class ImageTextEncoder(Backbone):
    """An encoder of images and texts; as a backbone it takes either.

    Args:
        name: name that it was created by.
        towers: the two networks.
        batch_size: number of texts that pass through the network at once.
    """

    modality = "image"

    def __init__(self, name: str, towers: Towers, *, batch_size: int = 32) -> None:
        super().__init__()
        if batch_size < 1:
            raise InputError(f"batch_size {batch_size}; expected at least 1")
        self.name, self.towers, self.batch_size = name, towers, batch_size
        self.requires_grad_(False)
        self.eval()
        with torch.no_grad():
            self.num_features = self._encode_texts(["width"]).shape[1]

    def train(self, mode: bool = True) -> Self:
        """Set training mode; a frozen encoder stays in evaluation mode, since its dropout would only be noise."""
        return super().train(mode and any(p.requires_grad for p in self.parameters()))

    def forward(self, inputs: Tensor | Sequence[str]) -> Tensor:
        """Map preprocessed images (B, 3, H, W) or B strings to features (B, D) of one space, not normalized."""
        return self.towers.encode_pixels(inputs) if isinstance(inputs, Tensor) else self._encode_texts(inputs)

    def _encode_texts(self, texts: Sequence[str]) -> Tensor:
        order = np.argsort([-len(text) for text in texts], kind="stable")
        device = next(self.parameters()).device
        parts = []
        for start in range(0, len(order), self.batch_size):
            tokens = self.towers.tokens([texts[place] for place in order[start : start + self.batch_size]])
            tokens = {key: value.to(device) if isinstance(value, Tensor) else value for key, value in tokens.items()}
            parts.append(self.towers.encode_tokens(tokens))
        if not parts:
            return torch.empty(0, self.num_features)
        features = torch.cat(parts)
        return features[torch.from_numpy(np.argsort(order)).to(features.device)]

    def preprocess(self, items: Any) -> Any:
        """Turn images uint8 (B, H, W, 1 or 3) into the image network's input, or strings into a list of strings.

        Raises:
            TypeError: neither images nor strings.
            ValueError: the images have the wrong shape.
        """
        if isinstance(items, Tensor) or getattr(items, "dtype", np.dtype(object)).kind == "u":
            return self.towers.pixels(_pictures(self.name, np.asarray(items)))
        texts = items.tolist() if isinstance(items, np.ndarray) else items
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise InputTypeError(
                f"{self.name} takes uint8 images (B, H, W, C) or a list of strings, not {_spelled(items)}"
            )
        return list(texts)

    @property
    def preprocessing(self) -> str:
        """Identity of what happens to images and texts before the networks."""
        return f"image and text: {self.towers.identity}"

    def layer_groups(self) -> tuple[LayerGroup, ...]:
        """Return what encodes texts (``text``, the temperature included), then what encodes images (``image``)."""
        return groups_by_name(self.towers, lambda name: "image" if "vis" in name else "text", order=("text", "image"))


def _pictures(name: str, images: Any) -> list[Image.Image]:
    if images.dtype != np.uint8:
        raise InputTypeError(f"{name} takes uint8 images in [0, 255], not {images.dtype}")
    if images.ndim != 4 or images.shape[3] not in (1, 3):
        raise InputError(f"{name} takes images (B, H, W, 1 or 3), not of shape {images.shape}")
    return [Image.fromarray(np.broadcast_to(image, (*image.shape[:2], 3)).copy()) for image in images]


def _spelled(items: Any) -> str:
    dtype = getattr(items, "dtype", None)
    return f"{type(items).__name__} of {dtype}" if dtype is not None else type(items).__name__


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class _SentenceTowers(Towers):
    """A CLIP model from sentence-transformers, or from transformers through it."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder

    def _prepared(self, items: list[Any]) -> dict[str, Any]:
        # renamed in sentence-transformers 6
        prepare = getattr(self.encoder, "preprocess", None) or self.encoder.tokenize
        prepared: dict[str, Any] = dict(prepare(items))
        return prepared

    def pixels(self, images: list[Image.Image]) -> Tensor:
        pixels: Tensor = self._prepared(images)["pixel_values"]
        return pixels

    def tokens(self, texts: list[str]) -> dict[str, Any]:
        return self._prepared(texts)

    def encode_pixels(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.encoder({"pixel_values": pixels, "modality": "image"})["sentence_embedding"]
        return features

    def encode_tokens(self, tokens: dict[str, Any]) -> Tensor:
        features: Tensor = self.encoder(tokens)["sentence_embedding"]
        return features

    @property
    def identity(self) -> str:
        processor = self.encoder[0].processor
        backend = getattr(self.encoder.tokenizer, "backend_tokenizer", None)
        words = backend.to_str() if backend is not None else repr(sorted(self.encoder.tokenizer.get_vocab().items()))
        return f"{_short_hash(processor.image_processor.to_json_string())}, tokenizer {_short_hash(words)}"


class _OpenClipTowers(Towers):
    """A network from open_clip."""

    def __init__(self, network: nn.Module, transform: Any, tokenizer: Any) -> None:
        super().__init__()
        self.network, self._transform, self._tokenizer = network, transform, tokenizer

    def pixels(self, images: list[Image.Image]) -> Tensor:
        return torch.stack([self._transform(image) for image in images])

    def tokens(self, texts: list[str]) -> dict[str, Any]:
        return {"text": self._tokenizer(texts)}

    def encode_pixels(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.network.encode_image(pixels)  # type: ignore[operator]
        return features

    def encode_tokens(self, tokens: dict[str, Any]) -> Tensor:
        features: Tensor = self.network.encode_text(tokens["text"])  # type: ignore[operator]
        return features

    @property
    def identity(self) -> str:
        return f"{self._transform}, {type(self._tokenizer).__name__} of {self._tokenizer.context_length} tokens"


def clip(
    name: str, *, pretrained: bool = True, checkpoint_path: str | Path | None = None, batch_size: int = 32
) -> Backbone:
    """Make a frozen encoder of images and texts from files on disk.

    As the ``features`` of a data module it encodes images, as its ``descriptions`` it encodes texts, both into one
    space where ``cosine`` compares them.

    Args:
        name: a folder with a CLIP model saved by sentence-transformers or transformers; a folder of open_clip
            (``open_clip_config.json`` and weights); or an open_clip architecture such as ``ViT-B-32``, with
            ``checkpoint_path``.
        pretrained: must be True; an untrained encoder is of no use.
        checkpoint_path: weights for the architecture, in open_clip's layout; read without unpickling code.
        batch_size: number of texts that pass through the network at once.

    Raises:
        ValueError: ``pretrained`` is False, there is no such folder or architecture, or the folder has no CLIP model.
        FileNotFoundError: ``checkpoint_path`` does not exist.
        ModuleNotFoundError: the model needs open_clip, which is not installed.

    Source: Radford et al., ICML 2021, https://arxiv.org/abs/2103.00020.
    """
    if not pretrained:
        raise InputError(f"clip:{name} has no untrained form; leave pretrained=True")
    folder = Path(name).expanduser()
    if checkpoint_path is not None or (folder / _OPEN_CLIP_CONFIG).is_file():
        towers: Towers = _open_clip(name, checkpoint_path)
    elif folder.is_dir():
        towers = _of_sentence_transformers(folder)
    else:
        raise InputError(
            f"clip:{name}: no such folder; expected one that sentence-transformers, transformers or open_clip saved, "
            "or an architecture of open_clip with checkpoint_path=FILE"
        )
    return ImageTextEncoder(f"clip:{name}", towers, batch_size=batch_size)


def _of_sentence_transformers(folder: Path) -> Towers:
    from sentence_transformers import SentenceTransformer

    try:
        with without_bars():
            encoder = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    except (OSError, ValueError) as error:
        raise InputError(f"clip:{folder} cannot be loaded ({error}); expected the folder of a CLIP") from error
    if not hasattr(getattr(encoder[0], "processor", None), "image_processor"):
        raise InputError(
            f"clip:{folder} encodes texts alone; use it as sentence:{folder}, or give the folder of a CLIP"
        )
    return _SentenceTowers(encoder)


def _open_clip(name: str, checkpoint_path: str | Path | None) -> Towers:
    if checkpoint_path is not None and not Path(checkpoint_path).is_file():
        raise MissingFileError(f"checkpoint_path {checkpoint_path} is not a file in {Path.cwd()}")
    try:
        import open_clip
    except ModuleNotFoundError as error:
        if error.name != "open_clip":
            raise
        raise MissingPackageError(
            f"clip:{name} is a network of open_clip, which is not installed: pip install 'tlzoo[clip]'",
            name="open_clip",
        ) from error

    source = name if checkpoint_path is not None else f"local-dir:{Path(name).expanduser()}"
    weights = None if checkpoint_path is None else str(checkpoint_path)
    try:
        network, _, transform = open_clip.create_model_and_transforms(source, pretrained=weights, weights_only=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"clip:{name} cannot be loaded by open_clip: {error}") from error
    return _OpenClipTowers(network, transform, open_clip.get_tokenizer(source))
