"""The only door to TensorFlow, JAX and torch: the same names whichever of them Keras runs on.

| name | what it does |
|---|---|
| `step(fn)` | makes a `train_step(self, data)` or `test_step` what the backend's Keras trainer calls |
| `value_and_gradients(fn, variables)` | with `fn() -> (objective, outputs)`: `outputs`, d objective / d variables |
| `value_and_gradients_of_sum(fns, variables)` | the same of a sum, one term's gradients before the next is computed |
| `trace(fn, variables)` | `fn()` and its vector-Jacobian product with respect to `variables` |
| `value_and_input_gradient(fn, x)` | `fn(x)`, a value or `(value, extras)`, and d sum(value) / dx, differentiable |
| `apply(optimizer, gradients, variables)` | one step of a Keras optimizer |
| `cond(predicate, true_fn, false_fn)` | `keras.ops.cond` whose branches may move variables (seeds, averages) |
| `fori_loop(lower, upper, body, carry)` | one compiled loop whose body may move variables, in constant memory |
| `frozen_moving_statistics(fn)` | `fn()` with the moving averages left where they stood |
| `remat(fn)` | `fn`, pure; on TensorFlow what it computes on its way is not kept for the gradient but made again |
| `batch_norm(x, gamma, beta, epsilon, relu)` | normalised `x`, the batch's mean and biased variance, by the fastest |
| | kernel; on TensorFlow `remat` does not keep a rectified `x` either, but makes it again |
| `image_conv(x, kernel, strides, padding)` | the convolution of `x` [N, H, W, few], with a fast gradient for `x` |
| `restored_on_failure(model)` | a context in which a failing `fit` or `evaluate` leaves the model's variables their values |
| `trains_float16_convolutions()` | whether there are kernels for it: not in PyTorch on a CPU |
| `prefers_matmul()` | whether matrix products are what it does fastest: TensorFlow on a CPU |
| `without_autotune(strategy)` | on TensorFlow's one device, the strategy with `tf.data` sets that do not tune themselves |
"""  # noqa: E501

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
