"""Every one-shot method of the registry goes through the trainer as it is."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from tlzoo.lit import EpisodeData, OneShot
from tlzoo.registry import METHODS, accepted_settings, method_class

ALL = [name for name in METHODS if name.startswith("oneshot/") and issubclass(method_class(name), OneShot.takes)]


@pytest.fixture(params=ALL)
def module(request):
    settings = dict(method_class(request.param).variants[0])
    own = accepted_settings(request.param, num_features=4)
    return OneShot(
        "mlp",
        request.param,
        way=3,
        backbone_settings={"num_inputs": 8, "hidden": (4,)},
        method_settings={name: value for name, value in settings.items() if name not in own},
    )


def test_the_trainer_tests_it_in_its_own_inference_mode(module, episode_task, make_trainer):
    data = EpisodeData(episode_task, episodes=6)
    trainer = make_trainer()
    (results,) = trainer.test(module, datamodule=data, verbose=False)
    assert 0 <= results["test/accuracy"] <= 1
    (again,) = trainer.test(module, datamodule=data, verbose=False)
    assert again == results  # a test changes nothing
    (logits,) = trainer.predict(module, datamodule=data)
    assert logits.shape == (6, 9, 3)
    assert not logits.requires_grad


def test_what_learns_is_validated_and_tested_after_training(module, episode_task, make_trainer):
    before = OrderedDict((name, value.clone()) for name, value in module.state_dict().items())
    data = EpisodeData(episode_task, episodes=6, batch_size=2, steps_per_epoch=2)
    trainer = make_trainer(2, limit_val_batches=1)
    trainer.fit(module, datamodule=data)
    assert trainer.global_step == 2
    changed = [name for name, value in module.state_dict().items() if not torch.equal(value, before[name])]
    assert any(name.startswith("backbone") for name in changed)
    (results,) = trainer.test(module, datamodule=data, verbose=False)
    assert 0 <= results["test/accuracy"] <= 1


def test_the_list_is_not_empty():
    assert len(ALL) > 20
    assert all(issubclass(method_class(name), nn.Module) for name in ALL)
