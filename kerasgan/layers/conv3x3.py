"""3 x 3 convolutions that keep the size of the map, which dominate the cost of many networks."""

from typing import Any

import keras

from kerasgan.ops.conv3x3 import conv3x3
from kerasgan.types import Tensor


@keras.saving.register_keras_serializable("kerasgan")
class Conv3x3(keras.layers.Conv2D):
    """Faster `keras.layers.Conv2D` for 3 x 3 kernels, stride 1 and padding `"same"`.

    The weights are the same and the outputs are equal up to 1e-5. The layer is faster with many
    channels; see `kerasgan.ops.conv3x3`.

    Args:
        filters: Number of output channels.
        kernel_size: 3. It exists for compatibility with configurations of `Conv2D`, like the next
            two.
        strides: 1.
        padding: `"same"`.
        **arguments: Further arguments of `keras.layers.Conv2D`, except dilation, groups and
            `data_format="channels_first"`.

    Raises:
        ValueError: If an argument differs from the values above.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        strides: int = 1,
        padding: str = "same",
        **arguments: Any,
    ):
        super().__init__(filters, kernel_size, strides, padding, **arguments)
        supported = {
            "kernel_size": (3, 3),
            "strides": (1, 1),
            "padding": "same",
            "dilation_rate": (1, 1),
            "groups": 1,
            "data_format": "channels_last",
        }
        for name, value in supported.items():
            if getattr(self, name) != value:
                raise ValueError(
                    f"Conv3x3 needs {name}={value!r}; received {getattr(self, name)!r}"
                )

    def convolution_op(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        return conv3x3(inputs, keras.ops.convert_to_tensor(kernel))
