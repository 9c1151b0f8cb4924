"""Fréchet distance of features as a loss of the generator.

The gradient of the Fréchet distance with respect to a generated feature f is 2 / N times f - T(f),
where T is the linear map that carries the normal distribution of the generated features to that of
the real ones with the least squared movement. The loss is therefore the mean squared distance to
T(f), which is held constant. Its value for many samples is the Fréchet distance itself.

Reference:
    "Fréchet-distance post-training", https://arxiv.org/abs/2604.28190; for the map T: Dowson and
    Landau, 1982, "The Fréchet distance between multivariate normal distributions".

**Differences from the authors' code**

- Means and covariances are moving averages over the steps, so any batch size works.
"""

from typing import Any

import keras
from keras import ops

from kerasgan.ops import replicas
from kerasgan.types import Tensor


@keras.saving.register_keras_serializable("kerasgan")
class FrechetLoss(keras.layers.Layer):
    """Fréchet distance between generated and real features, divided by the real ones' variance.

    Call it with generated features `[N, D]` for the scalar loss, then `update` with both batches.
    The loss is 0 until 4 D samples are known: covariances of fewer samples have no variance in many
    directions, in which T would move features far away.

    Args:
        dim: Dimension D of the features.
        window: Number of samples that the moving averages span. The first ones are averaged
            equally.
        **arguments: Arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If the window is smaller than 4 D.

    Example:
        ```python
        distance = FrechetLoss(128)
        loss = distance(network(fakes))
        distance.update(network(reals), network(fakes))
        ```
    """

    def __init__(self, dim: int, window: int = 5000, **arguments: Any):
        arguments = {"trainable": False, "dtype": "float32"} | arguments
        super().__init__(**arguments)
        self.dim, self.window, self.least = dim, window, 4 * dim
        if window < self.least:
            raise ValueError(
                f"window must be at least 4 * {dim} features = {self.least}; received {window}"
            )
        self.samples = self._state((), "samples")
        self.means = self._state((2, dim), "means")  # Real, generated.
        self.covariances = self._state((2, dim, dim), "covariances")
        self.built = True

    def _state(self, shape, name):
        return self.add_weight(shape=shape, initializer="zeros", trainable=False, name=name)

    def call(self, features: Tensor) -> Tensor:
        features = ops.cast(features, "float32")
        real, own = ops.unstack(ops.convert_to_tensor(self.means))
        target = real + ops.matmul(ops.stop_gradient(features) - own, self.transport())
        variance = ops.trace(self.covariances[0]) + 1e-12
        distance = ops.mean(ops.sum(ops.square(features - target), axis=-1)) / variance
        return ops.where(self.samples >= self.least, distance, 0.0)

    def transport(self) -> Tensor:
        """Returns the symmetric matrix `[D, D]` of the map T, from generated to real features."""
        real, own = ops.unstack(ops.convert_to_tensor(self.covariances))
        # Directions in which the samples have hardly any variance are left as they are.
        ridge = (1e-4 * ops.trace(real) / self.dim + 1e-12) * ops.eye(self.dim)
        root, inverse = _roots(own + ridge)
        middle, _ = _roots(ops.matmul(root, ops.matmul(real + ridge, root)))
        return ops.matmul(inverse, ops.matmul(middle, inverse))

    def update(self, real: Tensor, generated: Tensor) -> None:
        """Adds features `[N, D]` of one step to the moving averages."""
        both = [replicas.gather(ops.cast(x, "float32")) for x in (real, generated)]
        count = ops.cast(ops.shape(both[0])[0], "float32")
        samples = self.samples + count
        share = count / ops.minimum(samples, float(self.window))
        batch = ops.stack([ops.mean(x, axis=0) for x in both])  # [2, D]
        spread = ops.stack([_covariance(x) for x in both])
        moved = batch - self.means
        between = ops.expand_dims(moved, 2) * ops.expand_dims(moved, 1)
        self.covariances.assign(
            (1.0 - share) * (self.covariances + share * between) + share * spread
        )
        self.means.assign(self.means + share * moved)
        self.samples.assign(samples)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"dim": self.dim, "window": self.window}


def _covariance(x):
    x = x - ops.mean(x, axis=0, keepdims=True)
    return ops.matmul(ops.transpose(x), x) / ops.cast(ops.shape(x)[0], x.dtype)


def _roots(matrix):
    """Square root of a symmetric matrix with positive eigenvalues, and its inverse."""
    values, vectors = ops.linalg.eigh(matrix)
    root = ops.sqrt(ops.maximum(values, 1e-20))

    def product(scales):
        return ops.matmul(vectors * scales, ops.transpose(vectors))

    return product(root), product(1.0 / root)
