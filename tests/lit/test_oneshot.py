"""The one-shot module beyond what all modules share: meta-learners, and losses of a method's own."""

import pytest
import torch

from tlzoo.bench.dependence import TOLERANCE, measure_dependence
from tlzoo.lit import EpisodeData, OneShot
from tlzoo.methods.oneshot import MAML, MatchingNet
from tlzoo.registry import create_method
from tlzoo.types import Episode

BACKBONE = {"num_inputs": 8, "hidden": [16]}
FAST = {"name": "adam", "lr": 0.01, "weight_decay": 0.0, "schedule": "constant", "backbone_lr": 1.0}


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("maml", {"rate": 0.3, "steps": 2}),
        ("fomaml", {"rate": 0.3, "steps": 2}),
        ("anil", {"rate": 0.3, "steps": 2}),
        ("meta_sgd", {"rate": 0.3}),
        ("reptile", {"rate": 0.3, "steps": 3}),
        ("relation_net", {}),
        ("siamese", {}),
        ("feat", {"temperature": 8.0}),
        ("r2d2", {}),
    ],
)
def test_training_helps_and_tests_need_no_setting_of_inference_mode(method, settings, episode_task, make_trainer):
    module = OneShot("mlp", method, way=3, optimizer=FAST, backbone_settings=BACKBONE, method_settings=settings)
    data = EpisodeData(episode_task, episodes=30)
    before = {name: p.clone() for name, p in module.named_parameters()}
    make_trainer(80, limit_val_batches=0).fit(module, datamodule=data)
    moved = {name for name, p in module.named_parameters() if not torch.equal(p, before[name])}
    assert any(name.startswith("backbone") for name in moved)
    (results,) = make_trainer().test(module, datamodule=data, verbose=False)
    assert results["test/accuracy"] > 0.5  # chance is a third
    logits = make_trainer().predict(module, datamodule=data)
    assert logits[0].shape == (30, 9, 3)
    assert not logits[0].requires_grad


def test_meta_sgd_learns_its_rates(episode_task, make_trainer):
    module = OneShot("mlp", "meta_sgd", way=3, optimizer=FAST, backbone_settings=BACKBONE)
    make_trainer(5, limit_val_batches=0).fit(module, datamodule=EpisodeData(episode_task))
    assert set(module.method.rates) == {name.replace(".", "/") for name, _ in module.network.named_parameters()}
    assert all((rate != 0.01).any() for rate in module.method.rates.values())


@pytest.mark.parametrize("method", ["anil", "meta_sgd", "feat"])
def test_names_are_enough_to_load(method, episode_task, make_trainer, tmp_path):
    module = OneShot("mlp", method, way=3, optimizer=FAST, backbone_settings=BACKBONE)
    data = EpisodeData(episode_task, episodes=5)
    trainer = make_trainer(3, limit_val_batches=0)
    trainer.fit(module, datamodule=data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    loaded = OneShot.load_from_checkpoint(tmp_path / "last.ckpt")
    for (name, ours), theirs in zip(loaded.named_parameters(), module.parameters(), strict=True):
        assert torch.equal(ours, theirs), name
    answers = [make_trainer().predict(m, datamodule=data)[0] for m in (module, loaded)]
    assert torch.equal(*answers)


def test_a_methods_own_loss_is_trained(episode_task, make_trainer, losses):
    class Hinge(MatchingNet):
        def loss(self, logits, labels):
            return torch.nn.functional.multi_margin_loss(logits.flatten(0, 1), labels.flatten()) + 100

    module = OneShot("mlp", Hinge(), optimizer=FAST, backbone_settings=BACKBONE)
    make_trainer(3, limit_val_batches=0, callbacks=[losses]).fit(module, datamodule=EpisodeData(episode_task))
    assert min(losses.values) >= 100


def test_a_meta_learner_needs_the_number_of_classes():
    with pytest.raises(ValueError, match="MAML adapts a head with one output per class; set way"):
        OneShot("mlp", MAML(), backbone_settings=BACKBONE)


def test_methods_of_other_kinds_are_refused():
    with pytest.raises(TypeError, match="adaptation/dan is a method for DomainAdaptation, not for OneShot"):
        OneShot("mlp", create_method("dan", num_features=16, num_classes=3), backbone_settings=BACKBONE)


@pytest.mark.parametrize("method", ["protonet", "maml"])
@pytest.mark.parametrize("statistics", ["support", "batch"])
def test_batch_normalization_over_queries_is_a_leak_that_is_measured(method, statistics):
    settings = {"statistics": statistics}
    given = {"way": 3, "method_settings": settings} if method == "maml" else settings
    module = OneShot("conv4", method, backbone_settings={"image_size": 16, "width": 4}, **given)
    images = torch.randint(256, (1, 14, 16, 16, 1), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)

    def answer(queries):
        episode = Episode(
            support=images[:, :6],
            support_labels=torch.arange(3).repeat(1, 2),
            query=queries[None],
            query_labels=None,
            way=3,
        )
        return module(episode)[0]

    depends = max(measure_dependence(answer, images[0, 6:]).values())
    assert (depends > TOLERANCE) == (statistics == "batch")
