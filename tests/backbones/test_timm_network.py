import pytest
import timm
import torch
from safetensors.torch import save_file

from tlzoo.backbones import create_backbone


@pytest.fixture(scope="module")
def classifier():
    torch.manual_seed(0)
    return timm.create_model("resnet10t", num_classes=1000).eval()


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_weights_come_from_a_file_that_holds_the_classifier(classifier, tmp_path, suffix):
    path = tmp_path / f"weights.{suffix}"
    state = {key: value.contiguous() for key, value in classifier.state_dict().items()}
    save_file(state, path) if suffix == "safetensors" else torch.save(state, path)
    backbone = create_backbone("timm:resnet10t", checkpoint_path=path).eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = classifier.forward_head(classifier.forward_features(x), pre_logits=True)
        torch.testing.assert_close(backbone(x), expected)
        torch.testing.assert_close(backbone.forward_map(x), classifier.forward_features(x))


def test_weights_come_from_a_training_checkpoint(classifier, tmp_path):
    torch.save({"state_dict": classifier.state_dict(), "epoch": 3}, tmp_path / "last.ckpt")
    backbone = create_backbone("timm:resnet10t", checkpoint_path=tmp_path / "last.ckpt")
    assert torch.equal(backbone.network.layer1[0].conv1.weight, classifier.layer1[0].conv1.weight)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.pth is not a file"):
        create_backbone("timm:resnet10t", checkpoint_path=tmp_path / "none.pth")


def test_weights_of_another_network_are_refused(tmp_path, classifier):
    path = tmp_path / "weights.pth"
    torch.save(classifier.state_dict(), path)
    with pytest.raises(RuntimeError, match=r"weights of another network: missing \d+ \(cls_token, "):
        create_backbone("timm:test_vit", checkpoint_path=path)


def test_without_a_hub_the_way_out_is_named(monkeypatch, tmp_path):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"pass checkpoint_path=FILE, or pretrained=False"):
        create_backbone("timm:test_vit.r160_in1k")


def test_preprocessing_is_the_networks_own():
    backbone = create_backbone("timm:test_vit", pretrained=False)
    assert backbone.preprocessing == "image: 3 channels, 160 bicubic, mean 0.5 0.5 0.5, std 0.5 0.5 0.5"
    assert "64 bicubic" in create_backbone("timm:resnet10t", pretrained=False, image_size=64).preprocessing


def test_layers_behind_the_pooling_count_in_the_width():
    backbone = create_backbone("timm:mobilenetv3_small_050", pretrained=False).eval()
    assert backbone(torch.zeros(1, 3, 64, 64)).shape == (1, backbone.num_features)
