"""Convolution of images and other maps of few channels, for the first layer of a discriminator."""

import keras

from kerasgan import backend
from kerasgan.types import Shape, Tensor


@keras.saving.register_keras_serializable("kerasgan")
class ImageConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D` with a faster input gradient for maps of few channels.

    Arguments, weights and outputs are the same. Generators and Langevin dynamics need the gradient
    with respect to the images, for which TensorFlow's CPU kernels are slow. This layer computes it
    as one convolution for all pixels of a stride at once, in half the time. With 16 channels it is
    slower.

    Raises:
        ValueError: If dilation, groups or `data_format="channels_first"` is given, or if the height
            or width of the input is not static.
    """

    def build(self, input_shape: Shape) -> None:
        if (
            set(self.dilation_rate) != {1}
            or self.groups != 1
            or self.data_format != "channels_last"
        ):
            raise ValueError(
                "ImageConv2D needs dilation_rate=1, groups=1 and data_format='channels_last'; "
                f"received dilation_rate={self.dilation_rate}, groups={self.groups} and "
                f"data_format={self.data_format!r}"
            )
        _check_sides(input_shape)
        super().build(input_shape)

    def convolution_op(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        _check_sides(inputs.shape)
        return backend.image_conv(inputs, kernel, self.strides, self.padding)


def _check_sides(shape: Shape) -> None:
    if None in shape[1:3]:
        raise ValueError(
            f"ImageConv2D needs a static image height and width; received shape {tuple(shape)}"
        )
