"""Score images, a file of samples or a checkpoint: IS, FID, KID, precision and recall, density and coverage; or judges.

    python -m zoo.evaluate --samples=FOLDER --reference=FOLDER --inception=FILE --metrics=is,fid,kid,prdc --out=a.json
    python -m zoo.evaluate --samples=samples.h5 --reference=statistics.npz --inception=FILE --metrics=fid
    python -m zoo.evaluate --samples=birds_samples.h5 --features=slim --inception=birds_valid299/model.ckpt --metrics=is
    python -m zoo.evaluate --checkpoint=mnist_gan_digits --samples=1000 --reference=digits --features=digit_classifier
    python -m zoo.evaluate --checkpoint=mnist_gan_digits

The last one asks the judges that the package ships: of digits, or of drawn birds with R-precision; of a StylEx, it says
how the held-out images of its run are drawn again. Beside the scores stands their protocol; the keys are
torch-fidelity's for the Inception of 2015-12-05, and say no Inception otherwise. With slim features, StackGAN's
Inception Score: samples shuffled, and the last that fill no batch of 64 left out.
"""

import dataclasses
import hashlib
import importlib
import pathlib
import sys
import warnings

import keras
import numpy as np
from absl import flags

from kerasgan.datasets.digits import load_digits
from kerasgan.datasets.image_source import image_source
from kerasgan.images import to_uint8
from kerasgan.io import checkpoints, files, presets
from kerasgan.io.arrays import array_names
from kerasgan.io.hdf5 import is_hdf5, open_hdf5
from kerasgan.io.keras_files import load_keras_file
from kerasgan.io.reading import read_json, reading
from kerasgan.metrics.features.extract import UNKNOWN, ClassifierFeatures, extract
from kerasgan.metrics.frechet import load_statistics, save_statistics, statistics
from kerasgan.metrics.ms_ssim import ms_ssim
from kerasgan.metrics.protocols import bird_attributes, digits
from kerasgan.metrics.protocols.digits import score_digits
from kerasgan.metrics.scores import (
    LIMITS,
    METRICS,
    WITH_REFERENCE,
    check,
    check_features,
    check_inference_mode,
    scores,
)
from zoo import recipe, sample
from zoo.command import shell_command

FLAGS = flags.FLAGS
JUDGED = {
    "digits": ("digits", "mnist"),
    "drawn birds": ("synthetic_birds",),
}  # what has a judge, and its names as data
STYLES = {"StyleGAN2": "stylegan2", "StylEx": "stylex"}  # whose recipes score
FEATURES = ("inception", "slim", "digit_classifier", "bird_attribute_classifier")
DEFAULT = "is,fid,kid,prdc"
BLOCK = 64  # pictures of captions drawn at a time


def score(checkpoint, samples=None, seed=1, text_encoder=None):
    """The scores that the shipped judges give a checkpoint file or a preset.

    Args:
        checkpoint: as in `sample.load`.
        samples: pictures to draw; by default 10,000 digits or 1,000 birds.
        seed: of the latents.
        text_encoder: a preset or checkpoint; by default the one that the checkpoint names.

    Returns:
        What `score_digits`, `score_birds`, of a CoopNet of digits `zoo.coopnet.scores`, or of a StylEx or StyleGAN2 the
        `score` of its recipe returns. Raises ValueError where there is no judge of what it draws.
    """
    model = sample.load(checkpoint)
    if type(model).__name__ in STYLES:
        if seed != 1 or text_encoder:
            raise ValueError(
                f"{checkpoint} is scored as its run was, by seed 1 and no text encoder; received others"
            )
        return _by_recipe(model, checkpoint)(model, samples or 10_000)
    unconditional = hasattr(model, "chains")  # a CoopNet
    of_digits = model.image_shape == (28, 28, 1) if unconditional else hasattr(model, "classes")
    kind = "digits" if of_digits else "drawn birds" if hasattr(model, "sizes") else None
    about = sample.about(checkpoint) if kind else {}
    data = about.get("data")  # none in files that no recipe made
    if kind is None or data not in (None, *JUDGED[kind]):
        what = type(model).__name__ + (
            f" of {data}" if data else ", without captions" if unconditional else ""
        )
        raise ValueError(
            f"only models of {' and '.join(JUDGED)} have a judge; received {checkpoint}, a {what}"
        )
    if unconditional:
        from zoo import coopnet

        return coopnet.scores(model, samples or 10_000, seed)
    if kind == "digits":
        labels = np.arange(samples or 10_000) % 10
        return score_digits(model.sample(labels=labels, seed=seed), labels)
    from zoo import text_gan

    encoder = _text_encoder(checkpoint, about, text_encoder)
    return text_gan.scores(model, encoder, samples or 1000, seed, text_gan.led_by(about))


