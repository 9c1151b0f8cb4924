"""HDGAN: one generator with pictures at 64, 128 and 256 on its way, each judged against the caption.

Zhang, Xie and Yang, "Photographic Text-to-Image Synthesis with a Hierarchically-nested Adversarial Network" (CVPR 2018,
arXiv 1802.09178), its released code, and the training notes of its making (run names such as
`zz_mmgan_plain_gl_disc_birds_256`). A term of the notes stands in quotes where its meaning is.

Differences from the paper and its code:
- nearest doubling and the convolution after it are one layer, with the same weights and numbers;
- the smaller real images are means over the pixels of the full crop; there, their contrast was stretched one by one;
- the discriminators' moving averages are not moved in the generator's phase (nothing reads them in training);
- convolutions of stride 2 pad below and right (Keras' "same"), not above and left;
- the first map is reshaped channels-last (another order of the same weights);
- 512 pixels follow the rule of the smaller sizes; the paper's frozen extension is not here (its code does not run).
"""

import functools
import math

import keras
import numpy as np
from keras import initializers, layers, ops

from kerasgan import backend
from kerasgan.arguments import check_count, check_seed
from kerasgan.data_spec import DataSpec, Images, Numbers
from kerasgan.ema import ema_copy
from kerasgan.layers.batch_norm import BatchNormalization
from kerasgan.layers.reflection_conv import ReflectionConv2D, UpsampleConv2D
from kerasgan.losses.matching import KINDS, LOSSES, damsm_loss, image_term, pair_term, verdict
from kerasgan.losses.penalties import squared_gradient_norm
from kerasgan.ops.augment import crop
from kerasgan.ops.precision import full_precision
from kerasgan.training import AdversarialModel

SIZES = (64, 128, 256)
LATENT_DIM = 100  # section 4.1 of the paper's supplement; `noise_dim` of the code
CONDITION_DIM = 128

# === Networks ===


def _norm(kind="batch", relu=False):
    if kind == "layer":
        return layers.LayerNormalization(epsilon=1e-5)
    if kind == "none":
        return layers.Identity()
    # torch's momentum and epsilon in Keras' terms; the code draws gamma around 1.
    return BatchNormalization(
        momentum=0.9,
        epsilon=1e-5,
        gamma_initializer=initializers.RandomNormal(1.0, 0.02),
        relu=relu,
    )


def _weights():
    return initializers.RandomNormal(0.0, 0.02)


def _dense(x, units, activation=None):
    """torch's default linear layer: weights and bias uniform within 1 / sqrt(inputs)."""
    bound = x.shape[-1] ** -0.5
    uniform = lambda: initializers.RandomUniform(-bound, bound)  # noqa: E731
    return layers.Dense(
        units, activation, kernel_initializer=uniform(), bias_initializer=uniform()
    )(x)


def _block(x, channels, relu=True, up=False):
    kind = UpsampleConv2D if up else ReflectionConv2D
    return _norm(relu=relu)(kind(channels, use_bias=False, kernel_initializer=_weights())(x))


def _residual(x, up=False):
    channels = x.shape[-1]
    y = _block(_block(x, channels, up=up), channels, relu=False)
    return layers.Add()([layers.UpSampling2D()(x) if up else x, y])


def _leaky(x):
    return layers.LeakyReLU(0.2)(x)


