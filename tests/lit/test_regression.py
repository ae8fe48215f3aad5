"""Domain adaptation where targets are real numbers: training, answers in the targets' unit, refusals, resuming."""

import re

import numpy as np
import pytest
import torch

import tlzoo
from tlzoo.data import DomainTask, ExampleSet
from tlzoo.lit import DomainAdaptation, DomainConfusion, DomainData, SourceFreeAdaptation
from tlzoo.nn.value_head import ValueHead
from tlzoo.registry import METHODS, method_class
from tlzoo.types import DomainBatch, Examples, Prediction

FAST = {"name": "adam", "lr": 0.02, "backbone_lr": 1.0, "schedule": "constant"}
WEIGHTS = np.array([[30.0, 0.0], [10.0, 0.002], [0.0, 0.001], [0.0, 0.0]])


def drawn(count, seed, shift=0.0, **changes):
    inputs = np.random.default_rng(seed).normal(size=(count, 4)) + shift
    labels = inputs @ WEIGHTS + [500.0, -0.01]
    return ExampleSet(
        inputs=inputs.astype(np.float32), modality="features", **{"labels": labels, "regression": True, **changes}
    )


def task(**changes):
    sets = {
        "source_train": drawn(80, 1),
        "source_test": drawn(20, 2),
        "target_train": drawn(60, 3, 0.3),
        "target_test": drawn(40, 4, 0.3),
    }
    return DomainTask(**{"name": "weather", "value_names": ("pressure", "rain"), **sets, **changes})


def data_of(made=None):
    return DomainData(made or task(), batch_size=12, steps_per_epoch=5, seed=0)


def module_for(method, data=None, **settings):
    torch.manual_seed(0)
    cls = DomainConfusion if method in ("dann", "domain_confusion") else DomainAdaptation
    return cls.for_data(data or data_of(), method, bottleneck=16, optimizer=FAST, **settings)


@pytest.mark.parametrize("method", ["target_only", "dare_gram", "dann", "deep_coral+rsd"])
def test_it_trains_and_answers_in_the_unit_of_the_targets(method, make_trainer):
    data = data_of()
    module = module_for(method, data)
    trainer = make_trainer(60)
    trainer.fit(module, datamodule=data)
    (found,) = trainer.test(module, datamodule=data, verbose=False)
    assert found["test/r2"] > 0.8
    assert found["test/pressure/mae"] > 50 * found["test/rain/mae"]
    assert set(found) >= {"test/rmse", "test/normalized_mae", "test/rain/r2"}
    items = data.task.target_test.inputs[:5]
    said = module.eval().predict(items)
    torch.testing.assert_close(torch.from_numpy(said.values), module(torch.as_tensor(items)).detach())
    assert abs(said.values[:, 0] - 500).max() < 150
    with pytest.raises(ValueError, match="a regression has no classes; see its values"):
        _ = said.labels


def test_validation_leaves_out_what_reads_probabilities(make_trainer):
    data = data_of()
    module = module_for("dan", data)
    trainer = make_trainer(5, limit_val_batches=None)
    trainer.fit(module, datamodule=data)
    logged = {name for name in trainer.callback_metrics if name.startswith("validation/")}
    label_free = {f"validation/{name}" for name in ("source_risk", "mmd", "dev")}
    assert {name for name in logged if not name.startswith("validation/source_")} | {
        "validation/source_risk"
    } == label_free
    assert "validation/source_r2" in logged


def test_a_module_comes_back_and_resumes(make_trainer, tmp_path):
    data = data_of()
    whole = module_for("rsd", data)
    make_trainer(10).fit(whole, datamodule=data)
    first, again = module_for("rsd", data), module_for("rsd", data)
    trainer = make_trainer(10)
    stop = make_trainer(5)
    stop.fit(first, datamodule=data)
    stop.save_checkpoint(tmp_path / "half.ckpt")
    trainer.fit(again, datamodule=data, ckpt_path=tmp_path / "half.ckpt")
    for name, value in whole.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    items = data.task.target_test.inputs[:3]
    loaded = tlzoo.load(whole.save(tmp_path / "folder"))
    np.testing.assert_array_equal(loaded.predict(items).values, whole.predict(items).values)


