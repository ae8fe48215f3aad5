"""A method is shown what it declares, and nothing else, through data module and module together."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from tlzoo.lit import DomainAdaptation, DomainData, EpisodeData, FineTuning, Multitask, MultitaskData, OneShot
from tlzoo.methods.alignment import Alignment
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.methods.weighting import Weighting
from tlzoo.types import DomainBatch, Sees, SupervisionError

FEATURES = {"num_features": 8}


class Batches(pl.Callback):
    def __init__(self):
        self.seen = []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.seen.append(batch)


def train(module, data, make_trainer, steps=4):
    batches = Batches()
    make_trainer(steps, callbacks=[batches]).fit(module, datamodule=data)
    return batches.seen


class Reader(Alignment):
    """Reads whatever it is told to, declared or not."""

    reads = "target.labels"

    def term(self, source, target, context):
        side, name = self.reads.split(".")
        value = getattr({"source": source, "target": target}[side], name)
        self.found = value
        return {"loss": 0.0 * source.logits.sum()}


def reader(reads, *sees):
    cls = type("Reader", (Reader,), {"reads": reads, "sees": frozenset(sees)})
    return DomainAdaptation("identity", cls(8, 3), num_classes=3, backbone_settings=FEATURES)


DEFAULT = (Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS, Sees.TARGET_INPUTS)


def test_source_only_is_never_given_the_target(domain_task, make_trainer):
    module = DomainAdaptation("identity", "source_only", num_classes=3, backbone_settings=FEATURES)
    batches = train(module, DomainData(domain_task, batch_size=8), make_trainer)
    assert len(batches) == 4
    assert all(batch.target is None for batch in batches)
    assert all(batch.source.labels is not None for batch in batches)


def test_target_only_is_never_given_the_source(domain_task, make_trainer):
    module = DomainAdaptation("identity", "target_only", num_classes=3, backbone_settings=FEATURES)
    batches = train(module, DomainData(domain_task, batch_size=8), make_trainer)
    assert all(batch.source is None and batch.target.labels is not None for batch in batches)


def test_fine_tuning_is_never_given_the_source(domain_task, make_trainer):
    module = FineTuning("identity", "linear_probe", num_classes=3, backbone_settings=FEATURES)
    batches = train(module, DomainData(domain_task, batch_size=8), make_trainer)
    assert all(batch.source is None and batch.target.labels is not None for batch in batches)


def test_target_labels_are_not_in_the_batch(domain_task, make_trainer):
    module = DomainAdaptation("identity", "dan", num_classes=3, backbone_settings=FEATURES)
    for batch in train(module, DomainData(domain_task, batch_size=8), make_trainer):
        assert batch.target.labels is None
        assert batch.target.indices is not None


def test_reaching_for_target_labels_raises(domain_task, make_trainer):
    with pytest.raises(SupervisionError, match="labels: Reader does not declare TARGET_LABELS"):
        train(reader("target.labels", *DEFAULT), DomainData(domain_task), make_trainer)


def test_declared_target_labels_are_there(domain_task, make_trainer):
    module = reader("target.labels", *DEFAULT, Sees.TARGET_LABELS)
    data = DomainData(domain_task, batch_size=8)
    batches = train(module, data, make_trainer)
    assert torch.equal(module.method.found, batches[-1].target.labels)
    expected = domain_task.target_train.labels[data._numbers.argsort()[batches[-1].target.indices].numpy()]
    np.testing.assert_array_equal(batches[-1].target.labels, expected)


@pytest.mark.parametrize("name", ["features", "logits", "labels", "indices"])
def test_a_side_that_is_not_declared_cannot_be_read(name, domain_task, make_trainer):
    module = reader(f"target.{name}", Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS)
    with pytest.raises(SupervisionError, match=f"{name}: Reader does not declare"):
        train(module, DomainData(domain_task), make_trainer)


def test_labels_in_a_batch_of_the_users_own_are_withheld_too(domain_task):
    """The data module is not the only guard: the module withholds labels from whatever batch it is given."""
    module = reader("target.labels", *DEFAULT)
    labelled = domain_task.target_train.batch(np.arange(6))
    with pytest.raises(SupervisionError, match="TARGET_LABELS"):
        module.training_step(DomainBatch(source=labelled, target=labelled), 0)


def test_a_method_cannot_reach_the_task_through_the_view(domain_task, make_trainer):
    module = DomainAdaptation("identity", "dan", num_classes=3, backbone_settings=FEATURES)
    data = DomainData(domain_task, batch_size=8)
    train(module, data, make_trainer)
    with pytest.raises(SupervisionError, match="adaptation/dan does not declare"):
        _ = data.training_data.target.labels


def test_an_episode_method_that_does_not_see_the_base_set_is_not_shown_it(episode_task, make_trainer):
    class Nosy(EpisodeClassifier):
        def answer(self, support, support_labels, query, *, way):
            return torch.zeros(*query.shape[:2], way)

        def learn_base(self, features, labels):
            raise AssertionError("shown")

    module = OneShot("identity", Nosy(), backbone_settings=FEATURES)
    (results,) = make_trainer().test(module, datamodule=EpisodeData(episode_task, episodes=5), verbose=False)
    assert 0 < results["test/accuracy"] < 1


def test_a_method_that_sees_base_inputs_gets_no_base_labels(episode_task, make_trainer):
    class Base(EpisodeClassifier):
        sees = EpisodeClassifier.sees | {Sees.SOURCE_INPUTS}

        def answer(self, support, support_labels, query, *, way):
            return torch.zeros(*query.shape[:2], way)

        def learn_base(self, features, labels):
            self.shown = features.shape, labels

    module = OneShot("identity", Base(), backbone_settings=FEATURES)
    make_trainer().test(module, datamodule=EpisodeData(episode_task, episodes=5), verbose=False)
    assert module.method.shown == ((60, 8), None)


def test_multitask_targets_are_declared(multitask_task, make_trainer):
    class Blind(Weighting):
        sees = frozenset({Sees.TARGET_INPUTS})

        def weigh(self, losses, gramian):
            return torch.ones_like(losses)

    module = Multitask("identity", Blind(2), targets={"kind": 3, "height": 0}, backbone_settings=FEATURES)
    with pytest.raises(SupervisionError, match="Blind does not declare"):
        train(module, MultitaskData(multitask_task, batch_size=8), make_trainer)
