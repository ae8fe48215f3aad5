"""Encoders of images and texts, on tiny random ones saved to folders."""

import json
import sys

import numpy as np
import pytest
import torch
from torch import nn

from tlzoo.backbones import FeatureCache, create_backbone, fingerprint

WIDTH = 8
TEXTS = ["a dog", "cat", "the red house"]


def images(count=3, channels=3):
    return np.random.default_rng(0).integers(0, 256, (count, 20, 24, channels), dtype=np.uint8)


def save_tiny(path):
    """Save a CLIP of one layer a side that nobody trained, whose vocabulary are the letters."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = [*letters, *[f"{letter}</w>" for letter in letters], "<|startoftext|>", "<|endoftext|>"]
    path.mkdir()
    (path / "vocab.json").write_text(json.dumps({word: place for place, word in enumerate(words)}))
    (path / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(path / "vocab.json"), str(path / "merges.txt"), model_max_length=16)
    layers = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = layers | {"vocab_size": 54, "max_position_embeddings": 16, "bos_token_id": 52, "eos_token_id": 53}
    vision = layers | {"image_size": 16, "patch_size": 8}
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=WIDTH))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(path)
    processor = CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    CLIPProcessor(processor, tokenizer).save_pretrained(path)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """What transformers saves, and what sentence-transformers does."""
    from sentence_transformers import SentenceTransformer

    root = tmp_path_factory.mktemp("clip")
    save_tiny(root / "plain")
    SentenceTransformer(str(root / "plain"), device="cpu").save(str(root / "sentence"))
    return root


@pytest.fixture(params=["plain", "sentence"])
def encoder(folders, request):
    return create_backbone(f"clip:{folders / request.param}", batch_size=2)


def test_both_sides_are_those_of_transformers(encoder, folders):
    from PIL import Image
    from transformers import CLIPModel, CLIPProcessor

    model, processor = (kind.from_pretrained(folders / "plain") for kind in (CLIPModel, CLIPProcessor))
    pictures = [Image.fromarray(image) for image in images()]
    with torch.no_grad():
        of_images = model.get_image_features(**processor(images=pictures, return_tensors="pt"))
        of_texts = model.get_text_features(**processor(text=TEXTS, return_tensors="pt", padding=True))
        ours = encoder(encoder.preprocess(images())), encoder(encoder.preprocess(TEXTS))
    assert encoder.num_features == WIDTH
    assert encoder.modality == "image"
    for found, expected in zip(ours, (of_images, of_texts), strict=True):
        torch.testing.assert_close(found, getattr(expected, "pooler_output", expected), rtol=1e-4, atol=1e-5)
        assert found.std(dim=0).min() > 1e-3


def test_gray_images_tensors_and_no_text(encoder):
    gray = images(channels=1)
    repeated = encoder.preprocess(np.repeat(gray, 3, axis=3))
    torch.testing.assert_close(encoder.preprocess(torch.from_numpy(gray)), repeated)
    assert encoder([]).shape == (0, WIDTH)


def test_what_is_neither_image_nor_text(encoder):
    with pytest.raises(TypeError, match="or a list of strings, not ndarray of float64"):
        encoder.preprocess(np.zeros((2, 3)))
    with pytest.raises(TypeError, match=r"not uint16"):
        encoder.preprocess(images().astype(np.uint16))
    with pytest.raises(ValueError, match=r"\(B, H, W, 1 or 3\), not of shape \(20, 24, 3\)"):
        encoder.preprocess(images()[0])
    with pytest.raises(TypeError, match="not str"):
        encoder.preprocess("a dog")


def test_groups_hold_every_parameter_once(encoder):
    groups = {
        group.name: [p for module in group.modules for p in module.parameters()] for group in encoder.layer_groups()
    }
    held = [id(p) for parameters in groups.values() for p in parameters]
    assert sorted(held) == sorted(id(p) for p in encoder.parameters())
    encoder.requires_grad_(True)
    encoder(encoder.preprocess(images())).sum().backward()
    assert all(p.grad is None for p in groups["text"])
    assert any(p.grad is not None for p in groups["image"])


def test_it_is_frozen_until_asked_otherwise(encoder):
    assert not any(p.requires_grad for p in encoder.parameters())
    assert not encoder.train().training
    assert encoder.requires_grad_(True).train().training


def test_features_are_cached(encoder, tmp_path, monkeypatch):
    cache = FeatureCache(tmp_path)
    features = cache.features(encoder, images(), checksum="three", progress=False)
    of_texts = cache.features(encoder, np.array(TEXTS), checksum="texts", progress=False)
    with torch.no_grad():
        np.testing.assert_allclose(features, encoder(encoder.preprocess(images())).numpy(), atol=1e-5)
        np.testing.assert_allclose(of_texts, encoder(TEXTS).numpy(), atol=1e-5)
    monkeypatch.setattr(type(encoder), "forward", None)
    np.testing.assert_array_equal(cache.features(encoder, images(), checksum="three"), features)


def test_preprocessing_tells_encoders_apart(folders, tmp_path):
    ours = create_backbone(f"clip:{folders / 'plain'}")
    other = tmp_path / "plain"
    save_tiny(other)
    config = other / "processor_config.json"
    config.write_text(config.read_text().replace('"do_center_crop": true', '"do_center_crop": false'))
    assert fingerprint(create_backbone(f"clip:{other}")) != fingerprint(ours)
    assert create_backbone(f"clip:{other}").preprocessing != ours.preprocessing


def test_images_are_matched_with_texts_by_one_encoder(folders, tmp_path, monkeypatch):
    from tlzoo.data.example_set import ExampleSet
    from tlzoo.data.tasks import ZeroShotTask
    from tlzoo.lit import ZeroShot, ZeroShotData

    monkeypatch.setenv("TLZOO_HOME", str(tmp_path))
    nothing = np.empty(0, dtype=np.int64)
    task = ZeroShotTask(
        name="toy",
        class_names=("dog", "cat"),
        descriptions=("dog", "cat"),
        seen=nothing,
        held_out=nothing,
        unseen=np.arange(2),
        test=ExampleSet(inputs=images(), modality="image", labels=np.array([0, 1, 1]), checksum="toy"),
    )
    name = f"clip:{folders / 'sentence'}"
    data = ZeroShotData(task, features=name, descriptions=name, templates=["a photo of a {}"])
    module = ZeroShot(
        "identity", "cosine", num_classes=2, num_embedding=WIDTH, backbone_settings={"num_features": WIDTH}
    )
    embeddings, seen = data.candidates("test")
    module.bind(embeddings, seen=seen)
    scores = module(data.asked("test").batch(np.arange(3)).inputs)
    encoder = create_backbone(name)
    pictures, texts = encoder(encoder.preprocess(images())), encoder(["a photo of a dog", "a photo of a cat"])
    expected = nn.functional.cosine_similarity(pictures[:, None], texts[None], dim=2)
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-5)


def test_what_is_no_such_folder(folders, tmp_path):
    with pytest.raises(ValueError, match="no such folder; expected one that"):
        create_backbone(f"clip:{tmp_path / 'nothing'}")
    with pytest.raises(ValueError, match="leave pretrained=True"):
        create_backbone(f"clip:{folders / 'plain'}", pretrained=False)
    with pytest.raises(ValueError, match="cannot be loaded"):
        create_backbone(f"clip:{tmp_path}")
    with pytest.raises(FileNotFoundError, match="is not a file"):
        create_backbone("clip:ViT-B-32", checkpoint_path=tmp_path / "weights.pt")


def test_without_open_clip_the_message_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "open_clip_config.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'tlzoo\[clip\]'"):
        create_backbone(f"clip:{tmp_path}")


def test_folders_and_checkpoints_of_open_clip(tmp_path):
    open_clip = pytest.importorskip("open_clip")
    from safetensors.torch import save_file

    vision = {"image_size": 16, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8}
    text = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    architecture = {"embed_dim": WIDTH, "vision_cfg": vision, "text_cfg": text}
    torch.manual_seed(0)
    network = open_clip.CLIP(**architecture).eval()
    config = {"model_cfg": architecture, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    save_file(
        {name: value.contiguous() for name, value in network.state_dict().items()},
        tmp_path / "open_clip_model.safetensors",
    )
    encoder = create_backbone(f"clip:{tmp_path}")
    pixels = encoder.preprocess(images())
    assert pixels.shape == (3, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(encoder(pixels), network.encode_image(pixels))
        tokens = open_clip.SimpleTokenizer(context_length=16)(TEXTS)
        torch.testing.assert_close(encoder(TEXTS), network.encode_text(tokens), rtol=1e-4, atol=1e-5)
    assert {group.name for group in encoder.layer_groups()} == {"text", "image"}

    (tmp_path / "Tiny.json").write_text(json.dumps(architecture))
    open_clip.add_model_config(tmp_path / "Tiny.json")
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    named = create_backbone("clip:Tiny", checkpoint_path=tmp_path / "weights.pt")
    with torch.no_grad():
        torch.testing.assert_close(named(pixels), encoder(pixels))
