"""Image sources yield equal batches, and errors are one line that names the place."""

import os
import types

import h5py
import keras
import numpy as np
import pytest
from PIL import Image

from kerasgan.datasets.captioned import CaptionedImages
from kerasgan.datasets.image_files import on_background
from kerasgan.datasets.image_source import SAMPLES_PER_SEED, image_source
from kerasgan.datasets.lazy_images import LazyImages

IMAGES = np.random.default_rng(0).integers(0, 256, (7, 6, 5, 3), "uint8")


def write_folder(folder, images=IMAGES):
    """Image i in a sub-folder or not, in the order of the paths."""
    for index, image in enumerate(images):
        path = folder / (f"a{index}.png" if index < 3 else f"sub/b{index}.PNG")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    (folder / "notes.txt").write_text("no image")
    (folder / "._a0.png").write_bytes(b"what macOS leaves")
    return folder


def read(source, batch_size=3):
    return list(source.batches(batch_size))


@pytest.fixture
def sources(tmp_path):
    np.savez(tmp_path / "plain.npz", labels=np.arange(7), images=IMAGES)
    np.savez_compressed(tmp_path / "small.npz", arr_0=IMAGES)
    np.savez(tmp_path / "fortran.npz", images=np.asfortranarray(IMAGES))
    np.save(tmp_path / "rows.npy", IMAGES)
    with h5py.File(tmp_path / "samples.h5", "w") as file:
        file["output_64"], file["output_128"], file["classIDs"] = (
            IMAGES[:, :2],
            IMAGES,
            np.arange(7),
        )
    captions = CaptionedImages(
        IMAGES, np.zeros(7, "int32"), [["a"]] * 7, [str(i) for i in range(7)]
    )
    return {
        "folder": image_source(write_folder(tmp_path / "folder")),
        "text path": image_source(str(tmp_path / "plain.npz")),
        "compressed": image_source(tmp_path / "small.npz"),
        "fortran": image_source(tmp_path / "fortran.npz"),
        "npy": image_source(tmp_path / "rows.npy"),
        "h5": image_source(tmp_path / "samples.h5"),
        "array": image_source(IMAGES),
        "memmap": image_source(np.load(tmp_path / "rows.npy", mmap_mode="r")),
        "captioned": image_source(captions),
        "sequence": image_source(LazyImages(range(7), lambda i: IMAGES[i])),
        "list of pairs": image_source([(IMAGES[:4], None), (IMAGES[4:], None)]),
        "function": image_source(lambda: (IMAGES[i : i + 2] for i in range(0, 7, 2))),
        "iterator": image_source(iter([IMAGES[:5], IMAGES[5:]])),
        "source": image_source(image_source(IMAGES)),
        "tensor": image_source(keras.ops.convert_to_tensor(IMAGES)),
    }


def test_every_source_gives_the_same_batches(sources):
    for name, source in sources.items():
        batches = read(source)
        assert [len(batch) for batch in batches] == [3, 3, 1], name
        np.testing.assert_array_equal(np.concatenate(batches), IMAGES, err_msg=name)
        assert batches[0].dtype == np.uint8
        assert source.count == (None if name in ("list of pairs", "function", "iterator") else 7), (
            name
        )


def test_only_some_and_again(sources):
    for source in (sources["folder"], sources["h5"], sources["function"]):
        few = image_source(source, count=4)
        for _ in range(2):
            np.testing.assert_array_equal(np.concatenate(read(few)), IMAGES[:4])
    assert len(next(iter(sources["array"]))) == 7  # iterated, batches of 32


def test_key_of_a_file(tmp_path, sources):
    batches = read(image_source(tmp_path / "samples.h5", key="output_64"))
    np.testing.assert_array_equal(np.concatenate(batches), IMAGES[:, :2])
    with pytest.raises(
        ValueError, match="must contain output_256; it contains classIDs, output_128, output_64"
    ):
        image_source(tmp_path / "samples.h5", key="output_256")
    np.savez(tmp_path / "statistics.npz", mu=np.zeros(3), sigma=np.eye(3))
    with pytest.raises(
        ValueError, match="must contain images, output_<size> or arr_0.*; it contains mu, sigma"
    ):
        image_source(tmp_path / "statistics.npz")


