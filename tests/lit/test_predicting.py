"""Answers of every module to new items, and programs that give the same answers."""

import copy
import importlib.util

import numpy as np
import pytest
import torch
from torch import nn

import tlzoo
from tlzoo.data import DomainTask, EpisodeTask, ExampleSet
from tlzoo.lit import (
    DataFacts,
    DomainAdaptation,
    DomainData,
    EpisodeData,
    FineTuning,
    Multitask,
    MultitaskData,
    OneShot,
    TestTimeAdaptation,
    ZeroShot,
    ZeroShotData,
)

RANDOM = np.random.default_rng(0)


@pytest.fixture
def saved(tmp_path):
    """Return a function that stores a module and loads it again."""

    def store(module):
        return tlzoo.load(module.save(tmp_path / type(module).__name__))

    return store


def test_zero_shot_answers_by_the_names_of_its_candidates(zeroshot_task, make_trainer, saved):
    data = ZeroShotData(zeroshot_task)
    module = ZeroShot.for_data(data, "eszsl")
    trainer = make_trainer(1, max_epochs=1)
    trainer.fit(module, datamodule=data)
    tested = trainer.test(module, datamodule=data, verbose=False)[0]
    items = zeroshot_task.test.inputs
    said = module.predict(items, batch_size=7)
    assert said.class_names == ("k", "l")
    truth = [zeroshot_task.class_names[label] for label in zeroshot_task.test.labels]
    assert np.mean(np.array(said.names) == truth) == pytest.approx(tested["test/accuracy"])
    again = saved(module).predict(items)
    assert again.names == said.names
    np.testing.assert_allclose(again.probabilities, said.probabilities, rtol=1e-5)


def test_zero_shot_answers_among_classes_that_are_bound_as_arrays(zeroshot_task, make_trainer):
    data = ZeroShotData(zeroshot_task)
    module = ZeroShot.for_data(data, "eszsl")
    make_trainer(1, max_epochs=1).fit(module, datamodule=data)
    names = ["new", *zeroshot_task.class_names[:3]]
    module.bind(np.concatenate([np.ones((1, 8)), zeroshot_task.embeddings[:3].astype(np.float64)]), names=names)
    assert module.predict(zeroshot_task.embeddings[1:3]).names == ["b", "c"]
    with pytest.raises(ValueError, match="2 names for 4 candidates"):
        module.bind(zeroshot_task.embeddings[:4], names=["a", "b"])
    with pytest.raises(RuntimeError, match="call bind"):
        ZeroShot.for_data(data, "eszsl").predict(zeroshot_task.embeddings[:1])


def test_zero_shot_that_looks_at_all_queries_gets_them_at_once(zeroshot_task, make_trainer):
    data = ZeroShotData(zeroshot_task)
    module = ZeroShot.for_data(data, "csls", method_settings={"base": "eszsl"})
    trainer = make_trainer(1, max_epochs=1)
    trainer.fit(module, datamodule=data)
    trainer.test(module, datamodule=data, verbose=False)
    items = zeroshot_task.test.inputs
    np.testing.assert_array_equal(module.predict(items, batch_size=2).labels, module.predict(items).labels)


@pytest.mark.parametrize("method", ["protonet", "tim", "maml"])
def test_one_shot_answers_given_a_support_set(method, episode_task, make_trainer, saved):
    data = EpisodeData(episode_task, batch_size=2, episodes=4)
    settings = {"method_settings": {"rate": 0.1, "steps": 5}} if method == "maml" else {}
    module = OneShot.for_data(data, method, **settings)
    if module.learns:
        make_trainer(3).fit(module, datamodule=data)
    elif method == "tim":
        module.fit_base(torch.from_numpy(episode_task.base.inputs), torch.from_numpy(episode_task.base.labels))
    novel = episode_task.novel
    names = np.array(episode_task.class_names)[novel.labels]
    shown = np.concatenate([np.flatnonzero(novel.labels == label)[:2] for label in range(9, 12)])
    asked = np.setdiff1d(np.arange(len(novel)), shown)
    said = module.predict(novel.inputs[asked], support=novel.inputs[shown], labels=names[shown], batch_size=5)
    assert said.class_names == ("j", "k", "l")
    np.testing.assert_allclose(said.probabilities.sum(axis=1), 1, rtol=1e-5)
    assert np.mean(np.array(said.names) == names[asked]) > 0.7
    again = saved(module).predict(novel.inputs[asked], support=novel.inputs[shown], labels=names[shown])
    assert again.names == said.names


