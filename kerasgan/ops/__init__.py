"""Pure functions of tensors."""

from typing import TYPE_CHECKING

from kerasgan.lazy import lazy_exports
from kerasgan.ops.conv3x3 import conv3x3 as conv3x3, upsample_conv3x3 as upsample_conv3x3
from kerasgan.ops.langevin import langevin as langevin
from kerasgan.ops.modulated_conv import modulated_conv as modulated_conv

if TYPE_CHECKING:
    from kerasgan.ops.augment import (
        crop as crop,
        translate as translate,
    )
    from kerasgan.ops.precision import (
        full_precision as full_precision,
    )
    from kerasgan.ops.resample import (
        blur as blur,
        upsample as upsample,
        upsample_blur as upsample_blur,
    )

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "kerasgan.ops.augment": (
            "crop",
            "translate",
        ),
        "kerasgan.ops.precision": ("full_precision",),
        "kerasgan.ops.resample": (
            "blur",
            "upsample",
            "upsample_blur",
        ),
    },
)
__all__ += ["conv3x3", "upsample_conv3x3", "langevin", "modulated_conv"]
