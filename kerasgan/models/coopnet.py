"""CoopNet: cooperative training of a descriptor and a generator with Langevin dynamics.

Xie, Lu, Gao, Zhu and Wu, 2018, "Cooperative Training of Descriptor and Generator Networks"
(https://arxiv.org/abs/1609.09408), its released code, and training notes of its PyTorch port.

The descriptor f defines an energy-based model, p(x) proportional to exp(f(x)) N(x; 0, sigma^2 I).
The generator proposes images x = G(z). In each training step, Langevin dynamics revise the
proposals towards a higher p(x). The descriptor learns from the difference between revised and real
images. The generator learns to produce the revised images directly.

The networks are in `kerasgan.models.coopnet_networks`, and the methods that use trained networks in
`kerasgan.models.coopnet_sampling`.

**Differences from the paper and its code**

- The latents of the proposals are kept (`latent_steps=0`), as in all released code. The paper
  infers new latents from the revised images.
- Proposals and the generator update share one forward pass of the generator.
- The generator loss is a mean over chains. The released code uses a sum or a mean, which Adam does
  not distinguish.
- The reconstruction error is reported per pixel. In the released code it grows with the number of
  chains.
- Images are in [-1, 1] and not normalized further. The released code stretches the contrast of each
  image.
- At 32 and 64 pixels the maps are halved exactly, as in the TensorFlow code. The PyTorch port has
  maps of 15 and 31 pixels.
"""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasgan.arguments import check_seed
from kerasgan.data_spec import DataSpec, Ignored, Images
from kerasgan.models import coopnet_diagnostics as diagnostics
from kerasgan.models.coopnet_networks import (
    SIZES as SIZES,
    build_descriptor as build_descriptor,
    build_generator as build_generator,
)
from kerasgan.models.coopnet_sampling import CoopNetSampling
from kerasgan.ops import replicas
from kerasgan.ops.langevin import langevin, norms
from kerasgan.training import AdversarialModel
from kerasgan.types import Tensor

# Settings for `build`: the authors' code for scenes of 64 pixels and for digits, and the PyTorch
# port's defaults and its settings for CIFAR-10.
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


def build(
    size: int,
    channels: int = 3,
    *,
    settings: dict = AUTHORS,
    width: int = 64,
    latent_dim: int = 100,
    latent_steps: int = 0,
    clip: bool = False,
    seed: int | None = 0,
    **compile_arguments: Any,
) -> "CoopNet":
    """Builds and compiles a `CoopNet`.

    Args:
        size: Side of the images in pixels: 28, 32 or 64.
        channels: Number of image channels.
        settings: Dict with the keys of `AUTHORS`, such as `PORT | {"chains": 100}`. `batch_size` is
            not used here.
        width: Base number of channels of both networks.
        latent_dim: Number of latent dimensions.
        latent_steps: Number of Langevin steps of the latents; see `CoopNet`.
        clip: If `True`, clips images to [-1, 1] after each Langevin step.
        seed: Integer seed of the training noise.
        **compile_arguments: Arguments of `compile`, such as `jit_compile`.

    Raises:
        ValueError: If a setting is missing or unknown.
    """
    if set(settings) != set(AUTHORS):
        wrong = sorted(set(settings) ^ set(AUTHORS))
        raise ValueError(f"settings must have exactly the keys of AUTHORS; {wrong} differ")
    small, networks = settings["small_weights"], {"negative_slope": settings["negative_slope"]}
    generator_std, descriptor_std = (0.005, 0.01) if small else (None, None)
    model = CoopNet(
        build_generator(
            size, channels, width, latent_dim=latent_dim, initial_std=generator_std, **networks
        ),
        build_descriptor(size, channels, width, initial_std=descriptor_std, **networks),
        **{name: settings[name] for name in ("chains", "steps", "step_size", "sigma", "noise")},
        latent_steps=latent_steps,
        clip=clip,
        seed=seed,
    )
    optimizers = {
        player: keras.optimizers.Adam(settings[f"{player}_rate"], beta_1=settings["beta_1"])
        for player in model.players
    }
    model.compile(**optimizers, **compile_arguments)
    return model


# === Model ===


