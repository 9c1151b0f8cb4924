"""What `--dry_run` prints: settings, parameter counts, training steps and missing data."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

from zoo.settings import Checked, setting


@dataclasses.dataclass(frozen=True)
class DryRun(Checked):
    """The flag of tools that train or take long."""

    dry_run: bool = setting(
        False, "Print the settings, the parameter counts and missing data, and stop."
    )


def show(
    settings: Any,
    parameters: Mapping[str, int],
    steps: int | None = None,
    notes: Iterable[str | None] = (),
) -> None:
    """Prints what a command would do.

    Args:
        settings: Dataclass of the settings.
        parameters: Dict from a network's name to its number of trainable parameters.
        steps: Training steps per epoch. `None`: unknown, or nothing is trained.
        notes: Further lines, such as missing data. `None` is skipped.
    """
    for name, value in dataclasses.asdict(settings).items():
        print(f"{name:24} {value}", flush=True)
    for name, count in parameters.items():
        print(f"{name:24} {count:,} trainable parameters")
    if steps is not None:
        print(f"{'steps':24} {steps:,} per epoch, {steps * settings.epochs:,} in all")
    for note in notes:
        if note:
            print(note)


def count(network: Any) -> int:
    """Returns the number of trainable parameters of a Keras model."""
    return sum(math.prod(weight.shape) for weight in network.trainable_weights)
