"""The claim about the conditional VAE, on 4,000 digits: what its loss must be."""

from benchmarks.claims import Arm, Claim
from benchmarks.claims.training import training
from benchmarks.claims.verdicts import All, Better, Within
from benchmarks.variants import conditional_vae as variants

EPOCHS = 10
LEARNT = -173.0  # nats of a test digit by the mean training digit of its class, pixel by pixel
VAE = training(variants.RECIPE, "quick", lambda settings: 4 / 60, name="conditional_vae")

CLAIMS = [
    Claim(
        "vae-elbo",
        {
            name: Arm(VAE, {"epochs": EPOCHS, "arm": arm})
            for name, arm in (
                ("right", ""),
                ("sign flipped", "flipped"),
                ("sigma for variance", "sigma"),
            )
        },
        All(
            Better("test_elbo", "right", ("sign flipped", "sigma for variance"), higher=True),
            Within("test_elbo", "right", low=LEARNT),
            Within("test_elbo", "sign flipped", high=LEARNT),
            Within("test_elbo", "sigma for variance", high=LEARNT),
        ),
        f"4,000 digits, {EPOCHS} epochs; the ELBO of the 1,000 test digits in nats, as it should be whatever was "
        f"trained; above {LEARNT:g}, what the mean digit of each class would have, a network has learnt. A run whose "
        "loss is no longer finite is scored as of its last whole epoch: those of the flipped sign, untrained.",
    )
]
