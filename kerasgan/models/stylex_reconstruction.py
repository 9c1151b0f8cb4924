"""Reconstruction of images by a trained StylEx, and measures of it."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasgan.arguments import check_seed
from kerasgan.images import check_images
from kerasgan.io.export import ExportFunction
from kerasgan.losses.distributions import class_divergence
from kerasgan.metrics.style_gap import style_gap
from kerasgan.models.stylegan2_networks import Generator
from kerasgan.sampling import IMAGES
from kerasgan.types import Tensor


class StylExReconstruction:
    """Mixin of `StylEx` with the methods that use the trained networks."""

    # Attributes and methods of `StylEx`.
    generator: Generator
    sampling_generator: Any
    encoder: keras.Model
    ema_encoder: keras.Model | None
    classifier: keras.Model
    condition: Callable[[Tensor], Tensor]
    perceptual: Callable | None
    noise: np.ndarray
    latent_dim: int
    image_shape: tuple[int, int, int]
    conditions: int
    logits: Callable[[Tensor], Tensor]

    def _predict_batches(self, network, *arrays, size=100):
        """Applies `network` to arrays of equal length in batches of `size`; numpy."""
        parts = [
            [a[start : start + size] for a in arrays] for start in range(0, len(arrays[0]), size)
        ]
        return np.concatenate(
            [network.predict_on_batch(part if len(part) > 1 else part[0]) for part in parts]
        )

    def encode(self, images: np.ndarray, batch_size: int = 100) -> np.ndarray:
        """Encodes images `[N, H, W, C]` in [-1, 1] to w, float32 `[N, latent_dim]`."""
        images = check_images(images, self.image_shape)
        return self._predict_batches(self.ema_encoder or self.encoder, images, size=batch_size)

    def image_conditions(self, images: np.ndarray, batch_size: int = 100) -> np.ndarray:
        """Condition of the generator for images `[N, H, W, C]`, float32 `[N, K]`."""
        logits = self._predict_batches(
            self.classifier, check_images(images, self.image_shape), size=batch_size
        )
        return np.array(ops.convert_to_numpy(self.condition(ops.cast(logits, "float32"))))

    def image_styles(self, images: np.ndarray, batch_size: int = 100) -> np.ndarray:
        """Generator input w for images `[N, H, W, C]`, float32 `[N, blocks, style_dim]`."""
        w = np.concatenate(
            [self.encode(images, batch_size), self.image_conditions(images, batch_size)], axis=1
        )
        return np.repeat(w[:, None], self.generator.blocks, axis=1)

    def styles(self, images: np.ndarray, batch_size: int = 100) -> tuple[list, list]:
        """Style vectors of images `[N, H, W, C]`.

        Returns:
            `(styles, rgb_styles)`, lists of float32 arrays `[N, C]` for `generator.synthesize`.
        """
        styles, rgb_styles = self.sampling_generator.styles(
            ops.convert_to_tensor(self.image_styles(images, batch_size))
        )
        to_numpy = lambda x: np.array(ops.convert_to_numpy(x))  # noqa: E731
        return [to_numpy(x) for x in styles], [to_numpy(x) for x in rgb_styles]

    def reconstruct(self, images: np.ndarray, batch_size: int = 100) -> np.ndarray:
        """Reconstructs images as G(E(x), C(x)) with one fixed noise map.

        Args:
            images: Float images `[N, H, W, C]` in [-1, 1].
            batch_size: Number of images per forward pass.

        Returns:
            Float32 images `[N, H, W, C]`, clipped to [-1, 1].
        """
        w = self.image_styles(images, batch_size)
        noise = np.repeat(self.noise, len(w), axis=0)
        generator = self.sampling_generator
        return np.clip(self._predict_batches(generator, w, noise, size=batch_size), -1.0, 1.0)

    def reconstruction_scores(self, images: np.ndarray, batch_size: int = 100) -> dict[str, float]:
        """Measures reconstructions x' of images x.

        Args:
            images: Float images `[N, H, W, C]` in [-1, 1], preferably held out from training.
            batch_size: Number of images per forward pass.

        Returns:
            Dict of floats. `pixel`: mean absolute difference of x and x' in units of [0, 1].
            `agreement`: share of x' that the classifier assigns to the class of x. `kl`:
            KL(C(x) || C(x')). `perceptual`: perceptual distance, if the model has one.
        """
        real, fake = check_images(images, self.image_shape), self.reconstruct(images, batch_size)
        logits, fake_logits = (
            self._predict_batches(self.classifier, each, size=batch_size) for each in (real, fake)
        )
        scores = {
            "pixel": np.abs(real - fake).mean() / 2,
            "agreement": (logits.argmax(axis=1) == fake_logits.argmax(axis=1)).mean(),
            "kl": ops.convert_to_numpy(ops.mean(class_divergence(logits, fake_logits))),
        }
        if self.perceptual is not None:
            parts = [slice(start, start + batch_size) for start in range(0, len(real), batch_size)]
            pairs = [[ops.convert_to_tensor(each[part]) for each in (real, fake)] for part in parts]
            distances = [ops.convert_to_numpy(self.perceptual(*pair)) for pair in pairs]
            scores["perceptual"] = np.concatenate(distances).mean()
        return {name: float(value) for name, value in scores.items()}

    def w_samples(self, images: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Samples w from latents and encodes images.

        Args:
            images: Float images `[N, H, W, C]` in [-1, 1].
            seed: Integer seed of the latents.

        Returns:
            Two arrays `[N, latent_dim]`: w of N latents by the mapping network, and E(x).
        """
        encoded = self.encode(images)
        latents = np.random.default_rng(check_seed(seed)).standard_normal(
            (len(encoded), self.latent_dim), "float32"
        )
        mapping = self.sampling_generator.mapping
        return self._predict_batches(mapping, latents), encoded

    def w_gap(self, images: np.ndarray, seed: int = 0) -> dict[str, float]:
        """Difference between the distributions of w of latents and of images `[N, H, W, C]`.

        Returns:
            Result of `kerasgan.metrics.style_gap.style_gap`.
        """
        return style_gap(*self.w_samples(images, seed), seed=seed)

    # === Export ===

    def export_functions(self) -> dict[str, ExportFunction]:
        """Returns the functions that `export` offers.

        They are `generator`, `classifier`, `encoder` (images to w), `styles` (w and conditions to
        the S space) and `synthesis` (styles to images). The last four explain an image: change a
        coordinate of `styles` and synthesize.
        """
        generator, encoder = self.sampling_generator, self.ema_encoder or self.encoder
        sizes = generator.style_sizes
        rgb_sizes = sizes[1::2]

        def styles(inputs):
            w = ops.concatenate([inputs["w"], inputs["conditions"]], axis=-1)
            pair = generator.styles(ops.repeat(w[:, None], generator.blocks, axis=1))
            names = ("styles", "rgb_styles")
            return {name: ops.concatenate(x, -1) for name, x in zip(names, pair, strict=True)}

        def synthesize(inputs):
            pair = _split(inputs["styles"], sizes), _split(inputs["rgb_styles"], rgb_sizes)
            return {"images": ops.clip(generator.synthesize(*pair, inputs["noise"]), -1.0, 1.0)}

        def classify(inputs):
            logits = self.logits(inputs["images"])
            return {"logits": logits, "conditions": self.condition(logits)}

        s = {"styles": (sum(sizes),), "rgb_styles": (sum(rgb_sizes),)}
        facts = {"style_names": generator.style_names, "style_sizes": list(sizes)}
        sampling = super().export_functions()  # type: ignore[misc]
        return sampling | {
            "classifier": ExportFunction(
                _specs(images=self.image_shape),
                classify,
                [self.classifier],
                {"logits": "logits of the classes", "conditions": "condition of the generator"},
            ),
            "encoder": ExportFunction(
                _specs(images=self.image_shape),
                lambda inputs: {"w": encoder(inputs["images"], training=False)},
                [encoder],
                {"w": "style w of the image"},
            ),
            "styles": ExportFunction(
                _specs(w=(self.latent_dim,), conditions=(self.conditions,)),
                styles,
                [generator],
                {
                    "styles": "style vectors (S space), concatenated",
                    "rgb_styles": "the same of RGB",
                },
                facts,
            ),
            "synthesis": ExportFunction(
                _specs(**s, noise=self.noise.shape[1:]),
                synthesize,
                [generator],
                {"images": IMAGES},
            ),
        }


def _specs(**shapes):
    return {
        name: keras.InputSpec(shape=(None, *shape), dtype="float32", name=name)
        for name, shape in shapes.items()
    }


def _split(x, sizes):
    ends = np.cumsum(sizes)
    return [x[:, end - size : end] for size, end in zip(sizes, ends, strict=True)]
