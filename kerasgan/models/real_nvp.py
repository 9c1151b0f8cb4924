"""Class-conditional Real NVP: a normalizing flow with the exact density of an image.

Dinh, Sohl-Dickstein and Bengio, 2017, "Density estimation using Real NVP"
(https://arxiv.org/abs/1605.08803). Each affine coupling keeps half of the values, and a network
predicts from them the scale and shift of the other half. A coupling is therefore easy to invert,
and its Jacobian is triangular. The training notes list a common error: `log_prob` must be one
number per sample, `[N]`.

**Differences from the paper**

- The networks of the couplings also take the class, so that samples and densities are conditional.
- Maps are halved before the first coupling. One mask selects positions within 2 x 2 blocks, which
  replaces the paper's checkerboard of pixels at a quarter of the operations. It alternates with a
  checkerboard of blocks.
- Couplings consist of the three convolutions of Glow, the last of which is initialized to 0
  (https://arxiv.org/abs/1807.03039, sections 3.3 and 5). The paper uses residual networks with
  batch normalization, and factors out half of the values at each scale. The smaller networks train
  in minutes on two CPU cores. Their receptive field is small, so the couplings after the last
  halving are dense networks.
- Log scales are a tanh without a learned factor. One coupling scales by at most a factor of e, and
  there are many.
- Pixels are mapped closer to 0 and 1 before the logit, as in Papamakarios et al., 2017
  (https://arxiv.org/abs/1705.07057). A gray level of the dark background is then about 1 wide. With
  the paper's 0.05 it is a fiftieth, which the flow would have to expand.
- Each pixel is first normalized by the mean and standard deviation of the data; see `adapt`.
"""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from kerasgan.arguments import check_seed
from kerasgan.data_spec import DataSpec, Images, Labels
from kerasgan.dtype_policies import dtype_policy
from kerasgan.images import check_images
from kerasgan.io.export import ExportableModel
from kerasgan.ops import replicas
from kerasgan.ops.precision import full_precision
from kerasgan.sampling import predict
from kerasgan.training import AdversarialModel
from kerasgan.types import Tensor

# Distance of pixel values from 0 and 1 before the logit: lambda in arXiv 1705.07057, appendix D.
# The paper has alpha = 0.05 (section 4.1).
MARGIN = 1e-6

# === Network ===


def build_coupling(shape: tuple[int, int, int], width: int, classes: int) -> keras.Model:
    """Builds the convolutional network of a coupling. Its outputs are 0 at initialization.

    Inputs: maps `[N, H, W, C]` and one-hot labels `[N, classes]`.
    Output: log scales and shifts, `[N, H, W, 2 * C]`.

    Args:
        shape: Shape `(H, W, C)` of the maps.
        width: Number of hidden channels.
        classes: Number of classes.
    """
    maps, one_hot = keras.Input(shape), keras.Input((classes,))
    x = layers.Conv2D(width, 3, padding="same", kernel_initializer="he_normal")(maps)
    condition = layers.Reshape((1, 1, width))(layers.Dense(width, use_bias=False)(one_hot))
    x = layers.ReLU()(layers.Add()([x, condition]))
    x = layers.Conv2D(width, 1, activation="relu", kernel_initializer="he_normal")(x)
    x = layers.Conv2D(2 * shape[-1], 3, padding="same", kernel_initializer="zeros")(x)
    return keras.Model([maps, one_hot], x)


def build_dense_coupling(shape: tuple[int, int, int], width: int, classes: int) -> keras.Model:
    """Builds the dense network of a coupling, whose outputs depend on the whole image.

    Arguments, inputs and output are the same as in `build_coupling`.
    """
    maps, one_hot = keras.Input(shape), keras.Input((classes,))
    x = layers.Concatenate()([layers.Flatten()(maps), one_hot])
    for _ in range(2):
        x = layers.Dense(width, activation="relu", kernel_initializer="he_normal")(x)
    x = layers.Dense(2 * math.prod(shape), kernel_initializer="zeros")(x)
    return keras.Model([maps, one_hot], layers.Reshape((*shape[:2], 2 * shape[2]))(x))


