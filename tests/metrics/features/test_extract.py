import json
import tracemalloc

import keras
import numpy as np
import pytest
from PIL import Image

from kerasgan.images import from_uint8
from kerasgan.metrics.features.extract import (
    UNKNOWN,
    ClassifierFeatures,
    extract,
    features_and_logits,
    filled,
    warn_if_compressed,
    warn_if_swapped,
)
from kerasgan.models.classifier import build_classifier


def test_features_are_the_inputs_of_the_last_layer_in_inference_mode():
    classifier = build_classifier(size=8, width=4, features=6)
    images = np.random.default_rng(0).uniform(-1, 1, (7, 8, 8, 1)).astype("float32")
    features, logits = features_and_logits(classifier, images, batch_size=3)
    assert (type(features), features.shape, logits.shape) == (np.ndarray, (7, 6), (7, 10))
    kernel, bias = classifier.layers[-1].get_weights()
    np.testing.assert_allclose(features @ kernel + bias, logits, atol=1e-5)
    np.testing.assert_allclose(
        features_and_logits(classifier, images)[0], features, atol=1e-5
    )  # Dropout is inactive.


# === Any extractor, streamed ===

IMAGES = np.random.default_rng(1).integers(0, 256, (11, 6, 5, 3), "uint8")
MATRIX = np.random.default_rng(2).normal(size=(3, 4))


class MeanColours:
    """Extractor of projected mean colors that counts its images."""

    def __init__(self, name="mean colours"):
        self.protocol, self.count, self.batches = {"network": name, "weights_sha256": "0"}, 0, []

    def __call__(self, images):
        self.count += len(images)
        self.batches.append(len(images))
        colours = images.mean(axis=(1, 2))
        return (colours @ MATRIX).astype("float32"), colours.astype("float32")


def colours(images):
    return images.mean(axis=(1, 2))


def test_extract_streams_any_source_in_order():
    extractor = MeanColours()
    for source in (
        IMAGES,
        lambda: (IMAGES[i : i + 3] for i in range(0, 11, 3)),
    ):  # Known and unknown length.
        made = extract(source, extractor, batch_size=4, progress=False)
        assert (
            isinstance(made.features, np.memmap)
            and made.features.dtype == np.float32
            and len(made) == 11
        )
        np.testing.assert_allclose(made.features, colours(IMAGES) @ MATRIX, rtol=1e-5)
        np.testing.assert_allclose(made.logits, colours(IMAGES), rtol=1e-6)
    assert extractor.batches == 2 * [4, 4, 3]
    assert made.protocol == extractor.protocol
    assert made.images["count"] == 11 and made.images["sizes"] == {"6 x 5": 11}
    pixels = IMAGES.reshape(-1, 3)
    np.testing.assert_allclose(made.images["channel_means"], pixels.mean(0), atol=1e-3)
    np.testing.assert_allclose(made.images["channel_deviations"], pixels.std(0), atol=1e-3)
    assert len(extract(IMAGES, extractor, count=5, progress=False)) == 5


def test_extract_takes_a_plain_function_of_features():
    made = extract(IMAGES, lambda images: colours(images), progress=False)
    assert made.logits is None and made.protocol == UNKNOWN and made.features.shape == (11, 3)


def test_progress_is_shown(capsys):
    extract(IMAGES, MeanColours(), batch_size=4)
    assert "11/11" in capsys.readouterr().out


def test_the_cache_depends_on_images_and_extractor(tmp_path):
    extractor, cache = MeanColours(), tmp_path / "cache"
    first = extract(IMAGES, extractor, cache=cache, progress=False)
    again = extract(IMAGES.copy(), extractor, batch_size=3, cache=cache, progress=False)
    assert extractor.count == 11
    for one, other in ((first.features, again.features), (first.logits, again.logits)):
        np.testing.assert_array_equal(one, other)
    assert (again.protocol, again.images) == (first.protocol, first.images)
    extract(IMAGES, extractor, count=10, cache=cache, progress=False)
    extract(IMAGES[::-1], extractor, cache=cache, progress=False)
    assert extractor.count == 11 + 10 + 11
    other = MeanColours("another")
    extract(IMAGES, other, cache=cache, progress=False)
    assert other.count == 11 and len(list(cache.iterdir())) == 4
    entry = next(path for path in cache.iterdir() if len(np.load(path / "features.npy")) == 10)
    assert sorted(path.name for path in entry.iterdir()) == [
        "about.json",
        "features.npy",
        "logits.npy",
    ]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ValueError])