def _by_recipe(model, checkpoint):
    """The `(model, samples) -> scores` of the run that the model comes from."""
    used = importlib.import_module(f"zoo.{STYLES[type(model).__name__]}").RECIPE
    if str(checkpoint).endswith(".h5"):
        told = sample.about(checkpoint)
    else:  # the settings lie beside a preset of a run
        path = presets.find(checkpoint) / "settings.json"
        told = (
            read_json(path, "settings.json must be a run's settings", shape=dict)
            if path.exists()
            else {}
        )
    if "data" not in told:
        raise ValueError(
            f"{checkpoint} must tell its run's settings to be scored; it does not name its data"
        )
    names = [field.name for field in dataclasses.fields(used.settings) if field.name in told]
    score = used.score(used.settings(**{name: told[name] for name in names}))
    if score is None:
        raise ValueError(
            f"there must be a judge of what {checkpoint} draws, {told['data']}; there is none"
        )
    return score


def _text_encoder(checkpoint, about, named, own=False):
    """Its name; '' where the data have embeddings of their `own`."""
    encoder = about.get("text_encoder") if named is None else named
    if encoder is None or not (encoder or own):
        raise ValueError(
            f"{checkpoint} does not say which text encoder it was trained with: name it, --text_encoder"
        )
    return encoder


# === What is scored, and by what ===


def extractor(name="inception", weights=None):
    """The feature extractor of `--features` and `--inception`.

    Args:
        name: one of `FEATURES`, or the file of a Keras classifier, .keras or .h5, that ends in logits.
        weights: of "inception": see `Inception`; of "slim": the prefix of StackGAN's checkpoint.
    """
    if name == "inception":
        from kerasgan.metrics.features.inception import Inception

        return Inception(weights)
    if name == "slim":
        from kerasgan.metrics.features.slim_inception import SlimInception

        if not weights:
            raise ValueError(
                "slim features need --inception=PREFIX, of a fine-tuned network; received none"
            )
        return SlimInception(weights)
    if name == "digit_classifier":
        network, info = digits.load_digit_classifier()
        return ClassifierFeatures(
            network, {"network": "the digit judge", "weights_sha256": info["sha256"]}
        )
    if name == "bird_attribute_classifier":
        network, info = bird_attributes.shipped()
        about = {"network": "the bird judge", "weights_sha256": info["sha256"]}
        return ClassifierFeatures(
            network, about, resize=True, logits=False
        )  # its logits are of seven attributes
    path = pathlib.Path(name)
    if path.suffix not in (".keras", ".h5") or not path.is_file():
        raise ValueError(
            f"--features must be {', '.join(FEATURES)}, or a classifier's .keras or .h5; received {name}"
        )
    network = checkpoints.load_network(path)[0] if _is_ours(path) else load_keras_file(path)
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    with reading(path, "--features must be a classifier of images that ends in logits"):
        return ClassifierFeatures(
            network, {"network": f"a classifier, {path.name}", "weights_sha256": checksum}
        )


def no_network(images):
    """In the place of an extractor where MS-SSIM, of the pictures themselves, is all that is asked for."""
    return images.mean(axis=(1, 2))


no_network.protocol = {"network": "none"}


