"""Alternating, source-free and test-time methods through Lightning; the registry says which there are."""

import copy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.strategies import FSDPStrategy
from torch import nn

from tlzoo.lit import (
    DomainAdaptation,
    DomainConfusion,
    DomainData,
    SourceFreeAdaptation,
    TestTimeAdaptation,
)
from tlzoo.methods.alternating import Alternating
from tlzoo.methods.source_free import SourceFree
from tlzoo.methods.test_time import TestTime
from tlzoo.registry import METHODS, method_class
from tlzoo.types import DomainBatch, Sees

FEATURES = {"num_features": 8}
KINDS = {name: method_class(name) for name in METHODS if name.split("/")[0] in ("adaptation", "confusion")}


def of(kind):
    return [name for name, cls in KINDS.items() if issubclass(cls, kind)]


class Sealed:
    """Inputs that nobody may read once they are in a task."""

    dtype = np.dtype("float32")

    def __init__(self, size):
        self.size, self.shut = size, False

    def __len__(self):
        return self.size

    def __getitem__(self, indices):
        assert not self.shut, "the source was opened"
        return np.zeros((len(indices), 8), dtype=self.dtype)


def sealed(task):
    shut = {
        name: replace(getattr(task, name), inputs=Sealed(len(getattr(task, name))))
        for name in ("source_train", "source_test")
    }
    for examples in shut.values():
        examples.inputs.shut = True
    return replace(task, **shut)


@pytest.fixture
def source_model(domain_task, make_trainer):
    module = DomainAdaptation("identity", "source_only", num_classes=3, bottleneck=6, backbone_settings=FEATURES)
    make_trainer(40).fit(module, datamodule=DomainData(domain_task, batch_size=12))
    return module.network


@pytest.mark.parametrize("name", of(Alternating))
def test_alternating_methods_learn_the_source(name, domain_task, make_trainer):
    module_class = {"adaptation": DomainAdaptation, "confusion": DomainConfusion}[name.split("/")[0]]
    module = module_class(
        "identity", name, num_classes=3, bottleneck=6, backbone_settings=FEATURES, optimizer={"lr": 0.05}
    )
    before = copy.deepcopy(module.state_dict())
    trainer, data = make_trainer(60), DomainData(domain_task, batch_size=12)
    trainer.fit(module, datamodule=data)
    assert trainer.global_step == 60  # one a batch, however many phases
    assert all(parameter.requires_grad for parameter in module.network.parameters())
    moved = [key for key, value in module.state_dict().items() if not torch.equal(value, before[key])]
    assert any("network.head" in key for key in moved)
    (results,) = trainer.test(module, datamodule=data, verbose=False)
    assert results["test/accuracy"] > 0.6


def test_alternating_methods_refuse_parameters_that_are_divided(monkeypatch):
    module = DomainConfusion("identity", "mcd", num_classes=3, backbone_settings=FEATURES)
    monkeypatch.setattr(type(module), "distributed", True)
    module._trainer = SimpleNamespace(strategy=FSDPStrategy())
    with pytest.raises(RuntimeError, match='FSDPStrategy cannot; give the Trainer strategy="ddp"'):
        module.training_step(DomainBatch(source=None, target=None), 0)


@pytest.mark.parametrize("name", ["adaptation/atdoc", "confusion/pada"])
def test_the_pass_over_the_target_is_in_the_precision_of_the_trainer(name, domain_task, make_trainer):
    module_class = {"adaptation": DomainAdaptation, "confusion": DomainConfusion}[name.split("/")[0]]
    module = module_class("identity", name, num_classes=3, bottleneck=6, backbone_settings=FEATURES)
    seen = []
    on_epoch = module.method.on_epoch
    module.method.on_epoch = lambda target: seen.append(target.logits.dtype) or on_epoch(target)
    make_trainer(4, precision="64-true").fit(module, datamodule=DomainData(domain_task, batch_size=12))
    assert set(seen) == {torch.float64}


def test_a_phase_moves_its_parts_alone(domain_task, make_trainer):
    class Heads(method_class("confusion/mcd")):
        def phases(self, progress):
            return super().phases(progress)[1:2]  # disagree: the heads

    method = Heads(6, 3, hidden=5)
    module = DomainConfusion("identity", method, num_classes=3, bottleneck=6, backbone_settings=FEATURES)
    before = copy.deepcopy(dict(module.network.named_parameters()))
    make_trainer(2).fit(module, datamodule=DomainData(domain_task, batch_size=12))
    for key, parameter in module.network.named_parameters():
        assert torch.equal(parameter, before[key]) == ("bottleneck" in key)


def test_adda_resumes_with_its_source_encoder(domain_task, make_trainer, tmp_path, monkeypatch):
    def module():
        torch.manual_seed(0)
        return DomainConfusion(
            "identity", "adda", num_classes=3, bottleneck=6, backbone_settings=FEATURES, method_settings={"hidden": 5}
        )

    whole, half, again = module(), module(), module()
    make_trainer(12).fit(whole, datamodule=DomainData(domain_task, batch_size=12))
    monkeypatch.setattr(DomainConfusion, "_progress_at", lambda _, step: step / 12)
    trainer = make_trainer(8)
    trainer.fit(half, datamodule=DomainData(domain_task, batch_size=12))
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    path = str(tmp_path / "half.ckpt")
    make_trainer(12).fit(again, datamodule=DomainData(domain_task, batch_size=12), ckpt_path=path)
    assert bool(again.method.copied)
    for key, value in whole.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value)


