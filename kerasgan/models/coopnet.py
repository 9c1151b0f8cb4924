"""CoopNet: a descriptor and a generator that teach each other by Langevin dynamics.

Xie, Lu, Gao, Zhu and Wu, "Cooperative Training of Descriptor and Generator Networks" (arXiv 1609.09408), its released
code, and training notes of its PyTorch port. The descriptor is an energy, p(x) proportional to exp(f(x)) N(x; 0,
sigma^2 I); the generator draws x = G(z). Each step, chains that start at G(z) take a few Langevin steps towards what
the descriptor finds likely; it learns from the difference to the data, and the generator learns to draw at once what
the chains have arrived at.

Differences from the paper and its code:
- latents are kept, not inferred from the revised images, as in all released code (`latent_steps=0`); the paper infers;
- one generator forward serves the start of the chains and the lesson: its weights have not moved in between;
- the generator's loss is a mean over chains (there a sum or a mean; Adam does not see the difference);
- reconstruction is reported per pixel: there, it grows with the number of chains;
- images are taken as they are, in [-1, 1]; there, the contrast of each is stretched;
- at 32 and 64 pixels the maps are halved exactly, as in the TensorFlow code (the port has 15 and 31 pixels).
"""

import functools
import math
import warnings

import keras
import numpy as np
from keras import initializers, layers, ops

from kerasgan.arguments import check_count, check_seed
from kerasgan.data_spec import DataSpec, Ignored, Images
from kerasgan.images import check_images
from kerasgan.layers.batch_norm import BatchNormalization
from kerasgan.layers.conv3x3 import Conv3x3
from kerasgan.layers.conv_transpose import SmallConv2DTranspose
from kerasgan.layers.image_conv import ImageConv2D
from kerasgan.layers.summed_dense import SummedDense
from kerasgan.ops.langevin import langevin, lengths, prior_rate
from kerasgan.training import AdversarialModel

# What `build` takes: the authors' code for scenes of 64 pixels, theirs for digits, the port's defaults, its CIFAR-10.
AUTHORS = {
    "batch_size": 100,
    "chains": 144,
    "steps": 10,
    "step_size": 0.002,
    "sigma": 0.016,
    "noise": 1.0,
    "descriptor_rate": 0.01,
    "generator_rate": 1e-4,
    "beta_1": 0.5,
    "negative_slope": 0.2,
    "small_weights": True,
}
AUTHORS_DIGITS = AUTHORS | {"steps": 15, "descriptor_rate": 0.007}
PORT = AUTHORS | {
    "chains": 900,
    "step_size": 0.001,
    "noise": 0.0,
    "negative_slope": 0.01,
    "small_weights": False,
}
PORT_CIFAR10 = PORT | {"batch_size": 300, "descriptor_rate": 0.003}
SETTINGS = {
    "authors": AUTHORS,
    "authors_digits": AUTHORS_DIGITS,
    "port": PORT,
    "port_cifar10": PORT_CIFAR10,
}
SIZES = (28, 32, 64)

# === Networks ===


def _weights(deviation):
    """The authors' small normal weights; None is torch's default, uniform within 1 / sqrt(inputs)."""
    return (
        initializers.RandomNormal(0.0, deviation)
        if deviation
        else initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
    )


def build_descriptor(size, channels=3, width=64, *, head=100, negative_slope=0.2, deviation=0.01):
    """Images [N, size, size, channels] -> f, [N, 1]. No normalisation: it would tie chains together.

    Args:
        size: 28, 32 or 64 (1,066,532 parameters for digits; 2,012,388 and 6,927,588 for colours).
        width: channels of the first convolution; the others have 2 and 4 times as many.
        head: outputs that are summed. One Adam step moves a sum of 100 a hundred times as far as one output.
        negative_slope: of the leaky ReLUs (0.2 the authors', 0.01 the port's).
        deviation: of the normal initial weights; None is torch's default.
    """
    _check_size(size)
    images = x = keras.Input((size, size, channels), name="images")
    convolutions = ((4, 2), (4, 2), (4, 2)) if size == 28 else ((5, 2), (3, 2), (3, 1))
    for maps, (kernel, stride) in zip((width, 2 * width, 4 * width), convolutions, strict=True):
        kind = (
            ImageConv2D if x is images else Conv3x3 if (kernel, stride) == (3, 1) else layers.Conv2D
        )
        x = kind(maps, kernel, stride, padding="same", kernel_initializer=_weights(deviation))(x)
        x = layers.LeakyReLU(negative_slope)(
            x
        )  # [N, 14, 14, 64], [N, 7, 7, 128], [N, 4, 4, 256] at 28
    f = SummedDense(head, kernel_initializer=_weights(deviation))(layers.Flatten()(x))
    return keras.Model(images, f, name="descriptor")


