"""What trains, and when."""

from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy, FSDPStrategy, ModelParallelStrategy
from torch import nn

import tlzoo
from tlzoo.backbones import create_backbone
from tlzoo.lit import DomainData, FineTuning


class Small(nn.Module):
    """Two stages with normalization and dropout."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5))
        self.top = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU())

    def forward(self, inputs):
        return self.top(self.stem(inputs))


def make(method, **settings):
    backbone = create_backbone(Small(), num_features=5, modality="features")
    return FineTuning(backbone, method, num_classes=3, method_settings=settings, optimizer={"lr": 0.05})


def normalizations(module):
    return [layer for layer in module.network.backbone.modules() if isinstance(layer, nn.BatchNorm1d)]


def test_a_frozen_backbone_keeps_its_statistics_and_drops_nothing(domain_task, make_trainer):
    module = make("linear_probe")
    before = {name: value.clone() for name, value in module.network.backbone.state_dict().items()}
    make_trainer(10).fit(module, datamodule=DomainData(domain_task, batch_size=12))
    for name, value in module.network.backbone.state_dict().items():
        assert torch.equal(value, before[name]), name
    module.train()
    assert not any(layer.training for layer in module.network.backbone.modules())
    assert module.network.head.training


def test_layers_that_train_are_in_training_mode(domain_task, make_trainer):
    module = make("full")
    before = [layer.running_mean.clone() for layer in normalizations(module)]
    make_trainer(10).fit(module, datamodule=DomainData(domain_task, batch_size=12))
    for layer, mean in zip(normalizations(module), before, strict=True):
        assert not torch.equal(layer.running_mean, mean)


class Trained(pl.Callback):
    """Which stages changed, or gathered statistics, in each step."""

    def __init__(self):
        self.weights, self.statistics = [], []

    def _state(self, module):
        stages = module.network.backbone.module
        return [(s[0].weight.detach().clone(), s[1].running_mean.clone()) for s in (stages.stem, stages.top)]

    def on_train_batch_start(self, trainer, module, *_):
        self.before = self._state(module)

    def on_train_batch_end(self, trainer, module, *_):
        changed = [
            [not torch.equal(old, new) for old, new in zip(before, after, strict=True)]
            for before, after in zip(self.before, self._state(module), strict=True)
        ]
        self.weights.append([weight for weight, _ in changed])
        self.statistics.append([statistic for _, statistic in changed])


def test_gradual_unfreezing_releases_stages_from_the_head_down(domain_task, make_trainer):
    trained = Trained()
    module = make("gradual_unfreezing")
    make_trainer(12, callbacks=[trained]).fit(module, datamodule=DomainData(domain_task, batch_size=12))
    # two stages, so thirds: the head alone, then the top, then all
    expected = [[False, False]] * 4 + [[False, True]] * 4 + [[True, True]] * 4
    assert trained.weights == expected
    assert trained.statistics == expected


def test_all_groups_reach_the_optimizer_though_they_start_frozen():
    module = make("gradual_unfreezing")
    held = {id(p) for group in module.parameter_groups() for p in group["params"]}
    assert held == {id(p) for p in module.parameters()}


def test_the_penalty_is_logged_and_added(domain_task, make_trainer):
    module = make("l2_sp", alpha=1.0, beta=1.0)
    trainer = make_trainer(5)
    trainer.fit(module, datamodule=DomainData(domain_task, batch_size=12))
    logged = trainer.callback_metrics
    assert logged["train/penalty"] > 0
    assert float(logged["train/loss"]) == pytest.approx(
        float(logged["train/target"] + logged["train/penalty"]), rel=1e-6
    )


def test_validation_data_of_the_users_own(domain_task, make_trainer):
    data = DomainData(domain_task, batch_size=12)
    module = make("full")
    (results,) = make_trainer().validate(module, dataloaders=data.passes(domain_task.target_test), verbose=False)
    assert 0 <= results["validation/accuracy"] <= 1


def among(module, strategy):
    """Let a module think that it trains with others."""
    module._trainer = SimpleNamespace(strategy=strategy, world_size=2, datamodule=None)
    return module


@pytest.mark.parametrize("method", ["gradual_unfreezing", "lp_ft"])
def test_what_ddp_does_not_follow_is_refused_by_name(method):
    module = FineTuning("mlp", method, num_classes=3, backbone_settings={"num_inputs": 8, "hidden": [6]})
    with pytest.raises(ValueError, match=f"{method} changes which parameters train as training goes on, which DDP"):
        among(module, DDPStrategy()).setup("fit")
    among(module, DDPStrategy()).setup("test")


@pytest.mark.parametrize("strategy", [FSDPStrategy, ModelParallelStrategy])
@pytest.mark.parametrize("stage", ["fit", "test"])
def test_strategies_that_shard_are_refused_by_name(strategy, stage):
    module = FineTuning("mlp", "full", num_classes=3, backbone_settings={"num_inputs": 8, "hidden": [6]})
    with pytest.raises(
        ValueError, match=r"strategy '?\w+'? shards the parameters, and FineTuning needs .*strategy=\"ddp\""
    ):
        among(module, strategy()).setup(stage)


class Tied(nn.Module):
    """Two layers of one weight."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.second.weight = self.first.weight

    def forward(self, inputs):
        return self.second(torch.relu(self.first(inputs)))


@pytest.mark.parametrize("method", ["wise_ft", "soup", "hra"])
def test_tied_weights_are_trained_stored_and_exported(method, domain_task, make_trainer, tmp_path):
    module = FineTuning(create_backbone(Tied(), num_features=8, modality="features"), method, num_classes=3)
    make_trainer(8).fit(module, datamodule=DomainData(domain_task, batch_size=8, steps_per_epoch=4))
    first, second = (module.network.backbone.get_submodule(f"module.{name}") for name in ("first", "second"))
    weights = [getattr(layer, "base_layer", layer).weight for layer in (first, second)]
    assert weights[0] is weights[1]
    items = domain_task.target_test.inputs[np.arange(5)]
    answers = module.predict(items).probabilities
    loaded = tlzoo.load(module.save(tmp_path / "module"), backbone=Tied())
    assert np.array_equal(loaded.predict(items).probabilities, answers)
    program = torch.export.load(module.export(tmp_path / "module.pt2", items)).module()
    np.testing.assert_allclose(program(torch.from_numpy(items)).detach().numpy(), answers, atol=1e-6)
