"""Claim about the loss of the conditional VAE, tested on 4,000 digits."""

from benchmarks.reproduction.claims import Claim, Variant
from benchmarks.reproduction.claims.rules import All, Better, Within
from benchmarks.reproduction.claims.training import training
from benchmarks.reproduction.variants import conditional_vae as conditional_vae_variants

EPOCHS = 10
# ELBO in nats of a model that predicts the mean training digit of each class, pixel by pixel.
CLASS_MEANS = -173.0
VAE = training(
    conditional_vae_variants.RECIPE, "quick", lambda settings: 4 / 60, name="conditional_vae"
)

CLAIMS = [
    Claim(
        "vae-elbo",
        {
            name: Variant(VAE, {"epochs": EPOCHS, "variant": variant})
            for name, variant in (
                ("right", ""),
                ("sign flipped", "flipped"),
                ("sigma for variance", "sigma"),
            )
        },
        All(
            Better("test_elbo", "right", ("sign flipped", "sigma for variance"), higher=True),
            Within("test_elbo", "right", low=CLASS_MEANS),
            Within("test_elbo", "sign flipped", high=CLASS_MEANS),
            Within("test_elbo", "sigma for variance", high=CLASS_MEANS),
        ),
        f"4,000 digits, {EPOCHS} epochs. The measure is the correct ELBO of the 1,000 test digits "
        "in nats, whatever loss was trained. A model that predicts the mean digit of each class "
        f"has {CLASS_MEANS:g}; a higher value shows that the network has learned. A run with a "
        "non-finite loss is scored at its last complete epoch; runs with the flipped sign are "
        "therefore scored untrained.",
        {
            "right": "with the correct loss",
            "sign flipped": "with the sign flipped",
            "sigma for variance": "with sigma in place of the variance",
        },
    )
]
