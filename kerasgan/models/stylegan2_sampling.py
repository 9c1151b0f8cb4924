"""Sampling from a trained StyleGAN2: mean style, truncation, given latents or styles, export."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasgan.arguments import check_count, check_seed
from kerasgan.io.export import ExportFunction
from kerasgan.models.stylegan2_networks import Generator
from kerasgan.sampling import IMAGES, SamplingInterface, check_latents
from kerasgan.types import Tensor


def truncate(w: Any, mean: Any, truncation: Any) -> Any:
    """Moves styles w towards their mean (truncation trick): mean + truncation (w - mean).

    Args:
        w: Styles `[N, ..., latent_dim]`, NumPy array or tensor.
        mean: Mean style `[latent_dim]`, or 0.
        truncation: Truncation psi, a number or one for each image.
    """
    return mean + truncation * (w - mean)


def _generators(seed):
    """Returns the NumPy generators of the latents and of the noise maps of a seed."""
    return np.random.default_rng(check_seed(seed)).spawn(2)


class StyleGAN2Sampling(SamplingInterface):
    """Mixin of `StyleGAN2` with the methods that use the trained generator."""

    # Attributes and methods of `StyleGAN2`.
    generator: Generator
    conditions: int
    image_shape: tuple[int, int, int]
    label_conditions: Callable[[Tensor], Tensor | None]
    with_conditions: Callable[[Tensor, Tensor | None], Tensor]

    def mean_style(self, samples: int = 2048) -> np.ndarray:
        """Mean of w over latents, `[latent_dim]`, the center of truncation.

        The latents have a fixed seed, so the result depends on the weights only.

        Args:
            samples: Number of latents.
        """
        latents = np.random.default_rng(0).standard_normal((samples, self.latent_dim), "float32")
        return np.array(
            ops.convert_to_numpy(ops.mean(self.sampling_generator.mapping(latents), axis=0))
        )

    def random_latents(self, n: int, seed: int | None = None) -> np.ndarray:
        latents, _ = _generators(seed)
        return latents.standard_normal((check_count(n), self.latent_dim), "float32")

    def map_latents(self, latents: np.ndarray, truncation: float = 1.0) -> np.ndarray:
        """Maps latents `[N, latent_dim]` to w, float32 `[N, latent_dim]`.

        Args:
            latents: Latents; see `random_latents`.
            truncation: Truncation psi; see `sample`.
        """
        latents = check_latents(latents, self.latent_dim)
        w = np.array(ops.convert_to_numpy(self.sampling_generator.mapping(latents)), "float32")
        return w if truncation == 1 else truncate(w, self.mean_style(), truncation)

    def sample(
        self,
        n: int | None = None,
        labels: Any = None,
        seed: int | None = None,
        truncation: float = 1.0,
        batch_size: int = 100,
        *,
        latents: np.ndarray | None = None,
        w: np.ndarray | None = None,
        noise: np.ndarray | None = None,
        conditions: np.ndarray | None = None,
    ) -> np.ndarray:
        """Generates images with the moving average of the generator, if there is one.

        Args:
            n: Number of images. Their labels cycle through the classes.
            labels: Integer labels `[N]` instead of `n`.
            seed: Integer seed of the latents and the noise maps. The same seed gives the same
                images, independent of their number. `None` gives new images at each call.
            truncation: Truncation psi. w is replaced by m + psi (w - m) with the mean m of w.
                Smaller values give less variety and fewer failures. 1 disables truncation.
            batch_size: Number of images per forward pass. It does not change the images.
            latents: Latents `[N, latent_dim]` instead of random ones from `seed`; see
                `random_latents`.
            w: Styles `[N, latent_dim]`, or `[N, blocks, latent_dim]` with one for each block,
                instead of latents; see `map_latents`.
            noise: Noise maps `[N, H, W, 1]` in [0, 1), or `[1, H, W, 1]` for all images,
                instead of random ones from `seed`.
            conditions: Conditions `[N, K]` of a model with classes instead of labels; see
                `label_conditions`.

        Returns:
            Float32 images `[N, H, W, C]`, clipped to [-1, 1].

        Raises:
            ValueError: If both `n` and `labels` are given, or neither of `n`, `labels`, `latents`
                and `w`, if a label is not a class, or if an array has another shape.
        """
        if conditions is not None:
            conditions = self._check_conditions(conditions, labels)
            n = len(conditions) if n is None else n
        if w is not None:
            w = self._check_styles(w, latents)
            n = len(w) if n is None and labels is None else n
        labels, seed = self.labels_to_sample(n, labels, latents), check_seed(seed)
        count = len(labels)
        if conditions is not None and len(conditions) != count:
            raise ValueError(
                f"conditions must have one row per image ({count}); received {len(conditions)}"
            )
        if w is None:
            latents = self.latents_to_sample(count, seed, latents)
        elif len(w) != count:
            raise ValueError(f"w must have one row per image ({count}); received {len(w)}")
        if noise is not None:
            noise = self._check_noise(noise, count)
        network, (_, noise_random) = self.sampling_generator, _generators(seed)
        mean = ops.convert_to_tensor(self.mean_style()) if truncation != 1 else 0.0
        images = []
        for start in range(0, count, batch_size):
            rows = slice(start, start + batch_size)
            part = labels[rows]
            maps = (
                noise_random.random((len(part), *self.image_shape[:2], 1), "float32")
                if noise is None
                else noise[rows]
            )
            if w is None:
                assert latents is not None  # `latents_to_sample` draws them.
                styles = network.mapping(latents[rows])
            else:
                styles = ops.convert_to_tensor(w[rows])
            given = None if conditions is None else conditions[rows]
            inputs = self._generator_styles(truncate(styles, mean, truncation), part, given)
            images.append(network.predict_on_batch([np.array(ops.convert_to_numpy(inputs)), maps]))
        return np.clip(np.concatenate(images), -1.0, 1.0).astype("float32")

    def _generator_styles(self, w, labels, conditions=None):
        """Generator input `[N, blocks, style_dim]` of w `[N, D]` or `[N, blocks, D]`."""
        if len(w.shape) == 2:
            w = ops.repeat(w[:, None], self.generator.blocks, axis=1)
        if conditions is None and self.conditions:
            conditions = self.label_conditions(labels)
        return self.with_conditions(w, conditions)

    def _check_conditions(self, conditions, labels):
        conditions = np.asarray(conditions, "float32")
        if not self.conditions or labels is not None:
            received = "labels too" if self.conditions else "a model without classes"
            raise ValueError(f"conditions replace the labels of a model; received {received}")
        if conditions.ndim != 2 or not len(conditions) or conditions.shape[1] != self.conditions:
            raise ValueError(
                f"conditions must be [N, {self.conditions}]; received {list(conditions.shape)}"
            )
        return conditions

    def _check_styles(self, w, latents):
        w, blocks = np.asarray(w, "float32"), self.generator.blocks
        shapes = ((self.latent_dim,), (blocks, self.latent_dim))
        if latents is not None:
            raise ValueError("sample takes latents or w, one of them; received both")
        if not len(w) or w.shape[1:] not in shapes or not np.isfinite(w).all():
            raise ValueError(
                f"w must be finite numbers [N, {self.latent_dim}] or [N, {blocks}, "
                f"{self.latent_dim}]; received {list(w.shape)}"
            )
        return w

    def _check_noise(self, noise, count):
        noise, shape = np.asarray(noise, "float32"), (*self.image_shape[:2], 1)
        if noise.shape not in ((count, *shape), (1, *shape)):
            raise ValueError(
                f"noise must be {[count, *shape]} or {[1, *shape]}; received {list(noise.shape)}"
            )
        return np.broadcast_to(noise, (count, *shape))

    # === The differentiable function from named inputs to images ===

    def sampling_inputs(self) -> dict[str, keras.InputSpec]:
        shapes = {"latents": (self.latent_dim,), "noise": (*self.image_shape[:2], 1)}
        inputs = {
            name: keras.InputSpec(shape=(None, *shape), dtype="float32", name=name)
            for name, shape in shapes.items()
        }
        if self.conditions:
            inputs["labels"] = keras.InputSpec(shape=(None,), dtype="int32", name="labels")
        return inputs

    def generate_from(self, inputs: dict[str, Tensor], mean: np.ndarray | None = None) -> Tensor:
        """Generates images from named inputs, as `sample` does. It is differentiable.

        Args:
            inputs: Dict with the keys of `sampling_inputs()`. `w` may replace `latents` and
                `conditions` may replace `labels`, with the shapes that `sample` accepts.
                `truncation`, psi of each image `[N]`, is optional.
            mean: Result of `mean_style()`, the center of truncation.

        Returns:
            Images `[N, H, W, C]` in [-1, 1].
        """
        w = inputs.get("w")
        if w is None:
            w = self.sampling_generator.mapping(inputs["latents"])
        if "truncation" in inputs:
            mean = self.mean_style() if mean is None else mean
            psi = ops.reshape(inputs["truncation"], (-1, *[1] * (len(w.shape) - 1)))
            w = truncate(w, ops.cast(mean, w.dtype), psi)
        styles = self._generator_styles(w, inputs.get("labels"), inputs.get("conditions"))
        return self([styles, inputs["noise"]])  # type: ignore[operator]

    def export_functions(self) -> dict[str, ExportFunction]:
        mean, network = self.mean_style(), self.sampling_generator
        psi = keras.InputSpec(shape=(None,), dtype="float32", name="truncation")
        generate = ExportFunction(
            self.sampling_inputs() | {"truncation": psi},
            lambda inputs: {"images": self.generate_from(inputs, mean)},
            [network],
            {"images": IMAGES},
        )
        return {"generator": generate}
