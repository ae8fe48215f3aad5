"""Zero-shot modules with corrections and with methods that are trained, and the prompts of their data."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tlzoo.backbones import create_backbone
from tlzoo.lit import ZeroShot, ZeroShotData
from tlzoo.lit.frozen_features import encode_prompts, mean_direction
from tlzoo.lit.random_templates import random_templates

SHAPE = {"num_embedding": 8, "backbone_settings": {"num_features": 8}}
FAST = {"name": "adam", "lr": 0.02, "weight_decay": 0.0}


class Count(nn.Module):
    """Texts to features: how often four letters occur."""

    def forward(self, texts):
        return torch.tensor([[float(text.count(letter)) for letter in "abcd"] for text in texts])


@pytest.fixture
def letters(monkeypatch, tmp_path):
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path))
    return create_backbone(Count(), num_features=4, modality="text")


def test_a_correction_answers_all_queries_at_once(zeroshot_task, clusters, make_trainer):
    task = replace(zeroshot_task, test=clusters(400, seed=3, classes=range(10, 12)))
    module = ZeroShot("identity", "csls", num_classes=2, method_settings={"base": "ridge"}, **SHAPE)
    trainer, data = make_trainer(-1, max_epochs=1), ZeroShotData(task)
    trainer.fit(module, datamodule=data)
    (batch,) = list(data.test_dataloader()[0])
    assert batch.size == 400
    (results,) = trainer.test(module, datamodule=data, verbose=False)
    assert results["test/accuracy"] > 0.9


def test_a_correction_trains_its_base(zeroshot_task, make_trainer, losses):
    settings = {"base": "sje"}
    module = ZeroShot("identity", "csls", num_classes=2, method_settings=settings, optimizer=FAST, **SHAPE)
    trainer = make_trainer(40, callbacks=[losses])
    trainer.fit(module, datamodule=ZeroShotData(zeroshot_task, batch_size=16))
    assert trainer.global_step == 40
    assert np.mean(losses.values[-5:]) < 0.5 * np.mean(losses.values[:5])


def test_a_fitted_self_calibration_is_in_the_checkpoint(zeroshot_task, make_trainer, tmp_path):
    settings = {"base": "ridge", "share": 0.3}
    module = ZeroShot("identity", "calibrated_stacking", num_classes=2, method_settings=settings, **SHAPE)
    trainer = make_trainer(-1, max_epochs=1)
    trainer.fit(module, datamodule=ZeroShotData(zeroshot_task))
    trainer.save_checkpoint(tmp_path / "fitted.ckpt")
    restored = ZeroShot.load_from_checkpoint(tmp_path / "fitted.ckpt")
    assert torch.isfinite(restored.method.gamma)
    assert restored.method.gamma == module.method.gamma
    embeddings = torch.from_numpy(zeroshot_task.embeddings)
    for one in (module, restored):
        one.bind(embeddings, seen=torch.arange(12) < 8)
    x = torch.randn(5, 8)
    torch.testing.assert_close(restored(x), module(x), atol=0, rtol=0)


def test_conse_is_in_the_checkpoint_with_the_size_of_its_classes(zeroshot_task, make_trainer, tmp_path):
    module = ZeroShot("identity", "conse", num_classes=2, **SHAPE)
    trainer = make_trainer(-1, max_epochs=1)
    trainer.fit(module, datamodule=ZeroShotData(zeroshot_task))
    trainer.save_checkpoint(tmp_path / "fitted.ckpt")
    restored = ZeroShot.load_from_checkpoint(tmp_path / "fitted.ckpt")
    assert restored.method.means.shape == (8, 8)
    torch.testing.assert_close(restored.method.mixed, module.method.mixed)


def test_prompts_are_encoded_each(zeroshot_task, letters):
    task = replace(zeroshot_task, embeddings=None, wordings={"twice": tuple(2 * name for name in "abcdefghijkl")})
    prompts = encode_prompts(task, letters, templates=["{}", "{} or d"], wordings=["name", "twice"])
    assert list(prompts) == ["{name}", "{name} or d", "{twice}", "{twice} or d"]
    assert prompts["{name}"][0].tolist() == [1, 0, 0, 0]
    assert prompts["{twice} or d"][1].tolist() == [0, 2, 0, 1]
    data = ZeroShotData(task, descriptions=letters, templates=["{}", "{} or d"], wordings=["name"])
    expected = np.array([1, 0, 0, 0]) + np.array([1, 0, 0, 1]) / np.sqrt(2)
    np.testing.assert_allclose(data.embeddings[0], expected / np.linalg.norm(expected), rtol=1e-6)


def test_one_prompt_is_taken_as_it_is(zeroshot_task, letters):
    data = ZeroShotData(replace(zeroshot_task, embeddings=None), descriptions=letters, templates=["{}"])
    assert data.embeddings[3].tolist() == [0, 0, 0, 1]
    np.testing.assert_array_equal(mean_direction([data.embeddings]), data.embeddings)


def test_random_descriptions_are_the_same_for_all_classes(zeroshot_task, letters):
    task = replace(zeroshot_task, embeddings=None)
    made = [
        ZeroShotData(task, descriptions=letters, templates=["a {}."], random_descriptions=2, seed=seed).prompts
        for seed in (0, 0, 1)
    ]
    assert list(made[0]) == list(made[1]) != list(made[2])
    assert len(made[0]) == 4
    for prompt, embeddings in made[0].items():
        before, after = prompt.split("{description}")
        assert (before, after[:8], after[-1]) == ("a ", ", which ", ".")
        expected = [[float((before + text + after).count(letter)) for letter in "abcd"] for text in task.descriptions]
        assert embeddings.tolist() == expected


def test_random_descriptions_look_like_class_names():
    names = ["red kite {x}", "tawny owl", "golden eagle owl"]
    templates = random_templates(names, 50, seed=0, templates=["a {}.", "{}"])
    assert len(templates) == 200
    assert all(template.count("{}") == 1 for template in templates)
    said = [template.partition("{}, which ")[2] for template in templates[100:]]
    words, groups = said[::2], said[1::2]
    known = {word[:4] for name in ("red kite x", *names[1:]) for word in name.split()}
    for some in words:
        each = some.split()[1:]
        assert len(each) == 3
        assert set(each) <= known
    assert all([len(group) for group in some.split(" ", 1)[1].split(", ")] == [2, 2, 2] for some in groups)


def test_random_descriptions_of_given_embeddings_are_refused(zeroshot_task):
    with pytest.raises(ValueError, match="has embeddings of its own, so random_descriptions have no effect"):
        ZeroShotData(zeroshot_task, random_descriptions=1)


def test_random_descriptions_need_words():
    with pytest.raises(ValueError, match="2 class names without a word"):
        random_templates(["", " "], 1, seed=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"templates": ["a photo"]}, "template 'a photo': expected one {}"),
        ({"templates": ["{} and {}"]}, "template '{} and {}': expected one {}"),
        ({"templates": []}, "0 templates and 1 wordings"),
        ({"wordings": ["keywords"]}, "unknown wording 'keywords'"),
        ({"random_descriptions": -1}, "random_descriptions -1; expected"),
    ],
)
def test_bad_prompts(zeroshot_task, letters, settings, message):
    with pytest.raises(ValueError, match=message):
        ZeroShotData(replace(zeroshot_task, embeddings=None), descriptions=letters, **settings)


@pytest.mark.parametrize("method", ["ridge", "sje"])
def test_the_order_of_classes_changes_no_accuracy(method, zeroshot_task, make_trainer):
    def answered(**order):
        torch.manual_seed(0)
        module = ZeroShot("identity", method, num_classes=2, optimizer=FAST, **SHAPE)
        trainer = make_trainer(10) if method == "sje" else make_trainer(-1, max_epochs=1)
        data = ZeroShotData(replace(zeroshot_task, **order))
        trainer.fit(module, datamodule=data)
        return trainer.test(module, datamodule=data, verbose=False)[0]["test/accuracy"]

    usual = answered()
    assert usual > 0.6 or method == "sje"
    assert answered(seen=np.array([3, 1, 0, 2, 7, 5, 4, 6])) == pytest.approx(usual)
    assert answered(unseen=np.array([11, 10])) == pytest.approx(usual)
