"""StyleGAN2 (Karras et al., Analyzing and Improving the Image Quality of StyleGAN, arXiv 1912.04958), in the form in
which StylEx (Lang et al., Explaining in Style, arXiv 2104.13369) was reproduced on it.

A mapping network turns latents into styles w; a generator of modulated convolutions draws from them, each layer by one
affine map of w, its *style vector*, whose coordinates can be changed one by one (`Generator.draw`); a residual
discriminator judges.

Differences from the paper:
- networks are the reproduction's, to the parameter (`REPRODUCTION` has its losses too): bilinear doubling, blur by
  [1, 2, 1] / 4, one map of uniform noise for all layers, Kaiming's initial weights, an equalised learning rate in the
  mapping alone (whose `form` is a choice), no activation behind the discriminator's last convolution;
- Adam is not corrected for lazy penalties;
- the same fakes serve both phases, for one forward of the generator in place of two;
- path lengths are of the whole batch; there, of half, to save memory.

Differences from the reproduction:
- images are in [-1, 1], there in [0, 1]; logits are high for real, there low;
- the noise map is not transposed, and biases start at 0;
- styles are mixed, or not, sample by sample; there, one choice a batch;
- with classes, reals are judged with their own labels; there, with those of another batch.
"""

import math

import keras
import numpy as np
from keras import layers, ops

from kerasgan import backend
from kerasgan.arguments import check_seed
from kerasgan.data_spec import DataSpec, Ignored, Images, Labels
from kerasgan.ema import ema_copy
from kerasgan.io.export import ExportableModel
from kerasgan.layers.conv3x3 import Conv3x3
from kerasgan.layers.minibatch_deviation import MinibatchDeviation
from kerasgan.layers.modulated_conv import ModulatedConv2D
from kerasgan.losses import adversarial, penalties
from kerasgan.ops.precision import full_precision
from kerasgan.ops.resample import blur, upsample, upsample_blur
from kerasgan.training import AdversarialModel

# What differs in the reproduction from `StyleGAN2`'s defaults, the paper's: there, penalties of weights 10 and 1 come
# every 4th and every 32nd step and do not stand for the steps between; and its average moves every 10th step.
REPRODUCTION = {
    "discriminator_loss": adversarial.hinge_discriminator_loss,
    "generator_loss": adversarial.hinge_generator_loss,
    "penalty": penalties.unit_gradient_norm,
    "penalty_weight": 10 / 4,
    "penalty_every": 4,
    "path_weight": 1 / 32,
    "path_every": 32,
    "path_start": 5000,
    "average": 0.995,
}

# === Generator ===


def kaiming():
    return keras.initializers.VarianceScaling(2.0, "fan_in", "untruncated_normal")


@keras.saving.register_keras_serializable("kerasgan")
class EqualDense(layers.Layer):
    """A dense layer whose weights and biases are multiplied by `rate` as they are used: with Adam, that many times
    their learning rate.

    Args:
        units: numbers out.
        rate: 0.01 in the paper, 0.1 in the reproduction.
        gain: what deviation outputs have, at first, of inputs that have 1, whatever their number. None: weights begin
            as N(0, 1), as in the reproduction, so that outputs are `rate` times the length of the inputs.
    """

    def __init__(self, units, rate=0.1, gain=None, **arguments):
        super().__init__(**arguments)
        self.units, self.rate, self.gain = units, rate, gain

    def build(self, input_shape):
        normal = keras.initializers.RandomNormal(0.0, 1.0 / self.rate if self.gain else 1.0)
        self.scale = self.rate * (self.gain / math.sqrt(input_shape[-1]) if self.gain else 1.0)
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.units), initializer=normal, name="kernel"
        )
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def call(self, inputs):
        return ops.matmul(inputs, self.kernel) * self.scale + self.bias * self.rate

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return super().get_config() | {"units": self.units, "rate": self.rate, "gain": self.gain}


