"""A normalizing flow of affine couplings, whose density of an image is exact: Real NVP, told the class.

Dinh, Sohl-Dickstein and Bengio, "Density estimation using Real NVP" (arXiv 1605.08803). Each coupling keeps half of the
numbers and scales and shifts the other half by what a network makes of those it keeps, so it is inverted at a glance
and its Jacobian is triangular. Training notes add what went wrong: log_prob is one number a sample, [N].

Differences from the paper:
- the couplings' networks are told the class, so that a digit can be asked for, and judged;
- maps are halved before the first coupling and masked by the place within their 2 x 2 blocks: the paper's checkerboard
  of pixels for a quarter of the arithmetic; a checkerboard of blocks takes turns with it;
- Glow's three convolutions, the last of which starts at 0 (arXiv 1807.03039, sections 3.3 and 5), in place of residual
  networks, and neither batch norm nor numbers factored out halfway: for two CPU cores. So few convolutions see little
  of a digit; after the last halving the couplings' networks are dense;
- log-scales are a tanh, without a learnt factor: a factor e a coupling, and there are many;
- pixels go closer to 0 and 1 before their logit, as those of Papamakarios et al. (arXiv 1705.07057): the width of a
  level of dark background is then about 1 there, where 0.05 makes it a fiftieth, which the flow has to widen;
- each pixel is first taken to mean 0 and deviation 1 by what the data have (`adapt`).
"""

import math

import keras
import numpy as np
from keras import layers, ops

from kerasgan.arguments import check_seed
from kerasgan.data_spec import DataSpec, Images, Labels
from kerasgan.images import check_images
from kerasgan.io.export import ExportableModel
from kerasgan.ops.precision import full_precision
from kerasgan.training import AdversarialModel

MARGIN = 1e-6  # lambda of arXiv 1705.07057, appendix D; alpha, 0.05, in section 4.1 of the paper

# === Network ===


def build_coupling(shape, width, classes):
    """Maps [N, H, W, C] and one-hot labels -> log-scales and shifts [N, H, W, 2 C], at first 0."""
    maps, one_hot = keras.Input(shape), keras.Input((classes,))
    x = layers.Conv2D(width, 3, padding="same", kernel_initializer="he_normal")(maps)
    told = layers.Reshape((1, 1, width))(layers.Dense(width, use_bias=False)(one_hot))
    x = layers.ReLU()(layers.Add()([x, told]))
    x = layers.Conv2D(width, 1, activation="relu", kernel_initializer="he_normal")(x)
    x = layers.Conv2D(2 * shape[-1], 3, padding="same", kernel_initializer="zeros")(x)
    return keras.Model([maps, one_hot], x)


def build_dense_coupling(shape, width, classes):
    """`build_coupling` of dense layers, which see the whole image at once."""
    maps, one_hot = keras.Input(shape), keras.Input((classes,))
    x = layers.Concatenate()([layers.Flatten()(maps), one_hot])
    for _ in range(2):
        x = layers.Dense(width, activation="relu", kernel_initializer="he_normal")(x)
    x = layers.Dense(2 * math.prod(shape), kernel_initializer="zeros")(x)
    return keras.Model([maps, one_hot], layers.Reshape((*shape[:2], 2 * shape[2]))(x))


