import errno
import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tlzoo.backbones import FeatureCache, create_backbone, extraction
from tlzoo.backbones.cache import estimated
from tlzoo.data.example_set import ExampleSet
from tlzoo.storage import forget_hashes

IMAGES = np.random.default_rng(0).integers(0, 256, (50, 32, 32, 1), dtype=np.uint8)


class Counted(nn.Module):
    """Mean color, and how many items passed."""

    def __init__(self, gain=1.0, bias=0.0):
        super().__init__()
        self.gain, self.seen, self.bias = nn.Parameter(torch.tensor([gain, 1.0])), 0, bias

    def forward(self, images):
        self.seen += len(images)
        mean = images.float().mean((1, 2, 3))
        return torch.stack([mean, mean**2], 1) * self.gain + self.bias


def counted(preprocessing="tensor", **settings):
    return create_backbone(Counted(**settings), num_features=2, preprocess=torch.as_tensor, preprocessing=preprocessing)


def quiet(cache, backbone, inputs=IMAGES, checksum="images", **settings):
    return cache.features(backbone, inputs, checksum=checksum, progress=False, **settings)


@pytest.fixture
def cache(tmp_path):
    return FeatureCache(tmp_path)


@pytest.fixture(autouse=True)
def forget_what_was_verified():
    """A new process, as far as the cache can tell."""
    forget_hashes()


def data_file(cache):
    (file,) = cache.root.glob("*.npy")
    return file


def test_features_are_those_of_a_plain_loop(cache):
    backbone = create_backbone("lenet")
    features = quiet(cache, backbone, batch_size=7)
    assert isinstance(features, np.memmap)
    assert (features.shape, features.dtype) == ((50, 500), np.float32)
    with torch.no_grad():
        expected = backbone.eval()(backbone.preprocess(IMAGES)).numpy()
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-6)


def test_batch_size_does_not_matter(tmp_path):
    backbone = create_backbone("efficientnet_lite0", pretrained=False, image_size=32)
    one, other = (quiet(FeatureCache(tmp_path / str(size)), backbone, batch_size=size) for size in (50, 7))
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_the_network_is_run_once_and_left_as_it_was(cache):
    backbone = create_backbone("resnet12", in_channels=1, widths=(2, 2, 2, 2), drop_rate=0.5, image_size=16)
    backbone.body["block1"].eval()
    modes = [module.training for module in backbone.modules()]
    state = {key: value.clone() for key, value in backbone.state_dict().items()}
    done = []
    first = cache.features(backbone, IMAGES, checksum="a", progress=lambda *counts: done.append(counts))
    assert done == [(50, 50)]
    again = cache.features(backbone, IMAGES, checksum="a", progress=lambda *counts: done.append(counts))
    assert np.array_equal(first, again)
    assert len(done) == 1
    assert [module.training for module in backbone.modules()] == modes
    assert all(torch.equal(state[key], value) for key, value in backbone.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in backbone.parameters())


def test_an_estimate_passes_a_few_items_and_stores_nothing(cache):
    backbone = counted()
    with estimated() as seconds:
        first, again = quiet(cache, backbone), quiet(cache, backbone)
    np.testing.assert_array_equal(first, again)
    assert first.shape == (50, 2)
    assert len(seconds) == 1
    assert min(seconds.values()) > 0
    assert backbone.module.seen < 2 * 2 * 20
    assert not list(cache.root.glob("*.npy"))
    kept = quiet(cache, backbone)
    with estimated() as seconds:
        np.testing.assert_array_equal(quiet(cache, backbone), kept)
    assert not seconds


def test_a_file_is_never_changed_through_the_array(cache):
    features = quiet(cache, counted())
    features[:] = 0
    torch.from_numpy(features)
    assert quiet(cache, counted())[0, 0] != 0


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtypes(cache, dtype):
    features = quiet(cache, counted(gain=0.1), dtype=dtype)
    assert features.dtype == dtype
    np.testing.assert_allclose(features[:, 0], IMAGES.mean((1, 2, 3)) * 0.1, rtol=1e-3)


