"""What is in a checkpoint, and that a run which stops anywhere goes on as if it had not."""

import pytest
import pytorch_lightning as pl
import torch

from tlzoo.backbones import create_backbone
from tlzoo.lit import (
    DomainAdaptation,
    DomainConfusion,
    DomainData,
    EpisodeData,
    FineTuning,
    Multitask,
    MultitaskData,
    OneShot,
    ZeroShot,
    ZeroShotData,
)
from tlzoo.lit.data import StepLoader
from tlzoo.registry import create_method

MLP = {"num_inputs": 8, "hidden": [6]}


def modules():
    """Return (module, its data by task name) of all six, from names alone."""
    domain = {"num_classes": 3, "bottleneck": 5, "backbone_settings": MLP}
    tasks = {"targets": {"kind": 3, "height": 0}, "backbone_settings": MLP}
    return {
        "adaptation": (DomainAdaptation("mlp", "dan", method_settings={"scales": [0.5, 1.0]}, **domain), "domain_task"),
        "confusion": (DomainConfusion("mlp", "cdan", method_settings={"random_width": 7}, **domain), "domain_task"),
        "multitask": (Multitask("mlp", "uncertainty", **tasks), "multitask_task"),
        "oneshot": (OneShot("mlp", "simpleshot", backbone_settings=MLP), "episode_task"),
        "zeroshot": (
            ZeroShot("identity", "eszsl", num_classes=2, num_embedding=8, backbone_settings={"num_features": 8}),
            "zeroshot_task",
        ),
        "finetuning": (FineTuning("mlp", "l2_sp", num_classes=3, backbone_settings=MLP), "domain_task"),
    }


DATA = {
    "domain_task": lambda task: DomainData(task, batch_size=12),
    "multitask_task": lambda task: MultitaskData(task, batch_size=12),
    "episode_task": lambda task: EpisodeData(task, episodes=5),
    "zeroshot_task": ZeroShotData,
}


@pytest.mark.parametrize("family", ["adaptation", "confusion", "multitask", "oneshot", "zeroshot", "finetuning"])
def test_names_are_enough_to_load(family, request, make_trainer, tmp_path):
    module, task_name = modules()[family]
    data = DATA[task_name](request.getfixturevalue(task_name))
    trainer = make_trainer(3, max_epochs=1, limit_val_batches=0)
    trainer.fit(module, datamodule=data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    torch.manual_seed(99)  # a new start would differ
    loaded = type(module).load_from_checkpoint(tmp_path / "last.ckpt")
    assert loaded.method_name == module.method_name
    for (name, value), other in zip(module.state_dict().items(), loaded.state_dict().values(), strict=True):
        torch.testing.assert_close(other, value, rtol=0, atol=0, msg=name)
    before = make_trainer().test(module, datamodule=data, verbose=False)
    assert make_trainer().test(loaded, datamodule=data, verbose=False) == before
    plain = torch.load(tmp_path / "last.ckpt", weights_only=True)["hyper_parameters"]
    assert plain["optimizer"]["lr"] == 0.01
    assert plain["method"] == module.method_name.split("/")[1]


def test_objects_are_handed_over_again(domain_task, make_trainer, tmp_path):
    def objects():
        return {
            "backbone": create_backbone("mlp", **MLP),
            "method": create_method("dann", num_features=6, num_classes=3),
        }

    module = DomainConfusion(num_classes=3, optimizer={"lr": 0.03}, **objects())
    trainer = make_trainer(3)
    trainer.fit(module, datamodule=DomainData(domain_task, batch_size=12))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    loaded = DomainConfusion.load_from_checkpoint(tmp_path / "last.ckpt", **objects())
    assert loaded.optimizer_settings.lr == 0.03
    inputs = torch.randn(4, 8)
    torch.testing.assert_close(loaded.eval()(inputs), module.eval()(inputs), rtol=0, atol=0)
    hidden = torch.randn(4, 6)
    torch.testing.assert_close(loaded.method.discriminator(hidden), module.method.discriminator(hidden))
    with pytest.raises(TypeError, match=r"pass the same objects again: .*\(path, backbone=..., method=...\)"):
        DomainConfusion.load_from_checkpoint(tmp_path / "last.ckpt")


class Stop(pl.Callback):
    """Saves after a step, as if the machine went down there; the trainer's length is that of the whole run."""

    def __init__(self, step, path):
        self.step, self.path = step, path

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)
            trainer.should_stop = True


class Progress(pl.Callback):
    def __init__(self):
        self.values = []

    def on_train_batch_start(self, trainer, module, *_):
        self.values.append((module.progress, trainer.optimizers[0].param_groups[0]["lr"]))


CASES = {
    "dann": lambda: DomainConfusion(
        "mlp", "dann", num_classes=3, bottleneck=5, backbone_settings=MLP, optimizer={"schedule": "annealed"}
    ),
    "uncertainty": lambda: Multitask(
        "mlp", "uncertainty", targets={"kind": 3, "height": 0}, backbone_settings=MLP, optimizer={"schedule": "cosine"}
    ),
    "gradual": lambda: FineTuning("mlp", "gradual_unfreezing", num_classes=3, backbone_settings=MLP),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("stop", [3, 4, 5])  # within an epoch, at its end, within the next
def test_a_run_that_stops_anywhere_goes_on_to_the_same_weights(
    case, stop, domain_task, multitask_task, make_trainer, tmp_path
):
    def data():
        if case == "uncertainty":
            return MultitaskData(multitask_task, batch_size=10, steps_per_epoch=4)
        return DomainData(domain_task, batch_size=10, steps_per_epoch=4)

    def module():
        torch.manual_seed(1)
        return CASES[case]()

    whole, progress = module(), Progress()
    make_trainer(11, callbacks=[progress]).fit(whole, datamodule=data())

    path = tmp_path / "stopped.ckpt"
    make_trainer(11, callbacks=[Stop(stop, path)]).fit(module(), datamodule=data())
    resumed, rest = module(), Progress()
    torch.manual_seed(77)
    make_trainer(11, callbacks=[rest]).fit(resumed, datamodule=data(), ckpt_path=path, weights_only=True)

    assert rest.values == progress.values[stop:]
    for (name, value), other in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(value, other), name


def test_a_loader_goes_on_in_the_middle_of_an_epoch():
    whole = StepLoader(lambda step: step, 4)
    assert [list(whole), list(whole)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    first = StepLoader(lambda step: step, 4)
    iterator = iter(first)
    assert [next(iterator), next(iterator)] == [0, 1]
    later = StepLoader(lambda step: step, 4)
    later.load_state_dict(first.state_dict())
    assert [list(later), list(later)] == [[2, 3], [4, 5, 6, 7]]
    assert len(later) == 4
