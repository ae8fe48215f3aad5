"""Methods that validate themselves on held-out source examples: which they get, and what they answer by."""

from dataclasses import replace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

import tlzoo
from tlzoo.errors import InputError
from tlzoo.lit import DomainAdaptation, DomainData
from tlzoo.lit.data.loaders import StepLoader
from tlzoo.types import DomainBatch, SupervisionError


@pytest.fixture
def two_sources(domain_task):
    source = domain_task.source_train
    domains = np.arange(len(source)) % 4 // 3  # three quarters, one quarter
    return replace(domain_task, source_train=replace(source, domains=domains), source_names=("a", "b"))


def made(method, **settings):
    return DomainAdaptation(
        "identity", method, num_classes=3, bottleneck=6, backbone_settings={"num_features": 8}, method_settings=settings
    )


class Watch(pl.Callback):
    def __init__(self, data=None):
        self.data, self.drawn = data, []

    def on_train_start(self, *_):
        if self.data is not None:
            self.data.close(by="swad")

    def on_train_batch_start(self, trainer, module, batch, *_):
        self.drawn.append(batch.source.inputs)


def test_batches_lack_a_share_of_every_source_domain(two_sources, make_trainer):
    watch, data = Watch(), DomainData(two_sources, batch_size=12)
    make_trainer(12, callbacks=[watch]).fit(made("swad", evaluations=4), datamodule=data)
    drawn = torch.cat(watch.drawn)
    (held_out,) = data.held_out_batches()
    assert held_out.domains.bincount().tolist() == [6, 2]  # a fifth of 30 and of 10
    given, kept = (set(map(tuple, inputs.tolist())) for inputs in (drawn, held_out.inputs))
    assert not given & kept
    assert given | kept == set(map(tuple, two_sources.source_train.inputs.tolist()))
    other = DomainData(two_sources, batch_size=12, seed=1)
    other.attach(made("swad"))
    assert not torch.equal(held_out.inputs, next(iter(other.held_out_batches())).inputs)


def test_other_methods_are_given_none(two_sources):
    data = DomainData(two_sources, batch_size=12)
    data.attach(made("source_only"))
    assert len(data.training_data.source) == 40
    with pytest.raises(InputError, match=r"leave no source example out; declare Need\.HELD_OUT"):
        data.held_out_batches()


def test_test_data_stay_withheld(two_sources, make_trainer):
    """The held-out examples are training data: the task, with its test, is closed while the method looks at them."""
    module, data = made("swad", evaluations=2), DomainData(two_sources, batch_size=12)
    make_trainer(4, callbacks=[Watch(data)], limit_val_batches=0).fit(module, datamodule=data)
    assert int(module.method.evaluated) == 2
    with pytest.raises(SupervisionError):
        data.task  # noqa: B018


@pytest.mark.parametrize("method", ["swad", "source_coral+swad"])
def test_predictions_are_those_of_the_mean_weights(two_sources, make_trainer, method, tmp_path):
    settings = {"evaluations": 5} if method == "swad" else {"swad": {"evaluations": 5}}
    module, trainer = made(method, **settings), make_trainer(20)
    trainer.fit(module, datamodule=DomainData(two_sources, batch_size=12))
    module.eval()
    inputs = torch.randn(5, 8)
    mean = dict(module.method.answering(module.network))
    usual = {name: value for name, value in module.network.state_dict().items() if name in mean}
    assert any(not torch.equal(mean[name], usual[name]) for name in usual)
    said = module(inputs)
    assert not torch.equal(said, module.network(inputs).logits)
    restored = tlzoo.load(module.save(tmp_path / "module"))
    assert torch.equal(restored.eval()(inputs), said)
    module.network.load_state_dict(mean, strict=False)
    assert torch.allclose(module.network(inputs).logits, said, atol=1e-6)


def test_a_resumed_training_ends_as_one_without_a_stop(two_sources, make_trainer, tmp_path, monkeypatch):
    whole, half, again = (made("swad", evaluations=6) for _ in range(3))
    half.load_state_dict(whole.state_dict())
    make_trainer(12).fit(whole, datamodule=DomainData(two_sources, batch_size=12))
    monkeypatch.setattr(DomainAdaptation, "_progress_at", lambda _, step: step / 12)
    trainer = make_trainer(5)
    trainer.fit(half, datamodule=DomainData(two_sources, batch_size=12))
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    make_trainer(12).fit(
        again, datamodule=DomainData(two_sources, batch_size=12), ckpt_path=str(tmp_path / "half.ckpt")
    )
    for one, other in zip(whole.method.state_dict().values(), again.method.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, equal_nan=True)


@pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no")
def test_batches_of_ones_own_are_refused(make_trainer, two_sources):
    inputs = two_sources.source_train.batch(np.arange(6))
    loader = StepLoader(lambda _: DomainBatch(source=inputs, target=None), 1)
    with pytest.raises(InputError, match="train it on a DomainData"):
        make_trainer(1, limit_val_batches=0).fit(made("swad", evaluations=1), train_dataloaders=loader)
