"""Keras layers that more than one model uses."""

from typing import TYPE_CHECKING

from kerasgan.lazy import lazy_exports

if TYPE_CHECKING:
    from kerasgan.layers.batch_norm import (
        BatchNormalization as BatchNormalization,
    )
    from kerasgan.layers.blur_pool import (
        BlurMaxPooling2D as BlurMaxPooling2D,
    )
    from kerasgan.layers.conditional_affine import (
        ConditionalAffine as ConditionalAffine,
    )
    from kerasgan.layers.conditional_batch_norm import (
        ConditionalBatchNormalization as ConditionalBatchNormalization,
    )
    from kerasgan.layers.conv3x3 import (
        Conv3x3 as Conv3x3,
    )
    from kerasgan.layers.conv_transpose import (
        SmallConv2DTranspose as SmallConv2DTranspose,
    )
    from kerasgan.layers.dropout import (
        SpatialDropout2D as SpatialDropout2D,
    )
    from kerasgan.layers.image_conv import (
        ImageConv2D as ImageConv2D,
    )
    from kerasgan.layers.latent_flow import (
        LatentFlow as LatentFlow,
    )
    from kerasgan.layers.minibatch_deviation import (
        MinibatchDeviation as MinibatchDeviation,
    )
    from kerasgan.layers.minibatch_discrimination import (
        MinibatchDiscrimination as MinibatchDiscrimination,
    )
    from kerasgan.layers.mirror import (
        Mirror as Mirror,
    )
    from kerasgan.layers.modulated_conv import (
        ModulatedConv2D as ModulatedConv2D,
    )
    from kerasgan.layers.reflection_conv import (
        ReflectionConv2D as ReflectionConv2D,
        UpsampleConv2D as UpsampleConv2D,
    )
    from kerasgan.layers.summed_dense import (
        SummedDense as SummedDense,
    )

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "kerasgan.layers.batch_norm": ("BatchNormalization",),
        "kerasgan.layers.blur_pool": ("BlurMaxPooling2D",),
        "kerasgan.layers.conditional_affine": ("ConditionalAffine",),
        "kerasgan.layers.conditional_batch_norm": ("ConditionalBatchNormalization",),
        "kerasgan.layers.conv3x3": ("Conv3x3",),
        "kerasgan.layers.conv_transpose": ("SmallConv2DTranspose",),
        "kerasgan.layers.dropout": ("SpatialDropout2D",),
        "kerasgan.layers.image_conv": ("ImageConv2D",),
        "kerasgan.layers.latent_flow": ("LatentFlow",),
        "kerasgan.layers.minibatch_deviation": ("MinibatchDeviation",),
        "kerasgan.layers.minibatch_discrimination": ("MinibatchDiscrimination",),
        "kerasgan.layers.mirror": ("Mirror",),
        "kerasgan.layers.modulated_conv": ("ModulatedConv2D",),
        "kerasgan.layers.reflection_conv": (
            "ReflectionConv2D",
            "UpsampleConv2D",
        ),
        "kerasgan.layers.summed_dense": ("SummedDense",),
    },
)
