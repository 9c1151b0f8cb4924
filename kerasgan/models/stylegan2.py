"""StyleGAN2, with the networks used by the reproduction of StylEx.

Karras et al., 2020, "Analyzing and Improving the Image Quality of StyleGAN",
https://arxiv.org/abs/1912.04958. "The reproduction" below is the FACT study of StylEx (Lang et al.,
2021, "Explaining in Style", https://arxiv.org/abs/2104.13369), which is based on StyleGAN2.

The networks are in `kerasgan.models.stylegan2_networks`, and the methods that use trained networks
in `kerasgan.models.stylegan2_sampling`.

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

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from kerasgan import backend
from kerasgan.arguments import check_seed
from kerasgan.data_spec import DataSpec, Ignored, Images, Labels
from kerasgan.ema import ema_copy
from kerasgan.io.deferred import when_built
from kerasgan.losses import adversarial, penalties
from kerasgan.models.stylegan2_networks import (
    EqualDense as EqualDense,
    Generator as Generator,
    ResidualBlock as ResidualBlock,
    StyleLayer as StyleLayer,
    build_discriminator as build_discriminator,
    build_mapping as build_mapping,
    check_size as check_size,
    kaiming as kaiming,
    residual_trunk as residual_trunk,
)
from kerasgan.models.stylegan2_sampling import StyleGAN2Sampling, truncate as truncate
from kerasgan.ops import replicas
from kerasgan.ops.precision import full_precision
from kerasgan.training import AdversarialModel, Critic
from kerasgan.types import Tensor

# Arguments in which the reproduction differs from the defaults of `StyleGAN2`, which are the
# paper's. The reproduction applies penalties of weights 10 and 1 at every 4th and 32nd step without
# scaling them by the interval. It updates the moving average at every 10th step.
REPRODUCTION = {
    "discriminator_loss": adversarial.hinge_discriminator_loss,
    "generator_loss": adversarial.hinge_generator_loss,
    "gradient_penalty": penalties.unit_gradient_penalty,
    "gradient_penalty_weight": 10 / 4,
    "gradient_penalty_every": 4,
    "path_weight": 1 / 32,
    "path_every": 32,
    "path_start": 5000,
    "ema_decay": 0.995,
}

# Earlier penalties, functions of gradients -> (current penalty, factor of its weight).
_EARLIER_PENALTIES = {
    penalties.squared_gradient_norm: (penalties.r1_penalty, 2.0),
    penalties.unit_gradient_norm: (penalties.unit_gradient_penalty, 1.0),
}


def deserialized(config: dict[str, Any]) -> dict[str, Any]:
    """Deserializes the values of a `StyleGAN2` or `StylEx` configuration.

    Gradient penalties of earlier files are replaced by their equivalents.

    Args:
        config: Result of `get_config`.
    """
    config = {key: keras.saving.deserialize_keras_object(value) for key, value in config.items()}
    penalty, factor = _EARLIER_PENALTIES.get(config.get("gradient_penalty"), (None, 1.0))
    if penalty is not None:
        config["gradient_penalty"] = penalty
        config["gradient_penalty_weight"] *= factor
    return config


@keras.saving.register_keras_serializable("kerasgan")
class StyleGAN2(StyleGAN2Sampling, AdversarialModel):
    """StyleGAN2, unconditional or conditioned on class labels.

    Training data: float images `[N, H, W, C]` in [-1, 1], or `(images, labels)` with integer labels
    `[N]`. Without conditions the labels are ignored. With conditions the fakes of a step have the
    labels of its real images.

    Args:
        generator: A `Generator`. Its `conditions` is the number of classes, 0 for none.
        discriminator: Model built by `build_discriminator` with the same `conditions`.
        discriminator_loss: Function `(real_logits, fake_logits, labels) -> scalar`.
        generator_loss: Function `(fake_logits, labels) -> scalar`.
        gradient_penalty: Function `(critic, real, fake, seed) -> scalar` of
            `kerasgan.losses.penalties`, such as `r1_penalty` (paper) or `wgan_gp_penalty`.
        gradient_penalty_weight: Weight of the gradient penalty: gamma, 10 in the paper, for
            `r1_penalty`. 0 disables it.
        gradient_penalty_every: Number of discriminator updates between gradient penalties (lazy
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

    reports: tuple[str, ...] = (
        "generator_loss",
        "discriminator_loss",
        "penalty",
        "path_penalty",
        "path_length",
        "real_accuracy",
        "fake_accuracy",
    )
    sample_options = ("truncation",)
    ema_networks = {"ema_generator": "generator"}
    renamed_arguments = {
        "average": "ema_decay",
        "penalty": "gradient_penalty",
        "penalty_weight": "gradient_penalty_weight",
        "penalty_every": "gradient_penalty_every",
    }

    def __init__(
        self,
        generator: Generator,
        discriminator: keras.Model,
        *,
        discriminator_loss: Callable = adversarial.logistic_discriminator_loss,
        generator_loss: Callable = adversarial.nonsaturating_generator_loss,
        gradient_penalty: Callable = penalties.r1_penalty,
        gradient_penalty_weight: float = 10.0,
        gradient_penalty_every: int = 16,
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
        self.gradient_penalty = gradient_penalty
        self.gradient_penalty_weight = gradient_penalty_weight
        self.gradient_penalty_every = gradient_penalty_every
        self.path_weight, self.path_every, self.path_start = path_weight, path_every, path_start
        self.mixing, self.augment, self.ema_decay = mixing, augment, ema_decay
        self.ema_generator = ema_copy(generator) if ema_decay else None
        self.seed = check_seed(seed)
        self.seeds = keras.random.SeedGenerator(self.seed)
        self.conditions, self.latent_dim = generator.conditions, generator.latent_dim
        self.conditioning = "labels" if generator.conditions else None
        self.classes = generator.conditions or 1
        self.image_shape = (generator.size, generator.size, generator.channels)
        # Moving average of the path length; 0 before the first penalty.
        self.path_mean = self.add_weight(
            shape=(), initializer="zeros", trainable=False, name="path_mean"
        )
        self._check()
        self.built = True

    def _check(self):
        # A discriminator from a file is built, and then checked, when it is trained.
        when_built(self.discriminator, self._check_discriminator)
        for name in ("gradient_penalty_every", "path_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; received {getattr(self, name)}")
        if not 0 <= self.mixing <= 1:
            raise ValueError(f"mixing must be in [0, 1]; received {self.mixing}")

    def _check_discriminator(self, discriminator):
        found = [tuple(x.shape[1:]) for x in discriminator.inputs]
        needed = [self.image_shape, (self.conditions,)] if self.conditions else [self.image_shape]
        if found != needed:
            raise ValueError(
                f"discriminator must take the images and conditions of the generator, {needed}; "
                f"received one that takes {found}"
            )

    def get_config(self) -> dict:
        nested = (
            "generator",
            "discriminator",
            "discriminator_loss",
            "generator_loss",
            "gradient_penalty",
            "augment",
        )
        plain = (
            "gradient_penalty_weight",
            "gradient_penalty_every",
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
        return cls(**deserialized(config))

    def checkpoint_networks(self) -> dict[str, keras.Model]:
        generator = self.sampling_generator
        return {"generator": generator, "discriminator": self.discriminator}

    # === Training ===

    def training_latents(self, count: int) -> Tensor:
        """Latents `[count, latent_dim]` from N(0, 1)."""
        return replicas.normal((count, self.latent_dim), self.seeds)

    def random_noise(self, count: int) -> Tensor:
        """Noise maps `[count, H, W, 1]`, uniform in [0, 1)."""
        return replicas.uniform((count, *self.image_shape[:2], 1), self.seeds)

    def random_directions(self, count: int) -> Tensor:
        """Directions `[count, H, W, C]` from N(0, 1), for path lengths."""
        return replicas.normal((count, *self.image_shape), self.seeds)

    def random_crossovers(self, count: int) -> Tensor:
        """Block indices `[count]` from which a sample uses the w of its second latent.

        Samples without mixing have the index `blocks`. At index 0 all blocks use the second latent.
        """
        blocks = self.generator.blocks
        mixed = replicas.uniform((count,), self.seeds) < self.mixing
        return ops.where(mixed, replicas.randint((count,), 0, blocks, self.seeds), blocks)

    def random_styles(self, count: int, conditions: Tensor | None = None) -> Tensor:
        """Samples w `[count, blocks, style_dim]` from new latents, with style mixing."""
        generator = self.generator
        if self.mixing:
            both = ops.reshape(
                generator.mapping(self.training_latents(2 * count)), (2, count, 1, self.latent_dim)
            )
            crossovers = self.random_crossovers(count)[:, None]
            first = ops.arange(generator.blocks)[None, :] < crossovers  # [N, blocks]
            w = ops.where(first[..., None], both[0], both[1])
        else:
            w = ops.repeat(
                generator.mapping(self.training_latents(count))[:, None], generator.blocks, axis=1
            )
        return self.with_conditions(w, conditions)

    def with_conditions(self, w: Tensor, conditions: Tensor | None) -> Tensor:
        """Appends conditions `[N, K]`, if any, to w `[N, blocks, latent_dim]` in each block."""
        if conditions is None:
            return w
        conditions = ops.repeat(
            ops.cast(conditions, w.dtype)[:, None], self.generator.blocks, axis=1
        )
        return ops.concatenate([w, conditions], axis=-1)

    def label_conditions(self, labels: Tensor) -> Tensor | None:
        """Conditions `[N, K]` of integer labels `[N]` (one-hot), or `None` without conditions."""
        return ops.one_hot(ops.cast(labels, "int32"), self.conditions) if self.conditions else None

    def discriminate(
        self, images: Tensor, conditions: Tensor | None = None, training: bool = True
    ) -> Tensor:
        """Discriminator logits `[N, 1]`, of augmented images in training."""
        if self.augment and training:
            images = self.augment(images, self.seeds)
        logits = self.discriminator(
            images if conditions is None else [images, conditions], training=training
        )
        return full_precision(logits)

    def path_penalty(self, w: Tensor, noise: Tensor) -> Tensor:
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

    def lazy_path_penalty(self, styles: Callable[[], Tensor], noise: Tensor) -> Tensor:
        """Path length penalty with the interval `path_every` and the start `path_start`.

        Args:
            styles: Function without arguments that returns w `[N, blocks, style_dim]`.
            noise: `[N, H, W, 1]`.

        Returns:
            `path_penalty(styles(), noise)` in the generator updates that include it, otherwise 0.
        """
        if not self.path_weight:
            return ops.zeros((), "float32")
        return backend.cond_or_zero(
            self.path_penalty_due(), lambda: self.path_penalty(styles(), noise)
        )

    def path_penalty_due(self) -> Tensor:
        """Returns whether the next generator update includes the path length penalty."""
        return ops.logical_and(
            self.regularization_due(self.path_every, "generator"),
            self.optimizer["generator"].iterations >= self.path_start,
        )

    def update_discriminator(
        self,
        real: Tensor,
        fake: Tensor,
        conditions: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> dict[str, Any]:
        """Updates the discriminator once.

        Args:
            real: Real images `[N, H, W, C]`.
            fake: Generated images `[N, H, W, C]`.
            conditions: Conditions `[N, K]` of both, or `None`.
            labels: Integer labels `[N]` for the loss function, or `None`.

        Returns:
            Dict of the discriminator's metrics, arguments of `report`.
        """
        every = self.gradient_penalty_every
        weight = self.gradient_penalty_weight * every
        due = self.regularization_due(every, "discriminator")

        def gradient_penalty():
            critic = Critic(self, "discriminator", lambda x: self.discriminate(x, conditions))
            return self.gradient_penalty(critic, real, fake, self.seeds)

        def objective():
            real_logits = self.discriminate(real, conditions)
            fake_logits = self.discriminate(fake, conditions)
            loss = self.discriminator_loss(real_logits, fake_logits, labels)
            penalty = ops.zeros((), "float32")
            if weight:
                penalty = weight * self.lazy_regularization(
                    every, "discriminator", gradient_penalty
                )
            return loss + penalty, (loss, penalty, real_logits, fake_logits)

        _, (loss, penalty, real_logits, fake_logits) = self.minimize("discriminator", objective)
        accuracies = self.accuracies(real_logits, fake_logits)
        return {"discriminator_loss": loss, "penalty": (penalty / every, due)} | accuracies

    def train_step(self, data: Any) -> dict:
        real, labels = data if isinstance(data, tuple) else (data, None)
        conditions, count = self.label_conditions(labels), ops.shape(real)[0]
        path_due = self.path_penalty_due()

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
        if self.ema_decay:
            self.update_ema(self.ema_generator, self.generator, self.ema_decay)
        return self.report(
            generator_loss=g_loss,
            path_penalty=(path_penalty * self.path_weight, path_due),
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

    def accuracies(self, real_logits: Tensor, fake_logits: Tensor) -> dict[str, Tensor]:
        """Shares of real and of fake images that the discriminator classifies correctly."""
        correct = {"real_accuracy": real_logits > 0, "fake_accuracy": fake_logits <= 0}
        return {name: ops.mean(ops.cast(value, "float32")) for name, value in correct.items()}

    def data_spec(self) -> DataSpec:
        if self.conditions:
            return DataSpec((Images(self.image_shape), Labels(self.conditions)))
        return DataSpec((Images(self.image_shape), Ignored()), optional=1)

    # === Inference; see also `StyleGAN2Sampling` ===

    def call(self, inputs: list, training: bool = False) -> Tensor:
        """Images of `[w, noise]` by the network that `sample` uses, clipped to [-1, 1]."""
        return ops.clip(self.sampling_generator(inputs, training=training), -1.0, 1.0)

    def call_inputs(self) -> list[keras.InputSpec]:
        return self.sampling_generator.call_inputs()