def source(
    name,
    count=None,
    *,
    seed=1,
    text_encoder=None,
    data_dir="",
    by=None,
    key=None,
    convert=False,
    mixed_sizes=False,
):
    """Images by name, an `ImageSource`: a folder, a file, `digits` (4,000 to train on), a checkpoint or a preset.

    Args:
        name: see above; a checkpoint draws in inference mode (checked), labels or captions of the test data in turn. A
            CoopNet draws as in training, which its protocol says: in blocks of its chains, by their statistics.
        count: take only so many; of a checkpoint, 10,000 by default.
        seed: of a checkpoint's latents.
        text_encoder, data_dir: of a checkpoint that draws captions; by default the encoder that it names, and the
            folder of TensorFlow Datasets.
        by: "generator" or "descriptor", of a CoopNet; by default the generator.
        key, convert, mixed_sizes: as in `image_source`.
    """
    options = dict(key=key, convert=convert, mixed_sizes=mixed_sizes, count=count)
    if name == "digits":
        found = image_source(to_uint8(load_digits()[0]), **options)
        return dataclasses.replace(found, name="digits, those to train on")
    if not (name in presets.names() or _is_ours(name) or (pathlib.Path(name) / "G.h5").is_file()):
        return image_source(name, **options)
    model, about = sample.load(name), sample.about(name)
    options["count"] = count = count or 10_000
    mode = "inference mode"
    if hasattr(model, "chains"):
        mode = ", ".join(
            f"{key} {value}" for key, value in model.sampling_protocol(by or "generator").items()
        )
    elif by:
        raise ValueError(f"{name} draws by its generator alone: --by is for CoopNet")
    drawn = f"{name}, sha256 {about['sha256']}, {mode}, latents of seed {seed}"
    if hasattr(model, "chains"):
        model = _blocks_drawn(model, by or "generator", count, seed)
    elif hasattr(model, "sizes"):
        data, encoder = (
            about.get("data") or "synthetic_birds",
            _text_encoder(name, about, text_encoder, own=True),
        )
        embeddings = _embeddings(data, data_dir, encoder)
        model = _captions_drawn(model, embeddings, count, seed)
        content = hashlib.sha256(np.ascontiguousarray(embeddings)).hexdigest()[:16]
        drawn = f"{drawn}, captions of {data} by {encoder or 'embeddings of its own'}, {content}"
    else:
        check_inference_mode(
            *(to_uint8(model.sample(n=16, seed=seed, batch_size=size)) for size in (16, 5))
        )
    found = image_source(
        model, seed=seed, fingerprint=f"{drawn}, {keras.backend.backend()}", **options
    )
    return dataclasses.replace(found, name=drawn)


def _blocks_drawn(model, by, count, seed):
    """A function that gives a CoopNet's images block by block, those of `model.sample(count, seed, by)`."""

    def batches():
        latents = model.random_latents(count, seed)
        for start in range(0, count, model.chains):
            yield to_uint8(model.generate(latents[start : start + model.chains], by))

    return batches


def _embeddings(data, data_dir, encoder):
    """[N, C, D], of the captions of the data that are not trained on."""
    from zoo import text_gan

    split = "val" if data.startswith("coco") else "test"
    return text_gan.load(data, split, data_dir, 1000, 64, encoder, in_memory=False).embeddings


def _captions_drawn(model, embeddings, count, seed):
    """A function that gives batches of a model's largest pictures, of embeddings [N, C, D] in turn."""
    few = embeddings[:6, 0], model.noise(min(6, len(embeddings)), seed)
    check_inference_mode(
        *(to_uint8(model.sample(*few, batch_size=size)[min(model.sizes)]) for size in (6, 4))
    )

    def batches():
        noise = model.noise(count, seed)
        for start in range(0, count, BLOCK):
            rows = np.arange(start, min(start + BLOCK, count))
            turn, image = np.divmod(rows, len(embeddings))
            asked = embeddings[
                image, (image + turn) % embeddings.shape[1]
            ]  # all captions before one comes again
            yield to_uint8(
                model.sample(asked, tuple(part[rows] for part in noise))[max(model.sizes)]
            )

    return batches


def _is_ours(path):
    """Whether a file is a checkpoint of this package's, not images."""
    path = pathlib.Path(path)
    if path.suffix != ".h5" or not path.is_file() or not is_hdf5(path):
        return False
    try:
        with open_hdf5(path) as file:
            return str(file.attrs.get("format")) == checkpoints.FORMAT
    except Exception:  # a damaged one; who reads it says so
        return False


def _is_statistics(path):
    if path is None or pathlib.Path(path).suffix != ".npz" or not pathlib.Path(path).is_file():
        return False
    return {"mu", "sigma"} <= array_names(path)


def evaluate(
    samples,
    reference,
    by,
    metrics,
    *,
    batch_size=32,
    cache=None,
    save=None,
    progress=True,
    **options,
):
    """Scores, their protocol and the warnings on the way, of images by an extractor.

    Args:
        samples: an `ImageSource`.
        reference: an `ImageSource`, the path of statistics, or None.
        by: the extractor.
        metrics: names, see `scores`; may be empty where statistics are saved.
        batch_size, cache, progress: as in `extract`.
        save: path of an .npz for the statistics of the reference, or of the samples where there is none.
        options: of `scores`.
    """
    theirs = load_statistics(reference) if isinstance(reference, (str, pathlib.Path)) else None
    if metrics:
        count = 0 if reference is None else reference.count if theirs is None else theirs.count
        check(
            metrics,
            samples.count,
            count,
            **{name: options[name] for name in LIMITS if name in options},
        )
        check_features(
            metrics, getattr(by, "protocol", UNKNOWN), getattr(by, "logits", True), theirs
        )
    if "ms_ssim" in metrics:
        first = next(samples.batches(1))
        ms_ssim(first, first, options.get("scales", 5))  # too small ones are told now
    run = dict(batch_size=batch_size, cache=cache, progress=progress)
    if reference is not None and theirs is None:
        theirs = extract(reference, by, **run)
    ours = extract(samples, by, **run) if metrics or reference is None else None
    if save:
        kept = theirs or ours
        made = (
            kept
            if isinstance(kept, tuple)
            else statistics(kept.features, kept.protocol, kept.images)
        )
        save_statistics(save, made)
    return (
        scores(ours, theirs, metrics, pictures=samples, **options) if metrics else {"protocol": {}}
    )