def test_methods_see_standardized_values():
    """The unit of the targets does not change what is learned."""
    found = []
    for unit in (1.0, 1000.0):
        sets = {name: each.with_labels(each.labels * unit) for name, each in task().sets().items()}
        data = data_of(task(**sets))
        module = module_for("source_only", data)
        data.attach(module)
        batch = DomainBatch(source=data.training_data.source.batch(np.arange(12)), target=None)
        loss = module.training_step(batch, 0)
        found.append(loss.item())
        head = module.network.head
        assert isinstance(head, ValueHead)
        np.testing.assert_allclose(head.center.numpy(), data.task.source_train.labels.mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(head.spread.numpy(), data.task.source_train.labels.std(axis=0), rtol=1e-5)
    assert found[0] == pytest.approx(found[1], rel=1e-4)
    assert 0.1 < found[0] < 10


def refusal(call):
    with pytest.raises(ValueError, match=r".") as error:
        call()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("method", ["mcc", "jan", "mdd", "mcc+dan", "group_dro"])
def test_methods_that_need_classes_refuse(method):
    make = DomainConfusion if method == "mdd" else DomainAdaptation
    said = refusal(lambda: make.for_data(data_of(), method, bottleneck=16))
    assert f"{method.split('+')[0]}" in said
    assert "needs classes, and this is a regression; take one of " in said
    assert "rsd" in said


def test_a_head_for_classes_is_refused():
    said = refusal(lambda: module_for("source_only", method_settings={"unknown": 0.5}, num_values=3))
    assert "source_only brings a head for classes" in said


def test_other_modules_say_so():
    said = refusal(lambda: SourceFreeAdaptation.for_data(data_of(), "shot", network=module_for("source_only").network))
    assert "weather is a regression and has no classes" in said


def test_methods_for_regression_are_as_listed():
    takes = {name for name in METHODS if getattr(method_class(name), "for_regression", False)}
    assert {"adaptation/rsd", "adaptation/dare_gram", "adaptation/jdot", "confusion/dann"} <= takes
    assert not takes & {"adaptation/jan", "adaptation/jda", "adaptation/bda", "adaptation/mcc", "confusion/cdan"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [np.nan] * 80}, "source_train labels: NaN in rows 0, 1, 2 and 77 more"),
        ({"labels": [np.inf] * 80}, "Inf in rows 0, 1, 2"),
        ({"labels": ["warm"] * 80}, "expected numbers: a regression has no classes"),
        ({"labels": np.arange(80) % 2, "regression": False}, "source_train labels are classes"),
    ],
)
def test_bad_targets_are_named(changes, message):
    assert message in refusal(lambda: task(source_train=drawn(80, 1, **changes), value_names=("pressure",)))


def test_numbers_for_classes_are_named():
    sets = task().sets()
    assert "real numbers for labels; DomainTask takes classes" in refusal(
        lambda: DomainTask(name="classes", class_names=("a", "b"), **sets)
    )
    assert "metric='balanced_accuracy' does not fit" in refusal(lambda: task(metric="balanced_accuracy"))
    assert "labels of shape (80, 2); expected (N, 1)" in refusal(lambda: task(value_names=("pressure",)))
    assert "set regression=True" in refusal(lambda: drawn(80, 1, labels=np.linspace(0, 1, 80), regression=False))
    assert "shots are counted by class" in refusal(lambda: task().semi_supervised(3))
    assert "give num_classes, or num_values" in refusal(lambda: DomainAdaptation("identity", "dan"))
    module = DomainAdaptation("identity", "dan", num_classes=2, backbone_settings={"num_features": 4})
    assert "are real numbers; build the module with num_values" in refusal(lambda: data_of().attach(module))


def test_a_loop_of_ones_own_needs_no_data_module():
    module = DomainAdaptation("identity", "source_only", num_values=1, backbone_settings={"num_features": 4})
    batch = DomainBatch(source=Examples(inputs=torch.randn(6, 4), labels=torch.arange(6)), target=None)
    assert module.training_step(batch, 0).isfinite()
    batch.source.labels = torch.tensor([1.0, torch.nan, 0, 0, 0, 0])
    assert re.search("NaN in row 1", refusal(lambda: module.training_step(batch, 0)))
    values = Prediction(
        features=torch.randn(3, 4), logits=torch.randn(3, 1), labels=torch.tensor([[1.0], [2.5], [3.0]])
    )
    method = tlzoo.create_method("target_only", num_features=4, num_classes=1)
    expected = (values.logits - values.labels).square().mean()
    torch.testing.assert_close(method(values, values)["loss"], expected)
