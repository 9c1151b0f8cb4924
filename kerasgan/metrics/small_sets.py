"""Defaults of scores that adapt to small sets, with a note instead of an error.

An option that the caller sets is never changed: if the set is too small for it, the score refuses.
"""

from collections.abc import Sequence
from typing import Any

from kerasgan.metrics.ms_ssim import WINDOW

# Published settings: 10 splits (Inception Score), subsets of 1,000 (KID), 3rd neighbor (precision),
# 5th neighbor (density), 100 candidates (R-precision).
PUBLISHED = {"splits": 10, "subset_size": 1000, "k": 3, "density_k": 5, "candidates": 100}
SCALES = 5  # MS-SSIM.
# Option -> metrics that use it, and what it is in a note.
_USES = {
    "splits": (("is", "r_precision"), "splits"),
    "subset_size": (("kid",), "images per subset of kid"),
    "k": (("prdc",), "as the number of the neighbor of precision and recall"),
    "density_k": (("prdc",), "as the number of the neighbor of density and coverage"),
    "candidates": (("r_precision",), "candidates of r_precision"),
}


def adapted(
    metrics: Sequence[str],
    samples: int,
    reference: int | None,
    options: dict[str, Any],
) -> tuple[dict[str, Any], list[str]]:
    """Replaces options that are `None` by the published settings, or by the largest possible ones.

    Args:
        metrics: Names of metrics, see `scores`.
        samples: Number of samples.
        reference: Number of reference images, 0 or `None` without a known number.
        options: Options of `scores`: the keys of `PUBLISHED`, and `batch`.

    Returns:
        The options, and one note per option that differs from the published setting.
    """
    fewest = min(samples, reference or samples)
    batch = options.get("batch")
    most = {
        "splits": samples - (samples % batch if batch else 0),
        "subset_size": fewest,
        "k": fewest - 1,
        "density_k": fewest - 1,
        "candidates": samples,
    }
    found, notes = dict(options), []
    for name, published in PUBLISHED.items():
        if options.get(name) is not None:
            continue
        used, what = _USES[name]
        found[name] = min(published, max(most[name], 1))
        if found[name] < published and any(metric in metrics for metric in used):
            notes.append(
                f"{found[name]} {what} instead of {published:,}, because there are only "
                f"{samples if name in ('splits', 'candidates') else fewest} images; the score does "
                "not compare with published ones"
            )
    return found, notes


def scales_of(side: int) -> tuple[int, list[str]]:
    """Returns the number of scales of MS-SSIM that fit into images, and a note if they are few.

    Args:
        side: Smaller side of the images in pixels.

    Returns:
        A number from 1 to 5, and at most one note.
    """
    fits = [scales for scales in range(1, SCALES + 1) if WINDOW * 2 ** (scales - 1) <= side]
    scales = max(fits, default=1)
    if scales == SCALES or not fits:  # `ms_ssim` refuses images that are smaller than its window.
        return scales, []
    return scales, [
        f"{scales} scales of ms_ssim instead of {SCALES}, because images have sides of {side} "
        f"pixels; five need {WINDOW * 2 ** (SCALES - 1)}"
    ]
