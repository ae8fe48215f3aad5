import numpy as np
import pytest
import torch

from tlzoo import sources
from tlzoo.backbones import create_backbone, fingerprint

pytestmark = pytest.mark.data

TEXTS = ["a cat", "the stock market fell sharply on monday after weak earnings", "", "a kitten", "shares dropped"]


@pytest.fixture(scope="module")
def minilm():
    return create_backbone("sentence:minilm", batch_size=2)


def test_width_and_meaning(minilm):
    assert minilm.num_features == 384
    features = minilm(TEXTS)
    assert features.shape == (5, 384)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(5))
    similar = features @ features.T
    assert similar[0, 3] > 0.5 > similar[0, 1]
    assert similar[1, 4] > similar[0, 4]


def test_features_are_those_of_sentence_transformers(minilm):
    expected = minilm.encoder.encode(TEXTS, convert_to_tensor=True)
    torch.testing.assert_close(minilm(TEXTS), expected.clone(), rtol=0, atol=1e-5)


def test_batching_does_not_matter(minilm):
    alone = torch.cat([minilm([text]) for text in TEXTS])
    torch.testing.assert_close(minilm(np.array(TEXTS)), alone, rtol=0, atol=1e-5)
    assert minilm([]).shape == (0, 384)


def test_it_is_frozen_until_asked_otherwise(minilm):
    assert not any(p.requires_grad for p in minilm.parameters())
    assert not minilm.train().encoder.training
    trained = create_backbone("sentence:minilm")
    trained.requires_grad_(True)
    assert trained.train().encoder.training
    trained(["a cat"]).sum().backward()
    embeddings = trained.layer_groups()[0].modules[0]
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in embeddings.parameters())


def test_layer_groups_partition(minilm):
    groups = minilm.layer_groups()
    assert [group.name for group in groups] == ["embeddings", *[f"layer{i}" for i in range(6)], "head"]
    held = [id(p) for group in groups for module in group.modules for p in module.parameters()]
    assert sorted(held) == sorted(id(p) for p in minilm.parameters())


def test_a_local_folder_needs_no_hub(minilm, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = sources.path("minilm")
    local = create_backbone(f"sentence:{folder}")
    assert local.name == f"sentence:{folder}"
    torch.testing.assert_close(local(TEXTS), minilm(TEXTS), rtol=0, atol=1e-5)


def test_long_texts_are_cut(minilm):
    cut = create_backbone("sentence:minilm", max_characters=5)
    torch.testing.assert_close(cut(["a cat and a dog"]), minilm(["a cat"]), rtol=0, atol=1e-5)
    assert cut.preprocessing != minilm.preprocessing
    assert fingerprint(cut) != fingerprint(minilm)


def test_loading_draws_no_bar(capfd):
    create_backbone("sentence:minilm")
    shown = capfd.readouterr()
    assert shown.err + shown.out == ""


def test_what_is_no_encoder(tmp_path, monkeypatch, minilm):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="cannot be loaded"):
        create_backbone("sentence:no-such-encoder")
    with pytest.raises(ValueError, match="cannot be loaded"):
        create_backbone(f"sentence:{tmp_path}")
    with pytest.raises(ValueError, match="no untrained form"):
        create_backbone("sentence:minilm", pretrained=False)
    with pytest.raises(TypeError, match=r"wrap a single one in \[\]"):
        minilm("a cat")
    with pytest.raises(TypeError, match="takes a list of strings"):
        minilm([1, 2])
    with pytest.raises(ValueError, match="batch_size 0"):
        create_backbone("sentence:minilm", batch_size=0)