@keras.saving.register_keras_serializable("kerasgan")
class CoopNet(CoopNetSampling, AdversarialModel):
    """Cooperatively trained descriptor (energy-based model) and generator.

    Training data: images `[M, H, W, C]` in [-1, 1], or `(images, labels)`; labels are ignored.

    A setting marked "or schedule" is a number, or a callable from the number of descriptor updates
    to a number. For example, `PiecewiseConstantDecay([4000], [1.0, 0.0])` turns the noise off after
    4,000 updates.

    Args:
        generator: Model from latents to images. Defaults to the authors' network for digits.
        descriptor: Model from images to `[N, outputs]` without batch normalization. f is the sum of
            the outputs. Defaults to the authors' network for digits.
        chains: Number of Langevin chains per training step, independent of the batch size M. It is
            also the batch size of the generator's batch normalization.
        steps: Number of Langevin steps of the images, or schedule.
        step_size: Step size of these steps, or schedule.
        sigma: Standard deviation of the Gaussian prior of the images.
        noise: Scale of the Langevin noise, or schedule. 1 is Langevin dynamics, 0 gradient ascent.
            The training notes turn the noise off after about 100 epochs.
        residual_std: Standard deviation s of the generator's residual in |x - G(z)|^2 / (2 s^2).
        latent_steps: Number of Langevin steps that infer latents from the revised images (paper). 0
            keeps the latents of the proposals (released code).
        latent_step_size: Step size of these steps.
        clip: If `True`, clips images to [-1, 1] after each Langevin step.
        seed: Integer seed of the training noise.

    Raises:
        ValueError: If the networks or settings cannot work. Settings with which divergence is
            likely cause a warning.

    Example:
        ```python
        model = CoopNet(build_generator(28, 1), build_descriptor(28, 1), chains=100, steps=15)
        adam = keras.optimizers.Adam
        model.compile(descriptor=adam(7e-3, beta_1=0.5), generator=adam(1e-4, beta_1=0.5))
        model.fit(images, batch_size=100, callbacks=[ExplosionGuard("descriptor")])
        samples = model.sample(100, seed=0, by="descriptor")  # [100, 28, 28, 1]
        ```

    Reference:
        Xie et al., 2018, "Cooperative Training of Descriptor and Generator Networks",
        https://arxiv.org/abs/1609.09408
    """

    players = ("generator", "descriptor")
    sampling_networks = ("generator", "descriptor")
    sample_options = ("by", "statistics", "steps")
    renamed_arguments = {"deviation": "residual_std"}
    # Means over an epoch.
    # drift, gradient, noise, balance, dead: see `kerasgan.ops.langevin.langevin`.
    # travel: |revised - proposals| / |proposals|. travel_to_data: the same divided by |data|.
    # clipped: fraction of revised pixels outside [-1, 1].
    # spread: standard deviation of revised pixels divided by that of the data.
    # reconstruction: mean squared difference between revised images and proposals.
    # moment_gap: mean squared difference between the mean revised image and the mean real image.
    # impulse: salt-and-pepper noise of revised images divided by that of the data.
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
        generator: keras.Model | None = None,
        descriptor: keras.Model | None = None,
        *,
        chains: int = 100,
        steps: int | Callable = 10,
        step_size: float | Callable = 0.002,
        sigma: float = 0.016,
        noise: float | Callable = 1.0,
        residual_std: float = 0.3,
        latent_steps: int = 0,
        latent_step_size: float = 0.1,
        clip: bool = False,
        seed: int | None = 0,
        name: str | None = None,
    ):
        super().__init__(name=name)
        self.generator = generator or build_generator(28, 1)
        self.descriptor = descriptor or build_descriptor(28, 1)
        self.chains, self.steps, self.step_size = chains, steps, step_size
        self.sigma, self.noise, self.residual_std = sigma, noise, residual_std
        self.latent_steps, self.latent_step_size = latent_steps, latent_step_size
        self.clip, self.seed = clip, check_seed(seed)
        self.seeds = keras.random.SeedGenerator(self.seed)
        self.latent_dim = self.generator.inputs[0].shape[-1]
        self.image_shape = tuple(self.generator.outputs[0].shape[1:])
        self.evaluation_protocol = "digits" if self.image_shape == (28, 28, 1) else None
        self.descriptor_rate: float | None = None  # Learning rate at `compile`.
        self.sampler = functools.cache(self._sampler)  # One compiled model per set of arguments.
        self._check_networks()
        diagnostics.check_settings(self)
        self.built = True

    def _check_networks(self):
        if tuple(self.descriptor.inputs[0].shape[1:]) != self.image_shape:
            received = list(self.descriptor.inputs[0].shape[1:])
            raise ValueError(
                f"descriptor must take the generator's images {list(self.image_shape)}; received "
                f"{received}"
            )
        if any(hasattr(layer, "moving_mean") for layer in self.descriptor._flatten_layers()):
            raise ValueError(
                "descriptor must not have batch normalization, which couples chains; received one "
                "that has it"
            )

    def compile(self, **arguments: Any) -> None:
        super().compile(**arguments)
        generator_rate, descriptor_rate = (
            float(ops.convert_to_numpy(self.optimizer[p].learning_rate)) for p in self.players
        )
        self.descriptor_rate = descriptor_rate
        diagnostics.check_learning_rates(self, generator_rate, descriptor_rate)

    def get_config(self) -> dict:
        numbers = (
            "chains",
            "sigma",
            "residual_std",
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
    def from_config(cls, config: dict) -> "CoopNet":
        nested = keras.saving.deserialize_keras_object
        return cls(**{key: nested(value) for key, value in config.items()})

    # === Training ===

    def current_value(self, name: str) -> Any:
        """Returns the value of a setting at the present number of descriptor updates."""
        value = getattr(self, name)
        return value(self.optimizer["descriptor"].iterations) if callable(value) else value

    def score(self, images: Tensor) -> Tensor:
        """Returns f(images) `[N]` for images `[N, H, W, C]`. Larger values are more likely."""
        return ops.sum(ops.cast(self.descriptor(images, training=True), "float32"), axis=-1)

    def propose(self, latents: Tensor, training: bool = True) -> Tensor:
        """Returns the generator's images `[N, H, W, C]` of latents `[N, latent_dim]`."""
        return ops.cast(self.generator(latents, training=training), "float32")

    def revise(
        self,
        images: Tensor,
        *,
        steps: int | Tensor,
        step_size: float | Tensor,
        noise: float | Tensor = 0.0,
        known: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, dict]:
        """Revises images by Langevin dynamics under the descriptor.

        Args:
            images: Float images `[N, H, W, C]`.
            steps: Number of Langevin steps.
            step_size: Step size.
            noise: Scale of the Langevin noise.
            known: Pair `(images, mask)`. Pixels whose mask is 1 are restored after each step.

        Returns:
            The revised images and a dict of diagnostics; see `kerasgan.ops.langevin.langevin`.
        """

        def project(x):
            x = ops.clip(x, -1.0, 1.0) if self.clip else x
            return x if known is None else ops.where(ops.equal(known[1], 1.0), known[0], x)

        return langevin(
            self.score,
            images,
            steps=_to_integer(steps),
            step_size=step_size,
            sigma=self.sigma,
            noise=noise,
            seed=self.seeds,
            project=project if self.clip or known is not None else None,
        )

    def infer_latents(
        self,
        latents: Tensor,
        images: Tensor,
        *,
        steps: int,
        noise: float | Tensor = 0.0,
        mask: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        """Infers latents of images by Langevin dynamics under the generator's posterior.

        Args:
            latents: Initial latents `[N, latent_dim]`.
            images: Float images `[N, H, W, C]`.
            steps: Number of Langevin steps.
            noise: Scale of the Langevin noise.
            mask: Float `[N, H, W, 1]`. Pixels whose mask is 0 are ignored.
            training: If `True`, the generator uses batch statistics.
        """
        images = ops.convert_to_tensor(images)

        def log_likelihood(z):
            residual = images - self.frozen_moving_statistics(lambda: self.propose(z, training))
            residual = residual if mask is None else mask * residual
            return -ops.sum(ops.square(residual), axis=(1, 2, 3)) / (2 * self.residual_std**2)

        step_size = self.latent_step_size
        return langevin(
            log_likelihood, latents, steps=steps, step_size=step_size, noise=noise, seed=self.seeds
        )[0]

    def descriptor_loss(self, revised: Tensor, real: Tensor) -> Tensor:
        """Mean f of revised images minus mean f of real images. Batch sizes may differ."""
        score = self.score(ops.concatenate([revised, real]))
        count = ops.shape(revised)[0]
        return ops.mean(score[:count]) - ops.mean(score[count:])

    def generator_loss(self, proposals: Tensor, revised: Tensor) -> Tensor:
        """|revised - proposals|^2 / (2 s^2), summed over pixels and averaged over chains."""
        squares = ops.sum(ops.square(revised - proposals), axis=(1, 2, 3))
        return ops.mean(squares) / (2 * self.residual_std**2)

    def _random_latents(self):
        return replicas.normal((self._own_chains(), self.latent_dim), self.seeds)

    def _own_chains(self):
        """Returns the number of chains of this replica."""
        count = replicas.count()
        if self.chains % count:
            raise ValueError(
                f"chains must be a multiple of the {count} devices; received {self.chains}"
            )
        return self.chains // count

    def _revise_proposals(self, proposals):
        names = ("steps", "step_size", "noise")
        return self.revise(proposals, **{name: self.current_value(name) for name in names})

    def _report(self, g_loss, d_loss, proposals, revised, real, chains):
        """Reports losses and diagnostics; see `reports`."""
        proposals, revised, real = map(replicas.gather, (proposals, revised, real))
        distance = norms(revised - proposals)
        size = ops.maximum(norms(proposals), 1e-12)
        few = slice(0, 16)  # enough for an estimate of the mean
        impulse = diagnostics.impulse_noise
        return self.report(
            generator_loss=g_loss,
            descriptor_loss=d_loss,
            travel=ops.mean(distance / size),
            travel_to_data=ops.mean(distance) / ops.mean(norms(real)),
            clipped=ops.mean(ops.cast(ops.abs(revised) > 1.0, "float32")),
            spread=ops.std(revised) / (ops.std(real) + 1e-12),
            reconstruction=ops.mean(ops.square(revised - proposals)),
            moment_gap=ops.mean(ops.square(ops.mean(revised, axis=0) - ops.mean(real, axis=0))),
            impulse=impulse(revised[few]) / (impulse(real[few]) + 1e-6),
            **chains,
        )

    def train_step(self, data: Any) -> dict:
        real = ops.cast(data[0] if isinstance(data, tuple) else data, "float32")
        latents = self._random_latents()
        if self.latent_steps:
            # The generator update uses other latents and updates the moving statistics then.
            proposals = self.frozen_moving_statistics(lambda: self.propose(latents))
        else:
            proposals, vjp_fn = self.vjp("generator", lambda: self.propose(latents))
        revised, chains = self._revise_proposals(proposals)
        d_loss = self.minimize("descriptor", lambda: self.descriptor_loss(revised, real))
        if self.latent_steps:
            latents = self.infer_latents(
                latents, revised, steps=self.latent_steps, noise=self.current_value("noise")
            )
            g_loss = self.minimize(
                "generator", lambda: self.generator_loss(self.propose(latents), revised)
            )
        else:
            g_loss, gradient = self.value_and_input_gradient(
                lambda x: self.generator_loss(x, revised), proposals, "generator"
            )
            self.apply_gradients("generator", vjp_fn(gradient))
        return self._report(g_loss, d_loss, proposals, revised, real, chains)

    def test_step(self, data: Any) -> dict:
        real = ops.cast(data[0] if isinstance(data, tuple) else data, "float32")
        proposals = self.frozen_moving_statistics(lambda: self.propose(self._random_latents()))
        revised, chains = self._revise_proposals(proposals)
        losses = self.generator_loss(proposals, revised), self.descriptor_loss(revised, real)
        return self._report(*losses, proposals, revised, real, chains)

    def data_spec(self) -> DataSpec:
        return DataSpec((Images(self.image_shape), Ignored()), optional=1)

    # === Interface of `kerasgan.callbacks.ExplosionGuard` ===

    def alarm(self, recent: list[dict[str, float]]) -> str | None:
        """Detects divergence; see `coopnet_diagnostics.alarm`."""
        return diagnostics.alarm(recent)

    def causes(self, learning_rate: float | None = None) -> str:
        """Ranks the likely causes of divergence; see `coopnet_diagnostics.likely_causes`.

        Args:
            learning_rate: Learning rate of the descriptor. Defaults to the rate at `compile`.
        """
        step_size = max(diagnostics.schedule_values(self.step_size))
        steps = max(diagnostics.schedule_values(self.steps))
        rate = learning_rate or self.descriptor_rate
        return diagnostics.likely_causes(step_size, steps, self.sigma, rate)

    def diagnose(self, means: dict[str, float], updates: int) -> list[str]:
        """Describes unusual values; see `coopnet_diagnostics.diagnose`."""
        return diagnostics.diagnose(means, updates)

    def calibrate_langevin(self, images: np.ndarray, target: float = 0.01) -> dict[str, float]:
        """Proposes a Langevin step size; see `coopnet_diagnostics.calibrate_langevin`."""
        return diagnostics.calibrate_langevin(self, images, target)

    # === Inference; see also `CoopNetSampling` ===

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        """Generates images from latents, as `sample(statistics="running")` does."""
        return self.generator(inputs, training=training)

    def call_inputs(self) -> keras.InputSpec:
        return keras.InputSpec(shape=(None, self.latent_dim), dtype="float32", name="latents")


def _to_integer(steps):
    return int(steps) if isinstance(steps, (int, float)) else ops.cast(steps, "int32")
