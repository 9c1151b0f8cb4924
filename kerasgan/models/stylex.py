"""StylEx: a StyleGAN2 with an encoder that learns to redraw images as a given classifier sees them (Lang et al.,
Explaining in Style: Training a GAN to Explain a Classifier in StyleSpace, arXiv 2104.13369).

An encoder turns an image into a style w; the generator draws it again from w and from what the classifier says of it.
What the classifier looks at then lies in single coordinates of the generator's style vectors, where `attfind` looks for
it. The authors' training code is not published: this follows the paper, their answers in the training notes, and the
code of the reproduction (the FACT study, "Explaining in Style: A Reproducibility Study").

Differences from the paper:
- networks are `stylegan2`'s, in the reproduction's form, and the perceptual distance is that of the classifier's own
  features unless another is given: LPIPS needs weights that are not ours to ship;
- the discriminator is told what the classifier says of an image, as in the reproduction.

Differences from the reproduction, whose trainers have defects:
- latents and encoder share each batch (`alternation="micro"`), or take turns by the step: there, they take turns within
  a step of several micro-batches, and the encoder never trains where a step has one;
- the reconstruction of the discriminator's phase moves something: there, its gradient is discarded;
- real images are judged with what the classifier says of them; there, of other images;
- reconstructions are drawn from E(x) itself; there, from a point between it and the mean of the mapping network's w;
- the same drawings serve both phases, for one forward in place of two, and each sample has a mixing of its own;
- the average, with which pictures are drawn, is of the encoder too: the two are used together; it moves with each
  step, there with each tenth from the 20,000th on, and so is ten times as short at the same decay;
- images are in [-1, 1], there in [0, 1]; distances of pixels are halved, so that they weigh what they weigh there.
"""

import keras
import numpy as np
from keras import layers, ops

from kerasgan import backend
from kerasgan.arguments import check_seed
from kerasgan.data_spec import DataSpec, Ignored, Images
from kerasgan.ema import ema_copy
from kerasgan.images import check_images
from kerasgan.losses import adversarial, distributions, penalties
from kerasgan.losses.perceptual import ClassifierDistance
from kerasgan.metrics.style_gap import style_gap
from kerasgan.models import stylegan2
from kerasgan.models.stylegan2 import Generator, StyleGAN2, build_discriminator, residual_trunk

# What `build` takes: the reproduction's later trainer, and what the paper and the authors' answers say. (Of theirs, the
# encoder's rate and the divergence's weight are not known: 1 is the plain choice.)
REPRODUCTION = stylegan2.REPRODUCTION | {
    "mixing": 0.9,
    "condition_on": "probabilities",
    "alternation": "micro",
    "rec_in_discriminator_phase": None,
    "rec_weight": 1.0,
    "perceptual_weight": 0.1,
    "w_weight": 0.1,
    "pixel_weight": 1.0,
    "kl_weight": 1.0,
    "reverse_kl": False,
    "stretch": True,
    "path_source": "both",
    "w_match": None,
    "w_match_weight": 1.0,
    "learning_rate": 2e-4,
    "encoder_rate": 0.05,
    "discriminator_rate": 1.5,
    "beta_1": 0.5,
    "beta_2": 0.9,
    "accumulate": 1,
}
AUTHORS = REPRODUCTION | {
    "discriminator_loss": adversarial.logistic_discriminator_loss,
    "generator_loss": adversarial.nonsaturating_generator_loss,
    "penalty": penalties.squared_gradient_norm,
    "penalty_weight": 5.0,
    "penalty_every": 16,
    "path_weight": 2.0,
    "path_every": 4,
    "path_start": 0,
    "average": 0.998,
    "stretch": False,
    "learning_rate": 2e-3,
    "encoder_rate": 1.0,
    "discriminator_rate": 1.0,
    "beta_1": 0.0,
    "beta_2": 0.99,
}
RATES = (
    "learning_rate",
    "encoder_rate",
    "discriminator_rate",
    "beta_1",
    "beta_2",
    "accumulate",
)  # the rest: the model

