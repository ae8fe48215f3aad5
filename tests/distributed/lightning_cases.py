"""Small trainings through Lightning that are the same in one process and in two."""

import logging
import warnings
from dataclasses import replace
from functools import partial

import numpy as np
import pytorch_lightning as pl
import torch
from torch import nn

from tlzoo.backbones import create_backbone
from tlzoo.data import DomainTask, EpisodeTask, ExampleSet, MultitaskTask, Target
from tlzoo.lit import (
    DomainAdaptation,
    DomainConfusion,
    DomainData,
    EpisodeData,
    FineTuning,
    Multitask,
    MultitaskData,
    OneShot,
)

STEPS = 5
MLP = {"num_inputs": 6, "hidden": [5]}


def examples(size, seed, **columns):
    random = np.random.default_rng(seed)
    labels = np.resize(np.arange(4), size)
    inputs = random.normal(size=(size, 6)) + labels[:, None]
    return ExampleSet(inputs=inputs, modality="features", labels=labels, **columns)


def domain_data(batch_size, change=lambda task: task):
    sides = {f"{side}_{part}": examples(30, seed) for seed, (side, part) in enumerate(_SIDES)}
    return DomainData(change(DomainTask(name="toy", class_names=tuple("abcd"), **sides)), batch_size=batch_size)


def few(task):
    return task.semi_supervised(2)


def two_sources(task):
    sides = {
        name: ExampleSet.pooled([getattr(task, name), examples(20, 7)]) for name in ("source_train", "source_test")
    }
    return replace(task, **sides, source_names=("first", "second"))


_SIDES = [("source", "train"), ("source", "test"), ("target", "train"), ("target", "test")]


def multitask_data(batch_size):
    def part(seed):
        plain = examples(30, seed)
        kind, height = plain.labels.copy(), plain.inputs[:, 0].copy()
        kind[::3] = -1  # missing, and unevenly so in the shares of a batch
        return ExampleSet(inputs=plain.inputs, modality="features", targets={"kind": kind, "height": height})

    targets = {"kind": Target(classes=4), "height": Target(classes=0)}
    task = MultitaskTask(name="toy", targets=targets, train=part(0), validation=part(1), test=part(2))
    return MultitaskData(task, batch_size=batch_size)


def episode_data(batch_size):
    sets = {name: examples(40, seed) for seed, name in enumerate(("base", "validation", "novel"))}
    task = EpisodeTask(name="toy", class_names=tuple("abcd"), way=3, shot=1, query=2, **sets)
    return EpisodeData(task, batch_size=batch_size, episodes=7)


def domain(cls, method, **settings):
    return cls("mlp", method, num_classes=4, backbone_settings=MLP, optimizer={"lr": 0.05}, **settings)


def consistency(name, **settings):
    return domain(DomainAdaptation, name, method_settings=settings), domain_data(11)


META_LEARNERS = ("maml", "fomaml", "anil", "meta_sgd", "reptile")


def meta_learner(name):
    """Return a network that adapts, and three episodes a step."""
    settings = {"rate": 0.1, "steps": 2}
    module = OneShot("mlp", name, way=3, backbone_settings=MLP, method_settings=settings, optimizer={"lr": 0.05})
    return module, episode_data(3)


GRADIENT_WEIGHTINGS = ("uncertainty", "pcgrad", "mgda", "nash_mtl", "gradnorm", "db_mtl", "graddrop", "excess_mtl")
AT_FEATURES = ("mgda", "graddrop", "db_mtl", "excess_mtl", "gradnorm")


def gradient_weighting(name, **settings):
    """Return a network whose second layer is kept in factors, and a batch that is shared unevenly."""
    module = Multitask(
        "mlp",
        name,
        targets={"kind": 4, "height": 0},
        backbone_settings={"num_inputs": 6, "hidden": [48, 64]},
        optimizer={"lr": 0.01},
        **settings,
    )
    return module, multitask_data(11)


TARGETS = {"kind": 4, "height": 0}


def normalized(cls, method, **settings):
    """Return a module on a backbone with batch normalization."""
    network = nn.Sequential(
        nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 5), nn.BatchNorm1d(5, momentum=None)
    )
    backbone = create_backbone(network, example=torch.zeros(2, 6))
    return cls(backbone, method, optimizer={"lr": 0.05}, **settings)


