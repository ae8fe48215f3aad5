"""The protocol of zero-shot cells on toy tasks: what is chosen on the rehearsal, and what is not."""

from dataclasses import replace

import numpy as np
import pytest

from tlzoo.bench import protocols
from tlzoo.bench.cell import Cell
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.tasks import ZeroShotTask
from tlzoo.methods.zeroshot import CSLS, OTTER, class_prior
from tlzoo.methods.zeroshot.correction import Correction
from tlzoo.types import Sees, SupervisionError

CLASSES, WIDTH, ATTRIBUTES = 24, 12, 6
ADAM = {"name": "adam", "lr": 0.02, "weight_decay": 0.0}


def images(seed=0):
    random = np.random.default_rng(seed)
    embeddings = random.normal(size=(CLASSES, ATTRIBUTES)).astype(np.float32)
    return embeddings, embeddings @ random.normal(size=(ATTRIBUTES, WIDTH))


def examples(classes, each, *, seed, noise=0.7):
    labels = np.repeat(np.asarray(classes), each)
    inputs = images()[1][labels] + noise * np.random.default_rng(seed).normal(size=(len(labels), WIDTH))
    return ExampleSet(inputs=inputs.astype(np.float32), modality="features", labels=labels, checksum=str(seed))


def task(*, generalized=True, **changes):
    seen, held_out, unseen = np.arange(12), np.arange(12, 18), np.arange(18, 24)
    toy = ZeroShotTask(
        name="toy",
        class_names=tuple(f"class {i}" for i in range(CLASSES)),
        descriptions=tuple(f"class {i}" for i in range(CLASSES)),
        seen=seen,
        held_out=held_out,
        unseen=unseen,
        train=examples(seen, 10, seed=1),
        validation=examples(held_out, 6, seed=2),
        test=examples(unseen, 6, seed=3),
        test_seen=examples(seen, 4, seed=4) if generalized else None,
        embeddings=images()[0],
    )
    return replace(toy, **changes)


@pytest.fixture
def run(monkeypatch):
    def run(toy, method="eszsl", **cell):
        monkeypatch.setattr("tlzoo.bench.protocols.skeleton.load_task", lambda *_, **__: toy)
        return protocols.run(Cell(kind="zeroshot", task="toy", method=f"zeroshot/{method}", **cell), lambda _: None)

    return run


def test_generalized_figures_belong_together(run):
    metrics = run(task()).metrics
    for side in ("test", "calibrated"):
        s, u = metrics[f"{side}/seen"], metrics[f"{side}/unseen"]
        assert metrics[f"{side}/harmonic"] == pytest.approx(2 * s * u / (s + u))
    assert metrics["test/unseen"] == metrics["test/per_class"]
    assert metrics["oracle/harmonic"] >= max(metrics["calibrated/harmonic"], metrics["test/harmonic"])
    assert 0 < metrics["test/ausuc"] < 1


def test_gamma_never_sees_the_test(run):
    """Other test images, labels and unseen descriptions leave gamma as it is; other held-out images do not."""
    gamma = run(task()).receipt["gamma"]
    scrambled = images()[0].copy()
    scrambled[18:] = np.random.default_rng(9).normal(size=(6, ATTRIBUTES))
    others = {
        "images": {"test": examples(np.arange(18, 24), 6, seed=7, noise=9.0)},
        "labels": {"test": task().test.with_labels(np.random.default_rng(1).permutation(task().test.labels))},
        "seen images": {"test_seen": examples(np.arange(12), 4, seed=8, noise=9.0)},
        "descriptions": {"embeddings": scrambled},
    }
    for changes in others.values():
        changed = run(task(**changes))
        assert changed.receipt["gamma"] == gamma
        assert changed.metrics["test/ausuc"] != run(task()).metrics["test/ausuc"]
    assert run(task(validation=examples(np.arange(12, 18), 6, seed=5))).receipt["gamma"] != gamma


