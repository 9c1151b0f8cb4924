"""Scores by features of `zoo.evaluate`: extraction, checks before it, and the flags' meaning."""

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from kerasgan import distribution
from kerasgan.metrics import frechet, score_checks, small_sets, spatial
from kerasgan.metrics.bootstrap import RESAMPLES
from kerasgan.metrics.features import extract
from kerasgan.metrics.ms_ssim import ms_ssim
from kerasgan.metrics.scores import scores
from zoo import evaluation_images, evaluation_inputs

DEFAULT_METRICS = "is,fid,kid,prdc"
# Flags of `zoo.evaluate` that are options of `scores`.
FLAGS = ("splits", "subsets", "subset_size", "k", "density_k", "pairs", "scales", "candidates")


def evaluate(
    samples: Any,
    reference: Any,
    by: Any,
    metrics: list[str],
    *,
    batch_size: int = 32,
    cache: str | None = None,
    save: str | None = None,
    progress: bool = True,
    **options: Any,
) -> dict:
    """Returns scores of images by a feature extractor, and their protocol.

    Args:
        samples: An `ImageSource`.
        reference: An `ImageSource`, its `Features`, the path of statistics, or `None`.
        by: The extractor.
        metrics: Names of metrics, see `kerasgan.metrics.scores`. May be empty if statistics are
            saved.
        batch_size: See `extract`.
        cache: See `extract`.
        save: Path of an .npz for the statistics of the reference, or of the samples if there is
            none.
        progress: See `extract`.
        **options: Options of `scores`.
    """
    theirs: Any = frechet.load_statistics(reference) if _is_path(reference) else None
    if isinstance(reference, extract.Features):
        theirs = reference
    if metrics:
        _check(metrics, samples, reference, theirs, by, options)
    run: dict[str, Any] = dict(batch_size=batch_size, cache=cache, progress=progress)
    if reference is not None and theirs is None:
        theirs = extract.extract(reference, by, **run)
    ours: Any = extract.extract(samples, by, **run) if metrics or reference is None else None
    if save and distribution.is_chief():
        kept = theirs or ours
        if kept is not None and not isinstance(kept, tuple):
            kept = frechet.statistics(kept.features, kept.protocol, kept.images)
        frechet.save_statistics(save, kept)
    if not metrics:
        return {"protocol": {}}
    if "sfid" in metrics and "spatial" not in options:
        network = spatial.SpatialFeatures(by)
        options["spatial"] = tuple(
            extract.extract(each, network, **run) for each in (samples, reference)
        )
    if not distribution.is_chief():
        return {"protocol": {}}
    return scores(ours, theirs, metrics, images=samples, **options)


def _is_path(reference):
    return isinstance(reference, (str, pathlib.Path))


def _check(metrics, samples, reference, theirs, by, options):
    """Raises ValueError for images that cannot be scored, before features are computed."""
    if "sfid" in metrics:
        if _is_path(reference) or theirs is not None:
            raise ValueError("sfid needs reference images; received statistics or features")
        spatial.SpatialFeatures(by)
    count = score_checks.count_images(theirs) if theirs is not None else 0
    if reference is not None and theirs is None:
        count = reference.count
    limits = {name: options[name] for name in score_checks.LIMITS if name in options}
    score_checks.check_counts(metrics, samples.count, count, **limits)
    protocol = getattr(by, "protocol", extract.UNKNOWN)
    score_checks.check_features(metrics, protocol, getattr(by, "logits", True), theirs)
    if "ms_ssim" in metrics:
        first = next(samples.batches(1))
        scales = options.get("scales") or small_sets.scales_of(min(first.shape[1:3]))[0]
        ms_ssim(first, first, scales)


