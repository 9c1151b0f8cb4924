"""Convolutions of 3 x 3 that keep the map's size: most of the arithmetic of many networks."""

import keras

from kerasgan.ops.conv3x3 import conv3x3


@keras.saving.register_keras_serializable("kerasgan")
class Conv3x3(keras.layers.Conv2D):
    """`keras.layers.Conv2D` of 3 x 3, stride 1 and padding "same", same weights and numbers (to
    1e-5), faster.

    Many channels are what makes it so; see `ops.conv3x3`.

    Args:
        filters: channels out.
        **arguments: those of `keras.layers.Conv2D`, of which none may change what the above says.
    """

    def __init__(self, filters, kernel_size=3, strides=1, padding="same", **arguments):
        super().__init__(filters, kernel_size, strides, padding, **arguments)
        found = (
            self.kernel_size,
            self.strides,
            self.padding,
            self.dilation_rate,
            self.groups,
            self.data_format,
        )
        if found != ((3, 3), (1, 1), "same", (1, 1), 1, "channels_last"):
            raise ValueError(
                "a Conv3x3 must be of 3 x 3 and stride 1, padding same, without dilation or "
                "groups, channels last; "
                "received kernel_size {}, strides {}, padding {!r}, dilation_rate {}, groups {}, data_format {!r}".format(  # noqa: E501
                    *found
                )
            )

    def convolution_op(self, inputs, kernel):
        return conv3x3(inputs, keras.ops.convert_to_tensor(kernel))