def test_multitask_answers_by_task(multitask_task, make_trainer, saved):
    data = MultitaskData(multitask_task)
    module = Multitask.for_data(data, "equal", optimizer={"name": "adam", "lr": 0.05})
    make_trainer(60).fit(module, datamodule=data)
    items = multitask_task.test.inputs
    said = module.predict(items, batch_size=7)
    known = multitask_task.test.targets["kind"] >= 0
    assert np.mean(said["kind"].labels[known] == multitask_task.test.targets["kind"][known]) > 0.8
    assert said["height"].shape == (30,)
    there = ~np.isnan(multitask_task.test.targets["height"])
    assert np.corrcoef(said["height"][there], multitask_task.test.targets["height"][there])[0, 1] > 0.8
    again = saved(module).predict(items)
    np.testing.assert_allclose(again["height"], said["height"], rtol=1e-5)


def test_ordered_classes_have_probabilities():
    module = Multitask(
        "identity",
        "equal",
        targets={"age": {"classes": 4, "kind": "ordinal"}},
        backbone_settings={"num_features": 2},
    )
    module.facts = DataFacts(modality="features")
    said = module.predict(RANDOM.normal(size=(5, 2)) * 9)["age"]
    np.testing.assert_allclose(said.probabilities.sum(axis=1), 1, rtol=1e-5)
    outputs = module(torch.tensor([[100.0, 0.0], [-100.0, 0.0]]))["age"]
    above = module.heads["age"].answer(outputs).argmax(dim=1)
    assert set(above.tolist()) == {0, 3}


def test_names_of_classes_of_a_task_are_kept(saved):
    targets = {
        "tree": {"classes": 2, "kind": "class", "names": ["fir", "oak"]},
        "height": {"classes": 0, "kind": "value"},
    }
    module = Multitask("identity", "equal", targets=targets, backbone_settings={"num_features": 2})
    module.facts = DataFacts(modality="features")
    items = RANDOM.normal(size=(5, 2))
    names = module.predict(items)["tree"].names
    assert set(names) <= {"fir", "oak"}
    assert list(saved(module).predict(items)["tree"].names) == list(names)


def test_a_module_knows_its_data_before_it_is_trained(domain_task):
    data = DomainData(domain_task)
    assert len(DomainAdaptation.for_data(data, "mcc").predict(domain_task.target_test.inputs)) == 30
    with pytest.raises(ValueError, match="build it with for_data"):
        DomainAdaptation("lenet", "mcc", num_classes=3).predict(domain_task.target_test.inputs)


def pictures(size, labels=True):
    return ExampleSet(
        inputs=RANDOM.integers(0, 256, (size, 8, 8, 3), dtype=np.uint8),
        modality="image",
        labels=np.arange(size) % 3 if labels else None,
    )


@pytest.fixture
def picture_module():
    task = DomainTask(
        name="pictures",
        class_names=("a", "b", "c"),
        source_train=pictures(12),
        source_test=pictures(6),
        target_train=pictures(12, labels=False),
        target_test=pictures(6),
    )
    settings = {"backbone_settings": {"image_size": 28, "in_channels": 1}, "bottleneck": 5}
    return DomainAdaptation.for_data(DomainData(task), "mcc", backbone="lenet", **settings)


def test_a_program_answers_as_predict_does(picture_module, tmp_path):
    items = pictures(5).inputs
    file = picture_module.export(tmp_path / "a" / "new" / "module.pt2", items[:1])
    program = torch.export.load(file).module()
    for count in (1, 5):
        np.testing.assert_allclose(
            program(torch.from_numpy(items[:count])).detach().numpy(),
            picture_module.predict(items[:count]).probabilities,
            rtol=1e-4,
            atol=1e-6,
        )


