"""Finds the attributes that a classifier uses, with a StylEx, and writes a page about them.

    python -m zoo.explain --checkpoint=stylex_digits_8_9
    python -m zoo.explain --checkpoint=FOLDER --images=FOLDER --names=healthy,sick --k=10

It writes attributes.npz (read by `kerasgan.models.attfind.Attributes.load`), the same numbers with
their protocol in attributes.json, and a page, index.html. Attributes are found in the images that
the checkpoint was trained on. Their sufficiency (the share of images whose prediction they change)
is measured on held-out images. With `--images`, one part of the folder is used to find attributes,
and the other to measure their sufficiency.
"""

import dataclasses
import functools
import os
import pathlib
from typing import Any

from zoo import classifier, cli, dry_run as dry_runs, lazy, recipe, sample, settings as fields
from zoo.command import shell_command
from zoo.settings import Checked, current_names, setting

np = lazy.module("numpy")
PIL_Image = lazy.module("PIL.Image")
PIL_ImageOps = lazy.module("PIL.ImageOps")
report = lazy.module("kerasgan.report")
image_source = lazy.module("kerasgan.datasets.image_source")
image_values = lazy.module("kerasgan.images")
files = lazy.module("kerasgan.io.files")
locks = lazy.module("kerasgan.io.locks")
attfind = lazy.module("kerasgan.models.attfind")
style_probe = lazy.module("kerasgan.models.style_probe")
stylex = lazy.module("kerasgan.models.stylex")

