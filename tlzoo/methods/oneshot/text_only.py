"""Zero-shot: the class texts alone answer, which every adapter is measured against."""

from __future__ import annotations

from torch import Tensor

from tlzoo.methods.image_text_classifier import ImageTextClassifier
from tlzoo.paper import Paper

__all__ = ["TextOnly"]


class TextOnly(ImageTextClassifier):
    r"""Zero-shot classification by class texts (Radford et al., ICML 2021), https://arxiv.org/abs/2103.00020.

    .. math:: \tau q^\top t_c

    with the query q and the text t of class c, both of length 1. It uses no support.

    Args:
        scale: tau.
    """

    label = "zero-shot"
    paper = Paper(
        title="Learning Transferable Visual Models From Natural Language Supervision",
        authors=("Radford", "Kim", "Hallacy", "Ramesh", "Goh", "Agarwal", "Sastry", "Askell", "Mishkin", "Clark"),
        venue="ICML",
        year=2021,
        arxiv="2103.00020",
    )

    def answer(self, support: Tensor, labels: Tensor, query: Tensor, texts: Tensor, *, way: int) -> Tensor:
        """Return the logits."""
        return self.text_logits(query, texts)
