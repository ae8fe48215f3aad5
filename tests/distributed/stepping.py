"""Twenty steps of each method of adaptation and confusion, through Lightning, the same in one process and in two."""

import inspect
import logging
import warnings

import pytorch_lightning as pl
import torch
from lightning_cases import MLP, domain_data

from tlzoo.backbones import create_backbone
from tlzoo.lit import DomainAdaptation, DomainConfusion, SourceFreeAdaptation
from tlzoo.methods.alignment import Alignment
from tlzoo.methods.alternating import Alternating
from tlzoo.methods.source_free import SourceFree
from tlzoo.nn.network import Network
from tlzoo.registry import list_methods, method_class

STEPS, CLASSES = 20, 4
MODULES = {"adaptation": DomainAdaptation, "confusion": DomainConfusion}
OPTIMIZER = {"lr": 0.01}
PRECISIONS = {"float32": "32-true", "float64": "64-true"}


def learns(cls):
    """Whether there are steps to take: on source and target, or on the target alone."""
    return issubclass(cls, (Alignment, Alternating)) or (issubclass(cls, SourceFree) and cls.learns)


METHODS = [name for family in MODULES for name in list_methods(family) if learns(method_class(name))]


def module_of(name):
    """Return a module whose network has no batch normalization, hidden layers of methods being small."""
    cls = method_class(name)
    small = {"hidden": 8} if "hidden" in inspect.signature(cls).parameters else {}
    settings = {**cls.variants[0], **small}
    if issubclass(cls, SourceFree):
        network = Network(create_backbone("mlp", **MLP), CLASSES)
        return SourceFreeAdaptation(network, name, num_classes=CLASSES, optimizer=OPTIMIZER, method_settings=settings)
    return MODULES[name.split("/")[0]](
        "mlp", name, num_classes=CLASSES, backbone_settings=MLP, optimizer=OPTIMIZER, method_settings=settings
    )


def steps(name, precision, **settings):
    """Return the parameters before and after twenty steps on batches that two processes share unevenly, two epochs."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", r".isinstance\(treespec, LeafSpec\). is deprecated")
    torch.manual_seed(0)
    module, data = module_of(name), domain_data(11)
    data.steps_per_epoch = STEPS // 2
    begun = {key: p.detach().clone() for key, p in module.named_parameters()}
    trainer = pl.Trainer(
        max_steps=STEPS,
        accelerator="cpu",
        precision=PRECISIONS[precision],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        log_every_n_steps=STEPS,
        **settings,
    )
    trainer.fit(module, datamodule=data)
    losses = {key: float(value) for key, value in trainer.callback_metrics.items()}
    return {"begun": begun, "weights": {key: p.detach() for key, p in module.named_parameters()}, "losses": losses}