CHOICES = {
    "condition_on": ("probabilities", "logits"),
    "alternation": ("none", "step", "micro"),
    "rec_in_discriminator_phase": (None, "accumulate", "extra_step", "second_step"),
    "path_source": ("z", "encoder", "both"),
    "w_match": (None, "moments", "mmd"),
}
W_DISTANCES = {"moments": distributions.moment_distance, "mmd": distributions.kernel_distance}
PARTS = ("pixel", "perceptual", "w", "kl", "agreement")  # of a reconstruction
LATENTS, BOTH, ENCODED = (
    2,
    1,
    0,
)  # halves of a batch that are drawn from latents; the rest from the encoder


# === Networks ===


def build_encoder(size, channels=3, *, capacity=16, max_channels=512, latent_dim=512, gain=1.0):
    """Images [N, size, size, channels] -> w [N, latent_dim]: the discriminator's trunk and a linear layer, whose
    weights begin `gain` times as large as Kaiming's."""
    images = keras.Input((size, size, channels), name="images")
    begin = keras.initializers.VarianceScaling(2.0 * gain**2, "fan_in", "untruncated_normal")
    w = layers.Dense(latent_dim, kernel_initializer=begin)(
        residual_trunk(images, capacity, max_channels)
    )
    return keras.Model(images, w, name="encoder")


def check_classifier(classifier):
    """The (H, W, C) and the number of classes K of a classifier that can be explained.

    Raises:
        ValueError: it is not built, takes other than square images of a side that is a power of two from 8, or gives
            other than logits [N, K] of at least two classes.
    """
    if not isinstance(classifier, keras.Model) or [
        len(getattr(classifier, side, None) or []) for side in ("inputs", "outputs")
    ] != [1, 1]:
        raise ValueError(
            f"classifier must be a built Keras model of one input and one output; received {type(classifier).__name__}"
        )
    shape, outputs = tuple(classifier.inputs[0].shape[1:]), tuple(classifier.outputs[0].shape[1:])
    side = shape[0] if len(shape) == 3 and shape[0] == shape[1] and None not in shape else 0
    if side < 8 or side & (side - 1):
        raise ValueError(
            f"classifier must take square images [N, H, W, C] of a side that is a power of two from 8; received {shape}"
        )
    if len(outputs) != 1 or (outputs[0] or 0) < 2:
        raise ValueError(
            f"classifier must give logits [N, K] of at least two classes; received {outputs}"
        )
    last = classifier.layers[-1]
    squashed = getattr(last, "activation", None) in (
        keras.activations.softmax,
        keras.activations.sigmoid,
    )
    noise = np.random.default_rng(0).uniform(-1, 1, (4, *shape)).astype("float32")
    found = np.array(ops.convert_to_numpy(classifier(noise, training=False)), "float64")
    sums_to_one = found.min() >= 0 and np.allclose(found.sum(axis=1), 1, atol=1e-3)
    if squashed or sums_to_one or isinstance(last, layers.Softmax):
        raise ValueError(
            f"classifier must give logits; {last.name} of {classifier.name} gives probabilities"
        )
    return shape, outputs[0]


def check_choices(settings):
    """Raises ValueError where one of the dictionary's values is none of its `CHOICES`."""
    for name, known in CHOICES.items():
        if settings[name] not in known:
            told = ", ".join(map(str, known))
            raise ValueError(f"{name} must be one of {told}; received {settings[name]!r}")


