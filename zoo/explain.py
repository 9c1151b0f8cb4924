"""Find what a classifier looks at: the attributes of a StylEx, how many images they flip, and a page to look at them.

    python -m zoo.explain --checkpoint=runs/stylex_quick/checkpoints/stylex_digits_8_9_32_G_epoch_60.h5
    python -m zoo.explain --checkpoint=FOLDER --images=FOLDER --names=healthy,sick --k=10 --out=explained

Writes attributes.npz (`kerasgan.models.attfind.Attributes.load` reads it), the same numbers and how they came about in
attributes.json, and a page, index.html. Attributes are found in the images that the checkpoint was trained on, and
their sufficiency is that of held-out ones; of a folder, in one part of it and of the other.
"""

import functools
import pathlib

import numpy as np
from absl import flags
from PIL import Image, ImageOps

from kerasgan import report
from kerasgan.datasets.image_source import image_source
from kerasgan.images import from_uint8, to_uint8
from kerasgan.io import files, presets
from kerasgan.models import attfind, style_probe
from kerasgan.models.stylex import StylEx
from zoo import classifier, recipe, sample
from zoo.command import shell_command

FLAGS = flags.FLAGS
STRATEGIES = {
    "shared": attfind.shared,
    "independent": attfind.independent,
    "subset": attfind.subset,
}
LEAST = 10  # images


def run(
    model,
    training,
    heldout,
    folder,
    *,
    k=10,
    target=0,
    names=None,
    count=250,
    strategies=("shared",),
    shown=6,
    batch_size=64,
    about=None,
    command=None,
    **options,
):
    """Find attributes, measure their sufficiency, and write all of it to a folder, which is made if need be.

    Args:
        model: a trained `StylEx`.
        training, heldout: float images [N, H, W, C] in [-1, 1], to find attributes in and to flip.
        folder: of the page.
        k: attributes to find, and to apply together.
        target: the class that is told from the rest.
        names: of the classes.
        count: images to find attributes in, half of them predicted the target, where there are as many.
        strategies: of `STRATEGIES`; the first counts.
        shown: pictures of each attribute.
        batch_size: moves tried at a time.
        about: for the protocol: which model and which images these are.
        command: shown on the page.
        **options: of `attfind.attfind`.

    Returns:
        `(attributes, sufficiencies)`.
    """
    folder = pathlib.Path(folder)
    if (folder / "index.html").exists() and not (folder / "attributes.json").exists():
        raise ValueError(f"--out must name a folder that holds no other page; received {folder}")
    unknown = [name for name in strategies if name not in STRATEGIES]
    if unknown or not strategies:
        raise ValueError(
            f"--strategies must be of {', '.join(STRATEGIES)}; received {','.join(unknown) or 'none'}"
        )
    for what, images in (("to find attributes in", training), ("held out", heldout)):
        if len(images) < LEAST:
            raise ValueError(f"images {what} must be at least {LEAST}; received {len(images)}")
    probe = style_probe.Probe(model, batch_size)
    names = [f"class {c}" for c in range(probe.classes)] if names is None else list(names)
    if len(names) != probe.classes:
        raise ValueError(
            f"--names must be one for each of {probe.classes} classes; received {','.join(names)}"
        )
    if not 0 <= target < probe.classes:
        raise ValueError(f"--target must be a class, 0 .. {probe.classes - 1}; received {target}")
    attributes = attfind.attfind(
        probe, balanced(probe, training, count, target), target, count=k, **options
    )
    sufficiencies = [
        attfind.sufficiency(probe, heldout, attributes, k, strategy=STRATEGIES[name])
        for name in strategies
    ]
    encoded = probe.encode(heldout)
    parts = style_probe.batches(heldout, batch_size)
    seen = np.concatenate([model.classifier.predict_on_batch(part) for part in parts])
    protocol = {**(about or {}), **attributes.protocol, "shift_size": attributes.shift_size}
    protocol |= {
        "heldout_images": len(heldout),
        "drawings_flipped": "those of held-out images, clipped to [-1, 1]",
        "drawings_predicted_as_their_images": float(
            (encoded.logits.argmax(1) == seen.argmax(1)).mean()
        ),
    }
    rest = names[1 - target] if probe.classes == 2 else "the rest"
    found = {
        "target": names[target],
        "rest": rest,
        "classes": names,
        "sufficiency": sufficiencies,
        "protocol": protocol,
        "unit": "probability" if options.get("probabilities") else "logit",
    }
    chosen = both_sides(encoded.logits.argmax(1) == target, shown)
    examples = heldout[chosen]
    rows = [
        row | {"pictures": pictures, "probabilities": chances}
        for row, pictures, chances in zip(
            attributes.rows(), *attfind.traversals(probe, examples, attributes), strict=True
        )
    ]
    pictures, chances = attfind.additions(probe, examples, attributes, k)
    together = {
        "pictures": np.concatenate([to_uint8(examples)[:, None], pictures], axis=1),
        "probabilities": np.concatenate(
            [style_probe.softmax(seen[chosen])[:, target : target + 1], chances], axis=1
        ),
    }
    files.make_folder(folder)
    attributes.save(folder / "attributes.npz")
    record = {
        "command": command,
        "attributes": attributes.rows(),
        **found,
        "versions": recipe.versions(),
    }
    files.write_json(folder / "attributes.json", record)
    title = f"{names[target]} or {rest}: what the classifier looks at"
    report.attributes_page(
        folder, found | {"attributes": rows, "together": together}, title, command
    )
    return attributes, sufficiencies


