"""Panel of `zoo.play` that explains the classifier of a StylEx on one image."""

import base64
import binascii
import io
from typing import Any

from zoo import explain, latent_options, lazy
from zoo.playground.declarations import Panel

np = lazy.module("numpy")
PIL_Image = lazy.module("PIL.Image")
image_files = lazy.module("kerasgan.datasets.image_files")
image_values = lazy.module("kerasgan.images")
attfind = lazy.module("kerasgan.models.attfind")
style_probe = lazy.module("kerasgan.models.style_probe")

MOST_PIXELS = 2**24  # An upload takes about 8 bytes per pixel.
SOURCES = ("example", "upload", "drawing", "fitted")


class Explanation:
    """Explains the classifier of a StylEx on one image.

    Args:
        model: `StylEx`.
        about: Information of its checkpoint.
        attributes: Its attributes, from `zoo.explain`.
    """

    def __init__(self, model: Any, about: dict, attributes: Any):
        self.model, self.attributes = model, attributes
        self.probe = style_probe.StyleProbe(model, progress=False)
        self.shape = model.image_shape
        self.classes = class_names(model, about)
        self.digits = about.get("data") == "digits"
        # Only data of the package are offered as examples. The page may be public, others' are not.
        data, task = about.get("data"), about.get("classes")
        self.examples = np.zeros((0, *self.shape), "float32")
        if data in ("digits", "synthetic_birds"):
            count = {"num_images": 400} if data == "synthetic_birds" else {}
            held = explain.load(about | count, self.shape[0], self.shape[2], data, task)[1]
            self.examples = held[:16]
        if not len(self.examples):
            self.examples = model.sample(16, seed=0)

    def panel(self) -> Panel:
        """Returns the panel."""
        rows = self.attributes.rows()
        target, rest = self.classes[self.attributes.target], "the others"
        if len(self.classes) == 2:
            rest = self.classes[1 - self.attributes.target]
        extra = {
            "attributes": [f"{i}: {row['layer']} {row['index']}" for i, row in enumerate(rows, 1)],
            "ends": [rest, target],
            "examples": [image_values.png_data_uri(image) for image in self.examples],
            "draw": self.digits,
        }
        lead = (
            f"The classifier tells {' from '.join(self.classes)}. Choose, upload or draw an image; "
            "StylEx reconstructs it. Then move the attributes that the classifier uses."
        )
        return Panel("Explain the classifier", lead, "explain", self.answer, extra=extra)

    def answer(self, received: dict) -> dict:
        """Returns the reconstruction of an image, edited, with the classifier's probabilities.

        Args:
            received: Dictionary with `source` (one of `SOURCES`), `image` (a data URI) or `example`
                (an index), `strengths` (a number in [-1, 1] for each attribute) and `invert`. All
                are optional.
        """
        known = {"source", "image", "example", "strengths", "invert"}
        if set(received) - known:
            raise ValueError(f"values must be {', '.join(sorted(known))}; received another one")
        source = received.get("source", "example")
        if source not in SOURCES:
            raise ValueError(f"source must be one of {', '.join(SOURCES)}")
        strengths = self._strengths(received.get("strengths"))
        image = self._image(source, received)
        encoded = self.probe.encode(image[None])
        (edited,), (logits,) = attfind.edit(self.probe, encoded, self.attributes, strengths[None])
        answer = {
            "edited": image_values.png_data_uri(edited),
            "probabilities": self._probabilities(logits),
        }
        if source == "fitted":
            return answer
        count, target = len(self.attributes), self.attributes.target
        ends = np.concatenate([-np.eye(count), np.eye(count)])
        moved = attfind.edit(self.probe, encoded, self.attributes, ends)[1]
        odds = style_probe.log_odds(moved, target).reshape(2, count).T
        real = self.model.classifier.predict_on_batch(image[None])[0]
        return answer | {
            "fitted": image_values.png_data_uri(image),
            "original": self._probabilities(real),
            "reconstruction": image_values.png_data_uri(encoded.images[0]),
            "effects": np.round(odds.astype("float64"), 3).tolist(),
        }

    def _probabilities(self, logits):
        chances = style_probe.softmax(np.asarray(logits, "float32"))
        return [[name, float(chance)] for name, chance in zip(self.classes, chances, strict=True)]

    def _strengths(self, given):
        count = len(self.attributes)
        if given is None:
            return np.zeros(count, "float32")
        plain = isinstance(given, list) and all(type(x) in (int, float) for x in given)
        if not plain or len(given) != count or not all(-1 <= x <= 1 for x in given):
            raise ValueError(f"strengths must be {count} numbers in [-1, 1]")
        return np.array(given, "float32")

    def _image(self, source, received):
        """Returns the image that is explained, of the model's size, float in [-1, 1]."""
        if source == "example":
            index = received.get("example", 0)
            if type(index) is not int or not 0 <= index < len(self.examples):
                raise ValueError(f"example must be a number from 0 to {len(self.examples) - 1}")
            return self.examples[index]
        pixels = read_upload(received.get("image"), self.shape[2])
        if received.get("invert") is True:
            pixels = 255 - pixels
        if source == "fitted" and pixels.shape != self.shape:
            raise ValueError(f"a fitted image must be {self.shape[0]} x {self.shape[1]} pixels")
        if source == "drawing":
            pixels = centered(pixels)
        return latent_options.fit_image(pixels, *self.shape[:2])