def build_generator(
    size, channels=3, width=64, *, latent_dim=100, negative_slope=0.2, deviation=0.005
):
    """Latents [N, latent_dim] -> images [N, size, size, channels] in [-1, 1].

    Args:
        size: 28, 32 or 64 (3,445,377 parameters for digits; 1,439,747 and 5,127,683 for colours).
        width: channels of the last map but one, doubled from map to map towards the first (at 28: 2 width).
        latent_dim: at least 2; fewer than 16 learn little of colours (training notes).
        negative_slope, deviation: as in `build_descriptor`.
    """
    _check_size(size)
    if latent_dim < 2:
        raise ValueError(
            f"latent_dim must be at least 2 (too small a z learns nothing); received {latent_dim}"
        )
    if latent_dim < 16 and channels > 1:
        warnings.warn(
            f"latent_dim {latent_dim} is small for images in colour, 100 is usual", stacklevel=2
        )
    latents = keras.Input((latent_dim,), name="latents")
    kernel, factors = {28: (4, (8, 4, 2)), 32: (5, (4, 2, 1)), 64: (5, (8, 4, 2, 1))}[size]

    def activated(x):
        return layers.LeakyReLU(negative_slope)(BatchNormalization(momentum=0.9, epsilon=1e-5)(x))

    x = layers.Reshape((1, 1, latent_dim))(latents)
    x = activated(
        SmallConv2DTranspose(factors[0] * width, 4, kernel_initializer=_weights(deviation))(x)
    )
    for factor in (*factors[1:], None):
        maps = channels if factor is None else factor * width
        x = layers.Conv2DTranspose(
            maps, kernel, 2, padding="same", kernel_initializer=_weights(deviation)
        )(x)
        if x.shape[1] == 8 and size == 28:
            x = layers.Cropping2D(((0, 1), (0, 1)))(
                x
            )  # [N, 7, 7, C]: TensorFlow's transpose of "same" from 7 to 4
        x = layers.Activation("tanh")(x) if factor is None else activated(x)
    return keras.Model(latents, x, name="generator")


def _check_size(size):
    if size not in SIZES:
        raise ValueError(f"size must be one of {', '.join(map(str, SIZES))}; received {size}")


def build(
    size,
    channels=3,
    *,
    settings=AUTHORS,
    width=64,
    latent_dim=100,
    latent_steps=0,
    clip=False,
    seed=0,
    **compiling,
):
    """A compiled `CoopNet` with the networks and Adams of `settings`.

    Args:
        size, channels, width, latent_dim: of the networks.
        settings: a dictionary like `AUTHORS`, such as `PORT | {"chains": 100}`; `batch_size` is for who makes batches.
        latent_steps, clip: of the model.
        seed: of all noise in training.
        **compiling: for `compile`, such as `jit_compile`.
    """
    if set(settings) != set(AUTHORS):
        wrong = sorted(set(settings) ^ set(AUTHORS))
        raise ValueError(
            f"settings must be those of AUTHORS, no more and no fewer; received others in {wrong}"
        )
    small, networks = settings["small_weights"], {"negative_slope": settings["negative_slope"]}
    deviations = (0.005, 0.01) if small else (None, None)
    model = CoopNet(
        build_generator(
            size, channels, width, latent_dim=latent_dim, deviation=deviations[0], **networks
        ),
        build_descriptor(size, channels, width, deviation=deviations[1], **networks),
        **{name: settings[name] for name in ("chains", "steps", "step_size", "sigma", "noise")},
        latent_steps=latent_steps,
        clip=clip,
        seed=seed,
    )
    rates = {player: settings[f"{player}_rate"] for player in model.players}
    adams = {
        player: keras.optimizers.Adam(rate, beta_1=settings["beta_1"])
        for player, rate in rates.items()
    }
    model.compile(**adams, **compiling)
    return model


# === Numbers of health ===


