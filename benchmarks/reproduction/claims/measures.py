"""Measures of runs: their values, and their names and numbers in sentences."""

import statistics
from collections.abc import Sequence

# Measure -> phrase for sentences.
PHRASES = {
    "attribute_accuracy": "attribute accuracy",
    "best_is_last": "share of runs whose last checkpoint is the best",
    "best_variance": "best variance",
    "best_variance_with_sigma": "best variance with sigma in place of the variance",
    "bird_attributes_256": "share of correct attributes",
    "bird_classifier_score": "classifier score",
    "bird_classifier_score_256": "classifier score at 256 pixels",
    "bird_frechet_distance": "Fréchet distance",
    "bird_frechet_distance_128": "Fréchet distance at 128 pixels",
    "change_at_drops": "change of the logarithmic distance at sudden drops",
    "checkpoint_gap": "relative gap between successive checkpoints",
    "descriptor_digit_frechet_distance": "Fréchet distance of the descriptor",
    "digit_classifier_score": "classifier score",
    "digit_frechet_distance": "Fréchet distance",
    "early_energy_distance": "energy distance after 20 % of the training",
    "energy_distance": "energy distance",
    "modes": "number of modes",
    "good_share": "share of samples near a mode",
    "drift": "relative gradient term",
    "excess_over_evidence": "largest excess of the ELBO over the evidence",
    "explained_by_signs": "share of the first features that signs explain",
    "exploded": "share of exploded runs",
    "feature_correlation": "correlation of the first features of two samples",
    "final_rate": "learning rate",
    "fine_power": "relative fine-pattern power",
    "first_layer_gradient_norm": "gradient norm of the first layer",
    "first_lead": "early lead of the discriminator",
    "gain_with_size": "gain of the classifier score with image size",
    "gap_at_posterior": "distance of the ELBO from the evidence",
    "generator_accuracy": "generator accuracy",
    "generator_digit_frechet_distance": "Fréchet distance of the generator",
    "heldout_agreement": "classifier agreement on reconstructions",
    "heldout_pixel": "reconstruction error",
    "impulse": "relative impulse noise",
    "interaction": "interaction of image and caption",
    "intra_class_diversity": "relative diversity within a class",
    "inverse_error": "error of the inverse",
    "late_spread": "spread of the last checkpoints",
    "log_determinant_error": "error of the log-determinant",
    "loss_gradient": "gradient",
    "milliseconds": "step time in milliseconds",
    "ms_ssim": "MS-SSIM of sample pairs",
    "named_attributes": "share of named attributes",
    "push_back": "slope of the discriminator's loss",
    "rank_correlation": "rank correlation",
    "recognised_diversity": "relative diversity of recognized samples",
    "recovered": "recovery of the generator",
    "relative_distance": "relative distance from the equilibrium",
    "setback": "largest setback",
    "sharpness": "relative sharpness",
    "small_digit_frechet_distance": "Fréchet distance",
    "spikes": "number of reconstruction spikes",
    "step_difference": "relative difference of the trained weights",
    "stroke_width": "relative stroke width",
    "test_bits_per_dimension": "number of bits per dimension",
    "test_elbo": "test ELBO",
    "w_frechet": "Fréchet distance between the distributions of w",
    "warned": "share of runs with a warning",
    "weight_difference": "largest change of a generator weight by feature matching",
}


def number(run: dict, measure: str) -> float:
    """Return a measure of a run.

    Args:
        run: Record with `measures` and an optional `curve`.
        measure: A name for the value at the end of the run (the last one of the curve if the final
            scores lack it), `name@20%` for the newest value after 20 % of the epochs, or
            `name@late` for the mean of the curve's values in the second half of the epochs, which
            varies less than a single value.

    Raises:
        ValueError: If the run has no such measure.
    """
    name, at, share = measure.partition("@")
    value = None if at else run["measures"].get(name)
    known = [row for row in run.get("curve", []) if row.get(name) is not None]
    if known and share == "late":
        half = run["curve"][-1]["epoch"] / 2
        value = statistics.mean(row[name] for row in known if row["epoch"] > half)
    elif value is None and known:
        limit = float(share.rstrip("%") or 100) / 100 * run["curve"][-1]["epoch"]
        value = next(
            (row[name] for row in reversed(known) if row["epoch"] <= limit), known[0][name]
        )
    if value is None:
        raise ValueError(
            f"The run has no measure {measure!r}; it has {', '.join(run['measures'])}."
        )
    return float(value)


def phrase(measure: str) -> str:
    """Return the phrase of a measure for sentences."""
    name, at, share = measure.partition("@")
    text = PHRASES.get(name, name.replace("_", " "))
    if share == "late":
        return f"mean {text} in the second half of the training"
    return text + (f" after {share[:-1]} % of the training" if at else "")


def mean_and_deviation(values: Sequence[float]) -> str:
    """Format the mean and, for several values, the standard deviation."""
    text = significant(statistics.mean(values), 3)
    return text + (f" ± {significant(statistics.stdev(values), 2)}" if len(values) > 1 else "")


def significant(value: float, digits: int) -> str:
    """Format a number with some significant digits, without an exponent below one million."""
    return f"{float(f'{value:.{digits}g}'):g}"