def test_what_changes_the_key(cache):
    other_images = IMAGES.copy()
    other_images[0] = 0
    asked = [
        (counted(), {}),
        (counted(gain=2.0), {}),
        (counted(preprocessing="other"), {}),
        (counted(), {"checksum": "other"}),
        (counted(), {"dtype": "float16"}),
        (counted(), {"inputs": other_images}),
        (counted(), {"inputs": IMAGES[:40]}),
    ]
    for number, (backbone, settings) in enumerate(asked, start=1):
        quiet(cache, backbone, **settings)
        assert backbone.module.seen > 0
        assert len(list(cache.root.glob("*.json"))) == number
    for backbone, settings in asked:
        seen = backbone.module.seen
        quiet(cache, backbone, **settings)
        assert backbone.module.seen == seen


def test_architecture_is_part_of_the_key(cache):
    state = create_backbone("temporal", in_channels=2).state_dict()
    series = np.random.default_rng(0).normal(size=(4, 9, 2))
    for eps in (1e-5, 1e-1):
        backbone = create_backbone("temporal", in_channels=2)
        backbone.load_state_dict(state)
        backbone.body["layer1"][2].eps = eps
        quiet(cache, backbone, series)
    assert len(list(cache.root.glob("*.json"))) == 2


def flip_a_byte(file):
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)