def read_upload(uri: Any, channels: int) -> Any:
    """Reads an image that a user sent.

    Args:
        uri: Data URI with base64.
        channels: 1 or 3.

    Returns:
        uint8 `[H, W, C]`.

    Raises:
        ValueError: If it is not a complete image of a known format with at most `MOST_PIXELS`
            pixels.
    """
    head, comma, content = uri.partition(",") if isinstance(uri, str) else ("", "", "")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        raise ValueError("image must be a data URI with base64")
    try:
        data = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("image must be valid base64") from None

    def check_size(image):
        if image.width * image.height > MOST_PIXELS:
            raise ValueError(f"an upload may have {MOST_PIXELS:,} pixels; received more")

    image = image_files.read_image(io.BytesIO(data), channels, check_size, "the upload")
    return np.asarray(image).reshape(image.height, image.width, channels)


def centered(pixels: Any) -> Any:
    """Scales a digit to 20 pixels and moves its center of mass to the center, as in MNIST.

    Args:
        pixels: Light ink on black, uint8 `[H, W, C]`.

    Returns:
        uint8 `[28, 28, C]`.
    """
    ink = pixels.max(axis=2) > 32
    if not ink.any():
        raise ValueError("draw a digit first")
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    cut = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = 20 / max(cut.shape[:2])
    size = [max(1, round(side * scale)) for side in cut.shape[1::-1]]
    small = image_values.picture(cut).resize(size, PIL_Image.Resampling.BOX)
    small = np.asarray(small).reshape(size[1], size[0], -1)
    weight = small.sum(axis=2, dtype="float64")
    across, down = (
        round(14 - float((weight.sum(axis=axis) * (np.arange(side) + 0.5)).sum() / weight.sum()))
        for axis, side in ((0, size[0]), (1, size[1]))
    )
    left, top = (min(max(x, 0), 28 - side) for x, side in ((across, size[0]), (down, size[1])))
    canvas = np.zeros((28, 28, pixels.shape[2]), "uint8")
    canvas[top : top + size[1], left : left + size[0]] = small
    return canvas


def class_names(model: Any, about: dict) -> list[str]:
    """Returns the names of a model's classes, or their indices if the checkpoint has no names."""
    named = [name.strip() for name in str(about.get("classes") or "").split(",")]
    if "classifier" not in model.sampling_networks:
        return [str(index) for index in range(model.classes)]
    count = model.classifier.output_shape[-1]
    return named if len(named) == count else [str(index) for index in range(count)]
