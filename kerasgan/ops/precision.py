"""Conversion of half-precision network outputs to float32, for losses, penalties and gradients
between players.
"""

from typing import Any

import keras
from keras import ops


def full_precision(outputs: Any) -> Any:
    """Casts the float16 and bfloat16 tensors of a structure to float32 and leaves all others
    unchanged.

    Under a mixed precision policy networks compute in half precision. TensorFlow does not add such
    a tensor to a float32 one, and a sum of squares overflows float16 at 65,504.

    Args:
        outputs: Tensor, or nested structure of tensors.
    """

    def widened(x):
        half = hasattr(x, "dtype") and keras.backend.standardize_dtype(x.dtype) in (
            "float16",
            "bfloat16",
        )
        return ops.cast(x, "float32") if half else x

    return keras.tree.map_structure(widened, outputs)
