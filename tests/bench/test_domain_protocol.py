"""The domain protocol on a toy task: compositions, alternating, source-free and test-time methods."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tlzoo.bench import protocols
from tlzoo.bench.cell import Cell
from tlzoo.bench.execution.one_cell import reproducible
from tlzoo.bench.protocols import source_free
from tlzoo.bench.protocols.settings import CHECKPOINTS
from tlzoo.data import DomainTask, ExampleSet
from tlzoo.methods.adaptation import CORAL
from tlzoo.registry import method_class
from tlzoo.selection import SCORES, SOURCE_SCORES
from tlzoo.types import Sees

WIDTH, CLASSES = 6, 3


def drawn(count, seed, shift=0.0):
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(count) % CLASSES)
    centers = np.random.default_rng(99).normal(size=(CLASSES, WIDTH)) * 3
    inputs = (centers[labels] + random.normal(size=(count, WIDTH)) + shift).astype(np.float32)
    return ExampleSet(inputs=inputs, modality="features", labels=labels, checksum=f"toy {seed}")


TASK = DomainTask(
    name="toy",
    class_names=tuple("abc"),
    source_train=drawn(60, 1),
    source_test=drawn(30, 2),
    target_train=drawn(60, 3, 0.5),
    target_test=drawn(45, 4, 0.5),
)


@pytest.fixture(autouse=True)
def _toy(tmp_path, monkeypatch):
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path))
    monkeypatch.setattr("tlzoo.bench.protocols.skeleton.load_task", lambda *_, **__: TASK)
    monkeypatch.setattr("tlzoo.lit.data.base.with_features", lambda task, _: task)


def cell(method, **changes):
    given = {
        "kind": "domain",
        "task": "toy",
        "backbone": "identity",
        "method": method,
        "module": {"frozen": True, "scale": True, "bottleneck": 8},
        "budget": {"steps": 20, "batch_size": 12},
    }
    return Cell(**{**given, **changes})


def run(made):
    with reproducible(made.seed, 1):
        return protocols.run(made, lambda _: None)


@pytest.mark.parametrize("method", ["adaptation/mcc+confusion/dann", "confusion/mcd", "adaptation/source_only"])
def test_accuracy_at_the_end_and_by_every_validator(method):
    outcome = run(cell(method))
    assert outcome.metrics["test/accuracy"] > 0.5
    seen = {"source"} if method.endswith("source_only") else {"source", *SCORES, *SOURCE_SCORES}
    assert {name.removeprefix("selected/") for name in outcome.metrics if name.startswith("selected/")} == seen
    assert len(outcome.curves["test"]) == CHECKPOINTS


def test_settings_of_each_part_reach_it():
    outcome = run(cell("adaptation/mcc+adaptation/bnm", settings={"mcc": {"weight": 0.0}, "bnm": {"weight": 0.0}}))
    plain = run(cell("adaptation/mcc", settings={"weight": 0.0}))
    assert outcome.metrics["test/accuracy"] == plain.metrics["test/accuracy"]


@pytest.mark.parametrize("method", ["adaptation/shot", "adaptation/adabn"])
def test_source_free_cells_have_no_source(method, monkeypatch):
    held = []
    made = source_free.source_model
    monkeypatch.setattr(source_free, "source_model", lambda *given: held.append(made(*given)) or held[-1])
    outcome = run(cell(method, module={**cell(method).module, "adaptation_lr": 0.001}))
    assert outcome.metrics["test/accuracy"] > 0.5
    assert "source/accuracy" not in outcome.metrics
    ((_, data),) = held
    assert len(data.task.source_train) == len(data.task.source_test) == 0
    assert len(data.task.source_train) == len(data.raw.source_train) == 0
    assert outcome.receipt["sees"] == ["target inputs"]


@pytest.mark.parametrize("method", ["adaptation/tent", "adaptation/lame", "adaptation/t3a"])
def test_test_time_cells_answer_in_the_order_of_the_set(method):
    outcome = run(cell(method))
    logits = torch.from_numpy(outcome.predictions["test_logits"])
    accuracy = (logits.argmax(dim=1).numpy() == TASK.target_test.labels).mean()
    assert outcome.metrics["test/accuracy"] == pytest.approx(accuracy)
    assert outcome.metrics["source_model/accuracy"] > 0.5
    assert outcome.receipt["transductive"]
    assert outcome.receipt["sees"] == ["test inputs"]


def test_one_source_model_a_seed_trained_or_read_gives_the_same_numbers(tmp_path):
    first = run(cell("adaptation/shot"))
    (file,) = (tmp_path / "source-networks").glob("*.pt")
    written = file.stat().st_mtime_ns
    again = run(cell("adaptation/shot"))
    other = run(cell("adaptation/tent", module={**cell("x").module, "adaptation_lr": 0.5}))
    assert file.stat().st_mtime_ns == written
    assert len(list((tmp_path / "source-networks").glob("*.pt"))) == 1
    np.testing.assert_array_equal(first.predictions["test_logits"], again.predictions["test_logits"])
    assert other.metrics["source_model/accuracy"] > 0
    run(cell("adaptation/tent", seed=1))
    assert len(list((tmp_path / "source-networks").glob("*.pt"))) == 2


def test_dirt_t_starts_from_a_model_of_vada(monkeypatch):
    begun = []
    made = source_free.source_model
    monkeypatch.setattr(source_free, "source_model", lambda *given: begun.append(made(*given)) or begun[-1])
    budget = {"steps": 10, "batch_size": 12, "source_steps": 20}
    outcome = run(cell("confusion/dirt_t", budget=budget))
    assert outcome.receipt["sees"] == ["target inputs"]
    assert outcome.metrics["test/accuracy"] > 0.5
    ((network, data),) = begun
    vada = run(cell("confusion/vada")).predictions["test_logits"]
    with torch.no_grad():
        inputs = data.task.target_test.batch(np.arange(45)).inputs
        np.testing.assert_allclose(network(inputs).logits.numpy(), vada, atol=1e-5)


def test_the_source_model_is_that_of_source_only():
    """Answers of the stored model are those of a source-only cell of the same seed."""
    stored = run(cell("adaptation/lame")).metrics["source_model/accuracy"]
    assert stored == run(cell("adaptation/source_only")).metrics["test/accuracy"]


@pytest.mark.parametrize("method", ["standardization", "coral", "linear_ot", "subspace_alignment", "unaligned"])
def test_transforms_are_fitted_once_and_every_validator_selects_them(method):
    outcome = run(cell(f"adaptation/{method}"))
    accuracy = outcome.metrics["test/accuracy"]
    assert accuracy > 0.5
    blind = method == "unaligned"
    selected = {name: value for name, value in outcome.metrics.items() if name.startswith("selected/")}
    assert set(selected) == {f"selected/{name}" for name in ("source", *(() if blind else (*SCORES, *SOURCE_SCORES)))}
    assert set(selected.values()) <= {accuracy}
    assert outcome.metrics["oracle/accuracy"] == accuracy
    assert {len(curve) for curve in outcome.curves.values()} == {1}
    seen = {"source inputs", "source labels"} | (set() if blind else {"target inputs"})
    assert set(outcome.receipt["sees"]) == seen
    assert not outcome.receipt["transductive"]
    logits = outcome.predictions["test_logits"]
    assert accuracy == pytest.approx((logits.argmax(axis=1) == TASK.target_test.labels).mean())


def test_the_penalty_of_the_classifier_is_chosen_by_a_validator():
    module = cell("x").module
    candidates = {"penalty": (1e-3, 1e3), "regularization": (0.5, 1.0)}
    note = run(cell("adaptation/coral", candidates=candidates, search={"rule": "entropy"})).receipt
    assert note["rule"] == "entropy"
    assert note["tuned"]["penalty"] == 1e-3  # more certain
    assert note["trials"] == 4
    plain, heavy = (run(cell("adaptation/unaligned", module={**module, "penalty": p})) for p in (1.0, 1e5))
    spread = [np.ptp(outcome.predictions["test_logits"]) for outcome in (plain, heavy)]
    assert spread[0] > 10 * spread[1]


def test_transforms_want_features():
    with pytest.raises(ValueError, match="adaptation/coral takes features; set frozen: true"):
        run(cell("adaptation/coral", module={}))


@pytest.mark.parametrize("method", ["adaptation/source_only", "adaptation/mcc+dan", "confusion/mcd"])
def test_a_transform_goes_before_training(method):
    """Training on a task whose sets were aligned by hand gives the same answers."""
    module = cell("x").module
    outcome = run(cell(method, module={**module, "transform": "coral", "transform_settings": {"regularization": 0.5}}))
    assert {"source inputs", "target inputs", "source labels"} == set(outcome.receipt["sees"])
    assert outcome.receipt["transform"] == "adaptation/coral"
    assert "selected/information" in outcome.metrics
    coral = CORAL(WIDTH, CLASSES, regularization=0.5)
    coral.fit(*(torch.from_numpy(s.inputs) for s in (TASK.source_train, TASK.target_train)))

    def moved(examples, change):
        return examples.with_inputs(change(torch.from_numpy(examples.inputs)).float().numpy())

    by_hand = replace(
        TASK,
        source_train=moved(TASK.source_train, coral.transform_source),
        source_test=moved(TASK.source_test, coral.transform_source),
        target_train=moved(TASK.target_train, coral.transform_target),
        target_test=moved(TASK.target_test, coral.transform_target),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tlzoo.bench.protocols.skeleton.load_task", lambda *_, **__: by_hand)
        expected = run(cell(method))
    assert "transform" not in expected.receipt
    np.testing.assert_array_equal(outcome.predictions["test_logits"], expected.predictions["test_logits"])


def test_a_transform_is_chosen_by_a_validator():
    candidates = {"transform": (None, "standardization", "linear_ot")}
    chosen = run(cell("adaptation/dan", candidates=candidates, search={"rule": "entropy"}))
    best = int(np.argmax(chosen.receipt["validation_scores"]))
    assert chosen.receipt["tuned"] == {"transform": candidates["transform"][best]}
    alone = run(cell("adaptation/dan", module={**cell("x").module, "transform": candidates["transform"][best]}))
    assert alone.curves["validation/entropy"][-1] == pytest.approx(max(chosen.receipt["validation_scores"]), abs=1e-6)


@pytest.mark.parametrize("method", ["adaptation/shot", "adaptation/tent", "adaptation/coral"])
@pytest.mark.parametrize("where", ["module", "candidates"])
def test_what_takes_no_transform(method, where):
    given = {"module": {**cell("x").module, "transform": "coral"}, "candidates": {"transform": ("coral",)}}
    with pytest.raises(ValueError, match=f"{method} takes no transform"):
        run(cell(method, **{where: given[where]}))


def test_candidates_of_test_time_methods_are_refused():
    with pytest.raises(ValueError, match="no validation data to choose candidates by"):
        run(cell("adaptation/tent", candidates={"lr": (0.1, 0.2)}))


def test_an_open_set_cell_has_its_scores(monkeypatch):
    known = TASK.source_train.labels < 2
    sources = {"source_train": TASK.source_train.subset(known), "source_test": TASK.source_train.subset(known)}
    open_task = replace(TASK, unknown=2, **sources)
    monkeypatch.setattr("tlzoo.bench.protocols.skeleton.load_task", lambda *_, **__: open_task)
    metrics = run(cell("confusion/osbp")).metrics
    assert {"test/os_star", "test/unknown", "test/h_score"} <= set(metrics)


@pytest.mark.parametrize(
    "method", ["adaptation/source_only", "adaptation/mcc+confusion/dann", "confusion/mme", "adaptation/coral"]
)
def test_the_receipt_names_labelled_shots(method, monkeypatch):
    few = TASK.semi_supervised(3)
    monkeypatch.setattr("tlzoo.bench.protocols.skeleton.load_task", lambda *_, **__: few)
    receipt = run(cell(method)).receipt
    assert receipt["shots"] == 3
    assert set(receipt["sees"]) == {*method_class(method).sees, Sees.TARGET_LABELS}
    monkeypatch.setattr("tlzoo.bench.protocols.skeleton.load_task", lambda *_, **__: TASK)
    plain = run(cell(method)).receipt
    assert "shots" not in plain
    assert set(plain["sees"]) == method_class(method).sees


@pytest.mark.parametrize("method", ["adaptation/shot", "adaptation/tent", "confusion/mcd"])
def test_what_cannot_learn_from_shots_says_so(method, monkeypatch):
    monkeypatch.setattr("tlzoo.bench.protocols.skeleton.load_task", lambda *_, **__: TASK.semi_supervised(3))
    with pytest.raises(ValueError, match="toy has labelled target examples"):
        run(cell(method))


@pytest.mark.parametrize("method", ["adaptation/source_only", "adaptation/t3a"])
def test_accuracy_on_each_of_several_targets(method, monkeypatch):
    other = replace(TASK, target_train=drawn(30, 5, 1.0), target_test=drawn(21, 6, 1.0))
    sets = {
        name: ExampleSet.pooled([getattr(TASK, name), getattr(other, name)]) for name in ("target_train", "target_test")
    }
    monkeypatch.setattr(
        "tlzoo.bench.protocols.skeleton.load_task",
        lambda *_, **__: replace(TASK, **sets, target_names=("near", "far"), name="toy"),
    )
    metrics = run(cell(method)).metrics
    mean = (45 * metrics["test/near"] + 21 * metrics["test/far"]) / 66
    assert metrics["test/accuracy"] == pytest.approx(mean)
    assert metrics["test/near"] > 0.5


@pytest.mark.parametrize("method", ["confusion/dann", "confusion/mcd", "adaptation/shot", "adaptation/source_only"])
def test_signs_of_health_at_every_checkpoint(method):
    outcome = run(cell(method))
    signs = {name for name in outcome.curves if name.startswith("health/")}
    expected = {"health/diversity", "health/rank"}
    expected |= set() if method == "adaptation/shot" else {"health/a_distance"}
    expected |= set() if method == "adaptation/source_only" else {"health/feature_gradient"}
    expected |= {"health/domain_accuracy"} if method == "confusion/dann" else set()
    assert signs == expected
    assert all(len(outcome.curves[name]) == CHECKPOINTS and np.isfinite(outcome.curves[name]).all() for name in signs)
    assert not any(name.endswith("/feature_gradient") for name in outcome.curves if name.startswith("train/"))


@pytest.mark.parametrize("method", ["confusion/dann", "confusion/mcd", "adaptation/shot"])
def test_looking_at_health_changes_no_figure(method, monkeypatch):
    watched = run(cell(method))
    monkeypatch.setattr("tlzoo.bench.protocols.domain.health", lambda *_: {})
    monkeypatch.setattr("tlzoo.lit.feature_gradients.FeatureWatch.terms", lambda *_: {})
    blind = run(cell(method))
    assert watched.metrics == blind.metrics
    np.testing.assert_array_equal(watched.predictions["test_logits"], blind.predictions["test_logits"])
    assert all(watched.curves[name] == values for name, values in blind.curves.items())


def test_one_seed_keeps_a_picture_of_the_features():
    kept = run(cell("adaptation/dan")).predictions
    assert kept["embedding"].shape == (30 + 60, 2)
    assert kept["embedding_side"].tolist() == [0] * 30 + [1] * 60
    np.testing.assert_array_equal(kept["embedding_class"][:30], TASK.source_test.labels)
    assert not any("embedding" in name for name in run(cell("adaptation/dan", seed=1)).predictions)
    assert set(run(cell("adaptation/shot")).predictions["embedding_side"]) == {1}
