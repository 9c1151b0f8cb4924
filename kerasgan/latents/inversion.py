"""Inversion: finds latents whose image is as close as possible to a given image.

Adam minimizes the distance of images over the latents, the styles w or one w per block (w+),
and, if wanted, the noise map (Abdal, Qin and Wonka, 2019, "Image2StyleGAN",
https://arxiv.org/abs/1904.03189; Karras et al., 2020, https://arxiv.org/abs/1912.04958, app. D).
The distance is the squared error of the pixels plus a distance in the features of a classifier.
With a mask, only the known pixels count and the generator supplies the others (inpainting).
"""

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasgan.arguments import check_count
from kerasgan.images import check_images
from kerasgan.losses.perceptual import ClassifierDistance
from kerasgan.metrics.protocols import bird_attributes, digits
from kerasgan.sampling import check_latents
from kerasgan.training import AdversarialModel
from kerasgan.types import Tensor

SPACES = ("z", "w", "w+")
STARTS = ("random", "mean", "encoder", "posterior")


@dataclasses.dataclass(frozen=True)
class Inversion:
    """Result of `invert` for N images.

    Attributes:
        inputs: Arguments of `model.sample` by name: `latents` or `w`, and conditions and noise.
        images: Reconstructions, float32 `[N, H, W, C]` in [-1, 1].
        errors: Float32 arrays `[N]`: `pixel`, the mean squared error of the known pixels, whose
            values are in [-1, 1]; `psnr` in decibels; and `feature`, the classifier's distance if
            it is used.
        start_errors: The same for the start of the optimization.
        history: Mean loss of the kept candidates at each step, float32 `[steps]`.
    """

    inputs: dict[str, np.ndarray]
    images: np.ndarray
    errors: dict[str, np.ndarray]
    start_errors: dict[str, np.ndarray]
    history: np.ndarray


def feature_classifier(model: Any) -> keras.Model | None:
    """Returns the shipped classifier of a model's images, StylEx's own, or `None`."""
    if "classifier" in model.sampling_networks:
        return model.classifier
    protocols = {
        "digits": lambda: digits.load_digit_classifier()[0],
        "birds": lambda: bird_attributes.load_bird_attribute_classifier()[0],
    }
    load = protocols.get(model.evaluation_protocol)
    return None if load is None else load()


def invert(
    model: Any,
    images: np.ndarray,
    *,
    labels: Any = None,
    captions: list[str] | None = None,
    embeddings: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    space: str = "z",
    start: str = "random",
    candidates: int = 4,
    steps: int = 300,
    learning_rate: float = 0.05,
    feature_weight: float = 0.1,
    prior_weight: float = 1e-3,
    optimize_noise: bool = False,
    classifier: keras.Model | None = None,
    seed: int = 0,
) -> Inversion:
    """Finds the latents of images.

    Args:
        model: Model of the zoo.
        images: Float images `[N, H, W, C]` in [-1, 1] of the model's size.
        labels: Integer labels `[N]` of a model with labels. StylEx takes the conditions from its
            classifier.
        captions: N captions of a text-to-image model.
        embeddings: Caption embeddings `[N, D]` instead of captions.
        mask: `[H, W, 1]` or `[N, H, W, 1]`, 1 for known pixels and 0 for hidden ones.
        space: `"z"`, or `"w"` and `"w+"` (one w per block) of StyleGAN2 and StylEx.
        start: First latents. `"random"`: from the prior, the best of `candidates` after the
            optimization. `"mean"`: zeros, or the mean of w. `"encoder"`: the encoder of StylEx
            (space w or w+) or of `ConditionalVAE`. `"posterior"`: the posterior network of
            `ProjectedTextGAN`, if the model has one.
        candidates: Number of random starts per image.
        steps: Number of Adam steps.
        learning_rate: Initial learning rate. It decreases to 0 along a cosine.
        feature_weight: Weight of the distance in the features of the classifier. It is not used
            with a mask.
        prior_weight: Weight of the mean square of the latents, or of the distance of w from its
            mean in units of its standard deviation.
        optimize_noise: If `True`, the noise map of StyleGAN2 or StylEx is optimized too.
        classifier: Classifier of the features. `None` selects `feature_classifier(model)`.
        seed: Integer seed of random starts and of the noise map.

    Returns:
        The latents, the reconstructions and their errors.

    Raises:
        ValueError: If an argument does not fit the model.

    Example:
        ```python
        found = invert(gan, images, labels=[3, 8])
        again = gan.sample(**found.inputs)
        found.errors["psnr"]  # [2]
        ```
    """
    images = check_images(images, model.data_spec().parts[0].shape)
    count, steps = len(images), check_count(steps, "steps", 0)
    styled = "noise" in model.sampling_inputs()
    _check_choices(model, space, start, styled, optimize_noise)
    repeats = check_count(candidates, "candidates") if start == "random" else 1
    fixed = _conditions(model, images, labels, captions, embeddings)
    if mask is not None:
        mask, feature_weight = _check_mask(mask, images.shape), 0.0
    distance = None
    if feature_weight:
        chosen = feature_classifier(model) if classifier is None else classifier
        distance = None if chosen is None else ClassifierDistance(chosen)
    codes, center, scale = _first_codes(model, images, fixed, space, start, repeats, seed)
    if styled:
        noise = np.random.default_rng(seed).random((1, *model.image_shape[:2], 1), "float32")
        fixed["noise"] = np.repeat(noise, count, axis=0)
    search = _Search(
        model,
        codes,
        {name: np.repeat(x, repeats, axis=0) for name, x in fixed.items()},
        targets=np.repeat(images, repeats, axis=0),
        mask=None if mask is None else np.repeat(mask, repeats, axis=0),
        name="latents" if space == "z" else "w",
        optimize_noise=optimize_noise,
        center=center,
        scale=scale,
        distance=distance,
        weights=(feature_weight, prior_weight),
    )
    begin = search.errors()
    history = search.run(steps, learning_rate)
    errors = search.errors()
    total = errors["pixel"] + feature_weight * errors.get("feature", 0.0)
    best = total.reshape(count, repeats).argmin(axis=1) + repeats * np.arange(count)
    found, made = search.results()
    return Inversion(
        {name: x[best] for name, x in found.items()},
        made[best],
        {name: x[best] for name, x in errors.items()},
        {name: x[best] for name, x in begin.items()},
        history[:, best].mean(axis=1) if steps else np.zeros(0, "float32"),
    )


