"""Claims about GANs in general, tested on 4,000 digits.

The base is a conditional GAN with a projection discriminator and no further techniques. Each
variant changes one thing.
"""

from benchmarks.reproduction.claims import Claim, Variant, ring
from benchmarks.reproduction.claims.exact import DIRAC, SATURATION
from benchmarks.reproduction.claims.mnist import DISTANCE, LATE, MNIST_GAN
from benchmarks.reproduction.claims.rules import All, Best, Better, Exactly

BASE = {"model": "plain", "width": 16, "learning_rate": 5e-4, "epochs": 16, "score_every": 2}
SETUP = (
    "4,000 digits, conditional generator of width 16 and projection discriminator, no gradient "
    "penalty, augmentation or EMA unless named, Adam with learning rate 0.0005, 16 epochs of 125 "
    "steps with batch size 32. The Fréchet distance uses features of the digit classifier and "
    "1,000 samples. "
)


def variants(changes: dict[str, dict | str]) -> dict[str, Variant]:
    """Create variants of the base.

    Args:
        changes: Name -> changed settings, or the name of a variant of the recipe.
    """
    settings = {
        name: {"variant": changed} if isinstance(changed, str) else changed
        for name, changed in changes.items()
    }
    return {name: Variant(MNIST_GAN, BASE | changed) for name, changed in settings.items()}


# The same number of generator steps as the base.
STEPS_5 = {"discriminator_steps": 5, "epochs": 80, "score_every": 10}
ENERGY = "energy_distance"

CLAIMS = [
    Claim(
        "gan-nonsaturating",
        {
            f"{loss}, gradient": Variant(SATURATION, {"loss": loss})
            for loss in ("non-saturating", "min-max")
        }
        | variants({"non-saturating": {}, "min-max": {"loss": "minmax"}}),
        All(
            Exactly("loss_gradient", "min-max, gradient", high=0.001),
            Exactly("loss_gradient", "non-saturating, gradient", low=0.999),
            Better(DISTANCE, "non-saturating", ("min-max",), log=True),
        ),
        SETUP + "The gradient is that of the generator's loss with respect to the logit of a fake, "
        "where the discriminator gives the fake a probability of 0.0003.",
        {
            "non-saturating, gradient": "of the non-saturating loss where the discriminator wins",
            "min-max, gradient": "of the min-max loss where the discriminator wins",
            "non-saturating": "with the non-saturating loss",
            "min-max": "with the min-max loss",
        },
    ),
    Claim(
        "gan-wasserstein",
        ring.variants(
            {
                "WGAN-GP": {"loss": "wasserstein", "penalty": "wgan_gp", "critic_steps": 5},
                "non-saturating": {},
                "min-max": {"loss": "min-max"},
            }
        ),
        Better(ENERGY, "WGAN-GP", ("non-saturating", "min-max"), log=True),
        ring.SETUP + "WGAN-GP uses 5 discriminator steps per generator step, as in its paper.",
        {
            "WGAN-GP": "with WGAN-GP",
            "non-saturating": "with the non-saturating loss",
            "min-max": "with the min-max loss",
        },
    ),
    Claim(
        "gan-critic-steps",
        variants({"1": {}, "5": STEPS_5}),
        Better(DISTANCE, "5", ("1",), log=True, times=1.25),
        SETUP
        + "Five steps take three times as long, so they should improve the distance by a quarter. "
        + "The number of generator steps is the same: 80 epochs of 25 steps, with batches of 5 "
        "times 32 images. The times are in the runs.",
        {
            "1": "with one discriminator step per generator step",
            "5": "with five discriminator steps per generator step",
        },
    ),
    Claim(
        "gan-leaky",
        variants({"leaky and average": "average_pooling", "ReLU and max": "max_pooling"}),
        Better(DISTANCE, "leaky and average", ("ReLU and max",), log=True),
        SETUP + "The discriminator has pooling in place of strides.",
        {
            "leaky and average": "with leaky ReLU and average pooling",
            "ReLU and max": "with ReLU and max pooling",
        },
    ),
    Claim(
        "gan-batchnorm",
        ring.variants(
            {
                "none": {},
                "generator": {"generator_norm": True},
                "discriminator": {"discriminator_norm": True},
                "both": {"generator_norm": True, "discriminator_norm": True},
            }
        )
        | {
            f"{name}, digits": variant
            for name, variant in variants(
                {
                    "none": "norm_none",
                    "generator": "norm_generator",
                    "discriminator": "norm_discriminator",
                    "both": "norm_both",
                }
            ).items()
        },
        All(
            Better(ENERGY, "discriminator", ("none",), log=True),
            Better(ENERGY, "both", ("generator",), log=True),
        ),
        ring.SETUP + "The rule tests whether batch norm helps in the discriminator, with and "
        "without batch norm in the generator. Trainings on digits are shown for information.",
        {
            "none": "without batch norm",
            "generator": "with batch norm in the generator only",
            "discriminator": "with batch norm in the discriminator only",
            "both": "with batch norm in both networks",
        },
    ),
    Claim(
        "gan-penalty",
        {name: Variant(DIRAC, {"penalty": weight}) for name, weight in (("R1", 1.0), ("off", 0.0))},
        All(
            Exactly("relative_distance", "R1", high=1e-2),
            Exactly("relative_distance", "off", low=0.5),
        ),
        "The Dirac-GAN (Mescheder et al., 2018): data at one point, a generator that is a point, a "
        "linear discriminator, min-max loss, 300 alternating steps. The measure is the distance "
        "from the equilibrium relative to the start.",
        {"off": "without a gradient penalty", "R1": "with the R1 penalty"},
    ),
    Claim(
        "gan-normalise",
        variants({"[-1, 1], tanh": {}, "[0, 1], sigmoid": "unit_range"}),
        Better(f"{DISTANCE}@late", "[-1, 1], tanh", ("[0, 1], sigmoid",), log=True),
        SETUP + LATE,
        {
            "[-1, 1], tanh": "with images in [-1, 1] and a tanh output",
            "[0, 1], sigmoid": "with images in [0, 1] and a sigmoid output",
        },
    ),
    Claim(
        "gan-soft-labels",
        variants({"hard": {}, "soft": {"loss": "soft"}, "noisy": {"loss": "noisy"}}),
        Best(DISTANCE, ("hard", "soft", "noisy"), log=True),
        SETUP
        + "Soft labels use a target of 0.9 for real images. Noisy labels flip 5 % of the targets.",
        {
            "hard": "with hard labels",
            "soft": "with soft labels",
            "noisy": "with noisy labels",
        },
    ),
    Claim(
        "gan-growing",
        variants({"fixed": "grown", "growing": "growing"}),
        Better(DISTANCE, "growing", ("fixed",), log=True, times=0.8),
        SETUP
        + "14 pixels fade in during the first half of the training, 28 pixels in the second half.",
        {"fixed": "at a fixed resolution", "growing": "with progressive growing"},
    ),
]
