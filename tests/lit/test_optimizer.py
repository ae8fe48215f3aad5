"""Groups, rates and schedules, as plain settings say."""

import json
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from tlzoo.lit import (
    DomainAdaptation,
    DomainConfusion,
    DomainData,
    EpisodeData,
    FineTuning,
    OneShot,
    OptimizerSettings,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "reference" / "golden_alignment.json").read_text())


def rates(settings, steps, total=100):
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = OptimizerSettings.of(settings).build([{"params": [parameter], "lr": 0.01}])
    schedule = OptimizerSettings.of(settings).scheduler(optimizer, lambda step: step / total)
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


def test_annealed():
    seen = rates({"schedule": "annealed"}, 101)
    for progress, rate in GOLDEN["annealed_lr_mu0_0.01"].items():
        assert seen[round(100 * float(progress))] == pytest.approx(rate, rel=1e-12)


def test_inverse():
    for step, rate in enumerate(rates({"schedule": "inverse"}, 50)):
        assert rate == pytest.approx(0.01 * (1 + 0.001 * step) ** -0.75, rel=1e-12)


def test_cosine_step_and_constant():
    assert rates({"schedule": "constant"}, 5) == [0.01] * 5
    assert rates({"schedule": "step"}, 11, total=10) == [0.01] * 5 + [0.005] * 6
    cosine = rates({"schedule": "cosine"}, 101)
    assert cosine[0] == 0.01
    assert cosine[50] == pytest.approx(0.005)
    assert cosine[100] == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_settings_reach_the_optimizer(name):
    settings = OptimizerSettings(name=name, weight_decay=0.3, nesterov=False, momentum=0.7)
    optimizer = settings.build([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.2}])
    assert type(optimizer).__name__.lower() == name
    (group,) = optimizer.param_groups
    assert (group["lr"], group["weight_decay"]) == (0.2, 0.3)
    if name == "sgd":
        assert (group["momentum"], group["nesterov"]) == (0.7, False)


def test_nesterov_without_momentum_is_plain_gradient_descent():
    optimizer = OptimizerSettings(momentum=0.0).build([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 1.0}])
    assert optimizer.param_groups[0]["nesterov"] is False


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rate": 1.0}, "unknown optimizer setting 'learning_rate'"),
        ({"momentun": 1.0}, "did you mean 'momentum'"),
        ({"name": "sdg"}, "did you mean 'sgd'"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"lr": 0.0}, "lr 0.0; expected a number > 0"),
    ],
)
def test_mistakes(settings, message):
    with pytest.raises(ValueError, match=message):
        OptimizerSettings.of(settings)


def test_the_backbone_has_its_own_rate():
    module = DomainAdaptation(
        "mlp",
        "dan",
        num_classes=3,
        bottleneck=4,
        optimizer={"lr": 0.5, "backbone_lr": 0.2},
        backbone_settings={"num_inputs": 8, "hidden": [6]},
    )
    backbone, fresh = module.parameter_groups()
    assert backbone["lr"] == pytest.approx(0.1)
    assert fresh["lr"] == 0.5
    assert {id(p) for p in backbone["params"]} == {id(p) for p in module.network.backbone.parameters()}
    everything = {id(p) for p in module.parameters()}
    assert {id(p) for group in (backbone, fresh) for p in group["params"]} == everything


def test_the_adversary_trains_at_the_full_rate():
    module = DomainConfusion("mlp", "dann", num_classes=3, backbone_settings={"num_inputs": 8, "hidden": [6]})
    _, fresh = module.parameter_groups()
    assert {id(p) for p in module.method.parameters()} <= {id(p) for p in fresh["params"]}


def test_layerwise_rates_shrink_towards_the_stem():
    module = FineTuning(
        "mlp",
        "layerwise",
        num_classes=3,
        optimizer={"lr": 1.0, "backbone_lr": 0.5},
        backbone_settings={"num_inputs": 8, "hidden": [6, 5]},
        method_settings={"decay": 0.1},
    )
    by_rate = {round(group["lr"], 12): {p.shape for p in group["params"]} for group in module.parameter_groups()}
    first, second = ({p.shape for p in layer.parameters()} for layer in _linear_layers(module))
    head = {p.shape for p in module.network.head.parameters()}
    assert by_rate == {1.0: head, 0.5: second, 0.05: first}


def _linear_layers(module):
    return [layer for layer in module.network.backbone.modules() if isinstance(layer, torch.nn.Linear)]


class Recorder(pl.Callback):
    def __init__(self):
        self.rates = []

    def on_train_batch_start(self, trainer, *_):
        self.rates.append(trainer.optimizers[0].param_groups[-1]["lr"])


@pytest.mark.parametrize("schedule", ["annealed", "inverse"])
def test_a_training_follows_the_schedule(schedule, domain_task, make_trainer):
    recorder = Recorder()
    module = DomainAdaptation(
        "identity", "dan", num_classes=3, optimizer={"schedule": schedule}, backbone_settings={"num_features": 8}
    )
    make_trainer(10, callbacks=[recorder]).fit(module, datamodule=DomainData(domain_task, batch_size=12))
    for step, rate in enumerate(recorder.rates):
        expected = (1 + step) ** -0.75 if schedule == "annealed" else (1 + 0.001 * step) ** -0.75
        assert rate == pytest.approx(0.01 * expected, rel=1e-9)  # 10 steps: 10 * progress is the step


def test_nothing_to_train_is_said(episode_task, make_trainer):
    module = OneShot("identity", "protonet", backbone_settings={"num_features": 8})
    with pytest.raises(ValueError, match="nor oneshot/protonet has trainable parameters"):
        make_trainer(5).fit(module, datamodule=EpisodeData(episode_task))


def test_schedules_need_an_end(domain_task, make_trainer):
    module = DomainAdaptation("identity", "dan", num_classes=3, backbone_settings={"num_features": 8})
    with pytest.raises(ValueError, match="give the Trainer max_steps or max_epochs"):
        make_trainer(-1, max_epochs=-1).fit(module, datamodule=DomainData(domain_task, batch_size=12))
