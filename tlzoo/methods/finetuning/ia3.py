"""IA3: trained scales of the outputs of layers, through peft."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlzoo.methods.adapters import AdapterStrategy
from tlzoo.paper import Paper

if TYPE_CHECKING:
    from peft import PeftConfig

__all__ = ["IA3"]


class IA3(AdapterStrategy):
    r"""Infused adapters by inhibiting and amplifying inner activations (Liu et al., NeurIPS 2022), https://arxiv.org/abs/2205.05638.

    .. math:: W x + a \mapsto l \odot (W x + a)

    with a trained scale l of each output, which starts at one, for every linear layer and every ungrouped convolution.

    Differs from the paper: it scales the keys, values and inner feed-forward activations of a transformer; here every
    layer is scaled, because other networks have none of these.
    """

    label = "IA3"
    paper = Paper(
        title="Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning",
        authors=("Liu", "Tam", "Muqeeth", "Mohta", "Huang", "Bansal", "Raffel"),
        venue="NeurIPS",
        year=2022,
        arxiv="2205.05638",
    )
    prefix = "ia3_"

    def config(self, pattern: str) -> PeftConfig:
        """Return peft's configuration."""
        from peft import IA3Config

        return IA3Config(target_modules=pattern, feedforward_modules=[])