def test_a_program_has_the_transform_and_scale_of_features(domain_task, make_trainer, tmp_path):
    data = DomainData(domain_task, transform="coral", scale=True)
    module = DomainAdaptation.for_data(data, "source_only", bottleneck=6)
    make_trainer(3, limit_val_batches=0).fit(module, datamodule=data)
    items = domain_task.target_test.inputs
    program = torch.export.load(module.export(tmp_path / "module.pt2", items)).module()
    said = module.predict(items).probabilities
    np.testing.assert_allclose(program(torch.from_numpy(items)).detach().numpy(), said, rtol=1e-4, atol=1e-6)


def test_programs_of_zero_shot_and_multitask_modules(zeroshot_task, multitask_task, make_trainer, tmp_path):
    data = ZeroShotData(zeroshot_task)
    zero_shot = ZeroShot.for_data(data, "eszsl")
    trainer = make_trainer(1, max_epochs=1)
    trainer.fit(zero_shot, datamodule=data)
    trainer.test(zero_shot, datamodule=data, verbose=False)
    multitask = Multitask.for_data(MultitaskData(multitask_task), "equal")
    items = multitask_task.test.inputs
    first = torch.export.load(zero_shot.export(tmp_path / "zero.pt2", items)).module()(torch.from_numpy(items))
    np.testing.assert_allclose(first.numpy(), zero_shot.predict(items).probabilities, rtol=1e-4, atol=1e-6)
    second = torch.export.load(multitask.export(tmp_path / "multi.pt2", items)).module()(torch.from_numpy(items))
    np.testing.assert_allclose(second["height"].detach().numpy(), multitask.predict(items)["height"], atol=1e-5)


def test_onnx_answers_as_predict_does(picture_module, tmp_path):
    if not importlib.util.find_spec("onnx"):
        with pytest.raises(ImportError, match="pip install onnx onnxscript"):
            picture_module.export(tmp_path / "module.onnx", pictures(2).inputs)
        return
    pytest.importorskip("onnxscript")
    reference = pytest.importorskip("onnx.reference")
    items = pictures(5).inputs
    file = picture_module.export(tmp_path / "module.onnx", items[:1])
    (said,) = reference.ReferenceEvaluator(str(file)).run(None, {"items": items})
    np.testing.assert_allclose(said, picture_module.predict(items).probabilities, rtol=1e-4, atol=1e-5)


def test_what_cannot_be_exported_says_so(picture_module, episode_task, tmp_path):
    items = pictures(2).inputs
    with pytest.raises(ValueError, match=r"\.pt2, \.onnx"):
        picture_module.export(tmp_path / "module.bin", items)
    one_shot = OneShot.for_data(EpisodeData(episode_task), "protonet")
    with pytest.raises(TypeError, match="support set"):
        one_shot.export(tmp_path / "module.pt2", episode_task.novel.inputs)
    adapting = TestTimeAdaptation(copy.deepcopy(picture_module.network), "tent", num_classes=3)
    adapting.facts = picture_module.facts
    with pytest.raises(TypeError, match="changes with every batch"):
        adapting.export(tmp_path / "module.pt2", items)
    reading = FineTuning(nn.Identity(), "linear_probe", num_classes=2, backbone_settings={"num_features": 2})
    reading.facts = DataFacts(modality="text")
    with pytest.raises(ValueError, match="the example is empty; expected at least one item"):
        picture_module.export(tmp_path / "module.pt2", items[:0])
    with pytest.raises(ValueError, match="modules on texts cannot be exported"):
        reading.export(tmp_path / "module.pt2", ["some", "words"])


def test_an_episode_of_texts_needs_a_backbone_that_reads():
    task_set = ExampleSet(inputs=["one", "two"], modality="text", labels=[0, 1])
    task = EpisodeTask(name="texts", class_names=("a", "b"), base=task_set, validation=task_set, novel=task_set, way=2)
    module = OneShot("identity", "protonet", backbone_settings={"num_features": 2})
    module.facts = DataFacts.of(EpisodeData(task, episodes=1))
    with pytest.raises(TypeError, match="takes no texts"):
        module.predict(["three"], support=["one", "two"], labels=[0, 1])
