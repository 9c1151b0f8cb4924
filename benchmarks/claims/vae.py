"""The claim about the conditional VAE, on 4,000 digits: what its loss must be."""

from benchmarks.claims import Arm, Claim
from benchmarks.claims.training import training
from benchmarks.claims.verdicts import Better
from benchmarks.variants import conditional_vae as variants

EPOCHS = 10
VAE = training(variants.RECIPE, "quick", lambda settings: 4 / 60, name="conditional_vae")

CLAIMS = [
    Claim(
        "vae-elbo",
        {
            name: Arm(VAE, {"epochs": EPOCHS, "arm": arm})
            for name, arm in (("right", ""), ("sign flipped", "flipped"), ("sigma for variance", "sigma"))
        },
        Better("test_elbo", "right", ("sign flipped", "sigma for variance"), higher=True),
        f"4,000 digits, {EPOCHS} epochs; the ELBO of the 1,000 test digits in nats, as it should be whatever was "
        "trained. A run whose loss is no longer finite is scored as of its last whole epoch.",
    )
]