CASES = {
    "dan": lambda: (domain(DomainAdaptation, "dan"), domain_data(12)),
    "dan, unequal": lambda: (domain(DomainAdaptation, "dan"), domain_data(11)),
    "dan, batch norm": lambda: (domain(DomainAdaptation, "dan", bottleneck=5), domain_data(11)),
    "cdan, batch norm": lambda: (domain(DomainConfusion, "cdan", bottleneck=5), domain_data(11)),
    "mcd": lambda: (domain(DomainConfusion, "mcd", bottleneck=5), domain_data(11)),
    "finetuning, batch norm": lambda: (normalized(FineTuning, "full", num_classes=4), domain_data(11)),
    "multitask, batch norm": lambda: (normalized(Multitask, "pcgrad", targets=TARGETS), multitask_data(11)),
    "oneshot, batch norm": lambda: (normalized(OneShot, "protonet"), episode_data(3)),
    "dan, not gathered": lambda: (domain(DomainAdaptation, "dan", gather=False), domain_data(12)),
    "dann, unequal": lambda: (domain(DomainConfusion, "dann", method_settings={"hidden": 4}), domain_data(11)),
    "dan, shots": lambda: (domain(DomainAdaptation, "dan"), domain_data(11, few)),
    "m3sda, two sources": lambda: (domain(DomainAdaptation, "m3sda"), domain_data(11, two_sources)),
    **{name: partial(consistency, name, threshold=0.3) for name in ("fixmatch", "self_ensembling")},
    "finetuning": lambda: (domain(FineTuning, "full"), domain_data(11)),
    "multitask": lambda: (
        Multitask("mlp", "uncertainty", targets={"kind": 4, "height": 0}, backbone_settings=MLP),
        multitask_data(11),
    ),
    **{f"multitask, {name}": partial(gradient_weighting, name) for name in GRADIENT_WEIGHTINGS},
    **{f"multitask, features of {name}": partial(gradient_weighting, name, space="features") for name in AT_FEATURES},
    "multitask, experts": partial(
        gradient_weighting, "graddrop", space="features", sharing="mmoe", sharing_settings={"width": 5}
    ),
    "oneshot": lambda: (
        OneShot("mlp", "protonet", backbone_settings=MLP, method_settings={"temperature": 4.0}),
        episode_data(3),
    ),
    **{f"oneshot, {name}": partial(meta_learner, name) for name in META_LEARNERS},
}


def train(name, **settings):
    """Train a case in float64; return its weights, and what validation and test have logged."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", r".isinstance\(treespec, LeafSpec\). is deprecated")
    torch.manual_seed(0)
    module, data = CASES[name]()
    trainer = pl.Trainer(
        max_steps=20 if name.startswith("multitask,") else STEPS,
        accelerator="cpu",
        precision="64-true",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        **settings,
    )
    trainer.fit(module, datamodule=data)
    logged = dict(trainer.callback_metrics)
    logged.update(trainer.test(module, datamodule=data, verbose=False)[0])
    weights = {key: value for key, value in module.state_dict().items() if "accuracy" not in key}
    return {"weights": weights, "logged": {key: float(value) for key, value in logged.items()}}


def resumed(folder, rank, **settings):
    """Train with dropout, stop after three steps and resume; return the weights of both and those of a whole run."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", r".isinstance\(treespec, LeafSpec\). is deprecated")

    def run(seed, path=None, **resume):
        torch.manual_seed(seed)
        network = {**MLP, "dropout": 0.3}
        module = DomainAdaptation("mlp", "dan", num_classes=4, backbone_settings=network, bottleneck=5)
        torch.manual_seed(seed + rank)  # processes drop other units
        plain = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
        saves = SaveAt(3, path) if path else pl.Callback()
        trainer = pl.Trainer(max_steps=7, accelerator="cpu", callbacks=[saves], **plain, **settings)
        trainer.fit(module, datamodule=domain_data(11), **resume)
        return {name: value for name, value in module.state_dict().items() if "accuracy" not in name}

    path = folder / "stopped.ckpt"
    return {"whole": run(0, path), "resumed": run(5, ckpt_path=path, weights_only=True)}


class SaveAt(pl.Callback):
    """Saves a checkpoint after a step."""

    def __init__(self, step, path):
        self.step, self.path = step, path

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)
