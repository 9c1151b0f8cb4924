import numpy as np
import pytest
from expected.make_formulas import FILE, inputs

from kerasgan.metrics.ms_ssim import mean_ms_ssim, ms_ssim

ONE, OTHER = inputs().images


def test_equals_tensorflow():
    np.testing.assert_allclose(
        ms_ssim(ONE, OTHER), np.load(FILE)["ms_ssim"], rtol=4e-4
    )  # TensorFlow uses float32.


def test_equal_images_and_order():
    assert ms_ssim(ONE, ONE) == pytest.approx([1, 1, 1], abs=1e-12)
    np.testing.assert_allclose(ms_ssim(OTHER, ONE), ms_ssim(ONE, OTHER), rtol=1e-12)


def test_opposite_images_have_no_similarity():
    assert ms_ssim(ONE, 255 - ONE).max() < 0.05


def one_place(one, other):
    """SSIM at a single window position, from the definition."""
    taps = np.exp(-(np.arange(-5, 6) ** 2) / 4.5)
    window = np.outer(taps, taps) / taps.sum() ** 2
    x, y = one[0, ..., 0].astype(float), other[0, ..., 0].astype(float)
    mean_x, mean_y = (window * x).sum(), (window * y).sum()
    variance_x, variance_y = (window * (x - mean_x) ** 2).sum(), (window * (y - mean_y) ** 2).sum()
    covariance = (window * (x - mean_x) * (y - mean_y)).sum()
    luminance = (2 * mean_x * mean_y + 2.55**2) / (mean_x**2 + mean_y**2 + 2.55**2)
    structure = (2 * covariance + 7.65**2) / (variance_x + variance_y + 7.65**2)
    return luminance * structure


def test_one_scale_is_ssim():
    one, other = ONE[:1, :11, :11, :1], OTHER[:1, :11, :11, :1]
    assert ms_ssim(one, other, scales=1) == pytest.approx([one_place(one, other)], abs=1e-6)


@pytest.mark.parametrize("base", [0, 253, np.where(np.arange(181) < 90, 0, 253)[:, None, None]])
def test_float32_is_accurate(base):
    """Nearly constant dark and bright images, whose squares are large and differences small."""
    one, other = ((base + x % 3).astype("uint8")[:1, :, :13, :1] for x in (ONE, OTHER))
    windows = [np.s_[:, i : i + 11, j : j + 11] for i in range(171) for j in range(3)]
    places = [one_place(one[window], other[window]) for window in windows]
    assert ms_ssim(one, other, scales=1) == pytest.approx([np.mean(places)], abs=1e-5)


def test_mean_over_pairs():
    images = np.concatenate([ONE, OTHER])[:, :44, :44]
    every = [ms_ssim(images[[i]], images[[j]], scales=3)[0] for i in range(6) for j in range(i)]
    mean = mean_ms_ssim(images, pairs=100, seed=3, scales=3)
    assert min(every) < mean < max(every) and mean == pytest.approx(np.mean(every), abs=0.1)
    assert (
        mean
        == mean_ms_ssim(images, pairs=100, seed=3, scales=3)
        != mean_ms_ssim(images, seed=4, scales=3)
    )
    two = mean_ms_ssim(images[[0, 3]], pairs=9, scales=3)  # An image is never paired with itself.
    assert two == pytest.approx(ms_ssim(images[:1], images[3:4], scales=3)[0], rel=1e-9)


@pytest.mark.parametrize(
    ("one", "other", "scales", "message"),
    [
        (ONE, OTHER[:2], 5, r"equal shape; received uint8 \[3, 181, 178, 3\] and uint8 \[2, 181"),
        (ONE / 255, OTHER / 255, 5, "two uint8 arrays .*; received float64"),
        (ONE[0], OTHER[0], 5, r"\[N, H, W, C\] of equal shape; received uint8 \[181"),
        (ONE[:0], OTHER[:0], 5, r"received uint8 \[0, "),
        (
            ONE[:, :, :175],
            OTHER[:, :, :175],
            5,
            "sides of at least 176 pixels for 5 scales; received 181 x 175",
        ),
        (ONE, OTHER, 6, "scales must be between 1 and 5; received 6"),
    ],
)
def test_bad_input(one, other, scales, message):
    with pytest.raises(ValueError, match=message):
        ms_ssim(one, other, scales)
    with pytest.raises(ValueError, match="at least 2 images.*; received 1 images and 100 pairs"):
        mean_ms_ssim(ONE[:1])
