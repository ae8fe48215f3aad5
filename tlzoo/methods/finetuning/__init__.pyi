# One row per method, in the order of tables: tlzoo.registry and type checkers read this file, nothing else lists them.
# ruff: noqa: I001

from .from_scratch import FromScratch as FromScratch
from .linear_probe import LinearProbe as LinearProbe
from .full import Full as Full
from .gradual_unfreezing import GradualUnfreezing as GradualUnfreezing
from .layerwise import Layerwise as Layerwise
from .l2_sp import L2SP as L2SP
from .lora import LoRA as LoRA
