"""StyleGAN2, with the networks used by the reproduction of StylEx.

Karras et al., 2020, "Analyzing and Improving the Image Quality of StyleGAN",
https://arxiv.org/abs/1912.04958. "The reproduction" below is the FACT study of StylEx (Lang et al.,
2021, "Explaining in Style", https://arxiv.org/abs/2104.13369), which is based on StyleGAN2.

A mapping network turns latents into w. One affine layer per generator layer turns w into a *style
vector*, which modulates a convolution. The style vectors together form the S space (StyleSpace).
`Generator.synthesize` generates images from style vectors, so that single style coordinates can be
edited. A residual discriminator scores the images.

**Differences from the paper**

- The networks are the reproduction's, to the parameter: bilinear upsampling, blur by
  [1, 2, 1] / 4, one map of uniform noise for all layers, Kaiming initialization, an equalized
  learning rate in the mapping network only (see `build_mapping`), no activation after the last
  convolution of the discriminator. `REPRODUCTION` also has its losses.
- Adam's parameters are not corrected for lazy regularization.
- Both updates of a step share one batch of fakes, which saves one generator pass.
- Path lengths use the whole batch; the paper uses half of it to save memory.

**Differences from the reproduction**

- Images are in [-1, 1] instead of [0, 1]. High logits mean real; there they mean fake.
- The noise map is not transposed, and biases start at 0.
- Style mixing is decided per sample; there, once per batch.
- With classes, the discriminator scores real images with their own labels; there, with the labels
  of another batch.
"""

import math
from collections.abc import Callable
from typing import Any

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
from kerasgan.ops import replicas
from kerasgan.ops.precision import full_precision
from kerasgan.ops.resample import blur, upsample, upsample_blur
from kerasgan.training import AdversarialModel

# Arguments in which the reproduction differs from the defaults of `StyleGAN2`, which are the
# paper's. The reproduction applies penalties of weights 10 and 1 at every 4th and 32nd step without
# scaling them by the interval. It updates the moving average at every 10th step.
REPRODUCTION = {
    "discriminator_loss": adversarial.hinge_discriminator_loss,
    "generator_loss": adversarial.hinge_generator_loss,
    "penalty": penalties.unit_gradient_norm,
    "penalty_weight": 10 / 4,
    "penalty_every": 4,
    "path_weight": 1 / 32,
    "path_every": 32,
    "path_start": 5000,
    "ema_decay": 0.995,
}

# === Generator ===


def kaiming() -> keras.initializers.Initializer:
    """Kaiming initialization with a normal distribution that is not truncated, as in PyTorch."""
    return keras.initializers.VarianceScaling(2.0, "fan_in", "untruncated_normal")


