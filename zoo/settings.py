"""Settings: frozen dataclasses whose fields declare their help text, group and allowed values.

The dataclasses of recipes and tools are the only source of their command line flags, see
`zoo/cli.py`. This module and all modules that only define settings do not import Keras.
"""

import dataclasses
import math
import numbers
import types
import typing
from collections.abc import Mapping
from typing import Any

GROUPS = ("run", "data", "networks", "losses", "optimizers", "logging")

# Former names of settings. Files of earlier runs (`settings.json`, checkpoints) still use them.
RENAMED = {
    "drawn": "num_images",
    "guide": "damsm_encoder",
    "average": "ema_decay",
    "judge_width": "discriminator_width",
    "redraw": "regenerate_fakes",
    "augmentation": "conditioning_noise",
    "critic_epoch": "critic_epoch_steps",
    "group": "deviation_group",
    "ratio": "discriminator_rate",
    "pretrained": "pretraining_epochs",
}
# Former names that depend on the recipe: (recipe, former name) -> name.
RENAMED_IN = {
    **{
        (recipe, "penalty"): "r1_weight"
        for recipe in ("birds_64", "birds_128", "birds_256", "coco_64", "coco_128", "flowers_256")
    },
    ("stylegan2", "gamma"): "r1_gamma",
    ("stylex", "penalty_weight"): "gradient_penalty_weight",
    ("stylex", "penalty_every"): "gradient_penalty_every",
    ("projected_birds", "penalty_weight"): "gradient_penalty_weight",
}
# Former values of settings: name -> {former value: value}.
RENAMED_VALUES = {
    "model": {"noted": "training_notes"},
    "start": {
        "runs/birds_64_long": "runs/birds_64_stage1",
        "runs/birds_64_longer": "runs/birds_64_stage2",
        "runs/birds_64_longest": "runs/birds_64_stage3",
    },
}


# Settings whose unit changed with their name: (recipe, former name) -> factor, a function of all
# saved settings.
FACTORS = {
    # The weight of the squared gradient norm (form "authors") is gamma / 2 of R1.
    ("stylex", "penalty_weight"): lambda saved: 2.0 if saved.get("form") == "authors" else 1.0
}


def current_names(values: dict, recipe: str | None = None, preset: dict | None = None) -> dict:
    """Returns saved settings under their current names.

    Args:
        values: Dictionary from a `settings.json` or a checkpoint. Unknown keys are kept.
        recipe: Name of the recipe that saved them. Defaults to `values["recipe"]`, if that exists.
        preset: Settings that `values` change, if they are not all settings of a run.

    Returns:
        A new dictionary. If both a former and the current name are present, the current one counts.
    """
    recipe = recipe or str(values.get("recipe", "")).removeprefix("zoo.")
    found = {}
    for name, value in values.items():
        current = RENAMED_IN.get((recipe, name)) or RENAMED.get(name, name)
        if current != name and current in values:
            continue
        if isinstance(value, str):
            value = RENAMED_VALUES.get(current, {}).get(value, value)
        factor = FACTORS.get((recipe, name))
        found[current] = value * factor((preset or {}) | values) if factor else value
    return found


def setting(
    default: Any,
    text: str,
    *,
    group: str = "run",
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    choices: tuple | None = None,
    multiple_of: int | None = None,
    repeated: bool = False,
) -> Any:
    """Declares a dataclass field, which is also a command line flag.

    The type of the field is `int`, `float`, `str`, `bool`, one of these `| None`, or `tuple[str,
    ...]`.

    Args:
        default: Default value.
        text: Help text.
        group: Heading of `--help` under which the flag is listed.
        least: Inclusive lower bound of a number.
        above: Exclusive lower bound of a number.
        most: Inclusive upper bound of a number.
        below: Exclusive upper bound of a number.
        choices: Allowed values.
        multiple_of: Required divisor of a number.
        repeated: If `True`, the flag of a tuple is given once per element. By default its value is
            a comma-separated list.
    """
    metadata = {
        "help": text,
        "group": group,
        "least": least,
        "above": above,
        "most": most,
        "below": below,
        "choices": choices,
        "multiple_of": multiple_of,
        "repeated": repeated,
    }
    return dataclasses.field(default=default, metadata=metadata)


_WORDS = {"least": "at least", "above": "above", "most": "at most", "below": "below"}
_HOLDS = {
    "least": lambda value, bound: value >= bound,
    "above": lambda value, bound: value > bound,
    "most": lambda value, bound: value <= bound,
    "below": lambda value, bound: value < bound,
}
LARGEST = 2**31 - 1  # Largest integer of a setting without an upper bound of its own.
_KINDS = {
    int: (numbers.Integral, "a whole number"),
    float: (numbers.Real, "a number"),
    str: (str, "a text"),
}


