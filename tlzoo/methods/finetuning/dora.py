"""DoRA: magnitude and direction of the weights are trained apart, through peft."""

from __future__ import annotations

from tlzoo.methods.finetuning.lora import LoRA
from tlzoo.paper import Paper

__all__ = ["DoRA"]


class DoRA(LoRA):
    r"""Weight-decomposed low-rank adaptation (Liu et al., ICML 2024), https://arxiv.org/abs/2402.09353.

    .. math:: W \mapsto m \frac{W + \frac{\alpha}{r} B A}{\lVert W + \frac{\alpha}{r} B A \rVert}

    with the norm of each output's weights, which is detached, and its magnitude m, which starts as the norm of W and
    is trained beside A and B.

    Args:
        rank: r, the inner width of the update.
        alpha: scale of the update.
        dropout: dropout rate on the input of the update.
    """

    paper = Paper(
        title="DoRA: Weight-Decomposed Low-Rank Adaptation",
        authors=("Liu", "Wang", "Yin", "Molchanov", "Wang", "Cheng", "Chen"),
        venue="ICML",
        year=2024,
        arxiv="2402.09353",
    )
    directed = True
