"""Zero-shot learning from raw texts: texts, and descriptions of classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.methods.conformance.scenario import SHAPE, Inputs, Scenario, Subject, reordered, require_shape

__all__ = ["TextScenario"]

_C, _WORDS = SHAPE["num_classes"], 12


class _Reader(nn.Module):
    """A small network that maps pairs of texts with the words w0 to w11 to three logits."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.words = nn.Parameter(torch.randn(_WORDS, 4, generator=generator))
        self.head = nn.Parameter(torch.randn(8, 3, generator=generator))

    def forward(self, pairs: Sequence[tuple[str, str]]) -> Tensor:
        sides = [torch.stack([self._read(text) for text in side]) for side in zip(*pairs, strict=True)]
        return torch.cat(sides, dim=1).tanh() @ self.head

    def _read(self, text: str) -> Tensor:
        known = [int(word[1:]) for word in text.split() if word[1:].isdigit()]
        return self.words[known].mean(dim=0)


class TextScenario(Scenario):
    """Six texts of four words, and three classes described by two words, with a small ``model``."""

    def arguments(self) -> dict[str, Any]:
        """Return the settings, with the network."""
        return {"model": _Reader(), **super().arguments()}

    def inputs(self, *, seed: int = 1, dtype: torch.dtype = torch.float64, fit: bool = False) -> Inputs:
        """Return texts as word indices."""
        generator = torch.Generator().manual_seed(seed)
        return {
            "texts": torch.randint(_WORDS, (6, 4), generator=generator),
            "labels": torch.arange(6) % _C,
            "class texts": torch.randperm(_WORDS, generator=generator)[: 2 * _C].reshape(_C, 2),
        }

    def loss(self, subject: Subject, inputs: Inputs) -> Tensor:
        """Return the cross-entropy of the scores."""
        texts, class_texts = (_spelled(inputs[name]) for name in ("texts", "class texts"))
        scores = subject.method.bind(class_texts, seen=torch.zeros(len(class_texts), dtype=torch.bool))(texts)
        require_shape(self, scores, (len(texts), len(class_texts)))
        return F.cross_entropy(scores, inputs["labels"])

    def permuted(self, inputs: Inputs) -> Inputs:
        """Return the texts in another order."""
        return reordered(inputs, {"texts": 0, "labels": 0})

    def hard(self) -> dict[str, Inputs]:
        """Return one text and one candidate."""
        usual = self.inputs()
        return {
            "one text": usual | {name: usual[name][:1] for name in ("texts", "labels")},
            "one candidate": usual | {"class texts": usual["class texts"][:1], "labels": torch.zeros(6).long()},
        }

    def invalid(self) -> dict[str, Inputs]:
        """Return inputs without candidates or texts."""
        usual = self.inputs()
        return {
            "no candidates": usual | {"class texts": usual["class texts"][:0]},
            "no texts": usual | {name: usual[name][:0] for name in ("texts", "labels")},
        }


def _spelled(words: Tensor) -> list[str]:
    return [" ".join(f"w{word}" for word in row) for row in words.tolist()]