def kind_of(field: dataclasses.Field) -> tuple[Any, bool]:
    """Returns the type of a field, such as `int` or `tuple`, and whether it may be `None`."""
    if isinstance(field.type, types.UnionType):
        (kind,) = [part for part in typing.get_args(field.type) if part is not types.NoneType]
        return kind, True
    return typing.get_origin(field.type) or field.type, False


def bounds_text(rules: dict) -> str:
    """Returns the bounds of a number in words, such as `"at least 0 and below 1"`, or `""`."""
    words = [
        f"{_WORDS[name]} {rules[name]:{',' if isinstance(rules[name], int) else 'g'}}"
        for name in _WORDS
        if rules.get(name) is not None
    ]
    if rules.get("multiple_of"):
        words.append(f"a multiple of {rules['multiple_of']}")
    return " and ".join(words)


def broken_rule(kind: type, value: Any, rules: Mapping) -> str | None:
    """Returns the rule that a value breaks, in words, or `None` if the value is allowed."""
    if kind is bool:
        return None if isinstance(value, bool) else "true or false"
    if kind is tuple:
        every = isinstance(value, tuple) and all(isinstance(part, str) for part in value)
        return None if every else "a list of texts"
    if kind not in _KINDS:
        return None
    expected, words = _KINDS[kind]
    if not isinstance(value, expected) or isinstance(value, bool):
        return words
    if rules.get("choices") is not None and value not in rules["choices"]:
        *others, last = [str(choice) or "''" for choice in rules["choices"]]
        return f"{', '.join(others)} or {last}" if others else last
    if kind is str:
        return "a text without NUL" if "\0" in value else None
    if isinstance(value, float) and not math.isfinite(value):
        return "finite"
    bounds = {name: rules[name] for name in _WORDS if rules.get(name) is not None}
    if kind is int and not {"most", "below"} & set(bounds) and value > LARGEST:
        bounds["most"] = LARGEST
    if not all(_HOLDS[name](value, bound) for name, bound in bounds.items()):
        return " and ".join(f"{_WORDS[name]} {bound}" for name, bound in bounds.items())
    if rules.get("multiple_of") and value % rules["multiple_of"]:
        return f"a multiple of {rules['multiple_of']}"
    return None


@dataclasses.dataclass(frozen=True)
class Checked:
    """Base class of settings. It checks each value against the rules of its field.

    Raises:
        ValueError: In one line, with the name of the setting, its rule and the received value.
    """

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value, (kind, optional) = getattr(self, field.name), kind_of(field)
            if optional and value is None:
                continue
            if rule := broken_rule(kind, value, field.metadata):
                raise ValueError(f"{field.name} must be {rule}; received {shorten(value)}")


def shorten(value: Any) -> str:
    """Formats a value for an error message: strings in quotes, at most 80 characters."""
    plain = not isinstance(value, str) and isinstance(value, numbers.Number)
    text = str(value) if plain else repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


# === Settings that several recipes or tools share ===


def epochs(default: int) -> Any:
    """Total number of epochs of a recipe that resumes."""
    text = "Total number of epochs, including those before an interruption."
    return setting(default, text, least=1)


def network_epochs(default: int) -> Any:
    """Number of epochs of a recipe that trains one network and keeps its last weights."""
    return setting(default, "Number of epochs. The weights after the last epoch are kept.", least=1)


def batch_size(default: int, text: str = "Images per training step.", least: int = 1) -> Any:
    """Batch size."""
    return setting(default, text, least=least)


def check_same_run(folder: Any, old: Mapping, new: Mapping) -> None:
    """Checks that the settings of a run are those of the run in its folder.

    Args:
        folder: Folder of the run.
        old: Settings of the run in the folder.
        new: Settings that must not differ. Those that `old` lacks are not compared.

    Raises:
        ValueError: A setting differs.
    """
    old = {"dtype_policy": "float32"} | dict(old)  # Earlier runs have no such setting.
    other = [f"{name} {old[name]}" for name in new if name in old and old[name] != new[name]]
    if other:
        raise ValueError(
            f"{folder} holds a run with {', '.join(other)}; use these settings to resume it, or "
            "another --folder"
        )


def seed(text: str = "Seed of the initial weights, the order of the images and all noise.") -> Any:
    """Random seed, 0 by default."""
    return setting(0, text, least=0, below=2**32)


def dtype_policy() -> Any:
    """Dtype policy of a training."""
    text = (
        "Dtype policy of the model's networks. With mixed_bfloat16, they compute in bfloat16, "
        "which is faster on many GPUs and some CPUs. Weights, losses and separately trained "
        "encoders stay in float32. A preset of the model computes in float32, too."
    )
    return setting("float32", text, choices=("float32", "mixed_bfloat16"))


def data(default: str, text: str, choices: tuple | None = None) -> Any:
    """Training data."""
    return setting(default, text, group="data", choices=choices)


def data_dir() -> Any:
    """Folder of prepared data sets."""
    text = (
        "Folder of the data sets that zoo.prepare made. Default: $TFDS_DATA_DIR, or else "
        "~/tensorflow_datasets."
    )
    return setting("", text, group="data")