def impulse(images):
    """Salt and pepper: mean distance of a pixel of images [N, H, W, C] from the median of its 3 x 3. A scalar."""

    def median(a, b, c):
        return ops.maximum(ops.minimum(a, b), ops.minimum(ops.maximum(a, b), c))

    def smallest(a, b, c):
        return ops.minimum(ops.minimum(a, b), c)

    def largest(a, b, c):
        return ops.maximum(ops.maximum(a, b), c)

    # Columns of three first, sorted; the median of nine is that of their largest small, middle middle, smallest large.
    columns = images[:, :-2], images[:, 1:-1], images[:, 2:]
    low, middle, high = (
        (x[:, :, :-2], x[:, :, 1:-1], x[:, :, 2:])
        for x in (smallest(*columns), median(*columns), largest(*columns))
    )
    medians = median(largest(*low), median(*middle), smallest(*high))
    return ops.mean(ops.abs(images[:, 1:-1, 1:-1] - medians))


# === Model ===


class Sampler(keras.Model):
    """What `predict` compiles, block by block; it owns the networks so that their weights are not baked in."""

    def __init__(self, generator, descriptor, draw):
        super().__init__()
        self.generator, self.descriptor, self.draw, self.built = generator, descriptor, draw, True

    def call(self, inputs, training=False):
        return self.draw(inputs)


