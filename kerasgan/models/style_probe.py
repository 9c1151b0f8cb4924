"""What moves of style coordinates do to a generator's pictures and to what a classifier says of them: `Probe` computes
moves in compiled batches, `effects` asks for every coordinate of every image, to both ends of its range.

What a move cannot change, all before the coordinate's layer, is computed once an image. See `attfind`.
"""

import dataclasses

import keras
import numpy as np
from keras import ops

from kerasgan.images import check_images


class Whole(keras.Model):
    """The whole drawing: style vectors and colours -> pictures [N, H, W, C] in [-1, 1], and logits [N, K] of them."""

    def __init__(self, generator, head):
        super().__init__(name="whole")
        self.generator, self.head = generator, head
        self.built = True

    def call(self, inputs):
        picture = ops.clip(
            self.generator.draw(inputs["styles"], inputs["colours"], inputs["noise"]), -1.0, 1.0
        )
        return picture, self.head(picture, training=False)


class Before(keras.Model):
    """The states before each style layer, of style vectors and colours of N images: a list of the generator's."""

    def __init__(self, generator):
        super().__init__(name="before")
        self.generator = generator
        self.built = True

    def call(self, inputs):
        styles = inputs["styles"]
        states = [self.generator.begin(ops.shape(styles[0])[0])]
        for index in range(len(styles) - 1):
            states.append(
                self.generator.step(states[-1], index, styles, inputs["colours"], inputs["noise"])
            )
        return states


