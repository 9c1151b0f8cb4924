"""Layer with the weights of a modulated convolution; see `kerasgan.ops.modulated_conv`.

Reference:
    Karras et al., 2019, "Analyzing and Improving the Image Quality of StyleGAN", section 2.2,
    https://arxiv.org/abs/1912.04958
"""

from typing import Any

import keras
from keras import ops

from kerasgan.ops.modulated_conv import modulated_conv
from kerasgan.types import Shape, Tensor


@keras.saving.register_keras_serializable("kerasgan")
class ModulatedConv2D(keras.layers.Layer):
    """Modulated convolution of stride 1 and padding `"same"`, without bias.

    Inputs: `[maps, style]`, maps `[N, H, W, C]` and styles `[N, C]`. Output: maps `[N, H, W,
        filters]`.

    Args:
        filters: Number of output channels.
        kernel_size: Side of the kernel, odd.
        demodulate: If `True`, keeps the outputs at unit variance for every style. Layers that
            produce image colors use `False`.
        **arguments: Arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If `kernel_size` is even, or the style does not have one value per input
            channel.
    """

    def __init__(
        self, filters: int, kernel_size: int = 3, demodulate: bool = True, **arguments: Any
    ):
        super().__init__(**arguments)
        if kernel_size % 2 == 0:
            raise ValueError(
                f"kernel_size must be odd (the map keeps its size); received {kernel_size}"
            )
        self.filters, self.kernel_size, self.demodulate = filters, kernel_size, demodulate

    def build(self, input_shape: list[Shape]) -> None:
        maps, style = input_shape
        if maps[-1] != style[-1]:
            raise ValueError(
                f"style must have one value per input channel ({maps[-1]}); received {style[-1]}"
            )
        shape = (self.kernel_size, self.kernel_size, maps[-1], self.filters)
        he_normal = keras.initializers.VarianceScaling(2.0, "fan_in", "untruncated_normal")
        self.kernel = self.add_weight(shape=shape, initializer=he_normal, name="kernel")

    def call(self, inputs: list[Tensor]) -> Tensor:
        x, style = inputs
        return modulated_conv(x, ops.convert_to_tensor(self.kernel), style, self.demodulate)

    def compute_output_shape(self, input_shape: list[Shape]) -> Shape:
        return (*input_shape[0][:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        own = ("filters", "kernel_size", "demodulate")
        return super().get_config() | {name: getattr(self, name) for name in own}