def check_sizes(sizes):
    """The sizes in ascending order; raises ValueError for none, a repeated one, or one that is not 64 * 2**k."""
    sizes = tuple(sizes)
    if (
        not sizes
        or len(set(sizes)) < len(sizes)
        or any(s < 64 or s % 64 or s // 64 & (s // 64 - 1) for s in sizes)
    ):
        raise ValueError(
            f"sizes must be different ones of 64, 128, 256, 512 ...; received {list(sizes)}"
        )
    return tuple(sorted(sizes))


def build_generator(
    sizes=SIZES,
    width=128,
    *,
    embedding_dim=1024,
    latent_dim=LATENT_DIM,
    condition_dim=CONDITION_DIM,
    residual_blocks=1,
    skip=False,
    augmentation=1.0,
):
    """One stream from 4 x 4 to the largest of `sizes`, with a picture at each of them ("plain", "gen_origin").

    Embeddings [N, D], latents [N, latent_dim] and noise [N, condition_dim], both from N(0, 1) -> a list: images
    [N, s, s, 3] in [-1, 1] for each size, smallest first, then mean and log standard deviation of the condition,
    [N, condition_dim] each. With noise 0 the condition is its mean.

    Args:
        sizes: of the pictures; of fewer than three, "single_256", "comb_64_256", "comb_128_256".
        width: an eighth of the channels at 4 x 4 (128: 41,378,496 parameters).
        embedding_dim: D, numbers of a caption's embedding.
        residual_blocks: at each scale (1 in the released code, 2 in earlier runs).
        skip: "upsampling skip connection", the "large multimodal path": the maps of 4, 8 and 16 pixels, doubled
            three times with a convolution each, join those of 32, 64 and 128 ("noupsample" is without).
        augmentation: of the condition's deviation; 1 is the paper's, whose noise starts out larger than what the
            caption says and takes long to fall. Short runs want less.
    """
    sizes = check_sizes(sizes)
    embeddings = keras.Input((embedding_dim,), name="embeddings")
    latents = keras.Input((latent_dim,), name="latents")
    noise = keras.Input((condition_dim,), name="noise")
    x = _leaky(
        _dense(embeddings, 2 * condition_dim)
    )  # the activation covers both halves, as in the code
    mean, log_deviation = ops.split(x, 2, axis=-1)
    condition = mean + augmentation * ops.exp(log_deviation) * noise
    x = _dense(layers.Concatenate()([condition, latents]), 4 * 4 * 8 * width)
    x = layers.Reshape((4, 4, 8 * width))(_norm()(x))  # no activation
    scale, channels, images, maps = 4, 8 * width, [], {}
    while True:
        halved = scale in (8, 32) or scale >= 128
        if halved:
            channels //= 2
            x = _block(x, channels, up=True)
        for index in range(residual_blocks):
            x = _residual(
                x, up=scale > 4 and not halved and index == 0
            )  # [N, scale, scale, channels]
        if skip and scale // 8 in maps:
            x = _joined(x, maps[scale // 8])
        maps[scale] = x
        if scale in sizes:
            rgb = ReflectionConv2D(
                3, use_bias=False, kernel_initializer=_weights(), activation="tanh"
            )
            images.append(rgb(x))
        if scale == sizes[-1]:
            return keras.Model(
                [embeddings, latents, noise], [*images, mean, log_deviation], name="generator"
            )
        scale *= 2


def _joined(x, small):
    if x.shape[1] > 128:  # the notes' path ends at 128
        return x
    channels = small.shape[-1]
    for _ in range(3):
        channels //= 2
        small = _block(small, channels, up=True)
    x = layers.Concatenate()([x, small])
    return _norm()(
        layers.Conv2D(x.shape[-1] - channels, 1, use_bias=False, kernel_initializer=_weights())(x)
    )


def build_discriminator(
    size,
    width=128,
    *,
    embedding_dim=1024,
    text_dim=128,
    image_loss="released",
    extra_conv=True,
    norm="batch",
):
    """Images [N, size, size, 3] and embeddings [N, D] -> a list: the pair's logits [N, 1], then those of the image
    alone, [N, h, w, 1] a head.

    Args:
        size: 64 * 2**k. Three of full width for 64, 128 and 256: 25,693,606 parameters.
        width: an eighth of the channels of the image's code, times 2 (128: 512 channels).
        embedding_dim: D.
        text_dim: numbers into which the embedding is condensed, by each discriminator for itself.
        image_loss: the heads that judge the image alone.
            "released": 4 x 4 weights on the code: one logit at 64 and 128, 5 x 5 patches at 256. There it was an
                accident ("plain_gl_disc") that became the paper's "local" discriminator;
            "global": one logit at each size ("fulglo", "disc_global", "disc_origin");
            "local": a logit for each place of the code, 4 x 4 at 128, 8 x 8 at 256; at 64 the global one
                ("disc_local": "64 never uses local");
            "both": the global and the local one ("disc_both");
            None: none, the pair alone judges ("disc_global_no_img", the notes' best birds).
        extra_conv: "extra 1x1 to embed image feature", "revisedisc": one more 1 x 1 convolution of image code and text.
        norm: "batch" (the paper); "layer", over the channels of each place; or "none", whose weights start as He's.
            A batch of real, of wrong or of fake pairs goes through by itself, so that batch norm's statistics give away
            which it is, however little is known of each pair: narrow networks then learn the statistics, not the pairs.
            Layer norm takes from each place how strong its features are.
    """
    (size,) = check_sizes([size])
    if norm not in NORMS:
        raise ValueError(f"norm must be one of {', '.join(NORMS)}; received {norm!r}")
    if image_loss not in IMAGE_LOSSES:
        raise ValueError(
            f"image_loss must be one of {', '.join(map(str, IMAGE_LOSSES))}; received {image_loss!r}"
        )
    code, weights = 4 * width, initializers.HeNormal if norm == "none" else _weights
    images = keras.Input((size, size, 3), name="images")
    embeddings = keras.Input((embedding_dim,), name="embeddings")

    def conv(x, channels, kernel, stride=1, padding="same"):
        return layers.Conv2D(
            channels, kernel, stride, padding, use_bias=False, kernel_initializer=weights()
        )(x)

    halvings = size.bit_length() - 4
    channels = [max(code >> n, 1) for n in reversed(range(halvings))]  # 256: 32, 64, 128, 256, 512
    x = _leaky(conv(images, channels[0], 3, 2))
    for maps in channels[1:]:
        x = _leaky(_norm(norm)(conv(x, maps, 3, 2)))
    # [N, 8, 8, 512]; at 64 and 128 the code is the shrunk one, at 256 only the pair's branch shrinks it
    shrunk = _leaky(_norm(norm)(conv(x, code, 5, padding="valid")))  # [N, 4, 4, 512]
    x = shrunk if size < 256 else x
    text = _leaky(_dense(embeddings, text_dim))
    tiled = layers.Reshape((4, 4, text_dim))(layers.RepeatVector(16)(text))
    pair = layers.Concatenate()([shrunk, tiled])  # [N, 4, 4, 640]
    if extra_conv:
        pair = _leaky(_norm(norm)(conv(pair, code, 1)))

    def head(x, kernel):
        return layers.Conv2D(
            1, kernel, kernel_initializer=weights(), bias_initializer=_bias(x, kernel)
        )(x)

    heads = {
        "released": lambda: head(x, 4),
        "global": lambda: head(shrunk, 4),
        "local": lambda: head(x, 1),
    }
    kinds = {None: (), "both": ("global", "local")}.get(image_loss, (image_loss,))
    if size == 64:
        kinds = ("global",) if kinds else ()
    logits = [layers.Flatten()(head(pair, 4)), *(heads[kind]() for kind in kinds)]
    return keras.Model([images, embeddings], logits, name=f"discriminator_{size}")


IMAGE_LOSSES = ("released", "global", "local", "both", None)
NORMS = ("batch", "layer", "none")


def _bias(x, kernel):
    bound = (x.shape[-1] * kernel * kernel) ** -0.5  # torch's default
    return initializers.RandomUniform(-bound, bound)


# === Model ===


def conditioning_divergence(mean, log_deviation):
    """KL(N(mean, exp(log_deviation)^2) || N(0, 1)), averaged over images and dimensions: StackGAN's conditioning
    augmentation (arXiv 1612.03242, equation 2)."""
    return ops.mean(0.5 * (ops.square(mean) + ops.exp(2.0 * log_deviation) - 1.0) - log_deviation)


@keras.saving.register_keras_serializable("kerasgan")
class NotedCriticSteps:
    """The notes' extra steps of the discriminator ("ncritic", "ncric"): generator updates so far -> discriminator
    steps before the next one.

    In its first epoch 5 for each of the first 100 updates and each 20th up to 1,000; later 10 for each 50th; else 1.

    Args:
        steps_per_epoch: generator updates that make an epoch.
        epochs: as long as this lasts: 100 ("first 100"), 10 ("ncric10"), None for the whole run ("continue_ncric",
            "allncric").
    """

    def __init__(self, steps_per_epoch, epochs=100):
        self.steps_per_epoch, self.epochs = steps_per_epoch, epochs

    def __call__(self, updates):
        first = updates < self.steps_per_epoch
        often = ops.logical_and(first, (updates < 100) | ((updates < 1000) & (updates % 20 == 0)))
        steps = ops.where(often, 5, ops.where(updates % 50 == 0, 10, 1))
        lasts = True if self.epochs is None else updates < self.steps_per_epoch * self.epochs
        return ops.where(lasts, steps, 1)

    def get_config(self):
        return {"steps_per_epoch": self.steps_per_epoch, "epochs": self.epochs}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable("kerasgan")
class HDGAN(AdversarialModel):
    """Pictures at several sizes from a caption's embedding.

    Data: `(real [N, S, S, 3], wrong [N, S, S, 3], embeddings [N, D])`, as `CaptionedBatches` gives them: S the largest
    size, images in [-1, 1], `wrong` real images of another class. N is at least 2.

    Args:
        generator: as `build_generator` builds it; by default at full width.
        discriminators: size -> discriminator, as `build_discriminator` builds it; by default of the generator's sizes.
        loss: "least_squares" (the paper) or "logistic", of all heads and both players.
        redraw: whether the generator's phase draws noise and fakes again, as the notes' code did. By default one batch
            of fakes serves both phases, as in the released code: one generator forward in place of two.
        divergence_weight: of the conditioning's KL divergence (4 for birds and flowers, 2 for COCO).
        penalty: gamma of R1 (arXiv 1801.04406) at the real images of each size, of the mean over a head's logits
            and the sum over heads; 0 is none (the paper). Small networks learn faster and more steadily with it.
        penalty_every: discriminator updates from one penalty to the next, which weighs as much as all of them (arXiv
            1912.04958, appendix B).
        average: decay of the generator's moving average, which `sample` then uses; None is none (the paper).
        critic_steps: `generator updates -> discriminator steps before the next one`, such as `NotedCriticSteps`; None
            is one. Each takes a batch of its own.
        image_encoder: a network of images [N, s, s, 3] in [-1, 1] into vectors [N, D] that learnt together with the
            text encoder: the generator then also learns from which of the batch's captions it takes a fake to be of
            (DAMSM, see `losses.matching.damsm_loss`), at each size, fakes shrunk to s. Narrow discriminators take very
            long to find small parts, which this encoder knows. It is never changed, and no part of the config or of a
            network's file: a loaded model that goes on needs it again. None is the paper.
        damsm_weight: of that loss, at each size.
        damsm_crop: least side, of 1, of the random crops that the image encoder sees of the fakes (`ops.augment.crop`);
            1 is none. Of whole pictures, which never move, a generator learns textures that only the encoder sees.
        damsm_queue: number of the captions of past steps from which it must tell a fake as well (a queue as MoCo's,
            arXiv 1911.05722); 0 is the batch's alone. Few captions are told apart by what is easy to draw.
        seed: of all noise in training.

    Example:
        gan = HDGAN(build_generator(width=32), {size: build_discriminator(size, 32) for size in SIZES})
        adam = lambda: keras.optimizers.Adam(2e-4, beta_1=0.5, epsilon=1e-8)
        gan.compile(generator=adam(), discriminator=adam())
        gan.fit(CaptionedBatches(data.embed(encoder), batch_size=10), epochs=600)
        gan.sample(encoder(["a small red bird with a yellow belly"]))[256]
    """

    ema_networks = {"ema_generator": "generator"}
    reports = (
        "generator_loss",
        "discriminator_loss",
        "divergence",
        "pair_loss",
        "image_loss",
        "damsm_loss",
    )

    def __init__(
        self,
        generator=None,
        discriminators=None,
        *,
        loss="least_squares",
        redraw=False,
        divergence_weight=4.0,
        critic_steps=None,
        penalty=0.0,
        penalty_every=4,
        average=None,
        image_encoder=None,
        damsm_weight=1.0,
        damsm_crop=1.0,
        damsm_queue=0,
        seed=0,
        name=None,
    ):
        super().__init__(name=name)
        self.generator = generator or build_generator()
        self.sizes = tuple(image.shape[1] for image in self.generator.outputs[:-2])
        dim = self.generator.inputs[0].shape[-1]
        self.discriminators = discriminators or {
            s: build_discriminator(s, embedding_dim=dim) for s in self.sizes
        }
        if set(self.discriminators) != set(self.sizes):
            raise ValueError(
                f"discriminators must be one for each of the generator's sizes, {list(self.sizes)}; "
                f"received {sorted(self.discriminators)}"
            )
        if loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}; received {loss!r}")
        self.loss_kind = loss
        self.image_encoder, self.damsm_weight, self.damsm_crop = (
            image_encoder,
            damsm_weight,
            damsm_crop,
        )
        if not 0 < damsm_crop <= 1:
            raise ValueError(f"damsm_crop must be above 0 and at most 1; received {damsm_crop}")
        if damsm_queue < 0:
            raise ValueError(f"damsm_queue must be at least 0; received {damsm_queue}")
        self.damsm_queue = damsm_queue if image_encoder is not None else 0
        if image_encoder is not None:
            self._check_encoder(dim)
        self.redraw, self.divergence_weight, self.critic_steps = (
            redraw,
            divergence_weight,
            critic_steps,
        )
        self.penalty, self.penalty_every = penalty, penalty_every
        self.ema_decay, self.ema_generator = average, ema_copy(self.generator) if average else None
        self.seed = check_seed(seed)
        self.seeds = keras.random.SeedGenerator(self.seed)
        if critic_steps:  # discriminator steps since the generator's last one
            self.waited = self.add_weight((), "zeros", "int32", trainable=False, name="waited")
        if (
            self.damsm_queue
        ):  # vectors of 0 until it is full, which take part as captions that are like no image
            self.told = self.add_weight(
                (damsm_queue, dim), "zeros", "float32", trainable=False, name="told"
            )
        self.built = True

    def _check_encoder(self, dim):
        side, given = self.image_encoder.input_shape[1], self.image_encoder.output_shape[-1]
        if given != dim or not side or any(size % side for size in self.sizes):
            raise ValueError(
                f"image_encoder must give {dim} numbers, as a caption's, of images whose side divides {self.sizes}; "
                f"received one that gives {given} of side {side}"
            )

    def player_layers(self, player):
        return [self.generator] if player == "generator" else list(self.discriminators.values())

    def checkpoint_networks(self):
        judges = {f"D{size}": network for size, network in self.discriminators.items()}
        return {"G": self.ema_generator or self.generator} | judges

    def get_config(self):
        nested = keras.saving.serialize_keras_object
        discriminators = {
            str(size): nested(network) for size, network in self.discriminators.items()
        }
        names = (
            "redraw",
            "divergence_weight",
            "penalty",
            "penalty_every",
            "damsm_weight",
            "damsm_crop",
            "damsm_queue",
            "seed",
            "name",
        )
        plain = {name: getattr(self, name) for name in names}
        plain |= {"average": self.ema_decay, "loss": self.loss_kind}
        steps = self.critic_steps and nested(self.critic_steps)
        return plain | {
            "generator": nested(self.generator),
            "discriminators": discriminators,
            "critic_steps": steps,
        }

    @classmethod
    def from_config(cls, config):
        nested = keras.saving.deserialize_keras_object
        discriminators = {
            int(size): nested(network) for size, network in config["discriminators"].items()
        }
        steps = config["critic_steps"] and nested(config["critic_steps"])
        built = {
            "generator": nested(config["generator"]),
            "discriminators": discriminators,
            "critic_steps": steps,
        }
        return cls(**(config | built))

    def start_from(self, other):
        """Goes on from a model of fewer sizes, or the same: takes over its discriminators and its generator (the moving
        average, if it has one), which is this one's up to its largest size. The paper's 512 pixels go on from 256 so.

        Raises ValueError, and takes nothing, where the other's sizes or shapes are not the first of this one's.
        """
        count = len(other.sizes)
        if other.sizes != self.sizes[:count]:
            raise ValueError(
                f"it must start from the first of the sizes {self.sizes}; received {other.sizes}"
            )
        learnt = other.ema_generator or other.generator
        pairs = [(self.discriminators[size], other.discriminators[size]) for size in other.sizes]
        for network in (self.generator, self.ema_generator):
            if network is not None:
                outputs = [*network.outputs[:count], *network.outputs[-2:]]
                pairs.append((keras.Model(network.inputs, outputs), learnt))
        for ours, theirs in pairs:
            shapes = [[tuple(v.shape) for v in network.variables] for network in (ours, theirs)]
            if shapes[0] != shapes[1]:
                raise ValueError(
                    f"it must start from networks of its own shapes; received another {theirs.name}"
                )
        for ours, theirs in pairs:
            for variable, value in zip(ours.variables, theirs.variables, strict=True):
                variable.assign(value)

    def data_spec(self):
        shape, dim = (self.sizes[-1], self.sizes[-1], 3), self.generator.inputs[0].shape[-1]
        return DataSpec(
            (Images(shape), Images(shape, "wrong images"), Numbers((dim,), "embeddings")),
            smallest=2,
            reason="batch norm has no statistics of one image",
        )

    # === Training ===

    def draw(self, embeddings, training=True):
        """Images of each size, then mean and log deviation of the condition, from fresh latents and noise."""
        count = ops.shape(embeddings)[0]
        noise = [
            keras.random.normal((count, x.shape[-1]), seed=self.seeds)
            for x in self.generator.inputs[1:]
        ]
        return full_precision(self.generator([embeddings, *noise], training=training))

    def pyramid(self, images):
        """Real images [N, S, S, 3] at each size, smallest first: means over squares of pixels."""
        factors = [self.sizes[-1] // size for size in self.sizes[:-1]]
        return [*(_shrunk(images, n) for n in factors), images]

    def discriminate(self, images, embeddings, training=True):
        """The logits of each size, a list [pair, *image heads]; `images` are a list too."""
        return [logits for call in self.judging(images, embeddings, training) for logits in call()]

    def judging(self, images, embeddings, training=True):
        """What `judge` is made of: functions of nothing, each of which returns the logits of one network's sizes."""

        def call(size, x):  # Keras takes a list of one apart
            return [
                keras.tree.flatten(
                    full_precision(self.discriminators[size]([x, embeddings], training=training))
                )
            ]

        return [
            functools.partial(call, size, x) for size, x in zip(self.sizes, images, strict=True)
        ]

    def discriminator_loss(self, real, wrong, fake):
        """The loss of logits from `judge`, and its parts, of pairs and of images alone: sums over the sizes."""
        return _added(
            self.adversarial_loss(*each) for each in zip(KINDS, (real, wrong, fake), strict=True)
        )

    def adversarial_loss(self, kind, logits):
        """What of `discriminator_loss` one kind of images adds, "real", "wrong" or "fake"."""
        pair = sum(pair_term(heads[0], kind, self.loss_kind) for heads in logits)
        image = sum(
            _mean([image_term(head, kind, self.loss_kind) for head in heads[1:]])
            for heads in logits
        )
        return pair + image, (pair, image)

    def generator_loss(self, fakes, logits, embeddings, training=True):
        """The loss of fakes from `draw` and their logits from `judge`, and its parts: divergence and DAMSM."""
        *images, mean, log_deviation = fakes
        divergence = conditioning_divergence(mean, log_deviation)
        pair = sum(verdict(heads[0], True, self.loss_kind) for heads in logits)
        image = sum(
            _mean([verdict(head, True, self.loss_kind) for head in heads[1:]]) for heads in logits
        )
        damsm = self.damsm(images, embeddings, training)
        loss = self.divergence_weight * divergence + pair + image + self.damsm_weight * damsm
        return loss, (divergence, damsm)

    def damsm(self, images, embeddings, training=True):
        """The sum over sizes of `damsm_loss`, in training of random crops; 0 without an image encoder."""
        if self.image_encoder is None:
            return ops.zeros((), "float32")
        side = self.image_encoder.input_shape[1]
        seen = [x if x.shape[1] == side else _shrunk(x, x.shape[1] // side) for x in images]
        if training and self.damsm_crop < 1:
            seen = [crop(x, self.seeds, self.damsm_crop) for x in seen]
        others = ops.convert_to_tensor(self.told) if self.damsm_queue and training else None
        return sum(
            damsm_loss(self.image_encoder(x, training=False), embeddings, others=others)
            for x in seen
        )

    def gradient_penalty(self, images, embeddings):
        """R1 of real images, a list of [N, s, s, 3], for as many updates as lie between two."""

        def score(images):
            logits = self.frozen_moving_statistics(lambda: self.discriminate(images, embeddings))
            return sum(ops.sum(h) / math.prod(h.shape[1:]) for heads in logits for h in heads)

        slopes = self.input_gradient(score, images, "discriminator")
        return sum(map(squared_gradient_norm, slopes)) * (self.penalty_every * self.penalty / 2)

    def train_step(self, data):
        real, wrong, embeddings = data
        reals, wrongs = self.pyramid(real), self.pyramid(wrong)
        if self.redraw:
            fakes = self.draw(embeddings)
        else:
            fakes, pull = self.vjp("generator", lambda: self.draw(embeddings))

        # Three calls each: the statistics of real, wrong and fake images stay apart.
        calls = [self.judging(images, embeddings) for images in (reals, wrongs, fakes[:-2])]
        terms = [
            lambda kind=kind, call=call: self.adversarial_loss(kind, call())
            for group in zip(*calls, strict=True)
            for kind, call in zip(KINDS, group, strict=True)
        ]
        if self.penalty:
            slope = lambda: self.gradient_penalty(reals, embeddings)  # noqa: E731
            terms.append(
                lambda: (
                    self.lazy_regularization(self.penalty_every, "discriminator", slope),
                    (0.0, 0.0),
                )
            )

        def generator_objective(fakes):
            logits = self.frozen_moving_statistics(
                lambda: self.discriminate(fakes[:-2], embeddings)
            )
            return self.generator_loss(fakes, logits, embeddings)

        d_loss, (pair, image) = _added(self.minimize_sum("discriminator", terms))
        if self.redraw:
            fakes, pull = self.vjp("generator", lambda: self.draw(embeddings))
        (g_loss, (divergence, damsm)), slopes = self.value_and_input_gradient(
            generator_objective, fakes, "generator"
        )
        self._move_generator(pull(slopes))
        if self.damsm_queue:
            self.told.assign(ops.concatenate([embeddings, self.told], axis=0)[: self.damsm_queue])
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

    def _move_generator(self, gradients):
        if self.critic_steps is None:
            return self.apply_gradients("generator", gradients)

        def move():
            self.apply_gradients("generator", gradients)
            self.waited.assign(0)
            return ops.zeros(())

        def wait():
            return ops.zeros(())

        waited = ops.convert_to_tensor(self.waited) + 1
        self.waited.assign(waited)
        due = waited >= self.critic_steps(ops.cast(self.optimizer["generator"].iterations, "int32"))
        backend.cond(due, move, wait)

    def test_step(self, data):
        real, wrong, embeddings = data
        fakes = self.draw(embeddings, training=False)
        shown = self.pyramid(real), self.pyramid(wrong), fakes[:-2]
        logits = [self.discriminate(images, embeddings, training=False) for images in shown]
        d_loss, (pair, image) = self.discriminator_loss(*logits)
        g_loss, (divergence, damsm) = self.generator_loss(
            fakes, logits[-1], embeddings, training=False
        )
        return self.report(
            generator_loss=g_loss,
            discriminator_loss=d_loss,
            divergence=divergence,
            pair_loss=pair,
            image_loss=image,
            damsm_loss=damsm,
        )

    # === Use ===

    def call(self, inputs, training=False):
        """Images of each size, mean and log deviation, by the network that `sample` uses.

        Args:
            inputs: `[embeddings, latents, conditioning noise]`.
        """
        return (self.ema_generator or self.generator)(inputs, training=training)

    def call_inputs(self):
        return self.generator.inputs

    def noise(self, n, seed=None):
        """Latents [n, latent_dim] and conditioning noise [n, condition_dim] from N(0, 1), float32 arrays."""
        n, seed = check_count(n), check_seed(seed)
        dims = [x.shape[-1] for x in self.generator.inputs[1:]]
        drawn = ops.convert_to_numpy(keras.random.normal((n, sum(dims)), seed=seed))
        return drawn[:, : dims[0]], drawn[:, dims[0] :]

    def sample(self, embeddings, noise=None, seed=None, batch_size=16):
        """Draws pictures of captions, in inference mode (in training mode the notes lost half a point of IS).

        Args:
            embeddings: float [N, D], from the text encoder that the model was trained with.
            noise: what `noise(N)` returns; None draws it from `seed`.
            seed: an integer; the same seed gives the same pictures on the same backend. None draws new ones.
            batch_size: pictures computed at a time; it does not change them.

        Returns:
            Size -> float32 array [N, size, size, 3] in [-1, 1].

        Raises:
            ValueError: embeddings of another shape.
        """
        embeddings, dim = np.asarray(embeddings, "float32"), self.generator.inputs[0].shape[-1]
        if embeddings.ndim != 2 or not len(embeddings) or embeddings.shape[1] != dim:
            raise ValueError(
                f"embeddings must be [N, {dim}], one a picture; received {list(embeddings.shape)}"
            )
        inputs = [embeddings, *(noise or self.noise(len(embeddings), seed))]
        *images, _, _ = (self.ema_generator or self.generator).predict(
            inputs, batch_size=batch_size, verbose=0
        )
        return dict(zip(self.sizes, images, strict=True))


def _added(parts):
    """Sums of nested tuples of one structure."""
    return keras.tree.map_structure(lambda *each: sum(each), *parts)


def _shrunk(images, factor):
    return ops.average_pool(images, factor, factor, data_format="channels_last")


def _mean(losses):
    return sum(losses) / max(len(losses), 1)
