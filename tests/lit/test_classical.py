import pytest
import torch

from tlzoo.lit import EpisodeData, OneShot
from tlzoo.lit.classical_oneshot import ClassicalOneShot
from tlzoo.types import Episode, Examples

BACKBONE = {"num_inputs": 8, "hidden": (8,)}


def classical(**changes):
    settings = {"num_base_classes": 6, "optimizer": {"lr": 0.05, "backbone_lr": 1.0}, **changes}
    return ClassicalOneShot("mlp", "protonet", backbone_settings=BACKBONE, **settings)


def loader(module, task, make_trainer, **settings):
    data, trainer = EpisodeData(task, **settings), make_trainer()
    trainer.strategy.connect(module)
    data.trainer = module.trainer = trainer
    return data.train_dataloader()


def test_it_gets_labelled_batches_of_the_base_classes(episode_task, make_trainer):
    moved = episode_task.base.with_labels(episode_task.base.labels * 10 + 3)
    task = type(episode_task)(**{**vars(episode_task), "base": moved, "class_names": tuple(map(str, range(60)))})
    batch = next(iter(loader(classical(), task, make_trainer, batch_size=20)))
    assert isinstance(batch, Examples)
    assert batch.inputs.shape == (20, 8)
    # numbered without gaps, whatever the labels are
    assert set(batch.labels.tolist()) <= set(range(6))
    assert torch.equal(batch.labels, (torch.from_numpy(moved.labels[batch.indices.numpy()]) - 3) // 10)
    plain = OneShot("mlp", "protonet", backbone_settings=BACKBONE)
    assert isinstance(next(iter(loader(plain, task, make_trainer))), Episode)


def test_training_shapes_differ_from_those_of_the_test(episode_task, make_trainer):
    plain = OneShot("mlp", "protonet", backbone_settings=BACKBONE)
    settings = {"train_way": [2, 5], "train_shot": 1, "train_query": 2, "steps_per_epoch": 20, "batch_size": 2}
    batches = list(loader(plain, episode_task, make_trainer, **settings))
    assert {batch.way for batch in batches} == {2, 5}
    for batch in batches:
        assert batch.support.shape == (2, batch.way, 8)
        assert batch.query.shape == (2, 2 * batch.way, 8)
    test = next(iter(EpisodeData(episode_task, **settings).test_dataloader()))
    assert (test.way, test.support.shape[1], test.query.shape[1]) == (3, 6, 9)


def test_the_backbone_learns_the_base_classes_and_answers_new_ones(episode_task, make_trainer, losses):
    module, data = classical(), EpisodeData(episode_task, episodes=50, batch_size=20, steps_per_epoch=30)
    trainer = make_trainer(60, callbacks=[losses])
    trainer.fit(module, datamodule=data)
    (results,) = trainer.test(module, datamodule=data, verbose=False)
    assert results["test/accuracy"] > 0.6
    logits = module.base_head(module.backbone(torch.from_numpy(episode_task.base.inputs)))
    assert (logits.argmax(dim=1).numpy() == episode_task.base.labels).mean() > 0.9


def test_a_checkpoint_brings_it_back(episode_task, make_trainer, tmp_path):
    module, data = classical(), EpisodeData(episode_task, batch_size=20, episodes=5)
    trainer = make_trainer(2)
    trainer.fit(module, datamodule=data)
    trainer.save_checkpoint(tmp_path / "module.ckpt")
    again = ClassicalOneShot.load_from_checkpoint(tmp_path / "module.ckpt")
    assert again.base_head.out_features == 6
    assert all(torch.equal(value, module.state_dict()[name]) for name, value in again.state_dict().items())


def test_meta_learners_are_refused():
    with pytest.raises(ValueError, match="oneshot/maml is a method for OneShot, not for ClassicalOneShot"):
        ClassicalOneShot("mlp", "maml", num_base_classes=3, backbone_settings=BACKBONE)


def test_a_task_that_lists_its_episodes_takes_no_other_shape(episode_task):
    listed = episode_task.episodes(seed=5).freeze(7)
    task = type(episode_task)(**{**vars(episode_task), "listed": listed})
    data = EpisodeData(task, episodes=50)
    assert data.episode_list().hash == listed.hash
    assert len(next(iter(data.test_dataloader())).support) == 7
    assert len(data.episode_list("validation")) == 50
    assert EpisodeData(task, shot=1).shot == 1  # the first of each class of the same episodes
    with pytest.raises(
        ValueError, match="lists its test episodes: way 3, shot 2 or fewer, query 3, balanced; got way 3"
    ):
        EpisodeData(task, shot=3)
