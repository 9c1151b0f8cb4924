"""Functions of the three frameworks under the same names. Only this package imports them.

| name | purpose |
|---|---|
| `step(fn)` | wraps `train_step(self, data)` for the trainer of the backend |
| `value_and_gradients(fn, variables)` | outputs and gradients of `fn() -> (objective, outputs)` |
| `value_and_gradients_of_sum(fns, variables)` | the same for a sum, one term after the other |
| `vjp(fn, variables)` | `fn()` and its vector-Jacobian product function for `variables` |
| `value_and_input_gradient(fn, x)` | `fn(x)` and the differentiable gradient d sum(value) / dx |
| `apply(optimizer, gradients, variables)` | one step of a Keras optimizer |
| `cond(predicate, true_fn, false_fn)` | `keras.ops.cond` whose branches may update variables |
| `fori_loop(lower, upper, body, carry)` | compiled loop; `body` may update variables |
| `frozen_moving_statistics(fn)` | `fn()` without updates of moving statistics |
| `remat(fn)` | rematerialization (gradient checkpointing) of a pure function, on TensorFlow |
| `batch_norm(x, gamma, beta, epsilon, relu)` | normalized `x`, batch mean and biased variance |
| `image_conv(x, kernel, strides, padding)` | convolution of few channels, with a fast gradient |
| `restored_on_failure(model)` | context that restores the variables if `fit` or `evaluate` fails |
| `trains_float16_convolutions()` | false for PyTorch on a CPU |
| `prefers_matmul()` | whether matrix products are the fastest kernels: on TensorFlow's CPU |
| `without_autotune(strategy)` | TensorFlow's strategy without automatic tuning of `tf.data` |
"""

import keras

if keras.backend.backend() == "tensorflow":
    from kerasgan.backend.tensorflow import *  # noqa: F403
elif keras.backend.backend() == "jax":
    from kerasgan.backend.jax import *  # noqa: F403
elif keras.backend.backend() == "torch":
    from kerasgan.backend.torch import *  # noqa: F403
else:
    raise ImportError(
        "kerasgan runs on Keras' tensorflow, jax and torch backends; received "
        f"{keras.backend.backend()!r}"
    )
