"""Tools for the latent space of every model: interpolation, inversion, directions and learned
priors.
"""

from typing import TYPE_CHECKING

from kerasgan.lazy import lazy_exports

if TYPE_CHECKING:
    from kerasgan.latents.animation import save_animation as save_animation
    from kerasgan.latents.directions import (
        Directions as Directions,
        edit as edit,
        find_directions as find_directions,
    )
    from kerasgan.latents.interpolation import (
        interpolate as interpolate,
        linear as linear,
        spherical as spherical,
    )
    from kerasgan.latents.inversion import Inversion as Inversion, invert as invert
    from kerasgan.latents.prior import (
        LatentPrior as LatentPrior,
        build_latent_flow as build_latent_flow,
    )

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "kerasgan.latents.animation": ("save_animation",),
        "kerasgan.latents.directions": ("Directions", "edit", "find_directions"),
        "kerasgan.latents.interpolation": ("interpolate", "linear", "spherical"),
        "kerasgan.latents.inversion": ("Inversion", "invert"),
        "kerasgan.latents.prior": ("LatentPrior", "build_latent_flow"),
    },
)