def build_mapping(latent_dim=512, depth=8, form="reproduction"):
    """Latents [N, latent_dim], of which only the direction counts -> w [N, latent_dim].

    Args:
        latent_dim, depth: numbers and layers.
        form: "paper": the root mean square of w is 1 at first, whatever the numbers and layers; over latents alone, w
            have a deviation of 0.5 (8 layers) to 0.7 (4). "reproduction": 2 and 1 of 512 numbers and 8 layers, but 0.2
            and 0.1 of 256, 0.04 and 0.03 of 128 and 4 layers: there w fade, and samples of latents are all alike.
    """
    if form not in ("paper", "reproduction"):
        raise ValueError(f"the mapping's form must be paper or reproduction; received {form!r}")
    rate = {"rate": 0.01, "gain": math.sqrt(2.0)} if form == "paper" else {}
    unit = [
        layers.UnitNormalization(),
        *([layers.Rescaling(math.sqrt(latent_dim))] if rate else []),
    ]
    dense = [
        layer
        for _ in range(depth)
        for layer in (EqualDense(latent_dim, **rate), layers.LeakyReLU(0.2))
    ]
    return keras.Sequential([keras.Input((latent_dim,)), *unit, *dense], name="mapping")


@keras.saving.register_keras_serializable("kerasgan")
class StyleLayer(layers.Layer):
    """Maps [N, H, W, C], a style vector [N, C] and noise [N, >= H, >= W, 1] -> maps [N, H, W, channels_out].

    A modulated convolution of 3 x 3, noise and bias a channel, a leaky ReLU. `affine(w)` makes the style vector.
    """

    def __init__(self, channels_in, channels_out, style_dim, **arguments):
        super().__init__(**arguments)
        self.channels_in, self.channels_out, self.style_dim = channels_in, channels_out, style_dim
        self.affine = affine(style_dim, channels_in)
        self.convolution = ModulatedConv2D(channels_out)
        self.convolution.build([(None, None, None, channels_in), (None, channels_in)])
        self.noise_scale = self.add_weight(
            shape=(channels_out,), initializer="zeros", name="noise_scale"
        )
        self.bias = self.add_weight(shape=(channels_out,), initializer="zeros", name="bias")
        self.built = True

    def call(self, maps, style, noise):
        height, width = maps.shape[1:3]
        x = self.convolution([maps, style])
        return ops.leaky_relu(x + (noise[:, :height, :width] * self.noise_scale + self.bias), 0.2)

    def get_config(self):
        own = ("channels_in", "channels_out", "style_dim")
        return super().get_config() | {name: getattr(self, name) for name in own}


def affine(style_dim, channels):
    """The built dense layer from w to a style vector."""
    layer = layers.Dense(channels, kernel_initializer=kaiming())
    layer.build((None, style_dim))
    return layer


