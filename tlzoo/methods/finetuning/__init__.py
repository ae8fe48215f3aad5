"""Finetuning: strategies of re-using a pretrained network."""

from tlzoo.methods.finetuning.from_scratch import FromScratch
from tlzoo.methods.finetuning.full import Full
from tlzoo.methods.finetuning.gradual_unfreezing import GradualUnfreezing
from tlzoo.methods.finetuning.l2_sp import L2SP
from tlzoo.methods.finetuning.layerwise import Layerwise
from tlzoo.methods.finetuning.linear_probe import LinearProbe
from tlzoo.methods.finetuning.lora import LoRA

__all__ = [
    "L2SP",
    "FromScratch",
    "Full",
    "GradualUnfreezing",
    "Layerwise",
    "LinearProbe",
    "LoRA",
]
