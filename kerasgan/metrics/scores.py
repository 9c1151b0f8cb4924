"""All scores of samples in one call, by name.

With features of the published Inception of 2015-12-05, the keys are those of torch-fidelity; with
those of the published DINOv2 ViT-L/14, they are `fd_dinov2` and `kd_dinov2_mean`. With features of
another network or of unknown weights, the numbers do not compare, so the keys name no network:
`classifier_score_mean`, `frechet_distance`, `kernel_distance_mean`. See
`kerasgan.metrics.features.fingerprints`.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from kerasgan.datasets.image_source import image_source
from kerasgan.metrics import small_sets
from kerasgan.metrics.authpct import authpct
from kerasgan.metrics.classification_accuracy import Classification, gan_test, gan_train
from kerasgan.metrics.clip_score import Captioned, agreement, clip_score
from kerasgan.metrics.cmmd import SCALE, SIGMA, cmmd
from kerasgan.metrics.fd_infinity import POINTS, fd_infinity
from kerasgan.metrics.features.extract import Features, warn_if_compressed, warn_if_swapped
from kerasgan.metrics.features.fingerprints import CLIP, score_names
from kerasgan.metrics.frechet import Statistics, frechet_distance, statistics
from kerasgan.metrics.inception_score import inception_score
from kerasgan.metrics.kernel import kernel_distance
from kerasgan.metrics.manifold import density_coverage, precision_recall
from kerasgan.metrics.memorization import RATIO, memorization
from kerasgan.metrics.ms_ssim import mean_ms_ssim
from kerasgan.metrics.r_precision import r_precision
from kerasgan.metrics.score_checks import (
    WITH_REFERENCE,
    check_counts,
    check_features,
    check_inputs,
    count_images,
)
from kerasgan.metrics.score_intervals import score_intervals
from kerasgan.metrics.vendi import vendi_score


def scores(
    samples: Features,
    reference: Features | Statistics | None = None,
    metrics: Sequence[str] = ("is", "fid", "kid", "prdc"),
    *,
    splits: int | None = None,
    shuffle_seed: int | None = None,
    batch: int | None = None,
    subsets: int = 100,
    subset_size: int | None = None,
    seed: int = 2020,
    k: int | None = None,
    density_k: int | None = None,
    images: Any = None,
    pairs: int = 100,
    scales: int | None = None,
    candidates: int | None = None,
    spatial: tuple[Features, Features | Statistics] | None = None,
    captioned: Captioned | None = None,
    classification: Classification | None = None,
    resamples: int = 0,
) -> dict[str, Any]:
    """Scores samples.

    Options that are `None` have their published values, or the largest possible ones if there are
    fewer images; the protocol then contains `notes`.

    Args:
        samples: Features of the samples.
        reference: Features of real images from the same extractor. `Statistics` are enough for
            "fid" and "fd_infinity". `None` is enough for "is", "ms_ssim", "vendi", "clip_score",
            "r_precision", "gan_train" and "gan_test".
        metrics: Names: "is", "fid", "kid", "prdc" (precision, recall, density and coverage),
            "ms_ssim", "fd_infinity", "sfid", "cmmd", "vendi", "authpct", "memorization",
            "clip_score", "r_precision", "gan_train" or "gan_test".
        splits: Number of splits of "is" and "r_precision"; 10 by default.
        shuffle_seed: Seed of the shuffle of "is", see `inception_score`.
        batch: Batch size of "is", see `inception_score`.
        subsets: Number of subsets of "kid", see `kernel_distance`.
        subset_size: Size of the subsets of "kid", see `kernel_distance`; 1,000 by default.
        seed: Seed of the subsets of "kid" and "fd_infinity", of the pairs of "ms_ssim", of the
            candidates of "r_precision" and of the resamples.
        k: Number of the neighbor of precision and recall; 3 by default.
        density_k: Number of the neighbor of density and coverage; 5 by default.
        images: The samples themselves, in any form that `image_source` accepts, for "ms_ssim",
            "clip_score", "r_precision", "gan_train" and "gan_test".
        pairs: Number of pairs of "ms_ssim", see `mean_ms_ssim`. Pairs are formed among all samples,
            regardless of class.
        scales: Number of scales of "ms_ssim", see `mean_ms_ssim`; 5 by default.
        candidates: Number of candidates of "r_precision"; 100 by default.
        spatial: Features of samples and reference by `SpatialFeatures`, for "sfid".
        captioned: Captions of the samples and a pair of encoders, for "clip_score" and
            "r_precision".
        classification: Labels, real images and a classifier, for "gan_train" and "gan_test".
        resamples: Number of resamples of the 95 % intervals, at least 10. 0 computes none.

    Returns:
        Dict of floats, and `protocol`, a JSON-serializable dict that describes the measurement.
        With features of the published Inception, the keys are

        - "is": `inception_score_mean`, `inception_score_std`;
        - "fid": `frechet_inception_distance`;
        - "kid": `kernel_inception_distance_mean`, `kernel_inception_distance_std`;
        - "prdc": `precision`, `recall`, `f_score` (harmonic mean of both), `density`, `coverage`;
        - "ms_ssim": `ms_ssim`;
        - "fd_infinity": `frechet_inception_distance_infinity`;
        - "sfid": `spatial_frechet_inception_distance`;
        - "cmmd": `gaussian_kernel_distance`, with features of CLIP ViT-L/14-336 `cmmd`;
        - "vendi", "authpct", "gan_train", "gan_test": the name itself;
        - "memorization": `memorized`, `nearest_ratio`;
        - "clip_score": `clip_score_mean`, `clip_score_std`;
        - "r_precision": `r_precision_mean`, `r_precision_std`.

        With resamples, also `intervals`, a dict from names to the lower and the upper end.

    Raises:
        ValueError: If a metric is unknown or not possible with these inputs, if the protocols of
            samples and reference differ, or if there are too few images.
    """
    limits = dict(splits=splits, batch=batch, subset_size=subset_size, k=k, density_k=density_k)
    limits["candidates"] = candidates
    count = count_images(reference)
    check_counts(metrics, len(samples), count, **limits)
    check_features(metrics, samples.protocol, samples.logits is not None, reference)
    given = {"images": images, "spatial": spatial, "captioned": captioned}
    check_inputs(metrics, given | {"classification": classification})
    options, notes = small_sets.adapted(metrics, len(samples), count, limits)
    check_counts(metrics, len(samples), count, **options)
    options |= dict(
        shuffle_seed=shuffle_seed, subsets=subsets, seed=seed, pairs=pairs, scales=scales
    )
    names = _names(samples.protocol)
    found: dict[str, Any] = {}
    protocol: dict[str, Any] = {
        "features": samples.protocol,
        "images": "uint8, RGB",
        "samples": samples.images,
    }
    if reference is not None and any(name in WITH_REFERENCE for name in metrics):
        warn_if_swapped(samples.images, reference.images or {})
        warn_if_compressed(samples.images, reference.images or {})
        protocol["reference"] = (
            {"statistics": True, "count": reference.count}
            if isinstance(reference, Statistics)
            else reference.images
        )
    inputs = _Inputs(
        samples, reference, images, spatial, captioned, classification, names, options, notes
    )
    for name in dict.fromkeys(metrics):
        values, about = FORMULAS[name](inputs)
        found |= values
        if about is not None:
            protocol[name] = about
    if notes:
        protocol["notes"] = notes
    if resamples:
        ends, about = score_intervals(samples, reference, found, metrics, names, options, resamples)
        found["intervals"], protocol["intervals"] = ends, about
    return found | {"protocol": protocol}


class _Inputs(NamedTuple):
    """Inputs of a formula. `notes` is a list that formulas add to."""

    samples: Any
    reference: Any
    images: Any
    spatial: Any
    captioned: Any
    classification: Any
    names: dict[str, str]
    options: dict[str, Any]
    notes: list[str]


Result = tuple[dict[str, float], dict[str, Any] | None]


def _is(given: _Inputs) -> Result:
    options, samples = given.options, given.samples
    splits, shuffle_seed, batch = (options[n] for n in ("splits", "shuffle_seed", "batch"))
    spread = inception_score(samples.logits, splits, shuffle_seed, batch)
    return _mean_and_std(given.names["is"], spread), {
        "count": len(samples) - (len(samples) % batch if batch else 0),
        "splits": splits,
        "shuffle_seed": shuffle_seed,
        "remainder_dropped_of": batch,
        "classes": samples.logits.shape[1],
    }


def _fid(given: _Inputs) -> Result:
    distance = frechet_distance(_statistics(given.samples), _statistics(given.reference))
    return {given.names["fid"]: distance}, None


def _kid(given: _Inputs) -> Result:
    about = {name: given.options[name] for name in ("subsets", "subset_size", "seed")}
    spread = kernel_distance(given.samples.features, given.reference.features, **about)
    return _mean_and_std(given.names["kid"], spread), about


def _prdc(given: _Inputs) -> Result:
    k, density_k = given.options["k"], given.options["density_k"]
    sets = given.reference.features, given.samples.features
    near = precision_recall(*sets, k)
    total = near["precision"] + near["recall"]
    near["f_score"] = 2 * near["precision"] * near["recall"] / total if total else 0.0
    near |= density_coverage(*sets, density_k)
    return near, {"precision_recall_k": k, "density_coverage_k": density_k}


def _ms_ssim(given: _Inputs) -> Result:
    """MS-SSIM of pairs from `2 * pairs` random images; only these are held in memory."""
    pairs, seed, scales = (given.options[name] for name in ("pairs", "seed", "scales"))
    count = len(given.samples)
    chosen = np.sort(np.random.default_rng(seed).permutation(count)[: 2 * pairs])
    kept, done = [], 0
    for batch in image_source(given.images, count=count).batches():
        kept += [
            batch[row - done]
            for row in chosen[np.searchsorted(chosen, done) :]
            if row < done + len(batch)
        ]
        done += len(batch)
    if len({image.shape for image in kept}) > 1:
        raise ValueError("ms_ssim needs images of equal size; received several sizes")
    if scales is None:
        scales, notes = small_sets.scales_of(min(kept[0].shape[:2]))
        given.notes.extend(notes)
    about = {"pairs": pairs, "of": "any class", "seed": seed, "scales": scales}
    return {"ms_ssim": mean_ms_ssim(np.stack(kept), pairs, seed, scales)}, about


def _fd_infinity(given: _Inputs) -> Result:
    seed, theirs = given.options["seed"], _statistics(given.reference)
    distance = fd_infinity(theirs, given.samples.features, seed=seed)
    about = {"subset_sizes": POINTS, "fit": "a line in 1 / N", "seed": seed}
    return {given.names["fd_infinity"]: distance}, about


def _sfid(given: _Inputs) -> Result:
    one, other = given.spatial
    distance = frechet_distance(_statistics(one), _statistics(other))
    return {given.names["sfid"]: distance}, {"features": one.protocol.get("layer")}


def _cmmd(given: _Inputs) -> Result:
    distance = cmmd(given.samples.features, given.reference.features)
    name = given.names["cmmd"]
    kernel = f"Gaussian, sigma {SIGMA:g}, of features of norm 1"
    return {name: distance}, {"kernel": kernel, "scale": SCALE, "estimate": "biased"}


def _vendi(given: _Inputs) -> Result:
    about = {"order": 1, "similarity": "cosine", "count": len(given.samples)}
    return {"vendi": vendi_score(given.samples.features)}, about


def _authpct(given: _Inputs) -> Result:
    value = authpct(given.reference.features, given.samples.features)
    return {"authpct": value}, {"training_images": "the reference"}


def _memorization(given: _Inputs) -> Result:
    found = memorization(given.reference.features, given.samples.features)
    rule = f"nearest at most {RATIO:.3g} of the distance to the second nearest"
    return found, {"training_images": "the reference", "rule": rule}


def _clip_score(given: _Inputs) -> Result:
    spread = clip_score(agreement(_embedded(given)))
    return _mean_and_std("clip_score", spread), _about_pair(given)


def _r_precision(given: _Inputs) -> Result:
    images, texts = (np.concatenate(parts) for parts in zip(*_embedded(given), strict=True))
    candidates, splits, seed = (given.options[n] for n in ("candidates", "splits", "seed"))
    classes = given.captioned.classes
    spread = r_precision(images, texts, classes, candidates, splits, seed)
    about = {"candidates": candidates, "splits": splits, "seed": seed}
    about["candidates_of"] = "any image" if classes is None else "other classes"
    return _mean_and_std("r_precision", spread), _about_pair(given) | about


def _gan_train(given: _Inputs) -> Result:
    data = given.classification
    value = gan_train(data.fit, _labelled(given), data.real_test)
    about = {"classifier": data.name, "test_images": len(data.real_test[0])}
    return {"gan_train": value}, about | {"training_images": len(given.samples)}


def _gan_test(given: _Inputs) -> Result:
    data = given.classification
    value = gan_test(data.fit, data.real_train, _labelled(given))
    about = {"classifier": data.name, "training_images": len(data.real_train[0])}
    return {"gan_test": value}, about | {"test_images": len(given.samples)}


FORMULAS: dict[str, Callable[[_Inputs], Result]] = {
    "is": _is,
    "fid": _fid,
    "kid": _kid,
    "prdc": _prdc,
    "ms_ssim": _ms_ssim,
    "fd_infinity": _fd_infinity,
    "sfid": _sfid,
    "cmmd": _cmmd,
    "vendi": _vendi,
    "authpct": _authpct,
    "memorization": _memorization,
    "clip_score": _clip_score,
    "r_precision": _r_precision,
    "gan_train": _gan_train,
    "gan_test": _gan_test,
}


def _names(protocol):
    """Names of the scores that depend on the network of the features."""
    names = score_names(protocol)
    return names | {
        "fd_infinity": f"{names['fid']}_infinity",
        "sfid": f"spatial_{names['fid']}",
        "cmmd": "cmmd" if protocol.get("network") == CLIP else "gaussian_kernel_distance",
    }


def _statistics(features):
    if isinstance(features, Statistics):
        return features
    return statistics(features.features, features.protocol, features.images)


def _mean_and_std(name, spread):
    return {f"{name}_mean": spread[0], f"{name}_std": spread[1]}


def _embedded(given):
    """Yields embeddings of blocks of images and of their captions."""
    pair, captions, done = given.captioned.pair, given.captioned.captions, 0
    if len(captions) != len(given.samples):
        raise ValueError(
            f"Expected one caption per image ({len(given.samples)}); received {len(captions)}."
        )
    for batch in image_source(given.images, count=len(captions)).batches():
        texts = pair.texts(list(captions[done : done + len(batch)]))
        yield np.asarray(pair.images(batch)), np.asarray(texts)
        done += len(batch)


def _about_pair(given):
    return {"encoders": getattr(given.captioned.pair, "protocol", "a pair of the caller")}


def _labelled(given):
    """The samples, uint8 `[N, H, W, 3]`, and their labels."""
    images = [*image_source(given.images, count=len(given.samples)).batches()]
    return np.concatenate(images), given.classification.labels