def by_features(options: Any, names: Sequence[str | None]) -> Iterator[dict]:
    """Yields the scores of each checkpoint.

    Args:
        options: Flags of `zoo.evaluate`.
        names: Checkpoints, or `[None]` for `--samples`.
    """
    save = options.save_statistics
    default = "" if save else DEFAULT_METRICS if options.reference else "is"
    metrics = [name for name in (options.metrics or default).split(",") if name]
    if save and (pathlib.Path(save).suffix != ".npz" or not pathlib.Path(save).parent.is_dir()):
        raise ValueError(
            f"--save_statistics must be a file *.npz in a folder that exists; received {save}"
        )
    if save and len(names) > 1:
        raise ValueError(
            f"--save_statistics needs one checkpoint, or --samples; received {len(names)}"
        )
    if metrics:
        score_checks.check_counts(metrics, None, None if options.reference else 0)
    features = options.features or "inception"
    by: Any
    if metrics and set(metrics) <= set(score_checks.WITHOUT_FEATURES) and not save:
        by = evaluation_images.NoNetwork()
    else:
        by = evaluation_images.extractor(features, options.inception, options.resize)
    run: dict[str, Any] = dict(batch_size=options.batch_size, cache=options.cache)
    given = {name: getattr(options, name) for name in FLAGS}
    given |= dict(shuffle_seed=options.shuffle_seed, batch=options.drop_remainder)
    if features == "slim":  # StackGAN's protocol, unless flags set other values
        given["shuffle_seed"] = given["shuffle_seed"] or 0
        given["batch"] = given["batch"] or 64
    given["resamples"] = options.resamples
    if options.resamples is None:
        given["resamples"] = RESAMPLES if len(names) > 1 else 0
    reference = _reference(options, by)
    if len(names) > 1 and reference is not None and not _is_path(reference):
        if metrics:
            _check(metrics, _samples(options, by, names[0]), reference, None, by, given)
        if "sfid" not in metrics:  # It needs the images. The features are computed once.
            reference = extract.extract(reference, by, **run)
    for name in names:
        images = _samples(options, by, name)
        extra = _inputs(options, metrics, name, images)
        found = evaluate(images, reference, by, metrics, save=save, **run, **given, **extra)
        # The published file that was used. The features of all of them are comparable.
        if checksum := getattr(by, "file_sha256", None):
            found["protocol"]["weights_file_sha256"] = checksum
        yield found
    if save and distribution.is_chief():
        name = options.reference or options.samples or names[0]
        print(f"statistics of {name} in {save}")


def _rules(options, by, generated=False):
    gray = getattr(by, "shape", (0, 0, 3))[2] == 1  # Networks for gray images are given RGB.
    gray = gray or (generated and isinstance(by, evaluation_images.NoNetwork))
    return dict(convert=options.convert or gray, mixed_sizes=options.mixed_sizes)


def _samples(options, by, name):
    """Returns the images to score, an `ImageSource`."""
    count = options.count
    if count is None and name and options.samples:
        count = int(options.samples)
    return evaluation_images.source(
        name or options.samples,
        count,
        key=options.key,
        seed=options.seed,
        text_encoder=options.text_encoder,
        data_dir=options.data_dir or "",
        by=options.by,
        **_rules(options, by, generated=name is not None),
    )


def _reference(options, by):
    """Returns the reference: an `ImageSource`, the path of statistics, or `None`."""
    reference = options.reference
    if reference and not evaluation_images.is_statistics(reference):
        return evaluation_images.source(reference, key=options.reference_key, **_rules(options, by))
    return reference


def _inputs(options, metrics, name, images):
    """Returns the captions and the classifier that metrics need, as arguments of `scores`."""
    extra = {}
    if {"clip_score", "r_precision"} & set(metrics):
        where = options.text_encoder, options.data_dir or ""
        extra["captioned"] = evaluation_inputs.captioned(
            options.clip, options.captions, name, images.count, *where
        )
    if {"gan_train", "gan_test"} & set(metrics):
        extra["classification"] = evaluation_inputs.classification(
            name, images.count, options.seed, options.classifier_epochs
        )
    return extra