def test_an_interrupted_extraction_leaves_no_files(tmp_path, stop):
    extractor = MeanColours()

    def breaks(images):
        if extractor.count >= 8:
            raise stop
        return extractor(images)

    breaks.protocol = extractor.protocol
    with pytest.raises(stop):
        extract(IMAGES, breaks, batch_size=4, cache=tmp_path, progress=False)
    assert extractor.count == 8 and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["about.json", "features.npy", "logits.npy"])
def test_a_damaged_cache_is_one_line_with_the_files_name(tmp_path, name):
    extract(IMAGES, MeanColours(), cache=tmp_path, progress=False)
    (entry,) = tmp_path.iterdir()
    content = (entry / name).read_bytes()
    garbled = bytearray(content)
    garbled[len(content) // 3] ^= 0x55
    for made in (
        b"",
        content[:-2],
        content[: len(content) // 2],
        bytes(len(content)),
        b"text",
        bytes(garbled) if name != "about.json" else b"[1]",
        b'{"protocol": {}, "images": 3}',
        None,
    ):
        (entry / name).unlink(missing_ok=True)
        if made is not None:
            (entry / name).write_bytes(made)
        with pytest.raises((ValueError, OSError)) as raised:
            extract(IMAGES, MeanColours(), cache=tmp_path, progress=False)
        assert name in str(raised.value) and "\n" not in str(raised.value), made
    (entry / name).write_bytes(content)
    assert extract(IMAGES, MeanColours(), cache=tmp_path, progress=False).logits is not None


def test_a_cache_of_earlier_versions_has_no_checksums(tmp_path):
    first = extract(IMAGES, MeanColours(), cache=tmp_path, progress=False)
    (entry,) = tmp_path.iterdir()
    about = json.loads((entry / "about.json").read_text())
    del about["sha256"]
    (entry / "about.json").write_text(json.dumps(about))
    extractor = MeanColours()
    again = extract(IMAGES, extractor, cache=tmp_path, progress=False)
    assert not extractor.count and np.array_equal(first.features, again.features)


@pytest.mark.parametrize("count", [9, 10, 99, 100, 1000])
def test_files_are_readable_by_numpy(tmp_path, count):
    images = np.zeros((count, 1, 1, 3), "uint8")
    images[:, 0, 0, 0] = np.arange(count) % 251
    extract(images, MeanColours(), cache=tmp_path, progress=False)
    logits = np.load(next(tmp_path.iterdir()) / "logits.npy")
    assert logits.shape == (count, 3)
    np.testing.assert_array_equal(logits[:, 0], np.arange(count) % 251)


def test_features_that_are_not_finite_name_the_image():
    def extractor(images):
        return np.where(colours(images) == colours(IMAGES[6:7]), np.nan, colours(images))

    with pytest.raises(ValueError, match="The features of image 6 of the ndarray are not finite"):
        extract(IMAGES, extractor, batch_size=4, progress=False)


@pytest.mark.parametrize(
    ("images", "arguments", "message"),
    [
        (IMAGES[:1], {}, "A score needs at least 2 images; received 1 from the ndarray"),
        (lambda: [IMAGES[:1]], {}, "at least 2 images; received 1 from the function's batches"),
        (
            lambda: [IMAGES],
            {"cache": "nowhere"},
            "A cache needs .*; received the function's batches: no fingerprint",
        ),
        (IMAGES, {"count": 12}, "count must be at least 1 and at most the 11"),
        (
            IMAGES,
            {"extractor": lambda images: images},
            r"The extractor must return features \[B, ...\] for 11 images",
        ),
        (
            IMAGES,
            {"extractor": np.sum, "cache": "nowhere"},
            "received an extractor without protocol",
        ),
    ],
)
def test_bad_input(images, arguments, message):
    with pytest.raises(ValueError, match=message):
        extract(images, **{"extractor": MeanColours(), "progress": False} | arguments)


def test_only_swapped_channels_cause_a_warning(recwarn):
    random = np.random.default_rng(0)
    sky = random.normal((110, 120, 150), 30, (40, 8, 8, 3)).clip(0, 255).astype("uint8")  # Blue.
    others = random.normal((113, 122, 144), 35, (40, 8, 8, 3)).clip(0, 255).astype("uint8")
    images = {"sky": sky, "others": others, "bgr": others[..., ::-1], "grey": sky[..., [0, 0, 0]]}
    about = {name: extract(x, MeanColours(), progress=False).images for name, x in images.items()}
    for name in ("sky", "others", "grey"):
        assert not warn_if_swapped(about[name], about["sky"])
    assert not warn_if_swapped(about["sky"], {}) and not recwarn
    with pytest.warns(UserWarning, match="the samples look like BGR: .* scores expect RGB"):
        assert warn_if_swapped(about["bgr"], about["sky"])


def test_a_classifier_as_an_extractor():
    grey = build_classifier(size=8, width=4, features=6)
    images = np.repeat(np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), "uint8"), 3, axis=3)
    extractor = ClassifierFeatures(grey, {"network": "a classifier"})
    made = extract(images, extractor, batch_size=2, progress=False)
    features, logits = features_and_logits(grey, from_uint8(images[..., :1]))
    np.testing.assert_allclose(made.features, features, atol=1e-5)
    np.testing.assert_allclose(made.logits, logits, atol=1e-5)
    assert made.protocol["network"] == "a classifier" and made.protocol["resize"] == "none"
    with pytest.raises(ValueError, match="needs gray images"):
        extractor(np.arange(192, dtype="uint8").reshape(1, 8, 8, 3))
    with pytest.raises(ValueError, match="The classifier needs images of 8 x 8; received 9 x 9"):
        extractor(np.zeros((1, 9, 9, 3), "uint8"))
    scaled = ClassifierFeatures(grey, resize=True, logits=False)
    large = np.repeat(np.repeat(images, 2, axis=1), 2, axis=2)
    assert (
        scaled(large).shape == (5, 6)
        and scaled.protocol["resize"] == "Pillow bilinear, antialiased, to 8 x 8"
    )
    ends = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]
    )
    layer = keras.Sequential([*ends.layers[:-1], keras.layers.Dense(2), keras.layers.Softmax()])
    layer.build((None, 8, 8, 3))
    for network in (ends, layer):
        with pytest.raises(
            ValueError, match="A classifier must return logits; .* ends in a softmax"
        ):
            ClassifierFeatures(network)