def build(
    classifier,
    *,
    settings=REPRODUCTION,
    capacity=16,
    max_channels=512,
    latent_dim=512,
    depth=8,
    mapping_form="reproduction",
    encoder_gain=1.0,
    perceptual=None,
    augment=None,
    seed=0,
    schedule=None,
    **compiling,
):
    """A compiled `StylEx` with the Adams of `settings`.

    Args:
        classifier: as `StylEx` takes it.
        settings: a dictionary like `REPRODUCTION`, such as `AUTHORS | {"alternation": "step"}`. `learning_rate` is the
            generator's, which `encoder_rate` and `discriminator_rate` multiply. `accumulate` is the number of batches
            whose gradients make one step of each Adam, for less memory than one large batch needs.
        capacity, max_channels, latent_dim, depth, mapping_form, encoder_gain, perceptual, augment, seed: as `StylEx`
            takes them.
        schedule: from a learning rate and the mean number of a player's updates a batch to what its Adam is given.
        **compiling: for `compile`, such as `jit_compile`.
    """
    if set(settings) != set(REPRODUCTION):
        wrong = sorted(set(settings) ^ set(REPRODUCTION))
        raise ValueError(
            f"settings must be those of REPRODUCTION, no more and no fewer; received others in {wrong}"
        )
    model = StylEx(
        classifier,
        capacity=capacity,
        max_channels=max_channels,
        latent_dim=latent_dim,
        depth=depth,
        mapping_form=mapping_form,
        encoder_gain=encoder_gain,
        perceptual=perceptual,
        augment=augment,
        seed=seed,
        **{k: v for k, v in settings.items() if k not in RATES},
    )
    model.compile(**adams(settings, schedule), **compiling)
    return model


def adams(settings=REPRODUCTION, schedule=None):
    """An Adam for each player of a `StylEx`: a dictionary for `compile`; see `build`."""
    encoded = (
        2.0 if settings["rec_in_discriminator_phase"] in ("extra_step", "second_step") else 1.0
    )
    by_step = (
        settings["alternation"] == "step"
    )  # every second batch is the latents', which do not move the encoder
    count = settings["accumulate"]
    if by_step and count > 1 and count % 2:
        raise ValueError(
            f"accumulate must be even where latents and encoder take turns step by step; received {count}"
        )
    if encoded == 2.0 and count > 1:
        raise ValueError(
            f"accumulate must be 1 where each batch has an extra step, which is not to be summed; received {count}"
        )
    updates = {"generator": (1.0 + encoded) / 2.0, "encoder": encoded / 2.0} if by_step else {}
    found = {}
    for player, ratio in {
        "generator": 1.0,
        "encoder": settings["encoder_rate"],
        "discriminator": settings["discriminator_rate"],
    }.items():
        batches = count // 2 if player == "encoder" and by_step else count
        rate = settings["learning_rate"] * ratio
        if schedule:
            rate = schedule(
                rate, updates.get(player, 1.0 if player == "discriminator" else encoded)
            )
        betas = {"beta_1": settings["beta_1"], "beta_2": settings["beta_2"]}
        found[player] = keras.optimizers.Adam(
            rate, **betas, gradient_accumulation_steps=batches if batches > 1 else None
        )
    return found


# === Pieces of the loss ===


def stretched(images):
    """Images [N, H, W, C], each with its own extremes at -1 and 1; a constant one stays as it is."""
    low, high = (
        ops.amin(images, axis=(1, 2, 3), keepdims=True),
        ops.amax(images, axis=(1, 2, 3), keepdims=True),
    )
    span = high - low
    varied = span > 1e-6
    return ops.where(varied, 2.0 * (images - low) / ops.where(varied, span, 1.0) - 1.0, images)


def class_divergence(logits, others):
    """KL(p || q) of the classes that two sets of logits [N, K] mean: [N]."""
    p, q = (ops.log_softmax(ops.cast(each, "float32"), axis=-1) for each in (logits, others))
    return ops.sum(ops.exp(p) * (p - q), axis=-1)


# === Model ===