def test_candidates_are_chosen_by_held_out_classes(run):
    outcome = run(task(generalized=False), candidates={"gamma": [1e5, 1.0], "lam": [1.0]})
    assert outcome.receipt["tuned"] == {"gamma": 1.0, "lam": 1.0}
    scores = outcome.receipt["validation_scores"]
    other = run(task(generalized=False, test=examples(np.arange(18, 24), 6, seed=6)), candidates={"gamma": [1e5, 1.0]})
    assert other.receipt["validation_scores"] == scores


def test_the_last_fit_has_the_held_out_classes(run):
    plain = run(task(generalized=False)).metrics["test/accuracy"]
    poisoned = task(generalized=False)
    bad = examples(np.arange(12, 18), 60, seed=2, noise=40.0)
    assert run(replace(poisoned, validation=bad)).metrics["test/accuracy"] < plain


@pytest.mark.parametrize("method", ["sje", "bilinear_softmax", "dual_encoder"])
def test_methods_with_a_loss_are_trained_for_the_budget(run, method):
    budget = {"steps": 150, "batch_size": 40}
    trained = run(task(generalized=False), method, module=ADAM, budget=budget)
    short = run(task(generalized=False), method, module=ADAM, budget={"steps": 1, "batch_size": 40})
    assert trained.metrics["test/accuracy"] > short.metrics["test/accuracy"] + 0.2
    again = run(task(generalized=False), method, module=ADAM, budget=budget)
    assert again.metrics == trained.metrics
    np.testing.assert_array_equal(again.predictions["test_logits"], trained.predictions["test_logits"])


def test_rates_are_tuned_like_settings(run):
    budget = {"steps": 60, "batch_size": 40}
    outcome = run(task(generalized=False), "sje", module=ADAM, budget=budget, candidates={"lr": [1e-6, 0.02]})
    assert outcome.receipt["tuned"] == {"lr": 0.02}


def test_a_trained_method_without_budget_is_told(run):
    with pytest.raises(ValueError, match="zeroshot/sje is trained step by step; give steps and batch_size"):
        run(task(), "sje")


def test_corrections_get_all_queries_at_once(run, monkeypatch):
    """In two passes over seen and unseen queries, the company of a query would tell which it is."""
    sizes = []
    original = CSLS.corrected

    def corrected(self, scores, seen):
        sizes.append(len(scores))
        return original(self, scores, seen)

    monkeypatch.setattr(CSLS, "corrected", corrected)
    outcome = run(task(), "csls", settings={"base": "ridge"})
    assert len(task().test) + len(task().test_seen) in sizes
    assert outcome.receipt["transductive"]
    assert Sees.TEST_INPUTS in outcome.receipt["sees"]


@pytest.mark.parametrize("method", ["csls", "inverted_softmax", "class_prior", "otter"])
def test_a_correction_that_does_not_declare_the_test_inputs_is_caught(run, monkeypatch, method):
    monkeypatch.setattr(Correction, "adds", frozenset())
    monkeypatch.setattr(OTTER, "adds", frozenset())
    monkeypatch.setitem(class_prior._SEES, "estimated", frozenset())
    with pytest.raises(SupervisionError, match="it must declare TEST_INPUTS"):
        run(task(), method, settings={"base": "ridge"})


def test_the_curve_is_a_plot_of_its_own(run):
    (columns,) = run(task()).series.values()
    assert list(columns) == ["unseen", "seen"]
    assert columns["unseen"][0] == 0
    assert columns["unseen"][-1] == 1
    assert np.all(np.diff(columns["seen"]) <= 1e-12)
    assert run(task(generalized=False)).series == {}


@pytest.mark.data
def test_gamma_of_held_out_emoji_serves_the_unseen_ones():
    cell = Cell(
        kind="zeroshot",
        task="emoji-unseen:generalized",
        backbone="efficientnet_lite0",
        method="zeroshot/eszsl",
        settings={"gamma": 1.0, "lam": 10.0},
    )
    metrics = protocols.run(cell, lambda _: None).metrics
    assert metrics["calibrated/harmonic"] > 4 * metrics["test/harmonic"]
    assert metrics["calibrated/harmonic"] > 0.95 * metrics["oracle/harmonic"]