# === The shell ===


def shell(arguments):
    if FLAGS.out and not pathlib.Path(FLAGS.out).parent.is_dir():
        raise ValueError(f"--out must be in a folder that exists; received {FLAGS.out}")
    if FLAGS.checkpoint is None and FLAGS.samples is None:
        known = ", ".join(presets.names())
        raise ValueError(
            f"--samples must name images, or --checkpoint a file or a preset ({known}); received none"
        )
    if FLAGS.checkpoint and FLAGS.samples and not FLAGS.samples.isdecimal():
        raise ValueError(
            f"--samples must be a number where --checkpoint draws them; received {FLAGS.samples}"
        )
    told = []
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *rest: told.append(" ".join(str(message).split()))
        asked = ("metrics", "reference", "save_statistics", "features", "inception")
        judged = FLAGS.checkpoint and all(getattr(FLAGS, name) is None for name in asked)
        found = _judged() if judged else _compared()
    for line in dict.fromkeys(told):
        print(f"warning: {line}", file=sys.stderr)
    print_scores(found)
    if FLAGS.out:
        asked = {"checkpoint": FLAGS.checkpoint} if FLAGS.checkpoint else {"samples": FLAGS.samples}
        command = shell_command("zoo.evaluate", without=("out",))
        record = {
            **asked,
            "command": command,
            "seed": FLAGS.seed,
            **found,
            "warnings": [*dict.fromkeys(told)],
        }
        files.write_json(FLAGS.out, record | {"versions": recipe.versions()})


def _judged():
    for name in ("count", "by", "cache", "data_dir"):
        if getattr(FLAGS, name) is not None:
            raise ValueError(
                f"--{name} goes with --metrics or --features; received it for the shipped judge's scores"
            )
    samples = int(FLAGS.samples) if FLAGS.samples else None
    return score(FLAGS.checkpoint, samples, FLAGS.seed, FLAGS.text_encoder)


def _compared():
    save = FLAGS.save_statistics
    default = "" if save else DEFAULT if FLAGS.reference else "is"
    metrics = [name for name in (FLAGS.metrics or default).split(",") if name]
    if save and (pathlib.Path(save).suffix != ".npz" or not pathlib.Path(save).parent.is_dir()):
        raise ValueError(
            f"--save_statistics must be a file *.npz in a folder that exists; received {save}"
        )
    if metrics:
        check(metrics, None, None if FLAGS.reference else 0)
    named = FLAGS.features or "inception"
    by = no_network if metrics == ["ms_ssim"] and not save else extractor(named, FLAGS.inception)
    grey = getattr(by, "shape", (0, 0, 3))[2] == 1  # a network of grey images is shown them as RGB
    options = dict(convert=FLAGS.convert or grey, mixed_sizes=FLAGS.mixed_sizes)
    count = FLAGS.count or (int(FLAGS.samples) if FLAGS.checkpoint and FLAGS.samples else None)
    drawing = dict(
        seed=FLAGS.seed, text_encoder=FLAGS.text_encoder, data_dir=FLAGS.data_dir or "", by=FLAGS.by
    )
    images = source(FLAGS.checkpoint or FLAGS.samples, count, key=FLAGS.key, **drawing, **options)
    reference = FLAGS.reference
    if reference and not _is_statistics(reference):
        reference = source(reference, key=FLAGS.reference_key, **options)
    shuffle_seed, batch = FLAGS.shuffle_seed, FLAGS.drop_remainder
    if named == "slim":  # StackGAN's protocol, but for what is asked otherwise
        shuffle_seed, batch = (
            0 if shuffle_seed is None else shuffle_seed,
            64 if batch is None else batch,
        )
    found = evaluate(
        images,
        reference,
        by,
        metrics,
        batch_size=FLAGS.batch_size,
        cache=FLAGS.cache,
        save=save,
        splits=FLAGS.splits,
        shuffle_seed=shuffle_seed,
        batch=batch,
        subsets=FLAGS.subsets,
        subset_size=FLAGS.subset_size,
        k=FLAGS.k,
        density_k=FLAGS.density_k,
        pairs=FLAGS.pairs,
        scales=FLAGS.scales,
    )
    if getattr(
        by, "file_sha256", None
    ):  # which of the published files it was; features of all of them compare
        found["protocol"]["weights_file_sha256"] = by.file_sha256
    if save:
        print(f"statistics of {FLAGS.reference or FLAGS.samples or FLAGS.checkpoint} in {save}")
    return found


