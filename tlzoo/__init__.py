"""tlzoo: the five types of transfer learning, on one backbone and one benchmark harness.

Everything below is loaded on first use (PEP 562): ``import tlzoo`` imports neither torch nor Lightning.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_LAZY = {
    "create_method": "tlzoo.registry",
    "list_methods": "tlzoo.registry",
    "create_backbone": "tlzoo.backbones",
    "list_backbones": "tlzoo.backbones",
    "load_task": "tlzoo.data",
    "list_tasks": "tlzoo.data",
    "DomainAdaptation": "tlzoo.lit",
    "DomainConfusion": "tlzoo.lit",
    "Multitask": "tlzoo.lit",
    "OneShot": "tlzoo.lit",
    "ZeroShot": "tlzoo.lit",
    "FineTuning": "tlzoo.lit",
    "SourceFreeAdaptation": "tlzoo.lit",
    "TestTimeAdaptation": "tlzoo.lit",
    "SupervisionError": "tlzoo.types",
}

__all__ = [*_LAZY, "__version__"]

if TYPE_CHECKING:
    from tlzoo.backbones import create_backbone as create_backbone
    from tlzoo.backbones import list_backbones as list_backbones
    from tlzoo.data import list_tasks as list_tasks
    from tlzoo.data import load_task as load_task
    from tlzoo.lit import DomainAdaptation as DomainAdaptation
    from tlzoo.lit import DomainConfusion as DomainConfusion
    from tlzoo.lit import FineTuning as FineTuning
    from tlzoo.lit import Multitask as Multitask
    from tlzoo.lit import OneShot as OneShot
    from tlzoo.lit import SourceFreeAdaptation as SourceFreeAdaptation
    from tlzoo.lit import TestTimeAdaptation as TestTimeAdaptation
    from tlzoo.lit import ZeroShot as ZeroShot
    from tlzoo.registry import create_method as create_method
    from tlzoo.registry import list_methods as list_methods
    from tlzoo.types import SupervisionError as SupervisionError


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'tlzoo' has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
