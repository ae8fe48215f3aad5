"""Features that a transform aligned before the module sees any."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tlzoo.backbones import FeatureCache, create_backbone
from tlzoo.lit import DomainAdaptation, DomainData
from tlzoo.lit.frozen_features import view_features
from tlzoo.methods.adaptation import LinearOT, Standardization
from tlzoo.nn.joint_forward import through, with_views
from tlzoo.types import Examples

WIDTH = {"num_features": 8}


def module_of(name="adaptation/dan"):
    return DomainAdaptation("identity", name, num_classes=3, backbone_settings=WIDTH)


def attached(data, module=None):
    module = module or module_of()
    data.attach(module)
    return module.preparation


def rows(examples):
    return torch.from_numpy(examples.inputs[np.arange(len(examples))])


def test_each_side_is_moved_by_its_map(domain_task):
    data, module = DomainData(domain_task.semi_supervised(1), transform="standardization"), module_of()
    attached(data, module)
    method = Standardization(8, 3).fit(rows(data.task.source_train), rows(data.task.target_train))
    parts = {"source": data.task.source_train, "target": data.task.target_train, "shots": data.task.shots}
    said = through(module.network, {name: rows(examples) for name, examples in parts.items()})
    for name, examples in parts.items():
        move = method.transform_source if name == "source" else method.transform_target
        torch.testing.assert_close(said[name].features, move(rows(examples)))
        whole = module.predict_all(data.passes(examples), side="source" if name == "source" else "target")
        torch.testing.assert_close(whole.features, said[name].features)


def test_a_transform_may_narrow_features(domain_task):
    data = DomainData(domain_task, transform="subspace_alignment", transform_settings={"dimensions": 3})
    assert data.num_features == 3
    assert attached(data)(rows(domain_task.target_test)).shape == (len(domain_task.target_test), 3)


def test_the_scale_is_that_of_what_was_moved(domain_task):
    preparation = attached(DomainData(domain_task, transform=LinearOT(8, 3), scale=True))
    both = [preparation(rows(getattr(domain_task, f"{side}_train")), side) for side in ("source", "target")]
    assert torch.cat(both).std(correction=0).item() == pytest.approx(1, rel=1e-6)
    assert preparation.divisor != attached(DomainData(domain_task, scale=True)).divisor


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
    shown = torch.as_tensor(data.views(np.arange(4), 0)["weak"])
    np.testing.assert_array_equal(shown.numpy(), copies["weak"][0][:4])
    module.network.head = torch.nn.Identity()
    said = through(module.network.eval(), with_views("target", Examples(inputs=shown, views={"weak": shown})))
    torch.testing.assert_close(said["target, weak view"].features, data.transform.transform_target(shown))


def test_what_is_no_transform(domain_task):
    with pytest.raises(TypeError, match=r"adaptation/dan is not a feature transform; expected one of .*unaligned, "):
        DomainData(domain_task, transform="dan")
    with pytest.raises(ValueError, match="did you mean 'coral'"):
        DomainData(domain_task, transform="corral")
    raw = domain_task.map_sets(lambda examples: examples.with_inputs(np.zeros((len(examples), 2, 4)), "series"))
    with pytest.raises(ValueError, match="batches hold raw inputs"):
        DomainData(raw, transform="coral")
