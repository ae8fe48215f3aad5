"""Modules in folders, and answers to new items after they were loaded."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import tlzoo
from tlzoo.backbones import create_backbone
from tlzoo.lit import (
    DomainAdaptation,
    DomainConfusion,
    DomainData,
    EpisodeData,
    FineTuning,
    Multitask,
    MultitaskData,
    OneShot,
    SourceFreeAdaptation,
    TestTimeAdaptation,
    ZeroShot,
    ZeroShotData,
)

MLP = {"num_inputs": 8, "hidden": [6]}
DOMAIN = {"num_classes": 3, "bottleneck": 5, "backbone_settings": MLP}

MODULES = {
    "adaptation": (lambda: DomainAdaptation("mlp", "dan", **DOMAIN), "domain_task", DomainData),
    "mdd": (lambda: DomainConfusion("mlp", "mdd", **DOMAIN), "domain_task", DomainData),
    "lora": (
        lambda: FineTuning("mlp", "lora", num_classes=3, backbone_settings=MLP, method_settings={"rank": 2}),
        "domain_task",
        DomainData,
    ),
    "multitask": (
        lambda: Multitask("mlp", "uncertainty", targets={"kind": 3, "height": 0}, backbone_settings=MLP),
        "multitask_task",
        MultitaskData,
    ),
    "oneshot": (lambda: OneShot("mlp", "simpleshot", backbone_settings=MLP), "episode_task", EpisodeData),
    "zeroshot": (
        lambda: ZeroShot("identity", "eszsl", num_classes=2, num_embedding=8, backbone_settings={"num_features": 8}),
        "zeroshot_task",
        ZeroShotData,
    ),
    "objects of the registry": (
        lambda: DomainAdaptation(
            create_backbone("mlp", **MLP), tlzoo.create_method("dan", num_features=6, num_classes=3), num_classes=3
        ),
        "domain_task",
        DomainData,
    ),
}

FRESH = """
import sys
import numpy as np
import tlzoo
folder, files = sys.argv[1], sys.argv[2:]
said = tlzoo.load(folder).predict(files)
print(",".join(said.names))
print(",".join(f"{value:.6f}" for value in said.probabilities.max(axis=1)))
"""


@pytest.mark.parametrize("name", MODULES)
def test_everything_comes_back(name, request, make_trainer, tmp_path):
    make, task, data = MODULES[name]
    module = make()
    trainer = make_trainer(3, max_epochs=1, limit_val_batches=0)
    trainer.fit(module, datamodule=data(request.getfixturevalue(task), batch_size=12))
    folder = module.save(tmp_path / "module")
    assert sorted(path.name for path in folder.iterdir()) == ["module.json", "weights.safetensors"]
    state = torch.get_rng_state()
    loaded = tlzoo.load(folder)
    torch.set_rng_state(state)
    assert type(loaded) is type(module)
    assert not loaded.training
    assert loaded.facts == module.facts
    for key, value in module.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[key], value, rtol=0, atol=0, equal_nan=True)


@pytest.fixture
def pictures(domain_task):
    """Return the clusters as pictures whose channels are the means, class by class."""
    random = np.random.default_rng(0)

    def drawn(examples):
        shade = np.array([[230, 20, 20], [20, 230, 20], [20, 20, 230]], dtype=float)[examples.labels]
        noise = random.normal(scale=10, size=(len(examples), 8, 8, 3))
        return examples.with_inputs(np.clip(shade[:, None, None] + noise, 0, 255).astype(np.uint8), "image")

    return domain_task.map_sets(drawn)


def test_files_in_a_fresh_process(pictures, make_trainer, tmp_path, monkeypatch):
    """Frozen features, transform and scale: what was trained on is what a file passes."""
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path / "home"))
    data = DomainData(pictures, features="pixels", transform="coral", scale=True, batch_size=12)
    module = DomainAdaptation.for_data(data, "source_only")
    trainer = make_trainer(40, limit_val_batches=0)
    trainer.fit(module, datamodule=data)
    files, shown = [], pictures.target_test.inputs[np.arange(9)]
    for place, picture in enumerate(shown):
        files.append(str(tmp_path / f"{place}.png"))
        Image.fromarray(picture).save(files[-1])
    expected = module.predict(shown)
    assert expected.class_names == ("a", "b", "c")
    features = torch.from_numpy(data.task.target_test.inputs[np.arange(9)])
    np.testing.assert_allclose(module.predict(features).probabilities, expected.probabilities, atol=1e-6)
    tested = trainer.test(module, datamodule=data, verbose=False)[0]["test/accuracy"]
    whole = module.predict(pictures.target_test.inputs)
    assert np.mean(whole.labels == pictures.target_test.labels) == pytest.approx(tested)
    folder = module.save(tmp_path / "module")
    done = subprocess.run(
        [sys.executable, "-c", FRESH, str(folder), *files], check=True, capture_output=True, text=True
    )
    names, values = done.stdout.split()
    assert names.split(",") == expected.names
    np.testing.assert_allclose(np.fromstring(values, sep=","), expected.probabilities.max(axis=1), atol=1e-5)


def test_adapted_source_models_come_back(domain_task, make_trainer, tmp_path):
    source = DomainAdaptation("mlp", "source_only", **DOMAIN)
    make_trainer(10, limit_val_batches=0).fit(source, datamodule=DomainData(domain_task, batch_size=12, scale=True))
    target = DomainData(domain_task.without_source(), batch_size=12)
    adapted = SourceFreeAdaptation(source.network, "shot", num_classes=3)
    make_trainer(3, limit_val_batches=0).fit(adapted, datamodule=target)
    items = domain_task.target_test.inputs[np.arange(5)]
    loaded = tlzoo.load(adapted.save(tmp_path / "shot"))
    np.testing.assert_array_equal(loaded.predict(items).probabilities, adapted.predict(items).probabilities)
    online = TestTimeAdaptation(source.network, "tent", num_classes=3)
    make_trainer(1).test(online, datamodule=target, verbose=False)
    again = tlzoo.load(online.save(tmp_path / "tent"))
    np.testing.assert_allclose(again.predict(items).probabilities, online.predict(items).probabilities)


class Own(nn.Module):
    num_features = 4

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 4)

    def forward(self, inputs):
        return self.layer(inputs)


def test_own_networks_are_given_again(domain_task, make_trainer, tmp_path):
    module = DomainAdaptation(Own(), "source_only", num_classes=3)
    make_trainer(3, limit_val_batches=0).fit(module, datamodule=DomainData(domain_task))
    folder = module.save(tmp_path / "module")
    with pytest.raises(
        ValueError, match=r"saved with objects that it does not hold; call load\('.*module', backbone=...\)"
    ):
        tlzoo.load(folder)
    loaded = tlzoo.load(folder, backbone=Own())
    items = domain_task.target_test.inputs[np.arange(5)]
    np.testing.assert_array_equal(loaded.predict(items).probabilities, module.predict(items).probabilities)


class Rows(nn.Module):
    """Declares no width; gives vectors, or maps."""

    def __init__(self, maps=False):
        super().__init__()
        self.layer, self.maps = nn.Linear(8, 4), maps

    def forward(self, inputs):
        found = self.layer(inputs)
        return found[:, :, None, None].expand(-1, -1, 2, 3) if self.maps else found


@pytest.mark.parametrize("maps", [False, True])
def test_networks_whose_width_a_dry_run_found_are_given_again(maps, domain_task, make_trainer, tmp_path):
    data = DomainData(domain_task)
    module = DomainAdaptation.for_data(data, "source_only", backbone=Rows(maps))
    make_trainer(3, limit_val_batches=0).fit(module, datamodule=data)
    loaded = tlzoo.load(module.save(tmp_path / "module"), backbone=Rows(maps))
    items = domain_task.target_test.inputs[np.arange(5)]
    np.testing.assert_array_equal(loaded.predict(items).probabilities, module.predict(items).probabilities)


def test_mistakes_are_named(tmp_path):
    module = DomainAdaptation("mlp", "source_only", **DOMAIN)
    with pytest.raises(ValueError, match="does not know what its inputs are: build it with for_data"):
        module.predict(np.zeros((2, 8)))
    (tmp_path / "there").mkdir()
    with pytest.raises(FileExistsError, match="is there already; choose a new folder"):
        module.save(tmp_path / "there")
    with pytest.raises(FileNotFoundError, match=r"holds no module\.json; give a folder that save"):
        tlzoo.load(tmp_path / "there")
    folder = module.save(tmp_path / "module")
    stored = json.loads((folder / "module.json").read_text())
    (folder / "module.json").write_text(json.dumps({**stored, "format": 99, "tlzoo": "9.0"}))
    with pytest.raises(ValueError, match=r"saved by tlzoo 9\.0; this is .*, update it"):
        tlzoo.load(folder)
    for damaged in ("{", "{}", "[]", '{"format": 1}'):
        (folder / "module.json").write_text(damaged)
        with pytest.raises(ValueError, match=r"module is damaged \(.*\); save the module again$"):
            tlzoo.load(folder)
    (folder / "module.json").write_text(json.dumps(stored))
    (folder / "weights.safetensors").write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"module is damaged \("):
        tlzoo.load(folder)
    (folder / "weights.safetensors").unlink()
    with pytest.raises(ValueError, match=r"module is damaged \("):
        tlzoo.load(folder)


def test_predict_leaves_the_mode_and_takes_nothing(domain_task, make_trainer):
    module = DomainAdaptation("mlp", "source_only", **DOMAIN)
    make_trainer(1, limit_val_batches=0).fit(module, datamodule=DomainData(domain_task))
    module.train()
    assert module.predict(np.zeros((0, 8))).probabilities.shape == (0, 3)
    assert module.predict(domain_task.target_test.inputs[:3], batch_size=2).probabilities.sum() == pytest.approx(3)
    assert module.training
