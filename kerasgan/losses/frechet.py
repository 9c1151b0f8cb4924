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
    Before the first update the loss is 0.

    Args:
        dim: Dimension D of the features.
        decay: Decay of the moving averages, between 0 and 1. The first steps are averaged equally.
        **arguments: Arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If the decay is out of range.

    Example:
        ```python
        distance = FrechetLoss(128)
        loss = distance(network(fakes))
        distance.update(network(reals), network(fakes))
        ```
    """

    def __init__(self, dim: int, decay: float = 0.99, **arguments: Any):
        super().__init__(**{"trainable": False, "dtype": "float32"} | arguments)
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be at least 0 and below 1; received {decay}")
        self.dim, self.decay = dim, decay
        self.steps = self._state((), "steps")
        self.means = self._state((2, dim), "means")  # Of real and generated features.
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
        return ops.where(self.steps > 0, distance, 0.0)

    def transport(self) -> Tensor:
        """Returns the symmetric matrix `[D, D]` of the map T, from generated to real features."""
        real, own = ops.unstack(ops.convert_to_tensor(self.covariances))
        # Directions in which few samples have no variance are left as they are.
        ridge = (1e-4 * ops.trace(real) / self.dim + 1e-12) * ops.eye(self.dim)
        root, inverse = _roots(own + ridge)
        middle, _ = _roots(ops.matmul(root, ops.matmul(real + ridge, root)))
        return ops.matmul(inverse, ops.matmul(middle, inverse))

    def update(self, real: Tensor, generated: Tensor) -> None:
        """Adds features `[N, D]` of one step to the moving averages."""
        steps = self.steps + 1.0
        share = ops.maximum(1.0 - self.decay, 1.0 / steps)
        both = [replicas.gather(ops.cast(x, "float32")) for x in (real, generated)]
        batch = ops.stack([ops.mean(x, axis=0) for x in both])  # [2, D]
        spread = ops.stack([_covariance(x) for x in both])
        moved = batch - self.means
        between = ops.expand_dims(moved, 2) * ops.expand_dims(moved, 1)
        self.covariances.assign(
            (1.0 - share) * (self.covariances + share * between) + share * spread
        )
        self.means.assign(self.means + share * moved)
        self.steps.assign(steps)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"dim": self.dim, "decay": self.decay}


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