@keras.saving.register_keras_serializable("kerasgan")
class Couplings(ExportableModel):
    """The flow: `encode` takes maps to latents, a call takes latents [N, D] and labels [N] to maps, exactly back.

    Args:
        size: side of the maps, a multiple of 2 ** scales.
        channels: of the maps.
        scales: how often the maps are halved, with `depth` couplings after each time.
        depth: a multiple of 4: two masks, each with its complement.
        width: channels of the couplings' networks; the dense ones, those after the last halving, have 8 times as many.
        classes: number of labels.
    """

    def __init__(
        self, size=28, channels=1, *, scales=2, depth=4, width=64, classes=10, name="flow"
    ):
        super().__init__(name=name)
        if scales < 1 or size % 2**scales:
            raise ValueError(
                f"size must be a multiple of 2 ** scales, at least 2; received {size} and {scales} scales"
            )
        if depth < 4 or depth % 4:
            raise ValueError(
                f"depth must be a multiple of 4 (two masks and their complements); received {depth}"
            )
        self.size, self.channels, self.scales = size, channels, scales
        self.depth, self.width, self.classes = depth, width, classes
        self.latent_dim = size * size * channels
        shape = (1, size, size, channels)
        self.mean = self.add_weight(shape, "zeros", trainable=False, name="mean")
        self.deviation = self.add_weight(shape, "ones", trainable=False, name="deviation")
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

    def get_config(self):
        own = ("size", "channels", "scales", "depth", "width", "classes", "name")
        return {name: getattr(self, name) for name in own}

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def adapt(self, x):
        """Takes mean and deviation of each place from maps [N, H, W, C]: data-dependent, as Glow's first values."""
        self.mean.assign(np.mean(x, axis=0, keepdims=True))
        self.deviation.assign(np.std(x, axis=0, keepdims=True) + 1e-3)

    def encode(self, x, labels):
        """Maps [N, H, W, C] -> latents [N, D], and the logarithm of the Jacobian's determinant, [N]."""
        one_hot = ops.one_hot(labels, self.classes)
        x = (ops.convert_to_tensor(x) - self.mean) / self.deviation
        log_determinant = -ops.sum(ops.log(self.deviation))
        for index in range(len(self.couplings)):
            if index % self.depth == 0:
                x = squeeze(x)
            log_scale, shift = self._scale_and_shift(index, x, one_hot)
            x = x * ops.exp(log_scale) + shift
            log_determinant = log_determinant + ops.sum(
                log_scale, axis=(1, 2, 3)
            )  # of each sample: [N]
        return ops.reshape(x, (-1, self.latent_dim)), log_determinant

    def call_inputs(self):
        latents = keras.InputSpec(shape=(None, self.latent_dim), dtype="float32")
        return [latents, keras.InputSpec(shape=(None,), dtype="int32")]

    def call(self, inputs):
        latents, labels = full_precision(inputs)  # a Jacobian's determinant needs all digits
        one_hot = ops.one_hot(labels, self.classes)
        x = ops.reshape(latents, (-1, *self._masks[-1].shape[1:]))
        for index in reversed(range(len(self.couplings))):
            log_scale, shift = self._scale_and_shift(index, x, one_hot)
            x = (x - shift) * ops.exp(-log_scale)
            if index % self.depth == 0:
                x = unsqueeze(x)
        return x * ops.cast(self.deviation, "float32") + ops.cast(self.mean, "float32")

    def compute_output_shape(self, input_shape):
        return (input_shape[0][0], self.size, self.size, self.channels)

    def _scale_and_shift(self, index, x, one_hot):
        kept = ops.convert_to_tensor(self._masks[index])
        scales_and_shifts = full_precision(self.couplings[index]([x * kept, one_hot]))
        log_scale, shift = ops.split(scales_and_shifts, 2, axis=-1)
        return ops.tanh(log_scale) * (1 - kept), shift * (1 - kept)


