import importlib.util
import random
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tlzoo.interop import learn2learn as interop

installed = pytest.mark.skipif(
    importlib.util.find_spec("learn2learn") is None, reason="learn2learn is not installed (make test installs it)"
)


@pytest.fixture
def l2l():
    return interop.load()


@pytest.fixture
def taskset(l2l):
    """Tasks of 3 of 6 classes, 2 + 4 examples each; an input tells its class and its number."""
    torch.manual_seed(0)
    random.seed(0)  # what their task sampler draws from
    labels = torch.arange(6).repeat_interleave(10)
    inputs = torch.randn(60, 4) + 3 * F.one_hot(labels, 6)[:, :4] + 2 * F.one_hot(labels, 6)[:, 2:]
    dataset = l2l.data.MetaDataset(torch.utils.data.TensorDataset(inputs, labels))
    transforms = l2l.data.transforms
    steps = [
        transforms.NWays(dataset, 3),
        transforms.KShots(dataset, 6),
        transforms.LoadData(dataset),
        transforms.RemapLabels(dataset),
    ]
    return l2l.data.Taskset(dataset, task_transforms=steps, num_tasks=20)


@installed
def test_loading_leaves_out_what_breaks():
    code = (
        "import sys; from tlzoo.interop import learn2learn as i; l = i.load(); "
        "from learn2learn.algorithms import MAML; assert MAML is l.algorithms.MAML is i.load().algorithms.MAML; "
        "print([m for m in ('gym', 'qpth', 'learn2learn.vision', 'pytorch_lightning') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_without_it_the_way_to_install_is_said(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.delitem(sys.modules, "learn2learn", raising=False)
    with pytest.raises(ImportError, match=r"pip install --no-deps -r requirements-learn2learn\.txt"):
        interop.load()


@installed
def test_tasks_become_episodes(taskset):
    episodes = interop.episodes_from_taskset(taskset, way=3, shot=2, query=4)
    assert len(episodes) == 20
    for number in (0, 7):
        inputs, labels = taskset[number]
        episode = interop.episodes_from_taskset([(inputs, labels)], way=3, shot=2, query=4)
        (episode,) = episode
        assert episode.support.shape == (1, 6, 4)
        assert episode.query.shape == (1, 12, 4)
        for part, own in ((episode.support, episode.support_labels), (episode.query, episode.query_labels)):
            for row, label in zip(part[0], own[0], strict=True):
                (place,) = (inputs == row).all(dim=1).nonzero()
                assert labels[place] == label
        rows = torch.cat([episode.support[0], episode.query[0]])
        assert len(rows.unique(dim=0)) == len(rows)  # no query is in the support


@installed
@pytest.mark.parametrize("shape", [{"way": 4, "shot": 2, "query": 4}, {"way": 3, "shot": 3, "query": 4}])
def test_tasks_of_another_shape_are_an_error(shape, taskset):
    with pytest.raises(ValueError, match=r"3 classes and at least 6 examples each; expected .*NWays\(dataset, \d\)"):
        next(iter(interop.episodes_from_taskset(taskset, **shape)))


def episode_tensors():
    generator = torch.Generator().manual_seed(0)
    support, query = (torch.randn(2, n, 5, generator=generator, dtype=torch.float64) for n in (6, 9))
    labels = torch.arange(3).repeat(2)[None].expand(2, -1)
    return support, labels, query


@installed
@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("steps", [1, 2])
def test_maml_equals_the_steps_by_hand(first_order, steps, l2l):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).double()
    method = interop.as_classifier(l2l.algorithms.MAML(network, lr=0.3, first_order=first_order), steps=steps)
    support, labels, query = episode_tensors()
    logits = method(support, labels, query, way=3)

    expected = []
    for inputs, targets, asked in zip(support, labels, query, strict=True):
        fast = dict(network.named_parameters())
        for _ in range(steps):
            loss = F.cross_entropy(torch.func.functional_call(network, fast, (inputs,)), targets)
            gradients = torch.autograd.grad(loss, list(fast.values()), create_graph=not first_order)
            fast = {name: p - 0.3 * g for (name, p), g in zip(fast.items(), gradients, strict=True)}
        expected.append(torch.func.functional_call(network, fast, (asked,)))
    torch.testing.assert_close(logits, torch.stack(expected), rtol=1e-12, atol=1e-12)

    ours, theirs = (
        torch.autograd.grad(outputs.square().mean(), list(network.parameters()))
        for outputs in (logits, torch.stack(expected))
    )
    for one, two in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-12)


@installed
def test_meta_sgd_learns_its_rates(l2l):
    torch.manual_seed(0)
    learner = l2l.algorithms.MetaSGD(nn.Linear(5, 3).double(), lr=0.1)
    method = interop.as_classifier(learner)
    method(*episode_tensors(), way=3).square().mean().backward()
    assert all(rate.grad.abs().sum() > 0 for rate in learner.lrs)


@installed
def test_pictures_keep_their_shape(l2l):
    network = nn.Sequential(nn.Conv2d(1, 2, 2), nn.Flatten(), nn.Linear(8, 3))
    method = interop.as_classifier(l2l.algorithms.MAML(network, lr=0.1), input_shape=(1, 3, 3))
    support, query = torch.randn(2, 6, 9), torch.randn(2, 4, 9)
    assert method(support, torch.arange(3).repeat(2)[None].expand(2, -1), query, way=3).shape == (2, 4, 3)


@installed
def test_a_network_of_another_width_is_an_error(l2l):
    method = interop.as_classifier(l2l.algorithms.MAML(nn.Linear(5, 4).double(), lr=0.1))
    with pytest.raises(ValueError, match="4 outputs for episodes of 3 classes"):
        method(*episode_tensors(), way=3)


def test_what_cannot_adapt_is_an_error():
    with pytest.raises(TypeError, match="Linear cannot clone; expected learn2learn's MAML or MetaSGD"):
        interop.as_classifier(nn.Linear(2, 2))


@installed
def test_one_shot_trains_and_tests_their_learner_on_their_taskset(taskset, l2l):
    import pytorch_lightning as pl

    from tlzoo.lit import OneShot

    torch.manual_seed(0)
    learner = l2l.algorithms.MAML(nn.Linear(4, 3), lr=0.5)
    module = OneShot(
        "identity",
        interop.as_classifier(learner, steps=3),
        backbone_settings={"num_features": 4},
        optimizer={"lr": 0.1},
    )
    episodes = interop.episodes_from_taskset(taskset, way=3, shot=2, query=4)
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    before = learner.module.weight.detach().clone()
    trainer.fit(module, train_dataloaders=episodes, val_dataloaders=episodes)
    assert not torch.equal(learner.module.weight, before)
    (results,) = trainer.test(module, dataloaders=episodes, verbose=False)
    assert results["test/accuracy"] > 0.8
