"""What is fitted to data before training is a part of the network and of its checkpoint."""

import copy
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from tlzoo.lit import (
    DomainAdaptation,
    DomainConfusion,
    DomainData,
    FineTuning,
    SourceFreeAdaptation,
    TestTimeAdaptation,
)
from tlzoo.methods.adaptation import CORAL
from tlzoo.nn.network import Network
from tlzoo.nn.preparation import Preparation

WIDTH = {"num_features": 8}


@pytest.fixture
def task(domain_task):
    """Return clusters of features that mean nothing to a network that was trained on scaled ones."""
    return domain_task.map_sets(lambda examples: examples.with_inputs(1000 * examples.inputs + 500))


def adaptation(method="dan", **others):
    return DomainAdaptation("identity", method, num_classes=3, backbone_settings=WIDTH, **others)


MODULES = {
    "dan": adaptation,
    "self_ensembling": lambda: adaptation("self_ensembling"),
    "adda": lambda: DomainConfusion("identity", "adda", num_classes=3, bottleneck=5, backbone_settings=WIDTH),
    "vada": lambda: DomainConfusion("identity", "vada", num_classes=3, backbone_settings=WIDTH),
    "linear_probe": lambda: FineTuning("identity", "linear_probe", num_classes=3, backbone_settings=WIDTH),
}

SETTINGS = {
    "scale": {"scale": True},
    "coral": {"transform": "coral"},
    "both": {"transform": CORAL(8, 3, regularization=0.5), "scale": True},
}

FRESH = """
import sys
import numpy as np
import torch
import tlzoo
path, kind, inputs, outputs = sys.argv[1:]
module = getattr(tlzoo, kind).load_from_checkpoint(path).eval()
with torch.no_grad():
    np.save(outputs, module(torch.from_numpy(np.load(inputs))).numpy())
"""


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("settings", SETTINGS)
def test_a_loaded_module_answers_raw_features(task, name, settings, make_trainer, tmp_path):
    module, data = MODULES[name](), DomainData(task, batch_size=12, **copy.deepcopy(SETTINGS[settings]))
    trainer = make_trainer(5, limit_val_batches=0)
    trainer.fit(module, datamodule=data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    loaded = type(module).load_from_checkpoint(tmp_path / "last.ckpt").eval()
    inputs = torch.from_numpy(task.target_test.inputs[np.arange(6)])
    with torch.no_grad():
        torch.testing.assert_close(loaded(inputs), module.eval()(inputs), rtol=0, atol=0)
    before = trainer.test(module, datamodule=data, verbose=False)
    plain = make_trainer(5).test(loaded, datamodule=DomainData(task, batch_size=12), verbose=False)
    assert plain == before


def test_it_does_in_a_fresh_process(task, make_trainer, tmp_path):
    module, data = adaptation("source_only"), DomainData(task, transform="coral", scale=True)
    trainer = make_trainer(30, limit_val_batches=0)
    trainer.fit(module, datamodule=data)
    accuracy = trainer.test(module, datamodule=data, verbose=False)[0]["test/accuracy"]
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    test = task.target_test
    np.save(tmp_path / "inputs.npy", test.inputs[np.arange(len(test))])
    files = [str(tmp_path / name) for name in ("last.ckpt", "inputs.npy", "outputs.npy")]
    subprocess.run([sys.executable, "-c", FRESH, files[0], "DomainAdaptation", *files[1:]], check=True)
    found = np.load(tmp_path / "outputs.npy").argmax(axis=1) == test.labels
    assert accuracy > 0.8
    assert found.mean() == pytest.approx(accuracy)


def test_a_source_model_keeps_its_own(task, make_trainer):
    module = adaptation("source_only", bottleneck=5)
    make_trainer(30, limit_val_batches=0).fit(module, datamodule=DomainData(task, scale=True))
    divisor = float(module.preparation.divisor)
    target = DomainData(replace(task.without_source(), name="target"), batch_size=12)
    source_free = SourceFreeAdaptation(module.network, "shot", num_classes=3)
    make_trainer(3, limit_val_batches=0).fit(source_free, datamodule=target)
    assert float(source_free.preparation.divisor) == divisor
    answers = TestTimeAdaptation(module.network, "t3a", num_classes=3)
    expected = make_trainer(1).test(module, datamodule=target, verbose=False)[0]["test/accuracy"]
    found = make_trainer(1).test(answers, datamodule=target, verbose=False)[0]["test/accuracy"]
    assert found == pytest.approx(expected, abs=0.15)
    for again in (source_free, answers):
        with pytest.raises(ValueError, match="brings the transform and scale that it was trained with; drop"):
            DomainData(task, scale=True).attach(again)


def test_copies_of_a_module_are_fitted_apart(domain_task):
    first = adaptation("self_ensembling")
    DomainData(domain_task, scale=2.0).attach(first)
    second = copy.deepcopy(first)
    DomainData(domain_task, scale=3.0).attach(second)
    assert (float(first.preparation.divisor), float(second.preparation.divisor)) == (2, 3)
    networks = [module for module in second.modules() if isinstance(module, Network)]
    assert len(networks) == 2
    assert networks[0].preparation is networks[1].preparation


def test_training_again_fits_again(domain_task, make_trainer):
    module = adaptation()
    for factor in (1, 10):
        own = domain_task.map_sets(lambda examples, by=factor: examples.with_inputs(by * examples.inputs))
        make_trainer(1, limit_val_batches=0).fit(module, datamodule=DomainData(own, scale=True))
        spread = np.concatenate([own.source_train.inputs, own.target_train.inputs]).std()
        assert float(module.preparation.divisor) == pytest.approx(spread, rel=1e-6)


@pytest.mark.parametrize("precision", ["64-true", "bf16-mixed"])
def test_other_precisions(task, precision, make_trainer):
    module, data = adaptation(), DomainData(task, transform="coral", scale=True)
    trainer = make_trainer(3, limit_val_batches=0, precision=precision)
    trainer.fit(module, datamodule=data)
    assert trainer.test(module, datamodule=data, verbose=False)[0]["test/accuracy"] >= 0


def test_what_cannot_be_divided_by(domain_task):
    for divisor in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="features cannot be divided by"):
            Preparation().fit(None, divisor)
    constant = domain_task.map_sets(lambda examples: examples.with_inputs(np.ones_like(examples.inputs)))
    with pytest.raises(ValueError, match="expected a number > 0"):
        DomainData(constant, scale=True).attach(adaptation())
