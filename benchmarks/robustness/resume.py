"""Whether a run that stops and resumes ends with the weights of one that never stopped, to the last bit.

    python benchmarks/robustness/resume.py [NAME ...] [--markdown]

Every trainable method of the registry trains for three epochs of three batches on a toy task, with shuffled batches,
dropout and a validation after each epoch. Checkpoints are saved at every point where Lightning's callbacks save, and
after graceful stops in mid-epoch; fresh objects resume from each of them. Where gradients accumulate, a stop between
two steps counts too. ``torch.equal`` compares all weights and buffers.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import nn

from tlzoo.backbones import create_backbone
from tlzoo.data import DomainTask, EpisodeTask, ExampleSet, MultitaskTask, Target, ZeroShotTask
from tlzoo.lit import (
    DomainAdaptation,
    DomainConfusion,
    DomainData,
    EpisodeData,
    FineTuning,
    Multitask,
    MultitaskData,
    OneShot,
    SourceFreeAdaptation,
    ZeroShot,
    ZeroShotData,
)
from tlzoo.lit.arguments import taker_of
from tlzoo.lit.module import TransferModule
from tlzoo.methods.meta_learning import MetaLearner
from tlzoo.methods.text_compatibility import TextCompatibility
from tlzoo.registry import accepted_settings, list_methods, method_class

BATCHES, EPOCHS, WIDTH, CLASSES = 3, 3, 6, 3
ACCUMULATED = 2
NETWORK = {"num_inputs": WIDTH, "hidden": [5], "dropout": 0.2}
PLACES = ("batch", "validation", "epoch", "graceful", "accumulated")
"""Where a run stops: in the hook after a batch, after a validation, after an epoch, in mid-epoch by ``should_stop``,
and so between two batches of one step."""

Weights = dict[str, torch.Tensor]
Stops = dict[str, Path]


def examples(size: int, seed: int, classes: int = CLASSES) -> ExampleSet:
    """Return labelled features."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(size) % classes)
    inputs = (np.eye(classes, WIDTH)[labels] * 2 + generator.normal(size=(size, WIDTH))).astype(np.float32)
    return ExampleSet(inputs=inputs, modality="features", labels=labels, checksum=f"toy {seed} {size}")


def domain_data() -> DomainData:
    """Return source and target."""
    names = ("source_train", "source_test", "target_train", "target_test")
    sets = {name: examples(30, seed) for seed, name in enumerate(names)}
    task = DomainTask(name="toy", class_names=tuple("abc"), **sets)
    return DomainData(task, batch_size=8, steps_per_epoch=BATCHES)


def multitask_data() -> MultitaskData:
    """Return two tasks whose labels are missing here and there."""

    def part(seed: int) -> ExampleSet:
        drawn = examples(30, seed)
        assert drawn.labels is not None
        kind, height = drawn.labels.copy(), np.asarray(drawn.inputs)[:, 0].copy()
        kind[::5], height[1::5] = -1, np.nan
        return ExampleSet(inputs=drawn.inputs, modality="features", targets={"kind": kind, "height": height})

    targets = {"kind": Target(classes=CLASSES), "height": Target(classes=0)}
    task = MultitaskTask(name="toy", targets=targets, train=part(1), validation=part(2), test=part(3))
    return MultitaskData(task, batch_size=8, steps_per_epoch=BATCHES)


def episode_data() -> EpisodeData:
    """Return episodes."""
    sets = {name: examples(30, seed) for seed, name in enumerate(("base", "validation", "novel"))}
    task = EpisodeTask(name="toy", class_names=tuple("abc"), way=3, shot=1, query=2, **sets)
    return EpisodeData(task, batch_size=2, episodes=2, steps_per_epoch=BATCHES)


def zeroshot_data() -> ZeroShotData:
    """Return classes with descriptions."""
    seen = {"train": examples(600, 1, 4)}  # three batches of a closed form
    held = examples(8, 2, 2)
    assert held.labels is not None
    moved = [ExampleSet(inputs=held.inputs, modality="features", labels=held.labels + first) for first in (4, 6)]
    task = ZeroShotTask(
        name="toy",
        class_names=tuple("abcdefgh"),
        descriptions=tuple("abcdefgh"),
        seen=np.arange(4),
        held_out=np.arange(4, 6),
        unseen=np.arange(6, 8),
        validation=moved[0],
        test=moved[1],
        embeddings=np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32),
        **seen,
    )
    return ZeroShotData(task, batch_size=8, steps_per_epoch=BATCHES)


