"""Features that a transform aligned before the module sees any."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tlzoo.backbones import FeatureCache, create_backbone
from tlzoo.lit import DomainAdaptation, DomainData
from tlzoo.lit.frozen_features import view_features
from tlzoo.methods.adaptation import LinearOT, Standardization

WIDTH = {"num_features": 8}


def module_of(name="adaptation/dan"):
    return DomainAdaptation("identity", name, num_classes=3, backbone_settings=WIDTH)


def attached(data, name="adaptation/dan"):
    data.attach(module_of(name))
    return data


def test_each_set_is_moved_by_its_side(domain_task):
    data = attached(DomainData(domain_task.semi_supervised(1), transform="standardization"))
    trained_on = (data.task.source_train, data.task.target_train)
    method = Standardization(8, 3).fit(*(torch.from_numpy(s.inputs[np.arange(len(s))]) for s in trained_on))
    for name, examples in data.task.sets().items():
        move = method.transform_source if name.startswith("source") else method.transform_target
        expected = move(torch.from_numpy(examples.inputs[np.arange(len(examples))]))
        np.testing.assert_allclose(data.evaluated.sets()[name].inputs, expected.numpy(), rtol=1e-6)
    assert np.abs(data.view.target.inputs.mean(axis=0)).max() < 1e-6  # of the training sets themselves
    assert data.evaluated.shots is not None


def test_a_transform_may_narrow_features(domain_task):
    data = attached(DomainData(domain_task, transform="subspace_alignment", transform_settings={"dimensions": 3}))
    assert data.num_features == 3 == data.view.source.inputs.shape[1]


def test_the_scale_is_that_of_what_was_moved(domain_task):
    data = attached(DomainData(domain_task, transform=LinearOT(8, 3), scale=True))
    both = [data.view.source.inputs, data.view.target.inputs]
    assert np.concatenate([np.ravel(values) for values in both]).std() == pytest.approx(1, rel=1e-6)
    assert data.spread != attached(DomainData(domain_task, scale=True)).spread


def test_training_and_testing_from_aligned_features(domain_task, make_trainer):
    """Where a change of place and scale is all that differs, standardization takes the whole shift away."""
    shifted = {
        name: getattr(domain_task, name).with_inputs(5 * getattr(domain_task, name).inputs + 40)
        for name in ("target_train", "target_test")
    }
    task = replace(domain_task, **shifted)
    accuracy = {}
    for transform in (None, "standardization"):
        trainer = make_trainer(60, limit_val_batches=0)
        module, data = module_of("adaptation/source_only"), DomainData(task, transform=transform)
        trainer.fit(module, datamodule=data)
        accuracy[transform] = trainer.test(module, datamodule=data, verbose=False)[0]["test/accuracy"]
    assert accuracy["standardization"] > 0.9 > 0.7 > accuracy[None]


def test_views_are_moved_with_the_target(domain_task, tmp_path, monkeypatch):
    pictures = np.random.default_rng(0).integers(0, 255, size=(40, 12, 12, 3), dtype=np.uint8)
    drawn = {
        name: replace(getattr(domain_task, name), inputs=pictures[: len(getattr(domain_task, name))], modality="image")
        for name in ("source_train", "source_test", "target_train", "target_test")
    }
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path))
    backbone = create_backbone("pixels")
    task = replace(domain_task, **drawn)
    width = DomainData(task, features=backbone).num_features
    module = DomainAdaptation("identity", "fixmatch", num_classes=3, backbone_settings={"num_features": width})
    data = DomainData(task, features=backbone, transform="standardization", stored_views=1)
    data.attach(module)
    copies = view_features(task.target_train, backbone, copies=1, mirrored=False, cache=FeatureCache())
    expected = data.transform.transform_target(torch.from_numpy(copies["weak"][0])).numpy()
    shown = data.views(np.arange(4), 0)["weak"]
    np.testing.assert_allclose(torch.as_tensor(shown).numpy(), expected[:4], rtol=1e-5, atol=1e-6)


def test_what_is_no_transform(domain_task):
    with pytest.raises(TypeError, match=r"adaptation/dan is no transform of features; expected one of unaligned, "):
        DomainData(domain_task, transform="dan")
    with pytest.raises(ValueError, match="did you mean 'coral'"):
        DomainData(domain_task, transform="corral")
    raw = domain_task.map_sets(lambda examples: examples.with_inputs(np.zeros((len(examples), 2, 4)), "series"))
    with pytest.raises(ValueError, match="batches hold raw inputs"):
        DomainData(raw, transform="coral")
