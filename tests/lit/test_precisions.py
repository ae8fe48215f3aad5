"""Methods on tasks, episodes and descriptions train and answer in every precision of the trainer."""

import pytest
import torch

from tlzoo.lit import EpisodeData, Multitask, MultitaskData, OneShot, ZeroShot, ZeroShotData
from tlzoo.methods.compatibility import Compatibility
from tlzoo.registry import accepted_settings, list_methods, method_class

PRECISIONS = ["64-true", "bf16-mixed", "bf16-true"]
DTYPES = {"64-true": torch.float64, "bf16-mixed": torch.float32, "bf16-true": torch.bfloat16}
EPISODES = [name for name in list_methods("oneshot") if issubclass(method_class(name), OneShot.takes)]
READS = [name for name in list_methods("zeroshot") if not issubclass(method_class(name), Compatibility)]


def settings_of(name):
    return dict(method_class(name).variants[0])


def finite(module):
    return all(bool(value.isfinite().all()) for value in module.state_dict().values())


def weights_are(module, precision):
    return all(p.dtype == DTYPES[precision] for p in module.parameters())


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", EPISODES)
def test_one_shot(name, precision, episode_task, make_trainer):
    own = accepted_settings(name, num_features=4)
    settings = {key: value for key, value in settings_of(name).items() if key not in own}
    backbone = {"num_inputs": 8, "hidden": (4,)}
    module = OneShot("mlp", name, way=3, backbone_settings=backbone, method_settings=settings)
    data = EpisodeData(episode_task, episodes=6, batch_size=2, steps_per_epoch=2)
    trainer = make_trainer(4, precision=precision, limit_val_batches=1)
    trainer.fit(module, datamodule=data)
    assert weights_are(module, precision)
    assert finite(module)
    (results,) = trainer.test(module, datamodule=data, verbose=False)
    assert 0 <= results["test/accuracy"] <= 1


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", sorted(set(list_methods("zeroshot")) - set(READS)))
def test_zero_shot(name, precision, zeroshot_task, make_trainer):
    settings = settings_of(name)
    if name == "zeroshot/class_prior":
        settings["prior"] = "estimated"
    shape = {"num_embedding": 8, "backbone_settings": {"num_features": 8}}
    module = ZeroShot("identity", name, num_classes=2, method_settings=settings, **shape)
    data = ZeroShotData(zeroshot_task, batch_size=16)
    trainer = (
        make_trainer(5, precision=precision) if module.trained else make_trainer(-1, max_epochs=1, precision=precision)
    )
    if module.learns:
        trainer.fit(module, datamodule=data)
    (results,) = trainer.test(module, datamodule=data, verbose=False)
    assert 0 <= results["test/accuracy"] <= 1


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", list_methods("multitask"))
def test_multitask(name, precision, multitask_task, make_trainer):
    settings = settings_of(name) | ({"weights": (0.5, 2.0)} if name == "multitask/fixed" else {})
    backbone = {"num_inputs": 8, "hidden": (4,)}
    module = Multitask(
        "mlp", name, targets={"kind": 3, "height": 0}, backbone_settings=backbone, method_settings=settings
    )
    trainer = make_trainer(4, precision=precision)
    trainer.fit(module, datamodule=MultitaskData(multitask_task, batch_size=10))
    assert weights_are(module, precision)
    trainer.test(module, datamodule=MultitaskData(multitask_task, batch_size=10), verbose=False)
