"""Reads result files that were recorded under earlier names of keys and settings.

Result files are never rewritten. `current` maps the names in a file to the current ones.
`recorded_settings` maps the settings of an experiment to the names under which its finished runs
were recorded, so that a renamed setting does not start a finished run again.
"""

import re
from typing import Any

# Recorded name of a key -> current name.
KEYS = {
    "arm": "variant",
    "arms": "variants",
    "verdict": "outcome",
    "says": "description",
    "judge": "classifier",
    "judge_sha256": "classifier_sha256",
    "judge_test_accuracy": "classifier_test_accuracy",
    "generator_slope": "generator_gradient_norm",
    "first_layer_slope": "first_layer_gradient_norm",
    "unjudged_classes": "rare_classes",
    "noted, inference mode": "full, inference mode",
    "noted, training mode": "full, training mode",
    "drawn, inference mode": "small, inference mode",
    "drawn, training mode": "small, training mode",
}
# Current name of a setting -> name in recorded runs.
SETTINGS = {
    "variant": "arm",
    "num_images": "drawn",
    "damsm_encoder": "guide",
    "ema_decay": "average",
    "discriminator_width": "judge_width",
    "regenerate_fakes": "redraw",
    "conditioning_noise": "augmentation",
    "critic_epoch_steps": "critic_epoch",
    "pretraining_epochs": "pretrained",
    "r1_weight": "penalty",
}
# Current value of a setting -> value in recorded runs.
VALUES = {
    "training_notes": "noted",
    "synthetic_birds": "drawn_birds",
    "synthetic_birds_text": "drawn_birds_text",
    "no_minibatch_discrimination": "no_closeness",
    "minibatch_20x20": "closeness_20_20",
    "minibatch_4x100": "closeness_4_100",
    "scaled_minibatch_features": "scaled_closeness",
}


def current_name(name: str) -> str:
    """Return the current name of a recorded key or measure."""
    name = KEYS.get(name, name)
    return re.sub(r"^bird_judge_score", "bird_classifier_score", name)


def current(value: Any) -> Any:
    """Rename the keys of nested dicts, and the names in a list `measures`, to current names."""
    if isinstance(value, dict):
        found = {current_name(name): current(part) for name, part in value.items()}
        if isinstance(found.get("measures"), list):
            found["measures"] = [current_name(name) for name in found["measures"]]
        return found
    if isinstance(value, list):
        return [current(part) for part in value]
    return value


def recorded_settings(settings: dict) -> dict:
    """Return settings under the names and values of recorded runs."""
    return {
        SETTINGS.get(name, name): VALUES.get(value, value) if isinstance(value, str) else value
        for name, value in settings.items()
    }
