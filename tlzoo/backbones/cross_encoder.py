"""Cross-encoders: networks that read two texts at once and predict whether one entails the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from tlzoo.backbones.sentence import without_bars
from tlzoo.errors import InputError, MissingFileError

__all__ = ["PairClassifier", "load_pair_classifier"]

Pairs = Sequence[tuple[str, str]]


class PairClassifier(nn.Module):
    """A frozen cross-encoder from sentence-transformers for pairs of strings.

    Args:
        encoder: a ``CrossEncoder``.
        labels: names of its outputs, in order.
        batch_size: number of pairs that pass through the network at once.
    """

    def __init__(self, encoder: nn.Module, labels: Sequence[str], *, batch_size: int = 64) -> None:
        super().__init__()
        self.encoder, self.labels, self.batch_size = encoder, tuple(labels), batch_size
        self.requires_grad_(False)
        self.eval()

    def forward(self, pairs: Pairs) -> Tensor:
        """Map N pairs to logits (N, L); pairs of similar length share a batch, which saves padding."""
        encoder: Any = self.encoder
        logits: Tensor = encoder.predict(
            list(pairs),
            batch_size=self.batch_size,
            activation_fn=nn.Identity(),
            convert_to_tensor=True,
            show_progress_bar=False,
        )
        return logits.reshape(len(pairs), -1)


def load_pair_classifier(folder: str | Path, *, batch_size: int = 64) -> PairClassifier:
    """Load a cross-encoder from a folder saved by sentence-transformers or transformers.

    Args:
        folder: has the weights, the configuration and the tokenizer; nothing is fetched.
        batch_size: number of pairs that pass through the network at once.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: the folder has no classifier of pairs.
    """
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise MissingFileError(f"no folder {path}; save a cross-encoder for natural language inference there")
    from sentence_transformers import CrossEncoder

    try:
        with without_bars():
            encoder = CrossEncoder(str(path), device="cpu", local_files_only=True)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be loaded ({error}); expected the folder of a sequence classifier that transformers or "
            "sentence-transformers saved"
        ) from error
    names: dict[int, str] = encoder.config.id2label
    return PairClassifier(encoder, [names[place] for place in sorted(names)], batch_size=batch_size)