class Rest(keras.Model):
    """The drawing from style layer `first` on, of moves: image, coordinate of that layer and shift, each [T] ->
    logits [T, K]. States, style vectors and colours are the images', [N, ...]."""

    def __init__(self, generator, head, first):
        super().__init__(name=f"rest_{first}")
        self.generator, self.head, self.first = generator, head, first
        self.built = True

    def call(self, inputs):
        first, image = self.first, inputs["image"]

        def of_moves(arrays):
            return [ops.take(x, image, axis=0) for x in arrays]

        styles = [None] * first + of_moves(inputs["styles"])
        place = ops.one_hot(inputs["coordinate"], self.generator.style_sizes[first])
        styles[first] = styles[first] + place * inputs["shift"][:, None]  # [T, C]
        colours = [None] * (first // 2) + of_moves(inputs["colours"])
        picture = self.generator.draw(
            styles, colours, inputs["noise"], of_moves(inputs["state"]), first
        )
        return self.head(ops.clip(picture, -1.0, 1.0), training=False)


class Realness(keras.Model):
    """A discriminator's logits [N, 1] of pictures; where it takes conditions, those are the classifier's
    probabilities of the same pictures."""

    def __init__(self, discriminator, classifier):
        super().__init__(name="realness")
        self.discriminator, self.classifier = discriminator, classifier
        self.built = True

    def call(self, pictures, training=False):
        if len(self.discriminator.inputs) == 1:
            return self.discriminator(pictures, training=training)
        conditions = ops.softmax(self.classifier(pictures, training=training))
        return self.discriminator([pictures, conditions], training=training)


@dataclasses.dataclass(frozen=True)
class Encoded:
    """Images as a generator draws them.

    Attributes:
        styles: float32 [N, J], all style vectors of an image in a row.
        colours: list of float32 [N, C], one a block.
        logits: float32 [N, K], of the drawings.
        pictures: float32 [N, H, W, C], the drawings, in [-1, 1].
    """

    styles: np.ndarray
    colours: list
    logits: np.ndarray
    pictures: np.ndarray


class Probe:
    """A model's generator and classifier, compiled for moves of style coordinates.

    Every function here that takes a model takes a probe of it too, and then uses again what has been compiled.

    Args:
        model: a trained `StylEx`, or what has its `generator`, `averaged`, `classifier`, `noise`, `styles(images)` and,
            where drawings are judged, `discriminator`.
        batch_size: moves computed at a time, and images; results do not depend on it, but for rounding.
        progress: show Keras' progress bar while many moves are tried.
    """

    def __init__(self, model, batch_size=64, progress=True):
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1; received {batch_size}")
        self.model, self.batch_size, self.progress = model, batch_size, progress
        self.generator = model.ema_generator or model.generator
        self.noise = np.asarray(ops.convert_to_numpy(model.noise), "float32")
        self.layers, self.sizes = list(self.generator.style_names), list(self.generator.style_sizes)
        self.ends = np.cumsum(self.sizes)
        self.classes = model.classifier.output_shape[-1]
        if len(model.classifier.output_shape) != 2 or self.classes < 2:
            shape = list(model.classifier.output_shape)
            raise ValueError(
                f"classifier must give logits [N, classes], 2 or more; received {shape}"
            )
        self._whole, self._before = Whole(self.generator, model.classifier), Before(self.generator)
        self._heads, self._rests = {"classes": model.classifier}, {}

    @classmethod
    def of(cls, model, batch_size=64, progress=True):
        return model if isinstance(model, cls) else cls(model, batch_size, progress)

    def encode(self, images):
        """`Encoded` images, float [N, H, W, C] in [-1, 1]."""
        generator = self.generator
        images = check_images(images, (generator.size, generator.size, generator.channels))
        styles, colours = self.model.styles(images)
        styles = np.concatenate([np.asarray(x, "float32") for x in styles], axis=1)
        colours = [np.asarray(x, "float32") for x in colours]
        pictures, logits = self.draw(styles, colours)
        return Encoded(styles, colours, logits, pictures)

    def draw(self, styles, colours):
        """Pictures [N, H, W, C] in [-1, 1] of styles [N, J], and their logits [N, K]."""
        parts = []
        for rows in batches(np.arange(len(styles)), self.batch_size):
            filled = _filled(rows, min(self.batch_size, len(styles)))
            inputs = {
                "styles": self.split(styles[filled]),
                "colours": [x[filled] for x in colours],
                "noise": self.noise,
            }
            parts.append([x[: len(rows)] for x in self._whole.predict_on_batch(inputs)])
        return tuple(
            np.concatenate(part).astype("float32", copy=False) for part in zip(*parts, strict=True)
        )

    def split(self, styles):
        """Styles [N, J] layer by layer, a list of [N, C]."""
        return np.split(styles, self.ends[:-1], axis=1)

    def moved(self, encoded, image, coordinate, shift, styles=None, head="classes"):
        """Logits after moves, each of one coordinate of one image, by itself.

        Args:
            encoded: `Encoded` images.
            image, coordinate: integers [T], in 0 .. N - 1 and in 0 .. J - 1.
            shift: float [T], what is added to the coordinate.
            styles: [N, J], to move from; those of the images by default.
            head: "classes" (the classifier's logits, K = classes) or "realness" (the discriminator's, K = 1).

        Returns:
            float32 [T, K].
        """
        styles = encoded.styles if styles is None else styles
        logits = np.zeros((len(image), self.classes if head == "classes" else 1), "float32")
        layer = np.searchsorted(self.ends, coordinate, side="right")
        bar = (
            keras.utils.Progbar(len(image), unit_name="move")
            if self.progress and len(image) > 1000
            else None
        )
        count = min(len(styles), self.batch_size)
        for start in range(0, len(styles), count):
            of_these = np.flatnonzero((image >= start) & (image < start + count))
            if not len(of_these):
                continue
            rows = _filled(np.arange(start, min(start + count, len(styles))), count)
            inputs = {
                "styles": self.split(styles[rows]),
                "colours": [x[rows] for x in encoded.colours],
            }
            inputs = keras.tree.map_structure(ops.convert_to_tensor, inputs | {"noise": self.noise})
            states = self._before.predict_on_batch(inputs)
            for first in np.unique(layer[of_these]):
                shared = {
                    "state": [ops.convert_to_tensor(x) for x in states[first]],
                    "noise": inputs["noise"],
                    "styles": inputs["styles"][first:],
                    "colours": inputs["colours"][first // 2 :],
                }
                for batch in batches(of_these[layer[of_these] == first], self.batch_size):
                    filled = _filled(batch, self.batch_size)
                    moves = {
                        "image": (image[filled] - start).astype("int32"),
                        "coordinate": (
                            coordinate[filled] - self.ends[first] + self.sizes[first]
                        ).astype("int32"),
                        "shift": shift[filled].astype("float32"),
                    }
                    logits[batch] = self._rest(head, first).predict_on_batch(shared | moves)[
                        : len(batch)
                    ]
                    if bar:
                        bar.add(len(batch))
        return logits

    def realness(self, pictures):
        """The discriminator's logits [N] of pictures."""
        parts = [
            self._head("realness").predict_on_batch(part)
            for part in batches(pictures, self.batch_size)
        ]
        return np.concatenate(parts)[:, 0]

    def _head(self, name):
        if name not in self._heads:
            discriminator = getattr(self.model, "discriminator", None)
            if discriminator is None or "D" in getattr(self.model, "not_loaded", ()):
                raise ValueError(
                    "realness needs a model with a trained discriminator, of a run's checkpoint by "
                    'checkpoints.load_sampling_model(path, ("E", "C", "D")); received one without'
                )
            self._heads[name] = Realness(discriminator, self.model.classifier)
        return self._heads[name]

    def _rest(self, head, first):
        key = (head, first)
        if key not in self._rests:
            self._rests[key] = Rest(self.generator, self._head(head), first)
        return self._rests[key]


def batches(items, size):
    """Parts of `size`, and the rest."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def _filled(rows, size):
    """Rows, the last one repeated up to `size` in all: one shape is compiled once."""
    return rows[np.minimum(np.arange(size), len(rows) - 1)]


@dataclasses.dataclass(frozen=True)
class Effects:
    """What each move does to each image.

    Attributes:
        values: float32 [N, 2, J, K]: the change of logit k when coordinate j goes to its minimum (0) or its maximum
            (1); 0 where it is there already.
        logits: float32 [N, K], before.
        bounds: float32 [2, J], minimum and maximum.
        probabilities: whether `values` are of probabilities instead.
    """

    values: np.ndarray
    logits: np.ndarray
    bounds: np.ndarray
    probabilities: bool = False

    def against_rest(self, target):
        """The same of two classes, `target` and all the rest as one."""
        if self.probabilities:
            values = self.values[..., target]
            values = np.stack([values, -values], axis=-1)
        elif self.logits.shape[1] == 2:
            values = self.values[..., [target, 1 - target]]
        else:
            after = against_rest(self.logits[:, None, None] + self.values, target)
            values = after - against_rest(self.logits, target)[:, None, None]
        return dataclasses.replace(self, values=values, logits=against_rest(self.logits, target))


def effects(
    model, images, *, shift_size=1.0, bounds=None, probabilities=False, batch_size=64, progress=True
):
    """Moves each coordinate of each image to both ends of its range, one at a time, and asks the classifier.

    Args:
        model: see `Probe`.
        images: float [N, H, W, C] in [-1, 1].
        shift_size: how much of the way is gone; the authors': 1.
        bounds: [2, J], the ends; by default the least and the greatest value in these images, of which there must then
            be two.
        probabilities: change of probabilities instead of logits.
        batch_size, progress: see `Probe`.

    Returns:
        `Effects`.
    """
    probe = Probe.of(model, batch_size, progress)
    return effects_of(probe, probe.encode(images), shift_size, bounds, probabilities)


def effects_of(probe, encoded, shift_size, bounds=None, probabilities=False):
    styles = encoded.styles
    if bounds is None:
        if len(styles) < 2:
            raise ValueError(
                "coordinates have a range in two images or more, or give bounds; received 1 image"
            )
        bounds = np.stack([styles.min(axis=0), styles.max(axis=0)])
    bounds = np.asarray(bounds, "float32")
    if bounds.shape != (2, styles.shape[1]):
        raise ValueError(f"bounds must be [2, {styles.shape[1]}]; received {list(bounds.shape)}")
    shift = np.float32(shift_size) * (bounds - styles[:, None])  # [N, 2, J]
    moves = np.nonzero(shift)
    values = np.zeros((*shift.shape, encoded.logits.shape[1]), "float32")
    after = probe.moved(encoded, moves[0], moves[2], shift[moves])
    of = softmax if probabilities else np.asarray
    values[moves] = of(after) - of(encoded.logits)[moves[0]]
    return Effects(values, encoded.logits, bounds, probabilities)


def softmax(logits):
    """Probabilities [..., K]."""
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def against_rest(logits, target):
    """Logits [..., K] -> [..., 2]: that of the target, and the log of the sum of the others' exponentials."""
    rest = np.delete(logits, target, axis=-1)
    most = rest.max(axis=-1, keepdims=True)
    rest = most + np.log(np.exp(rest - most).sum(axis=-1, keepdims=True))
    return np.concatenate([logits[..., target : target + 1], rest], axis=-1)


def log_odds(logits, target):
    """The log of the odds of the target, [...]."""
    pair = against_rest(logits, target)
    return pair[..., 0] - pair[..., 1]
