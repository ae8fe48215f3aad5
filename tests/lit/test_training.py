"""Every module trains: the loss falls, the test is answered better than by chance."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import tlzoo
import tlzoo.methods.base
import tlzoo.types
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
from tlzoo.methods.compatibility import Compatibility
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.types import Sees

BACKBONE = {"num_inputs": 8, "hidden": [16]}
FAST = {"lr": 0.05, "backbone_lr": 1.0, "schedule": "constant"}


def mean(values):
    return sum(values) / len(values)


def assert_falls(losses):
    falls(losses.values)


def falls(values):
    assert mean(values[-5:]) < 0.9 * mean(values[:5])


@pytest.mark.parametrize(
    ("cls", "method"),
    [
        (DomainAdaptation, "source_only"),
        (DomainAdaptation, "target_only"),
        (DomainAdaptation, "dan"),
        (DomainAdaptation, "deep_coral"),
        (DomainConfusion, "dann"),
        (DomainConfusion, "cdan"),
    ],
)
@pytest.mark.parametrize("batch_statistics", ["joint", "per_domain"])
def test_domain_modules(cls, method, batch_statistics, domain_task, make_trainer, losses):
    module = cls(
        "mlp",
        method,
        num_classes=3,
        bottleneck=8,
        batch_statistics=batch_statistics,
        optimizer=FAST,
        backbone_settings=BACKBONE,
    )
    trainer = make_trainer(60, callbacks=[losses])
    data = DomainData(domain_task, batch_size=12)
    trainer.fit(module, datamodule=data)
    # features that fool a discriminator better raise its loss, and the sum of both with it
    falls(losses.source if cls is DomainConfusion else losses.values)
    (results,) = trainer.test(module, datamodule=data, verbose=False)
    assert results["test/accuracy"] > 0.8
    assert results["test/balanced_accuracy"] > 0.8
    logits = torch.cat(trainer.predict(module, datamodule=data))
    accuracy = (logits.argmax(dim=1).numpy() == domain_task.target_test.labels).mean()
    assert accuracy == pytest.approx(results["test/accuracy"], abs=1e-6)


def test_label_free_scores_are_logged_in_validation(domain_task, make_trainer):
    module = DomainAdaptation("identity", "dan", num_classes=3, backbone_settings={"num_features": 8})
    trainer = make_trainer(6)
    trainer.fit(module, datamodule=DomainData(domain_task, batch_size=12))
    logged = trainer.callback_metrics
    assert {"validation/source_accuracy", "validation/entropy", "validation/information", "validation/snd"} <= set(
        logged
    )
    assert {"train/loss", "train/mmd", "train/source"} <= set(logged)
    assert float(logged["validation/entropy"]) <= 0


@pytest.mark.parametrize("method", ["equal", "uncertainty"])
@pytest.mark.parametrize("sharing", ["hard", "none"])
def test_multitask(method, sharing, multitask_task, make_trainer, losses):
    module = Multitask(
        "mlp",
        method,
        targets=multitask_task.targets,
        sharing=sharing,
        optimizer={**FAST, "lr": 0.02},
        backbone_settings=BACKBONE,
    )
    trainer = make_trainer(80, callbacks=[losses])
    data = MultitaskData(multitask_task, batch_size=20)
    trainer.fit(module, datamodule=data)
    assert_falls(losses)
    assert {"train/loss_kind", "train/weight_height", "validation/kind/accuracy"} <= set(trainer.callback_metrics)
    (results,) = trainer.test(module, datamodule=data, verbose=False)
    assert results["test/kind/accuracy"] > 0.8
    spread = float(torch.from_numpy(multitask_task.test.targets["height"]).nan_to_num().std())
    assert results["test/height/mae"] < spread
    outputs = trainer.predict(module, datamodule=data)
    assert outputs[0]["kind"].shape == (30, 3)
    assert outputs[0]["height"].shape == (30, 1)


def test_a_batch_without_any_label_is_an_error():
    module = Multitask("identity", "equal", targets={"kind": 3, "height": 0}, backbone_settings={"num_features": 8})
    targets = {"kind": torch.full((4,), -1), "height": torch.full((4,), torch.nan)}
    with pytest.raises(ValueError, match="no task has a label"):
        module._losses(tlzoo.types.TaskBatch(inputs=torch.ones(4, 8), targets=targets))


@pytest.mark.parametrize("method", ["protonet", "simpleshot"])
def test_oneshot(method, episode_task, make_trainer, losses):
    settings = {"temperature": 8.0} if method == "protonet" else {}
    module = OneShot("mlp", method, optimizer=FAST, backbone_settings=BACKBONE, method_settings=settings)
    trainer = make_trainer(60, callbacks=[losses])
    data = EpisodeData(episode_task, episodes=50, steps_per_epoch=30)
    trainer.fit(module, datamodule=data)
    assert_falls(losses)
    (results,) = trainer.test(module, datamodule=data, verbose=False)
    assert results["test/accuracy"] > 0.6
    assert 0 < results["test/interval"] < 0.1
    logits = trainer.predict(module, datamodule=data)
    assert logits[0].shape == (50, 9, 3)


def test_the_interval_is_that_of_the_mean_over_episodes(episode_task, make_trainer):
    module = OneShot("identity", "protonet", backbone_settings={"num_features": 8})
    data = EpisodeData(episode_task, episodes=120)
    (results,) = make_trainer().test(module, datamodule=data, verbose=False)
    logits = make_trainer().predict(module, datamodule=data)
    episodes = list(data.test_dataloader())
    accuracies = torch.cat(
        [(z.argmax(-1) == e.query_labels).double().mean(1) for z, e in zip(logits, episodes, strict=True)]
    )
    assert results["test/accuracy"] == pytest.approx(float(accuracies.mean()), abs=1e-6)
    assert results["test/interval"] == pytest.approx(1.96 * float(accuracies.std()) / 120**0.5, abs=1e-6)


class Fitted(EpisodeClassifier):
    """A linear layer trained on the support set, as Baseline++ does."""

    def answer(self, support, support_labels, query, *, way):
        layers = [nn.Linear(support.shape[-1], way) for _ in support]
        for layer, inputs, labels in zip(layers, support, support_labels, strict=True):
            optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
            for _ in range(10):
                optimizer.zero_grad()
                nn.functional.cross_entropy(layer(inputs), labels).backward()
                optimizer.step()
        return torch.stack([layer(inputs) for layer, inputs in zip(layers, query, strict=True)])


def test_episodic_tests_leave_inference_mode(episode_task, make_trainer):
    module = OneShot("identity", Fitted(), backbone_settings={"num_features": 8})
    data = EpisodeData(episode_task, episodes=10)
    (results,) = make_trainer().test(module, datamodule=data, verbose=False)
    assert results["test/accuracy"] > 0.8
    assert make_trainer().predict(module, datamodule=data)[0].requires_grad is False


@pytest.mark.parametrize("method", ["ridge", "eszsl"])
@pytest.mark.parametrize(("steps", "epochs"), [(5, None), (-1, 3)])
def test_zeroshot_closed_forms_take_one_pass(method, steps, epochs, zeroshot_task, make_trainer):
    module = ZeroShot("identity", method, num_classes=2, num_embedding=8, backbone_settings={"num_features": 8})
    trainer = make_trainer(steps, max_epochs=epochs, limit_val_batches=0)
    data = ZeroShotData(zeroshot_task)
    trainer.fit(module, datamodule=data)
    assert trainer.current_epoch <= 1
    weight = module.method.weight
    direct = type(module.method)(8, 8).fit(*_seen(zeroshot_task)).weight
    torch.testing.assert_close(weight, direct)
    (results,) = trainer.test(module, datamodule=data, verbose=False)
    assert results["test/accuracy"] > 0.7
    assert results["test/top5"] == 1.0  # two candidates
    assert trainer.predict(module, datamodule=data)[0].shape == (30, 2)


def _seen(task):
    return (
        torch.from_numpy(task.train.inputs),
        torch.from_numpy(task.train.labels),
        torch.from_numpy(task.embeddings[task.seen]),
    )


def test_zeroshot_validation_answers_among_held_out_classes(zeroshot_task, make_trainer):
    module = ZeroShot("identity", "ridge", num_classes=2, num_embedding=8, backbone_settings={"num_features": 8})
    trainer = make_trainer(-1, max_epochs=1)  # with Lightning's trial of the validation loop
    trainer.fit(module, datamodule=ZeroShotData(zeroshot_task))
    assert trainer.callback_metrics["validation/accuracy"] > 0.7


def test_generalized_zeroshot_logs_both_sides(zeroshot_task, clusters, make_trainer):
    task = replace(zeroshot_task, test_seen=clusters(40, seed=9, classes=range(8)))
    module = ZeroShot("identity", "ridge", num_classes=12, num_embedding=8, backbone_settings={"num_features": 8})
    trainer = make_trainer(-1, max_epochs=1, limit_val_batches=0)
    data = ZeroShotData(task)
    trainer.fit(module, datamodule=data)
    results = trainer.test(module, datamodule=data, verbose=False)[0]
    seen, unseen = results["test/seen"], results["test/unseen"]
    assert results["test/harmonic"] == pytest.approx(2 * seen * unseen / (seen + unseen), rel=1e-5)
    assert results["test/per_class"] == unseen


def test_zeroshot_trains_a_method_that_has_a_loss(zeroshot_task, make_trainer, losses):
    class Bilinear(Compatibility):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(0.1 * torch.eye(8))

        def batch_loss(self, features, labels, class_embeddings):
            scores = features @ self.weight @ class_embeddings.T
            return {"loss": nn.functional.cross_entropy(scores, labels)}

        def scorer(self, class_embeddings, seen):
            return lambda features: features @ self.weight @ class_embeddings.T

    module = ZeroShot(
        "identity", Bilinear(), num_classes=2, num_embedding=8, backbone_settings={"num_features": 8}, optimizer=FAST
    )
    trainer = make_trainer(30, callbacks=[losses])
    data = ZeroShotData(zeroshot_task, batch_size=16)
    trainer.fit(module, datamodule=data)
    assert trainer.global_step == 30
    assert_falls(losses)
    (results,) = trainer.test(module, datamodule=data, verbose=False)
    assert results["test/accuracy"] > 0.7


def test_zeroshot_without_candidates_says_so():
    module = ZeroShot("identity", "ridge", num_classes=2, num_embedding=8, backbone_settings={"num_features": 8})
    with pytest.raises(RuntimeError, match="call bind"):
        module(torch.ones(1, 8))


@pytest.mark.parametrize("method", sorted(name.split("/")[1] for name in tlzoo.list_methods("finetuning")))
def test_finetuning(method, domain_task, make_trainer, losses):
    network, settings = "mlp", BACKBONE
    if method == "norm_only":
        layers = nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU()
        network, settings = tlzoo.create_backbone(nn.Sequential(*layers), num_features=16), None
    module = FineTuning(network, method, num_classes=3, optimizer=FAST, backbone_settings=settings)
    trainer = make_trainer(60, callbacks=[losses])
    data = DomainData(domain_task, batch_size=12)
    trainer.fit(module, datamodule=data)
    assert_falls(losses)
    (results,) = trainer.test(module, datamodule=data, verbose=False)
    assert results["test/accuracy"] > 0.8
    assert Sees.SOURCE_INPUTS not in module.method.sees