@keras.saving.register_keras_serializable("kerasgan")
class Generator(ExportableModel):
    """Styles w [N, blocks, style_dim] and noise [N, size, size, 1] -> images [N, size, size, channels], about [-1, 1].

    There is no tanh at the end, so images may leave the range. A block of two style layers and a map to colours draws
    at 4 x 4 pixels, the next at 8 x 8, ... and the pictures of all blocks are added.

    Args:
        size: of the images, a power of two from 8.
        channels: of the images.
        capacity: channels of the last block are twice this, those of the one before twice as many ...
        max_channels: ... up to this.
        latent_dim: numbers of a latent, and of w.
        depth: dense layers of the mapping.
        mapping_form: see `build_mapping`.
        conditions: numbers that are appended to w in each layer, such as a class as one-hot.

    Attributes:
        mapping: the mapping network, latents -> w.
        blocks: number of blocks, log2(size) - 1, each with a w of its own.
        style_dim: latent_dim + conditions.
        style_sizes: length of each style vector, two a block; `sum(style_sizes)` coordinates in all.
        style_names: such as "8x8_2", the second layer at 8 x 8 pixels.
    """

    def __init__(
        self,
        size,
        channels=3,
        *,
        capacity=16,
        max_channels=512,
        latent_dim=512,
        depth=8,
        mapping_form="reproduction",
        conditions=0,
        name="generator",
    ):
        super().__init__(name=name)
        self.blocks = check_size(size) - 1
        self.size, self.channels, self.capacity, self.max_channels = (
            size,
            channels,
            capacity,
            max_channels,
        )
        self.latent_dim, self.depth, self.mapping_form, self.conditions = (
            latent_dim,
            depth,
            mapping_form,
            conditions,
        )
        self.style_dim = latent_dim + conditions
        widths = [min(capacity * 2 ** (i + 1), max_channels) for i in reversed(range(self.blocks))]
        self.mapping = build_mapping(latent_dim, depth, mapping_form)
        normal = keras.initializers.RandomNormal(0.0, 1.0)
        self.constant = self.add_weight(
            shape=(4, 4, widths[0]), initializer=normal, name="constant"
        )
        self.first = layers.Conv2D(widths[0], 3, padding="same", kernel_initializer=kaiming())
        self.first.build((None, 4, 4, widths[0]))
        pairs = [
            pair
            for i, o in zip([widths[0], *widths], widths, strict=False)
            for pair in ((i, o), (o, o))
        ]
        self.style_sizes = [channels_in for channels_in, _ in pairs]
        self.style_names = [
            f"{4 * 2**b}x{4 * 2**b}_{k}" for b in range(self.blocks) for k in (1, 2)
        ]
        self.style_layers = [StyleLayer(*pair, self.style_dim) for pair in pairs]
        self.colour_affines = [affine(self.style_dim, width) for width in widths]
        self.colour_layers = [ModulatedConv2D(channels, 1, demodulate=False) for _ in widths]
        for layer, width in zip(self.colour_layers, widths, strict=True):
            layer.build([(None, None, None, width), (None, width)])
        self.built = True

    def get_config(self):
        own = (
            "size",
            "channels",
            "capacity",
            "max_channels",
            "latent_dim",
            "depth",
            "mapping_form",
            "conditions",
            "name",
        )
        return {name: getattr(self, name) for name in own}

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def call_inputs(self):
        shapes = ((self.blocks, self.style_dim), (self.size, self.size, 1))
        return [keras.InputSpec(shape=(None, *shape), dtype="float32") for shape in shapes]

    def call(self, inputs):
        w, noise = inputs
        return self.draw(*self.styles(w), noise)

    def compute_output_shape(self, input_shape):
        return (input_shape[0][0], self.size, self.size, self.channels)

    def styles(self, w):
        """The vectors that w [N, blocks, style_dim] becomes: two lists of [N, channels].

        Returns:
            `(styles, colours)`: the style vectors, `style_sizes` long, and those of the maps to colours, one a block.
            A StyleSpace coordinate is a place in the former.
        """
        w = ops.unstack(w, self.blocks, axis=1)
        styles = [layer.affine(w[index // 2]) for index, layer in enumerate(self.style_layers)]
        return styles, [layer(each) for layer, each in zip(self.colour_affines, w, strict=True)]

    def draw(self, styles, colours, noise, state=None, first=0):
        """Images of style vectors; of some that differ from layer `first` on only, with the `state` before it.

        Args:
            styles, colours: as from `styles`, perhaps changed.
            noise: [N, size, size, 1], uniform in [0, 1).
            state: as from `step`, before layer `first`; None is the beginning.
            first: index of the first style layer to run.

        Returns:
            [N, size, size, channels].
        """
        state = self.begin(ops.shape(noise)[0]) if state is None else state
        for index in range(first, len(styles)):
            state = self.step(state, index, styles, colours, noise)
        return state[1]

    def begin(self, count):
        """The state before the first layer: maps [count, 4, 4, C], the learned constant, and an empty picture."""
        maps = self.first(ops.expand_dims(self.constant, 0))
        return ops.tile(maps, (count, 1, 1, 1)), ops.zeros((count, 4, 4, self.channels), maps.dtype)

    def step(self, state, index, styles, colours, noise):
        """The state, maps and picture, after style layer `index`; the second layer of a block adds to the picture."""
        maps, picture = state
        block, second = divmod(index, 2)
        if block and not second:
            maps = upsample(maps)
        maps = self.style_layers[index](
            maps, styles[index], noise
        )  # [N, 4, 4, C], [N, 8, 8, C] ...
        if second:
            picture = picture + self.colour_layers[block]([maps, colours[block]])
            if block + 1 < self.blocks:
                picture = upsample_blur(picture)
        return maps, picture


# === Discriminator ===


@keras.saving.register_keras_serializable("kerasgan")
class ResidualBlock(layers.Layer):
    """Maps [N, H, W, C] -> [N, H / 2, W / 2, channels]: two convolutions and a third of stride 2 behind a blur, and a
    convolution of 1 x 1 beside them; their sum keeps the variance. Without `down` the map keeps its size.

    Args:
        channels: of the maps out.
        down: whether to halve.
    """

    def __init__(self, channels, down=True, **arguments):
        super().__init__(**arguments)
        self.channels, self.down = channels, down
        self.beside = layers.Conv2D(channels, 1, 2 if down else 1, kernel_initializer=kaiming())
        self.one, self.other = (Conv3x3(channels, kernel_initializer=kaiming()) for _ in range(2))
        self.halve = layers.Conv2D(channels, 3, 2, kernel_initializer=kaiming()) if down else None

    def build(self, input_shape):
        self.beside.build(input_shape)
        self.one.build(input_shape)
        for layer in (self.other, self.halve) if self.down else (self.other,):
            layer.build((*input_shape[:-1], self.channels))

    def call(self, maps):
        x = ops.leaky_relu(self.one(maps), 0.2)
        x = ops.leaky_relu(self.other(x), 0.2)
        if self.down:
            x = self.halve(
                blur(x, margin=1)
            )  # the margin is the convolution's padding: "same" would pad one side only
        return (x + self.beside(maps)) * math.sqrt(0.5)

    def compute_output_shape(self, input_shape):
        sides = [side // 2 if self.down else side for side in input_shape[1:3]]
        return (input_shape[0], *sides, self.channels)

    def get_config(self):
        return super().get_config() | {"channels": self.channels, "down": self.down}


def residual_trunk(images, capacity=16, max_channels=512):
    """Images [N, size, size, C], a Keras tensor -> features [N, F]: the discriminator, and StylEx' encoder, up to their
    last layer. Channels are 4, 8, 16 ... times `capacity`, up to `max_channels`."""
    blocks, x = check_size(images.shape[1]), images
    for index in range(blocks):
        channels = min(4 * capacity * 2**index, max_channels)
        x = ResidualBlock(channels, down=index + 1 < blocks)(
            x
        )  # [N, size / 2, size / 2, C] ... [N, 2, 2, C] twice
    return layers.Flatten()(
        layers.Conv2D(channels, 3, padding="same", kernel_initializer=kaiming())(x)
    )


def build_discriminator(
    size, channels=3, *, capacity=16, max_channels=512, conditions=0, group=None
):
    """Images [N, size, size, channels] -> logits [N, 1], high for real.

    Args:
        capacity, max_channels: as in `residual_trunk`.
        conditions: K, to judge `[images, conditions [N, K]]` in their place: a logit for each condition, and their
            sum weighted by them.
        group: samples compared by `MinibatchDeviation` before the last layer (4 in the paper); None leaves it out, as
            the reproduction does.
    """
    images = keras.Input((size, size, channels), name="images")
    features = residual_trunk(images, capacity, max_channels)
    if group:
        features = MinibatchDeviation(group)(features)
    logits = layers.Dense(conditions or 1, kernel_initializer=kaiming())(features)
    if not conditions:
        return keras.Model(images, logits, name="discriminator")
    weights = keras.Input((conditions,), name="conditions")
    return keras.Model([images, weights], layers.Dot(1)([logits, weights]), name="discriminator")


def check_size(size):
    """log2 of the size of images."""
    if size < 8 or size & (size - 1):
        raise ValueError(f"size must be a power of two from 8; received {size}")
    return size.bit_length() - 1


# === Model ===


@keras.saving.register_keras_serializable("kerasgan")
class StyleGAN2(AdversarialModel):
    """StyleGAN2 on images, with or without classes.

    Data: images [N, H, W, C] float in [-1, 1], or `(images, labels [N] integers)`; without conditions the labels are
    ignored, with them the fakes of a step get its labels.

    Args:
        generator: a `Generator`; its `conditions` are the classes, 0 for none.
        discriminator: as from `build_discriminator`, of as many conditions.
        discriminator_loss: `(real_logits, fake_logits, labels) -> scalar`.
        generator_loss: `(fake_logits, labels) -> scalar`.
        penalty: of the discriminator's slope at the real images, `losses.penalties.squared_gradient_norm` (R1) or `unit_gradient_norm`.
        penalty_weight: of the penalty, gamma / 2 of R1 (10 / 2 in the paper); 0 is none.
        penalty_every: discriminator updates from one penalty to the next, which weighs as much as all of them.
        path_weight: of path-length regularisation; 0 is none.
        path_every: generator updates from one to the next, which weighs as much as all of them.
        path_start: generator updates before the first.
        mixing: share of samples of two latents, one for the layers up to a random block, one for those after it.
        augment: `(images, seed) -> images`, for all that the discriminator sees, such as `ops.augment.translate`.
        average: decay of the generator's exponential moving average, which `sample` then uses; None is none.
        seed: of all noise in training.

    Example:
        gan = StyleGAN2(Generator(32, capacity=4), build_discriminator(32, capacity=4))
        adam = lambda: keras.optimizers.Adam(2e-3, beta_1=0.0, beta_2=0.99)
        gan.compile(generator=adam(), discriminator=adam())
        gan.fit(images, batch_size=32, epochs=100)
        gan.sample(16, truncation=0.7)
    """

    reports = (
        "generator_loss",
        "discriminator_loss",
        "penalty",
        "path_penalty",
        "path_length",
        "real_accuracy",
        "fake_accuracy",
    )
    ema_networks = {"ema_generator": "generator"}

    def __init__(
        self,
        generator,
        discriminator,
        *,
        discriminator_loss=adversarial.logistic_discriminator_loss,
        generator_loss=adversarial.nonsaturating_generator_loss,
        penalty=penalties.squared_gradient_norm,
        penalty_weight=5.0,
        penalty_every=16,
        path_weight=2.0,
        path_every=4,
        path_start=0,
        mixing=0.9,
        augment=None,
        average=0.998,
        seed=0,
        name=None,
    ):
        super().__init__(name=name)
        self.generator, self.discriminator = generator, discriminator
        self.discriminator_loss, self.generator_loss = discriminator_loss, generator_loss
        self.penalty, self.penalty_weight, self.penalty_every = (
            penalty,
            penalty_weight,
            penalty_every,
        )
        self.path_weight, self.path_every, self.path_start = path_weight, path_every, path_start
        self.mixing, self.augment, self.ema_decay = mixing, augment, average
        self.ema_generator = ema_copy(generator) if average else None
        self.seed = check_seed(seed)
        self.seeds = keras.random.SeedGenerator(self.seed)
        self.conditions, self.latent_dim = generator.conditions, generator.latent_dim
        self.classes = generator.conditions or 1
        self.image_shape = (generator.size, generator.size, generator.channels)
        # Mean path length so far; 0 before the first.
        self.path_mean = self.add_weight(
            shape=(), initializer="zeros", trainable=False, name="path_mean"
        )
        self._check()
        self.built = True

    def _check(self):
        taken = [tuple(x.shape[1:]) for x in self.discriminator.inputs]
        given = [self.image_shape, (self.conditions,)] if self.conditions else [self.image_shape]
        if taken != given:
            raise ValueError(
                f"discriminator must take {given}, what the generator makes and takes; received {taken}"
            )
        for name in ("penalty_every", "path_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; received {getattr(self, name)}")
        if not 0 <= self.mixing <= 1:
            raise ValueError(f"mixing must be in [0, 1]; received {self.mixing}")

    def get_config(self):
        nested = (
            "generator",
            "discriminator",
            "discriminator_loss",
            "generator_loss",
            "penalty",
            "augment",
        )
        plain = (
            "penalty_weight",
            "penalty_every",
            "path_weight",
            "path_every",
            "path_start",
            "mixing",
            "seed",
            "name",
        )
        config = {name: keras.saving.serialize_keras_object(getattr(self, name)) for name in nested}
        return config | {name: getattr(self, name) for name in plain} | {"average": self.ema_decay}

    @classmethod
    def from_config(cls, config):
        return cls(
            **{key: keras.saving.deserialize_keras_object(value) for key, value in config.items()}
        )

    def checkpoint_networks(self):
        return {"G": self.ema_generator or self.generator, "D": self.discriminator}

    # === Training ===

    def random_latents(self, count):
        return keras.random.normal((count, self.latent_dim), seed=self.seeds)

    def random_noise(self, count):
        return keras.random.uniform((count, *self.image_shape[:2], 1), seed=self.seeds)

    def random_directions(self, count):
        return keras.random.normal((count, *self.image_shape), seed=self.seeds)

    def random_crossovers(self, count):
        """The block [count] from which on a sample has its second latent's style; one beyond the last where it has
        none. (At block 0 it has no first one.)"""
        blocks = self.generator.blocks
        mixed = keras.random.uniform((count,), seed=self.seeds) < self.mixing
        return ops.where(mixed, keras.random.randint((count,), 0, blocks, seed=self.seeds), blocks)

    def random_styles(self, count, conditions=None):
        """Styles [count, blocks, style_dim] of fresh latents, mixed."""
        generator = self.generator
        if self.mixing:
            both = ops.reshape(
                generator.mapping(self.random_latents(2 * count)), (2, count, 1, self.latent_dim)
            )
            first = (
                ops.arange(generator.blocks)[None, :] < self.random_crossovers(count)[:, None]
            )  # [N, blocks]
            w = ops.where(first[..., None], both[0], both[1])
        else:
            w = ops.repeat(
                generator.mapping(self.random_latents(count))[:, None], generator.blocks, axis=1
            )
        return self.with_conditions(w, conditions)

    def with_conditions(self, w, conditions):
        """w [N, blocks, latent_dim] with the conditions [N, K], if any, at each block's end."""
        if conditions is None:
            return w
        conditions = ops.repeat(
            ops.cast(conditions, w.dtype)[:, None], self.generator.blocks, axis=1
        )
        return ops.concatenate([w, conditions], axis=-1)

    def label_conditions(self, labels):
        """What generator and discriminator are told: the class as one-hot [N, classes], or None."""
        return ops.one_hot(ops.cast(labels, "int32"), self.conditions) if self.conditions else None

    def discriminate(self, images, conditions=None, training=True):
        """The discriminator's logits [N, 1], of augmented images if the model augments."""
        if self.augment and training:
            images = self.augment(images, self.seeds)
        logits = self.discriminator(
            images if conditions is None else [images, conditions], training=training
        )
        return full_precision(logits)

    def gradient_penalty(self, real, conditions=None):
        """The penalty of the discriminator's slope at real images, not weighted."""
        return self.penalty(
            self.input_gradient(lambda x: self.discriminate(x, conditions), real, "discriminator")
        )

    def path_penalty(self, w, noise):
        """How far path lengths at w [N, blocks, style_dim] are from their mean so far, squared; moves that mean.

        A path length is |d <images, y> / dw|, y ~ N(0, 1) over the root of the pixels' number (conditions are part of
        w). There is no penalty before there is a mean.
        """
        y = self.random_directions(ops.shape(w)[0]) / self.image_shape[0]
        drawn = lambda w: ops.cast(self.generator([w, noise]), "float32")  # noqa: E731
        lengths = penalties.path_lengths(
            self.input_gradient(lambda w: drawn(w) * y, w, "generator")
        )
        before, now = self.path_mean, ops.stop_gradient(ops.mean(lengths))
        known = before > 0
        penalty = ops.where(known, ops.mean(ops.square(lengths - before)), 0.0)
        self.path_mean.assign(ops.where(known, before + 0.01 * (now - before), now))
        return penalty

    def lazy_path_penalty(self, styles, noise):
        """`path_penalty` of w = `styles()` in each `path_every`-th update of the generator from `path_start` on,
        otherwise 0."""
        if not self.path_weight:
            return ops.zeros((), "float32")
        steps = self.optimizer["generator"].iterations
        due = ops.logical_and(
            ops.equal(ops.mod(steps, self.path_every), 0), steps >= self.path_start
        )
        return backend.cond(
            due, lambda: self.path_penalty(styles(), noise), lambda: ops.zeros((), "float32")
        )

    def move_discriminator(self, real, fake, conditions=None, labels=None):
        """A step of the discriminator; its numbers for the report."""
        weight = self.penalty_weight * self.penalty_every

        def objective():
            real_logits, fake_logits = (
                self.discriminate(real, conditions),
                self.discriminate(fake, conditions),
            )
            loss, penalty = (
                self.discriminator_loss(real_logits, fake_logits, labels),
                ops.zeros((), "float32"),
            )
            if weight:
                slope = lambda: self.gradient_penalty(real, conditions)  # noqa: E731
                penalty = (
                    self.lazy_regularization(self.penalty_every, "discriminator", slope) * weight
                )
            return loss + penalty, (loss, penalty, real_logits, fake_logits)

        _, (loss, penalty, real_logits, fake_logits) = self.minimize("discriminator", objective)
        return {"discriminator_loss": loss, "penalty": penalty} | self.accuracies(
            real_logits, fake_logits
        )

    def train_step(self, data):
        real, labels = data if isinstance(data, tuple) else (data, None)
        conditions, count = self.label_conditions(labels), ops.shape(real)[0]

        def drawn():
            w, noise = self.random_styles(count, conditions), self.random_noise(count)
            return self.generator([w, noise], training=True), self.lazy_path_penalty(
                lambda: w, noise
            )

        def generator_objective(fake):
            return self.generator_loss(self.discriminate(fake, conditions), labels)

        (fake, path_penalty), pull = self.vjp("generator", drawn)
        path_weight = self.path_weight * self.path_every
        judged = self.move_discriminator(real, fake, conditions, labels)
        g_loss, slope = self.value_and_input_gradient(generator_objective, fake, "generator")
        self.apply_gradients(
            "generator", pull((slope, ops.convert_to_tensor(path_weight, dtype="float32")))
        )
        if self.ema_generator:
            self.update_ema(self.ema_generator, self.generator, self.ema_decay)
        return self.report(
            generator_loss=g_loss,
            path_penalty=path_penalty * path_weight,
            path_length=self.path_mean,
            **judged,
        )

    def test_step(self, data):
        real, labels = data if isinstance(data, tuple) else (data, None)
        conditions, count = self.label_conditions(labels), ops.shape(real)[0]
        fake = self.generator(
            [self.random_styles(count, conditions), self.random_noise(count)], training=False
        )
        fake_logits = self.discriminate(fake, conditions, training=False)
        real_logits = self.discriminate(real, conditions, training=False)
        return self.report(
            generator_loss=self.generator_loss(fake_logits, labels),
            discriminator_loss=self.discriminator_loss(real_logits, fake_logits, labels),
            **self.accuracies(real_logits, fake_logits),
        )

    def accuracies(self, real_logits, fake_logits):
        """Shares of reals taken for real and of fakes taken for fake."""
        right = {"real_accuracy": real_logits > 0, "fake_accuracy": fake_logits <= 0}
        return {name: ops.mean(ops.cast(value, "float32")) for name, value in right.items()}

    # === Use ===

    def call(self, inputs, training=False):
        """Images of `[styles w, noise]`, as `sample` draws them: clipped to [-1, 1]."""
        return ops.clip(
            (self.ema_generator or self.generator)(inputs, training=training), -1.0, 1.0
        )

    def call_inputs(self):
        return self.generator.call_inputs()

    def mean_style(self, samples=2048):
        """The mean of w over latents, [latent_dim]: the centre of truncation. The same whenever it is asked for."""
        latents = np.random.default_rng(0).standard_normal((samples, self.latent_dim), "float32")
        return np.array(
            ops.convert_to_numpy(
                ops.mean((self.ema_generator or self.generator).mapping(latents), axis=0)
            )
        )

    def sample(self, n=None, labels=None, seed=None, truncation=1.0, batch_size=100):
        """Draws images, from the averaged generator if there is one.

        Args:
            n: number of images; their labels go round the classes. Or give `labels`, a list of integers [N].
            seed: an integer; the same seed gives the same images, and the first of more. None draws new ones.
            truncation: psi: w is moved towards its mean m, m + psi (w - m): less variety, fewer failures. 1 is none.
            batch_size: images computed at a time; it does not change them.

        Returns:
            float32 array [N, H, W, C], clipped to [-1, 1].

        Raises:
            ValueError: neither or both of `n` and `labels`, or a label that is not a class.
        """
        labels = self.labels_to_sample(n, labels)
        network = self.ema_generator or self.generator
        latent_random, noise_random = np.random.default_rng(check_seed(seed)).spawn(2)
        mean = ops.convert_to_tensor(self.mean_style()) if truncation != 1 else 0.0
        pictures = []
        for start in range(0, len(labels), batch_size):
            part = labels[start : start + batch_size]
            latents = latent_random.standard_normal((len(part), self.latent_dim), "float32")
            noise = noise_random.random((len(part), *self.image_shape[:2], 1), "float32")
            w = mean + truncation * (network.mapping(latents) - mean)
            w = self.with_conditions(
                ops.repeat(w[:, None], network.blocks, axis=1), self.label_conditions(part)
            )
            pictures.append(network.predict_on_batch([np.array(ops.convert_to_numpy(w)), noise]))
        return np.clip(np.concatenate(pictures), -1.0, 1.0).astype("float32")

    def data_spec(self):
        if self.conditions:
            return DataSpec((Images(self.image_shape), Labels(self.conditions)))
        return DataSpec((Images(self.image_shape), Ignored()), optional=1)