def _shared(**settings: Any) -> dict[str, Any]:
    return {"backbone_settings": NETWORK, "optimizer": {"lr": 0.02}, **settings}


def module_for(name: str) -> tuple[TransferModule, Any] | None:
    """Return a new module and its data; None for a method that no training changes."""
    cls = method_class(name)
    if issubclass(cls, TextCompatibility):
        return None
    own = accepted_settings(name, num_features=1, num_classes=1, num_embedding=1, num_tasks=1)
    settings = {key: value for key, value in cls.variants[0].items() if key not in own}
    common = _shared(method_settings=settings)
    module: TransferModule
    match taker_of(cls, name):
        case "DomainAdaptation" | "DomainConfusion" as taker:
            make: Any = DomainAdaptation if taker == "DomainAdaptation" else DomainConfusion
            module = make("mlp", name, num_classes=CLASSES, bottleneck=5, **common)
            return module, domain_data()
        case "SourceFreeAdaptation":
            start = DomainAdaptation("mlp", "source_only", num_classes=CLASSES, bottleneck=5, **_shared())
            rest = {key: value for key, value in common.items() if key != "backbone_settings"}
            module = SourceFreeAdaptation(start.network, name, num_classes=CLASSES, **rest)
            return (module, domain_data()) if module.method.learns else None
        case "FineTuning":
            layers = (
                nn.Linear(WIDTH, 5),
                nn.BatchNorm1d(5),
                nn.ReLU(),
                nn.Dropout(0.2),
                nn.Linear(5, 4),
                nn.BatchNorm1d(4),
            )
            network = create_backbone(nn.Sequential(*layers), example=torch.zeros(2, WIDTH))
            common["backbone_settings"] = None
            return FineTuning(network, name, num_classes=CLASSES, **common), domain_data()
        case "Multitask":
            if name == "multitask/fixed":
                settings["weights"] = (0.5, 2.0)
            return Multitask("mlp", name, targets={"kind": CLASSES, "height": 0}, **common), multitask_data()
        case "OneShot":
            way = {"way": 3} if issubclass(cls, MetaLearner) else {}
            return OneShot("mlp", name, **way, **common), episode_data()
        case "ZeroShot":
            features = common | {"backbone_settings": {"num_features": WIDTH}}
            found = ZeroShot("identity", name, num_classes=2, num_embedding=4, **features)
            return (found, zeroshot_data()) if found.learns else None
        case _:
            return None


TRAINABLE = [name for name in list_methods() if taker_of(method_class(name), name) not in {"TestTimeAdaptation"}]


class Save(pl.Callback):
    """Saves a checkpoint at every point where callbacks of Lightning save."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.saved = folder, {}

    def _save(self, trainer: pl.Trainer, place: str) -> None:
        number = trainer.fit_loop.epoch_loop.total_batch_idx + 1
        path = self.folder / f"{place}-{number}.ckpt"
        if not trainer.sanity_checking and path.name not in self.saved:
            self.saved[path.name] = path
            trainer.save_checkpoint(path)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Save after a batch."""
        self._save(trainer, "batch")

    def on_validation_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Save after a validation."""
        self._save(trainer, "validation")


class SaveLast(pl.callbacks.Checkpoint):
    """Saves after an epoch, after the module's own hook, as ``ModelCheckpoint`` does."""

    def __init__(self, save: Save) -> None:
        self.save = save

    def on_train_epoch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Save after an epoch."""
        self.save._save(trainer, "epoch")


class Stop(pl.Callback):
    """Asks for a stop after some batches."""

    def __init__(self, after: int) -> None:
        self.after = after

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Ask once the batches are done."""
        if trainer.fit_loop.epoch_loop.total_batch_idx + 1 == self.after:
            trainer.should_stop = True


def trainer_of(callbacks: list[pl.Callback], **settings: Any) -> pl.Trainer:
    """Return a trainer of all epochs that writes nothing itself."""
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    quiet["enable_checkpointing"] = any(isinstance(callback, SaveLast) for callback in callbacks)
    return pl.Trainer(max_epochs=EPOCHS, accelerator="cpu", devices=1, callbacks=callbacks, **quiet, **settings)