class Words:
    """Texts to features: which of six words they hold."""

    def __new__(cls):
        import torch
        from torch import nn

        from tlzoo.backbones import create_backbone

        class Bag(nn.Module):
            def forward(self, texts):
                words = ["red", "green", "blue", "color", "paint", "of"]
                return torch.tensor([[float(word in text.split()) for word in words] for text in texts])

        return create_backbone(Bag(), num_features=6, modality="text")


@pytest.fixture
def colors(monkeypatch):
    words = Words()
    monkeypatch.setattr("tlzoo.lit.data.base.with_features", lambda task, _: toy_with_features(task, words))
    monkeypatch.setattr("tlzoo.lit.frozen_features.create_backbone", lambda *_: words)
    return ZeroShotTask(
        name="toy",
        class_names=("b", "g", "r"),
        descriptions=("blue", "green", "red"),
        wordings={"gloss": ("color", "of green", "paint")},
        seen=np.empty(0, dtype=np.int64),
        held_out=np.empty(0, dtype=np.int64),
        unseen=np.arange(3),
        test=texts_of(["red paint", "green", "blue color", "green of", "red"], [2, 1, 0, 1, 2]),
    )


def texts_of(texts, labels):
    return ExampleSet(inputs=np.array(texts), modality="text", labels=np.array(labels), checksum=str(texts))


def test_prompts_are_averaged_and_their_spread_is_told(run, colors):
    module = {"templates": ["{}", "color of {}"], "wordings": ["description", "gloss"]}
    outcome = run(colors, "cosine", backbone="words", module=module)
    figures = outcome.receipt["prompts"]
    assert list(figures) == ["{description}", "color of {description}", "{gloss}", "color of {gloss}"]
    assert figures["{description}"] == 1.0
    assert figures["{gloss}"] < 1.0
    assert outcome.metrics["prompt/lowest"] == min(figures.values())
    assert outcome.metrics["prompt/highest"] == 1.0
    assert outcome.metrics["prompt/mean"] == pytest.approx(np.mean(list(figures.values())))
    assert outcome.metrics["prompt/std"] == pytest.approx(np.std(list(figures.values()), ddof=1))
    assert "prompts" not in run(colors, "cosine", backbone="words").receipt


def test_prompts_are_chosen_on_the_development_set_and_the_receipt_says_so(run, colors):
    candidates = {"wordings": [["description"], ["gloss"]], "templates": [["{}"], ["color of {}"]]}
    choose = {"method": "cosine", "backbone": "words", "candidates": candidates}
    by_gloss = texts_of(["color", "color", "of green", "paint"], [0, 0, 1, 2])
    outcome = run(replace(colors, development=by_gloss), **choose)
    assert outcome.receipt["tuned"] == {"wordings": ["gloss"], "templates": ["{}"]}
    assert outcome.receipt["validation_scores"][2] == 1.0
    assert Sees.VALIDATION_LABELS in outcome.receipt["sees"]
    assert len(outcome.predictions["test_logits"]) == len(colors.test)
    other = replace(colors, development=by_gloss, test=texts_of(["red", "red"], [2, 2]))
    assert run(other, **choose).receipt["validation_scores"] == outcome.receipt["validation_scores"]
    assert Sees.VALIDATION_LABELS not in run(colors, "cosine", backbone="words").receipt["sees"]
    with pytest.raises(ValueError, match="nor a development set to choose on"):
        run(colors, **choose)
    with pytest.raises(ValueError, match="so prompts have no effect"):
        run(task(generalized=False), candidates=candidates)


def toy_with_features(task, backbone):
    return task.map_sets(lambda part: part.with_inputs(backbone(part.inputs[np.arange(len(part))].tolist()).numpy()))