@keras.saving.register_keras_serializable("kerasgan")
class EqualDense(layers.Layer):
    """Dense layer with an equalized learning rate.

    The layer multiplies weights and biases by `rate` when it uses them. With Adam this multiplies
    their learning rate by `rate`.

    Args:
        units: Number of outputs.
        rate: Learning rate multiplier: 0.01 in the paper, 0.1 in the reproduction.
        gain: Initial standard deviation of the outputs for inputs of standard deviation 1,
            independent of the number of inputs. `None` initializes the weights from N(0, 1), as in
            the reproduction, so that outputs have `rate` times the norm of the inputs.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, units: int, rate: float = 0.1, gain: float | None = None, **kwargs):
        super().__init__(**kwargs)
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

    def get_config(self) -> dict:
        return super().get_config() | {"units": self.units, "rate": self.rate, "gain": self.gain}


def build_mapping(
    latent_dim: int = 512, depth: int = 8, form: str = "reproduction"
) -> keras.Sequential:
    """Builds the mapping network from latents `[N, latent_dim]` to w `[N, latent_dim]`.

    The latents are normalized first, so only their direction matters.

    Args:
        latent_dim: Dimension of the latents and of w.
        depth: Number of dense layers.
        form: Initialization of the layers.

            - `"paper"`: the root mean square of w starts at 1 for every `latent_dim` and `depth`.
              Its standard deviation over latents is 0.5 (8 layers) to 0.7 (4 layers).
            - `"reproduction"`: these two values are 2 and 1 for 512 dimensions and 8 layers, but
              0.2 and 0.1 for 256 dimensions, and 0.04 and 0.03 for 128 dimensions and 4 layers.
              With such small w, all samples look alike.

    Returns:
        The mapping network.

    Raises:
        ValueError: If `form` is unknown.
    """
    if form not in ("paper", "reproduction"):
        raise ValueError(
            f"the form of the mapping network must be paper or reproduction; received {form!r}"
        )
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
    """Modulated 3 x 3 convolution, noise, bias and leaky ReLU.

    Inputs: feature maps `[N, H, W, channels_in]`, a style vector `[N, channels_in]` and noise
    `[N, >= H, >= W, 1]`. Output: feature maps `[N, H, W, channels_out]`.

    Args:
        channels_in: Channels of the input.
        channels_out: Channels of the output.
        style_dim: Dimension of w.
        **kwargs: Arguments of `keras.layers.Layer`.

    Attributes:
        affine: Dense layer from w to the style vector.
    """

    def __init__(self, channels_in: int, channels_out: int, style_dim: int, **kwargs):
        super().__init__(**kwargs)
        self.channels_in, self.channels_out, self.style_dim = channels_in, channels_out, style_dim
        self.affine = build_affine(style_dim, channels_in)
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

    def get_config(self) -> dict:
        own = ("channels_in", "channels_out", "style_dim")
        return super().get_config() | {name: getattr(self, name) for name in own}


def build_affine(style_dim: int, channels: int) -> layers.Dense:
    """Builds the dense layer from w `[N, style_dim]` to a style vector `[N, channels]`."""
    layer = layers.Dense(channels, kernel_initializer=kaiming())
    layer.build((None, style_dim))
    return layer


@keras.saving.register_keras_serializable("kerasgan")
class Generator(ExportableModel):
    """Generator of StyleGAN2.

    Inputs: `[w, noise]`, w `[N, blocks, style_dim]` and uniform noise in [0, 1) of shape
    `[N, size, size, 1]`. Output: images `[N, size, size, channels]`, approximately in [-1, 1]
    (there is no tanh).

    Each block has two style layers and an RGB layer. The first block works at 4 x 4 pixels, and
    each block doubles the resolution. The outputs of the RGB layers are upsampled and added.

    Args:
        size: Image size, a power of two and at least 8.
        channels: Channels of the images.
        capacity: Half of the channels of the last block. Each earlier block has twice the channels
            of the next one.
        max_channels: Maximum channels of a block.
        latent_dim: Dimension of the latents, and of w without conditions.
        depth: Dense layers of the mapping network.
        mapping_form: Initialization of the mapping network; see `build_mapping`.
        conditions: Dimension of the condition that is appended to w in each layer, such as the
            number of classes of a one-hot label. 0 means unconditional.
        name: Name of the model.

    Attributes:
        mapping: Mapping network from latents to w.
        blocks: Number of blocks, `log2(size) - 1`. Each block has its own w.
        style_dim: `latent_dim + conditions`.
        style_sizes: List with the length of each style vector, two per block. The S space has
            `sum(style_sizes)` coordinates.
        style_names: List of layer names such as "8x8_2", the second layer at 8 x 8 pixels.
    """

    def __init__(
        self,
        size: int,
        channels: int = 3,
        *,
        capacity: int = 16,
        max_channels: int = 512,
        latent_dim: int = 512,
        depth: int = 8,
        mapping_form: str = "reproduction",
        conditions: int = 0,
        name: str = "generator",
    ):
        super().__init__(name=name)
        self.blocks = check_size(size) - 1
        self.size, self.channels = size, channels
        self.capacity, self.max_channels = capacity, max_channels
        self.latent_dim, self.depth, self.mapping_form = latent_dim, depth, mapping_form
        self.conditions, self.style_dim = conditions, latent_dim + conditions
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
        # Keras files name weights by these attributes, so they keep their names.
        self.colour_affines = [build_affine(self.style_dim, width) for width in widths]
        self.colour_layers = [ModulatedConv2D(channels, 1, demodulate=False) for _ in widths]
        for layer, width in zip(self.colour_layers, widths, strict=True):
            layer.build([(None, None, None, width), (None, width)])
        self.built = True

    def get_config(self) -> dict:
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
    def from_config(cls, config: dict) -> "Generator":
        return cls(**config)

    def call_inputs(self) -> list[keras.InputSpec]:
        shapes = ((self.blocks, self.style_dim), (self.size, self.size, 1))
        return [keras.InputSpec(shape=(None, *shape), dtype="float32") for shape in shapes]

    def call(self, inputs):
        w, noise = inputs
        return self.synthesize(*self.styles(w), noise)

    def compute_output_shape(self, input_shape):
        return (input_shape[0][0], self.size, self.size, self.channels)

    def styles(self, w: Any) -> tuple[list, list]:
        """Maps w `[N, blocks, style_dim]` to style vectors.

        Returns:
            `(styles, rgb_styles)`: a list of two style vectors `[N, C]` per block, which form the
            S space, and a list of one style vector per block for the RGB layers.
        """
        w = ops.unstack(w, self.blocks, axis=1)
        styles = [layer.affine(w[index // 2]) for index, layer in enumerate(self.style_layers)]
        return styles, [layer(each) for layer, each in zip(self.colour_affines, w, strict=True)]

    def synthesize(
        self, styles: list, rgb_styles: list, noise: Any, state: tuple | None = None, first: int = 0
    ) -> Any:
        """Generates images from style vectors.

        If only the style vectors from layer `first` on differ from those of a previous call, the
        computation can continue from the `state` before that layer.

        Args:
            styles: List of style vectors as from `styles`, possibly edited.
            rgb_styles: List of style vectors of the RGB layers, as from `styles`.
            noise: Uniform noise in [0, 1), `[N, size, size, 1]`.
            state: State before layer `first`, from `initial_state` or `synthesis_step`. `None`
                starts at the first layer.
            first: Index of the first style layer to compute.

        Returns:
            Images `[N, size, size, channels]`.
        """
        state = self.initial_state(ops.shape(noise)[0]) if state is None else state
        for index in range(first, len(styles)):
            state = self.synthesis_step(state, index, styles, rgb_styles, noise)
        return state[1]

    def initial_state(self, count: int) -> tuple[Any, Any]:
        """State before the first style layer.

        Returns:
            `(maps, image)`: feature maps `[count, 4, 4, C]` computed from the learned constant, and
            an image of zeros `[count, 4, 4, channels]`.
        """
        maps = self.first(ops.expand_dims(self.constant, 0))
        return ops.tile(maps, (count, 1, 1, 1)), ops.zeros((count, 4, 4, self.channels), maps.dtype)

    def synthesis_step(
        self, state: tuple, index: int, styles: list, rgb_styles: list, noise: Any
    ) -> tuple[Any, Any]:
        """Applies one style layer and, after the second layer of a block, the RGB layer.

        Args:
            state: `(maps, image)` before the layer.
            index: Index of the style layer.
            styles, rgb_styles, noise: See `synthesize`.

        Returns:
            `(maps, image)` after the layer.
        """
        maps, image = state
        block, second = divmod(index, 2)
        if block and not second:
            maps = upsample(maps)
        # [N, 4, 4, C], [N, 8, 8, C], ...
        maps = self.style_layers[index](maps, styles[index], noise)
        if second:
            image = image + self.colour_layers[block]([maps, rgb_styles[block]])
            if block + 1 < self.blocks:
                image = upsample_blur(image)
        return maps, image


# === Discriminator ===


@keras.saving.register_keras_serializable("kerasgan")
class ResidualBlock(layers.Layer):
    """Residual block of the discriminator.

    Input: feature maps `[N, H, W, C]`. Output: `[N, H / 2, W / 2, channels]`, or
    `[N, H, W, channels]` without downsampling. The main path has two convolutions, then a blur and
    a convolution of stride 2. The skip path is a 1 x 1 convolution. Their sum is scaled to keep the
    variance.

    Args:
        channels: Channels of the output.
        down: If `True`, halves height and width.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, channels: int, down: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.channels, self.down = channels, down
        # Keras files name weights by these attributes, so they keep their names.
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
            # The margin replaces the padding of the convolution: "same" would pad one side only.
            x = self.halve(blur(x, margin=1))
        return (x + self.beside(maps)) * math.sqrt(0.5)

    def compute_output_shape(self, input_shape):
        sides = [side // 2 if self.down else side for side in input_shape[1:3]]
        return (input_shape[0], *sides, self.channels)

    def get_config(self) -> dict:
        return super().get_config() | {"channels": self.channels, "down": self.down}


def residual_trunk(
    images: keras.KerasTensor, capacity: int = 16, max_channels: int = 512
) -> keras.KerasTensor:
    """Applies the layers that the discriminator and the encoder of StylEx have in common.

    Args:
        images: Symbolic images `[N, size, size, C]`.
        capacity: The first block has 4 times as many channels, and each block has twice the
            channels of the previous one.
        max_channels: Maximum channels of a block.

    Returns:
        Symbolic features `[N, F]`, the input of the last layer.
    """
    blocks, x = check_size(images.shape[1]), images
    for index in range(blocks):
        channels = min(4 * capacity * 2**index, max_channels)
        # [N, size / 2, size / 2, C], ..., [N, 2, 2, C], [N, 2, 2, C]
        x = ResidualBlock(channels, down=index + 1 < blocks)(x)
    return layers.Flatten()(
        layers.Conv2D(channels, 3, padding="same", kernel_initializer=kaiming())(x)
    )


def build_discriminator(
    size: int,
    channels: int = 3,
    *,
    capacity: int = 16,
    max_channels: int = 512,
    conditions: int = 0,
    group: int | None = None,
) -> keras.Model:
    """Builds the discriminator from images `[N, size, size, channels]` to logits `[N, 1]`.

    High logits mean real. With conditions, the inputs are `[images, conditions]`, conditions
    `[N, K]`. The network then computes one logit per condition, and the output is their sum
    weighted by the conditions.

    Args:
        size: Image size, a power of two and at least 8.
        channels: Channels of the images.
        capacity, max_channels: See `residual_trunk`.
        conditions: Dimension K of the condition. 0 means unconditional.
        group: Group size of `MinibatchDeviation` before the last layer (4 in the paper). `None`
            (reproduction) omits this layer.

    Returns:
        The discriminator.
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


def check_size(size: int) -> int:
    """Checks that an image size is a power of two and at least 8, and returns its log2."""
    if size < 8 or size & (size - 1):
        raise ValueError(f"size must be a power of two and at least 8; received {size}")
    return size.bit_length() - 1


# === Model ===


@keras.saving.register_keras_serializable("kerasgan")
class StyleGAN2(AdversarialModel):
    """StyleGAN2, unconditional or conditioned on class labels.

    Training data: float images `[N, H, W, C]` in [-1, 1], or `(images, labels)` with integer labels
    `[N]`. Without conditions the labels are ignored. With conditions the fakes of a step have the
    labels of its real images.

    Args:
        generator: A `Generator`. Its `conditions` is the number of classes, 0 for none.
        discriminator: Model built by `build_discriminator` with the same `conditions`.
        discriminator_loss: Function `(real_logits, fake_logits, labels) -> scalar`.
        generator_loss: Function `(fake_logits, labels) -> scalar`.
        penalty: Gradient penalty, a function of the gradients of the discriminator at the real
            images. `losses.penalties.squared_gradient_norm` (paper) is R1.
        penalty_weight: Weight of the gradient penalty, gamma / 2 for R1. 5 in the paper. 0 disables
            it.
        penalty_every: Number of discriminator updates between gradient penalties (lazy
            regularization). The penalty is multiplied by this number.
        path_weight: Weight of the path length penalty. 0 disables it.
        path_every: Number of generator updates between path length penalties (lazy regularization).
            The penalty is multiplied by this number.
        path_start: Number of generator updates before the first path length penalty.
        mixing: Probability of style mixing. A mixed sample uses the w of one latent up to a random
            block and the w of another latent from this block on.
        augment: Function `(images, seed) -> images` applied to all images that the discriminator
            scores, such as `ops.augment.translate`.
        ema_decay: Decay of the generator's exponential moving average, which `sample` uses. `None`
            disables it.
        seed: Integer seed of the training noise.

    Example:
        ```python
        gan = StyleGAN2(Generator(32, capacity=4), build_discriminator(32, capacity=4))
        adam = lambda: keras.optimizers.Adam(2e-3, beta_1=0.0, beta_2=0.99)
        gan.compile(generator=adam(), discriminator=adam())
        gan.fit(images, batch_size=32, epochs=100)
        gan.sample(16, truncation=0.7)  # [16, 32, 32, 3]
        ```

    Reference:
        Karras et al., 2020, "Analyzing and Improving the Image Quality of StyleGAN",
        https://arxiv.org/abs/1912.04958
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
    renamed_arguments = {"average": "ema_decay"}

    def __init__(
        self,
        generator: Generator,
        discriminator: keras.Model,
        *,
        discriminator_loss: Callable = adversarial.logistic_discriminator_loss,
        generator_loss: Callable = adversarial.nonsaturating_generator_loss,
        penalty: Callable = penalties.squared_gradient_norm,
        penalty_weight: float = 5.0,
        penalty_every: int = 16,
        path_weight: float = 2.0,
        path_every: int = 4,
        path_start: int = 0,
        mixing: float = 0.9,
        augment: Callable | None = None,
        ema_decay: float | None = 0.998,
        seed: int = 0,
        name: str | None = None,
    ):
        super().__init__(name=name)
        self.generator, self.discriminator = generator, discriminator
        self.discriminator_loss, self.generator_loss = discriminator_loss, generator_loss
        self.penalty, self.penalty_weight = penalty, penalty_weight
        self.penalty_every = penalty_every
        self.path_weight, self.path_every, self.path_start = path_weight, path_every, path_start
        self.mixing, self.augment, self.ema_decay = mixing, augment, ema_decay
        self.ema_generator = ema_copy(generator) if ema_decay else None
        self.seed = check_seed(seed)
        self.seeds = keras.random.SeedGenerator(self.seed)
        self.conditions, self.latent_dim = generator.conditions, generator.latent_dim
        self.classes = generator.conditions or 1
        self.image_shape = (generator.size, generator.size, generator.channels)
        # Moving average of the path length; 0 before the first penalty.
        self.path_mean = self.add_weight(
            shape=(), initializer="zeros", trainable=False, name="path_mean"
        )
        self._check()
        self.built = True

    def _check(self):
        found = [tuple(x.shape[1:]) for x in self.discriminator.inputs]
        needed = [self.image_shape, (self.conditions,)] if self.conditions else [self.image_shape]
        if found != needed:
            raise ValueError(
                f"discriminator must take the images and conditions of the generator, {needed}; "
                f"received one that takes {found}"
            )
        for name in ("penalty_every", "path_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; received {getattr(self, name)}")
        if not 0 <= self.mixing <= 1:
            raise ValueError(f"mixing must be in [0, 1]; received {self.mixing}")

    def get_config(self) -> dict:
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
            "ema_decay",
            "seed",
            "name",
        )
        config = {name: keras.saving.serialize_keras_object(getattr(self, name)) for name in nested}
        return config | {name: getattr(self, name) for name in plain}

    @classmethod
    def from_config(cls, config: dict) -> "StyleGAN2":
        return cls(
            **{key: keras.saving.deserialize_keras_object(value) for key, value in config.items()}
        )

    @property
    def conditioning(self) -> str | None:
        return "labels" if self.conditions else None

    def checkpoint_networks(self) -> dict[str, keras.Model]:
        return {"G": self.ema_generator or self.generator, "D": self.discriminator}

    # === Training ===

    def random_latents(self, count: int) -> Any:
        """Latents `[count, latent_dim]` from N(0, 1)."""
        return replicas.normal((count, self.latent_dim), self.seeds)

    def random_noise(self, count: int) -> Any:
        """Noise maps `[count, H, W, 1]`, uniform in [0, 1)."""
        return replicas.uniform((count, *self.image_shape[:2], 1), self.seeds)

    def random_directions(self, count: int) -> Any:
        """Directions `[count, H, W, C]` from N(0, 1), for path lengths."""
        return replicas.normal((count, *self.image_shape), self.seeds)

    def random_crossovers(self, count: int) -> Any:
        """Block indices `[count]` from which a sample uses the w of its second latent.

        Samples without mixing have the index `blocks`. At index 0 all blocks use the second latent.
        """
        blocks = self.generator.blocks
        mixed = replicas.uniform((count,), self.seeds) < self.mixing
        return ops.where(mixed, replicas.randint((count,), 0, blocks, self.seeds), blocks)

    def random_styles(self, count: int, conditions: Any = None) -> Any:
        """Samples w `[count, blocks, style_dim]` from new latents, with style mixing."""
        generator = self.generator
        if self.mixing:
            both = ops.reshape(
                generator.mapping(self.random_latents(2 * count)), (2, count, 1, self.latent_dim)
            )
            crossovers = self.random_crossovers(count)[:, None]
            first = ops.arange(generator.blocks)[None, :] < crossovers  # [N, blocks]
            w = ops.where(first[..., None], both[0], both[1])
        else:
            w = ops.repeat(
                generator.mapping(self.random_latents(count))[:, None], generator.blocks, axis=1
            )
        return self.with_conditions(w, conditions)

    def with_conditions(self, w: Any, conditions: Any) -> Any:
        """Appends conditions `[N, K]`, if any, to w `[N, blocks, latent_dim]` in each block."""
        if conditions is None:
            return w
        conditions = ops.repeat(
            ops.cast(conditions, w.dtype)[:, None], self.generator.blocks, axis=1
        )
        return ops.concatenate([w, conditions], axis=-1)

    def label_conditions(self, labels: Any) -> Any:
        """Conditions `[N, K]` of integer labels `[N]` (one-hot), or `None` without conditions."""
        return ops.one_hot(ops.cast(labels, "int32"), self.conditions) if self.conditions else None

    def discriminate(self, images: Any, conditions: Any = None, training: bool = True) -> Any:
        """Discriminator logits `[N, 1]`, of augmented images in training."""
        if self.augment and training:
            images = self.augment(images, self.seeds)
        logits = self.discriminator(
            images if conditions is None else [images, conditions], training=training
        )
        return full_precision(logits)

    def gradient_penalty(self, real: Any, conditions: Any = None) -> Any:
        """Gradient penalty of the discriminator at real images, without its weight."""
        return self.penalty(
            self.input_gradient(lambda x: self.discriminate(x, conditions), real, "discriminator")
        )

    def path_penalty(self, w: Any, noise: Any) -> Any:
        """Mean squared difference of path lengths from their moving average, which it updates.

        The path length at w is `|d <images, y> / dw|` with y from N(0, 1), divided by the square
        root of the number of pixels. The conditions are part of w. The penalty is 0 in the first
        call because there is no moving average yet.

        Args:
            w: `[N, blocks, style_dim]`.
            noise: `[N, H, W, 1]`.

        Returns:
            Scalar, without its weight.
        """
        y = self.random_directions(ops.shape(w)[0]) / self.image_shape[0]
        generate = lambda w: ops.cast(self.generator([w, noise]), "float32")  # noqa: E731
        lengths = penalties.path_lengths(
            self.input_gradient(lambda w: generate(w) * y, w, "generator")
        )
        (now,) = replicas.mean([ops.stop_gradient(ops.mean(lengths))])
        before = self.path_mean
        known = before > 0
        penalty = ops.where(known, ops.mean(ops.square(lengths - before)), 0.0)
        self.path_mean.assign(ops.where(known, before + 0.01 * (now - before), now))
        return penalty

    def lazy_path_penalty(self, styles: Callable[[], Any], noise: Any) -> Any:
        """Path length penalty with the interval `path_every` and the start `path_start`.

        Args:
            styles: Function without arguments that returns w `[N, blocks, style_dim]`.
            noise: `[N, H, W, 1]`.

        Returns:
            `path_penalty(styles(), noise)` in the generator updates that include it, otherwise 0.
        """
        if not self.path_weight:
            return ops.zeros((), "float32")
        steps = self.optimizer["generator"].iterations
        due = ops.logical_and(
            ops.equal(ops.mod(steps, self.path_every), 0), steps >= self.path_start
        )
        return backend.cond(
            due, lambda: self.path_penalty(styles(), noise), lambda: ops.zeros((), "float32")
        )

    def update_discriminator(
        self, real: Any, fake: Any, conditions: Any = None, labels: Any = None
    ) -> dict[str, Any]:
        """Updates the discriminator once.

        Args:
            real: Real images `[N, H, W, C]`.
            fake: Generated images `[N, H, W, C]`.
            conditions: Conditions `[N, K]` of both, or `None`.
            labels: Integer labels `[N]` for the loss function, or `None`.

        Returns:
            Dict with the discriminator's values for `report`.
        """
        weight = self.penalty_weight * self.penalty_every

        def objective():
            real_logits = self.discriminate(real, conditions)
            fake_logits = self.discriminate(fake, conditions)
            loss = self.discriminator_loss(real_logits, fake_logits, labels)
            penalty = ops.zeros((), "float32")
            if weight:
                gradient_penalty = lambda: self.gradient_penalty(real, conditions)  # noqa: E731
                penalty = weight * self.lazy_regularization(
                    self.penalty_every, "discriminator", gradient_penalty
                )
            return loss + penalty, (loss, penalty, real_logits, fake_logits)

        _, (loss, penalty, real_logits, fake_logits) = self.minimize("discriminator", objective)
        accuracies = self.accuracies(real_logits, fake_logits)
        return {"discriminator_loss": loss, "penalty": penalty} | accuracies

    def train_step(self, data: Any) -> dict:
        real, labels = data if isinstance(data, tuple) else (data, None)
        conditions, count = self.label_conditions(labels), ops.shape(real)[0]

        def generate():
            w, noise = self.random_styles(count, conditions), self.random_noise(count)
            fake = self.generator([w, noise], training=True)
            return fake, self.lazy_path_penalty(lambda: w, noise)

        def generator_objective(fake):
            return self.generator_loss(self.discriminate(fake, conditions), labels)

        (fake, path_penalty), vjp_fn = self.vjp("generator", generate)
        path_weight = self.path_weight * self.path_every
        discriminator_values = self.update_discriminator(real, fake, conditions, labels)
        g_loss, gradient = self.value_and_input_gradient(generator_objective, fake, "generator")
        self.apply_gradients(
            "generator", vjp_fn((gradient, ops.convert_to_tensor(path_weight, dtype="float32")))
        )
        if self.ema_generator:
            self.update_ema(self.ema_generator, self.generator, self.ema_decay)
        return self.report(
            generator_loss=g_loss,
            path_penalty=path_penalty * path_weight,
            path_length=self.path_mean,
            **discriminator_values,
        )

    def test_step(self, data: Any) -> dict:
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

    def accuracies(self, real_logits: Any, fake_logits: Any) -> dict[str, Any]:
        """Shares of real and of fake images that the discriminator classifies correctly."""
        correct = {"real_accuracy": real_logits > 0, "fake_accuracy": fake_logits <= 0}
        return {name: ops.mean(ops.cast(value, "float32")) for name, value in correct.items()}

    # === Sampling ===

    def call(self, inputs: list, training: bool = False) -> Any:
        """Images of `[w, noise]` by the network that `sample` uses, clipped to [-1, 1]."""
        return ops.clip(
            (self.ema_generator or self.generator)(inputs, training=training), -1.0, 1.0
        )

    def call_inputs(self) -> list[keras.InputSpec]:
        return self.generator.call_inputs()

    def mean_style(self, samples: int = 2048) -> np.ndarray:
        """Mean of w over latents, `[latent_dim]`, the center of truncation.

        The latents have a fixed seed, so the result depends on the weights only.

        Args:
            samples: Number of latents.
        """
        latents = np.random.default_rng(0).standard_normal((samples, self.latent_dim), "float32")
        return np.array(
            ops.convert_to_numpy(
                ops.mean((self.ema_generator or self.generator).mapping(latents), axis=0)
            )
        )

    def sample(
        self,
        n: int | None = None,
        labels: Any = None,
        seed: int | None = None,
        truncation: float = 1.0,
        batch_size: int = 100,
    ) -> np.ndarray:
        """Generates images with the moving average of the generator, if there is one.

        Args:
            n: Number of images. Their labels cycle through the classes.
            labels: Integer labels `[N]` instead of `n`.
            seed: Integer seed. The same seed gives the same images, independent of their number.
                `None` gives new images at each call.
            truncation: Truncation psi. w is replaced by m + psi (w - m) with the mean m of w.
                Smaller values give less variety and fewer failures. 1 disables truncation.
            batch_size: Images computed at a time. It does not change the images.

        Returns:
            Float32 images `[N, H, W, C]`, clipped to [-1, 1].

        Raises:
            ValueError: If not exactly one of `n` and `labels` is given, or a label is not a class.
        """
        labels = self.labels_to_sample(n, labels)
        network = self.ema_generator or self.generator
        latent_random, noise_random = np.random.default_rng(check_seed(seed)).spawn(2)
        mean = ops.convert_to_tensor(self.mean_style()) if truncation != 1 else 0.0
        images = []
        for start in range(0, len(labels), batch_size):
            part = labels[start : start + batch_size]
            latents = latent_random.standard_normal((len(part), self.latent_dim), "float32")
            noise = noise_random.random((len(part), *self.image_shape[:2], 1), "float32")
            w = mean + truncation * (network.mapping(latents) - mean)
            w = self.with_conditions(
                ops.repeat(w[:, None], network.blocks, axis=1), self.label_conditions(part)
            )
            images.append(network.predict_on_batch([np.array(ops.convert_to_numpy(w)), noise]))
        return np.clip(np.concatenate(images), -1.0, 1.0).astype("float32")

    def data_spec(self) -> DataSpec:
        if self.conditions:
            return DataSpec((Images(self.image_shape), Labels(self.conditions)))
        return DataSpec((Images(self.image_shape), Ignored()), optional=1)
