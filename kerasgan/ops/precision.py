"""Half-precision numbers that leave a network, as float32: losses, penalties and gradients between
players need it.
"""

import keras
from keras import ops


def full_precision(outputs):
    """A structure of tensors in which float16 and bfloat16 have become float32; everything else is
    as it was.

    Under a mixed policy networks compute in half precision. TensorFlow does not add such a tensor
    to a float32 one, and a sum of squares overflows float16 at 65,504.
    """

    def widened(x):
        half = hasattr(x, "dtype") and keras.backend.standardize_dtype(x.dtype) in (
            "float16",
            "bfloat16",
        )
        return ops.cast(x, "float32") if half else x

    return keras.tree.map_structure(widened, outputs)