@keras.saving.register_keras_serializable("kerasgan")
class Couplings(ExportableModel):
    """Sequence of affine couplings between images and normal latents.

    `encode` maps images to latents. Calling the model with `[latents, labels]` is the exact
    inverse.

    Args:
        size: Side of the images in pixels, a multiple of `2 ** scales`.
        channels: Number of image channels.
        scales: Number of halvings. `depth` couplings follow each.
        depth: Number of couplings per scale, a multiple of 4 (two masks and their complements).
        width: Channels of the couplings' networks. The dense ones, after the last halving, have 8
            times as many units.
        classes: Number of classes.

    Raises:
        ValueError: If `size` or `depth` is not such a multiple.
    """

    def __init__(
        self,
        size: int = 28,
        channels: int = 1,
        *,
        scales: int = 2,
        depth: int = 4,
        width: int = 64,
        classes: int = 10,
        name: str = "flow",
    ):
        super().__init__(name=name)
        if scales < 1 or size % 2**scales:
            raise ValueError(
                "size must be a multiple of 2 ** scales and scales at least 1; received size "
                f"{size} and {scales} scales"
            )
        if depth < 4 or depth % 4:
            raise ValueError(
                f"depth must be a multiple of 4 (two masks and their complements); received {depth}"
            )
        self.size, self.channels, self.scales = size, channels, scales
        self.depth, self.width, self.classes = depth, width, classes
        self.latent_dim = size * size * channels
        image = (1, size, size, channels)
        self.mean = self.add_weight(image, "zeros", trainable=False, name="mean")
        self.deviation = self.add_weight(image, "ones", trainable=False, name="deviation")
        self.couplings, self._masks = [], []
        for scale in range(1, scales + 1):
            shape = (size >> scale, size >> scale, channels << 2 * scale)
            build, units = (
                (build_dense_coupling, 8 * width) if scale == scales else (build_coupling, width)
            )
            for index in range(depth):
                self.couplings.append(build(shape, units, classes))
                self._masks.append(mask(shape, index))
        self.built = True

    def get_config(self) -> dict:
        names = ("size", "channels", "scales", "depth", "width", "classes", "name")
        return {name: getattr(self, name) for name in names} | {"dtype": self.dtype_policy.name}

    @classmethod
    def from_config(cls, config: dict) -> "Couplings":
        config = dict(config)
        with dtype_policy(config.pop("dtype", None)):  # Earlier files have none.
            return cls(**config)

    def adapt(self, x: np.ndarray) -> None:
        """Sets the normalization of each pixel to the mean and standard deviation of the data.

        Glow initializes its normalization in the same way.

        Args:
            x: Logits of pixels, `[N, H, W, C]`; see `to_logits`.
        """
        self.mean.assign(np.mean(x, axis=0, keepdims=True))
        self.deviation.assign(np.std(x, axis=0, keepdims=True) + 1e-3)

    def encode(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Maps logits of pixels to latents.

        Args:
            x: Float `[N, H, W, C]`; see `to_logits`.
            labels: Integers `[N]`.

        Returns:
            Latents `[N, D]` and the log-determinant of the Jacobian, `[N]`.
        """
        one_hot = ops.one_hot(labels, self.classes)
        x = (ops.convert_to_tensor(x) - self.mean) / self.deviation
        log_determinant = -ops.sum(ops.log(self.deviation))
        for index in range(len(self.couplings)):
            if index % self.depth == 0:
                x = squeeze(x)
            log_scale, shift = self._scale_and_shift(index, x, one_hot)
            x = x * ops.exp(log_scale) + shift
            log_determinant = log_determinant + ops.sum(log_scale, axis=(1, 2, 3))  # [N]
        return ops.reshape(x, (-1, self.latent_dim)), log_determinant

    def call_inputs(self) -> list[keras.InputSpec]:
        latents = keras.InputSpec(shape=(None, self.latent_dim), dtype="float32", name="latents")
        return [latents, keras.InputSpec(shape=(None,), dtype="int32", name="labels")]

    def call(self, inputs: list) -> Tensor:
        """Maps `[latents, labels]` to logits of pixels, `[N, H, W, C]`."""
        latents, labels = full_precision(inputs)  # Half precision would not invert `encode`.
        one_hot = ops.one_hot(labels, self.classes)
        x = ops.reshape(latents, (-1, *self._masks[-1].shape[1:]))
        for index in reversed(range(len(self.couplings))):
            log_scale, shift = self._scale_and_shift(index, x, one_hot)
            x = (x - shift) * ops.exp(-log_scale)
            if index % self.depth == 0:
                x = unsqueeze(x)
        return x * ops.cast(self.deviation, "float32") + ops.cast(self.mean, "float32")

    def compute_output_shape(self, input_shape: list) -> tuple:
        return (input_shape[0][0], self.size, self.size, self.channels)

    def _scale_and_shift(self, index, x, one_hot):
        kept = ops.convert_to_tensor(self._masks[index])
        scales_and_shifts = full_precision(self.couplings[index]([x * kept, one_hot]))
        log_scale, shift = ops.split(scales_and_shifts, 2, axis=-1)
        return ops.tanh(log_scale) * (1 - kept), shift * (1 - kept)


def mask(shape: tuple[int, int, int], index: int) -> np.ndarray:
    """Returns the mask of the values that a coupling keeps.

    Masks alternate between one diagonal of each 2 x 2 block, the other diagonal, every second
    block, and the remaining blocks.

    Args:
        shape: Shape `(H, W, C)` of the maps after `squeeze`.
        index: Index of the coupling.

    Returns:
        Float32 `[1, H, W, C]` of 0 and 1.
    """
    height, width, channels = shape
    places = np.arange(channels) // (channels // 4)  # position of a channel in its block
    diagonal = (places // 2 + places % 2) % 2 + np.zeros((height, width, 1))
    blocks = np.add.outer(np.arange(height), np.arange(width))[:, :, None] % 2 + np.zeros(channels)
    kept = (diagonal, blocks)[index // 2 % 2]
    return (kept if index % 2 == 0 else 1 - kept)[None].astype("float32")


def squeeze(x: Tensor) -> Tensor:
    """Moves the pixels of each 2 x 2 block to channels (section 3.6 of the paper).

    `[N, H, W, C]` becomes `[N, H / 2, W / 2, 4 * C]`.
    """
    _, height, width, channels = x.shape
    x = ops.reshape(x, (-1, height // 2, 2, width // 2, 2, channels))
    return ops.reshape(
        ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, height // 2, width // 2, 4 * channels)
    )


def unsqueeze(x: Tensor) -> Tensor:
    """Inverts `squeeze`: `[N, H, W, 4 * C]` becomes `[N, 2 * H, 2 * W, C]`."""
    _, height, width, channels = x.shape
    x = ops.reshape(x, (-1, height, width, 2, 2, channels // 4))
    return ops.reshape(
        ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, 2 * height, 2 * width, channels // 4)
    )


# === Model ===


@keras.saving.register_keras_serializable("kerasgan")
def normal_log_prob(latents: Tensor) -> Tensor:
    """Returns the log density of latents `[N, D]` under N(0, I), `[N]`."""
    latents = ops.cast(latents, "float32")
    return -(ops.sum(ops.square(latents), axis=-1) + latents.shape[-1] * math.log(2 * math.pi)) / 2


@keras.saving.register_keras_serializable("kerasgan")
class RealNVP(AdversarialModel):
    """Class-conditional normalizing flow, trained by maximum likelihood.

    Training data: `(images, labels)`, float images `[N, H, W, C]` in [-1, 1] and integers `[N]`.
    Images are rounded to the 256 levels of 8 bits. Uniform noise of the width of a level is added
    in each step (dequantization). The mean log density is then a lower bound of the log probability
    of the level (Theis et al., 2016, https://arxiv.org/abs/1511.01844, section 3.1).

    The metric `bits_per_dimension` is the mean number of bits that encode one value of an image, 8
    for uniform noise. It does not depend on the argument `prior`.

    Args:
        flow: A `Couplings` model. Defaults to one for 28 x 28 x 1 images.
        prior: Callable `latents [N, D] -> [N]`, the log density in the loss.
        seed: Integer seed of the dequantization noise in training.

    Example:
        ```python
        model = RealNVP()
        model.adapt(load_digits("train")[0])
        model.compile(flow=keras.optimizers.Adam(1e-3))
        model.fit(Batches(*load_digits("train"), batch_size=64), epochs=40)
        images = model.sample(labels=[3, 1, 4], seed=0)  # [3, 28, 28, 1]
        log_prob = model.log_prob(*load_digits("test"))  # [N]
        ```

    Reference:
        Dinh et al., 2017, "Density estimation using Real NVP", https://arxiv.org/abs/1605.08803
    """

    conditioning = "labels"
    sample_options = ("temperature",)
    players = ("flow",)
    reports = ("bits_per_dimension",)

    def __init__(
        self,
        flow: Couplings | None = None,
        *,
        prior: Callable = normal_log_prob,
        seed: int | None = 0,
        name: str | None = None,
    ):
        super().__init__(name=name)
        self.flow, self.prior = flow or Couplings(), prior
        self.seed = check_seed(seed)
        self.seeds = keras.random.SeedGenerator(self.seed)
        self.classes, self.latent_dim = self.flow.classes, self.flow.latent_dim
        self.image_shape = (self.flow.size, self.flow.size, self.flow.channels)
        is_digits = self.image_shape == (28, 28, 1) and self.classes == 10
        self.evaluation_protocol = "digits" if is_digits else None
        self.built = True

    def get_config(self) -> dict:
        objects = {
            name: keras.saving.serialize_keras_object(getattr(self, name))
            for name in ("flow", "prior")
        }
        return objects | {"seed": self.seed, "name": self.name}

    @classmethod
    def from_config(cls, config: dict) -> "RealNVP":
        nested = keras.saving.deserialize_keras_object
        objects = {name: nested(config[name]) for name in ("flow", "prior") if name in config}
        return cls(**(config | objects))

    def checkpoint_networks(self) -> dict[str, keras.Model]:
        return {"generator": self.flow}

    # === Training ===

    def adapt(self, images: np.ndarray) -> None:
        """Sets the mean and the standard deviation that normalize each pixel.

        It must be called once before training.

        Args:
            images: Float images `[N, H, W, C]` in [-1, 1].
        """
        logits, _ = _dequantize(check_images(images, self.image_shape), self.seed)
        self.flow.adapt(ops.convert_to_numpy(logits))

    def _encode(self, images, labels, seed):
        """Returns latents `[N, D]` of dequantized images and the total log-determinant `[N]`."""
        x, logit_determinant = _dequantize(images, seed)
        latents, log_determinant = self.flow.encode(x, labels)
        scale = self.latent_dim * math.log(256)
        return latents, log_determinant + logit_determinant - scale

    def _pass(self, data):
        """Returns the loss and the mean number of bits per dimension."""
        latents, log_determinant = self._encode(*data, self.seeds)
        bits = self._bits(normal_log_prob(latents) + log_determinant)
        return -ops.mean(self.prior(latents) + log_determinant), ops.mean(bits)

    def _bits(self, log_prob):
        return -log_prob / (self.latent_dim * math.log(2))

    def train_step(self, data: tuple) -> dict:
        _, bits = self.minimize("flow", lambda: self._pass(data))
        return self.report(bits_per_dimension=bits)

    def test_step(self, data: tuple) -> dict:
        return self.report(bits_per_dimension=self._pass(data)[1])

    # === Inference ===

    def call(self, inputs: list, training: bool = False) -> Tensor:
        """Generates images from `[latents, labels]`, as `sample` does."""
        return _to_images(self.flow(inputs))

    def call_inputs(self) -> list[keras.InputSpec]:
        return self.flow.call_inputs()

    def log_prob(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        seed: int | None = 0,
        batch_size: int = 250,
    ) -> np.ndarray:
        """Returns the log density of images in nats, on the scale of their 256 levels.

        Args:
            images: Float images `[N, H, W, C]` in [-1, 1].
            labels: Integers `[N]`.
            seed: Integer seed of the dequantization noise.
            batch_size: Number of images per forward pass.

        Returns:
            Float32 array `[N]`, one number per image.
        """
        images, labels = check_images(images, self.image_shape), np.asarray(labels)
        self.check_labels(labels)
        seeds, log_probs = keras.random.SeedGenerator(check_seed(seed)), []
        for start in range(0, len(images), batch_size):
            rows = slice(start, start + batch_size)
            latents, log_determinant = self._encode(
                images[rows], labels[rows].astype("int32"), seeds
            )
            log_probs.append(ops.convert_to_numpy(normal_log_prob(latents) + log_determinant))
        return np.concatenate(log_probs)

    def bits_per_dimension(
        self, images: np.ndarray, labels: np.ndarray, seed: int | None = 0
    ) -> float:
        """Returns the mean number of bits that encode one value of an image; see `log_prob`."""
        return float(np.mean(self._bits(self.log_prob(images, labels, seed))))

    def sample(
        self,
        n: int | None = None,
        labels: Any = None,
        seed: int | None = None,
        batch_size: int = 250,
        temperature: float = 1.0,
        *,
        latents: np.ndarray | None = None,
    ) -> np.ndarray:
        """Generates images from normal latents.

        Args:
            n: Number of images. Their labels cycle through the classes.
            labels: Integers `[N]` instead of `n`.
            seed: Integer seed. The same seed gives the same images on the same backend. `None`
                gives new images at each call.
            batch_size: Number of images per forward pass. It does not change the images.
            temperature: Factor of the latents, the standard deviation of random ones. Values below
                1 give more likely, less diverse images.
            latents: Latents `[N, latent_dim]` instead of random ones from `seed`; see
                `random_latents`.

        Returns:
            Float32 images `[N, H, W, C]` in [-1, 1], rounded to 256 levels.

        Raises:
            ValueError: If both `n` and `labels` are given, or neither of `n`, `labels` and
                `latents`, if a label is not a class, or if `latents` have another shape.
        """
        labels = self.labels_to_sample(n, labels, latents)
        latents = self.latents_to_sample(len(labels), seed, latents)
        inputs = [np.float32(temperature) * latents, labels.astype("int32")]
        x = predict(self.flow, inputs, batch_size)
        return np.array(ops.convert_to_numpy(_to_images(x)))

    def data_spec(self) -> DataSpec:
        return DataSpec((Images(self.image_shape), Labels(self.classes)))


def _to_images(x):
    """Converts logits of pixels (see `to_logits`) to images of 256 levels in [-1, 1]."""
    ink = (ops.sigmoid(ops.clip(ops.cast(x, "float32"), -20.0, 20.0)) - MARGIN) / (1 - 2 * MARGIN)
    return ops.clip(ops.floor(256.0 * ink), 0.0, 255.0) / 127.5 - 1.0


def _dequantize(images, seed):
    """Rounds images to 8 bits, adds uniform noise of one level and returns `to_logits`."""
    levels = ops.round((ops.convert_to_tensor(images) + 1.0) * 127.5)
    return to_logits((levels + replicas.uniform(ops.shape(levels), seed)) / 256)


def to_logits(ink: Tensor) -> tuple[Tensor, Tensor]:
    """Maps pixel values to logits (section 4.1 of the paper).

    Args:
        ink: Float `[N, H, W, C]` in [0, 1]. Values are first mapped to [MARGIN, 1 - MARGIN].

    Returns:
        Logits `[N, H, W, C]` and the log-determinant of the Jacobian, `[N]`.
    """
    inner = MARGIN + (1 - 2 * MARGIN) * ops.convert_to_tensor(ink)
    x = ops.log(inner) - ops.log(1 - inner)
    log_derivative = math.log(1 - 2 * MARGIN) - ops.log(inner) - ops.log(1 - inner)
    return x, ops.sum(log_derivative, axis=tuple(range(1, len(ink.shape))))
