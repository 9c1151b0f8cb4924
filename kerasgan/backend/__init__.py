"""Differentiation, control flow and kernels for TensorFlow, JAX and PyTorch under common names.

`kerasgan.backend.interface.Backend` documents the functions. Only this package and
`kerasgan.distribution` import a framework.
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