class _Search(AdversarialModel):
    """Optimizes codes (and noise) with a frozen model, one training step per step."""

    players = ("codes",)
    reports = ("loss",)

    def __init__(
        self,
        model,
        codes,
        fixed,
        *,
        targets,
        mask,
        name,
        optimize_noise,
        center,
        scale,
        distance,
        weights,
    ):
        super().__init__()
        self.model, self.distance, self.code_name = model, distance, name
        self.codes = _Codes({name: codes} | ({"noise": fixed["noise"]} if optimize_noise else {}))
        self.fixed = {key: x for key, x in fixed.items() if key not in self.codes.names}
        self.targets, self.mask = targets, mask
        self.center, self.scale, self.weights_of_terms = center, scale, weights
        self.last_losses = keras.Variable(np.zeros(len(codes), "float32"), trainable=False)
        self.built = True

    def inputs_of(self) -> dict[str, Tensor]:
        values = {name: ops.convert_to_tensor(x) for name, x in self.fixed.items()}
        return values | self.codes.values()

    def terms(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Images and the errors of each candidate."""
        inputs = self.inputs_of()
        images = ops.cast(self.model.generate_from(inputs), "float32")
        targets = ops.convert_to_tensor(self.targets)
        squares = ops.square(images - targets)
        if self.mask is None:
            pixel = ops.mean(squares, axis=(1, 2, 3))
        else:
            mask = ops.convert_to_tensor(self.mask)
            known = ops.sum(mask, axis=(1, 2, 3)) * images.shape[-1]
            pixel = ops.sum(mask * squares, axis=(1, 2, 3)) / known
        terms = {"pixel": pixel}
        if self.distance is not None:
            side = self.distance.classifier.input_shape[1]
            terms["feature"] = self.distance(_resized(images, side), _resized(targets, side))
        return images, terms

    def train_step(self, data: Any) -> dict:
        feature_weight, prior_weight = self.weights_of_terms

        def objective():
            _, terms = self.terms()
            code = self.codes.values()[self.code_name]
            center, scale = map(ops.convert_to_tensor, (self.center, self.scale))
            away = ops.square((code - center) / scale)
            prior = ops.mean(away, axis=tuple(range(1, len(code.shape))))
            losses = terms["pixel"] + prior_weight * prior
            if "feature" in terms:
                losses = losses + feature_weight * terms["feature"]
            return ops.sum(losses), losses

        _, losses = self.minimize("codes", objective)
        self.last_losses.assign(losses)
        return self.report(loss=ops.mean(losses))

    def run(self, steps: int, learning_rate: float) -> np.ndarray:
        """Optimizes the codes. Returns the losses, `[steps, candidates]`."""
        if not steps:
            return np.zeros((0, len(self.targets)), "float32")
        schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
        self.compile(codes=keras.optimizers.Adam(schedule))
        history = []
        batch = np.zeros((1, 1), "float32")
        for _ in range(steps):
            self.train_on_batch(batch)
            history.append(np.array(ops.convert_to_numpy(self.last_losses.value)))
        return np.stack(history)

    def errors(self) -> dict[str, np.ndarray]:
        _, terms = self.terms()
        found = {name: np.array(ops.convert_to_numpy(x)) for name, x in terms.items()}
        found["psnr"] = 10 * np.log10(4 / np.maximum(found["pixel"], 1e-12))
        return found

    def results(self) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Inputs and images of all candidates."""
        images, _ = self.terms()
        inputs = {name: np.array(ops.convert_to_numpy(x)) for name, x in self.inputs_of().items()}
        return inputs, np.clip(np.array(ops.convert_to_numpy(images)), -1.0, 1.0)


class _Codes(keras.layers.Layer):
    """Holds the variables that are optimized."""

    def __init__(self, arrays):
        super().__init__()
        self.names = tuple(arrays)
        for name, array in arrays.items():
            initial = keras.initializers.Constant(array)
            variable = self.add_weight(shape=array.shape, initializer=initial, name=name)
            setattr(self, f"{name}_variable", variable)
        self.built = True

    def values(self) -> dict[str, Tensor]:
        found = {
            name: ops.convert_to_tensor(getattr(self, f"{name}_variable")) for name in self.names
        }
        if "noise" in found:  # The noise of the training is in [0, 1).
            found["noise"] = ops.clip(found["noise"], 0.0, 1.0)
        return found


def _check_choices(model, space, start, styled, optimize_noise):
    kind = type(model).__name__
    if space not in SPACES or space != "z" and not styled:
        allowed = SPACES if styled else ("z",)
        raise ValueError(f"space of a {kind} must be {' or '.join(allowed)}; received {space!r}")
    if optimize_noise and not styled:
        raise ValueError(f"optimize_noise needs StyleGAN2 or StylEx; received a {kind}")
    has_encoder = "encoder" in model.checkpoint_networks() and "encoder" not in model.not_loaded
    encodes = has_encoder and (space != "z") == styled
    infers = getattr(model, "posterior", None) is not None and model.features is not None
    offered = ["random", "mean", *(["encoder"] * encodes), *(["posterior"] * infers)]
    if start not in offered:
        raise ValueError(
            f"start of a {kind} in space {space} must be one of {', '.join(offered)}; "
            f"received {start!r}"
        )


def _check_mask(mask, shape):
    mask, wanted = np.asarray(mask, "float32"), (*shape[:3], 1)
    if not np.isin(mask, (0, 1)).all() or mask.shape not in (wanted, wanted[1:]) or not mask.any():
        raise ValueError(
            f"mask must be 0 or 1 and not all 0, of shape {list(wanted[1:])} or {list(wanted)}; "
            f"received shape {list(mask.shape)}"
        )
    return np.broadcast_to(mask, wanted)


def _conditions(model, images, labels, captions, embeddings):
    """Returns the conditions of the images as inputs of `generate_from`."""
    given = {"labels": labels, "captions": captions, "embeddings": embeddings}
    given = {name: value for name, value in given.items() if value is not None}
    allowed = {"labels": ["labels"], "captions": ["captions", "embeddings"], None: []}
    classified = "classifier" in model.sampling_networks
    needed = model.conditioning is not None and not classified
    if len(given) > 1 or set(given) - set(allowed[model.conditioning]) or needed > len(given):
        rule = " or ".join(allowed[model.conditioning]) or "no conditions"
        raise ValueError(
            f"a {type(model).__name__} takes {rule}; received {', '.join(given) or 'none'}"
        )
    count = len(images)
    if classified and not given:
        return {"conditions": model.image_conditions(images)}
    if "labels" in given:
        model.check_labels(labels, count)
        return {"labels": np.asarray(labels).astype("int32")}
    if "captions" in given:
        embeddings = model.encode_captions(captions)
    if given:
        embeddings = np.asarray(embeddings, "float32")
        if embeddings.shape != (count, model.embedding_dim):
            raise ValueError(
                f"embeddings must be [{count}, {model.embedding_dim}]; "
                f"received {list(embeddings.shape)}"
            )
        return {"embeddings": embeddings}
    return {}


def _first_codes(model, images, fixed, space, start, repeats, seed):
    """Returns the first codes, and the center and scale of their prior."""
    count = len(images)
    center, scale = np.zeros(model.latent_dim, "float32"), np.ones(model.latent_dim, "float32")
    if space != "z":
        w = model.map_latents(model.random_latents(2048, 0))
        center, scale = w.mean(axis=0), np.maximum(w.std(axis=0), 1e-6)
    if start == "random":
        codes = model.random_latents(count * repeats, seed)
        codes = codes if space == "z" else model.map_latents(codes)
    elif start == "mean":
        codes = np.repeat(center[None], count, axis=0)
    elif start == "posterior":
        maps = model.features(ops.convert_to_tensor(images), training=False)
        mean, _ = model.infer(maps, ops.convert_to_tensor(fixed["embeddings"]))
        codes = np.ones((count, model.latent_dim), "float32")  # The last value may be the mirror.
        codes[:, : mean.shape[-1]] = ops.convert_to_numpy(mean)
    elif space == "z":
        codes = model.encoder([images, fixed["labels"]], training=False)[0]
        codes = np.array(ops.convert_to_numpy(codes))
    else:
        codes = model.encode(images)
    codes = check_latents(codes, model.latent_dim)
    if space == "w+":
        codes = np.repeat(codes[:, None], model.generator.blocks, axis=1)
    return codes.astype("float32"), center, scale


def _resized(images, side):
    """Resizes images to the side of the classifier."""
    size = images.shape[1]
    if size == side:
        return images
    if size % side == 0:
        return ops.average_pool(images, size // side, data_format="channels_last")
    return ops.image.resize(images, (side, side), data_format="channels_last")
