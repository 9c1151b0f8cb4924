"""Variants of HDGAN: shared discriminator, layer norm, thin network, replay, memory and stages.

They follow the training notes and the development code of HDGAN (Zhang, Xie and Yang, arXiv
1802.09178). Quotes are from the training notes. Each variant is a network for
`HDGAN(generator, discriminators)`, or a subclass of `HDGAN` if the training step differs. `width`
is that of `kerasgan.models.hdgan`: 128 in the training notes; 8 or 16 for two CPU cores.
"""

import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from kerasgan.layers.reflection_conv import UpsampleConv2D
from kerasgan.models import hdgan_networks
from kerasgan.models.hdgan import HDGAN, SIZES, build_discriminator, build_generator, check_sizes
from kerasgan.types import Tensor

# === One discriminator for all sizes ===


def build_shared_discriminator(
    sizes: Sequence[int] = SIZES,
    width: int = 128,
    *,
    embedding_dim: int = 1024,
    text_dim: int = 128,
) -> keras.Model:
    """Build a discriminator that shares its trunk and text branch among all sizes.

    Each size has its own stem and two heads. The training notes call it "shared disc" and
    "large_shared_skip", and use it with `build_generator(skip=True)` at 256 pixels and one caption
    per image ("256 large_skip_shared: with num_emb = 1"). The image head has "one more 1x1
    convolution".

    Args:
        sizes: Image sides in pixels.
        width: Number of channels of the first shared map.
        embedding_dim: Dimension of the caption embeddings.
        text_dim: Dimension of the projected embeddings.

    Returns:
        A model of images `[N, s, s, 3]` (smallest size first) and embeddings `[N, D]`. For each
        size it returns a list of pair logits `[N, 1]` and image logits `[N, 1]`. Use it in
        `SharedHDGAN`.
    """

    def conv(x, channels, kernel=3, stride=2, norm=True):
        weights = hdgan_networks.initial_weights()
        x = layers.Conv2D(
            channels, kernel, stride, "same", use_bias=False, kernel_initializer=weights
        )(x)
        return hdgan_networks.leaky_relu(hdgan_networks.normalization()(x) if norm else x)

    def head(x):
        x = conv(x, 4 * width, 1, 1)
        logit = layers.Conv2D(
            1,
            4,
            kernel_initializer=hdgan_networks.initial_weights(),
            bias_initializer=hdgan_networks.pytorch_bias(x, 4),
        )
        return layers.Flatten()(logit(x))

    map32 = x = keras.Input((32, 32, width))
    for channels in (2 * width, 4 * width, 4 * width):
        x = conv(x, channels)
    trunk = keras.Model(map32, x, name="trunk")  # [N, 4, 4, 4 * width]
    embeddings = keras.Input((embedding_dim,), name="embeddings")
    text = layers.RepeatVector(16)(
        hdgan_networks.leaky_relu(hdgan_networks.dense(embeddings, text_dim))
    )
    text = layers.Reshape((4, 4, text_dim))(text)
    inputs, logits = [], []
    for size in check_sizes(sizes):
        x = image = keras.Input((size, size, 3), name=f"images_{size}")
        halvings = (size // 32).bit_length() - 1
        for left in reversed(range(halvings)):  # 32, 64 and 128 channels for 256 pixels.
            x = conv(x, max(width >> left, 1), norm=x is not image)
        code = trunk(x)
        inputs.append(image)
        logits.append([head(layers.Concatenate()([code, text])), head(code)])
    return keras.Model([*inputs, embeddings], logits, name="discriminator")


@keras.saving.register_keras_serializable("benchmarks")
class SharedHDGAN(HDGAN):
    """HDGAN with one discriminator for all sizes.

    The discriminator is a single network, so that its optimizer, file and configuration hold each
    shared weight once.

    Args:
        generator: See `HDGAN`.
        discriminator: Model built by `build_shared_discriminator`.
        **arguments: Other arguments of `HDGAN`.
    """

    def __init__(self, generator: keras.Model, discriminator: keras.Model, **arguments: Any):
        super().__init__(
            generator, {x.shape[1]: discriminator for x in discriminator.inputs[:-1]}, **arguments
        )
        self.discriminator = discriminator

    def player_layers(self, player: str) -> list:
        return [self.generator if player == "generator" else self.discriminator]

    def checkpoint_networks(self) -> dict[str, keras.Model]:
        generator = self.ema_generator or self.generator
        return {"generator": generator, "discriminator": self.discriminator}

    def discriminator_calls(
        self, images: list[Tensor], embeddings: Tensor, training: bool = True
    ) -> list:
        return [lambda: self.discriminator([*images, embeddings], training=training)]

    def get_config(self) -> dict:
        config = super().get_config()
        one, *_ = config.pop("discriminators").values()
        return config | {"discriminator": one}

    @classmethod
    def from_config(cls, config: dict) -> "SharedHDGAN":
        return cls(**keras.saving.deserialize_keras_object(config))


# === Layer norm ===


def with_layer_norm(network: keras.Model, leaky: bool = False, faulty: bool = False) -> keras.Model:
    """Return a copy of a network with layer norm in place of batch norm, newly initialized.

    Each image is normalized over rows, columns and channels, with one gain and bias per channel, as
    in the development code. Training notes: "Layer normalization+reLU (LeakyreLU) is not working".

    Args:
        network: A generator or discriminator.
        leaky: If `True`, each ReLU becomes a leaky ReLU with negative slope 0.2.
        faulty: If `True`, maps are normalized as in the development code, see `FaultyLayerNorm`.
    """
    relu = functools.partial(layers.LeakyReLU, 0.2) if leaky else layers.ReLU

    def swap(layer):
        if isinstance(layer, layers.BatchNormalization):
            kind = (
                FaultyLayerNorm
                if faulty and len(layer.output.shape) == 4
                else layers.GroupNormalization
            )
            norm = kind(1, epsilon=1e-5, name=layer.name)  # One group: layer norm.
            norm.relu = getattr(layer, "relu", False)
            return norm
        if isinstance(layer, layers.ReLU):
            return relu(name=layer.name)
        return type(layer).from_config(layer.get_config())

    def call(layer, *arguments, mask=None, **options):  # Only batch norm accepts a mask.
        x = layer(*arguments, **options)
        return relu()(x) if getattr(layer, "relu", False) else x

    return keras.models.clone_model(network, clone_function=swap, call_function=call)


@keras.saving.register_keras_serializable("benchmarks")
class FaultyLayerNorm(layers.GroupNormalization):
    """Layer norm of maps with the bug of the development code.

    The bias is added to the standard deviation in the denominator, so the map explodes where the
    sum is close to 0. Two days later the training notes ask "why? Wrong implementation?".
    """

    def call(self, inputs: Tensor) -> Tensor:
        mean, variance = ops.moments(inputs, axes=(1, 2, 3), keepdims=True)
        return self.gamma * (inputs - mean) / (ops.sqrt(variance + self.epsilon) + self.beta)


# === The thin network ===


def build_thin(
    width: int = 128, *, embedding_dim: int = 1024, text_dim: int = 128, **dims: Any
) -> tuple[keras.Model, dict[int, keras.Model]]:
    """Build networks for 64 pixels with half the width.

    Training notes: "64 no_skip_connection-thin network: with num_emb = 1". Neither they nor the
    code give the width. Train the networks with one caption per image,
    `CaptionedBatches(captions=1)`.

    Args:
        width: Width before halving.
        embedding_dim: Dimension of the caption embeddings.
        text_dim: Dimension of the projected embeddings in the discriminator.
        **dims: Other dimensions of `build_generator`.

    Returns:
        `(generator, {64: discriminator})`, the arguments of `HDGAN`.
    """
    generator = build_generator((64,), width // 2, embedding_dim=embedding_dim, **dims)
    return generator, {
        64: build_discriminator(64, width // 2, embedding_dim=embedding_dim, text_dim=text_dim)
    }


# === Replay ===

# Score of an empty place of the buffer, higher than that of any fake.
EMPTY = float(np.finfo("float32").max)


@keras.saving.register_keras_serializable("benchmarks")
class ReplayHDGAN(HDGAN):
    """HDGAN whose discriminators train on a replay buffer of low-scored fakes.

    An idea of the training notes that is not in their code: "Use a buffer to save low scored
    samples up to 500, and take half of fake samples from those buffer. at each iteration, update
    buffer".

    The score of a fake is the sum of the mean logits of all heads. In each step, the batch's fakes
    enter the buffer if their scores are low enough. The discriminators then train on the first half
    of the batch and as many fakes from the buffer, with their own embeddings. The scores of these
    buffered fakes are updated, because the discriminators have changed. The generator trains on its
    own fakes only.

    The buffer is part of the model's state, so a resumed run continues with it. It is stored in
    half precision: 500 images of 64, 128 and 256 pixels take 260 MB.

    Args:
        *arguments: Arguments of `HDGAN`.
        capacity: Number of fakes in the buffer.
        **options: Keyword arguments of `HDGAN`.
    """

    def __init__(self, *arguments: Any, capacity: int = 500, **options: Any):
        super().__init__(*arguments, **options)
        self.capacity = capacity
        dim = self.generator.inputs[0].shape[-1]

        def state(name, shape, dtype="float32", fill="zeros"):
            return self.add_weight((capacity, *shape), fill, dtype, trainable=False, name=name)

        self.kept = [state(f"kept_{size}", (size, size, 3), "float16") for size in self.sizes]
        self.kept_embeddings = state("kept_embeddings", (dim,))
        self.scores = state("scores", (), fill=keras.initializers.Constant(EMPTY))

    def get_config(self) -> dict:
        return super().get_config() | {"capacity": self.capacity}

    def train_step(self, data: Any) -> dict:
        # The step of `HDGAN`, with additional lines for the buffer.
        real, wrong, embeddings = data
        reals, wrongs = self.pyramid(real), self.pyramid(wrong)
        fakes, vjp_fn = self.vjp("generator", lambda: self.generate(embeddings))
        shown, captions, places = self.mixed(fakes[:-2], embeddings)

        def discriminator_objective():
            pairs = ((reals, embeddings), (wrongs, embeddings), (shown, captions))
            logits = [self.discriminate(*pair) for pair in pairs]
            loss, parts = self.discriminator_loss(*logits)
            if self.r1_weight:
                loss += self.lazy_regularization(
                    self.r1_every,
                    "discriminator",
                    lambda: self.r1_penalty(reals, embeddings),
                )
            return loss, (*parts, _scores(logits[-1]))

        def generator_objective(fakes):
            logits = self.frozen_moving_statistics(
                lambda: self.discriminate(fakes[:-2], embeddings)
            )
            return self.generator_loss(fakes, logits, embeddings)

        d_loss, (pair, image, scores) = self.minimize("discriminator", discriminator_objective)
        self.renew(places, scores)
        if self.regenerate_fakes:
            fakes, vjp_fn = self.vjp("generator", lambda: self.generate(embeddings))
        (g_loss, (divergence, damsm)), gradients = self.value_and_input_gradient(
            generator_objective, fakes
        )
        self.update_generator(vjp_fn(gradients))
        if self.ema_decay:
            self.update_ema(self.ema_generator, self.generator, self.ema_decay)
        return self.report(
            generator_loss=g_loss,
            discriminator_loss=d_loss,
            divergence=divergence,
            pair_loss=pair,
            image_loss=image,
            damsm_loss=damsm,
        )

    def mixed(self, fakes: list[Tensor], embeddings: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Update the buffer with a batch of fakes and replace half of the batch from the buffer.

        Args:
            fakes: Images of each size.
            embeddings: Caption embeddings `[N, D]`.

        Returns:
            Images of each size and embeddings of the mixed batch, and the places in the buffer of
            its second half (sampled with replacement).
        """
        scores = _scores(
            self.frozen_moving_statistics(lambda: self.discriminate(fakes, embeddings))
        )
        _, lowest = ops.top_k(-ops.concatenate([self.scores, scores]), self.capacity)
        buffers, batch = [*self.kept, self.kept_embeddings], [*fakes, embeddings]
        for kept, new in zip([*buffers, self.scores], [*batch, scores], strict=True):
            kept.assign(
                ops.take(ops.concatenate([kept, ops.cast(new, kept.dtype)]), lowest, axis=0)
            )
        count = ops.shape(embeddings)[0]
        filled = ops.sum(ops.cast(self.scores < EMPTY, "float32"))  # Empty places come last.
        places = ops.cast(keras.random.uniform((count // 2,), seed=self.seeds) * filled, "int32")
        mixed = [
            ops.concatenate(
                [new[: count - count // 2], ops.cast(ops.take(kept, places, axis=0), new.dtype)]
            )
            for kept, new in zip(buffers, batch, strict=True)
        ]
        return mixed[:-1], mixed[-1], places

    def renew(self, places: Tensor, scores: Tensor) -> None:
        """Update the buffer's scores at `places` with the scores of a mixed batch's second half."""
        replayed = scores[ops.shape(scores)[0] - ops.shape(places)[0] :]
        self.scores.assign(ops.scatter_update(self.scores, places[:, None], replayed))


def _scores(logits):
    """Sum of the logits of all sizes and heads, each averaged over its patches: `[N]`."""
    heads = [head for heads in logits for head in heads]
    return sum(ops.mean(head, axis=tuple(range(1, len(head.shape)))) for head in heads)


# === A learnable memory ===


@keras.saving.register_keras_serializable("benchmarks")
class Memory(layers.Layer):
    """Concatenates a learnable map: `[N, H, W, C]` to `[N, H, W, C + channels]`.

    Args:
        channels: Number of channels of the learnable map.
    """

    def __init__(self, channels: int, **arguments: Any):
        super().__init__(**arguments)
        self.channels = channels

    def build(self, input_shape: Any) -> None:
        self.memory = self.add_weight(
            (*input_shape[1:3], self.channels), hdgan_networks.initial_weights(), name="memory"
        )

    def call(self, x: Tensor) -> Tensor:
        memory = ops.broadcast_to(
            ops.cast(self.memory, x.dtype), (*ops.shape(x)[:3], self.channels)
        )
        return ops.concatenate([x, memory], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        return (*input_shape[:-1], input_shape[-1] + self.channels)

    def get_config(self) -> dict:
        return super().get_config() | {"channels": self.channels}


def with_memory(generator: keras.Model, scale: int = 16) -> keras.Model:
    """Return a copy of a generator with a learnable memory, newly initialized.

    Training notes: "using 4096X16X16 memory to help the network learning". The memory has eight
    times the channels of the 16 x 16 map (4,096 at width 128). A 1 x 1 convolution and batch norm
    combine both, as in the development code's skip connection. The development code declares such a
    parameter but never uses it.

    Args:
        generator: Model built by `build_generator`.
        scale: Side of the map in pixels.
    """
    last = [
        x for x in generator.layers if isinstance(x, layers.Add) and x.output.shape[1] == scale
    ][-1]

    def call(layer, *arguments, **options):
        x = layer(*arguments, **options)
        if layer.name != last.name:
            return x
        channels = x.shape[-1]
        x = Memory(8 * channels, name="memory")(x)
        return hdgan_networks.normalization()(
            layers.Conv2D(
                channels, 1, use_bias=False, kernel_initializer=hdgan_networks.initial_weights()
            )(x)
        )

    return keras.models.clone_model(generator, call_function=call)


# === Stages ===


def build_stages(
    sizes: Sequence[int] = SIZES,
    width: int = 128,
    *,
    condition_dim: int = 128,
    residual_blocks: int = 2,
    **dims: Any,
) -> keras.Model:
    """Build a generator of stages: 64 pixels first, then one stage per doubling.

    The training notes call it "MultiStage architecture". Inputs and outputs are those of
    `build_generator`. Like StackGAN (arXiv 1612.03242), a stage downsamples the smaller image to a
    quarter of its side, concatenates the text condition and upsamples three times. The input image
    has no gradient, so a later loss reaches earlier stages through the condition only.

    Differences from the development code: convolutions of stride 2 pad with zeros, and convolutions
    before a norm have no bias.

    Args:
        sizes: 64 and its doublings, without gaps.
        width: Width of `build_generator`.
        condition_dim: Dimension of the text condition.
        residual_blocks: Number of residual blocks per stage.
        **dims: `embedding_dim` and `latent_dim` of `build_generator`.
    """
    sizes = check_sizes(sizes)
    if sizes != tuple(64 << n for n in range(len(sizes))):
        raise ValueError(f"sizes must be 64 and its doublings without gaps; received {list(sizes)}")
    first = build_generator(sizes[:1], width, condition_dim=condition_dim, **dims)
    image, mean, log_deviation = first.outputs
    condition = mean + ops.exp(log_deviation) * first.inputs[2]
    images = [image]
    for size in sizes[1:]:
        channels = max(width * 64 // size, 2)  # 64 channels at 128 pixels, 32 at 256.
        images.append(_stage(ops.stop_gradient(images[-1]), condition, channels, residual_blocks))
    return keras.Model(first.inputs, [*images, mean, log_deviation], name="generator")


def _stage(image, condition, channels, residual_blocks):
    def halved(x, channels):
        x = layers.Conv2D(
            channels,
            3,
            2,
            "same",
            use_bias=False,
            kernel_initializer=hdgan_networks.initial_weights(),
        )(x)
        return layers.ReLU()(hdgan_networks.normalization()(x))

    side = image.shape[1] // 4
    text = layers.ReLU()(hdgan_networks.normalization()(hdgan_networks.dense(condition, channels)))
    text = layers.Reshape((side, side, channels))(layers.RepeatVector(side * side)(text))
    x = layers.Concatenate()([halved(halved(image, channels), 2 * channels), text])
    for _ in range(residual_blocks):
        x = hdgan_networks.residual_block(x)
    for halving in (2, 4):
        x = hdgan_networks.conv_block(x, 3 * channels // halving, up=True)
    return UpsampleConv2D(
        3, use_bias=False, kernel_initializer=hdgan_networks.initial_weights(), activation="tanh"
    )(x)
