"""tlzoo: the five types of transfer learning, on one backbone and one benchmark harness.

>>> import torch, tlzoo
>>> tlzoo.functional.coral_loss(torch.eye(3), torch.eye(3)).item()
0.0

Everything is loaded on first use (PEP 562): ``import tlzoo`` imports neither torch nor Lightning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlzoo import lazy, moved

__version__ = "0.1.0"

_PACKAGES = (
    *("backbones", "bench", "data", "errors", "estimators", "functional", "interop", "lit", "methods", "nn"),
    *("registry", "selection", "sources", "stats", "tasks", "types"),
)
_NAMES = {
    "tlzoo.backbones": ("create_backbone", "list_backbones", "register_backbone"),
    "tlzoo.bench.suite_run": ("SuiteRun", "run_suite"),
    "tlzoo.data": (
        *("DomainTask", "EpisodeTask", "ExampleSet", "MultitaskTask", "Target", "Task", "ZeroShotTask"),
        *("list_tasks", "load_task", "register_task"),
    ),
    "tlzoo.lit": (
        *("DomainAdaptation", "DomainConfusion", "Multitask", "OneShot", "ZeroShot", "FineTuning"),
        *("ClassicalOneShot", "SourceFreeAdaptation", "TestTimeAdaptation"),
        *("DomainData", "EpisodeData", "MultitaskData", "ZeroShotData"),
    ),
    "tlzoo.lit.saving": ("load",),
    "tlzoo.methods.adapting": ("adapt",),
    "tlzoo.registry": ("create_method", "list_methods", "register_method"),
    "tlzoo.types": ("Prediction", "Sees", "SupervisionError"),
}

if TYPE_CHECKING:
    from tlzoo import backbones as backbones
    from tlzoo import bench as bench
    from tlzoo import data as data
    from tlzoo import errors as errors
    from tlzoo import estimators as estimators
    from tlzoo import functional as functional
    from tlzoo import interop as interop
    from tlzoo import lit as lit
    from tlzoo import methods as methods
    from tlzoo import nn as nn
    from tlzoo import registry as registry
    from tlzoo import selection as selection
    from tlzoo import sources as sources
    from tlzoo import stats as stats
    from tlzoo import tasks as tasks
    from tlzoo import types as types
    from tlzoo.backbones import create_backbone as create_backbone
    from tlzoo.backbones import list_backbones as list_backbones
    from tlzoo.backbones import register_backbone as register_backbone
    from tlzoo.bench.suite_run import SuiteRun as SuiteRun
    from tlzoo.bench.suite_run import run_suite as run_suite
    from tlzoo.data import DomainTask as DomainTask
    from tlzoo.data import EpisodeTask as EpisodeTask
    from tlzoo.data import ExampleSet as ExampleSet
    from tlzoo.data import MultitaskTask as MultitaskTask
    from tlzoo.data import Target as Target
    from tlzoo.data import Task as Task
    from tlzoo.data import ZeroShotTask as ZeroShotTask
    from tlzoo.data import list_tasks as list_tasks
    from tlzoo.data import load_task as load_task
    from tlzoo.data import register_task as register_task
    from tlzoo.lit import ClassicalOneShot as ClassicalOneShot
    from tlzoo.lit import DomainAdaptation as DomainAdaptation
    from tlzoo.lit import DomainConfusion as DomainConfusion
    from tlzoo.lit import DomainData as DomainData
    from tlzoo.lit import EpisodeData as EpisodeData
    from tlzoo.lit import FineTuning as FineTuning
    from tlzoo.lit import Multitask as Multitask
    from tlzoo.lit import MultitaskData as MultitaskData
    from tlzoo.lit import OneShot as OneShot
    from tlzoo.lit import SourceFreeAdaptation as SourceFreeAdaptation
    from tlzoo.lit import TestTimeAdaptation as TestTimeAdaptation
    from tlzoo.lit import ZeroShot as ZeroShot
    from tlzoo.lit import ZeroShotData as ZeroShotData
    from tlzoo.lit.saving import load as load
    from tlzoo.methods.adapting import adapt as adapt
    from tlzoo.registry import create_method as create_method
    from tlzoo.registry import list_methods as list_methods
    from tlzoo.registry import register_method as register_method
    from tlzoo.types import Prediction as Prediction
    from tlzoo.types import Sees as Sees
    from tlzoo.types import SupervisionError as SupervisionError

_LAZY = {name: f"tlzoo.{name}" for name in _PACKAGES} | {
    name: module for module, names in _NAMES.items() for name in names
}

__all__ = [*_LAZY, "__version__"]

__getattr__, __dir__ = lazy.attach(__name__, _LAZY)

moved.install()
