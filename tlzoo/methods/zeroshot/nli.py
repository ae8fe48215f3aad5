"""Zero-shot classification of text as natural language inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tlzoo.backbones.cross_encoder import load_pair_classifier
from tlzoo.methods.text_compatibility import TextCompatibility, TextScorer
from tlzoo.paper import Paper

__all__ = ["NLI"]


class NLI(TextCompatibility):
    r"""Entailment (Yin et al., EMNLP 2019), https://arxiv.org/abs/1909.00161.

    A class becomes a hypothesis h such as "This text is about {}.". Its score is the log-probability that the text x,
    as the premise, entails it:

    .. math:: s(x, c) = \log \mathrm{softmax}\left( \text{model}(x, h_c) \right)_{\text{entailment}}

    A model with a single output scores by that output.

    Args:
        model: folder of a cross-encoder for natural language inference, saved by sentence-transformers or transformers;
            or any module that maps a list of (premise, hypothesis) to logits (N, L).
        template: template of the hypotheses, with one ``{}`` for the text of a class.
        entailment: index of the output for entailment; None finds the one with "entail" in its name.

    It reads every text with every class: N x C passes through the network, while an encoder needs N + C.

    >>> class Longer(nn.Module):
    ...     def forward(self, pairs):
    ...         return torch.tensor([[float(len(hypothesis) > 2)] for _, hypothesis in pairs])
    >>> NLI(model=Longer(), template="{}").answer(["a text", "another"], ["ox", "goat"]).tolist()
    [1, 1]

    Differs from the paper: the model is the user's; the paper fine-tunes BERT on MNLI, FEVER or RTE, with two outputs.
    """

    paper = Paper(
        title="Benchmarking Zero-shot Text Classification: Datasets, Evaluation and Entailment Approach",
        authors=("Yin", "Hay", "Roth"),
        venue="EMNLP",
        year=2019,
        arxiv="1909.00161",
    )
    variants: ClassVar[tuple[Mapping[str, Any], ...]] = ({"entailment": 1}, {"entailment": 0, "template": "w1 {}"})

    def __init__(
        self,
        *,
        model: str | Path | nn.Module,
        template: str = "This text is about {}.",
        entailment: int | None = None,
    ) -> None:
        super().__init__()
        if template.count("{}") != 1:
            raise ValueError(f"template {template!r}; expected one {{}} for the text of a class")
        self.model = model if isinstance(model, nn.Module) else load_pair_classifier(model)
        self.template = template
        self.entailment = _place(self.model) if entailment is None else entailment

    def scorer(self, class_texts: Sequence[str], seen: Tensor) -> TextScorer:
        """Return the scorer of B texts among C candidates, log-probabilities (B, C).

        Raises:
            ValueError: when scoring, the model has no output ``entailment``.
        """
        hypotheses = [self.template.replace("{}", text) for text in class_texts]

        def score(texts: Sequence[str]) -> Tensor:
            pairs = [(text, hypothesis) for text in texts for hypothesis in hypotheses]
            with torch.no_grad():
                logits: Tensor = self.model(pairs)
            if logits.shape[-1] == 1:
                return logits.reshape(len(texts), -1)
            if not -logits.shape[-1] <= self.entailment < logits.shape[-1]:
                raise ValueError(f"entailment {self.entailment}: the model has {logits.shape[-1]} outputs")
            return logits.log_softmax(dim=-1)[:, self.entailment].reshape(len(texts), -1)

        return score


def _place(model: nn.Module) -> int:
    """Return the index of the output called entailment; 0 if the model has one output or outputs without names.

    Raises:
        ValueError: there are several outputs, and none or more than one is called that.
    """
    names: Sequence[str] = getattr(model, "labels", ())  # of a PairClassifier
    found = [place for place, name in enumerate(names) if "entail" in name.lower() and "not" not in name.lower()]
    if len(names) > 1 and len(found) != 1:
        raise ValueError(
            f"the model's outputs are called {', '.join(names)}; say which of them is entailment: entailment=INDEX"
        )
    return found[0] if found else 0
