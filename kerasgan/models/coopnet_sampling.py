"""Sampling from a trained CoopNet: generation, interpolation, completion, recalibration."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasgan.arguments import check_count
from kerasgan.images import check_images
from kerasgan.sampling import SamplingInterface, check_latents
from kerasgan.types import Tensor


class Sampler(keras.Model):
    """Wraps a sampling function as a model, so that `predict` compiles it.

    The networks are attributes, so that the compiled function uses their current weights.

    Args:
        generator: The generator.
        descriptor: The descriptor.
        fn: Function from the model's inputs to images.
    """

    def __init__(self, generator: keras.Model, descriptor: keras.Model, fn: Callable):
        super().__init__()
        self.generator, self.descriptor, self.fn, self.built = generator, descriptor, fn, True

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        return self.fn(inputs)


class CoopNetSampling(SamplingInterface):
    """Mixin of `CoopNet` with the methods that use the trained networks.

    In training the generator's batch normalization uses the statistics of `chains` images. Sampling
    does the same by default, so images are computed in blocks of exactly `chains`.
    """

    # Attributes and methods of `CoopNet`.
    generator: keras.Model
    descriptor: keras.Model
    optimizer: Any
    compiled: bool
    chains: int
    image_shape: tuple[int, int, int]
    sigma: float
    score: Callable[[Tensor], Tensor]
    sampler: Callable[..., Sampler]

    def final_value(self, name: str) -> float:
        """Returns a setting as a number.

        A schedule gives its present value, or its last one if the model is not compiled.
        """
        value = getattr(self, name)
        if not callable(value):
            return value
        step = ops.convert_to_tensor(2**31 - 1)
        step = self.optimizer["descriptor"].iterations if self.compiled else step
        return float(ops.convert_to_numpy(value(step)))

    def sampling_protocol(self, by: str = "generator", statistics: str = "batch") -> dict:
        """Returns what samples depend on besides the weights, for preset cards and result files.

        Args:
            by: See `generate`.
            statistics: See `generate`.
        """
        batch = f"batch of {self.chains} chains"
        protocol = {"by": by, "statistics": batch if statistics == "batch" else "running"}
        if by == "generator":
            return protocol
        steps = {name: self.final_value(name) for name in ("steps", "step_size")}
        return protocol | steps | {"noise": 0.0}

    def _sampler(self, task, by, training, *settings):
        fn = functools.partial(getattr(self, task), by, training, *settings)
        return Sampler(self.generator, self.descriptor, fn)

    def _generate_block(self, by, training, steps, step_size, latents):
        images = self.frozen_moving_statistics(lambda: self.propose(latents, training))
        if by == "descriptor":
            images, _ = self.revise(images, steps=steps, step_size=step_size)
        return ops.clip(images, -1.0, 1.0)

    def _step_block(self, by, training, steps, step_size, images):
        images, _ = self.revise(images, steps=steps, step_size=step_size)
        return images, self.energy(images)

    def _complete_block(self, by, training, steps, step_size, latent_steps, inputs):
        latents, images, mask = inputs
        latents = self.infer_latents(
            latents, images, steps=latent_steps, mask=mask, training=training
        )
        proposals = self.frozen_moving_statistics(lambda: self.propose(latents, training))
        completed = ops.where(ops.equal(mask, 1.0), images, proposals)
        if by == "descriptor":
            known = (images, mask)
            completed, _ = self.revise(completed, steps=steps, step_size=step_size, known=known)
        return ops.clip(completed, -1.0, 1.0)

    def _in_blocks(self, task, by, statistics, steps, settings, arrays, block=None):
        """Applies a task to blocks of equal size.

        The first array contains latents. It is padded with new latents to whole blocks.
        """
        if by not in self.players or statistics not in ("batch", "running"):
            raise ValueError(
                "by must be generator or descriptor and statistics batch or running; "
                f"received {by!r} and {statistics!r}"
            )
        steps = self.final_value("steps") if steps is None else steps
        if min([steps, *settings]) < 0:
            raise ValueError(f"steps must be at least 0; received {min([steps, *settings])}")
        sampler = self.sampler(
            task, by, statistics == "batch", steps, self.final_value("step_size"), *settings
        )
        block = self.chains if block is None else check_count(block, "batch_size")
        count, missing = len(arrays[0]), -len(arrays[0]) % block
        padded = [
            np.asarray(array, "float32")[np.arange(count + missing) % count] for array in arrays
        ]
        if missing:
            # Repeated latents would bias the batch statistics. Other callers are unlikely to use
            # this seed.
            padded[0][count:] = self.random_latents(missing, seed=2**31 - 1)
        inputs = padded if len(padded) > 1 else padded[0]
        return sampler.predict(inputs, batch_size=block, verbose=0)[:count]

    def generate(
        self,
        latents: np.ndarray,
        by: str = "generator",
        statistics: str = "batch",
        steps: int | None = None,
        batch_size: int | None = None,
    ) -> np.ndarray:
        """Generates images from latents, in blocks of `chains` as in training.

        Args:
            latents: Float array `[N, latent_dim]`.
            by: `"generator"` for proposals, or `"descriptor"` for proposals revised by Langevin
                dynamics without noise.
            statistics: Statistics of the generator's batch normalization. With `"batch"`, as in
                training, an image depends on its block, which is padded with new latents.
                `"running"` statistics are more accurate after `recalibrate`.
            steps: Number of Langevin steps. Defaults to the number in training.
            batch_size: Images per block. Defaults to `chains`.

        Returns:
            Float32 images `[N, H, W, C]` in [-1, 1].

        Raises:
            ValueError: If an argument is out of range, or if `latents` have another shape.
        """
        latents = check_latents(latents, self.latent_dim)
        return self._in_blocks("_generate_block", by, statistics, steps, (), [latents], batch_size)

    def sample(
        self,
        n: int | None = None,
        labels: None = None,
        seed: int | None = None,
        batch_size: int | None = None,
        *,
        by: str = "generator",
        statistics: str = "batch",
        steps: int | None = None,
        latents: np.ndarray | None = None,
    ) -> np.ndarray:
        """Generates images from latents.

        Args:
            n: Number of images.
            labels: Not supported, because CoopNet is unconditional.
            seed: Integer seed. The same seed gives the same images on the same backend. `None`
                gives new images at each call.
            batch_size: Images per block; see `generate`.
            by: `"generator"` or `"descriptor"`; see `generate`.
            statistics: `"batch"` or `"running"`; see `generate`.
            steps: Number of Langevin steps; see `generate`.
            latents: Latents `[N, latent_dim]` instead of `n` and `seed`; see `random_latents`.

        Returns:
            Float32 images `[N, H, W, C]` in [-1, 1].

        Raises:
            ValueError: If neither `n` nor `latents` are given, or an argument is out of range.
        """
        if labels is not None:
            raise ValueError("a CoopNet has no classes, so labels must be None; give n")
        if n is None and latents is not None:
            n = len(latents)
        latents = self.latents_to_sample(check_count(n), seed, latents)
        return self.generate(latents, by, statistics, steps, batch_size)

    def energy(self, images: Tensor) -> Tensor:
        """Returns -f(x) + |x|^2 / (2 sigma^2) `[N]` of images x `[N, H, W, C]`.

        The descriptor's density is proportional to exp(-energy), and Langevin dynamics lower it.
        """
        prior = ops.sum(ops.square(images), axis=(1, 2, 3)) / (2 * self.sigma**2)
        return prior - self.score(images)

    def revisions(
        self,
        n: int | None = None,
        seed: int | None = None,
        *,
        steps: int | None = None,
        statistics: str = "batch",
        latents: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Revises proposals of the generator and keeps the images of every Langevin step.

        The images of the last step equal `sample(n, seed=seed, by="descriptor", steps=steps)`.

        Args:
            n: Number of images.
            seed: Integer seed of the latents.
            steps: Number of Langevin steps without noise. Defaults to the number in training.
            statistics: See `generate`.
            latents: Latents `[N, latent_dim]` instead of `n` and `seed`; see `random_latents`.

        Returns:
            `(images, energies)`: float32 `[steps + 1, N, H, W, C]` in [-1, 1] and the energies
            `[steps + 1, N]`, the generator's proposals first.

        Raises:
            ValueError: If an argument is out of range; see `sample`.
        """
        steps = int(self.final_value("steps")) if steps is None else check_count(steps, "steps", 0)
        proposals = self.sample(n, seed=seed, statistics=statistics, latents=latents)
        images, energies = [proposals], []
        # 0 steps give the energies of the proposals.
        for count in [0] + [1] * steps:
            step = self.sampler(
                "_step_block", "descriptor", False, count, self.final_value("step_size")
            )
            revised, energy = step.predict_on_batch(images[-1])
            energies.append(energy)
            images += [revised] * count
        return np.clip(images, -1.0, 1.0), np.stack(energies)

    def interpolate(
        self,
        rows: int = 8,
        columns: int = 8,
        seed: int | None = None,
        by: str = "generator",
        statistics: str = "batch",
    ) -> np.ndarray:
        """Generates rows of images between two random latents each, by linear interpolation.

        Interpolated latents are shorter than random ones, which shifts the batch statistics. With
        many rows, `statistics="running"` after `recalibrate` is closer to training.

        Args:
            rows: Number of pairs of latents.
            columns: Images per pair, ends included.
            seed: Integer seed of the latents.
            by: See `generate`.
            statistics: See `generate`.

        Returns:
            Float32 images `[rows * columns, H, W, C]` in [-1, 1].
        """
        rows, columns = check_count(rows, "rows"), check_count(columns, "columns")
        left, right = self.random_latents(2 * rows, seed).reshape(2, rows, 1, self.latent_dim)
        fraction = np.linspace(0, 1, columns)[None, :, None]
        lines = (1 - fraction) * left + fraction * right
        return self.generate(lines.reshape(-1, self.latent_dim), by, statistics)

    def complete(
        self,
        images: np.ndarray,
        mask: np.ndarray,
        by: str = "generator",
        latent_steps: int = 100,
        steps: int | None = None,
        seed: int | None = None,
        statistics: str = "batch",
    ) -> np.ndarray:
        """Completes the hidden pixels of images (inpainting).

        The latents are inferred from the known pixels, and the generator supplies the hidden ones.
        With `by="descriptor"`, Langevin dynamics then revise the images. Known pixels are restored
        after each step.

        Args:
            images: Float images `[N, H, W, C]` in [-1, 1]. Values of hidden pixels are ignored.
            mask: `[H, W, 1]` or `[N, H, W, 1]`, 1 for known pixels and 0 for hidden ones.
            by: `"generator"` or `"descriptor"`.
            latent_steps: Number of Langevin steps of the latents. 0 keeps random latents.
            steps: Number of Langevin steps of the images. Defaults to the number in training.
            seed: Integer seed of the initial latents.
            statistics: See `generate`.

        Returns:
            Float32 images `[N, H, W, C]` in [-1, 1].

        Raises:
            ValueError: If `images` or `mask` have the wrong shape or values.
        """
        images, mask = np.asarray(images, "float32"), np.asarray(mask, "float32")
        if images.shape[1:] != self.image_shape:
            check_images(images, self.image_shape)  # raises
        shape = (*images.shape[:3], 1)
        if not np.isin(mask, (0, 1)).all() or mask.shape not in (shape, shape[1:]):
            raise ValueError(
                f"mask must be 0 or 1, of shape {list(shape[1:])} or {list(shape)}; received shape "
                f"{list(mask.shape)}"
            )
        mask = np.broadcast_to(mask, shape)
        images = check_images(np.where(mask == 1, images, 0.0).astype("float32"), self.image_shape)
        latents = self.random_latents(len(images), seed)
        return self._in_blocks(
            "_complete_block", by, statistics, steps, (latent_steps,), [latents, images, mask]
        )

    def recalibrate(self, batches: int = 50, seed: int | None = 0) -> None:
        """Recomputes the running statistics of the generator's batch normalization.

        They become means over batches of `chains` random latents; see `statistics="running"` of
        `generate`.

        Args:
            batches: Number of batches.
            seed: Integer seed of the latents.
        """
        batches = check_count(batches, "batches")
        norms = [
            layer for layer in self.generator._flatten_layers() if hasattr(layer, "moving_mean")
        ]
        momenta = [layer.momentum for layer in norms]
        latents = self.random_latents(batches * self.chains, seed)
        try:
            for index, block in enumerate(np.split(latents, batches)):
                for layer in norms:
                    layer.momentum = index / (index + 1)
                self.generator(ops.convert_to_tensor(block), training=True)
        finally:
            for layer, momentum in zip(norms, momenta, strict=True):
                layer.momentum = momentum
