"""Effects of style coordinate edits on the images of a generator and on a classifier's logits.

The style vectors of all layers form the S space (StyleSpace). `StyleProbe` computes edits of single
style coordinates in compiled batches. `effects` edits every coordinate of every image, to both ends
of its range. An edit does not change the layers before its coordinate, so they are computed once
per image. See `kerasgan.models.attfind`.
"""

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasgan.images import check_images
from kerasgan.types import Tensor

# Mean effects up to this value count as zero: the same image computed in two ways differs as much.
ROUNDING = 1e-5


class Synthesis(keras.Model):
    """Maps style vectors to images `[N, H, W, C]` in [-1, 1] and their logits `[N, K]`."""

    def __init__(self, generator: keras.Model, head: keras.Model):
        super().__init__(name="synthesis")
        self.generator, self.head = generator, head
        self.built = True

    def call(self, inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        images = self.generator.synthesize(inputs["styles"], inputs["rgb_styles"], inputs["noise"])
        images = ops.clip(images, -1.0, 1.0)
        return images, self.head(images, training=False)


class LayerStates(keras.Model):
    """Maps style vectors of N images to the list of generator states before each style layer."""

    def __init__(self, generator: keras.Model):
        super().__init__(name="layer_states")
        self.generator = generator
        self.built = True

    def call(self, inputs: dict[str, Any]) -> list[Tensor]:
        styles = inputs["styles"]
        states = [self.generator.initial_state(ops.shape(styles[0])[0])]
        for index in range(len(styles) - 1):
            states.append(
                self.generator.synthesis_step(
                    states[-1], index, styles, inputs["rgb_styles"], inputs["noise"]
                )
            )
        return states


class PartialSynthesis(keras.Model):
    """Logits of images with one edited style coordinate, without recomputing unedited layers.

    All edits belong to style layer `first`, so synthesis starts there from the generator's state
    before this layer. Inputs: a dictionary of states and style vectors of N images, and of T edits:
    `image` and `coordinate` (indices) and `shift`, each `[T]`. Output: logits `[T, K]`.
    """

    def __init__(self, generator: keras.Model, head: keras.Model, first: int):
        super().__init__(name=f"partial_synthesis_{first}")
        self.generator, self.head, self.first = generator, head, first
        self.built = True

    def call(self, inputs: dict[str, Any]) -> Tensor:
        first, image = self.first, inputs["image"]

        def per_edit(arrays):
            return [ops.take(x, image, axis=0) for x in arrays]

        styles = [None] * first + per_edit(inputs["styles"])
        one_hot = ops.one_hot(inputs["coordinate"], self.generator.style_sizes[first])
        styles[first] = styles[first] + one_hot * inputs["shift"][:, None]  # [T, C]
        rgb_styles = [None] * (first // 2) + per_edit(inputs["rgb_styles"])
        images = self.generator.synthesize(
            styles, rgb_styles, inputs["noise"], per_edit(inputs["state"]), first
        )
        return self.head(ops.clip(images, -1.0, 1.0), training=False)


class DiscriminatorHead(keras.Model):
    """Discriminator logits `[N, 1]` of images.

    A conditional discriminator receives the classifier's probabilities of the same images.
    """

    def __init__(self, discriminator: keras.Model, classifier: keras.Model):
        super().__init__(name="discriminator_head")
        self.discriminator, self.classifier = discriminator, classifier
        self.built = True

    def call(self, images: Tensor, training: bool = False) -> Tensor:
        if len(self.discriminator.inputs) == 1:
            return self.discriminator(images, training=training)
        conditions = ops.softmax(self.classifier(images, training=training))
        return self.discriminator([images, conditions], training=training)


@dataclasses.dataclass(frozen=True)
class EncodedImages:
    """Style vectors of images and their reconstructions.

    Attributes:
        styles: Concatenated style vectors (S space), float32 `[N, J]`.
        rgb_styles: List of style vectors of the RGB layers, float32 `[N, C]` per block.
        logits: Classifier logits of the reconstructions, float32 `[N, K]`.
        images: Reconstructions in [-1, 1], float32 `[N, H, W, C]`.
    """

    styles: np.ndarray
    rgb_styles: list[np.ndarray]
    logits: np.ndarray
    images: np.ndarray


class StyleProbe:
    """Generator and classifier of a model, compiled for edits of style coordinates.

    Every function of this module and of `attfind` that takes a model also takes a `StyleProbe`.
    Passing the same probe again saves compilation.

    Args:
        model: Trained `StylEx`, or an object with its attributes `generator`, `ema_generator`,
            `classifier`, `noise` and `styles(images)` and, for discriminator logits,
            `discriminator`.
        batch_size: Number of images or edits per forward pass. It changes results by rounding only.
        progress: If `True`, shows a progress bar for more than 1,000 edits.

    Attributes:
        layers: List of names of the style layers.
        sizes: List with the number of style coordinates of each layer.
        classes: Number of classes of the classifier.

    Raises:
        ValueError: If the classifier does not return logits `[N, K]`.
    """

    def __init__(self, model: Any, batch_size: int = 64, progress: bool = True):
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1; received {batch_size}")
        self.model, self.batch_size, self.progress = model, batch_size, progress
        self.generator = model.sampling_generator
        self.noise = np.asarray(ops.convert_to_numpy(model.noise), "float32")
        self.layers, self.sizes = list(self.generator.style_names), list(self.generator.style_sizes)
        self.ends = np.cumsum(self.sizes)
        self.classes = model.classifier.output_shape[-1]
        if len(model.classifier.output_shape) != 2 or self.classes < 2:
            shape = list(model.classifier.output_shape)
            raise ValueError(
                "classifier must return logits [N, classes] of at least two classes; "
                f"received {shape}"
            )
        self._synthesis = Synthesis(self.generator, model.classifier)
        self._layer_states = LayerStates(self.generator)
        self._heads: dict[str, keras.Model] = {"classifier": model.classifier}
        self._partial: dict[tuple[str, int], PartialSynthesis] = {}

    @classmethod
    def of(cls, model: Any, batch_size: int = 64, progress: bool = True) -> "StyleProbe":
        """Returns `model` if it is a `StyleProbe`, otherwise a probe of it."""
        return model if isinstance(model, cls) else cls(model, batch_size, progress)

    def encode(self, images: np.ndarray) -> EncodedImages:
        """Encodes float images `[N, H, W, C]` in [-1, 1] and reconstructs them."""
        generator = self.generator
        images = check_images(images, (generator.size, generator.size, generator.channels))
        styles, rgb_styles = self.model.styles(images)
        styles = np.concatenate([np.asarray(x, "float32") for x in styles], axis=1)
        rgb_styles = [np.asarray(x, "float32") for x in rgb_styles]
        reconstructions, logits = self.synthesize(styles, rgb_styles)
        return EncodedImages(styles, rgb_styles, logits, reconstructions)

    def synthesize(
        self, styles: np.ndarray, rgb_styles: list[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Generates images from style vectors.

        Args:
            styles: Concatenated style vectors `[N, J]`.
            rgb_styles: List of style vectors of the RGB layers.

        Returns:
            `(images, logits)`: images `[N, H, W, C]` in [-1, 1] and the classifier's logits
            `[N, K]`.
        """
        parts = []
        for rows in batches(np.arange(len(styles)), self.batch_size):
            padded = _pad(rows, min(self.batch_size, len(styles)))
            inputs = {
                "styles": self.split(styles[padded]),
                "rgb_styles": [x[padded] for x in rgb_styles],
                "noise": self.noise,
            }
            parts.append([x[: len(rows)] for x in self._synthesis.predict_on_batch(inputs)])
        images, logits = (
            np.concatenate(part).astype("float32", copy=False) for part in zip(*parts, strict=True)
        )
        return images, logits

    def split(self, styles: np.ndarray) -> list[np.ndarray]:
        """Splits concatenated style vectors `[N, J]` into a list of `[N, C]`, one per layer."""
        return np.split(styles, self.ends[:-1], axis=1)

    def edited_logits(
        self,
        encoded: EncodedImages,
        image: np.ndarray,
        coordinate: np.ndarray,
        shift: np.ndarray,
        styles: np.ndarray | None = None,
        head: str = "classifier",
    ) -> np.ndarray:
        """Logits after T separate edits, each of one coordinate of one image.

        Args:
            encoded: Encoded images.
            image: Index of the image of each edit, int `[T]` in 0..N - 1.
            coordinate: Style coordinate of each edit, int `[T]` in 0..J - 1.
            shift: Value added to the coordinate by each edit, float `[T]`.
            styles: Style vectors `[N, J]` before the edit. `None` means those of the images.
            head: `"classifier"` for classifier logits or `"discriminator"` for discriminator
                logits.

        Returns:
            Float32 `[T, K]`, with K = 1 for the discriminator.
        """
        styles = encoded.styles if styles is None else styles
        logits = np.zeros((len(image), self.classes if head == "classifier" else 1), "float32")
        layer = np.searchsorted(self.ends, coordinate, side="right")
        bar = None
        if self.progress and len(image) > 1000:
            bar = keras.utils.Progbar(len(image), unit_name="edit")
        count = min(len(styles), self.batch_size)
        for start in range(0, len(styles), count):
            edits = np.flatnonzero((image >= start) & (image < start + count))
            if not len(edits):
                continue
            rows = _pad(np.arange(start, min(start + count, len(styles))), count)
            inputs = {
                "styles": self.split(styles[rows]),
                "rgb_styles": [x[rows] for x in encoded.rgb_styles],
            }
            inputs = keras.tree.map_structure(ops.convert_to_tensor, inputs | {"noise": self.noise})
            states = self._layer_states.predict_on_batch(inputs)
            for first in np.unique(layer[edits]):
                shared = {
                    "state": [ops.convert_to_tensor(x) for x in states[first]],
                    "noise": inputs["noise"],
                    "styles": inputs["styles"][first:],
                    "rgb_styles": inputs["rgb_styles"][first // 2 :],
                }
                network = self._partial_synthesis(head, first)
                layer_start = self.ends[first] - self.sizes[first]
                for batch in batches(edits[layer[edits] == first], self.batch_size):
                    padded = _pad(batch, self.batch_size)
                    own = {
                        "image": (image[padded] - start).astype("int32"),
                        "coordinate": (coordinate[padded] - layer_start).astype("int32"),
                        "shift": shift[padded].astype("float32"),
                    }
                    logits[batch] = network.predict_on_batch(shared | own)[: len(batch)]
                    if bar:
                        bar.add(len(batch))
        return logits

    def discriminator_logits(self, images: np.ndarray) -> np.ndarray:
        """Discriminator logits `[N]` of images `[N, H, W, C]`."""
        parts = [
            self._head("discriminator").predict_on_batch(part)
            for part in batches(images, self.batch_size)
        ]
        return np.concatenate(parts)[:, 0]

    def _head(self, name):
        if name not in self._heads:
            discriminator = getattr(self.model, "discriminator", None)
            if discriminator is None or "discriminator" in getattr(self.model, "not_loaded", ()):
                raise ValueError(
                    "discriminator logits need a model with a trained discriminator; received one "
                    "without. Load it from a checkpoint of a run with "
                    "checkpoints.load_sampling_model(path, model.checkpoint_networks())"
                )
            self._heads[name] = DiscriminatorHead(discriminator, self.model.classifier)
        return self._heads[name]

    def _partial_synthesis(self, head, first):
        key = (head, first)
        if key not in self._partial:
            self._partial[key] = PartialSynthesis(self.generator, self._head(head), first)
        return self._partial[key]


def batches(items: Any, size: int) -> list:
    """Splits a sequence into parts of `size`; the last part may be shorter."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def _pad(rows, size):
    """Repeats the last row up to `size` rows, so that only one shape is compiled."""
    return rows[np.minimum(np.arange(size), len(rows) - 1)]


@dataclasses.dataclass(frozen=True)
class Effects:
    """Effects of style coordinate edits on classifier logits.

    Attributes:
        values: Change of logit k of an image when coordinate j is moved to its minimum (index 0) or
            its maximum (index 1), float32 `[N, 2, J, K]`. 0 if it already has this value.
        logits: Logits before the edits, float32 `[N, K]`.
        bounds: Minimum and maximum of each coordinate, float32 `[2, J]`.
        probabilities: If `True`, `values` are changes of probabilities instead of logits.
    """

    values: np.ndarray
    logits: np.ndarray
    bounds: np.ndarray
    probabilities: bool = False

    def one_vs_rest(self, target: int) -> "Effects":
        """Reduces the classes to two: `target` (index 0) and all other classes (index 1)."""
        if self.probabilities:
            values = self.values[..., target]
            values = np.stack([values, -values], axis=-1)
        elif self.logits.shape[1] == 2:
            values = self.values[..., [target, 1 - target]]
        else:
            after = one_vs_rest(self.logits[:, None, None] + self.values, target)
            values = after - one_vs_rest(self.logits, target)[:, None, None]
        return dataclasses.replace(self, values=values, logits=one_vs_rest(self.logits, target))


def effects(
    model: Any,
    images: np.ndarray,
    *,
    shift_size: float = 1.0,
    bounds: np.ndarray | None = None,
    probabilities: bool = False,
    batch_size: int = 64,
    progress: bool = True,
) -> Effects:
    """Moves each style coordinate of each image to both ends of its range, one at a time.

    Args:
        model: Trained `StylEx` or a `StyleProbe`.
        images: Float images `[N, H, W, C]` in [-1, 1].
        shift_size: Fraction of the distance to the end of the range. 1 in the authors' notebook.
        bounds: Minimum and maximum of each coordinate, `[2, J]`. `None` computes them from
            `images`, which must then be at least two.
        probabilities: If `True`, computes changes of probabilities instead of logits.
        batch_size, progress: See `StyleProbe`.

    Returns:
        The effects on the classifier.

    Raises:
        ValueError: If the bounds have a wrong shape or cannot be computed.
    """
    probe = StyleProbe.of(model, batch_size, progress)
    return effects_of_encoded(probe, probe.encode(images), shift_size, bounds, probabilities)


def effects_of_encoded(
    probe: StyleProbe,
    encoded: EncodedImages,
    shift_size: float,
    bounds: np.ndarray | None = None,
    probabilities: bool = False,
) -> Effects:
    """Same as `effects`, for images that are already encoded."""
    styles = encoded.styles
    if bounds is None:
        if len(styles) < 2:
            raise ValueError(
                "the range of style coordinates needs at least 2 images or bounds=; "
                "received 1 image"
            )
        bounds = np.stack([styles.min(axis=0), styles.max(axis=0)])
    bounds = np.asarray(bounds, "float32")
    if bounds.shape != (2, styles.shape[1]):
        raise ValueError(f"bounds must be [2, {styles.shape[1]}]; received {list(bounds.shape)}")
    shift = np.float32(shift_size) * (bounds - styles[:, None])  # [N, 2, J]
    edits = np.nonzero(shift)
    values = np.zeros((*shift.shape, encoded.logits.shape[1]), "float32")
    after = probe.edited_logits(encoded, edits[0], edits[2], shift[edits])
    scale = softmax if probabilities else np.asarray
    values[edits] = scale(after) - scale(encoded.logits)[edits[0]]
    return Effects(values, encoded.logits, bounds, probabilities)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits `[..., K]`."""
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def one_vs_rest(logits: np.ndarray, target: int) -> np.ndarray:
    """Reduces logits `[..., K]` to two, of the target and of all other classes, `[..., 2]`.

    The logit of the other classes is the logarithm of the sum of their exponentials.
    """
    rest = np.delete(logits, target, axis=-1)
    largest = rest.max(axis=-1, keepdims=True)
    rest = largest + np.log(np.exp(rest - largest).sum(axis=-1, keepdims=True))
    return np.concatenate([logits[..., target : target + 1], rest], axis=-1)


def log_odds(logits: np.ndarray, target: int) -> np.ndarray:
    """Log odds `[...]` of the target for logits `[..., K]`."""
    pair = one_vs_rest(logits, target)
    return pair[..., 0] - pair[..., 1]
