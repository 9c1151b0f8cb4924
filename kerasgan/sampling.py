"""The sampling interface that all models of the zoo share: latents, labels and named inputs."""

from typing import Any

import keras
import numpy as np
from keras import ops

from kerasgan import backend, data_spec
from kerasgan.arguments import check_count, check_seed
from kerasgan.io.export import ExportFunction
from kerasgan.types import Tensor

IMAGES = "images in [-1, 1]"  # Description in the metadata of exported functions.


def check_latents(latents: Any, dim: int, count: int | None = None) -> np.ndarray:
    """Converts latents to float32 and checks their shape.

    Args:
        latents: Array of numbers `[N, dim]`.
        dim: Number of latent dimensions of the model.
        count: Expected N. `None` accepts any.

    Returns:
        Float32 array `[N, dim]`.

    Raises:
        ValueError: If the shape differs, or if a value is not a finite number.
    """
    try:
        found = np.asarray(latents, "float32")
    except (TypeError, ValueError):
        raise ValueError(
            f"latents must be numbers [N, {dim}]; received a {type(latents).__name__}"
        ) from None
    rows = "N" if count is None else count
    if found.ndim != 2 or not len(found) or found.shape != (count or len(found), dim):
        raise ValueError(f"latents must be [{rows}, {dim}]; received {list(found.shape)}")
    if not np.isfinite(found).all():
        raise ValueError("latents must be finite; received values that are not")
    return found


def predict(network: keras.Model, inputs: list[np.ndarray], batch_size: int) -> Any:
    """Returns the outputs of a network in inference mode, as `network.predict` does.

    A single batch takes 0.08 s less (0.2 s at first), because no `tf.data` pipeline is made for it.
    The first call with a single row does not trace the network (TensorFlow).

    Args:
        network: Network with the given inputs.
        inputs: Arrays `[N, ...]`.
        batch_size: Largest number of rows per forward pass.

    Returns:
        NumPy arrays `[N, ...]` in the structure of the network's outputs.
    """
    count = len(inputs[0])
    if count > batch_size:
        return network.predict(inputs, batch_size=batch_size, verbose=0)
    if count == 1:
        return backend.predict_one(network, inputs)
    # `tf.distribute` returns the whole batch once for each replica.
    outputs = network.predict_on_batch(inputs)
    return keras.tree.map_structure(lambda x: x[:count], outputs)


class SamplingInterface:
    """Base of `AdversarialModel` with what the `sample` methods of all models have in common.

    Attributes:
        latent_dim: Number of latent dimensions.
        classes: Number of classes of a model with labels.
        generator: Network that is trained, of a model with one.
    """

    latent_dim: int
    classes: int
    generator: Any

    # === Latents and labels ===

    @property
    def sampling_generator(self) -> keras.Model:
        """Network that `sample` uses: the moving average of the generator if there is one.

        Code that needs only the shapes of a generator reads them from this network. A loaded model
        can then sample without building the trained one, see `kerasgan.io.deferred`.
        """
        return getattr(self, "ema_generator", None) or self.generator

    def random_latents(self, n: int, seed: int | None = None) -> np.ndarray:
        """Returns the latents that `sample` uses for `n` images.

        `sample(..., seed=seed)` and `sample(..., latents=random_latents(n, seed), seed=seed)`
        return the same images.

        Args:
            n: Number of latents.
            seed: Integer seed. `None` gives new latents at each call.

        Returns:
            Float32 array `[n, latent_dim]`, from N(0, 1) unless the model has another prior.
        """
        shape = (check_count(n), self.latent_dim)
        return np.array(
            ops.convert_to_numpy(keras.random.normal(shape, dtype="float32", seed=check_seed(seed)))
        )

    def latents_to_sample(self, count: int, seed: int | None, latents: Any) -> np.ndarray:
        """Returns the latents of `sample(seed=seed, latents=latents)`, `[count, latent_dim]`.

        Args:
            count: Number of images.
            seed: Integer seed of the latents if none are given.
            latents: Latents, or `None`.

        Raises:
            ValueError: If the given latents have another shape.
        """
        if latents is None:
            return self.random_latents(count, seed)
        return check_latents(latents, self.latent_dim, count)

    def check_labels(self, labels: Any, count: int | None = None) -> None:
        """Raises a `ValueError` unless `labels` are integers `[N]` from 0 to `classes` - 1.

        Args:
            labels: Array of labels.
            count: Expected N, the number of images. `None` accepts any.
        """
        data_spec.check_labels(labels, self.classes, count)

    def labels_to_sample(self, n: int | None, labels: Any, latents: Any = None) -> np.ndarray:
        """Returns the labels of `sample(n, labels, latents=latents)`, integers `[N]`.

        Without labels, the `n` samples cycle through the classes. Without `n`, there are as many
        samples as latents.

        Raises:
            ValueError: If both `n` and `labels` are given, or neither of `n`, `labels` and
                `latents`, or if a label is not a class.
        """
        if n is None and labels is None and latents is not None:
            n = len(check_latents(latents, self.latent_dim))
        if (n is None) == (labels is None):
            raise ValueError(
                f"sample takes n or labels, one of them; received n={n} and labels={labels}"
            )
        if labels is None:
            return np.arange(check_count(n)) % self.classes
        labels = np.asarray(labels)
        self.check_labels(labels)
        return labels

    # === The differentiable function from named inputs to images ===

    def sampling_inputs(self) -> dict[str, keras.InputSpec]:
        """Returns the inputs of `generate_from` by name, with free batch size.

        The names are `latents` `[N, latent_dim]`, and, where the model has them, `labels` (integers
        `[N]`), `embeddings` (of captions, `[N, D]`) and `noise` (noise maps `[N, H, W, 1]`).
        """
        inputs = keras.tree.flatten(self.call_inputs())  # type: ignore[attr-defined]
        return {
            spec.name: keras.InputSpec(
                shape=(None, *spec.shape[1:]), dtype=spec.dtype, name=spec.name
            )
            for spec in inputs
        }

    def generate_from(self, inputs: dict[str, Tensor]) -> Tensor:
        """Generates images from named inputs, as `sample` does. It is differentiable.

        `kerasgan.io.export` exports this function, and `kerasgan.latents` inverts it.

        Args:
            inputs: Dict with the keys of `sampling_inputs()`.

        Returns:
            Images `[N, H, W, C]` in [-1, 1].
        """
        values = [inputs[name] for name in self.sampling_inputs()]
        return self(values if len(values) > 1 else values[0])  # type: ignore[operator]

    def export_functions(self) -> dict[str, ExportFunction]:
        """Returns the functions that `export` offers: `"generator"`, which samples, and others."""
        if self.call_inputs() is None:  # type: ignore[attr-defined]
            return {}
        network = self.checkpoint_networks()["generator"]  # type: ignore[attr-defined]
        generate = ExportFunction(
            self.sampling_inputs(),
            lambda inputs: {"images": self.generate_from(inputs)},
            [network],
            {"images": IMAGES},
        )
        return {"generator": generate}
