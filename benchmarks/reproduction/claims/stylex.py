"""Claims about StylEx, tested on eights and nines of 16 pixels; see `small_stylex`."""

from benchmarks.reproduction.claims import Claim, Variant
from benchmarks.reproduction.claims.exact import RECORDED, SCALED_LOSS
from benchmarks.reproduction.claims.rules import All, Best, Better, Exactly, Reached
from benchmarks.reproduction.claims.small_stylex import (
    BATCH,
    EVERY,
    SIZE,
    SMALL_STYLEX,
    STEPS,
    USUAL,
)

SMALL_SETUP = (
    f"800 eights and nines of {SIZE} pixels, small networks, {STEPS} steps, learning rate 0.001 "
    "unless named, reconstruction weight 5. The reconstruction error is the mean absolute pixel "
    "difference of 200 held-out digits and their reconstructions, with pixels in [0, 1]. "
)
PIXEL = "heldout_pixel"


def small(changes: dict[str, dict]) -> dict[str, Variant]:
    """Create variants of the small StylEx: name -> changed settings."""
    return {name: Variant(SMALL_STYLEX, changed) for name, changed in changes.items()}


RATES = {
    f"{rate:g}, encoder x {encoder:g}": {
        name: value
        for name, value in (("learning_rate", rate), ("encoder_rate", encoder))
        if value != USUAL[name]
    }
    for rate, encoder in ((1e-3, 1.0), (1e-3, 0.05), (4e-3, 1.0), (4e-3, 0.05), (2e-4, 1.0))
}

CLAIMS = [
    Claim(
        "stylex-alternating",
        small({"step": {}, "none": {"alternation": "none"}}),
        Better("sharpness", "step", ("none",), higher=True, log=True),
        SMALL_SETUP
        + "Sharpness is the mean square of the Laplacian of the reconstructions, relative to the "
        "digits.",
        {"step": "with alternating batches", "none": "with encoder batches alone"},
    ),
    Claim(
        "stylex-rec-in-disc",
        small(
            {
                "on": {"rec_in_discriminator_phase": "accumulate", "batch": 2 * BATCH},
                "off": {},
                "off, two generator steps": {
                    "rec_in_discriminator_phase": "second_step",
                    "batch": 2 * BATCH,
                },
            }
        ),
        All(
            Better(f"{PIXEL}@50%", "on", ("off",), log=True),
            Better(f"{PIXEL}", "on", ("off",), log=True),
        ),
        SMALL_SETUP + "The reconstruction error is measured after half of the steps and at the "
        "end. Each half of a batch serves one phase, so batches have twice the size with the "
        "update. The control, a second generator step, is shown for information.",
        {
            "on": "with the reconstruction and KL update in the discriminator's phase",
            "off": "without it",
            "off, two generator steps": "with two generator steps",
        },
    ),
    Claim(
        "stylex-encoder-lr",
        small({"0.05": RATES["0.004, encoder x 0.05"], "1": RATES["0.004, encoder x 1"]}),
        All(Better("spikes", "0.05", ("1",)), Better(PIXEL, "0.05", ("1",), log=True)),
        SMALL_SETUP
        + "The learning rate is 0.004, at which spikes occur. A spike is a mean loss of "
        f"{EVERY} steps above 1.5 times the median of the five before it.",
        {rate: f"with an encoder rate of x {rate}" for rate in ("0.05", "1")},
    ),
    Claim(
        "stylex-lr",
        small(RATES),
        Best(PIXEL, tuple(RATES), log=True),
        SMALL_SETUP,
        {name: f"with a learning rate of {name}" for name in RATES},
    ),
    Claim(
        "stylex-rec-scale",
        small({"5": {}, "1": {"rec_weight": 1.0}}),
        Better(PIXEL, "5", ("1",), log=True),
        SMALL_SETUP + "A weight of 10 is left out.",
        {weight: f"with a reconstruction weight of {weight}" for weight in ("1", "5")},
    ),
    Claim(
        "stylex-kl-scale",
        {"1": Variant(RECORDED, {"file": "stylex.json", "where": {"preset": "digits_8_9"}})},
        Reached("heldout_agreement", "1", low=0.95),
        "The recorded training of the shipped preset: 300 epochs on eights and nines with a KL "
        "weight of 1. The measure is the share of held-out digits whose reconstruction the "
        "classifier assigns to the same class. One training is enough to show that it works.",
        {"1": "with a KL weight of 1"},
        seeds=1,
    ),
    Claim(
        "stylex-ttur",
        {"1.5": Variant(SCALED_LOSS, {"factor": 1.5})},
        Exactly("step_difference", "1.5", high=1e-3),
        "The training notes describe a flat factor of the discriminator's loss, 1.5 by default, "
        "for which 1 may do. Adam divides each gradient by its own scale, so the factor cancels "
        "(except for epsilon). The check trains a small network for 100 steps of Adam with both "
        "losses; the measure is the distance of the results, relative to the way from the start. "
        "A factor of the learning rate, as in the released code, is another setting.",
        {"1.5": "with 1.5 times the loss"},
    ),
    Claim(
        "stylex-path-length",
        small({"0": {}, "2, both": {"path_weight": 2.0, "path_every": 4, "path_source": "both"}}),
        Best("w_frechet", ("0", "2, both"), log=True),
        SMALL_SETUP + "The measure is the Fréchet distance between the w of random latents and the "
        "w of held-out digits.",
        {"0": "without the path length penalty", "2, both": "with the penalty on both"},
    ),
]
