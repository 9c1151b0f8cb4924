"""Claim about the loss of the conditional VAE, tested on 4,000 digits."""

from benchmarks.reproduction.claims import Claim, Variant
from benchmarks.reproduction.claims.exact import EVIDENCE
from benchmarks.reproduction.claims.rules import All, Better, Exactly
from benchmarks.reproduction.claims.training import training
from benchmarks.reproduction.variants import conditional_vae as conditional_vae_variants

EPOCHS = 10
VAE = training(
    conditional_vae_variants.RECIPE, "quick", lambda settings: 4 / 60, name="conditional_vae"
)

CLAIMS = [
    Claim(
        "vae-elbo",
        {"identity": Variant(EVIDENCE, {})}
        | {
            name: Variant(VAE, {"epochs": EPOCHS, "variant": variant})
            for name, variant in (
                ("right", ""),
                ("sign flipped", "flipped"),
                ("sigma for variance", "sigma"),
            )
        },
        All(
            Exactly("gap_at_posterior", "identity", high=1e-5),
            Exactly("excess_over_evidence", "identity", high=1e-5),
            Exactly("best_variance", "identity", 0.494, 0.506),
            Exactly("best_variance_with_sigma", "identity", 0.244, 0.256),
            Better("test_elbo", "right", ("sign flipped", "sigma for variance"), higher=True),
        ),
        "In a model with a known posterior, N(x / 2, 1 / 2), the ELBO of the posterior equals the "
        "evidence and no other distribution exceeds it, so it is maximized. With sigma in place of "
        "the variance in the KL divergence, the best variance is 0.25 in place of 0.5. The "
        f"trainings show the consequence on 4,000 digits, {EPOCHS} epochs; their measure is the "
        "correct ELBO of the 1,000 test digits in nats, whatever loss was trained. A run with a "
        "non-finite loss is scored at its last complete epoch.",
        {
            "identity": "in the model with a known posterior",
            "right": "with the correct loss",
            "sign flipped": "with the sign flipped",
            "sigma for variance": "with sigma in place of the variance",
        },
    )
]