def test_fingerprints_are_of_the_content(tmp_path, sources):
    for name, source in sources.items():
        known = name not in ("function", "iterator")
        assert (source.fingerprint() is not None) == known, name
    prints = {
        "folder": sources["folder"].fingerprint(),
        "array": sources["array"].fingerprint(),
        "fewer": image_source(IMAGES, count=3).fingerprint(),
        "other": image_source(IMAGES + 1).fingerprint(),
        "key": image_source(tmp_path / "samples.h5", key="output_64").fingerprint(),
        "h5": sources["h5"].fingerprint(),
        "named": image_source(lambda: [IMAGES], fingerprint="seven").fingerprint(),
    }
    assert len(set(prints.values())) == len(prints)
    assert image_source(IMAGES.copy()).fingerprint() == prints["array"]
    assert image_source(write_folder(tmp_path / "moved")).fingerprint() == prints["folder"]
    write_folder(tmp_path / "moved", IMAGES[::-1])
    assert image_source(tmp_path / "moved").fingerprint() != prints["folder"]


class Draws:
    def sample(self, n, seed):
        return np.random.default_rng(seed).uniform(-1, 1, (n, 2, 2, 1)).astype("float32")


def test_a_model_draws_the_same_images_whatever_the_batch():
    def drawn(count, seed=0, batch_size=32):
        return np.concatenate(
            read(image_source(Draws(), count=count, seed=seed, convert=True), batch_size)
        )

    many = drawn(SAMPLES_PER_SEED + 5)
    assert many.shape == (SAMPLES_PER_SEED + 5, 2, 2, 3) and (many[..., 0] == many[..., 2]).all()
    np.testing.assert_array_equal(drawn(9, batch_size=2), many[:9])
    assert (many[:5] != many[SAMPLES_PER_SEED:]).any() and (drawn(5, seed=1) != many[:5]).any()
    with pytest.raises(ValueError, match="count must be the number of images"):
        image_source(Draws())
    with pytest.raises(
        ValueError, match="a model must have a method sample.*; received SimpleNamespace"
    ):
        image_source(types.SimpleNamespace(sample=lambda embeddings: None), count=2)


def test_grey_and_transparent_only_on_request(tmp_path):
    for mode, words in [
        ("L", "a.png is grayscale"),
        ("LA", "is grayscale"),
        ("RGBA", "mode RGBA"),
        ("P", "mode P"),
    ]:
        Image.new(mode, (4, 4), 0).save(tmp_path / "a.png")
        with pytest.raises(ValueError, match=f"images must be RGB unless convert=True; .*{words}"):
            read(image_source(tmp_path))
        assert read(image_source(tmp_path, convert=True))[0].shape == (1, 4, 4, 3)
    Image.fromarray(np.full((4, 4), 700, "uint16")).save(tmp_path / "a.png")
    assert (read(image_source(tmp_path, convert=True))[0] == 3).all()  # 700 of 65,535
    for channels, kind in [(1, "grayscale"), (4, "RGBA")]:
        pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 3, channels), "uint8")
        with pytest.raises(
            ValueError, match=f"images must be RGB unless convert=True; received {kind}"
        ):
            read(image_source(pixels))
        rgb = read(image_source(pixels, convert=True))[0]
        np.testing.assert_array_equal(
            rgb, on_background(pixels) if channels == 4 else np.repeat(pixels, 3, 3)
        )


def test_sizes_are_mixed_only_on_request(tmp_path):
    for index, side in enumerate([4, 4, 5, 5, 5, 4]):
        Image.new("RGB", (side, 3), (index, 0, 0)).save(tmp_path / f"{index}.png")
    with pytest.raises(
        ValueError, match=r"one size unless mixed_sizes=True; received 3 x 4 and 3 x 5 in .*2\.png"
    ):
        read(image_source(tmp_path))
    batches = read(image_source(tmp_path, mixed_sizes=True), batch_size=2)
    assert [batch.shape[:3] for batch in batches] == [(2, 3, 4), (2, 3, 5), (1, 3, 5), (1, 3, 4)]
    assert [int(image[0, 0, 0]) for batch in batches for image in batch] == [*range(6)]


