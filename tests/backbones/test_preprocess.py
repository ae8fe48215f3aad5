import numpy as np
import pytest
import torch
from PIL import Image

from tlzoo.backbones import create_backbone
from tlzoo.backbones.preprocess import ArrayPreprocess, ImagePreprocess
from tlzoo.backbones.resize import resize

FILTERS = {"bicubic": Image.BICUBIC, "bilinear": Image.BILINEAR, "lanczos": Image.LANCZOS}


def noise(height, width, channels=3):
    return np.random.default_rng(0).integers(0, 256, (2, height, width, channels), dtype=np.uint8)


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize(("height", "width", "size"), [(72, 72, 96), (50, 131, 64), (64, 40, 64), (9, 7, 32)])
def test_resize_equals_pillow(interpolation, height, width, size):
    images = noise(height, width)
    expected = [np.asarray(Image.fromarray(image).resize((size, size), FILTERS[interpolation])) for image in images]
    made = resize(torch.from_numpy(images).permute(0, 3, 1, 2), size, interpolation)
    assert np.array_equal(made.permute(0, 2, 3, 1).numpy(), np.stack(expected))


def test_height_and_width_may_differ():
    images = noise(50, 131)
    made = ImagePreprocess(3, (32, 48), 0.0, 1 / 255)(images)
    expected = [np.asarray(Image.fromarray(image).resize((48, 32), Image.BICUBIC)) for image in images]
    np.testing.assert_array_equal(made.permute(0, 2, 3, 1).numpy(), np.stack(expected))
    assert ImagePreprocess(3, (32, 48)).identity == "image: 3 channels, 32x48 bicubic, mean 0.5, std 0.5"
    with pytest.raises(ValueError, match=r"image_size is \[32\]; expected one number, or height and width"):
        create_backbone("timm:test_resnet", pretrained=False, image_size=[32])


def test_unknown_interpolation():
    with pytest.raises(ValueError, match="did you mean 'bicubic'"):
        resize(torch.zeros(1, 3, 4, 4), 8, "bicubical")


def test_gray_equals_pillow_and_color_repeats():
    images = noise(8, 8)
    gray = ImagePreprocess(1, None, 0.0, 1 / 255)(images)
    expected = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in images])
    assert np.array_equal(gray[:, 0].numpy(), expected)
    color = ImagePreprocess(3, None)(noise(8, 8, 1))
    assert torch.equal(color[:, 0], color[:, 2])


def test_lite0_pixels():
    images = noise(72, 72)
    made = create_backbone("efficientnet_lite0", pretrained=False).preprocess(images)
    resized = np.stack([np.asarray(Image.fromarray(image).resize((96, 96), Image.BICUBIC)) for image in images])
    expected = (resized.astype(np.float32) - 127) / 128
    assert made.dtype == torch.float32
    np.testing.assert_allclose(made.permute(0, 2, 3, 1).numpy(), expected, rtol=0, atol=1e-6)


def test_arrays_tensors_and_read_only_memory_give_the_same():
    images = noise(8, 8)
    locked = images.copy()
    locked.flags.writeable = False
    preprocess = ImagePreprocess(3, 16)
    assert torch.equal(preprocess(images), preprocess(torch.from_numpy(images)))
    assert torch.equal(preprocess(images), preprocess(locked))


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (np.zeros((2, 8, 8, 3), np.float32), TypeError, "expected uint8"),
        (np.zeros((8, 8, 3), np.uint8), ValueError, r"expected \(B, H, W, C\)"),
        (np.zeros((2, 8, 8, 4), np.uint8), ValueError, "flatten alpha"),
    ],
)
def test_what_is_no_image(images, error, message):
    with pytest.raises(error, match=message):
        ImagePreprocess(3, 8)(images)


def test_identity_changes_with_every_setting():
    identities = {
        ImagePreprocess(*settings).identity
        for settings in [
            (3, 32),
            (1, 32),
            (3, 33),
            (3, None),
            (3, 32, 0.4),
            (3, 32, 0.5, 0.4),
            (3, 32, 0.5, 0.5, "bilinear"),
            (3, 32, (0.1, 0.2, 0.3)),
        ]
    }
    assert len(identities) == 8


def test_arrays_are_standardized_by_channel():
    series = np.ones((2, 4, 2))
    made = ArrayPreprocess(mean=(1.0, 0.0), std=(1.0, 2.0))(series)
    assert made.dtype == torch.float32
    assert made[0, 0].tolist() == [0.0, 0.5]
