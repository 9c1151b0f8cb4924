"""Settings of StylEx by the reproduction and by the authors, and its optimizers."""

from collections.abc import Callable
from typing import Any

import keras

from kerasgan.losses import adversarial, penalties
from kerasgan.models import stylegan2

# Settings of `stylex.build`: those of the reproduction's later trainer, and those of the paper and
# the authors' answers. The authors' learning rate of the encoder and weight of the KL divergence
# are not known; both use the neutral value 1.
REPRODUCTION = stylegan2.REPRODUCTION | {
    "mixing": 0.9,
    "condition_on": "probabilities",
    "alternation": "micro",
    "rec_in_discriminator_phase": None,
    "rec_weight": 1.0,
    "perceptual_weight": 0.1,
    "w_weight": 0.1,
    "pixel_weight": 1.0,
    "kl_weight": 1.0,
    "reverse_kl": False,
    "stretch": True,
    "path_source": "both",
    "w_match": None,
    "w_match_weight": 1.0,
    "learning_rate": 2e-4,
    "encoder_rate": 0.05,
    "discriminator_rate": 1.5,
    "beta_1": 0.5,
    "beta_2": 0.9,
    "accumulate": 1,
}
AUTHORS = REPRODUCTION | {
    "discriminator_loss": adversarial.logistic_discriminator_loss,
    "generator_loss": adversarial.nonsaturating_generator_loss,
    "gradient_penalty": penalties.r1_penalty,
    "gradient_penalty_weight": 10.0,
    "gradient_penalty_every": 16,
    "path_weight": 2.0,
    "path_every": 4,
    "path_start": 0,
    "ema_decay": 0.998,
    "stretch": False,
    "learning_rate": 2e-3,
    "encoder_rate": 1.0,
    "discriminator_rate": 1.0,
    "beta_1": 0.0,
    "beta_2": 0.99,
}
# Settings of the optimizers. All other settings are arguments of `StylEx`.
RATES = (
    "learning_rate",
    "encoder_rate",
    "discriminator_rate",
    "beta_1",
    "beta_2",
    "accumulate",
)

CHOICES = {
    "condition_on": ("probabilities", "logits"),
    "alternation": ("none", "step", "micro"),
    "rec_in_discriminator_phase": (None, "accumulate", "extra_step", "second_step"),
    "path_source": ("z", "encoder", "both"),
    "w_match": (None, "moments", "mmd"),
}


def check_choices(settings: dict[str, Any]) -> None:
    """Checks the settings that have a fixed set of values, `CHOICES`.

    Raises:
        ValueError: If a setting has an unknown value.
    """
    for name, choices in CHOICES.items():
        if settings[name] not in choices:
            known = ", ".join(map(str, choices))
            raise ValueError(f"{name} must be one of {known}; received {settings[name]!r}")


def adams(
    settings: dict[str, Any] = REPRODUCTION, schedule: Callable | None = None
) -> dict[str, keras.optimizers.Adam]:
    """Builds an Adam optimizer for each player of a `StylEx`.

    Args:
        settings, schedule: See `stylex.build`.

    Returns:
        Dict from player to optimizer, for `compile`.

    Raises:
        ValueError: If `accumulate` is above 1 with an extra step per batch, or odd and above 1 with
            `alternation="step"`.
    """
    # Updates of generator and encoder in a batch of encoded images.
    encoded = (
        2.0 if settings["rec_in_discriminator_phase"] in ("extra_step", "second_step") else 1.0
    )
    # Every second batch is generated from latents, which does not update the encoder.
    by_step = settings["alternation"] == "step"
    count = settings["accumulate"]
    if by_step and count > 1 and count % 2:
        raise ValueError(
            f"accumulate must be even if latents and encoder alternate by step; received {count}"
        )
    if encoded == 2.0 and count > 1:
        raise ValueError(
            "accumulate must be 1 if each batch has an extra step, whose gradients must not be "
            f"summed; received {count}"
        )
    updates = {"generator": (1.0 + encoded) / 2.0, "encoder": encoded / 2.0} if by_step else {}
    optimizers = {}
    for player, ratio in {
        "generator": 1.0,
        "encoder": settings["encoder_rate"],
        "discriminator": settings["discriminator_rate"],
    }.items():
        batches = count // 2 if player == "encoder" and by_step else count
        rate = settings["learning_rate"] * ratio
        if schedule:
            rate = schedule(
                rate, updates.get(player, 1.0 if player == "discriminator" else encoded)
            )
        betas = {"beta_1": settings["beta_1"], "beta_2": settings["beta_2"]}
        optimizers[player] = keras.optimizers.Adam(
            rate, **betas, gradient_accumulation_steps=batches if batches > 1 else None
        )
    return optimizers
