"""Semi-supervised tasks, several sources and several targets, through data module and module together."""

from dataclasses import replace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch.nn import functional as F

from tlzoo.data import ExampleSet
from tlzoo.lit import DomainAdaptation, DomainConfusion, DomainData, FineTuning
from tlzoo.methods.alignment import Alignment
from tlzoo.methods.conformance.scenario import SHAPE
from tlzoo.registry import METHODS, method_class
from tlzoo.types import SupervisionError

FEATURES = {"num_features": 8}
ALIGNMENTS = [name for name in METHODS if issubclass(method_class(name), Alignment)]


class Batches(pl.Callback):
    def __init__(self):
        self.seen = []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.seen.append(batch)


def module_of(name, **settings):
    cls = {"adaptation": DomainAdaptation, "confusion": DomainConfusion}[name.split("/")[0]]
    return cls("identity", name, num_classes=SHAPE["num_classes"], backbone_settings=FEATURES, **settings)


def train(module, data, make_trainer, steps=3):
    batches = Batches()
    make_trainer(steps, callbacks=[batches], limit_val_batches=0).fit(module, datamodule=data)
    return batches.seen


@pytest.fixture
def few(domain_task):
    return domain_task.semi_supervised(2)


@pytest.mark.parametrize("name", ALIGNMENTS)
@pytest.mark.parametrize("batch_statistics", ["joint", "per_domain"])
def test_every_alignment_learns_from_shots(name, batch_statistics, few, make_trainer):
    module = module_of(name, bottleneck=6, batch_statistics=batch_statistics)
    batches = train(module, DomainData(few, batch_size=8), make_trainer)
    assert all(batch.shots.labels is not None and batch.shots.size == 6 for batch in batches)


def test_shots_and_target_of_a_batch_are_disjoint_examples(few, make_trainer):
    (batch, *_) = train(module_of("adaptation/dan"), DomainData(few, batch_size=34), make_trainer, steps=1)
    assert batch.target.labels is None
    assert not (batch.shots.inputs[:, None] == batch.target.inputs[None]).all(dim=-1).any()


def test_the_supervised_loss_is_the_mean_over_source_and_shots(few, make_trainer, losses):
    module = module_of("adaptation/source_only", optimizer={"lr": 1e-9})
    batches = Batches()
    make_trainer(1, callbacks=[batches, losses], limit_val_batches=0).fit(
        module, datamodule=DomainData(few, batch_size=8)
    )
    (batch,) = batches.seen
    assert batch.target is None
    inputs = torch.cat([batch.source.inputs, batch.shots.inputs])
    labels = torch.cat([batch.source.labels, batch.shots.labels])
    assert losses.values == pytest.approx([F.cross_entropy(module(inputs), labels).item()], rel=1e-5)


def test_shots_help_where_the_target_is_turned_around(domain_task, make_trainer):
    """A target whose classes lie elsewhere: only its labels can say so."""
    turned = {
        name: getattr(domain_task, name).with_labels((getattr(domain_task, name).labels + 1) % 3)
        for name in ("target_train", "target_test")
    }
    task = replace(domain_task, **turned)

    def accuracy(task):
        torch.manual_seed(0)
        module, trainer = module_of("adaptation/source_only", optimizer={"lr": 0.1}), make_trainer(60)
        data = DomainData(task, batch_size=12)
        trainer.fit(module, datamodule=data)
        return trainer.test(module, datamodule=data, verbose=False)[0]["test/accuracy"]

    assert accuracy(task.semi_supervised(4)) > accuracy(task) + 0.3


def test_a_method_never_meets_the_labels_of_shots(few, make_trainer):
    class Nosy(Alignment):
        def term(self, source, target, context):
            return {"loss": F.cross_entropy(target.logits, target.labels)}

    module = DomainAdaptation("identity", Nosy(8, 3), num_classes=3, backbone_settings=FEATURES)
    with pytest.raises(SupervisionError, match="labels: Nosy does not declare TARGET_LABELS"):
        train(module, DomainData(few), make_trainer)


@pytest.mark.parametrize(
    "make",
    [
        lambda: module_of("confusion/mcd"),
        lambda: FineTuning("identity", "full", num_classes=3, backbone_settings=FEATURES),
    ],
)
def test_what_does_not_learn_from_shots_says_so(make, few, make_trainer):
    with pytest.raises(ValueError, match=r"clusters has labelled target examples, but .* cannot learn"):
        train(make(), DomainData(few), make_trainer)


# --- several domains


@pytest.fixture
def several(domain_task, clusters):
    """Two sources of unequal size and two targets."""
    sides = {
        "source_train": [clusters(60, seed=1), clusters(12, seed=2)],
        "source_test": [clusters(20, seed=3), clusters(20, seed=4)],
        "target_train": [clusters(30, seed=5, shift=0.5), clusters(30, seed=6, shift=1.0)],
        "target_test": [clusters(300, seed=7, shift=0.5), clusters(20, seed=8, shift=1.0)],
    }
    pooled = {name: ExampleSet.pooled(sets) for name, sets in sides.items()}
    return replace(domain_task, **pooled, source_names=("a", "b"), target_names=("c", "d"))


def test_each_source_gives_as_many_examples_of_a_batch(several, make_trainer):
    for batch in train(module_of("adaptation/dan"), DomainData(several, batch_size=10), make_trainer):
        assert np.bincount(batch.source.domains).tolist() == [5, 5]
        assert set(batch.target.domains.tolist()) <= {0, 1}


@pytest.mark.parametrize("name", ["adaptation/dan", "confusion/dann", "confusion/mcd"])
def test_methods_work_on_pooled_domains(name, several, make_trainer):
    module, trainer = module_of(name, bottleneck=6, optimizer={"lr": 0.05}), make_trainer(60)
    data = DomainData(several, batch_size=12)
    trainer.fit(module, datamodule=data)
    assert trainer.test(module, datamodule=data, verbose=False)[0]["test/accuracy"] > 0.7


def test_the_accuracy_on_each_target_is_logged(several, make_trainer):
    module, trainer, data = module_of("adaptation/source_only"), make_trainer(30), DomainData(several, batch_size=12)
    trainer.fit(module, datamodule=data)
    (results,) = trainer.test(module, datamodule=data, verbose=False)
    logits = torch.cat(trainer.predict(module, datamodule=data))  # the first batch is of one target alone
    hits = logits.argmax(dim=1).numpy() == several.target_test.labels
    assert results["test/c"] == pytest.approx(hits[:300].mean())
    assert results["test/d"] == pytest.approx(hits[300:].mean())
    assert results["test/accuracy"] == pytest.approx(hits.mean())


def test_a_method_is_told_the_domains(several, make_trainer):
    class Told(Alignment):
        def term(self, source, target, context):
            self.told = source.domains, target.domains
            return {"loss": 0.0 * source.logits.sum()}

    module = DomainAdaptation("identity", Told(8, 3), num_classes=3, backbone_settings=FEATURES)
    batches = train(module, DomainData(several, batch_size=10), make_trainer)
    assert torch.equal(module.method.told[0], batches[-1].source.domains)
    assert torch.equal(module.method.told[1], batches[-1].target.domains)