def test_batches_are_padded_to_few_sizes():
    sizes = {count: len(filled(np.arange(count), 24)) for count in (1, 2, 3, 9, 17, 24)}
    assert sizes == {1: 1, 2: 2, 3: 4, 9: 16, 17: 24, 24: 24}
    assert filled(np.arange(3), 24).tolist() == [0, 1, 2, 2]


def test_memory_does_not_grow_with_the_number_of_images():
    def peak(count):
        def batches():
            for _ in range(count // 50):
                yield np.zeros((50, 8, 8, 3), "uint8")

        tracemalloc.start()
        made = extract(
            batches, lambda images: np.ones((len(images), 1000), "float32"), progress=False
        )
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(made) == count
        return most

    few = peak(500)
    assert peak(5000) < few + 1e6  # 5,000 rows of 1,000 values are 20 MB.


# === JPEG files ===


def test_qualities_of_jpeg_files_are_recorded_and_cached(tmp_path):
    for index, quality in enumerate((60, 95, 60, None)):
        image = Image.fromarray(np.random.default_rng(index).integers(0, 256, (8, 8, 3), "uint8"))
        options = {} if quality is None else {"quality": quality}
        image.save(tmp_path / f"{index}.{'png' if quality is None else 'jpg'}", **options)
    for cache in (None, tmp_path / "cache", tmp_path / "cache"):
        made = extract(str(tmp_path), MeanColours(), cache=cache, progress=False)
        assert made.images["jpeg_qualities"] == {"60": 2, "95": 1} and made.images["count"] == 4
    assert "jpeg_qualities" not in extract(IMAGES, MeanColours(), progress=False).images


def test_jpeg_files_of_low_quality_cause_a_warning(recwarn):
    def images(**qualities):
        return {"count": 10, "jpeg_qualities": {key[1:]: n for key, n in qualities.items()}}

    for good in ({}, {"count": 10}, images(q90=10), images(q95=3, q100=1)):
        assert not warn_if_compressed(good, {}) and not warn_if_compressed({}, good)
    assert not recwarn.list
    assert warn_if_compressed(images(q75=2, q89=1, q95=7), images(q90=10))
    text = str(recwarn.pop(UserWarning).message)
    assert "3 of 10 samples are JPEG files of quality 75 to 89" in text and not recwarn.list
    assert warn_if_compressed({}, images(q10=10))
    assert "10 of 10 reference images" in str(recwarn.pop(UserWarning).message)