@pytest.mark.parametrize("name", of(SourceFree))
def test_source_free_methods_never_open_the_source(name, source_model, domain_task, make_trainer):
    before = copy.deepcopy(source_model.state_dict())
    module = SourceFreeAdaptation(source_model, name, num_classes=3, optimizer={"lr": 0.01})
    trainer, data = make_trainer(20), DomainData(sealed(domain_task), batch_size=12)
    trainer.fit(module, datamodule=data)
    (results,) = trainer.test(module, datamodule=data, verbose=False)
    assert results["test/accuracy"] > 0.6
    assert any(not torch.equal(value, before[key]) for key, value in module.network.state_dict().items())
    for key, value in source_model.state_dict().items():
        assert torch.equal(value, before[key])  # it was copied


def test_adabn_takes_the_statistics_of_the_target(source_model, domain_task, make_trainer):
    module = SourceFreeAdaptation(source_model, "adabn", num_classes=3)
    make_trainer(20).fit(module, datamodule=DomainData(domain_task, batch_size=12))
    inputs = torch.from_numpy(domain_task.target_train.inputs[np.arange(36)])
    hidden = source_model.bottleneck[0](inputs)
    norm = module.network.bottleneck[1]
    torch.testing.assert_close(norm.running_mean, hidden.mean(dim=0))
    torch.testing.assert_close(norm.running_var, hidden.var(dim=0))
    for ours, theirs in zip(module.network.parameters(), source_model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_shot_leaves_the_head_alone(source_model, domain_task, make_trainer):
    module = SourceFreeAdaptation(source_model, "shot", num_classes=3)
    make_trainer(10).fit(module, datamodule=DomainData(domain_task, batch_size=12))
    assert torch.equal(module.network.head.weight, source_model.head.weight)
    assert not torch.equal(module.network.bottleneck[0].weight, source_model.bottleneck[0].weight)


SETTINGS = {"adaptation/rmt": {"warmup": 20}}
"""Short versions of what lasts long by default."""


@pytest.mark.parametrize("name", of(TestTime))
def test_test_time_methods_answer_a_stream(name, source_model, domain_task, make_trainer):
    module = TestTimeAdaptation(source_model, name, num_classes=3, method_settings=SETTINGS.get(name))
    sees = module.method.sees
    shown = domain_task if Sees.SOURCE_INPUTS in sees else sealed(domain_task)
    trainer, data = make_trainer(1), DomainData(shown, batch_size=10)
    (first,) = trainer.test(module, datamodule=data, verbose=False)
    assert first["test/accuracy"] > 0.6
    (second,) = trainer.test(module, datamodule=data, verbose=False)  # it began with the source model again
    assert first == second
    assert sees - {Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS} == {Sees.TEST_INPUTS}


def test_a_method_that_declares_the_source_gets_it_once(source_model, domain_task, make_trainer):
    module = TestTimeAdaptation(source_model, "rmt", num_classes=3, method_settings=SETTINGS["adaptation/rmt"])
    before, data = module.method.prototypes.clone(), DomainData(domain_task, batch_size=10)
    make_trainer(1).test(module, datamodule=data, verbose=False)
    assert not torch.equal(module.method.prototypes, before)
    gone = TestTimeAdaptation(source_model, "rmt", num_classes=3)
    make_trainer(1).test(gone, datamodule=DomainData(domain_task.without_source(), batch_size=10), verbose=False)
    assert torch.equal(gone.method.prototypes, before)


@pytest.mark.parametrize("name", of(TestTime))
def test_reset_forgets(name, source_model, domain_task):
    method = TestTimeAdaptation(source_model, name, num_classes=3).method
    inputs = torch.from_numpy(domain_task.target_test.inputs[np.arange(20)])
    first = [method(batch) for batch in inputs.split(10)]
    method.reset()
    again = [method(batch) for batch in inputs.split(10)]
    for ours, theirs in zip(first, again, strict=True):
        assert torch.equal(ours, theirs)


def test_what_is_given_the_wrong_method(source_model):
    with pytest.raises(ValueError, match="dan is a method for DomainAdaptation, not for SourceFreeAdaptation"):
        SourceFreeAdaptation(source_model, "dan", num_classes=3)
    with pytest.raises(TypeError, match="shot is a method for SourceFreeAdaptation, not for TestTimeAdaptation"):
        TestTimeAdaptation(source_model, method_class("shot")(6, 3), num_classes=3)
    with pytest.raises(ValueError, match="no normalization layer"):
        TestTimeAdaptation(nn.Linear(2, 2), "tent", num_classes=2)


@pytest.mark.parametrize(("score", "method"), [("snd", "dan"), ("dev", "dan"), ("class_cluster", "shot")])
def test_a_checkpoint_is_kept_by_a_label_free_score(score, method, source_model, domain_task, make_trainer, tmp_path):
    if method == "shot":
        module = SourceFreeAdaptation(source_model, method, num_classes=3)
    else:
        module = DomainAdaptation("identity", method, num_classes=3, bottleneck=6, backbone_settings=FEATURES)
    best = ModelCheckpoint(tmp_path, monitor=f"validation/{score}", mode="max")
    trainer = make_trainer(6, enable_checkpointing=True, callbacks=[best])
    trainer.fit(module, datamodule=DomainData(domain_task, batch_size=12, steps_per_epoch=2))
    assert best.best_model_score is not None
    assert bool(torch.isfinite(best.best_model_score))


def test_the_task_without_a_source(domain_task):
    task = domain_task.without_source()
    assert [len(examples) for examples in task.sets().values()] == [0, 0, 36, 30]
