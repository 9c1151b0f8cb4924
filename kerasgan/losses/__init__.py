"""Loss functions. Models take them as arguments."""

from typing import TYPE_CHECKING

from kerasgan.lazy import lazy_exports
from kerasgan.losses.features import feature_matching as feature_matching

if TYPE_CHECKING:
    from kerasgan.losses.adversarial import (
        NoisyLabels as NoisyLabels,
        hinge_discriminator_loss as hinge_discriminator_loss,
        hinge_generator_loss as hinge_generator_loss,
        logistic_discriminator_loss as logistic_discriminator_loss,
        minmax_generator_loss as minmax_generator_loss,
        nonsaturating_generator_loss as nonsaturating_generator_loss,
        smoothed_logistic_discriminator_loss as smoothed_logistic_discriminator_loss,
        wasserstein_discriminator_loss as wasserstein_discriminator_loss,
        wasserstein_generator_loss as wasserstein_generator_loss,
    )
    from kerasgan.losses.classes import (
        class_discriminator_loss as class_discriminator_loss,
        class_generator_loss as class_generator_loss,
        fake_weighted_class_discriminator_loss as fake_weighted_class_discriminator_loss,
        smoothed_class_discriminator_loss as smoothed_class_discriminator_loss,
    )
    from kerasgan.losses.damsm import damsm_loss as damsm_loss
    from kerasgan.losses.distributions import (
        class_divergence as class_divergence,
        kernel_distance as kernel_distance,
        moment_distance as moment_distance,
    )
    from kerasgan.losses.frechet import FrechetLoss as FrechetLoss
    from kerasgan.losses.matching import (
        matching_aware_loss as matching_aware_loss,
        unconditional_loss as unconditional_loss,
    )
    from kerasgan.losses.penalties import (
        path_lengths as path_lengths,
        r1_penalty as r1_penalty,
        squared_gradient_norm as squared_gradient_norm,
        unit_gradient_norm as unit_gradient_norm,
        unit_gradient_penalty as unit_gradient_penalty,
        wgan_gp_penalty as wgan_gp_penalty,
    )
    from kerasgan.losses.perceptual import (
        LPIPS as LPIPS,
        ClassifierDistance as ClassifierDistance,
    )
    from kerasgan.losses.variational import (
        bernoulli_log_likelihood as bernoulli_log_likelihood,
        negative_elbo as negative_elbo,
        normal_kl_divergence as normal_kl_divergence,
    )

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "kerasgan.losses.adversarial": (
            "NoisyLabels",
            "hinge_discriminator_loss",
            "hinge_generator_loss",
            "logistic_discriminator_loss",
            "minmax_generator_loss",
            "nonsaturating_generator_loss",
            "smoothed_logistic_discriminator_loss",
            "wasserstein_discriminator_loss",
            "wasserstein_generator_loss",
        ),
        "kerasgan.losses.classes": (
            "class_discriminator_loss",
            "class_generator_loss",
            "fake_weighted_class_discriminator_loss",
            "smoothed_class_discriminator_loss",
        ),
        "kerasgan.losses.damsm": ("damsm_loss",),
        "kerasgan.losses.distributions": (
            "class_divergence",
            "kernel_distance",
            "moment_distance",
        ),
        "kerasgan.losses.frechet": ("FrechetLoss",),
        "kerasgan.losses.matching": (
            "matching_aware_loss",
            "unconditional_loss",
        ),
        "kerasgan.losses.penalties": (
            "path_lengths",
            "r1_penalty",
            "squared_gradient_norm",
            "unit_gradient_norm",
            "unit_gradient_penalty",
            "wgan_gp_penalty",
        ),
        "kerasgan.losses.perceptual": (
            "LPIPS",
            "ClassifierDistance",
        ),
        "kerasgan.losses.variational": (
            "bernoulli_log_likelihood",
            "negative_elbo",
            "normal_kl_divergence",
        ),
    },
)
__all__ += ["feature_matching"]
