"""Sentence encoders from sentence-transformers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from tlzoo import sources
from tlzoo.backbones.layer_groups import groups_by_name
from tlzoo.errors import InputError, InputTypeError
from tlzoo.types import Backbone, LayerGroup

__all__ = ["SentenceEncoder", "sentence", "without_bars"]

_LAYER = re.compile(r"\blayers?\.(\d+)\.")


class SentenceEncoder(Backbone):
    """A sentence encoder for strings.

    Args:
        name: name that it was created by.
        encoder: a ``SentenceTransformer``.
        batch_size: number of texts that pass through the network at once.
        max_characters: longer texts are cut before tokenization; None leaves it to the encoder's own token limit.
    """

    modality = "text"

    def __init__(
        self, name: str, encoder: nn.Module, *, batch_size: int = 32, max_characters: int | None = None
    ) -> None:
        super().__init__()
        if batch_size < 1 or (max_characters is not None and max_characters < 1):
            raise InputError(
                f"batch_size {batch_size}, max_characters {max_characters}; expected both to be at least 1"
            )
        self.name, self.encoder = name, encoder
        self.batch_size, self.max_characters = batch_size, max_characters
        self.requires_grad_(False)
        self.eval()
        with torch.no_grad():
            self.num_features = self._embed(["width"]).shape[1]

    def train(self, mode: bool = True) -> Self:
        """Set training mode; a frozen encoder stays in evaluation mode, since its dropout would only be noise."""
        return super().train(mode and any(p.requires_grad for p in self.parameters()))

    def forward(self, inputs: Sequence[str] | Tensor) -> Tensor:
        """Map B strings to features (B, D); texts of similar length share a batch, which saves padding.

        Callers that need texts as tensors can pass tokens (B, L) from :meth:`tokens`, which go through the network at
        once.

        Raises:
            TypeError: the inputs are one string, or neither strings nor tokens.
        """
        if isinstance(inputs, Tensor):
            return self._embed_tokens(inputs)
        texts = self.preprocess(inputs)
        order = np.argsort([-len(text) for text in texts], kind="stable")
        parts = [
            self._embed([texts[i] for i in order[start : start + self.batch_size]])
            for start in range(0, len(order), self.batch_size)
        ]
        if not parts:
            return torch.empty(0, self.num_features)
        features = torch.cat(parts)
        return features[torch.from_numpy(np.argsort(order)).to(features.device)]

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """Return the token ids (B, L) of texts as int64, padded to the longest."""
        rows: Tensor = self._tokenized(self.preprocess(texts))["input_ids"]
        return rows

    def _tokenized(self, texts: list[str]) -> Any:
        # renamed in sentence-transformers 6
        tokenize: Any = getattr(self.encoder, "preprocess", None) or self.encoder.tokenize
        return tokenize(texts)

    def _embed_tokens(self, tokens: Tensor) -> Tensor:
        tokenizer: Any = self.encoder.tokenizer
        there = tokens != tokenizer.pad_token_id
        longest = int(there.sum(dim=1).max())  # tokenizers pad on the right
        batch = {"input_ids": tokens[:, :longest], "attention_mask": there[:, :longest].long()}
        features: Tensor = self.encoder(batch)["sentence_embedding"]
        return features

    def _embed(self, texts: list[str]) -> Tensor:
        tokens = self._tokenized(texts)
        device = next(self.encoder.parameters()).device
        batch = {key: value.to(device) if isinstance(value, Tensor) else value for key, value in tokens.items()}
        features: Tensor = self.encoder(batch)["sentence_embedding"]
        return features

    def preprocess(self, items: Any) -> Any:
        """Turn a list or an array of strings into a list, cut to ``max_characters``; tokens stay unchanged."""
        if isinstance(items, Tensor) and items.dtype == torch.int64:
            return items
        texts = items.tolist() if isinstance(items, np.ndarray) else items
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise InputTypeError(
                f"{self.name} takes a list of strings, not {type(items).__name__}; wrap a single one in []"
            )
        return [text[: self.max_characters] for text in texts]

    @property
    def preprocessing(self) -> str:
        """Identity of the text preprocessing, including the tokenizer's vocabulary."""
        tokenizer: Any = self.encoder.tokenizer
        backend = getattr(tokenizer, "backend_tokenizer", None)
        vocabulary = backend.to_str() if backend is not None else repr(sorted(tokenizer.get_vocab().items()))
        digest = hashlib.sha256(vocabulary.encode()).hexdigest()[:16]
        limit: Any = self.encoder.max_seq_length
        return f"text: {self.max_characters} characters, {limit} tokens, tokenizer {digest}"

    def layer_groups(self) -> tuple[LayerGroup, ...]:
        """Return ``embeddings``, ``layer0`` and so on, then the part after the layers (``head``)."""
        names = [name for name, _ in self.encoder.named_parameters()]
        layers = [i for i, name in enumerate(names) if _LAYER.search(name)]
        first = layers[0] if layers else len(names)

        def group_of(name: str) -> str:
            layer = _LAYER.search(name)
            if layer:
                return f"layer{layer[1]}"
            return "embeddings" if names.index(name) < first else "head"

        return groups_by_name(self.encoder, group_of)


def sentence(
    name: str, *, pretrained: bool = True, batch_size: int = 32, max_characters: int | None = None
) -> Backbone:
    """Make a frozen sentence encoder: ``minilm`` from its package, a local folder, or a name on the model hub.

    ``requires_grad_(True)`` makes it trainable. ``HF_HUB_OFFLINE=1`` prevents lookups on the hub.

    Args:
        name: ``minilm`` (384 features, the source ``minilm``), a folder, or a name such as ``all-mpnet-base-v2``.
        pretrained: must be True; an untrained sentence encoder is of no use.
        batch_size: number of texts that pass through the network at once.
        max_characters: longer texts are cut.

    Raises:
        ValueError: ``pretrained`` is False, or the name is neither a folder nor available from the hub.
        SourceError: MiniLM cannot be fetched or is damaged.

    Source: Reimers and Gurevych, EMNLP 2019, https://arxiv.org/abs/1908.10084; Wang et al., NeurIPS 2020,
    https://arxiv.org/abs/2002.10957 (MiniLM).
    """
    if not pretrained:
        raise InputError(f"sentence:{name} has no untrained form; leave pretrained=True")
    if not name:
        raise InputError("no encoder named after 'sentence:'; expected 'minilm', a folder, or a name on the model hub")
    from sentence_transformers import SentenceTransformer

    folder = sources.path("minilm") if name == "minilm" else Path(name).expanduser()
    local = folder.is_dir()
    try:
        with without_bars():
            encoder = SentenceTransformer(str(folder) if local else name, device="cpu", local_files_only=local)
    except (OSError, ValueError) as error:
        raise InputError(
            f"sentence:{name} cannot be loaded ({error}); expected 'minilm', a folder that sentence-transformers "
            "saved, or a name on a model hub that can be reached"
        ) from error
    return SentenceEncoder(f"sentence:{name}", encoder, batch_size=batch_size, max_characters=max_characters)


@contextmanager
def without_bars() -> Iterator[None]:
    """Silence the progress bar of transformers while weights load, then restore its setting."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
