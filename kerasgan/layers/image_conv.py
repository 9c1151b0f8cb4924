"""Convolution of images, or of other maps of few channels: the first layer of many
discriminators.
"""

import keras

from kerasgan import backend


@keras.saving.register_keras_serializable("kerasgan")
class ImageConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D`, same arguments, weights and numbers, for maps of few channels.

    TensorFlow's CPU kernels are slow at its gradient with respect to the images, which generators
    and Langevin dynamics ask for; here that is made as one convolution to all pixels of a stride at
    once, in half the time. (Of 16 channels it is the slower way.) Raises ValueError for dilation,
    groups, channels first, and sides that are not known.
    """

    def build(self, input_shape):
        if (
            set(self.dilation_rate) != {1}
            or self.groups != 1
            or self.data_format != "channels_last"
        ):
            raise ValueError(
                "an ImageConv2D must be without dilation or groups, with channels last; received "
                "dilation_rate "
                f"{self.dilation_rate}, groups {self.groups}, data_format {self.data_format!r}"
            )
        _check_sides(input_shape)
        super().build(input_shape)

    def convolution_op(self, inputs, kernel):
        _check_sides(inputs.shape)
        return backend.image_conv(inputs, kernel, self.strides, self.padding)


def _check_sides(shape):
    if None in shape[1:3]:
        raise ValueError(
            f"an ImageConv2D must know the sides of its images; received {tuple(shape)}"
        )
