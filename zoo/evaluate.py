"""Scores images or checkpoints by IS, FID, KID, precision, recall and many more metrics.

Score a checkpoint or preset of digits or synthetic birds by the package's evaluation classifiers:

    python -m zoo.evaluate --checkpoint=mnist_gan_digits

Compare all epochs of a run, or several models, in a table, on a page and in a leaderboard:

    python -m zoo.evaluate --checkpoint='runs/x/checkpoints/*' --report=comparison
    python -m zoo.evaluate --checkpoint=a.h5 --checkpoint=b.h5 --leaderboard=scores.jsonl

Compare images with reference images or their statistics, by features of a network:

    python -m zoo.evaluate --samples=FOLDER --reference=FOLDER --inception=FILE --out=scores.json
    python -m zoo.evaluate --samples=a.h5 --reference=statistics.npz --inception=FILE --metrics=fid
    python -m zoo.evaluate --samples=a.h5 --features=slim --inception=birds_valid299/model.ckpt
    python -m zoo.evaluate --samples=digits.h5 --reference=digits --features=digit_classifier
    python -m zoo.evaluate --samples=FOLDER --reference=FOLDER --features=dinov2
    python -m zoo.evaluate --samples=FOLDER --reference=FOLDER --inception=FILE --resize=clean

A StylEx is scored by its reconstructions of the held-out images of its run. All scores come with
their protocol. With the published weights of Inception, they have the names that torch-fidelity
uses; with other features or weights, the names omit the word Inception. `--features=slim` computes
StackGAN's Inception Score: it shuffles the samples and leaves out the last incomplete batch of 64.
"""

import dataclasses
import importlib
import os
import pathlib
import sys
import warnings
from typing import Any

from zoo import cli, launch, lazy, recipe, sample, scale, settings as fields
from zoo.command import shell_command
from zoo.settings import Checked, current_names, setting

np = lazy.module("numpy")
distribution = lazy.module("kerasgan.distribution")
files = lazy.module("kerasgan.io.files")
presets = lazy.module("kerasgan.io.presets")
reading = lazy.module("kerasgan.io.reading")
digits = lazy.module("kerasgan.metrics.protocols.digits")
report = lazy.module("kerasgan.report")
ranking = lazy.module("kerasgan.metrics.ranking")
comparison = lazy.module("zoo.comparison")
evaluation_images = lazy.module("zoo.evaluation_images")
feature_scores = lazy.module("zoo.feature_scores")
coopnet = lazy.module("zoo.coopnet")
text_gan = lazy.module("zoo.text_gan")

DATA = {"digits": ("digits", "mnist"), "birds": ("synthetic_birds",)}  # of each evaluation protocol
NAMES = {"digits": "digits", "birds": "synthetic birds"}
MOST = 10**7  # Maximum number of generated images.
ONE = "a folder, a .npz, .npy or .h5 file, digits, a checkpoint or a preset"


def _images(default, text, **rules):
    return setting(default, text, group="images", **rules)


