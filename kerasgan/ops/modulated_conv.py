"""Modulated convolution (Karras et al., Analyzing and Improving the Image Quality of StyleGAN,
arXiv 1912.04958, section 2.2).

Difference from the paper's implementation: there, each sample has a kernel of its own, and a
grouped convolution runs them all. Scaling the maps before one common convolution, and after it,
gives the same numbers, and gradients of gradients on every backend.
"""

from keras import ops

from kerasgan.ops.conv3x3 import conv3x3


def modulated_conv(x, kernel, style, demodulate=True):
    """Convolution, "same", with the kernel k of sample n scaled in its input channels: k' = k (1 +
    style_n).

    Args:
        x: [N, H, W, C].
        kernel: [K, K, C, F], K odd.
        style: [N, C].
        demodulate: divide each k' by the root of the sum of its squares for each output channel, so
            that outputs of unit-variance inputs have unit variance.

    Returns:
        [N, H, W, F].
    """
    scale = 1.0 + style
    if (
        kernel.shape[0] == kernel.shape[1] == 1
    ):  # to few channels (RGB): scaling the kernel is less work than the map
        height, width, channels = x.shape[1:]
        kernels = scale[:, :, None] * kernel[0, 0]  # [N, C, F]
        y = ops.reshape(
            ops.matmul(ops.reshape(x, (-1, height * width, channels)), kernels),
            (-1, height, width, kernel.shape[-1]),
        )
    else:
        x = x * scale[:, None, None, :]
        small = kernel.shape[0] == kernel.shape[1] == 3
        y = (
            conv3x3(x, kernel)
            if small
            else ops.conv(x, kernel, padding="same", data_format="channels_last")
        )
    if not demodulate:
        return y
    squares = ops.matmul(ops.square(scale), ops.sum(ops.square(kernel), axis=(0, 1)))  # [N, F]
    return y * ops.rsqrt(squares + 1e-8)[:, None, None, :]
