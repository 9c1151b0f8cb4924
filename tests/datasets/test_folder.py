import numpy as np
import pytest
from PIL import Image

from kerasgan.datasets.folder import load_folder


@pytest.fixture
def folder(tmp_path):
    for name, colour in (("cats", (255, 0, 0)), ("dogs", (0, 0, 255))):
        (tmp_path / name).mkdir()
        for index, suffix in enumerate(("png", "JPG")):
            Image.new("RGB", (40, 20 + 20 * index), colour).save(
                tmp_path / name / f"{index}.{suffix}"
            )
    (tmp_path / "cats" / "notes.txt").write_text("no image")
    return tmp_path


def test_reads_class_folders(folder):
    images, labels, names = load_folder(folder, size=8, channels=3)
    assert (images.shape, images.dtype) == ((4, 8, 8, 3), "float32")
    assert (labels.tolist(), names) == ([0, 0, 1, 1], ["cats", "dogs"])
    np.testing.assert_array_equal(images[0], np.ones((8, 8, 3)) * [1, -1, -1])
    assert load_folder(folder, size=8)[0].shape == (4, 8, 8, 1)


def test_resize_is_antialiased_and_keeps_the_aspect(tmp_path):
    (tmp_path / "a").mkdir()
    stripes = np.tile(np.array([0, 255], "uint8"), (64, 64))  # [64, 128], one pixel a stripe
    stripes[:, :32] = stripes[:, 96:] = 0  # outside the central square
    Image.fromarray(stripes).save(tmp_path / "a" / "stripes.png")
    image = load_folder(tmp_path, size=8)[0][0, ..., 0]
    assert np.abs(image[:, 1:-1]).max() < 0.05  # grey; without antialiasing, black or white


def test_errors_name_the_place(folder):
    with pytest.raises(ValueError, match="channels must be 1 .* received 2"):
        load_folder(folder, channels=2)
    with pytest.raises(
        ValueError, match="must be a folder of class sub-folders; received .*nowhere"
    ):
        load_folder(folder / "nowhere")
    with pytest.raises(ValueError, match="cats has no sub-folder"):
        load_folder(folder / "cats")
    whole = (folder / "dogs" / "0.png").read_bytes()
    (folder / "dogs" / "0.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"readable image; .*dogs.0\.png: "):
        load_folder(folder)
    (folder / "birds").mkdir()
    with pytest.raises(ValueError, match="at least one PNG, JPEG, .* file; .*birds has none"):
        load_folder(folder)
