"""Modulated convolution of StyleGAN2.

Difference from the paper's implementation: the paper gives each sample its own kernel and runs a
grouped convolution. Here the maps are scaled before and after one shared convolution. The outputs
are the same, and second-order gradients work on every backend.

Reference:
    Karras et al., 2019, "Analyzing and Improving the Image Quality of StyleGAN", section 2.2,
    https://arxiv.org/abs/1912.04958
"""

from keras import ops

from kerasgan.ops.conv3x3 import conv3x3
from kerasgan.types import Tensor


def modulated_conv(x: Tensor, kernel: Tensor, style: Tensor, demodulate: bool = True) -> Tensor:
    """Convolution whose kernel is scaled per sample and input channel, k' = k (1 + style_n).

    Padding is "same" and the stride is 1.

    Args:
        x: Feature maps `[N, H, W, C]`.
        kernel: Kernel `[K, K, C, F]`. K is odd.
        style: Scales `[N, C]`.
        demodulate: If `True`, divides each k' by its L2 norm per output channel, so that inputs of
            unit variance give outputs of unit variance.

    Returns:
        Feature maps `[N, H, W, F]`.
    """
    scale = 1.0 + style
    if kernel.shape[0] == kernel.shape[1] == 1:
        # 1 x 1 kernels have few output channels (RGB): scale the kernel, which is smaller.
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