@keras.saving.register_keras_serializable("kerasgan")
class StylEx(StyleGAN2):
    """A generator and an encoder that redraw images so that a classifier sees the same in them.

    Data: images [N, H, W, C] float in [-1, 1], or `(images, labels)`, whose labels are ignored: what counts is what
    the classifier says.

    Args:
        classifier: a built Keras model of images [N, H, W, C] in [-1, 1] into logits [N, K]. It is used in inference
            mode and never changed.
        generator, encoder, discriminator: as from `stylegan2.Generator(…, conditions=K)`, `build_encoder` and
            `stylegan2.build_discriminator(…, conditions=K)`; None builds them for the classifier's images.
        capacity, max_channels, latent_dim, depth, mapping_form: of those that are built.
        encoder_gain: how large the encoder's last weights begin, Kaiming's being 1; so long is w of images at first.
        condition_on: what the generator is told of the classifier: "probabilities", or "logits" as by the
            reproduction's older trainer. The discriminator is told probabilities.
        alternation: what a batch is drawn from. "none": the encoder; "step": latents and encoder in turn, step by step;
            "micro": one half of it each.
        rec_in_discriminator_phase: each batch is cut in halves, one for each phase, if this is not None (latents' turns
            aside), so give batches twice as large. "accumulate": the gradient of the first half's reconstruction is
            added to the generator's step; "extra_step": it is a step of its own; "second_step": the control, in which
            the extra step is as the generator's own, with the discriminator's judgement. Path lengths are taken with
            the first step of a batch; `path_every` counts both, so let it be even.
        rec_weight: of the reconstruction as a whole, which is `perceptual_weight` times the perceptual distance,
            `w_weight` times |E(x) - E(x')| and `pixel_weight` times |x - x'| / 2, the mean difference of pixels in
            units of [0, 1], as in the paper. As KL, it weighs double where only every second step sees it.
        kl_weight: of the divergence of the classes of x', C(x'), from those of x.
        reverse_kl: KL(C(x') || C(x)) in place of KL(C(x) || C(x')).
        perceptual: a function of images x, y -> [N], such as `losses.perceptual.LPIPS(…)`; None is
            `ClassifierDistance(classifier)`.
        stretch: show it images each stretched to [-1, 1], as the reproduction does.
        path_source: the styles at which path lengths are taken: "z", "encoder" or "both", a half each.
        w_match: pulls the encoder's w to where those of latents are: "moments", their means and deviations; "mmd"; None
            does not. An experiment of ours, for the notes' question how to bring the two together.
        w_match_weight: of that distance, over the halves of batches that are encoded.
        average: decay of the exponential moving averages of generator and encoder, which all pictures are drawn with;
            None is none.
        **gan: of `StyleGAN2`: losses, penalties, path_weight ..., mixing, augment, seed, name.

    Raises:
        ValueError: a classifier that cannot be explained, networks that do not fit it, settings that do not exist.

    Attributes:
        noise: the noise map [1, H, W, 1] of all reconstructions.

    Example:
        model = StylEx(classifier)
        model.fit(images, batch_size=32, epochs=100)
        model.reconstruct(images[:8])
    """

    ema_networks = StyleGAN2.ema_networks | {"ema_encoder": "encoder"}
    players = ("generator", "encoder", "discriminator")
    sampling_networks = ("generator", "encoder", "classifier")
    # Means over the epoch's steps in which they occur. pixel: |x - x'| in [0, 1]. w: |E(x) - E(x')|. agreement: share
    # of x' that the classifier puts where it puts x. reconstruction: the weighted sum without KL.
    reports = (*StyleGAN2.reports, "reconstruction", *PARTS)
    higher_is_better = ("agreement",)

    def __init__(
        self,
        classifier,
        generator=None,
        encoder=None,
        discriminator=None,
        *,
        capacity=16,
        max_channels=512,
        latent_dim=512,
        depth=8,
        mapping_form="reproduction",
        encoder_gain=1.0,
        condition_on="probabilities",
        alternation="micro",
        rec_in_discriminator_phase=None,
        rec_weight=1.0,
        perceptual_weight=0.1,
        w_weight=0.1,
        pixel_weight=1.0,
        kl_weight=1.0,
        reverse_kl=False,
        perceptual=None,
        stretch=False,
        path_source="both",
        w_match=None,
        w_match_weight=1.0,
        average=0.998,
        **gan,
    ):
        (size, _, channels), classes = check_classifier(classifier)
        widths = {"capacity": capacity, "max_channels": max_channels}
        latent_dim = latent_dim if generator is None else generator.latent_dim
        super().__init__(
            generator
            or Generator(
                size,
                channels,
                latent_dim=latent_dim,
                depth=depth,
                mapping_form=mapping_form,
                conditions=classes,
                **widths,
            ),
            discriminator or build_discriminator(size, channels, conditions=classes, **widths),
            average=average,
            **gan,
        )
        self.classifier = classifier
        self.encoder = encoder or build_encoder(
            size, channels, latent_dim=latent_dim, gain=encoder_gain, **widths
        )
        self.ema_encoder = ema_copy(self.encoder) if average else None
        self.condition_on, self.alternation, self.path_source = (
            condition_on,
            alternation,
            path_source,
        )
        self.rec_in_discriminator_phase = rec_in_discriminator_phase
        self.rec_weight, self.perceptual_weight, self.w_weight = (
            rec_weight,
            perceptual_weight,
            w_weight,
        )
        self.pixel_weight, self.kl_weight, self.reverse_kl, self.stretch = (
            pixel_weight,
            kl_weight,
            reverse_kl,
            stretch,
        )
        self.w_match, self.w_match_weight = w_match, w_match_weight
        self.given_perceptual = perceptual
        self.perceptual = perceptual or (
            ClassifierDistance(classifier) if perceptual_weight else None
        )
        self.noise = np.random.default_rng(0).random((1, size, size, 1), "float32")
        # With alternation by the step, whose turn is next: 0 is the latents'.
        self.turn = self.add_weight(
            shape=(), dtype="int32", initializer="zeros", trainable=False, name="turn"
        )
        self._check_fit((size, size, channels), classes)

    def _check_fit(self, shape, classes):
        if self.image_shape != shape or self.conditions != classes:
            raise ValueError(
                f"generator must draw {shape} under {classes} conditions, as the classifier's; "
                f"received {self.image_shape} under {self.conditions}"
            )
        ends = tuple(self.encoder.inputs[0].shape[1:]), tuple(self.encoder.outputs[0].shape[1:])
        if ends != (shape, (self.latent_dim,)):
            raise ValueError(
                f"encoder must turn {shape} into ({self.latent_dim},); received {ends[0]} into {ends[1]}"
            )
        check_choices({name: getattr(self, name) for name in CHOICES})

    def get_config(self):
        own = (
            "condition_on",
            "alternation",
            "rec_in_discriminator_phase",
            "rec_weight",
            "perceptual_weight",
            "w_weight",
            "pixel_weight",
            "kl_weight",
            "reverse_kl",
            "stretch",
            "path_source",
            "w_match",
            "w_match_weight",
        )
        perceptual = self.given_perceptual
        if isinstance(perceptual, ClassifierDistance) and perceptual.classifier is self.classifier:
            perceptual = {
                "layers": list(perceptual.maps)
            }  # the classifier once: no file holds weights of a second
        nested = {"classifier": self.classifier, "encoder": self.encoder, "perceptual": perceptual}
        nested = {
            name: keras.saving.serialize_keras_object(value) for name, value in nested.items()
        }
        return super().get_config() | {name: getattr(self, name) for name in own} | nested

    @classmethod
    def from_config(cls, config):
        config = {
            key: keras.saving.deserialize_keras_object(value) for key, value in config.items()
        }
        if isinstance(config["perceptual"], dict):
            config["perceptual"] = ClassifierDistance(config["classifier"], **config["perceptual"])
        return cls(**config)

    def checkpoint_networks(self):
        return super().checkpoint_networks() | {
            "E": self.ema_encoder or self.encoder,
            "C": self.classifier,
        }

    # === Training ===

    def logits(self, images):
        """What the classifier says of images: [N, K]."""
        return ops.cast(self.classifier(images, training=False), "float32")

    def condition(self, logits):
        """What the generator is told of logits: [N, K]."""
        return logits if self.condition_on == "logits" else ops.softmax(logits, axis=-1)

    def label_conditions(self, labels):
        """What the generator is told of classes [N]; by logits, those of a probability of 0.99."""
        one_hot = super().label_conditions(labels)
        return (
            one_hot
            if self.condition_on == "probabilities"
            else ops.log(0.99 * one_hot + 0.01 / self.classes)
        )

    def batch_styles(self, real, latents, conditions):
        """Styles [N, blocks, style_dim] for a batch, as many halves as `latents` says of latents, the rest encoded.

        Returns:
            `(styles, encoded)`, the latter the encoder's w [M, latent_dim] of the last M images, or None.
        """
        first = ops.shape(real)[0] * latents // 2
        w = [self.random_styles(first)] if latents else []
        encoded = self.encoder(real[first:], training=True) if latents < 2 else None
        if encoded is not None:
            w.append(ops.repeat(encoded[:, None], self.generator.blocks, axis=1))
        return self.with_conditions(ops.concatenate(w), conditions), encoded

    def compare(self, real, fake, logits, encoded):
        """How far reconstructions are from images, of which `logits` and `encoded` are known: scalars, by `PARTS`.

        Those of weight 0 that cost a network are not computed.
        """
        real, fake = ops.cast(real, "float32"), ops.cast(fake, "float32")
        found, zero = self.logits(fake), ops.zeros((), "float32")
        shown = (stretched(real), stretched(fake)) if self.stretch else (real, fake)
        same = ops.equal(ops.argmax(logits, axis=-1), ops.argmax(found, axis=-1))
        return {
            "pixel": ops.mean(ops.abs(real - fake)) / 2.0,
            "perceptual": ops.mean(self.perceptual(*shown)) if self.perceptual_weight else zero,
            "w": ops.mean(ops.abs(ops.cast(encoded - self.encoder(fake, training=True), "float32")))
            if self.w_weight
            else zero,
            "kl": ops.mean(
                class_divergence(*((found, logits) if self.reverse_kl else (logits, found)))
            ),
            "agreement": ops.mean(ops.cast(same, "float32")),
        }

    def reconstruction(self, parts):
        """The weighted sum of the distances, without KL."""
        weighted = {
            name: getattr(self, f"{name}_weight") * parts[name]
            for name in ("pixel", "perceptual", "w")
        }
        return self.rec_weight * sum(weighted.values())

    def drawn(self, real, logits, latents, path=True):
        """Draws a batch and says all of the generator's and the encoder's loss but the discriminator's judgement.

        Returns:
            `(fake, loss, numbers)`: images [N, H, W, C], a scalar, and what is to be reported, a vector without
            gradient: the path penalty and, if any image was encoded, the values of `compare`.
        """
        conditions, noise = self.condition(logits), self.random_noise(ops.shape(real)[0])
        w, encoded = self.batch_styles(real, latents, conditions)
        fake = self.generator([w, noise], training=True)
        loss, numbers, source = (
            ops.zeros((), "float32"),
            [],
            {"z": LATENTS, "both": BOTH, "encoder": ENCODED},
        )
        if path:
            of = source[self.path_source]
            styles = lambda: w if of == latents else self.batch_styles(real, of, conditions)[0]  # noqa: E731
            loss = self.lazy_path_penalty(styles, noise) * (self.path_weight * self.path_every)
        numbers.append(loss)
        if encoded is not None:
            first = ops.shape(real)[0] * latents // 2
            parts = self.compare(real[first:], fake[first:], logits[first:], encoded)
            twice = 2.0 if self.alternation == "step" else 1.0
            loss = loss + twice * (self.reconstruction(parts) + self.kl_weight * parts["kl"])
            if self.w_match:
                goal = ops.stop_gradient(
                    self.generator.mapping(self.random_latents(ops.shape(encoded)[0]))
                )
                pair = ops.cast(encoded, "float32"), ops.cast(goal, "float32")
                loss = loss + twice * self.w_match_weight * W_DISTANCES[self.w_match](*pair)
            numbers += [parts[name] for name in PARTS]
        return fake, loss, ops.stop_gradient(ops.stack(numbers))

    def step(self, real, latents):
        """Moves all players by a batch, as many halves of which as `latents` says are drawn from latents."""
        players = ("generator", "encoder") if latents < 2 else "generator"
        extra = self.rec_in_discriminator_phase if latents < 2 else None
        count = ops.shape(real)[0]
        # A batch of an odd number has its middle image in both halves, and so one image is a batch too.
        first, second = (real[: (count + 1) // 2], real[count // 2 :]) if extra else (real, None)

        def traced(images, path=True):
            logits = self.logits(images)
            outputs, pull = self.vjp(players, lambda: self.drawn(images, logits, latents, path))
            return ops.softmax(logits, axis=-1), outputs, pull

        def gradients(conditions, outputs, pull, judged=True):
            fake, loss, numbers = outputs
            g_loss, slope = None, ops.zeros_like(fake)
            if judged:

                def objective(fake):
                    return self.generator_loss(self.discriminate(fake, conditions), None)  # noqa: E731

                g_loss, slope = self.value_and_input_gradient(objective, fake, "generator")
            return g_loss, pull((slope, ops.ones_like(loss), ops.zeros_like(numbers)))

        again = extra == "second_step"
        batch = traced(first)
        path_penalty = batch[1][2][0]
        judged = self.move_discriminator(first, batch[1][0], batch[0])
        if extra:
            _, before = gradients(*batch, judged=again)
            if extra != "accumulate":
                self.apply_gradients(players, before)
            batch = traced(
                second, path=False
            )  # one a batch: an extra step has already moved on the count of updates
        g_loss, slopes = gradients(*batch)
        if extra == "accumulate":
            slopes = [one + other for one, other in zip(before, slopes, strict=True)]
        self.apply_gradients(players, slopes)
        if self.ema_generator:
            self.update_ema(self.ema_generator, self.generator, self.ema_decay)
            self.update_ema(self.ema_encoder, self.encoder, self.ema_decay)
        numbers = dict(
            zip(
                ("path_penalty", *PARTS),
                ops.unstack(batch[1][2], 6 if latents < 2 else 1),
                strict=False,
            )
        )
        numbers["path_penalty"] = path_penalty
        if latents < 2:
            numbers["reconstruction"] = self.reconstruction(numbers)
        self.report(generator_loss=g_loss, path_length=self.path_mean, **numbers, **judged)

    def train_step(self, data):
        real = data[0] if isinstance(data, tuple) else data

        def turn(latents):
            self.step(real, latents)
            return ops.zeros((), "float32")

        if self.alternation == "step":
            backend.cond(ops.equal(self.turn, 0), lambda: turn(LATENTS), lambda: turn(ENCODED))
            self.turn.assign(1 - self.turn)
        else:
            turn(BOTH if self.alternation == "micro" else ENCODED)
        return {name: mean.result() for name, mean in self._reported.items()}

    def test_step(self, data):
        real = data[0] if isinstance(data, tuple) else data
        logits = self.logits(real)
        fake, _, numbers = self.drawn(real, logits, ENCODED, path=False)
        conditions = ops.softmax(logits, axis=-1)
        real_logits, fake_logits = (
            self.discriminate(each, conditions, training=False) for each in (real, fake)
        )
        parts = dict(zip(PARTS, ops.unstack(numbers, 6)[1:], strict=True))
        return self.report(
            generator_loss=self.generator_loss(fake_logits, None),
            discriminator_loss=self.discriminator_loss(real_logits, fake_logits, None),
            reconstruction=self.reconstruction(parts),
            **parts,
            **self.accuracies(real_logits, fake_logits),
        )

    def fit(self, x=None, y=None, **arguments):
        """As `AdversarialModel.fit`; compiles with the reproduction's Adams, `adams()`, where nobody has."""
        if not self.compiled:
            self.compile(**adams(REPRODUCTION | {"alternation": self.alternation}))
        return super().fit(x, y, **arguments)

    def data_spec(self):
        return DataSpec((Images(self.image_shape), Ignored()), optional=1)

    def check_arrays(self, x, y, batch_size):
        """Raises a ValueError, one line, for images that do not fit, a constant one, or a class that none is of."""
        images = check_images(x, self.image_shape)
        constant = np.flatnonzero(images.min(axis=(1, 2, 3)) == images.max(axis=(1, 2, 3)))
        if len(constant):
            raise ValueError(
                f"images must not be constant (there is nothing to explain in them); received {len(constant)} such, "
                f"the first is number {constant[0]}"
            )
        missing = set(range(self.classes))
        for start in range(0, len(images), 500):
            missing -= set(
                self._in_blocks(self.classifier, images[start : start + 500])
                .argmax(axis=1)
                .tolist()
            )
            if not missing:
                return
        raise ValueError(
            f"images must be of all {self.classes} classes that the classifier knows; it sees none of {min(missing)}"
        )

    # === Use ===

    def _in_blocks(self, network, *arrays, size=100):
        """`network` on arrays of equally many rows, `size` at a time: numpy."""
        parts = [
            [a[start : start + size] for a in arrays] for start in range(0, len(arrays[0]), size)
        ]
        return np.concatenate(
            [network.predict_on_batch(part if len(part) > 1 else part[0]) for part in parts]
        )

    def encode(self, images, batch_size=100):
        """w [N, latent_dim] of images [N, H, W, C] in [-1, 1], a float32 array."""
        images = check_images(images, self.image_shape)
        return self._in_blocks(self.ema_encoder or self.encoder, images, size=batch_size)

    def conditions_of(self, images, batch_size=100):
        """What the generator is told of images [N, H, W, C]: [N, K], a float32 array."""
        logits = self._in_blocks(
            self.classifier, check_images(images, self.image_shape), size=batch_size
        )
        return np.array(ops.convert_to_numpy(self.condition(ops.cast(logits, "float32"))))

    def image_styles(self, images, batch_size=100):
        """The generator's w [N, blocks, style_dim] of images [N, H, W, C], a float32 array."""
        w = np.concatenate(
            [self.encode(images, batch_size), self.conditions_of(images, batch_size)], axis=1
        )
        return np.repeat(w[:, None], self.generator.blocks, axis=1)

    def styles(self, images, batch_size=100):
        """The style vectors of images [N, H, W, C], for `generator.draw`: `(styles, colours)`, lists of arrays."""
        found = (self.ema_generator or self.generator).styles(
            ops.convert_to_tensor(self.image_styles(images, batch_size))
        )
        return tuple([np.array(ops.convert_to_numpy(style)) for style in part] for part in found)

    def reconstruct(self, images, batch_size=100):
        """Draws images [N, H, W, C] in [-1, 1] again, G(E(x), C(x)), under one fixed noise map.

        Returns:
            float32 array [N, H, W, C], clipped to [-1, 1].
        """
        w = self.image_styles(images, batch_size)
        noise = np.repeat(self.noise, len(w), axis=0)
        return np.clip(
            self._in_blocks(self.ema_generator or self.generator, w, noise, size=batch_size),
            -1.0,
            1.0,
        )

    def reconstruction_scores(self, images, batch_size=100):
        """How well images [N, H, W, C], best held-out ones, are drawn again: a dictionary of floats.

        Returns:
            pixel: mean |x - x'| in units of [0, 1]; agreement: share of x' that the classifier puts where it puts x;
            kl: KL(C(x) || C(x')); perceptual: the model's distance, where it has one.
        """
        real, fake = check_images(images, self.image_shape), self.reconstruct(images, batch_size)
        logits, found = (
            self._in_blocks(self.classifier, each, size=batch_size) for each in (real, fake)
        )
        scores = {
            "pixel": np.abs(real - fake).mean() / 2,
            "agreement": (logits.argmax(axis=1) == found.argmax(axis=1)).mean(),
            "kl": ops.convert_to_numpy(ops.mean(class_divergence(logits, found))),
        }
        if self.perceptual is not None:
            parts = [slice(start, start + batch_size) for start in range(0, len(real), batch_size)]
            pairs = [[ops.convert_to_tensor(each[part]) for each in (real, fake)] for part in parts]
            distances = [ops.convert_to_numpy(self.perceptual(*pair)) for pair in pairs]
            scores["perceptual"] = np.concatenate(distances).mean()
        return {name: float(value) for name, value in scores.items()}

    def w_samples(self, images, seed=0):
        """As many w of latents as of images [N, H, W, C]: two arrays [N, latent_dim], S(z) and E(x)."""
        encoded = self.encode(images)
        latents = np.random.default_rng(check_seed(seed)).standard_normal(
            (len(encoded), self.latent_dim), "float32"
        )
        return self._in_blocks((self.ema_generator or self.generator).mapping, latents), encoded

    def w_gap(self, images, seed=0):
        """How far the w of latents and of images [N, H, W, C] are apart; see `metrics.style_gap`."""
        return style_gap(*self.w_samples(images, seed), seed=seed)
