"""Diagnostics of CoopNet training: divergence, likely causes, unusual values, Langevin calibration.

All limits are above the values that healthy trainings on MNIST digits have shown. The published
settings are those of the authors' code and of its PyTorch port, from the training notes.
"""

import math
import warnings
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasgan.images import check_images
from kerasgan.ops.langevin import norms, prior_rate
from kerasgan.types import Tensor

# Extreme published values: the smallest sigma, the largest of all others.
PUBLISHED = {"step_size": 0.002, "steps": 15, "sigma": 0.016, "learning_rate": 0.01}

# === Settings ===


def schedule_values(setting: Any) -> list[float]:
    """Returns the values of a setting that is a number or a schedule.

    Args:
        setting: Number, or callable from the number of updates to a number.

    Returns:
        `[setting]` for a number. For a schedule, its values at 0, 1, 10, ..., 10^6 updates and all
        values of a `PiecewiseConstantDecay`.
    """
    if not callable(setting):
        return [setting]
    updates = [ops.convert_to_tensor(n) for n in (0, *(10**k for k in range(7)))]
    return [
        *getattr(setting, "values", ()),
        *(float(ops.convert_to_numpy(setting(n))) for n in updates),
    ]


def check_settings(model: keras.Model) -> None:
    """Checks the Langevin settings of a `CoopNet`.

    Raises:
        ValueError: If a setting is out of range, or if one Langevin step of the prior overshoots.

    Warns:
        UserWarning: If divergence is likely.
    """
    for name, least in {"chains": 2, "steps": 0, "noise": 0, "latent_steps": 0}.items():
        smallest = min(schedule_values(getattr(model, name)))
        if smallest < least:
            raise ValueError(f"{name} must be at least {least}; received {smallest}")
    for name in ("step_size", "sigma", "residual_std", "latent_step_size"):
        smallest = min(schedule_values(getattr(model, name)))
        if not smallest > 0:  # also true for NaN
            raise ValueError(f"{name} must be above 0; received {smallest}")
    step_size, steps = max(schedule_values(model.step_size)), max(schedule_values(model.steps))
    rate = prior_rate(step_size, model.sigma)
    if rate >= 1:
        raise ValueError(
            "step_size^2 / (2 sigma^2) must be below 1, otherwise a step of the prior overshoots; "
            f"received {rate:.3g} from step_size {step_size:g} and sigma {model.sigma:g}"
        )
    if rate > 0.02 or steps * rate > 0.25:
        fraction = 1 - (1 - rate) ** steps
        warnings.warn(
            f"an explosion is likely; {model.causes()}. The prior alone removes {fraction:.0%} of "
            f"an image in {steps:g} steps (8 to 11 % in the authors' code)",
            stacklevel=3,
        )


def check_learning_rates(model: keras.Model, generator_rate: float, descriptor_rate: float) -> None:
    """Warns of learning rates with which training is likely to fail."""
    if descriptor_rate < generator_rate:
        warnings.warn(
            "the descriptor's learning rate is usually 30 to 100 times the generator's; received "
            f"{descriptor_rate:g} and {generator_rate:g}",
            stacklevel=3,
        )
    if descriptor_rate > 0.03:
        warnings.warn(
            f"an explosion is likely; {model.causes(descriptor_rate)}",
            stacklevel=3,
        )


# === During training ===


def impulse_noise(images: Tensor) -> Tensor:
    """Measures salt-and-pepper noise.

    Args:
        images: Float images `[N, H, W, C]`.

    Returns:
        Scalar, the mean absolute difference between a pixel and the median of its 3 x 3
        neighborhood.
    """

    def median(a, b, c):
        return ops.maximum(ops.minimum(a, b), ops.minimum(ops.maximum(a, b), c))

    def smallest(a, b, c):
        return ops.minimum(ops.minimum(a, b), c)

    def largest(a, b, c):
        return ops.maximum(ops.maximum(a, b), c)

    # Median of nine: sort each column of three, then take the median of the largest minimum, the
    # median middle and the smallest maximum.
    columns = images[:, :-2], images[:, 1:-1], images[:, 2:]
    low, middle, high = (
        (x[:, :, :-2], x[:, :, 1:-1], x[:, :, 2:])
        for x in (smallest(*columns), median(*columns), largest(*columns))
    )
    medians = median(largest(*low), median(*middle), smallest(*high))
    return ops.mean(ops.abs(images[:, 1:-1, 1:-1] - medians))


