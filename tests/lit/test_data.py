"""Batches are functions of (seed, step), whatever the number of processes."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tlzoo.lit import DomainAdaptation, DomainData, EpisodeData, Multitask, MultitaskData, OneShot
from tlzoo.types import DomainBatch, Episode

FEATURES = {"num_features": 8}


def on(data, module, *, rank=0, world=1):
    """Attach a data module to a process of a world, as a trainer would."""
    data.trainer = SimpleNamespace(lightning_module=module, world_size=world, global_rank=rank)
    data.setup("fit")
    return data


def tensors(batch):
    if isinstance(batch, DomainBatch):
        return [batch.source.inputs, batch.source.labels, batch.target.inputs]
    if isinstance(batch, Episode):
        return [batch.support, batch.support_labels, batch.query, batch.query_labels]
    return [batch.inputs, *batch.targets.values()]


def cases(domain_task, multitask_task, episode_task):
    dan = DomainAdaptation("identity", "dan", num_classes=3, backbone_settings=FEATURES)
    equal = Multitask("identity", "equal", targets={"kind": 3, "height": 0}, backbone_settings=FEATURES)
    protonet = OneShot("identity", "protonet", backbone_settings=FEATURES)
    return {
        "domain": (dan, lambda seed=0: DomainData(domain_task, batch_size=11, seed=seed)),
        "multitask": (equal, lambda seed=0: MultitaskData(multitask_task, batch_size=11, seed=seed)),
        "episode": (protonet, lambda seed=0: EpisodeData(episode_task, batch_size=5, seed=seed)),
    }


@pytest.fixture(params=["domain", "multitask", "episode"])
def case(request, domain_task, multitask_task, episode_task):
    return cases(domain_task, multitask_task, episode_task)[request.param]


@pytest.mark.parametrize("world", [2, 3])
def test_joined_batches_do_not_depend_on_the_number_of_processes(case, world):
    module, make = case
    whole = on(make(), module).train_dataloader()
    parts = [on(make(), module, rank=rank, world=world).train_dataloader() for rank in range(world)]
    for step in (0, 1, 5, 17):
        shares = [tensors(part.batch_at(step)) for part in parts]
        assert all(len(share[0]) >= 1 for share in shares)
        for place, expected in enumerate(tensors(whole.batch_at(step))):
            torch.testing.assert_close(
                torch.cat([share[place] for share in shares]), expected, rtol=0, atol=0, equal_nan=True
            )


def test_batches_depend_on_seed_and_step_alone(case):
    module, make = case
    first, second, other = (on(make(seed), module).train_dataloader() for seed in (0, 0, 1))
    first.batch_at(3)  # what was asked before does not matter
    for one, two in zip(tensors(first.batch_at(2)), tensors(second.batch_at(2)), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0, equal_nan=True)
    assert not torch.equal(tensors(first.batch_at(0))[0], tensors(other.batch_at(0))[0])


def test_more_processes_than_examples_a_batch_is_an_error(episode_task):
    module = OneShot("identity", "protonet", backbone_settings=FEATURES)
    data = on(EpisodeData(episode_task, batch_size=2), module, rank=2, world=3)
    with pytest.raises(ValueError, match="batch of 2 for 3 processes; raise batch_size"):
        data.train_dataloader().batch_at(0)


@pytest.mark.parametrize("size", [30, 257, 513])  # one more than whole batches: no process gets an empty one
def test_evaluation_shows_everything_once(size, domain_task, clusters):
    module = DomainAdaptation("identity", "dan", num_classes=3, backbone_settings=FEATURES)
    task = replace(domain_task, target_test=clusters(size, seed=5))
    parts = [on(DomainData(task), module, rank=rank, world=2) for rank in range(2)]
    loaders = [part.test_dataloader() for part in parts]
    batches = [list(loader) for loader in loaders]
    assert [len(loader) for loader in loaders] == [len(part) for part in batches]
    assert all(batch.size for part in batches for batch in part)
    assert torch.cat([batch.indices for part in batches for batch in part]).tolist() == list(range(size))


def test_test_episodes_do_not_depend_on_the_seed_of_training(episode_task):
    module = OneShot("identity", "protonet", backbone_settings=FEATURES)
    first, second = (next(iter(on(EpisodeData(episode_task, seed=seed), module).test_dataloader())) for seed in (0, 1))
    assert torch.equal(first.query, second.query)


def test_steps_an_epoch(domain_task):
    module = DomainAdaptation("identity", "dan", num_classes=3, backbone_settings=FEATURES)
    assert len(on(DomainData(domain_task, batch_size=10), module).train_dataloader()) == 3  # 36 target examples
    assert len(on(DomainData(domain_task, batch_size=10, steps_per_epoch=7), module).train_dataloader()) == 7


def test_scale_is_that_of_the_training_inputs_in_view(domain_task):
    for method, sets in {
        "dan": (domain_task.source_train, domain_task.target_train),
        "source_only": (domain_task.source_train,),
        "target_only": (domain_task.target_train,),
    }.items():
        module = DomainAdaptation("identity", method, num_classes=3, backbone_settings=FEATURES)
        on(DomainData(domain_task, scale=True), module)
        spread = np.concatenate([s.inputs.ravel() for s in sets]).std()
        inputs = domain_task.target_test.inputs
        np.testing.assert_allclose(module.network.prepared(torch.from_numpy(inputs)), inputs / spread, rtol=1e-6)


def test_target_shots(domain_task):
    module = DomainAdaptation("identity", "target_only", num_classes=3, backbone_settings=FEATURES)
    data = on(DomainData(domain_task, target_shots=2), module)
    np.testing.assert_array_equal(np.bincount(data.training_data.target.labels), [2, 2, 2])


def test_width_and_classes(domain_task):
    assert (DomainData(domain_task).num_classes, DomainData(domain_task).num_features) == (3, 8)


def test_raw_pictures_have_no_width(domain_task):
    task = domain_task.map_sets(
        lambda examples: examples.with_inputs(np.zeros((len(examples), 4, 4, 3), dtype=np.uint8), "image")
    )
    with pytest.raises(ValueError, match="clusters: batches hold raw inputs; set features=BACKBONE"):
        _ = DomainData(task).num_features
    with pytest.raises(ValueError, match="set features=BACKBONE"):
        DomainData(task, scale=True)


def test_without_a_trainer_nothing_is_shown(domain_task):
    with pytest.raises(RuntimeError, match="use it with a Trainer"):
        DomainData(domain_task).setup("fit")


def test_a_module_of_another_kind_is_an_error(domain_task):
    import pytorch_lightning as pl

    with pytest.raises(TypeError, match="LightningModule declares no supervision"):
        on(DomainData(domain_task), pl.LightningModule())


def test_a_task_of_another_kind_is_an_error(domain_task, episode_task):
    with pytest.raises(TypeError, match="clusters is an episode task; DomainData takes a domain task"):
        DomainData(episode_task)
    with pytest.raises(TypeError, match="clusters is a domain task; EpisodeData takes an episode task"):
        EpisodeData(domain_task)