STRATEGIES = ("shared", "independent", "subset")  # functions of `kerasgan.models.attfind`
MIN_IMAGES = 10


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of the tool."""

    checkpoint: str | None = setting(
        None, "StylEx: a checkpoint file ..._G_epoch_n.h5, or the name or folder of a preset."
    )
    out: str | None = setting(None, "Folder of the page. Default: runs/explain_<checkpoint>.")
    k: int = setting(10, "Number of attributes to find.", least=1, most=10_000)
    batch_size: int = setting(64, "Number of edited images per forward pass.", least=1)
    seed: int = fields.seed("Seed that splits the images of --images into two parts.")
    data: str | None = setting(
        None,
        "Data, see --data of zoo.classifier. Default: the data of the checkpoint's run.",
        group="data",
    )
    classes: str | None = setting(
        None,
        "Classes, see --classes of zoo.classifier. Default: those of the checkpoint's run.",
        group="data",
    )
    images: str | None = setting(
        None,
        "Folder of images to use instead of --data. Attributes are found in one half.",
        group="data",
    )
    names: tuple[str, ...] = setting(
        (),
        "Names of the classes for the page, such as healthy,sick. Default: those of the data.",
        group="data",
    )
    count: int = setting(
        250, "Number of images in which attributes are searched.", group="data", least=MIN_IMAGES
    )
    heldout: int = setting(
        1000,
        "Maximum number of held-out images, on which sufficiency is measured.",
        group="data",
        least=MIN_IMAGES,
    )
    target: int = setting(0, "Index of the class to explain.", group="method", least=0)
    strategies: tuple[str, ...] = setting(
        ("shared",),
        "Strategies that apply the attributes to held-out images: "
        f"{', '.join(STRATEGIES)}. The last two are much slower.",
        group="method",
    )
    selector: str = setting(
        "effect",
        "Criterion that selects attributes: mean effect on the images, or number of images that "
        "they change (often).",
        group="method",
        choices=("effect", "often"),
    )
    max_effect: float | None = setting(
        None,
        "With --selector=effect: total effect of the attributes found so far at which an image is "
        "left out of the search for further attributes. Default: 1.",
        group="method",
        above=0,
    )
    same_class: bool = setting(
        False,
        "Use the effects on the logit of an image's own class, as the reproduction does, instead "
        "of the other class.",
        group="method",
    )
    probabilities: bool = setting(
        False, "Use effects on probabilities instead of logits.", group="method"
    )
    shift_size: float = setting(
        1.0,
        "Size of the change of a style coordinate. 1 moves it to the end of its range.",
        group="method",
        above=0,
    )


def run(
    model: Any,
    training: Any,
    heldout: Any,
    folder: str | os.PathLike,
    *,
    k: int = 10,
    target: int = 0,
    names: Any = None,
    count: int = 250,
    strategies: tuple = ("shared",),
    shown: int = 6,
    batch_size: int = 64,
    about: dict | None = None,
    command: str | None = None,
    **options: Any,
) -> tuple[Any, list]:
    """Finds attributes, measures their sufficiency, and writes both to a folder.

    Args:
        model: A trained `StylEx`.
        training: Float images `[N, H, W, C]` in [-1, 1] to find attributes in.
        heldout: Images whose prediction is changed.
        folder: Folder of the page. It is created if necessary.
        k: Number of attributes to find and to apply together.
        target: Index of the explained class.
        names: Names of the classes.
        count: Number of images to find attributes in. Half of them are predicted as the target, if
            possible.
        strategies: Names of `STRATEGIES`. The page shows the first.
        shown: Number of example images per attribute.
        batch_size: Number of changed images computed at a time.
        about: Entries of the protocol: the model and the images.
        command: Command shown on the page.
        **options: Arguments of `attfind.attfind`.

    Returns:
        `(attributes, sufficiencies)`.
    """
    folder = pathlib.Path(folder)
    if (folder / "index.html").exists() and not (folder / "attributes.json").exists():
        raise ValueError(f"--out must name a folder that holds no other page; received {folder}")
    unknown = [name for name in strategies if name not in STRATEGIES]
    if unknown or not strategies:
        raise ValueError(
            f"--strategies must be of {', '.join(STRATEGIES)}; "
            f"received {','.join(unknown) or 'none'}"
        )
    for what, images in (("training", training), ("held-out", heldout)):
        if len(images) < MIN_IMAGES:
            raise ValueError(
                f"there must be at least {MIN_IMAGES} {what} images; received {len(images)}"
            )
    probe = style_probe.StyleProbe(model, batch_size)
    names = [f"class {c}" for c in range(probe.classes)] if names is None else list(names)
    if len(names) != probe.classes:
        raise ValueError(
            f"--names must be one for each of {probe.classes} classes; received {','.join(names)}"
        )
    if not 0 <= target < probe.classes:
        raise ValueError(f"--target must be a class, 0 .. {probe.classes - 1}; received {target}")
    examined = balanced(probe, training, count, target)
    attributes = attfind.attfind(probe, examined, target, count=k, **options)
    sufficiencies = [
        attfind.sufficiency(probe, heldout, attributes, k, strategy=getattr(attfind, name))
        for name in strategies
    ]
    found = {
        "target": names[target],
        "rest": names[1 - target] if probe.classes == 2 else "the rest",
        "classes": names,
        "sufficiency": sufficiencies,
        "unit": "probability" if options.get("probabilities") else "logit",
    }
    with locks.locked(folder):
        _write(
            folder, model, probe, attributes, heldout, found, k, shown, batch_size, about, command
        )
    return attributes, sufficiencies


def _write(folder, model, probe, attributes, heldout, found, k, shown, batch_size, about, command):
    """Writes attributes.npz, attributes.json and the page."""
    target = found["classes"].index(found["target"])
    encoded = probe.encode(heldout)
    parts = style_probe.batches(heldout, batch_size)
    predictions = np.concatenate([model.classifier.predict_on_batch(part) for part in parts])
    agree = encoded.logits.argmax(1) == predictions.argmax(1)
    found["protocol"] = {
        **(about or {}),
        **attributes.protocol,
        "shift_size": attributes.shift_size,
        "heldout_images": len(heldout),
        "reconstructions_changed": "those of held-out images, clipped to [-1, 1]",
        "reconstructions_predicted_as_their_images": float(agree.mean()),
    }
    chosen = both_sides(encoded.logits.argmax(1) == target, shown)
    examples = heldout[chosen]
    traversals = attfind.traversals(probe, examples, attributes)
    rows = [
        row | {"pictures": pictures, "probabilities": chances}
        for row, pictures, chances in zip(attributes.rows(), *traversals, strict=True)
    ]
    pictures, chances = attfind.cumulative_counterfactuals(probe, examples, attributes, k)
    before = style_probe.softmax(predictions[chosen])[:, target : target + 1]
    originals = image_values.to_uint8(examples)[:, None]
    together = {
        "pictures": np.concatenate([originals, pictures], axis=1),
        "probabilities": np.concatenate([before, chances], axis=1),
    }
    attributes.save(folder / "attributes.npz")
    record = {
        "command": command,
        "attributes": attributes.rows(),
        **found,
        "versions": recipe.versions(),
    }
    files.write_json(folder / "attributes.json", record)
    title = f"{found['target']} or {found['rest']}: the attributes that the classifier uses"
    page = found | {"attributes": rows, "together": together}
    report.attributes_page(folder, page, title, command)


def balanced(probe: Any, images: Any, count: int, target: int) -> Any:
    """Returns at most `count` of the images, half of them predicted as the target if possible."""
    images = images[: 10 * count]
    return images[both_sides(probe.encode(images).logits.argmax(axis=1) == target, count)]


def both_sides(of_target: Any, count: int) -> Any:
    """Returns the indices of `count` elements, half of them true and half false if possible."""
    ours, theirs = np.flatnonzero(of_target), np.flatnonzero(~of_target)
    half = min(len(ours), max(count // 2, count - len(theirs)))
    return np.sort(np.concatenate([ours[:half], theirs[: count - half]]))


# === Images ===


def load(
    about: dict, size: int, channels: int, data: str | None = None, classes: str | None = None
) -> tuple[Any, Any, list]:
    """Returns the images that a StylEx was trained on, held-out ones, and the names of the classes.

    Args:
        about: Information of its file.
        size: Side of its images.
        channels: Channels of its images.
        data: Data as for `zoo.classifier`, instead of those of the file.
        classes: Classes as for `zoo.classifier`, instead of those of the file.
    """
    about = current_names(about)
    data, classes = data or about.get("data"), classes or about.get("classes")
    if not data or not classes:
        raise ValueError(
            "the checkpoint does not name its data: give --data and --classes, or --images"
        )
    count = about.get("num_images", 4000)
    training, heldout, names = classifier.load(data, classes, size, channels, count)
    if training[0].shape[-1] != channels:
        raise ValueError(
            f"{data} are images of {training[0].shape[-1]} channels; the model's have {channels}"
        )
    return training[0], heldout[0], names


def load_images(
    folder: str, size: int, channels: int, count: int = 250, seed: int = 0
) -> tuple[Any, Any]:
    """Returns the images of a folder in two parts, cropped to their central square and resized.

    The first part has at most `10 * count` images.
    """
    images = []
    for batch in image_source.image_source(folder, convert=True, mixed_sizes=True):
        for image in batch:
            image = PIL_Image.fromarray(image).convert("L" if channels == 1 else "RGB")
            resampling = PIL_Image.Resampling.BICUBIC
            image = PIL_ImageOps.fit(image, (size, size), resampling)
            images.append(np.asarray(image).reshape(size, size, channels))
    if len(images) < 2 * MIN_IMAGES:
        raise ValueError(
            f"--images must hold at least {2 * MIN_IMAGES} images; received {len(images)} in "
            f"{folder}"
        )
    order = np.random.default_rng(seed).permutation(len(images))
    images = image_values.from_uint8(np.stack(images))[order]
    most = min(10 * count, len(images) // 2)
    return images[:most], images[most:]


# === The command ===


def load_model(options: Options) -> tuple[Any, dict, str]:
    """Returns the `StylEx`, the information of its file and the file or preset.

    Raises:
        ValueError: If options exclude each other or the checkpoint is not a `StylEx`.
    """
    checkpoint = sample.check_checkpoint(options.checkpoint)
    if options.images and (options.data or options.classes):
        raise ValueError("give --data and --classes, or --images; received both")
    if options.max_effect is not None and options.selector != "effect":
        raise ValueError("--max_effect needs --selector=effect")
    model, about = sample.load(checkpoint), sample.about(checkpoint)
    if not isinstance(model, stylex.StylEx):
        raise ValueError(f"--checkpoint must be a StylEx; {checkpoint} is a {type(model).__name__}")
    return model, about, checkpoint


def dry_run(options: Options) -> None:
    """Prints the options, the size of the search and a missing folder."""
    model, about, _ = load_model(options)
    data = options.images or options.data or about.get("data") or ""
    coordinates = sum(layer.affine.units for layer in model.generator.style_layers)
    passes = -(-2 * coordinates * options.count // options.batch_size)
    folder = data if data not in classifier.NAMED and not pathlib.Path(data).is_dir() else None
    notes = [
        f"{'images of':24} {data}",
        f"{'style coordinates':24} {coordinates:,}, each changed in 2 directions",
        f"{'search':24} {passes:,} forward passes of {options.batch_size} images",
        f"missing: the folder {folder}" if folder is not None else None,
    ]
    dry_runs.show(options, {"generator": dry_runs.count(model.generator)}, notes=notes)


def command(options: Options) -> None:
    """Runs the tool and prints the attributes."""
    model, about, checkpoint = load_model(options)
    size, _, channels = model.image_shape
    if options.images:
        source, names = options.images, None
        training, heldout = load_images(options.images, size, channels, options.count, options.seed)
    else:
        data, classes = options.data or about.get("data"), options.classes or about.get("classes")
        source = f"{data}, {classes}"
        training, heldout, names = load(about, size, channels, options.data, options.classes)
    default = recipe.RUNS / f"explain_{pathlib.Path(checkpoint).stem}"
    folder = pathlib.Path(options.out or default)
    attributes, sufficiencies = run(
        model,
        training,
        heldout[: options.heldout],
        folder,
        k=options.k,
        target=options.target,
        names=options.names or names,
        count=options.count,
        strategies=options.strategies,
        batch_size=options.batch_size,
        command=shell_command("zoo.explain", without=("out",)),
        about={
            "checkpoint": checkpoint,
            "weights_sha256": about.get("sha256"),
            "images_of": source,
        },
        selector=_selector(options),
        probabilities=options.probabilities,
        shift_size=options.shift_size,
        same_class=options.same_class,
    )
    print_attributes(attributes, sufficiencies)
    print(f"the page: {folder / 'index.html'}")


def _selector(options):
    if options.selector == "often":
        return attfind.select_by_count
    if options.max_effect is None:
        return attfind.select_by_effect
    return functools.partial(attfind.select_by_effect, max_effect=options.max_effect)


def print_attributes(attributes: Any, sufficiencies: list) -> None:
    """Prints the attributes with their effects, and the share of images that they change."""
    for place, row in enumerate(attributes.rows(), 1):
        effects = f"{row['effect_towards_target']:+.3f}  {row['effect_towards_rest']:+.3f}"
        name = f"{row['layer']:>10} {row['index']:4} {row['direction']}"
        print(f"{place:3} {name}  {effects}")
    for found in sufficiencies:
        shares = " ".join(f"{100 * share:.1f}" for share in found["all"])
        kind = f"{found['strategy']}, {found['images']} images"
        print(f"predictions changed by 1, 2 ... attributes, in % ({kind}): {shares}")


def main() -> None:
    cli.main("zoo.explain", Options, command, description=__doc__, dry_run=dry_run)


if __name__ == "__main__":
    main()
