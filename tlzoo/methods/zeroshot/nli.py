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
    """Entailment (Yin et al., EMNLP 2019), https://arxiv.org/abs/1909.00161.

    A class is made a hypothesis, "This text is about {}."; the score is the log-probability that the text, as the
    premise, entails it: log softmax(model(x, h_c))_entailment. A model with one output scores by that output.

    Args:
        model: folder of a cross-encoder for natural language inference, as sentence-transformers or transformers save
            it; or any module that maps a list of (premise, hypothesis) to logits (N, L).
        template: of the hypotheses, with one ``{}`` in which the text of a class stands.
        entailment: which output says that the hypothesis follows; None for that whose name has "entail" in it.

    Every text is read with every class: N x C passes through the network, where an encoder needs N + C.

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
            raise ValueError(f"template {template!r}; expected one {{}}, where the text of a class stands")
        self.model = model if isinstance(model, nn.Module) else load_pair_classifier(model)
        self.template = template
        self.entailment = _place(self.model) if entailment is None else entailment

    def scorer(self, class_texts: Sequence[str], seen: Tensor) -> TextScorer:
        """Return the scorer of B texts among C candidates, log-probabilities (B, C).

        Raises:
            ValueError: when scoring, the model has no such output as ``entailment``.
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
    """Return which output is called entailment; 0 of a model with a single one or with outputs without names.

    Raises:
        ValueError: several outputs, none or more than one of which is called that.
    """
    names: Sequence[str] = getattr(model, "labels", ())  # of a PairClassifier
    found = [place for place, name in enumerate(names) if "entail" in name.lower() and "not" not in name.lower()]
    if len(names) > 1 and len(found) != 1:
        raise ValueError(
            f"the model's outputs are called {', '.join(names)}; say which of them is entailment: entailment=PLACE"
        )
    return found[0] if found else 0