def _metric(default, text, **rules):
    return setting(default, text, group="metrics", **rules)


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of the tool."""

    checkpoint: tuple[str, ...] = setting(
        (),
        sample.CHECKPOINT_HELP
        + " Several checkpoints, or a pattern such as runs/x/checkpoints/*, are compared.",
        repeated=True,
    )
    samples: str | None = setting(
        None,
        f"Images to score: {ONE}. With --checkpoint: the number of images to generate, by default "
        "10,000 digits or 1,000 birds.",
    )
    reference: str | None = setting(
        None, f"Images to compare with: {ONE}. For fid also a file of --save_statistics."
    )
    metrics: str | None = setting(
        None,
        "Comma-separated list of is, fid, kid, prdc (precision, recall, density, coverage), "
        "ms_ssim, fd_infinity, sfid, cmmd, vendi, authpct, memorization, clip_score, r_precision, "
        "gan_train and gan_test. Default: is,fid,kid,prdc with --reference, else is.",
    )
    out: str | None = setting(None, "JSON file to which the scores and their protocol are written.")
    report: str | None = setting(None, "Folder of an HTML page of the scores, index.html.")
    leaderboard: str | None = setting(
        None,
        "File (.jsonl) to which the scores are appended. An .html page next to it shows them all.",
    )
    sort: str | None = setting(
        None, "Score by which the table of several checkpoints is sorted. Default: the first one."
    )
    seed: int = setting(1, "Seed of the latents.", least=0, below=2**32)
    batch_size: int = setting(32, "Number of images per batch.", least=1)
    devices: int = setting(
        1,
        "Number of devices of this machine that divide sampling and the extraction of features.",
        least=1,
    )
    features: str | None = setting(
        None,
        "Feature extractor: inception, dinov2, clip, slim, digit_classifier, "
        "bird_attribute_classifier, or the .keras or .h5 file of a classifier. dinov2:PRESET and "
        "clip:PRESET name a preset of keras-hub or transformers: kaggle://..., hf://... or a "
        "folder. Default: inception.",
        group="networks",
    )
    inception: str | None = setting(
        None,
        "Weights of the Inception of 2015-12-05 (.pb, .tgz, .pth, .h5). For --features=slim: the "
        "prefix of StackGAN's checkpoint, or a file of zoo.inception.",
        group="networks",
    )
    resize: str | None = setting(
        None,
        "Resize method, named as in clean-fid. Default: the published one of each network: "
        "legacy_tensorflow for inception, Pillow's bicubic filter for dinov2 and (after a crop to "
        "the central square) for clip.",
        group="networks",
        choices=("clean", "legacy_tensorflow", "legacy_pytorch"),
    )
    text_encoder: str | None = setting(None, sample.TEXT_ENCODER_HELP, group="networks")
    clip: str | None = setting(
        None,
        "CLIP of keras-hub for clip_score and r_precision: a preset or its folder.",
        group="networks",
    )
    by: str | None = fields.sampling_network()
    count: int | None = _images(
        None,
        "Number of images to use. Default: all images, or 10,000 generated ones.",
        least=2,
        most=MOST,
    )
    key: str | None = _images(
        None,
        "Name of the array of samples in an .npz or .h5 file. Default: images, or the largest "
        "output_<size>.",
    )
    reference_key: str | None = _images(None, "As --key, for the file of reference images.")
    convert: bool = _images(
        False,
        "Convert gray images to RGB and composite transparent ones over white. By default such "
        "images are an error.",
    )
    mixed_sizes: bool = _images(
        False, "Allow images of different sizes. By default they are an error."
    )
    data_dir: str | None = _images(
        None,
        "Folder of the data set whose captions a checkpoint uses, see --data_dir of zoo.sample.",
    )
    cache: str | None = _images(None, "Folder in which features are cached.")
    save_statistics: str | None = _images(
        None,
        "File .npz to which the feature statistics of the reference (without one: of the samples) "
        "are written.",
    )
    captions: str | None = _images(
        None,
        "Text file with the caption of each sample in a line. Default: the captions from which the "
        "checkpoint generates.",
    )
    splits: int | None = _metric(
        None,
        "Number of splits of the Inception Score and of R-precision. Default: 10, or fewer for a "
        "smaller set.",
        least=1,
        most=10_000,
    )
    shuffle_seed: int | None = _metric(
        None,
        "Seed that shuffles the samples before they are split for the Inception Score. "
        "torch-fidelity uses 2020. Default: 0 for slim, otherwise no shuffling.",
        least=0,
        below=2**32,
    )
    drop_remainder: int | None = _metric(
        None,
        "Number n: the Inception Score uses the largest multiple of n images. Default: 64 for "
        "slim, otherwise all images are used.",
        least=1,
    )
    subsets: int = _metric(
        100, "Number of subsets of the kernel distance (KID).", least=1, most=10_000
    )
    subset_size: int | None = _metric(
        None,
        "Number of images per subset of the kernel distance. Default: 1,000, or all of a smaller "
        "set.",
        least=2,
    )
    k: int | None = _metric(
        None, "Number of nearest neighbors for precision and recall. Default: 3.", least=1
    )
    density_k: int | None = _metric(
        None, "Number of nearest neighbors for density and coverage. Default: 5.", least=1
    )
    pairs: int = _metric(100, "Number of image pairs for MS-SSIM.", least=1)
    scales: int | None = _metric(
        None,
        "Number of scales of MS-SSIM. Default: 5, or fewer for images of less than 176 pixels.",
        least=1,
        most=5,
    )
    candidates: int | None = _metric(
        None, "Number of captions per image for R-precision. Default: 100.", least=2
    )
    classifier_epochs: int = _metric(
        60, "Number of epochs of GAN-train's classifier. The shipped one had 60.", least=1
    )
    resamples: int | None = _metric(
        None,
        "Number of bootstrap resamples of the 95 % intervals of scores by features, 0 or at least "
        "10. Default: 100 for several checkpoints, else 0.",
        least=0,
        most=100_000,
    )


# === Scores by the evaluation classifiers ===


def score(
    checkpoint: str | os.PathLike,
    samples: int | None = None,
    seed: int = 1,
    text_encoder: str | None = None,
) -> dict:
    """Returns a checkpoint's or preset's scores by the shipped evaluation classifiers.

    Args:
        checkpoint: See `sample.load`.
        samples: Number of generated images. Defaults to 10,000 digits or 1,000 birds.
        seed: Seed of the latents.
        text_encoder: A preset or checkpoint. Defaults to the one that the checkpoint names.

    Returns:
        The result of `score_digits` or `score_birds`, of `zoo.coopnet.scores` for unconditional
        digits, or of the `score` of the recipe that trained the model.

    Raises:
        ValueError: If no evaluation classifier knows the data.
    """
    model = sample.load(checkpoint)
    protocol = model.evaluation_protocol if sample.can_sample(model) else None
    if protocol is None:
        if sample.can_sample(model) and (seed != 1 or text_encoder):
            raise ValueError(
                f"{checkpoint} is scored as in its run, with seed 1 and no text encoder; "
                "received others"
            )
        by_recipe = recipe_score(model, checkpoint)
        if by_recipe is None:
            raise ValueError(_no_classifier(checkpoint, model, None))
        return by_recipe(model, samples or 10_000)
    about = sample.about(checkpoint, model)
    data = about.get("data")  # Files that no recipe wrote have none.
    if data not in (None, *DATA[protocol]):
        if by_recipe := recipe_score(model, checkpoint):
            return by_recipe(model, samples)
        raise ValueError(_no_classifier(checkpoint, model, data))
    if protocol == "birds":
        encoder = evaluation_images.check_text_encoder(checkpoint, about, text_encoder)
        damsm_encoder = text_gan.damsm_encoder_of(about)
        sample.check_memory(model, samples or 1000, "samples")
        return text_gan.scores(model, encoder, samples or 1000, seed, damsm_encoder)
    sample.check_memory(model, samples or 10_000, "samples")
    if model.conditioning is None:
        return coopnet.scores(model, samples or 10_000, seed)
    least = 10 * digits.PER_CLASS
    if samples is not None and samples < least:
        raise ValueError(
            f"--samples must be at least {least:,} for digits, {digits.PER_CLASS} of each class; "
            f"received {samples:,}"
        )
    labels = np.arange(samples or 10_000) % 10
    return digits.score_digits(model.sample(labels=labels, seed=seed), labels)


def _no_classifier(checkpoint, model, data):
    known = " and ".join(NAMES.values())
    what = type(model).__name__ + (f" of {data}" if data else "")
    return f"evaluation classifiers exist only for {known}; received {checkpoint}, a {what}"


def recipe_score(model: Any, checkpoint: str | os.PathLike) -> Any:
    """Returns the function `(model, samples) -> scores` of the recipe that trained a model.

    Returns:
        The function, or `None` if the checkpoint names no recipe.

    Raises:
        ValueError: If the recipe has no scores for these data.
    """
    if not sample.can_sample(model):
        return None
    saved = run_settings(checkpoint)
    name = str(saved.get("recipe") or saved.get("run") or "").removeprefix("zoo.")
    if name == "" or not (pathlib.Path(__file__).parent / f"{name}.py").is_file():
        return None
    used = getattr(importlib.import_module(f"zoo.{name}"), "RECIPE", None)
    if used is None:
        return None
    if "data" not in saved:
        raise ValueError(f"{checkpoint} does not name its data, so it cannot be scored")
    settings = recipe.settings_from(used, saved)
    if missing := scale.missing_folder(settings):
        raise ValueError(
            f"the data folder {missing} of {checkpoint} is not here, so it cannot be scored; "
            "evaluate a checkpoint of its run instead, which names the whole path"
        )
    found = used.score(settings)
    if found is None:
        raise ValueError(
            f"no evaluation classifier knows the data of {checkpoint}, {saved['data']}"
        )
    return found


def run_settings(checkpoint: str | os.PathLike) -> dict:
    """Returns the settings of a checkpoint's or preset's run, `{}` if it does not hold them."""
    if presets.is_file(checkpoint):
        return sample.about(checkpoint)
    path = presets.find(checkpoint) / "settings.json"  # lies beside a preset
    if not path.exists():
        return {}
    rule = "settings.json must be a run's settings"
    return current_names(reading.read_json(path, rule, shape=dict))


# === The command ===


def command(options: Options) -> None:
    """Prints the scores and writes them to `--out`, `--report` and `--leaderboard`."""
    if options.out and not pathlib.Path(options.out).parent.is_dir():
        raise ValueError(f"--out must be in a folder that exists; received {options.out}")
    if options.leaderboard:
        comparison.check_leaderboard(options.leaderboard)
    if not options.checkpoint and options.samples is None:
        known = ", ".join(presets.names())
        raise ValueError(
            f"--samples must name images, or --checkpoint a file or a preset ({known}); received "
            f"none"
        )
    if options.checkpoint and options.samples is not None:
        number = int(options.samples) if options.samples.isdecimal() else 0
        if not 2 <= number <= MOST:
            raise ValueError(
                f"--samples must be a number from 2 to {MOST} if --checkpoint is given; received "
                f"{options.samples[:40]}"
            )
    if options.resamples is not None and 0 < options.resamples < 10:
        raise ValueError(f"--resamples must be 0 or at least 10; received {options.resamples}")
    compared = ("metrics", "reference", "save_statistics", "features", "inception", "resize")
    by_classifier = options.checkpoint and all(getattr(options, name) is None for name in compared)
    if by_classifier and options.devices > 1:
        raise ValueError(
            "--devices needs --metrics or --features: the evaluation classifiers use one device"
        )
    names = comparison.expand(options.checkpoint) if options.checkpoint else [None]
    if launch.needed(options.devices):
        sys.exit(launch.run(options.devices))
    distribution.start(options.devices)
    messages, line = [], shell_command("zoo.evaluate", without=("out", "report", "leaderboard"))
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda text, *rest: messages.append(" ".join(str(text).split()))
        results = _by_classifier if by_classifier else feature_scores.by_features
        found: list[dict] = []
        for each in results(options, names):
            found.append(each)
            if (
                options.sort and len(found) == 1 and distribution.is_chief()
            ):  # Before hours of computation, if it is unknown.
                ranking.ranking([each], options.sort)
    messages = list(dict.fromkeys(messages))
    if not distribution.is_chief():
        return
    for text in messages:
        print(f"warning: {text}", file=sys.stderr)
    notes = [note for each in found for note in each["protocol"].get("notes", [])]
    for note in dict.fromkeys(notes):
        print(f"note: {note}", file=sys.stderr)
    records = [
        comparison.record(name or options.samples, each, line, options.seed)
        for name, each in zip(names, found, strict=True)
    ]
    if len(found) == 1:
        print_scores(found[0])
    else:
        print("\n".join(comparison.table(records, options.sort)))
        print("\n".join(f"  {text}" for text in comparison.footnotes(records, options.sort)))
    if options.out:
        _write(options, names, found, messages)
    if options.report:
        folder = files.make_folder(options.report)
        page = report.scores_page(folder / "index.html", records, sort=options.sort, notes=messages)
        print(f"page: {page}")
    if options.leaderboard:
        print(f"page: {comparison.append(options.leaderboard, records)}")


def _write(options, names, found, messages):
    kind = "checkpoint" if options.checkpoint else "samples"
    each = [
        {kind: name or options.samples, **scores} for name, scores in zip(names, found, strict=True)
    ]
    record = {
        "command": shell_command("zoo.evaluate", without=("out",)),
        "seed": options.seed,
        **({"results": each} if len(each) > 1 else each[0]),
        "warnings": messages,
    }
    files.write_json(options.out, record | {"versions": recipe.versions()})


def _by_classifier(options, names):
    for name in ("count", "by", "cache", "data_dir", "resamples"):
        if getattr(options, name) is not None:
            raise ValueError(
                f"--{name} needs --metrics or --features; the evaluation classifiers do not use it"
            )
    samples = int(options.samples) if options.samples else None
    for name in names:
        yield score(name, samples, options.seed, options.text_encoder)


def print_scores(found: dict) -> None:
    """Prints the scores, each mean with its standard deviation, then the protocol."""
    for name, value in found.items():
        deviation = None
        if name.endswith("_mean"):
            deviation = found.get(name.removesuffix("_mean") + "_std")
        if isinstance(value, (int, float)) and not name.endswith("_std"):
            text = f"{name:32} {value:.6g}" + ("" if deviation is None else f" ± {deviation:.3g}")
            ends = found.get("intervals", {}).get(name)
            print(text + (f" [{ends[0]:.6g}, {ends[1]:.6g}]" if ends else ""))
    for name, value in found["protocol"].items():
        if isinstance(value, dict):
            value = "; ".join(f"{key} {part}" for key, part in value.items())
        print(f"  {name}: {value}")


def main() -> None:
    cli.main("zoo.evaluate", Options, command, description=__doc__)


if __name__ == "__main__":
    main()