def test_a_broken_file_is_named(tmp_path):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), "uint8"))
    for index in range(3):
        noise.save(tmp_path / f"{index}.jpg")
    whole = (tmp_path / "1.jpg").read_bytes()
    for data in (whole[: len(whole) // 2], b"no image"):
        (tmp_path / "1.jpg").write_bytes(data)
        with pytest.raises(
            ValueError, match=r"each file must be a readable image; .*1\.jpg: "
        ) as told:
            read(image_source(tmp_path))
        assert "\n" not in str(told.value)


def test_a_file_cut_in_half_is_named(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (200, 16, 16, 3), "uint8")
    np.savez(tmp_path / "a.npz", images=images)
    np.save(tmp_path / "a.npy", images)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = images
    for name in ("a.npz", "a.npy", "a.h5"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(ValueError, match=f"{name} cannot be read: ") as told:
            read(image_source(path))
        assert "\n" not in str(told.value)
    for name in ("c.npy", "c.npz", "c.h5"):
        (tmp_path / name).write_text("no array")
        with pytest.raises(ValueError, match=f"{name} cannot be read: "):
            image_source(tmp_path / name)
    np.savez(tmp_path / "b.npz", images=images)
    data = bytearray((tmp_path / "b.npz").read_bytes())
    data[5000] ^= 255  # the checksum of the archive tells
    (tmp_path / "b.npz").write_bytes(data)
    with pytest.raises(ValueError, match="b.npz cannot be read: "):
        read(image_source(tmp_path / "b.npz"))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            IMAGES / 127.5 - 1,
            r"must be uint8 .kerasgan.images.to_uint8 converts .*; received float64 in the ndarray",
        ),
        (IMAGES[0], r"must be \[N, H, W, 3\]; received \[6, 5, 3\]"),
        (IMAGES.transpose(0, 3, 1, 2), r"must be \[N, H, W, 3\]; received \[1, 3, 6, 5\]"),
        (IMAGES[:0], "at least one image is needed; received none in the ndarray"),
        ([], "at least one image is needed; received none in the list"),
        (lambda: [], "at least one image is needed; received none from the function's batches"),
        (
            lambda: [IMAGES[:2], IMAGES[:2] / 255.0],
            "received float64 in the function's batches, from image 2",
        ),
        ("nowhere", "an existing folder or .npz.* file; received nowhere"),
        (3, "images must be a folder, .*; received int"),
    ],
)
def test_bad_sources(images, message):
    with pytest.raises(ValueError, match=message):
        read(image_source(images))


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match=r"the folder must contain images \(PNG, .*has none"):
        image_source(tmp_path)
    with pytest.raises(
        ValueError, match="count must be at least 1 and at most the 7 of the ndarray; received 8"
    ):
        image_source(IMAGES, count=8)
    with pytest.raises(
        ValueError, match="the function's batches must yield 9 images; it yielded 7"
    ):
        read(image_source(lambda: [IMAGES], count=9))
    with pytest.raises(ValueError, match="batch_size must be at least 1; received 0"):
        read(image_source(IMAGES), batch_size=0)
    once = image_source(iter([IMAGES]))
    read(once)
    with pytest.raises(ValueError, match="an iterator can be read once"):
        read(once)
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file.attrs["format"] = "kerasgan"
    with pytest.raises(
        ValueError, match="weights.h5 must contain images; it contains the weights of a network"
    ):
        image_source(tmp_path / "weights.h5")


def test_rgba_arrays_are_composited_as_files_are(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 6, 4)).astype("uint8")
    for index, image in enumerate(pixels):
        Image.fromarray(image, "RGBA").save(tmp_path / f"{index}.png")
    files = np.concatenate(list(image_source(tmp_path, convert=True)))
    arrays = np.concatenate(list(image_source(pixels, convert=True)))
    assert np.abs(files.astype(int) - arrays).max() <= 1  # Pillow rounds a little differently.


def test_a_name_that_is_not_utf8_has_a_fingerprint(tmp_path):
    name = os.fsdecode(b"x\xe9\xff.png")
    try:
        Image.new("RGB", (4, 4)).save(tmp_path / name, "PNG")
    except (OSError, UnicodeError):
        pytest.skip("this file system takes UTF-8 names only")
    assert image_source(tmp_path).fingerprint()