def alarm(recent: list[dict[str, float]]) -> str | None:
    """Detects divergence.

    Healthy trainings on digits reach `travel_to_data` 0.96, `drift` 0.19, `spread` 2.5 for one or
    two steps, and `balance` 25.8 at the start, when the balance of the descriptor grows a
    hundredfold.

    Args:
        recent: Reports of the last steps, the newest last.

    Returns:
        The reason, or `None`.
    """
    now = recent[-1]
    median = np.median([step["balance"] for step in recent[:-1]]) if len(recent) > 20 else math.inf
    for name, value in now.items():
        if not math.isfinite(value):
            return f"{name} is {value}"
    if now["travel_to_data"] > 2:
        return f"Langevin moves images {now['travel_to_data']:.3g} times the data's length"
    if len(recent) >= 3 and min(step["spread"] for step in recent[-3:]) > 2:
        return (
            f"the standard deviation of revised images is {now['spread']:.3g} times that of the "
            "data, three times in a row"
        )
    if len(recent) >= 3 and min(step["drift"] for step in recent[-3:]) > 0.3:
        return f"a Langevin step is {now['drift']:.2g} of the image, three times in a row"
    if now["balance"] > max(30.0, 100 * median):
        return f"the descriptor's gradient is {now['balance'] / median:.3g} times its median"
    return None


def likely_causes(
    step_size: float, steps: float, sigma: float, learning_rate: float | None = None
) -> str:
    """Ranks the four causes of divergence that the training notes name.

    Args:
        step_size: Largest Langevin step size.
        steps: Largest number of Langevin steps.
        sigma: Standard deviation of the prior.
        learning_rate: Learning rate of the descriptor.

    Returns:
        One line. Each setting is compared with the largest published value (for sigma, the
        smallest).
    """
    # A large step size is harmless with a large sigma, so their ratio counts too.
    both = step_size / sigma / (PUBLISHED["step_size"] / PUBLISHED["sigma"])
    excess = {
        f"step_size {step_size:g}": min(step_size / PUBLISHED["step_size"], both),
        f"steps {steps:g}": steps / PUBLISHED["steps"],
        f"sigma {sigma:g}": min(PUBLISHED["sigma"] / sigma, both),
    }
    if learning_rate is not None:
        name = f"the descriptor's learning rate {learning_rate:g}"
        excess[name] = learning_rate / PUBLISHED["learning_rate"]
    ranked = sorted(excess, key=excess.__getitem__, reverse=True)
    causes = [f"{name} ({excess[name]:.2g} times the published limit)" for name in ranked]
    likely = excess[ranked[0]] > 1.2
    kind = "likely cause" if likely else "none is beyond what was published; possible cause"
    return f"{kind}: {causes[0]}; then {', '.join(causes[1:])}"


def diagnose(means: dict[str, float], updates: int) -> list[str]:
    """Describes values that are out of their usual range.

    Args:
        means: Mean reports of an epoch.
        updates: Number of updates so far.

    Returns:
        One line per finding.
    """
    m, late = {name: f"{value:.2g}" for name, value in means.items()}, updates >= 500
    weak = updates >= 50 and means["balance"] < 0.1 and means["spread"] < 0.5
    findings = {
        f"the descriptor is too weak and the prior dominates (balance {m['balance']}, spread "
        f"{m['spread']}): raise its learning rate": weak,
        f"the descriptor is too strong (balance {m['balance']}): lower its learning rate": (
            late and means["balance"] > 10
        ),
        f"chains without a gradient (fraction {m['dead']}): use leaky ReLUs in the descriptor": (
            means["dead"] > 0.01
        ),
        f"Langevin steps of an unusual length (drift {m['drift']}; 0.002 to 0.03 is usual): "
        "check step_size": late and not 0.0005 < means["drift"] < 0.1,
        f"revised pixels beyond [-1, 1] (fraction {m['clipped']})": (
            late and means["clipped"] > 0.9
        ),
        f"salt-and-pepper noise ({m['impulse']} times the data's): too many steps, or too large a "
        "step_size": late and means["impulse"] > 2,
    }
    return [line for line, holds in findings.items() if holds]


# === Calibration ===


def calibrate_langevin(
    model: keras.Model, images: np.ndarray, target: float = 0.01
) -> dict[str, float]:
    """Proposes a Langevin step size for a `CoopNet`. The model is not changed.

    Args:
        model: A `CoopNet`.
        images: Float images `[N, H, W, C]` in [-1, 1].
        target: Length of a step without noise as a fraction of the image's length, above 0. The
            training notes recommend about 0.01.

    Returns:
        Dict with `step_size`, the proposal, `drift`, the fraction at the present step size, and
        `prior_rate`, the fraction of an image that one step of the prior removes with the proposal.
        It must be below 1.

    Raises:
        ValueError: If `target` is not above 0, or if the images do not fit the model.
    """
    if not target > 0:
        raise ValueError(f"target must be above 0; received {target}")
    images = ops.convert_to_tensor(check_images(images, model.image_shape))
    gradient = ops.stop_gradient(model.input_gradient(model.score, images))
    gradient = gradient - images / model.sigma**2
    ratio = float(ops.convert_to_numpy(ops.mean(norms(gradient)) / ops.mean(norms(images))))
    step_size = math.sqrt(2 * target / ratio)
    return {
        "step_size": step_size,
        "drift": model.final_value("step_size") ** 2 / 2 * ratio,
        "prior_rate": prior_rate(step_size, model.sigma),
    }
