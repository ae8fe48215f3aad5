"""The classes among which a zero-shot module answers, as a part of its state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Candidates"]


class Candidates(nn.Module):
    """Candidate classes: embeddings or texts, which of them are seen, and their names; all None until they are set.

    Attributes:
        embeddings: (C, A); None for methods that read texts.
        seen: (C,) booleans.
        texts: one per class, for methods that read.
        names: one per class; empty if they have none.
    """

    embeddings: Tensor | None
    seen: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("embeddings", None)
        self.register_buffer("seen", None)
        self.texts: list[str] = []
        self.names: list[str] = []

    def set(self, embeddings: Tensor | None, texts: list[str], *, seen: Tensor, names: list[str]) -> None:
        """Replace the candidates."""
        self.embeddings, self.texts, self.seen, self.names = embeddings, texts, seen, names

    def words(self) -> dict[str, list[str]]:
        """Return what no tensor holds."""
        return {"texts": self.texts, "names": self.names}

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        for name in ("embeddings", "seen"):
            stored = state_dict.get(prefix + name)
            setattr(self, name, None if stored is None else torch.empty_like(stored))
        super()._load_from_state_dict(state_dict, prefix, *rest)