def weights_of(module: TransferModule) -> Weights:
    """Return a copy of weights and buffers."""
    return {name: value.clone() for name, value in module.state_dict().items()}


def trained(
    make: Callable[[], tuple[TransferModule, Any] | None],
    *callbacks: pl.Callback,
    resume: Path | None = None,
    save: Path | None = None,
    **settings: Any,
) -> Weights:
    """Train new objects, from a checkpoint if one is named, and return their weights."""
    torch.manual_seed(1)
    made = make()
    assert made is not None
    module, data = made
    if resume is not None:
        torch.manual_seed(77)  # a resumed run brings its own random states
    trainer = trainer_of(list(callbacks), **settings)
    extra = {} if resume is None else {"ckpt_path": resume, "weights_only": True}
    trainer.fit(module, datamodule=data, **extra)
    if save is not None:
        trainer.save_checkpoint(save)
    return weights_of(module)


def stops(
    make: Callable[[], tuple[TransferModule, Any] | None], folder: Path, places: tuple[str, ...] = PLACES
) -> Iterator[tuple[str, Path, Weights, Mapping[str, Any]]]:
    """Yield (stop, its checkpoint, weights of the whole run, settings of the trainer)."""
    save = Save(folder)
    whole = trained(make, save, SaveLast(save))
    for stop, path in save.saved.items():
        if stop.split("-")[0] in places:
            yield stop, path, whole, {}
    automatic = {"graceful": {}, "accumulated": {"accumulate_grad_batches": ACCUMULATED}}
    for place, settings in automatic.items():
        made = make() if place in places else None
        if made is None or (place == "accumulated" and not made[0].automatic_optimization):
            continue
        expected = trained(make, **settings) if settings else whole
        for after in (1, BATCHES + 2):
            path = folder / f"{place}-{after}.ckpt"
            trained(make, Stop(after), save=path, **settings)
            yield path.name, path, expected, settings


def differing(
    make: Callable[[], tuple[TransferModule, Any] | None], path: Path, expected: Weights, settings: Mapping[str, Any]
) -> list[str]:
    """Resume from a checkpoint and return the names of weights that differ at the end."""
    found = trained(make, resume=path, **settings)
    if found.keys() != expected.keys():
        return sorted(found.keys() ^ expected.keys())
    return [name for name, value in expected.items() if not _same(value, found[name])]


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.equal(one.nan_to_num(nan=-7.5), other.nan_to_num(nan=-7.5))


def quietly() -> None:
    """Keep Lightning's hints off the screen."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", r".isinstance\(treespec, LeafSpec\). is deprecated", FutureWarning)


def main() -> int:
    """Stop and resume every method everywhere."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=TRAINABLE)
    parser.add_argument("--markdown", action="store_true", help="print the table of the documentation")
    options = parser.parse_args()
    quietly()
    table: dict[str, dict[str, tuple[int, int]]] = {}
    for name in options.names:
        counts = table.setdefault(name.split("/")[0], {"methods": (0, 0)} | dict.fromkeys(PLACES, (0, 0)))
        with tempfile.TemporaryDirectory() as folder:
            if module_for(name) is None:
                continue
            bad = False
            make = partial(module_for, name)
            for stop, path, whole, settings in stops(make, Path(folder)):
                place = stop.split("-")[0]
                equal = not (wrong := differing(make, path, whole, settings))
                if not equal:
                    print(f"{name} {stop}: {', '.join(wrong[:3])} differ", file=sys.stderr, flush=True)
                bad |= not equal
                counts[place] = counts[place][0] + equal, counts[place][1] + 1
            counts["methods"] = counts["methods"][0] + (not bad), counts["methods"][1] + 1
    if options.markdown:
        print("| family | methods | " + " | ".join(PLACES) + " |")
        print("|---" * (len(PLACES) + 2) + "|")
    for family, counts in table.items():
        family = {"oneshot": "one-shot", "zeroshot": "zero-shot", "finetuning": "fine-tuning"}.get(family, family)
        cells = [f"{equal} of {total}" if total else "none" for equal, total in counts.values()]
        print(f"| {family} | {' | '.join(cells)} |" if options.markdown else f"{family}: {', '.join(cells)}")
    return int(any(equal < total for counts in table.values() for equal, total in counts.values()))


if __name__ == "__main__":
    sys.exit(main())