def balanced(probe, images, count, target):
    """At most `count` of the images, as many that are predicted the target as not, where there are."""
    images = images[: 10 * count]
    return images[both_sides(probe.encode(images).logits.argmax(axis=1) == target, count)]


def both_sides(of_target, count):
    """Places of `count` images, the first ones, half of them on each side where there are as many."""
    ours, theirs = np.flatnonzero(of_target), np.flatnonzero(~of_target)
    half = min(len(ours), max(count // 2, count - len(theirs)))
    return np.sort(np.concatenate([ours[:half], theirs[: count - half]]))


# === Images ===


def load(about, size, channels, data=None, classes=None):
    """The images that a StylEx was trained on, held-out ones of the same kind, and the names of the classes.

    Args:
        about: what its file says of itself.
        size, channels: of its images.
        data, classes: as of `zoo.classifier`, in place of those of the file.
    """
    data, classes = data or about.get("data"), classes or about.get("classes")
    if not data or not classes:
        raise ValueError(
            "the checkpoint does not say what it was trained on: give --data and --classes, or --images"
        )
    training, heldout, names = classifier.load(
        data, classes, size, channels, about.get("drawn", 4000)
    )
    if training[0].shape[-1] != channels:
        raise ValueError(
            f"{data} are images of {training[0].shape[-1]} channels; the model's have {channels}"
        )
    return training[0], heldout[0], names


def load_images(folder, size, channels, count=250, seed=0):
    """Images of a folder, cropped to their central square and resized, in two parts: at most `count`, and others."""
    images = []
    for batch in image_source(folder, convert=True, mixed_sizes=True):
        for image in batch:
            image = Image.fromarray(image).convert("L" if channels == 1 else "RGB")
            image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
            images.append(np.asarray(image).reshape(size, size, channels))
    if len(images) < 2 * LEAST:
        raise ValueError(
            f"--images must hold at least {2 * LEAST} images; received {len(images)} in {folder}"
        )
    images = from_uint8(np.stack(images))[np.random.default_rng(seed).permutation(len(images))]
    most = min(10 * count, len(images) // 2)
    return images[:most], images[most:]


# === The shell ===


def shell(arguments):
    if FLAGS.checkpoint is None:
        raise ValueError(
            f"--checkpoint must name a file or a preset ({', '.join(presets.names())}); received none"
        )
    if FLAGS.images and (FLAGS.data or FLAGS.classes):
        raise ValueError("give --data and --classes, or --images; received both")
    model, about = sample.load(FLAGS.checkpoint), sample.about(FLAGS.checkpoint)
    if not isinstance(model, StylEx):
        raise ValueError(
            f"--checkpoint must be a StylEx's; received {FLAGS.checkpoint}, a {type(model).__name__}"
        )
    size, _, channels = model.image_shape
    if FLAGS.images:
        told, names = {"images_of": FLAGS.images}, None
        training, heldout = load_images(FLAGS.images, size, channels, FLAGS.count, FLAGS.seed)
    else:
        told = {
            "images_of": f"{FLAGS.data or about.get('data')}, {FLAGS.classes or about.get('classes')}"
        }
        training, heldout, names = load(about, size, channels, FLAGS.data, FLAGS.classes)
    folder = pathlib.Path(
        FLAGS.out or recipe.RUNS / f"explain_{pathlib.Path(FLAGS.checkpoint).stem}"
    )
    command = shell_command("zoo.explain", without=("out",))
    selector = attfind.select if FLAGS.selector == "effect" else attfind.select_often
    if FLAGS.max_effect is not None:
        if selector is not attfind.select:
            raise ValueError("--max_effect is of --selector=effect")
        selector = functools.partial(selector, max_effect=FLAGS.max_effect)
    attributes, sufficiencies = run(
        model,
        training,
        heldout[: FLAGS.heldout],
        folder,
        k=FLAGS.k,
        target=FLAGS.target,
        names=FLAGS.names or names,
        count=FLAGS.count,
        strategies=FLAGS.strategies,
        batch_size=FLAGS.batch_size,
        command=command,
        about={"checkpoint": FLAGS.checkpoint, "weights_sha256": about.get("sha256")} | told,
        selector=selector,
        probabilities=FLAGS.probabilities,
        shift_size=FLAGS.shift_size,
        same_class=FLAGS.same_class,
    )
    for place, row in enumerate(attributes.rows(), 1):
        towards, away = row["effect_towards_target"], row["effect_towards_rest"]
        print(
            f"{place:3} {row['layer']:>10} {row['index']:4} {row['direction']}  {towards:+.3f}  {away:+.3f}"
        )
    for found in sufficiencies:
        shares = " ".join(f"{100 * share:.1f}" for share in found["all"])
        print(
            f"flipped, in %, by 1, 2 ... attributes ({found['strategy']}, {found['images']} images): {shares}"
        )
    print(f"the page: {folder / 'index.html'}")


def main():
    flags.DEFINE_string(
        "checkpoint",
        None,
        "a file …_G_epoch_n.h5, a preset's name or a preset's folder, of a StylEx",
    )
    flags.DEFINE_string("data", None, "as of zoo.classifier; the checkpoint's own by default")
    flags.DEFINE_string("classes", None, "as of zoo.classifier; the checkpoint's own by default")
    flags.DEFINE_string(
        "images", None, "instead, a folder of images, half of them to find attributes in"
    )
    flags.DEFINE_list(
        "names", None, "of the classes, such as healthy,sick; those of the data by default"
    )
    flags.DEFINE_integer("target", 0, "the class that is told from the rest")
    flags.DEFINE_integer("k", 10, "attributes to find, and to apply together", lower_bound=1)
    flags.DEFINE_integer("count", 250, "images to find attributes in", lower_bound=LEAST)
    flags.DEFINE_integer("heldout", 1000, "images to flip, at most", lower_bound=LEAST)
    flags.DEFINE_list(
        "strategies",
        ["shared"],
        f"of {', '.join(STRATEGIES)}; the last two take an image much longer",
    )
    flags.DEFINE_enum(
        "selector", "effect", ["effect", "often"], "by effect, or by the images that are changed"
    )
    flags.DEFINE_float(
        "max_effect", None, "effect in sum from which an image counts as explained; 1 by default"
    )
    flags.DEFINE_bool(
        "same_class", False, "explain images of a class by the class itself, as the reproduction"
    )
    flags.DEFINE_bool("probabilities", False, "effects on probabilities instead of logits")
    flags.DEFINE_float(
        "shift_size", 1.0, "how much of the way to the end of its range a coordinate goes"
    )
    flags.DEFINE_integer("batch_size", 64, "moves tried at a time", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "of a folder's parts")
    flags.DEFINE_string("out", None, "folder of the page; runs/explain_<checkpoint> by default")
    recipe.start(shell)


if __name__ == "__main__":
    main()