@keras.saving.register_keras_serializable("kerasgan")
class CoopNet(AdversarialModel):
    """A descriptor and a generator that teach each other.

    Data: images [M, H, W, C] float in [-1, 1], or `(images, labels)`, whose labels are ignored.

    Where a schedule is admitted it is a number or a function of the descriptor's updates so far, such as Keras'
    `PiecewiseConstantDecay([4000], [1.0, 0.0])`: noise on, then off.

    Args:
        generator: latents -> images; the authors' for digits by default.
        descriptor: images -> [N, outputs], whose sum is f, without batch norm.
        chains: Langevin chains a step, whatever M is: also the batch of the generator's batch norm.
        steps, step_size: of Langevin on images; schedules.
        sigma: deviation of the Gaussian that holds images at 0.
        noise: 1 is Langevin's, 0 none; a schedule. (Notes: on at first, off after about 100 epochs.)
        deviation: of the generator's residual, s in |x - G(z)|^2 / (2 s^2).
        latent_steps, latent_step_size: of Langevin on latents, given the revised images; 0 keeps the latents.
        clip: keep images in [-1, 1] after each Langevin step (none of the ports does; CoopFlow does).
        seed: of all noise in training.

    Raises:
        ValueError: settings that cannot work. Those that most likely will not are warned of.

    Example:
        model = CoopNet(build_generator(28, 1), build_descriptor(28, 1), chains=100, steps=15)
        model.compile(descriptor=keras.optimizers.Adam(7e-3, 0.5), generator=keras.optimizers.Adam(1e-4, 0.5))
        model.fit(images, batch_size=100, callbacks=[ExplosionGuard("descriptor")])
        model.sample(100, by="descriptor")
    """

    players = ("generator", "descriptor")
    sampling_networks = ("generator", "descriptor")
    sample_options = ("by", "statistics", "steps")
    # Means over the epoch. drift .. dead: `ops.langevin`. travel: |revised - drawn| / |drawn|; travel_to_data: the same
    # / |data|. clipped: share of revised pixels beyond [-1, 1]. spread: deviation of revised pixels / of the data's.
    # reconstruction: (revised - drawn)^2 a pixel. moment_gap: (mean revised - mean image of the data)^2 a pixel.
    # impulse: salt and pepper of revised images / of the data.
    reports = (
        "generator_loss",
        "descriptor_loss",
        "drift",
        "gradient",
        "noise",
        "balance",
        "dead",
        "travel",
        "travel_to_data",
        "clipped",
        "spread",
        "reconstruction",
        "moment_gap",
        "impulse",
    )

    def __init__(
        self,
        generator=None,
        descriptor=None,
        *,
        chains=100,
        steps=10,
        step_size=0.002,
        sigma=0.016,
        noise=1.0,
        deviation=0.3,
        latent_steps=0,
        latent_step_size=0.1,
        clip=False,
        seed=0,
        name=None,
    ):
        super().__init__(name=name)
        self.generator, self.descriptor = (
            generator or build_generator(28, 1),
            descriptor or build_descriptor(28, 1),
        )
        self.chains, self.steps, self.step_size, self.sigma, self.noise = (
            chains,
            steps,
            step_size,
            sigma,
            noise,
        )
        self.deviation, self.latent_steps, self.latent_step_size = (
            deviation,
            latent_steps,
            latent_step_size,
        )
        self.clip, self.seed = clip, check_seed(seed)
        self.seeds = keras.random.SeedGenerator(self.seed)
        self.latent_dim = self.generator.inputs[0].shape[-1]
        self.image_shape = tuple(self.generator.outputs[0].shape[1:])
        self.rate = None  # the descriptor's, as compiled
        self.sampler = functools.cache(self._sampler)
        self._check()
        self.built = True

    def _check(self):
        if tuple(self.descriptor.inputs[0].shape[1:]) != self.image_shape:
            received = list(self.descriptor.inputs[0].shape[1:])
            raise ValueError(
                f"descriptor must take the generator's {list(self.image_shape)}; received {received}"
            )
        if any(hasattr(layer, "moving_mean") for layer in self.descriptor._flatten_layers()):
            raise ValueError(
                "descriptor must be without batch norm (it ties chains together); received one with it"
            )
        for key, least in {"chains": 2, "steps": 0, "noise": 0, "latent_steps": 0}.items():
            if min(_values(getattr(self, key))) < least:
                raise ValueError(
                    f"{key} must be at least {least}; received {min(_values(getattr(self, key)))}"
                )
        for key in ("step_size", "sigma", "deviation", "latent_step_size"):
            if not min(_values(getattr(self, key))) > 0:  # nor NaN
                raise ValueError(
                    f"{key} must be above 0; received {min(_values(getattr(self, key)))}"
                )
        rate, steps = prior_rate(max(_values(self.step_size)), self.sigma), max(_values(self.steps))
        if rate >= 1:
            raise ValueError(
                "step_size^2 / (2 sigma^2) must be below 1 (a step of the prior alone overshoots); received "
                f"{rate:.3g} from step_size {max(_values(self.step_size)):g} and sigma {self.sigma:g}"
            )
        if rate > 0.02 or steps * rate > 0.25:
            share = 1 - (1 - rate) ** steps
            warnings.warn(
                f"the prior alone takes {share:.0%} of an image away in {steps:g} steps (8 to 11 % in the authors' "
                f"code): an explosion is likely; {self.causes()}",
                stacklevel=3,
            )

    def compile(self, **arguments):
        super().compile(**arguments)
        slow, self.rate = (
            float(ops.convert_to_numpy(self.optimizer[p].learning_rate)) for p in self.players
        )
        if self.rate < slow:
            warnings.warn(
                "the descriptor's learning rate is usually 30 to 100 times the generator's; received "
                f"{self.rate:g} and {slow:g}",
                stacklevel=2,
            )
        if self.rate > 0.03:
            warnings.warn(f"an explosion is likely; {self.causes()}", stacklevel=2)

    def get_config(self):
        numbers = (
            "chains",
            "sigma",
            "deviation",
            "latent_steps",
            "latent_step_size",
            "clip",
            "seed",
            "name",
        )
        nested = ("generator", "descriptor", "steps", "step_size", "noise")
        config = {name: getattr(self, name) for name in numbers}
        return config | {
            name: keras.saving.serialize_keras_object(getattr(self, name)) for name in nested
        }

    @classmethod
    def from_config(cls, config):
        return cls(
            **{key: keras.saving.deserialize_keras_object(value) for key, value in config.items()}
        )

    # === Training ===

    def now(self, name):
        """A setting at this update: its number, or what its schedule says."""
        value = getattr(self, name)
        return value(self.optimizer["descriptor"].iterations) if callable(value) else value

    def score(self, images):
        """f of images [N, H, W, C]: [N]. High is likely."""
        return ops.sum(ops.cast(self.descriptor(images, training=True), "float32"), axis=-1)

    def draw(self, latents, training=True):
        """The generator's images of latents [N, latent_dim]."""
        return ops.cast(self.generator(latents, training=training), "float32")

    def revise(self, images, *, steps, step_size, noise=0.0, known=None):
        """Langevin from images [N, H, W, C] on: images and numbers of health. `known`: `(images, mask)` to keep."""

        def project(x):
            x = ops.clip(x, -1.0, 1.0) if self.clip else x
            return x if known is None else ops.where(ops.equal(known[1], 1.0), known[0], x)

        return langevin(
            self.score,
            images,
            steps=_whole(steps),
            step_size=step_size,
            sigma=self.sigma,
            noise=noise,
            seed=self.seeds,
            project=project if self.clip or known is not None else None,
        )

    def infer(self, latents, images, *, steps, noise=0.0, mask=None, training=True):
        """Langevin from latents on, towards those of the images [N, H, W, C], as far as `mask` is 1."""
        images = ops.convert_to_tensor(images)

        def log_likelihood(z):
            residual = images - self.frozen_moving_statistics(lambda: self.draw(z, training))
            residual = residual if mask is None else mask * residual
            return -ops.sum(ops.square(residual), axis=(1, 2, 3)) / (2 * self.deviation**2)

        step_size = self.latent_step_size
        return langevin(
            log_likelihood, latents, steps=steps, step_size=step_size, noise=noise, seed=self.seeds
        )[0]

    def descriptor_loss(self, revised, real):
        """f of the revised less f of the data, each a mean over its batch: their sizes may differ."""
        score = self.score(ops.concatenate([revised, real]))
        return ops.mean(score[: self.chains]) - ops.mean(score[self.chains :])

    def generator_loss(self, drawn, revised):
        """|revised - drawn|^2 / (2 s^2): a sum over pixels, a mean over chains."""
        return ops.mean(ops.sum(ops.square(revised - drawn), axis=(1, 2, 3))) / (
            2 * self.deviation**2
        )

    def _random_latents(self):
        return keras.random.normal((self.chains, self.latent_dim), seed=self.seeds)

    def _revised(self, drawn):
        return self.revise(
            drawn, **{name: self.now(name) for name in ("steps", "step_size", "noise")}
        )

    def _report(self, g_loss, d_loss, drawn, revised, real, chains):
        """The losses, and how far the chains have come and where to; see `reports`."""
        way, size = lengths(revised - drawn), ops.maximum(lengths(drawn), 1e-12)
        few = slice(0, 16)  # enough for a mean
        return self.report(
            generator_loss=g_loss,
            descriptor_loss=d_loss,
            travel=ops.mean(way / size),
            travel_to_data=ops.mean(way) / ops.mean(lengths(real)),
            clipped=ops.mean(ops.cast(ops.abs(revised) > 1.0, "float32")),
            spread=ops.std(revised) / (ops.std(real) + 1e-12),
            reconstruction=ops.mean(ops.square(revised - drawn)),
            moment_gap=ops.mean(ops.square(ops.mean(revised, axis=0) - ops.mean(real, axis=0))),
            impulse=impulse(revised[few]) / (impulse(real[few]) + 1e-6),
            **chains,
        )

    def train_step(self, data):
        real = ops.cast(data[0] if isinstance(data, tuple) else data, "float32")
        latents = self._random_latents()
        if self.latent_steps:  # the lesson is of other latents, and averages the statistics then
            drawn = self.frozen_moving_statistics(lambda: self.draw(latents))
        else:
            drawn, pull = self.vjp("generator", lambda: self.draw(latents))
        revised, chains = self._revised(drawn)
        d_loss = self.minimize("descriptor", lambda: self.descriptor_loss(revised, real))
        if self.latent_steps:
            latents = self.infer(latents, revised, steps=self.latent_steps, noise=self.now("noise"))
            g_loss = self.minimize(
                "generator", lambda: self.generator_loss(self.draw(latents), revised)
            )
        else:
            g_loss, slope = self.value_and_input_gradient(
                lambda x: self.generator_loss(x, revised), drawn, "generator"
            )
            self.apply_gradients("generator", pull(slope))
        return self._report(g_loss, d_loss, drawn, revised, real, chains)

    def test_step(self, data):
        real = ops.cast(data[0] if isinstance(data, tuple) else data, "float32")
        drawn = self.frozen_moving_statistics(lambda: self.draw(self._random_latents()))
        revised, chains = self._revised(drawn)
        losses = self.generator_loss(drawn, revised), self.descriptor_loss(revised, real)
        return self._report(*losses, drawn, revised, real, chains)

    @property
    def evaluation_protocol(self) -> str | None:
        return "digits" if self.image_shape == (28, 28, 1) else None

    def data_spec(self):
        return DataSpec((Images(self.image_shape), Ignored()), optional=1)

    # === What the guard asks ===

    def alarm(self, recent):
        """Why training has exploded, or is about to, or None; `recent`: the last steps' reports, the newest last.

        The limits are above what healthy runs on digits have shown: travel_to_data 0.96, drift 0.19, a spread of 2.5
        for a step or two, and a balance of 25.8 as a descriptor wakes up, which grows its balance a hundredfold.
        """
        now = recent[-1]
        median = (
            np.median([step["balance"] for step in recent[:-1]]) if len(recent) > 20 else math.inf
        )
        for name, value in now.items():
            if not math.isfinite(value):
                return f"{name} is {value}"
        if now["travel_to_data"] > 2:
            return f"Langevin moves images {now['travel_to_data']:.3g} times the data's length"
        if len(recent) >= 3 and min(step["spread"] for step in recent[-3:]) > 2:
            return f"the revised images deviate {now['spread']:.3g} times as much as the data, three times in a row"
        if len(recent) >= 3 and min(step["drift"] for step in recent[-3:]) > 0.3:
            return f"a Langevin step is {now['drift']:.2g} of the image, three times in a row"
        if now["balance"] > max(30.0, 100 * median):
            return f"the descriptor's gradient is {now['balance'] / median:.3g} times its median"
        return None

    def causes(self, rate=None):
        """The four causes of explosions (training notes), the likeliest first: how far each setting is beyond the
        largest, for sigma the smallest, that was published. `rate`: the descriptor's; None is as compiled."""
        step_size, steps, rate = (
            max(_values(self.step_size)),
            max(_values(self.steps)),
            rate or self.rate,
        )
        both = step_size / self.sigma / 0.125  # a large step under a large sigma is neither's fault
        beyond = {
            f"step_size {step_size:g}": min(step_size / 0.002, both),
            f"steps {steps:g}": steps / 15,
            f"sigma {self.sigma:g}": min(0.016 / self.sigma, both),
        }
        if rate is not None:
            beyond[f"the descriptor's learning rate {rate:g}"] = rate / 0.01
        ranked = sorted(beyond, key=beyond.get, reverse=True)
        named = [
            f"{setting} ({beyond[setting]:.2g} times the published limit)" for setting in ranked
        ]
        verdict = (
            "likely cause"
            if beyond[ranked[0]] > 1.2
            else "none is beyond what was published; possible cause"
        )
        return f"{verdict}: {named[0]}; then {', '.join(named[1:])}"

    def diagnose(self, means, updates):
        """One line for each of an epoch's mean reports that is out of its usual range after so many updates."""
        m, late = {name: f"{value:.2g}" for name, value in means.items()}, updates >= 500
        weak = updates >= 50 and means["balance"] < 0.1 and means["spread"] < 0.5
        found = {
            f"the descriptor is too weak and the prior is winning (balance {m['balance']}, spread {m['spread']}): "
            "raise its learning rate": weak,
            f"the descriptor is too strong (balance {m['balance']}): lower its learning rate": late
            and means["balance"] > 10,
            f"chains without a gradient (share {m['dead']}): use leaky ReLUs in the descriptor": means[
                "dead"
            ]
            > 0.01,
            f"Langevin steps of an unusual length (drift {m['drift']}; 0.002 to 0.03 is usual): see step_size": late
            and not 0.0005 < means["drift"] < 0.1,
            f"revised pixels beyond [-1, 1] (share {m['clipped']})": late
            and means["clipped"] > 0.9,
            f"salt and pepper ({m['impulse']} times the data's): too many steps, or too large a step_size": late
            and means["impulse"] > 2,
        }
        return [line for line, holds in found.items() if holds]

    def calibrate_langevin(self, images, target=0.01):
        """Proposes a step size from images [N, H, W, C] and this descriptor, and changes nothing.

        Args:
            target: share of an image that a step without noise should move (the notes: about 1/100), above 0.

        Returns:
            A dictionary: `step_size`, the proposal; `drift`, that share at the present step size; `prior_rate`, r at
            the proposal, which must stay below 1.
        """
        if not target > 0:
            raise ValueError(f"target must be above 0; received {target}")
        images = ops.convert_to_tensor(check_images(images, self.image_shape))
        pull = ops.stop_gradient(self.input_gradient(self.score, images)) - images / self.sigma**2
        ratio = float(ops.convert_to_numpy(ops.mean(lengths(pull)) / ops.mean(lengths(images))))
        step_size = math.sqrt(2 * target / ratio)
        drift = self._settled("step_size") ** 2 / 2 * ratio
        return {
            "step_size": step_size,
            "drift": drift,
            "prior_rate": prior_rate(step_size, self.sigma),
        }

    # === Use ===

    def call(self, inputs, training=False):
        """Images of latents, as `sample(statistics="running")` draws them: a batch here may be of any size."""
        return self.generator(inputs, training=training)

    def call_inputs(self):
        return self.generator.inputs[0]

    def _settled(self, name):
        """A setting as a number, for use after training: a schedule's present value, or its last if not compiled."""
        value = getattr(self, name)
        step = (
            self.optimizer["descriptor"].iterations
            if self.compiled
            else ops.convert_to_tensor(2**31 - 1)
        )
        return float(ops.convert_to_numpy(value(step))) if callable(value) else value

    def sampling_protocol(self, by="generator", statistics="batch"):
        """What samples depend on besides the weights, for a card or a result file: a dictionary."""
        found = {
            "by": by,
            "statistics": f"batch of {self.chains} chains" if statistics == "batch" else "running",
        }
        steps = {
            "steps": self._settled("steps"),
            "step_size": self._settled("step_size"),
            "noise": 0.0,
        }
        return found | steps if by == "descriptor" else found

    def _sampler(self, task, by, training, *settings):
        draw = functools.partial(getattr(self, task), by, training, *settings)
        return Sampler(self.generator, self.descriptor, draw)

    def _drawn(self, by, training, steps, step_size, latents):
        images = self.frozen_moving_statistics(lambda: self.draw(latents, training))
        images = (
            self.revise(images, steps=steps, step_size=step_size)[0]
            if by == "descriptor"
            else images
        )
        return ops.clip(images, -1.0, 1.0)

    def _completed(self, by, training, steps, step_size, latent_steps, inputs):
        latents, images, mask = inputs
        latents = self.infer(latents, images, steps=latent_steps, mask=mask, training=training)
        drawn = ops.where(
            ops.equal(mask, 1.0),
            images,
            self.frozen_moving_statistics(lambda: self.draw(latents, training)),
        )
        known = (images, mask)
        drawn = (
            self.revise(drawn, steps=steps, step_size=step_size, known=known)[0]
            if by == "descriptor"
            else drawn
        )
        return ops.clip(drawn, -1.0, 1.0)

    def _in_blocks(self, task, by, statistics, steps, settings, arrays):
        """`task` on arrays whose first, of latents, is filled up with fresh ones to blocks of `chains`."""
        if by not in self.players or statistics not in ("batch", "running"):
            raise ValueError(
                "by must be generator or descriptor and statistics batch or running; "
                f"received {by!r} and {statistics!r}"
            )
        steps = self._settled("steps") if steps is None else steps
        if min([steps, *settings]) < 0:
            raise ValueError(f"steps must be at least 0; received {min([steps, *settings])}")
        sampler = self.sampler(
            task, by, statistics == "batch", steps, self._settled("step_size"), *settings
        )
        count, missing = len(arrays[0]), -len(arrays[0]) % self.chains
        filled = [
            np.asarray(array, "float32")[np.arange(count + missing) % count] for array in arrays
        ]
        if missing:  # repeated latents would bias the batch's statistics
            filled[0][count:] = self.random_latents(
                missing, seed=2**31 - 1
            )  # which nobody else is likely to take
        images = sampler.predict(
            filled if len(filled) > 1 else filled[0], batch_size=self.chains, verbose=0
        )
        return images[:count]

    def generate(self, latents, by="generator", statistics="batch", steps=None):
        """Images of latents [N, latent_dim], in blocks of exactly `chains` as in training.

        Args:
            by: `"generator"`, or `"descriptor"` for its noise-free Langevin from there on.
            statistics: of the generator's batch norm, `"batch"` as in training: an image then depends on its block, in
                which fresh latents fill up the rest; or `"running"`, best after `recalibrate`.
            steps: Langevin steps; None is training's.

        Returns:
            float32 array [N, H, W, C] in [-1, 1].
        """
        latents = np.asarray(latents, "float32")
        if latents.ndim != 2 or not len(latents) or latents.shape[1] != self.latent_dim:
            raise ValueError(
                f"latents must be [N, {self.latent_dim}]; received {list(latents.shape)}"
            )
        return self._in_blocks("_drawn", by, statistics, steps, (), [latents])

    def random_latents(self, n, seed=None):
        """Latents [n, latent_dim] from N(0, 1), a float32 array; None draws new ones each time."""
        n, seed = check_count(n), check_seed(seed)
        return np.array(ops.convert_to_numpy(keras.random.normal((n, self.latent_dim), seed=seed)))

    def sample(self, n, seed=None, by="generator", statistics="batch", steps=None):
        """Draws n images; the other arguments are those of `generate`. The same seed gives the same on a backend."""
        return self.generate(self.random_latents(n, seed), by, statistics, steps)

    def interpolate(self, rows=8, columns=8, seed=None, by="generator", statistics="batch"):
        """Rows of images between two random latents each, on straight lines: [rows * columns, H, W, C].

        Latents in the middle of a line are shorter than random ones: where no others fill up a block, running
        statistics after `recalibrate` are nearer to training's.
        """
        rows, columns = check_count(rows, "rows"), check_count(columns, "columns")
        left, right = self.random_latents(2 * rows, seed).reshape(2, rows, 1, self.latent_dim)
        share = np.linspace(0, 1, columns)[None, :, None]
        lines = (1 - share) * left + share * right
        return self.generate(lines.reshape(-1, self.latent_dim), by, statistics)

    def complete(
        self,
        images,
        mask,
        by="generator",
        latent_steps=100,
        steps=None,
        seed=None,
        statistics="batch",
    ):
        """Fills in what is hidden; known pixels stay.

        Latents are inferred from the known pixels and drawn; by the descriptor, Langevin then revises the drawing, with
        the known pixels put back after each step.

        Args:
            images: float [N, H, W, C] in [-1, 1]; what is hidden may hold anything.
            mask: [H, W, 1] or [N, H, W, 1]; 1 is known, 0 hidden.
            by: `"generator"` or `"descriptor"`.
            latent_steps: Langevin steps of the latents; 0 begins at a random drawing.
            steps: Langevin steps of the images; None is training's.
        """
        images, mask = np.asarray(images, "float32"), np.asarray(mask, "float32")
        if images.shape[1:] != self.image_shape:
            check_images(images, self.image_shape)  # raises
        shape = (*images.shape[:3], 1)
        if not np.isin(mask, (0, 1)).all() or mask.shape not in (shape, shape[1:]):
            raise ValueError(
                f"mask must be 0 or 1 and {list(shape[1:])}, one or one an image; received {mask.shape}"
            )
        mask = np.broadcast_to(mask, shape)
        images = check_images(np.where(mask == 1, images, 0.0).astype("float32"), self.image_shape)
        latents = self.random_latents(len(images), seed)
        return self._in_blocks(
            "_completed", by, statistics, steps, (latent_steps,), [latents, images, mask]
        )

    def recalibrate(self, batches=50, seed=0):
        """Sets the generator's running statistics to the mean over so many batches of `chains`, for
        `statistics="running"`."""
        batches = check_count(batches, "batches")
        found = [
            layer for layer in self.generator._flatten_layers() if hasattr(layer, "moving_mean")
        ]
        momenta, latents = (
            [layer.momentum for layer in found],
            self.random_latents(batches * self.chains, seed),
        )
        try:
            for index, block in enumerate(np.split(latents, batches)):
                for layer in found:
                    layer.momentum = index / (index + 1)
                self.generator(ops.convert_to_tensor(block), training=True)
        finally:
            for layer, momentum in zip(found, momenta, strict=True):
                layer.momentum = momentum


def _values(setting):
    """The number, or those of a schedule at a few updates, and all of one that is made of constants."""
    if not callable(setting):
        return [setting]
    updates = [ops.convert_to_tensor(n) for n in (0, *(10**k for k in range(7)))]
    return [
        *getattr(setting, "values", ()),
        *(float(ops.convert_to_numpy(setting(n))) for n in updates),
    ]


def _whole(steps):
    return int(steps) if isinstance(steps, (int, float)) else ops.cast(steps, "int32")