DAMAGES = {
    "changed byte": lambda cache: flip_a_byte(data_file(cache)),
    "half the data": lambda cache: data_file(cache).write_bytes(data_file(cache).read_bytes()[:200]),
    "no data": lambda cache: data_file(cache).unlink(),
    "no sidecar": lambda cache: next(cache.root.glob("*.json")).unlink(),
    "half a sidecar": lambda cache: next(cache.root.glob("*.json")).write_text('{"file": "'),
    "another's sidecar": lambda cache: next(cache.root.glob("*.json")).write_text("[1, 2]"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_made_again(cache, damage, caplog):
    expected = np.array(quiet(cache, counted()))
    DAMAGES[damage](cache)
    backbone = counted()
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(quiet(cache, backbone), expected)
    assert backbone.module.seen == len(IMAGES)
    assert damage == "no sidecar" or "made again" in caplog.text
    fresh = counted()
    quiet(cache, fresh)
    assert fresh.module.seen == 0
    assert json.loads(next(cache.root.glob("*.json")).read_text())["file"] == data_file(cache).name


def test_an_interrupted_run_leaves_nothing_that_is_taken_for_an_entry(cache):
    def stop(*_counts):
        raise KeyboardInterrupt

    backbone = counted()
    with pytest.raises(KeyboardInterrupt):
        cache.features(backbone, IMAGES, checksum="images", progress=stop)
    assert not list(cache.root.glob("*.json")) + list(cache.root.glob("*.npy")) + list(cache.root.glob("*.part"))
    assert quiet(cache, backbone).shape == (50, 2)


def test_what_a_killed_process_left_is_swept(cache):
    quiet(cache, counted())
    (sidecar,) = cache.root.glob("*.json")
    left = cache.root / f"{sidecar.name}.abc.part"
    left.mkdir()
    (left / "data.npy").write_bytes(b"half")
    sidecar.unlink()
    quiet(cache, counted())
    assert not left.exists()


FILL = """
import sys, pathlib, time
import numpy as np
from tlzoo.backbones import FeatureCache, create_backbone
root, me = pathlib.Path(sys.argv[1]), sys.argv[2]
backbone = create_backbone("identity", num_features=3)
inputs = np.arange(60, dtype=np.float32).reshape(20, 3)
batches = []
def slowly(*counts):
    batches.append(counts)
    time.sleep(0.05)
(root / f"ready-{me}").touch()
while not (root / "go").exists():
    time.sleep(0.01)
features = FeatureCache(root).features(backbone, inputs, checksum="c", batch_size=2, progress=slowly)
assert np.array_equal(features, inputs)
print(len(batches))
"""


def test_two_processes_fill_an_entry_at_once(cache):
    command = [sys.executable, "-c", FILL, str(cache.root)]
    workers = [subprocess.Popen([*command, me], stdout=subprocess.PIPE, text=True) for me in "ab"]
    while len(list(cache.root.glob("ready-*"))) < 2:
        assert all(worker.poll() is None for worker in workers)
        time.sleep(0.02)
    (cache.root / "go").touch()
    answers = [int(worker.communicate(timeout=60)[0]) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    # the second waited for the first
    assert sorted(answers) == [0, 10]
    assert len(list(cache.root.glob("*.npy"))) == 1
    assert not list(cache.root.glob("*.part"))


def test_two_processes_are_safe_without_locks(cache, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)
    inner = []

    def overtaken(*_counts):
        if not inner:
            inner.append(True)
            inner.append(np.array(quiet(FeatureCache(cache.root), counted())))

    outer = cache.features(counted(), IMAGES, checksum="images", progress=overtaken)
    assert np.array_equal(outer, inner[1])
    fresh = counted()
    assert np.array_equal(quiet(cache, fresh), outer)
    assert fresh.module.seen == 0


def test_features_that_are_not_finite_are_named(cache):
    images = IMAGES.copy()
    images[33] = 0
    backbone = create_backbone(
        nn.Sequential(nn.Flatten(), nn.LayerNorm(1024, eps=0.0, elementwise_affine=False)),
        num_features=1024,
        preprocess=lambda items: torch.as_tensor(items).float(),
        preprocessing="float",
    )
    with pytest.raises(ValueError, match=r"features of item 33 \(and 0 more of its batch\) are not finite"):
        quiet(cache, backbone, images)
    assert not list(cache.root.glob("*.json"))
    with pytest.raises(ValueError, match="choose a wider dtype"):
        quiet(cache, counted(gain=1e6), dtype="float16")


def test_batch_statistics_are_refused(cache):
    with pytest.raises(ValueError, match=r"body\.block1\.1 normalizes by the batch at hand"):
        quiet(cache, create_backbone("conv4"))


@pytest.mark.parametrize("settings", [{"checksum": ""}, {"dtype": "int8"}, {"batch_size": 0}])
def test_wrong_arguments(cache, settings):
    with pytest.raises(ValueError, match="expected a checksum that is not empty"):
        quiet(cache, counted(), **settings)


def test_wrong_width_is_named(cache):
    backbone = create_backbone(Counted(), num_features=3, preprocess=torch.as_tensor, preprocessing="tensor")
    with pytest.raises(ValueError, match=r"gave features of shape \(50, 2\); expected \(50, 3\)"):
        quiet(cache, backbone)


def test_an_empty_set(cache):
    assert quiet(cache, counted(), IMAGES[:0]).shape == (0, 2)


def test_subsets_share_one_extraction(cache):
    whole = ExampleSet(inputs=IMAGES, modality="image", labels=np.arange(50), checksum="images")
    part = whole.subset(np.arange(30, 10, -1))
    twice = part.subset(np.array([3, 1, 3]))
    backbone = counted()
    made = [cache.apply(backbone, examples, progress=False) for examples in (part, twice, whole)]
    assert backbone.module.seen == len(IMAGES)
    means = IMAGES.mean((1, 2, 3), dtype=np.float32)
    for examples, expected in zip(made, (means[30:10:-1], means[[27, 29, 27]], means), strict=True):
        assert examples.modality == "features"
        assert len(examples) == len(expected)
        np.testing.assert_allclose(examples.batch(np.arange(len(examples))).inputs[:, 0], expected, rtol=1e-5)
    np.testing.assert_allclose(made[0].subset(np.array([2])).batch(np.array([0])).inputs[0, 0], means[28], rtol=1e-5)


def test_another_modality_is_refused(cache):
    texts = ExampleSet(inputs=np.array(["a", "b"]), modality="text", checksum="texts")
    with pytest.raises(ValueError, match="takes image items, and the set holds text"):
        cache.apply(create_backbone(Counted(), num_features=2, modality="image"), texts)


def test_the_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path))
    assert FeatureCache().root == tmp_path / "features"
    assert FeatureCache("elsewhere").root == Path("elsewhere")


def test_the_bar_appears_only_when_it_takes_long(monkeypatch, capfd, cache):
    cache.features(counted(), IMAGES, checksum="quick")
    assert capfd.readouterr().err == ""
    monkeypatch.setattr(extraction, "_PATIENCE", -1.0)
    monkeypatch.setenv("FORCE_COLOR", "1")
    cache.features(counted(), IMAGES, checksum="slow", batch_size=5)
    assert "features of Counted" in capfd.readouterr().err


@pytest.mark.data
def test_texts_of_any_length_come_back_in_order(cache):
    backbone = create_backbone("sentence:minilm")
    texts = ["short", "a rather longer text about cats", "", "mid length text"]
    lists = cache.features(backbone, texts, checksum="texts", batch_size=2, progress=False)
    np.testing.assert_allclose(lists, backbone(texts).numpy(), rtol=0, atol=1e-5)
    fixed = cache.features(backbone, np.array(texts), checksum="texts", batch_size=4, progress=False)
    np.testing.assert_allclose(fixed, lists, rtol=0, atol=1e-5)
