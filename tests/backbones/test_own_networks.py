"""Networks of a user's own, and of transformers, as backbones."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from tlzoo import create_backbone
from tlzoo.backbones.from_example import dry_run, settings_from
from tlzoo.backbones.names import check_backbone, code_of

PICTURES = np.random.default_rng(0).integers(0, 256, (3, 20, 16, 3), dtype=np.uint8)


class Several(nn.Module):
    """Returns a map and a vector."""

    def __init__(self, as_tuple=False):
        super().__init__()
        self.layer, self.as_tuple = nn.Conv2d(3, 5, 3), as_tuple

    def forward(self, inputs):
        found = {"map": self.layer(inputs), "color": inputs.mean((2, 3))}
        return tuple(found.values()) if self.as_tuple else found


@pytest.mark.parametrize(("as_tuple", "output", "width"), [(False, "map", 5), (False, "color", 3), (True, 0, 5)])
def test_one_of_several_outputs_is_the_features(as_tuple, output, width):
    backbone = create_backbone(Several(as_tuple), example=PICTURES, output=output)
    features = backbone(backbone.preprocess(PICTURES))
    assert (backbone.num_features, tuple(features.shape)) == (width, (3, width))


def test_a_map_is_averaged_over_positions():
    backbone = create_backbone(Several(), example=PICTURES, output="map")
    inputs = backbone.preprocess(PICTURES)
    torch.testing.assert_close(backbone(inputs), backbone.forward_map(inputs).mean(dim=(2, 3)))
    assert backbone.forward_map(inputs).shape == (3, 5, 18, 14)


def test_outputs_without_a_name_are_listed():
    with pytest.raises(ValueError, match=r"Several returns a dict of 'map', 'color'; say which .* output='map'"):
        create_backbone(Several(), example=PICTURES)
    with pytest.raises(ValueError, match="Several returns a tuple of 0, 1"):
        create_backbone(Several(True), example=PICTURES, output=7)


@pytest.mark.parametrize(
    ("name", "example", "settings"),
    [
        ("identity", np.zeros((2, 7)), {"num_features": 7}),
        ("mlp", np.zeros((2, 7)), {"num_inputs": 7}),
        ("Temporal", np.zeros((2, 9, 4)), {"in_channels": 4}),
        ("lenet", PICTURES, {}),
    ],
)
def test_widths_follow_from_the_items(name, example, settings):
    assert settings_from(name, example) == settings
    assert create_backbone(name, example=example).num_features == dry_run(name, example)


def test_a_network_made_again_from_its_settings_is_the_same(tmp_path, monkeypatch):
    (tmp_path / "mapped.py").write_text("from torch import nn\n\ndef make():\n    return nn.Conv2d(3, 5, 3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    settings = settings_from("mapped:make", PICTURES)
    backbone = create_backbone("mapped:make", **settings)
    assert backbone(backbone.preprocess(PICTURES)).shape == (3, 5)


def test_a_dry_run_leaves_random_numbers_as_they_were():
    before = torch.get_rng_state()
    dry_run("mlp", torch.zeros(2, 4))
    assert torch.equal(torch.get_rng_state(), before)


def test_prefixes_ignore_case():
    assert create_backbone("TIMM:resnet10t", pretrained=False).name == "timm:resnet10t"
    assert check_backbone("Timm:resnet10t") == "image"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Tiny models of pictures and of texts, as ``save_pretrained`` writes them."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        BertConfig,
        BertModel,
        PreTrainedTokenizerFast,
        ResNetConfig,
        ResNetModel,
        ViTConfig,
        ViTModel,
    )

    root = tmp_path_factory.mktemp("models")
    small = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
    models_of = {
        "vit": ViTModel(ViTConfig(**small, image_size=16, patch_size=8)),
        "resnet": ResNetModel(ResNetConfig(embedding_size=4, hidden_sizes=[4, 6], depths=[1, 1])),
        "bert": BertModel(BertConfig(**small, vocab_size=9)),
    }
    for name, model in models_of.items():
        model.save_pretrained(root / name)
        if name != "bert":
            size = {"size": {"height": 16, "width": 16}, "image_mean": [0.1] * 3, "image_std": [0.2] * 3, "resample": 2}
            (root / name / "preprocessor_config.json").write_text(json.dumps(size))
    words = {word: place for place, word in enumerate(["[PAD]", "[UNK]", "a", "good", "bad", "film"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=12
    )
    fast.save_pretrained(root / "bert")
    return root


@pytest.mark.parametrize(("name", "width"), [("vit", 8), ("resnet", 6)])
def test_a_model_of_pictures_from_a_folder(folders, name, width):
    backbone = create_backbone(f"transformers:{folders / name}")
    assert check_backbone(backbone.name) == backbone.modality == "image"
    inputs = backbone.preprocess(PICTURES)
    assert inputs.shape == (3, 3, 16, 16)
    features = backbone(inputs)
    assert features.shape == (3, width)
    again = create_backbone(f"transformers:{folders / name}")
    torch.testing.assert_close(again(inputs), features)
    covered = {id(p) for group in backbone.layer_groups() for module in group.modules for p in module.parameters()}
    assert covered == {id(parameter) for parameter in backbone.parameters()}
    fresh = create_backbone(f"transformers:{folders / name}", pretrained=False)
    assert not torch.equal(fresh(inputs), features)


def test_a_model_of_texts_from_a_folder_ignores_padding(folders):
    backbone = create_backbone(f"transformers:{folders / 'bert'}")
    assert (backbone.modality, backbone.num_features) == ("text", 8)
    alone = backbone(backbone.preprocess(["a good film"]))
    beside = backbone(["a good film", "a bad film a bad film"])
    torch.testing.assert_close(beside[:1], alone)
    first = create_backbone(f"transformers:{folders / 'bert'}", pool="first")
    assert first.preprocessing != backbone.preprocessing
    assert not torch.equal(first(["a good film"]), alone)


def test_the_files_of_a_folder_are_part_of_what_a_name_stands_for(folders):
    name = f"transformers:{folders / 'resnet'}"
    before = code_of(name)
    (folders / "resnet" / "notes.txt").write_text("other weights")
    assert before != code_of(name)
    assert list(before) == [f"backbone {name}"]
    assert code_of("lenet") == {}


def test_mistakes_with_folders_of_transformers(folders, tmp_path):
    with pytest.raises(ValueError, match=r"has no config.json; expected a folder that save_pretrained wrote"):
        create_backbone(f"transformers:{tmp_path}")
    with pytest.raises(ValueError, match=r"has no config.json"):
        check_backbone("transformers:nowhere")
    with pytest.raises(ValueError, match="pool 'max'; expected 'mean', 'first' or 'pooler'"):
        create_backbone(f"transformers:{folders / 'vit'}", pool="max")
