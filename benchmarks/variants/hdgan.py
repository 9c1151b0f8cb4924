"""Variants of HDGAN that single notes want: shared discriminator, layer norm, thin network, replay, memory, stages.

Zhang, Xie and Yang (arXiv 1802.09178), the notes of its making and its development code; a term of the notes stands in
quotes. Each is a network for `HDGAN(generator, discriminators)`, or an HDGAN of its own where the step differs.
`width` is that of `kerasgan.models.hdgan`: 128 is the notes' size, 8 or 16 train on two CPU cores.
"""

import functools

import keras
import numpy as np
from keras import layers, ops

from kerasgan.layers.reflection_conv import UpsampleConv2D
from kerasgan.models import hdgan
from kerasgan.models.hdgan import HDGAN, SIZES, build_discriminator, build_generator, check_sizes

# === One discriminator for all sizes ===


def build_shared_discriminator(sizes=SIZES, width=128, *, embedding_dim=1024, text_dim=128):
    """One text pipe and one trunk for all sizes, a stem and two heads for each ("shared disc", "large_shared_skip").

    A list of images [N, s, s, 3], smallest first, and embeddings [N, D] -> for each size a list: logits of the pair
    [N, 1] and of the image [N, 1], whose head has "one more 1x1 convolution". For `SharedHDGAN`; in the notes beside
    `build_generator(skip=True)`, at 256 with one caption an image ("256 large_skip_shared: with num_emb = 1").
    """

    def conv(x, channels, kernel=3, stride=2, norm=True):
        weights = hdgan._weights()
        x = layers.Conv2D(
            channels, kernel, stride, "same", use_bias=False, kernel_initializer=weights
        )(x)
        return hdgan._leaky(hdgan._norm()(x) if norm else x)

    def head(x):
        x = conv(x, 4 * width, 1, 1)
        logit = layers.Conv2D(
            1, 4, kernel_initializer=hdgan._weights(), bias_initializer=hdgan._bias(x, 4)
        )
        return layers.Flatten()(logit(x))

    map32 = x = keras.Input((32, 32, width))
    for channels in (2 * width, 4 * width, 4 * width):
        x = conv(x, channels)
    trunk = keras.Model(map32, x, name="trunk")  # [N, 4, 4, 4 * width]
    embeddings = keras.Input((embedding_dim,), name="embeddings")
    text = layers.RepeatVector(16)(hdgan._leaky(hdgan._dense(embeddings, text_dim)))
    text = layers.Reshape((4, 4, text_dim))(text)
    pictures, logits = [], []
    for size in check_sizes(sizes):
        x = image = keras.Input((size, size, 3), name=f"images_{size}")
        halvings = (size // 32).bit_length() - 1
        for left in reversed(range(halvings)):  # 256: 32, 64, 128 channels
            x = conv(x, max(width >> left, 1), norm=x is not image)
        code = trunk(x)
        pictures.append(image)
        logits.append([head(layers.Concatenate()([code, text])), head(code)])
    return keras.Model([*pictures, embeddings], logits, name="discriminator")


@keras.saving.register_keras_serializable("benchmarks")
class SharedHDGAN(HDGAN):
    """HDGAN with one discriminator for all sizes, from `build_shared_discriminator`; `**arguments` are HDGAN's.

    One network, and not one a size with layers in common: its optimizer, its file and its configuration know each
    shared weight once.
    """

    def __init__(self, generator, discriminator, **arguments):
        super().__init__(
            generator, {x.shape[1]: discriminator for x in discriminator.inputs[:-1]}, **arguments
        )
        self.discriminator = discriminator

    def player_layers(self, player):
        return [self.generator if player == "generator" else self.discriminator]

    def checkpoint_networks(self):
        return {"G": self.ema_generator or self.generator, "D": self.discriminator}

    def discriminator_calls(self, images, embeddings, training=True):
        return [lambda: self.discriminator([*images, embeddings], training=training)]

    def get_config(self):
        config = super().get_config()
        one, *_ = config.pop("discriminators").values()
        return config | {"discriminator": one}

    @classmethod
    def from_config(cls, config):
        return cls(**keras.saving.deserialize_keras_object(config))


# === Layer norm ===


def with_layer_norm(network, leaky=False, faulty=False):
    """A new `network` with layer norm in place of batch norm ("Layer normalization+reLU (LeakyreLU) is not working").

    Each image is normalised over rows, columns and channels; gain and bias are one a channel, as in the notes' code.

    Args:
        network: a generator or discriminator, whose weights are not kept.
        leaky: whether each ReLU becomes a leaky one of slope 0.2.
        faulty: whether maps are normalised as in the notes' code, see `FaultyLayerNorm`.
    """

    relu = functools.partial(layers.LeakyReLU, 0.2) if leaky else layers.ReLU

    def swap(layer):
        if isinstance(layer, layers.BatchNormalization):
            kind = (
                FaultyLayerNorm
                if faulty and len(layer.output.shape) == 4
                else layers.GroupNormalization
            )
            norm = kind(1, epsilon=1e-5, name=layer.name)  # of one group: layer norm
            norm.relu = getattr(layer, "relu", False)
            return norm
        if isinstance(layer, layers.ReLU):
            return relu(name=layer.name)
        return type(layer).from_config(layer.get_config())

    def call(layer, *arguments, mask=None, **options):  # batch norm alone takes a mask
        x = layer(*arguments, **options)
        return relu()(x) if getattr(layer, "relu", False) else x

    return keras.models.clone_model(network, clone_function=swap, call_function=call)


@keras.saving.register_keras_serializable("benchmarks")
class FaultyLayerNorm(layers.GroupNormalization):
    """Layer norm of maps as the notes' code had it two days before they ask "why? Wrong implementation?".

    It was: the bias is added to the deviation that is divided by, and where the sum comes near 0 the map explodes.
    """

    def call(self, inputs):
        mean, variance = ops.moments(inputs, axes=(1, 2, 3), keepdims=True)
        return self.gamma * (inputs - mean) / (ops.sqrt(variance + self.epsilon) + self.beta)


# === The thin network ===


def build_thin(width=128, *, embedding_dim=1024, text_dim=128, **dims):
    """Both networks of 64 pixels, half as wide ("64 no_skip_connection-thin network: with num_emb = 1").

    How thin, neither notes nor code say. Train it on one caption an image: `CaptionedBatches(captions=1)`.

    Returns:
        `(generator, {64: discriminator})`, for `HDGAN(*build_thin())`; `dims` are `build_generator`'s.
    """
    generator = build_generator((64,), width // 2, embedding_dim=embedding_dim, **dims)
    return generator, {
        64: build_discriminator(64, width // 2, embedding_dim=embedding_dim, text_dim=text_dim)
    }


# === Replay ===

EMPTY = float(
    np.finfo("float32").max
)  # the score of a place that holds no fake yet: any fake's is lower


@keras.saving.register_keras_serializable("benchmarks")
class ReplayHDGAN(HDGAN):
    """HDGAN whose discriminators see low-scored fakes of earlier steps again.

    "Use a buffer to save low scored samples up to 500, and take half of fake samples from those buffer. at each
    iteration, update buffer": an idea of the notes, not in their code. A score is the sum of the discriminators'
    logits, each head's mean. In each step the batch's fakes compete for the buffer; then the discriminators train on
    the first half of them and as many from the buffer, with the embeddings these were made for. Their scores are
    renewed: an old one says nothing of today's discriminators. The generator trains on its own fakes, as ever.

    The buffer is part of the model's state: a resumed run goes on with it. Half precision: 500 pictures of 64, 128 and
    256 pixels are 260 MB.

    Args:
        *arguments, **options: HDGAN's.
        capacity: fakes to keep.
    """

    def __init__(self, *arguments, capacity=500, **options):
        super().__init__(*arguments, **options)
        self.capacity = capacity
        dim = self.generator.inputs[0].shape[-1]

        def state(name, shape, dtype="float32", fill="zeros"):
            return self.add_weight((capacity, *shape), fill, dtype, trainable=False, name=name)

        self.kept = [state(f"kept_{size}", (size, size, 3), "float16") for size in self.sizes]
        self.kept_embeddings = state("kept_embeddings", (dim,))
        self.scores = state("scores", (), fill=keras.initializers.Constant(EMPTY))

    def get_config(self):
        return super().get_config() | {"capacity": self.capacity}

    def train_step(self, data):
        # HDGAN's step but for the lines about the buffer.
        real, wrong, embeddings = data
        reals, wrongs = self.pyramid(real), self.pyramid(wrong)
        fakes, pull = self.vjp("generator", lambda: self.generate(embeddings))
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
            fakes, pull = self.vjp("generator", lambda: self.generate(embeddings))
        (g_loss, (divergence, damsm)), slopes = self.value_and_input_gradient(
            generator_objective, fakes
        )
        self.update_generator(pull(slopes))
        if self.ema_generator:
            self.update_ema(self.ema_generator, self.generator, self.ema_decay)
        return self.report(
            generator_loss=g_loss,
            discriminator_loss=d_loss,
            divergence=divergence,
            pair_loss=pair,
            image_loss=image,
            damsm_loss=damsm,
        )

    def mixed(self, fakes, embeddings):
        """Updates the buffer with a batch's fakes and draws from it, with repeats.

        Returns:
            Images of each size and embeddings of a batch whose second half is drawn, and the places it was drawn from.
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
        filled = ops.sum(ops.cast(self.scores < EMPTY, "float32"))  # empty places are the last
        places = ops.cast(keras.random.uniform((count // 2,), seed=self.seeds) * filled, "int32")
        mixed = [
            ops.concatenate(
                [new[: count - count // 2], ops.cast(ops.take(kept, places, axis=0), new.dtype)]
            )
            for kept, new in zip(buffers, batch, strict=True)
        ]
        return mixed[:-1], mixed[-1], places

    def renew(self, places, scores):
        """Gives the fakes that were drawn from `places`, the second half of a batch, their `scores` of now."""
        drawn = scores[ops.shape(scores)[0] - ops.shape(places)[0] :]
        self.scores.assign(ops.scatter_update(self.scores, places[:, None], drawn))


def _scores(logits):
    """Of logits from `judge`: the sum over sizes and heads, each head's mean over its patches -> [N]."""
    heads = [head for heads in logits for head in heads]
    return sum(ops.mean(head, axis=tuple(range(1, len(head.shape)))) for head in heads)


# === A learnable memory ===


@keras.saving.register_keras_serializable("benchmarks")
class Memory(layers.Layer):
    """A learnable map, the same for all images, beside theirs: [N, H, W, C] -> [N, H, W, C + channels].

    Args:
        channels: numbers at each place.
    """

    def __init__(self, channels, **arguments):
        super().__init__(**arguments)
        self.channels = channels

    def build(self, input_shape):
        self.memory = self.add_weight(
            (*input_shape[1:3], self.channels), hdgan._weights(), name="memory"
        )

    def call(self, x):
        memory = ops.broadcast_to(
            ops.cast(self.memory, x.dtype), (*ops.shape(x)[:3], self.channels)
        )
        return ops.concatenate([x, memory], axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + self.channels)

    def get_config(self):
        return super().get_config() | {"channels": self.channels}


def with_memory(generator, scale=16):
    """A new `generator` with a learnable memory ("using 4096X16X16 memory to help the network learning").

    A 1 x 1 convolution and batch norm join the map of 16 x 16 with the memory, which has eight times its channels (at
    width 128: 4096). The notes' code declares such a parameter and never reads it; the joint is that of their skip
    connection.

    Args:
        generator: as `build_generator` builds it, whose weights are not kept.
        scale: of the map.
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
        return hdgan._norm()(
            layers.Conv2D(channels, 1, use_bias=False, kernel_initializer=hdgan._weights())(x)
        )

    return keras.models.clone_model(generator, call_function=call)


# === Stages ===


def build_stages(sizes=SIZES, width=128, *, condition_dim=128, residual_blocks=2, **dims):
    """A generator of 64 pixels, then one from image to image for each doubling ("MultiStage architecture").

    Inputs and outputs are those of `build_generator`. A stage sees the smaller image, detached, and the condition, as
    in StackGAN (arXiv 1612.03242): it condenses the image to a quarter of its side, joins it with the text and doubles
    it three times. A later loss reaches earlier stages through the condition alone.

    Differences from the notes' code: convolutions of stride 2 pad with zeros; no bias before a norm.

    Args:
        sizes: 64 and its doublings, none left out.
        residual_blocks: of a stage.
        **dims: embedding_dim, latent_dim, of `build_generator`.
    """
    sizes = check_sizes(sizes)
    if sizes != tuple(64 << n for n in range(len(sizes))):
        raise ValueError(
            f"sizes must be 64 and its doublings, none left out; received {list(sizes)}"
        )
    first = build_generator(sizes[:1], width, condition_dim=condition_dim, **dims)
    image, mean, log_deviation = first.outputs
    condition = mean + ops.exp(log_deviation) * first.inputs[2]
    images = [image]
    for size in sizes[1:]:
        channels = max(width * 64 // size, 2)  # 128: 64 channels, 256: 32
        images.append(_stage(ops.stop_gradient(images[-1]), condition, channels, residual_blocks))
    return keras.Model(first.inputs, [*images, mean, log_deviation], name="generator")


def _stage(image, condition, channels, residual_blocks):
    def halved(x, channels):
        x = layers.Conv2D(
            channels, 3, 2, "same", use_bias=False, kernel_initializer=hdgan._weights()
        )(x)
        return layers.ReLU()(hdgan._norm()(x))

    side = image.shape[1] // 4
    text = layers.ReLU()(hdgan._norm()(hdgan._dense(condition, channels)))
    text = layers.Reshape((side, side, channels))(layers.RepeatVector(side * side)(text))
    x = layers.Concatenate()([halved(halved(image, channels), 2 * channels), text])
    for _ in range(residual_blocks):
        x = hdgan._residual(x)
    for halving in (2, 4):
        x = hdgan._block(x, 3 * channels // halving, up=True)
    return UpsampleConv2D(
        3, use_bias=False, kernel_initializer=hdgan._weights(), activation="tanh"
    )(x)