def channels(
    default: int, text: str = "Channels of the images of a folder: 1 (gray) or 3 (RGB)."
) -> Any:
    """Number of image channels."""
    return setting(default, text, group="data", choices=(1, 3))


def num_images(default: int, text: str = "Number of synthetic birds.") -> Any:
    """Number of generated training images."""
    return setting(default, text, group="data", least=1)


REPLACES_SHIPPED = "Folder of the network and its log. The default replaces the shipped network."


def output_dir(default: str, text: str = "Folder of the network and its log.") -> Any:
    """Output folder of a recipe that trains one network."""
    return setting(default, text)


def learning_rate(default: float, text: str = "Learning rate of Adam.", zero: bool = False) -> Any:
    """Learning rate. `zero` allows 0, which then has a meaning of its own."""
    bounds: dict[str, Any] = {"least" if zero else "above": 0}
    return setting(default, text, group="optimizers", **bounds)


def cosine_rate(default: float) -> Any:
    """Learning rate of a recipe that trains one network."""
    return learning_rate(default, "Initial learning rate of Adam, which falls to 0 along a cosine.")


def beta_1(default: float) -> Any:
    """Decay of Adam's first moment."""
    return setting(
        default,
        "beta_1 of Adam: decay of the mean of the gradients.",
        group="optimizers",
        least=0,
        below=1,
    )


def beta_2(default: float) -> Any:
    """Decay of Adam's second moment."""
    return setting(
        default,
        "beta_2 of Adam: decay of the mean of the squared gradients.",
        group="optimizers",
        least=0,
        below=1,
    )


def decay() -> Any:
    """Learning rate decay over the second half of the training."""
    text = "Lower the learning rates linearly to 1/20 over the second half of the training."
    return setting(False, text, group="optimizers")


def ema_decay(default: float) -> Any:
    """Decay of the exponential moving average of the weights."""
    text = (
        "Decay of the exponential moving average (EMA) of the weights that generate samples. "
        "0 disables the EMA."
    )
    return setting(default, text, group="optimizers", least=0, below=1)


def width(default: int, text: str, least: int = 1) -> Any:
    """Number of channels that scales a network."""
    return setting(default, text, group="networks", least=least)


def latent_dim(default: int, text: str = "Dimension of the latent vectors.", least: int = 1) -> Any:
    """Dimension of the latent vectors."""
    return setting(default, text, group="networks", least=least)


def capacity() -> Any:
    """Width of StyleGAN2's networks."""
    text = "Base number of channels. The generator's last block has twice as many."
    return setting(16, text, group="networks", least=1)


def max_channels() -> Any:
    """Upper bound of the channels of StyleGAN2's layers."""
    return setting(512, "Maximum number of channels of a layer.", group="networks", least=1)


def mapping_depth() -> Any:
    """Depth of StyleGAN2's mapping network."""
    return setting(8, "Number of layers of the mapping network.", group="networks", least=1)


def mapping_form(default: str) -> Any:
    """Initialization of StyleGAN2's mapping network."""
    text = (
        "Initialization of the mapping network. With `reproduction` and a --latent_dim below 512, "
        "w is so small that samples look alike."
    )
    return setting(default, text, group="networks", choices=("paper", "reproduction"))


def mixing() -> Any:
    """Style mixing."""
    text = "Share of the generated images that mix the styles of two latent vectors (style mixing)."
    return setting(0.9, text, group="losses", least=0, most=1)


def shift() -> Any:
    """Translation of the discriminator's input."""
    text = "Shift the discriminator's input images randomly by up to 2 pixels."
    return setting(False, text, group="losses")


def path_weight(default: float) -> Any:
    """Weight of path length regularization."""
    text = "Weight of path length regularization. 0 disables it."
    return setting(default, text, group="losses", least=0)


def path_every(default: int) -> Any:
    """Interval of path length regularization."""
    text = "Number of steps from one path length regularization to the next."
    return setting(default, text, group="losses", least=1)


def path_start(default: int) -> Any:
    """Start of path length regularization."""
    text = "Number of steps before the first path length regularization."
    return setting(default, text, group="losses", least=0)


def sampling_network() -> Any:
    """Network of a CoopNet that a tool samples from."""
    text = "Network of a CoopNet that generates the images. Default: generator."
    return setting(None, text, group="networks", choices=("generator", "descriptor"))


def truncation(group: str = "run") -> Any:
    """Truncation of the samples of a tool."""
    text = "Truncation psi of StyleGAN2 and StylEx. Default: no truncation."
    return setting(None, text, group=group, least=0.0, most=2.0)


def augment() -> Any:
    """Augmentation with keras-cv."""
    text = (
        "Augmentation of the training images with keras-cv: none, or a comma-separated list of "
        "flip, cutout and randaugment."
    )
    return setting("none", text, group="data")