def print_scores(found):
    """A table of the scores, a mean beside its deviation, and under it the protocol."""
    for name, value in found.items():
        deviation = (
            found.get(name.removesuffix("_mean") + "_std") if name.endswith("_mean") else None
        )
        if isinstance(value, (int, float)) and not name.endswith("_std"):
            print(f"{name:32} {value:.6g}" + ("" if deviation is None else f" ± {deviation:.3g}"))
    for name, value in found["protocol"].items():
        if isinstance(value, dict):
            value = "; ".join(f"{key} {part}" for key, part in value.items())
        print(f"  {name}: {value}")


def main():
    one = "a folder, a .npz, .npy or .h5 file, digits, a checkpoint or a preset"
    flags.DEFINE_string(
        "checkpoint", None, "a file …_G_epoch_n.h5, a preset's name or a preset's folder"
    )
    flags.DEFINE_string(
        "samples", None, f"images to score: {one}; or, with --checkpoint, how many it draws"
    )
    flags.DEFINE_string(
        "reference", None, f"images to compare them with: {one}; or, for fid, statistics (.npz)"
    )
    flags.DEFINE_string(
        "metrics",
        None,
        f"of {','.join(METRICS)}; without a reference no {', '.join(WITH_REFERENCE)}",
    )
    flags.DEFINE_string(
        "features", None, f"{', '.join(FEATURES)}, or a classifier's .keras or .h5; inception"
    )
    flags.DEFINE_string(
        "inception", None, "weights of Inception 2015-12-05 (.pb, .tgz, .pth, .h5); slim: a prefix"
    )
    flags.DEFINE_integer(
        "count", None, "take only so many samples, the first; a checkpoint draws 10,000", 2
    )
    flags.DEFINE_string(
        "key", None, "of the samples in their file; images or the largest output_<size> by default"
    )
    flags.DEFINE_string("reference_key", None, "the same of the reference")
    flags.DEFINE_bool(
        "convert", False, "make grey images RGB and drop transparency; else they are refused"
    )
    flags.DEFINE_bool(
        "mixed_sizes", False, "admit images of different sizes; else they are refused"
    )
    flags.DEFINE_integer("batch_size", 32, "images at once", lower_bound=1)
    flags.DEFINE_string("cache", None, "folder that keeps features, by content, for the next time")
    flags.DEFINE_string(
        "save_statistics", None, "write the reference's (or, without one, the samples') here, .npz"
    )
    flags.DEFINE_integer("splits", 10, "of the Inception Score", lower_bound=1)
    flags.DEFINE_integer(
        "shuffle_seed", None, "shuffle before splitting; torch-fidelity: 2020; slim: 0; else not"
    )
    flags.DEFINE_integer(
        "drop_remainder", None, "leave out what fills no batch of this; slim: 64; else nothing", 1
    )
    flags.DEFINE_integer("subsets", 100, "of the kernel distance", lower_bound=1)
    flags.DEFINE_integer(
        "subset_size", 1000, "images in a subset of the kernel distance", lower_bound=2
    )
    flags.DEFINE_integer("k", 3, "neighbour of precision and recall", lower_bound=1)
    flags.DEFINE_integer("density_k", 5, "neighbour of density and coverage", lower_bound=1)
    flags.DEFINE_integer("pairs", 100, "of MS-SSIM", lower_bound=1)
    flags.DEFINE_integer("scales", 5, "of MS-SSIM; five need sides of 176", lower_bound=1)
    flags.DEFINE_string(
        "text_encoder",
        None,
        "a preset or checkpoint; the one of the checkpoint's training by default",
    )
    flags.DEFINE_string(
        "data_dir", None, "folder of the prepared data whose captions a checkpoint draws"
    )
    flags.DEFINE_enum(
        "by", None, ["generator", "descriptor"], "CoopNet's player that draws; the generator"
    )
    flags.DEFINE_integer("seed", 1, "of the latents")
    flags.DEFINE_string("out", None, "also write the scores and their protocol to this JSON file")
    recipe.start(shell)


if __name__ == "__main__":
    main()