def mask(shape, index):
    """What coupling `index` keeps of squeezed maps: float32 [1, H, W, C] of 0 and 1.

    In turn: one diagonal of each 2 x 2 block, the other, every second block, the others.
    """
    height, width, channels = shape
    places = np.arange(channels) // (channels // 4)  # of a channel in its block, see `squeeze`
    diagonal = (places // 2 + places % 2) % 2 + np.zeros((height, width, 1))
    blocks = np.add.outer(np.arange(height), np.arange(width))[:, :, None] % 2 + np.zeros(channels)
    kept = (diagonal, blocks)[index // 2 % 2]
    return (kept if index % 2 == 0 else 1 - kept)[None].astype("float32")


def squeeze(x):
    """[N, H, W, C] -> [N, H / 2, W / 2, 4 C]: the four pixels of each block beside each other (section 3.6)."""
    _, height, width, channels = x.shape
    x = ops.reshape(x, (-1, height // 2, 2, width // 2, 2, channels))
    return ops.reshape(
        ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, height // 2, width // 2, 4 * channels)
    )


def unsqueeze(x):
    """`squeeze`, back."""
    _, height, width, channels = x.shape
    x = ops.reshape(x, (-1, height, width, 2, 2, channels // 4))
    return ops.reshape(
        ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, 2 * height, 2 * width, channels // 4)
    )


# === Model ===


@keras.saving.register_keras_serializable("kerasgan")
def normal_log_prob(latents):
    """log N(z; 0, 1) of each sample's numbers together: [N, D] -> [N]."""
    latents = ops.cast(latents, "float32")
    return -(ops.sum(ops.square(latents), axis=-1) + latents.shape[-1] * math.log(2 * math.pi)) / 2


@keras.saving.register_keras_serializable("kerasgan")
class RealNVP(AdversarialModel):
    """A flow from small images to normal latents, trained by maximum likelihood.

    Data: `(images [N, H, W, C] float in [-1, 1], labels [N] integers)`, taken as the 256 levels of 8 bits. Each level
    is spread evenly over its width, anew in each step: the density's mean is then a lower bound of the level's
    probability (Theis et al., arXiv 1511.01844, section 3.1).

    Whatever it is trained with, it reports `bits_per_dimension` as they should be: what coding a pixel takes, 8 for
    noise.

    Args:
        flow: a `Couplings`.
        prior: `latents [N, D] -> [N]`, the log-density that training asks for.
        seed: of the spread in training.

    Example:
        model = RealNVP()
        model.adapt(load_digits("train")[0])
        model.compile(flow=keras.optimizers.Adam(1e-3))
        model.fit(Batches(*load_digits("train"), batch_size=64), epochs=40)
        model.sample(labels=[3, 1, 4]), model.log_prob(*load_digits("test")).mean()
    """

    conditioning = "labels"
    players = ("flow",)
    reports = ("bits_per_dimension",)

    def __init__(self, flow=None, *, prior=normal_log_prob, seed=0, name=None):
        super().__init__(name=name)
        self.flow, self.prior = flow or Couplings(), prior
        self.seed = check_seed(seed)
        self.seeds = keras.random.SeedGenerator(self.seed)
        self.classes, self.latent_dim = self.flow.classes, self.flow.latent_dim
        self.image_shape = (self.flow.size, self.flow.size, self.flow.channels)
        self.built = True

    def get_config(self):
        objects = {
            name: keras.saving.serialize_keras_object(getattr(self, name))
            for name in ("flow", "prior")
        }
        return objects | {"seed": self.seed, "name": self.name}

    @classmethod
    def from_config(cls, config):
        read = keras.saving.deserialize_keras_object
        return cls(
            **{
                key: read(value) if key in ("flow", "prior") else value
                for key, value in config.items()
            }
        )

    def checkpoint_networks(self):
        return {"G": self.flow}

    # === Training ===

    def adapt(self, images):
        """Before training: takes the mean and deviation of each pixel's logit from images [N, H, W, C]."""
        self.flow.adapt(
            ops.convert_to_numpy(_spread(check_images(images, self.image_shape), self.seed)[0])
        )

    def _encode(self, images, labels, seed):
        """Latents [N, D] of images spread over their levels, and the log-determinant of all that was done, [N]."""
        x, spread = _spread(images, seed)
        latents, log_determinant = self.flow.encode(x, labels)
        return latents, log_determinant + spread - self.latent_dim * math.log(256)

    def _pass(self, data):
        latents, log_determinant = self._encode(*data, self.seeds)
        bits = self._bits(normal_log_prob(latents) + log_determinant)
        return -ops.mean(self.prior(latents) + log_determinant), ops.mean(bits)

    def _bits(self, log_prob):
        return -log_prob / (self.latent_dim * math.log(2))

    def train_step(self, data):
        _, bits = self.minimize("flow", lambda: self._pass(data))
        return self.report(bits_per_dimension=bits)

    def test_step(self, data):
        return self.report(bits_per_dimension=self._pass(data)[1])

    # === Use ===

    def call(self, inputs, training=False):
        """Images of `[latents, labels]`, as `sample` draws them."""
        return _images(self.flow(inputs))

    def call_inputs(self):
        return self.flow.call_inputs()

    def log_prob(self, images, labels, seed=0, batch_size=250):
        """Log-density, in nats, of images [N, H, W, C] in [-1, 1] on the scale of their 256 levels.

        Args:
            labels: integers [N].
            seed: of the spread over the levels.
            batch_size: images computed at a time.

        Returns:
            float32 array [N], one number an image.
        """
        images, labels = check_images(images, self.image_shape), np.asarray(labels)
        self.check_labels(labels)
        seeds, found = keras.random.SeedGenerator(check_seed(seed)), []
        for start in range(0, len(images), batch_size):
            rows = slice(start, start + batch_size)
            latents, log_determinant = self._encode(
                images[rows], labels[rows].astype("int32"), seeds
            )
            found.append(ops.convert_to_numpy(normal_log_prob(latents) + log_determinant))
        return np.concatenate(found)

    def bits_per_dimension(self, images, labels, seed=0):
        """What coding a pixel of the images takes, on average; `log_prob` on another scale."""
        return float(np.mean(self._bits(self.log_prob(images, labels, seed))))

    def sample(self, n=None, labels=None, seed=None, batch_size=250, temperature=1.0):
        """Draws latents and takes them back to images.

        Args:
            n: number of images; their labels go round the classes. Or give `labels`, a list of integers [N].
            seed: an integer; the same seed gives the same images on the same backend. None draws new ones.
            batch_size: images computed at a time; it does not change them.
            temperature: deviation of the latents; less than 1 draws likelier images, and less various ones.

        Returns:
            float32 array [N, H, W, C] in [-1, 1], of 256 levels.

        Raises:
            ValueError: neither or both of `n` and `labels`, or a label that is not a class.
        """
        labels = self.labels_to_sample(n, labels)
        latents = keras.random.normal(
            (len(labels), self.latent_dim), stddev=temperature, seed=check_seed(seed)
        )
        inputs = [ops.convert_to_numpy(latents), labels.astype("int32")]
        x = self.flow.predict(inputs, batch_size=batch_size, verbose=0)
        return np.array(ops.convert_to_numpy(_images(x)))

    @property
    def evaluation_protocol(self) -> str | None:
        return "digits" if self.image_shape == (28, 28, 1) and self.classes == 10 else None

    def data_spec(self):
        return DataSpec((Images(self.image_shape), Labels(self.classes)))


def _images(x):
    """Logits as of `logits` -> images of 256 levels."""
    ink = (ops.sigmoid(ops.clip(ops.cast(x, "float32"), -20.0, 20.0)) - MARGIN) / (1 - 2 * MARGIN)
    return ops.clip(ops.floor(256.0 * ink), 0.0, 255.0) / 127.5 - 1.0


def _spread(images, seed):
    """Images as 8 bits, each level spread over its width -> the logits of `logits`."""
    levels = ops.round((ops.convert_to_tensor(images) + 1.0) * 127.5)
    return logits((levels + keras.random.uniform(ops.shape(levels), seed=seed)) / 256)


def logits(ink):
    """Values in [0, 1] -> logit of the same a margin away from 0 and 1, and the log-determinant [N] (section 4.1)."""
    squeezed = MARGIN + (1 - 2 * MARGIN) * ops.convert_to_tensor(ink)
    x = ops.log(squeezed) - ops.log(1 - squeezed)
    slopes = math.log(1 - 2 * MARGIN) - ops.log(squeezed) - ops.log(1 - squeezed)
    return x, ops.sum(slopes, axis=tuple(range(1, len(ink.shape))))
