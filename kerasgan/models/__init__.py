"""One paper, one file: the networks first, then the model with its `train_step`."""

from typing import TYPE_CHECKING

from kerasgan.lazy import lazy_exports

if TYPE_CHECKING:
    from kerasgan.models.conditional_gan import (
        ConditionalGAN as ConditionalGAN,
    )
    from kerasgan.models.conditional_vae import (
        ConditionalVAE as ConditionalVAE,
    )
    from kerasgan.models.coopnet import (
        CoopNet as CoopNet,
    )
    from kerasgan.models.hdgan import (
        HDGAN as HDGAN,
    )
    from kerasgan.models.mnist_gan import (
        MnistGAN as MnistGAN,
    )
    from kerasgan.models.projected_text_gan import (
        ProjectedTextGAN as ProjectedTextGAN,
    )
    from kerasgan.models.real_nvp import (
        RealNVP as RealNVP,
    )
    from kerasgan.models.stylegan2 import (
        StyleGAN2 as StyleGAN2,
    )
    from kerasgan.models.stylex import (
        StylEx as StylEx,
    )

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "kerasgan.models.conditional_gan": ("ConditionalGAN",),
        "kerasgan.models.conditional_vae": ("ConditionalVAE",),
        "kerasgan.models.coopnet": ("CoopNet",),
        "kerasgan.models.hdgan": ("HDGAN",),
        "kerasgan.models.mnist_gan": ("MnistGAN",),
        "kerasgan.models.projected_text_gan": ("ProjectedTextGAN",),
        "kerasgan.models.real_nvp": ("RealNVP",),
        "kerasgan.models.stylegan2": ("StyleGAN2",),
        "kerasgan.models.stylex": ("StylEx",),
    },
)
