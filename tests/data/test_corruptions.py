"""Common corruptions: what each does to pictures whose answer is known, and that chance follows seed and place."""

import colorsys

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from tlzoo.data.corruptions import CORRUPTIONS, SEVERITIES, corrupt

CHANCE = {
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "glass_blur",
    "motion_blur",
    "snow",
    "frost",
    "fog",
    "elastic_transform",
}


@pytest.fixture(scope="module")
def pictures():
    """Smooth blobs with an edge, of the size that strengths were chosen for."""
    random = np.random.default_rng(0)
    smooth = gaussian_filter(random.normal(size=(4, 64, 64, 3)), (0, 4, 4, 0))
    scaled = 40 + 175 * (smooth - smooth.min()) / np.ptp(smooth)
    scaled[:, 20:40, 24:44] *= 0.3
    return scaled.astype(np.uint8)


def difference(one, other):
    return np.abs(one.astype(float) - other).mean()


def test_there_are_fifteen():
    assert len(CORRUPTIONS) == 15
    assert all(len(strengths) == 5 for _, strengths in CORRUPTIONS.values())


# the affine part of the elastic transform shrinks as its field grows, so pixels differ less
@pytest.mark.parametrize("name", sorted(set(CORRUPTIONS) - {"elastic_transform"}))
def test_the_last_severity_changes_more_than_the_first(pictures, name):
    mild, severe = (difference(corrupt(pictures, name, severity), pictures) for severity in (1, 5))
    assert 0 < mild < severe


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_chance_follows_seed_and_place(pictures, name):
    whole = corrupt(pictures, name, 3)
    np.testing.assert_array_equal(corrupt(pictures[2:], name, 3, first=2), whole[2:])
    assert np.array_equal(corrupt(pictures, name, 3, seed=1), whole) == (name not in CHANCE)
    twice = corrupt(np.stack([pictures[0]] * 2), name, 3)
    assert np.array_equal(*twice) == (name not in CHANCE)


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("shape", [(1, 17, 30, 3), (2, 32, 32, 1), (0, 8, 8, 3)])
def test_shape_and_type_stay(name, shape):
    given = np.random.default_rng(0).integers(0, 256, size=shape, dtype=np.uint8)
    before = given.copy()
    for severity in SEVERITIES:
        found = corrupt(given, name, severity)
        assert found.shape == shape
        assert found.dtype == np.uint8
    np.testing.assert_array_equal(given, before)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_noise_has_its_deviation(severity):
    gray = np.full((1, 200, 200, 3), 128, dtype=np.uint8)
    deviation = CORRUPTIONS["gaussian_noise"][1][severity - 1]
    found = corrupt(gray, "gaussian_noise", severity) / 255
    assert found.std() == pytest.approx(deviation, rel=0.03)
    photons = CORRUPTIONS["shot_noise"][1][severity - 1]
    found = corrupt(gray, "shot_noise", severity) / 255
    assert found.mean() == pytest.approx(128 / 255, rel=0.01)
    assert found.std() == pytest.approx(np.sqrt(128 / 255 / photons), rel=0.05)
    share = CORRUPTIONS["impulse_noise"][1][severity - 1]
    found = corrupt(gray, "impulse_noise", severity)
    assert (found == 0).mean() == pytest.approx(share / 2, rel=0.15)
    assert (found == 255).mean() == pytest.approx(share / 2, rel=0.15)


@pytest.mark.parametrize(
    "name", ["defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "elastic_transform", "pixelate"]
)
def test_what_moves_pixels_leaves_a_plain_picture(name):
    plain = np.full((1, 64, 64, 3), 90, dtype=np.uint8)
    np.testing.assert_array_equal(corrupt(plain, name, 5), plain)


def test_defocus_is_a_disk():
    point = np.zeros((1, 64, 64, 1), dtype=np.uint8)
    point[0, 32, 32] = 255
    found = corrupt(point, "defocus_blur", 5)[0, ..., 0]
    inside = np.hypot(*(np.indices(found.shape) - 32)) <= 3
    assert found[inside].min() == found[inside].max() == round(255 / inside.sum())
    assert found[~inside].max() == 0


def test_contrast_and_brightness_are_their_formulas(pictures):
    values = pictures / 255
    mean = values.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(
        corrupt(pictures, "contrast", 4) / 255, (values - mean) * 0.1 + mean, atol=0.5 / 255 + 1e-9
    )
    black = np.zeros((1, 2, 2, 3), dtype=np.uint8)
    for given in (pictures[:, :3, :3], black):
        found = corrupt(given, "brightness", 2).reshape(-1, 3) / 255
        for pixel, before in zip(found, given.reshape(-1, 3) / 255, strict=True):
            hue, saturation, value = colorsys.rgb_to_hsv(*before)
            expected = colorsys.hsv_to_rgb(hue, saturation, min(value + 0.2, 1))
            np.testing.assert_allclose(pixel, expected, atol=0.5 / 255 + 1e-9)


def test_mistakes_are_named(pictures):
    with pytest.raises(ValueError, match="did you mean 'gaussian_noise'"):
        corrupt(pictures, "gausian_noise", 1)
    with pytest.raises(ValueError, match="severity 6"):
        corrupt(pictures, "fog", 6)
    with pytest.raises(ValueError, match="expected uint8"):
        corrupt(pictures / 255, "fog", 1)
    with pytest.raises(ValueError, match=r"shape \(64, 64, 3\)"):
        corrupt(pictures[0], "fog", 1)
