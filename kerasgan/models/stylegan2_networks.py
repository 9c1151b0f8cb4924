"""Networks of StyleGAN2, which StylEx shares; see `kerasgan.models.stylegan2`.

A mapping network turns latents into w. One affine layer per generator layer turns w into a *style
vector*, which modulates a convolution. The style vectors together form the S space (StyleSpace).
`Generator.synthesize` generates images from style vectors, so that single style coordinates can be
edited. A residual discriminator scores the images.
"""

import math
from typing import Any

import keras
from keras import layers, ops

from kerasgan.dtype_policies import dtype_policy
from kerasgan.io.export import ExportableModel
from kerasgan.layers.conv3x3 import Conv3x3
from kerasgan.layers.minibatch_deviation import MinibatchDeviation
from kerasgan.layers.modulated_conv import ModulatedConv2D
from kerasgan.ops.resample import blur, upsample, upsample_blur
from kerasgan.types import Shape, Tensor

# === Generator ===


def kaiming() -> keras.initializers.Initializer:
    """Kaiming initialization with a normal distribution that is not truncated, as in PyTorch."""
    return keras.initializers.VarianceScaling(2.0, "fan_in", "untruncated_normal")


@keras.saving.register_keras_serializable("kerasgan")
class EqualDense(layers.Layer):
    """Dense layer with an equalized learning rate.

    Each call multiplies the stored weights and biases by `rate`. With Adam, this multiplies their
    effective learning rate by `rate`.

    Args:
        units: Number of outputs.
        rate: Learning rate multiplier: 0.01 in the paper, 0.1 in the reproduction.
        gain: Initial standard deviation of the outputs for inputs of standard deviation 1,
            independent of the number of inputs. `None` initializes the weights from N(0, 1), as in
            the reproduction. The standard deviation of each output is then `rate` times the
            Euclidean norm of the input vector.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, units: int, rate: float = 0.1, gain: float | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.units, self.rate, self.gain = units, rate, gain

    def build(self, input_shape: Shape) -> None:
        normal = keras.initializers.RandomNormal(0.0, 1.0 / self.rate if self.gain else 1.0)
        self.scale = self.rate * (self.gain / math.sqrt(input_shape[-1]) if self.gain else 1.0)
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.units), initializer=normal, name="kernel"
        )
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def call(self, inputs: Tensor) -> Tensor:
        return ops.matmul(inputs, self.kernel) * self.scale + self.bias * self.rate

    def compute_output_shape(self, input_shape: Shape) -> Shape:
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
        # In float16, JAX warns of an overflow: Keras' constants for empty rows have no such value.
        layers.UnitNormalization(dtype="float32"),
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

    def __init__(self, channels_in: int, channels_out: int, style_dim: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.channels_in, self.channels_out, self.style_dim = channels_in, channels_out, style_dim
        with dtype_policy(self.dtype_policy):
            self.affine = build_affine(style_dim, channels_in)
            self.convolution = ModulatedConv2D(channels_out)
        self.convolution.build([(None, None, None, channels_in), (None, channels_in)])
        self.noise_scale = self.add_weight(
            shape=(channels_out,), initializer="zeros", name="noise_scale"
        )
        self.bias = self.add_weight(shape=(channels_out,), initializer="zeros", name="bias")
        self.built = True

    def call(self, maps: Tensor, style: Tensor, noise: Tensor) -> Tensor:
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
        return {name: getattr(self, name) for name in own} | {"dtype": self.dtype_policy.name}

    @classmethod
    def from_config(cls, config: dict) -> "Generator":
        config = dict(config)
        with dtype_policy(config.pop("dtype", None)):  # Earlier files have none.
            return cls(**config)

    def call_inputs(self) -> list[keras.InputSpec]:
        shapes = ((self.blocks, self.style_dim), (self.size, self.size, 1))
        return [keras.InputSpec(shape=(None, *shape), dtype="float32") for shape in shapes]

    def call(self, inputs: list[Tensor]) -> Tensor:
        w, noise = inputs
        return self.synthesize(*self.styles(w), noise)

    def compute_output_shape(self, input_shape: list[Shape]) -> Shape:
        return (input_shape[0][0], self.size, self.size, self.channels)

    def styles(self, w: Tensor) -> tuple[list, list]:
        """Maps w `[N, blocks, style_dim]` to style vectors.

        Returns:
            `(styles, rgb_styles)`: a list of two style vectors `[N, C]` per block, which form the
            S space, and a list of one style vector per block for the RGB layers.
        """
        w = ops.unstack(w, self.blocks, axis=1)
        styles = [layer.affine(w[index // 2]) for index, layer in enumerate(self.style_layers)]
        return styles, [layer(each) for layer, each in zip(self.colour_affines, w, strict=True)]

    def synthesize(
        self,
        styles: list,
        rgb_styles: list,
        noise: Tensor,
        state: tuple | None = None,
        first: int = 0,
    ) -> Tensor:
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

    def initial_state(self, count: int) -> tuple[Tensor, Tensor]:
        """State before the first style layer.

        Returns:
            `(maps, image)`: feature maps `[count, 4, 4, C]` computed from the learned constant, and
            an image of zeros `[count, 4, 4, channels]`.
        """
        maps = self.first(ops.expand_dims(self.constant, 0))
        return ops.tile(maps, (count, 1, 1, 1)), ops.zeros((count, 4, 4, self.channels), maps.dtype)

    def synthesis_step(
        self, state: tuple, index: int, styles: list, rgb_styles: list, noise: Tensor
    ) -> tuple[Tensor, Tensor]:
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

    def __init__(self, channels: int, down: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        self.channels, self.down = channels, down
        # Keras files name weights by these attributes, so they keep their names.
        own = {"kernel_initializer": kaiming(), "dtype": self.dtype_policy}
        self.beside = layers.Conv2D(channels, 1, **own)
        self.one, self.other = (Conv3x3(channels, **own) for _ in range(2))
        self.halve = layers.Conv2D(channels, 3, 2, **own) if down else None

    def build(self, input_shape: Shape) -> None:
        self.beside.build(input_shape)
        self.one.build(input_shape)
        for layer in (self.other, self.halve):
            if layer is not None:
                layer.build((*input_shape[:-1], self.channels))

    def call(self, maps: Tensor) -> Tensor:
        x = ops.leaky_relu(self.one(maps), 0.2)
        x = ops.leaky_relu(self.other(x), 0.2)
        if self.halve is not None:
            # The margin replaces the padding of the convolution: "same" would pad one side only.
            x = self.halve(blur(x, margin=1))
            # Not a stride of the 1 x 1 convolution: with one thread, on a CPU without AVX-512,
            # PyTorch 2.13 writes outside of the memory of its gradient.
            maps = maps[:, ::2, ::2]
        return (x + self.beside(maps)) * math.sqrt(0.5)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
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
