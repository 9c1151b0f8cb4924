import base64
import io

import numpy as np
import pytest
from PIL import Image

from kerasgan.images import (
    captioned_sheet,
    check_images,
    from_uint8,
    grid,
    png_data_uri,
    save_gif,
    save_png,
    to_uint8,
)

LEVELS = np.arange(256, dtype="uint8").reshape(1, 16, 16, 1)


def test_all_256_levels_survive_a_round_trip():
    assert from_uint8(LEVELS).dtype == np.float32
    assert (from_uint8(LEVELS).min(), from_uint8(LEVELS).max()) == (-1, 1)
    np.testing.assert_array_equal(to_uint8(from_uint8(LEVELS)), LEVELS)


def test_to_uint8_rounds_to_the_nearest_level():
    values = np.array([-1, -1 + 0.9 / 255, -1 + 1.1 / 255, 0.9999, 1], "float32").reshape(
        1, 1, 5, 1
    )
    assert to_uint8(values).ravel().tolist() == [0, 0, 1, 255, 255]


@pytest.mark.parametrize(
    "images, message",
    [
        (
            np.zeros((2, 4, 4), "float32"),
            r"float array \[N, H, W, C\]; received float32 \[2, 4, 4\]",
        ),
        (np.zeros((0, 4, 4, 1), "float32"), r"received float32 \[0, 4, 4, 1\]"),
        (np.zeros((2, 4, 4, 1), "uint8"), "received uint8"),
        (np.full((2, 4, 4, 1), 255.0), "received values from 255 to 255"),
        (np.full((2, 4, 4, 1), np.nan), "finite"),
        (np.full((2, 4, 4, 1), -np.inf), "finite"),
        (np.zeros((2, 4, 4, 3)), r"images must be \[N, 4, 4, 1\]; received \[2, 4, 4, 3\]"),
    ],
)
def test_check_images_names_the_broken_rule(images, message):
    with pytest.raises(ValueError, match=message):
        check_images(images, shape=(4, 4, 1))


def test_check_images_gives_float32():
    assert check_images(np.zeros((1, 2, 2, 3)), shape=(2, 2, 3)).dtype == np.float32


def test_grid_is_filled_row_by_row_and_padded_with_white():
    tiles = np.arange(5, dtype="uint8").reshape(5, 1, 1, 1) * np.ones((1, 2, 3, 1), "uint8")
    sheet = grid(tiles, columns=3)
    assert sheet.shape == (4, 9, 1)
    assert sheet[::2, ::3, 0].tolist() == [[0, 1, 2], [3, 4, 255]]
    np.testing.assert_array_equal(grid(from_uint8(tiles), 3), sheet)
    with pytest.raises(ValueError, match="columns must be at least 1; received 0"):
        grid(tiles, 0)


@pytest.mark.parametrize("channels", [1, 3])
def test_png_is_lossless(tmp_path, channels):
    image = np.random.default_rng(0).integers(0, 256, (5, 7, channels), "uint8")
    save_png(tmp_path / "image.png", image)
    uri = png_data_uri(image)
    assert uri.startswith("data:image/png;base64,")
    for source in (tmp_path / "image.png", io.BytesIO(base64.b64decode(uri.split(",")[1]))):
        with Image.open(source) as picture:
            np.testing.assert_array_equal(np.asarray(picture).reshape(image.shape), image)


def test_gif_has_every_frame_and_its_duration(tmp_path):
    frames = [np.full((4, 4, 1), level, "uint8") for level in (0, 100, 200)]
    save_gif(tmp_path / "history.gif", frames, ms=120)
    with Image.open(tmp_path / "history.gif") as gif:
        assert (gif.n_frames, gif.info["duration"], gif.info["loop"]) == (3, 120, 0)
        for index, frame in enumerate(frames):
            gif.seek(index)
            assert (np.asarray(gif.convert("L")) == frame[..., 0]).all()


def test_captioned_sheet_shows_each_caption_next_to_its_images():
    shades = np.array([10, 20, 30], "uint8")
    pictures = {
        size: np.broadcast_to(shades[:, None, None, None], (3, size, size, 3)) for size in (8, 24)
    }
    sheet = captioned_sheet(["one", "two", "three"], pictures, columns=2, text_width=50)
    width = 50 + 8 + 24 + 2 * 6
    assert sheet.shape == (2 * 30, 2 * width, 3) and sheet.dtype == np.uint8
    for index, shade in enumerate((10, 20, 30)):
        row, column = divmod(index, 2)
        cell = sheet[30 * row : 30 * (row + 1), width * column : width * (column + 1)]
        assert (cell[:, 50:] == shade).all(axis=-1).sum() == 8 * 8 + 24 * 24
        assert (cell[:, :50] < 128).any()  # The caption.
    assert (sheet[30:, width:] == 255).all()
    long = captioned_sheet(["a caption of four lines"] * 3, pictures, text_width=50)
    assert (
        long.shape[0] > 3 * 60 and (long[:2] == 255).all()
    )  # Lines of one caption do not reach the next caption.


def test_invalid_images_for_files_raise(tmp_path):
    with pytest.raises(ValueError, match=r"in \[-1, 1\]; received values from 2 to 2"):
        save_png(tmp_path / "image.png", np.full((2, 2, 1), 2, "float32"))
    with pytest.raises(ValueError, match=r"one image \[H, W, 1 or 3\].*received int64 \[2, 2, 1\]"):
        save_png(tmp_path / "image.png", np.zeros((2, 2, 1), "int64"))
    with pytest.raises(ValueError, match=r"one image \[H, W, 1 or 3\].*received uint8 \[2, 2, 4\]"):
        png_data_uri(np.zeros((2, 2, 4), "uint8"))
    with pytest.raises(ValueError, match="received none"):
        save_gif(tmp_path / "history.gif", [])
    with pytest.raises(ValueError, match="images must be uint8; received float64"):
        from_uint8(np.zeros((1, 2, 2, 1)))


def test_a_float_image_is_written_as_its_8_bits(tmp_path):
    image = np.linspace(-1, 1, 12, dtype="float32").reshape(2, 2, 3)
    for name, each in (("a.png", image), ("b.png", to_uint8(image[None])[0])):
        save_png(tmp_path / name, each)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
