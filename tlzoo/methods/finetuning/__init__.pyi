# One row per method, in the order of tables: tlzoo.registry and type checkers read this file, nothing else lists them.
# ruff: noqa: I001

from .from_scratch import FromScratch as FromScratch
from .linear_probe import LinearProbe as LinearProbe
from .full import Full as Full
from .gradual_unfreezing import GradualUnfreezing as GradualUnfreezing
from .layerwise import Layerwise as Layerwise
from .l2_sp import L2SP as L2SP
from .bss import BSS as BSS
from .lp_ft import LPFT as LPFT
from .wise_ft import WiSEFT as WiSEFT
from .soup import Soup as Soup
from .surgical import Surgical as Surgical
from .bitfit import BitFit as BitFit
from .norm_only import NormOnly as NormOnly
from .lora import LoRA as LoRA
from .dora import DoRA as DoRA
from .vera import VeRA as VeRA
from .ia3 import IA3 as IA3
from .hra import HRA as HRA
