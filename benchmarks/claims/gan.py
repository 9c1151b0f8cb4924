"""Claims about GANs in general, on 4,000 digits: a projection discriminator without tricks, and one thing changed."""

from benchmarks.claims import Arm, Claim
from benchmarks.claims.mnist import DISTANCE, MNIST_GAN
from benchmarks.claims.verdicts import All, Best, Better

BASE = {"model": "plain", "width": 16, "learning_rate": 5e-4, "epochs": 16, "score_every": 2}
SAYS = (
    "4,000 digits, conditional generator of width 16 and projection discriminator, no penalty, augmentation or average "
    "unless named, Adam at 0.0005, 16 epochs of 125 steps of 32; the Fréchet distance of the digit judge, 1,000 "
    "samples. "
)


def arms(changes):
    changes = {
        name: {"arm": changed} if isinstance(changed, str) else changed
        for name, changed in changes.items()
    }
    return {name: Arm(MNIST_GAN, BASE | changed) for name, changed in changes.items()}


STEPS_5 = {
    "discriminator_steps": 5,
    "epochs": 80,
    "score_every": 10,
}  # as many steps of the generator as the base
WGAN = STEPS_5 | {"loss": "wasserstein", "penalty": "wgan_gp"}

CLAIMS = [
    Claim(
        "gan-nonsaturating",
        arms({"non-saturating": {}, "min-max": {"loss": "minmax"}}),
        Better(f"{DISTANCE}@25%", "non-saturating", ("min-max",), log=True),
        SAYS + "After a quarter of the run.",
    ),
    Claim(
        "gan-wasserstein",
        arms({"WGAN-GP": WGAN, "non-saturating": {}, "min-max": {"loss": "minmax"}}),
        Better(DISTANCE, "WGAN-GP", ("non-saturating", "min-max"), log=True),
        SAYS
        + "WGAN-GP with 5 steps of the discriminator, as its paper has it, in batches of 5 times 32, for 80 "
        "epochs of 25: as many steps of the generator, which take longer.",
    ),
    Claim(
        "gan-critic-steps",
        arms({"1": {}, "5": STEPS_5}),
        Better(DISTANCE, "5", ("1",), log=True),
        SAYS
        + "At equal steps of the generator: 80 epochs of 25, with batches of 5 times 32. Times are in the runs.",
    ),
    Claim(
        "gan-leaky",
        arms({"leaky and average": "average_pooling", "ReLU and max": "max_pooling"}),
        Better(DISTANCE, "leaky and average", ("ReLU and max",), log=True),
        SAYS + "Of the discriminator, with pooling in place of strides.",
    ),
    Claim(
        "gan-batchnorm",
        arms(
            {
                "none": "norm_none",
                "generator": "norm_generator",
                "discriminator": "norm_discriminator",
                "both": "norm_both",
            }
        ),
        All(
            Better(DISTANCE, "discriminator", ("none",), log=True),
            Better(DISTANCE, "both", ("generator",), log=True),
            Best(DISTANCE, ("none", "generator", "discriminator", "both"), log=True),
        ),
        SAYS
        + "Plain batch norm; the generator is the notes'. That it helps in the discriminator is judged, with and "
        "without it in the generator.",
    ),
    Claim(
        "gan-penalty",
        arms({"off": {}, "R1": {"penalty": "r1"}, "WGAN-GP's": {"penalty": "wgan_gp"}}),
        All(
            Better("setback", "R1", ("off",), log=True),
            Better("setback", "WGAN-GP's", ("off",), log=True),
        ),
        SAYS
        + "Setback: the largest ratio of a distance, every two epochs, to the best before it. Non-saturating in "
        "all.",
    ),
    Claim(
        "gan-normalise",
        arms({"[-1, 1], tanh": {}, "[0, 1], sigmoid": "unit_range"}),
        Better(DISTANCE, "[-1, 1], tanh", ("[0, 1], sigmoid",), log=True),
        SAYS,
    ),
    Claim(
        "gan-soft-labels",
        arms({"hard": {}, "soft": {"loss": "soft"}, "noisy": {"loss": "noisy"}}),
        Best(DISTANCE, ("hard", "soft", "noisy"), log=True),
        SAYS + "Soft: reals are 0.9. Noisy: 5 % of the labels turned round.",
    ),
    Claim(
        "gan-growing",
        arms({"fixed": "grown", "growing": "growing"}),
        Better(DISTANCE, "growing", ("fixed",), log=True, times=0.8),
        SAYS + "14 pixels fade in during the first half, 28 from there on.",
    ),
]
