"""Modules under the names that they had before they were moved; importing one warns and returns the current module."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["MOVED", "SPLIT", "install"]

_GONE_WITH = "0.2"

MOVED: dict[str, str] = {
    "backbones.groups": "backbones.layer_groups",
    "backbones.pairs": "backbones.cross_encoder",
    "bench.checking": "bench.comparison_commands",
    "bench.cluster_executors": "bench.execution.cluster_executors",
    "bench.difference": "bench.diff_results",
    "bench.distributed": "bench.execution.multi_device",
    "bench.distributed_worker": "bench.execution.multi_device_worker",
    "bench.execute": "bench.execution.one_cell",
    "bench.executor_names": "bench.execution.executor_names",
    "bench.executors": "bench.execution.local_executors",
    "bench.facts": "bench.planning_cache",
    "bench.labels": "bench.stored_labels",
    "bench.located": "bench.yaml_lines",
    "bench.protocols.transforming": "bench.protocols.feature_transforms",
    "bench.ranks": "bench.execution.multi_device_worker",
    "bench.reading": "bench.suite_reader",
    "bench.report.answer": "bench.report.conclusions",
    "bench.report.delta": "bench.report.delta_m",
    "bench.report.grid": "bench.report.table_layout",
    "bench.report.ranks": "bench.report.critical_difference",
    "bench.report.sheets": "bench.report.auxiliary_tables",
    "bench.resources": "bench.execution.resources",
    "bench.sampling": "bench.tpe_search",
    "bench.waiting": "bench.execution.waiting_cells",
    "bench.worker": "bench.execution.pool_worker",
    "data.described": "data.datasets.sentiment_zeroshot",
    "data.digits": "data.datasets.digits",
    "data.emoji": "data.datasets.emoji",
    "data.emoji_multitask": "data.datasets.emoji_multitask",
    "data.emoji_spaces": "data.datasets.emoji_partial_open",
    "data.emoji_tasks": "data.datasets.emoji_tasks",
    "data.folders": "data.datasets.folders",
    "data.glyphs": "data.datasets.glyphs",
    "data.newsgroups": "data.datasets.newsgroups",
    "data.omniglot": "data.datasets.omniglot",
    "data.people": "data.datasets.people",
    "data.pooled": "data.multi_domain",
    "data.reuters": "data.datasets.reuters",
    "data.sentiment": "data.datasets.sentiment",
    "data.sets": "data.example_set",
    "data.text_episodes": "data.datasets.text_episodes",
    "data.texts": "data.datasets.text_zeroshot",
    "data.topics": "data.datasets.topics",
    "data.united": "data.joined_tasks",
    "data.varied": "data.varying_episodes",
    "data.views": "data.augmented_views",
    "data.watch": "data.datasets.watch",
    "data.xlsa17": "data.datasets.xlsa17",
    "lit.classical": "lit.classical_oneshot",
    "lit.features": "lit.frozen_features",
    "lit.joint": "nn.joint_forward",
    "lit.joint_forward": "nn.joint_forward",
    "lit.target": "lit.target_module",
    "lit.watch": "lit.feature_gradients",
    "methods.episodes": "methods.episode_answers",
    "methods.meta": "methods.meta_learning",
    "nn.draws": "nn.random_stream",
    "nn.memory": "nn.memory_bank",
    "nn.statistics": "nn.batch_statistics",
    "selection.scores": "selection.validators",
    "selection.source": "selection.source_validators",
}
"""Former name -> name, both within ``tlzoo``."""

SPLIT: dict[str, tuple[str, ...]] = {"bench.runner": ("bench.execution.runner", "bench.plan")}
"""Former name -> names of the modules that share its content."""


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a module under its former name."""

    def __init__(self) -> None:
        self._specs: dict[str, ModuleSpec | None] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec for a former name, None for all others."""
        former = fullname.removeprefix("tlzoo.")
        is_former = fullname.startswith("tlzoo.") and (former in MOVED or former in SPLIT)
        return importlib.util.spec_from_loader(fullname, self) if is_former else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the current module, or a new one with the content of several, and warn."""
        former = spec.name.removeprefix("tlzoo.")
        now = [f"tlzoo.{name}" for name in SPLIT.get(former) or (MOVED[former],)]
        warnings.warn(
            f"{spec.name} is {' and '.join(now)} now; the former name goes with tlzoo {_GONE_WITH}",
            FutureWarning,
            stacklevel=2,
        )
        modules = [importlib.import_module(name) for name in now]
        if len(modules) > 1:
            whole = ModuleType(spec.name)
            whole.__dict__.update({name: getattr(each, name) for each in modules for name in each.__all__})
            return whole
        self._specs[spec.name] = modules[0].__spec__
        return modules[0]

    def exec_module(self, module: ModuleType) -> None:
        """Leave the module as it is: what it holds was executed under its own name."""
        spec = module.__spec__
        assert spec is not None
        module.__spec__ = self._specs.pop(spec.name, spec)


def install() -> None:
    """Let former names be imported in this process."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
