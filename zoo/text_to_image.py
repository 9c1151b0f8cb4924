"""Trains a text-to-image model on your own images with captions.

    python -m zoo.text_to_image --data=FOLDER
    python -m zoo.text_to_image --data=FOLDER --size=256
    python -m zoo.text_to_image --data=FOLDER --preset=quick

FOLDER holds images and captions.jsonl, or x.txt beside x.jpg. The command

1. chooses test images, unless FOLDER has sub-folders train and test;
2. trains a text encoder and an image encoder on the captions, and a second pair for the evaluation;
3. trains a ProjectedTextGAN at 64 pixels and then at larger sizes;
4. writes index.html (samples beside captions, real images, R-precision) and the folder preset,
   which `ProjectedTextGAN.from_preset` and `zoo.sample` load.

Batch size, number of steps and augmentation follow from the number of images and are printed with
the reasons. The same command resumes where it stopped.

Presets:

- `full`: runs all steps; some minutes for a hundred images on a CPU, hours for thousands.
- `quick`: runs a sixth of the steps.
"""

import dataclasses
import hashlib
import pathlib
import sys
from collections.abc import Callable
from typing import Any

from zoo import (
    cli,
    lazy,
    own_captions,
    projected_birds,
    recipe,
    scale,
    settings as fields,
    stages,
    text_gan,
)
from zoo.command import shell_command
from zoo.settings import Checked, check_same_run, setting

np = lazy.module("numpy")
images = lazy.module("kerasgan.images")
report = lazy.module("kerasgan.report")
captioned = lazy.module("kerasgan.datasets.captioned")
console = lazy.module("kerasgan.io.console")
files = lazy.module("kerasgan.io.files")
locks = lazy.module("kerasgan.io.locks")
side_files = lazy.module("kerasgan.io.side_files")
r_precision = lazy.module("kerasgan.metrics.r_precision")
gans = lazy.module("kerasgan.models.projected_text_gan")
robust_image_encoder = lazy.module("zoo.robust_image_encoder")
text_encoder = lazy.module("zoo.text_encoder")

SIZES = (64, 128, 256)
CANDIDATES = 100  # different captions, at most, among which an image's own must rank first
FAKES = 200  # images that are scored, at least
OTHERS = 2000  # images from which on the evaluation encoders have images of their own


@dataclasses.dataclass(frozen=True)
class Settings(projected_birds.Settings):
    """Settings of one stage."""

    data: str = fields.data("", "Folder of images with captions.")
    evaluation_encoder: str = setting(
        "", "Folder of the text and image encoder that measure R-precision.", group="networks"
    )


# === Data ===


def parts(data: str, size: int) -> dict[str, Any]:
    """Returns the images for training, evaluation encoders and testing, cropped from `size`.

    If there are `OTHERS` images or more, half of the test images are for the evaluation encoders
    alone. If there are fewer, these train on the training images.
    """
    found = own_captions.splits(data, size)
    train, test = found["train"], found["test"]
    if len(train) + len(test) < OTHERS:
        return {"train": train, "evaluation": train, "test": test}
    half = np.arange(len(test)) < len(test) // 2
    return {
        "train": train,
        "evaluation": test.subset(np.flatnonzero(half)),
        "test": test.subset(np.flatnonzero(~half)),
    }


def source_size(size: int) -> int:
    """Returns the size of the images that are cropped to `size`: 76 for 64."""
    return size * 19 // 16


def data(settings: Settings) -> Any:
    """Returns the training batches."""
    train = parts(settings.data, source_size(settings.size))["train"]
    return captioned.CaptionedBatches(
        train.embed(text_gan.encoder(settings.text_encoder)),
        settings.batch_size,
        settings.size,
        settings.captions,
        settings.seed,
        flip=not own_captions.names_sides(train),
        repeats=settings.repeats or 1,
        mismatched=False,
    )


def expected_shape(settings: Settings) -> scale.DataShape:
    """Returns the shape of the data."""
    count = len(parts(settings.data, source_size(settings.size))["train"])
    steps = max((settings.repeats or 1) * (count // settings.batch_size), 1)
    dim = text_gan.encoder(settings.text_encoder).dim
    shape = (settings.size, settings.size, 3)
    return scale.DataShape(shape, num_batches=steps, embedding_dim=dim)


def build(settings: Settings, shape: scale.DataShape | None = None) -> Any:
    """Returns the compiled `ProjectedTextGAN`."""
    return projected_birds.build(settings, shape or expected_shape(settings))


# === Samples and scores ===


def different_captions(found: dict[str, Any], most: int = CANDIDATES) -> list[str]:
    """Returns the first captions of test images, then of training images, each once."""
    first = [captions[0] for split in ("test", "train") for captions in found[split].captions]
    return list(dict.fromkeys(first))[:most]


def sample_grid(settings: Settings) -> Callable:
    """Returns a function that maps a model to a sheet of captions, each with an image."""
    captions = different_captions(parts(settings.data, source_size(settings.size)), 16)
    embeddings = text_gan.encoder(settings.text_encoder)(captions)
    return lambda model: images.captioned_sheet(
        captions, model.sample(embeddings=embeddings, seed=0, sizes="all"), columns=2
    )


def score(settings: Settings) -> Callable:
    """Returns the scoring function: R-precision of generated and of real test images."""
    found = parts(settings.data, source_size(settings.size))
    captions = different_captions(found)
    encoder = settings.evaluation_encoder
    texts, view = text_gan.encoder(encoder)(captions), text_gan.image_encoder(encoder)
    embeddings = text_gan.encoder(settings.text_encoder)(captions)
    own, real = _test_images(found["test"], captions, settings.size)
    other_images = found["evaluation"] is not found["train"]
    learnt = "half of the test images" if other_images else "the training images, another seed"
    about = {
        "r_precision": f"the own caption ranks first of {len(captions)} different captions "
        "(cosine similarity)",
        "encoders": f"trained on {learnt}; the generator never learnt from them",
        "real": f"{len(real)} test images, which no encoder was trained on",
    }

    def scores(model, samples):
        each = -(-FAKES // len(captions))
        rows = np.repeat(np.arange(len(captions)), each)
        fakes = model.sample(embeddings=embeddings[rows], seed=1)
        precision = r_precision.caption_precision
        return {
            "r_precision": precision(view(fakes), texts, rows),
            "r_precision_chance": 1 / len(captions),
            "r_precision_data": precision(view(real), texts, own),
            "protocol": about | {"samples": f"{len(fakes)}, latents of seed 1"},
        }

    return scores


def _test_images(test, captions, size):
    """Indices of the test images' captions, and the central crops of these images, [N, S, S, 3]."""
    chosen = [i for i, each in enumerate(test.captions) if each[0] in captions]
    own = np.array([captions.index(test.captions[i][0]) for i in chosen])
    edge = (source_size(size) - size) // 2
    cut = slice(edge, edge + size)
    return own, images.from_uint8(np.stack([test.images[i][cut, cut] for i in chosen]))


RECIPE = recipe.Recipe(
    name="text_to_image",
    description="Your own images with captions: encoders, then ProjectedTextGAN in stages.",
    settings=Settings,
    presets={"full": {}, "quick": {}},
    data=data,
    build=build,
    sample_grid=sample_grid,
    dataset=lambda settings: own_captions.name_of(settings.data),
    size=lambda settings: settings.size,
    score=score,
    monitor="r_precision",
    mode="max",
    shape=expected_shape,
    doc=__doc__,
)


# === Choices ===


@dataclasses.dataclass(frozen=True)
class Plan:
    """Settings of all parts of a run.

    Attributes:
        stages: Stages of the GAN.
        text: Settings of the text encoder, a dictionary.
        image: Settings of the frozen image encoder, a dictionary.
        reasons: Dictionary from each chosen setting to the reason.
    """

    stages: list
    text: dict
    image: dict
    reasons: dict


def plan(found: dict[str, Any], size: int, quick: bool = False, steps: int = 0) -> Plan:
    """Chooses settings by the number of training images.

    Args:
        found: Result of `parts`.
        size: Largest size of the images.
        quick: If `True`, runs a sixth of the steps.
        steps: Steps at 64 pixels. 0: chosen by the number of images.
    """
    count = len(found["train"])
    total = steps or own_captions.steps(count, 500 if quick else 3000, 6000 if quick else 36000)
    made = [
        _stage(side, own_captions.batch_size(count, most), count, max(total // part, 1))
        for side, most, part in ((64, 32, 1), (128, 16, 3), (256, 8, 4))
        if side <= size
    ]
    least = 100 if quick else 600
    batch = own_captions.batch_size(count, 64)
    image_steps = own_captions.steps(count, least, 4000)
    epochs, _ = own_captions.passes(count, batch, image_steps, least=1)
    return Plan(
        made,
        text_encoder.settings_of(count, least),
        {"batch_size": batch, "epochs": epochs},
        _reasons(found["train"], made, steps),
    )


def _stage(side, batch, count, steps):
    """Returns the stage of one image size. It scores and saves four times."""
    epochs, repeats = own_captions.passes(count, batch, steps, least=100)
    settings = {
        "size": side,
        "batch_size": batch,
        "width": 16,
        "posterior_width": 0,  # Reconstruction needs a stage of its own, see zoo.stages.
        "learning_rate": 5e-4,
        "epochs": epochs,
        "repeats": repeats,
        "translation": 8 if count < 1000 else 4 if count < 10_000 else 0,
        "decay": True,
        "grid_every": max(epochs // 10, 1),
        "score_every": max(epochs // 4, 1),
        "checkpoint_every": max(epochs // 4, 1),
        "ema_decay": 0.999 if steps >= 2000 else 0.99,
    }
    return stages.Stage(f"stage_{side}", settings)


def _reasons(train, made, given):
    """Returns a dictionary from each chosen setting to the reason."""
    listed = []
    for stage in made:
        each = stage.settings
        count = each["epochs"] * each["repeats"] * max(len(train) // each["batch_size"], 1)
        listed.append(f"{count:,} at {each['size']} pixels")
    first, mirrored = made[0].settings, not own_captions.names_sides(train)
    batch, shift = first["batch_size"], first["translation"]
    return {
        f"batch size {batch}": f"at most half the {len(train):,} training images, at most 32",
        f"steps: {', '.join(listed)}": "as given, in whole passes over the images"
        if given
        else "grow with the square root of the number of images",
        f"shifts of up to {shift} pixels": "against memorization of the few training images"
        if shift
        else "enough images",
        **(
            {"mirrored images": "no caption names left or right"}
            if mirrored
            else {"no mirrored images": "captions name left or right"}
        ),
    }


# === The run ===


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of the recipe."""

    data: str = fields.data("", "Folder of images with captions.jsonl, or with x.txt beside x.jpg.")
    size: int = setting(64, "Side of the images in pixels.", group="data", choices=SIZES)
    preset: str = setting(
        "full", "quick runs a sixth of the training steps.", choices=tuple(RECIPE.presets)
    )
    folder: str | None = setting(
        None, "Folder of the run. Default: runs/text_to_image_<name of the data>_<preset>."
    )
    text_encoder: str | None = setting(
        None,
        "Trained text encoder: a preset, a folder of zoo.text_encoder, a checkpoint, or "
        "clip:FOLDER, a preset of keras-hub's CLIP. Default: train one.",
        group="networks",
    )
    steps: int = setting(
        0, "Training steps at 64 pixels. 0: chosen by the number of images.", least=0
    )
    seed: int = fields.seed()
    dtype_policy: str = fields.dtype_policy()
    dry_run: bool = setting(False, "Print what would be trained and why, and stop.")


def run(options: Options, folder: pathlib.Path, command: str | None = None) -> dict:
    """Trains all parts that are not finished, and writes page, scores and preset to `folder`.

    Returns:
        The scores.
    """
    options, folder = _with_absolute_paths(options), pathlib.Path(folder).resolve()
    found = parts(options.data, source_size(64))
    chosen = plan(found, options.size, options.preset == "quick", options.steps)
    _print_plan(found, chosen)
    with locks.locked(folder):
        _keep_options(options, folder, found)
        encoders = _train_encoders(options, folder, found, chosen)
        names = ("data", "seed", "dtype_policy")
        changes = encoders | {name: getattr(options, name) for name in names}
        scores = stages.run(chosen.stages, folder, command, changes, base=RECIPE)
        side_files.write_json(folder / "scores.json", scores)
        _write_page(options, folder, chosen, scores, command)
    return scores


def _with_absolute_paths(options):
    """Returns the options with absolute paths, so that the files of a run can name them."""
    changes = {"data": str(pathlib.Path(options.data).expanduser().resolve())}
    name = options.text_encoder or ""
    prefix = "clip:" if name.startswith("clip:") else ""
    path = pathlib.Path(name.removeprefix(prefix)).expanduser()
    if name and path.exists():
        changes["text_encoder"] = f"{prefix}{path.resolve()}"
    return dataclasses.replace(options, **changes)


def _print_plan(found, chosen):
    count = len(different_captions(found, 10**9))
    print(
        f"{len(found['train']):,} training images, {len(found['test']):,} test images, "
        f"{count:,} different first captions"
    )
    for choice, reason in chosen.reasons.items():
        print(f"{choice} ({reason})")


def _keep_options(options, folder, found):
    """Writes the options, and a checksum of the captions. Refuses the folder of another run."""
    listed = "\n".join(
        f"{name}\t{captions}"
        for split in ("train", "test")
        for name, captions in zip(found[split].names, found[split].captions, strict=True)
    )
    new = dataclasses.asdict(options) | {
        "images": len(found["train"]) + len(found["test"]),
        "captions_sha256": hashlib.sha256(listed.encode()).hexdigest(),
    }
    new = {name: value for name, value in new.items() if name not in ("folder", "dry_run")}
    path = folder / "options.json"
    old = side_files.read_or_default(path, side_files.json_object, {})
    if old:
        check_same_run(folder, old, new)
    side_files.write_json(path, new)


def _train_encoders(options, folder, found, chosen):
    """Trains the missing encoders. Returns the settings of the stages that name them."""
    names = {
        "text_encoder": options.text_encoder or str(folder / "text_encoder"),
        "image_encoder": str(folder / "image_encoder"),
        "evaluation_encoder": str(folder / "evaluation_encoder"),
    }
    if not options.text_encoder:
        settings = text_encoder.Settings(
            output_dir=names["text_encoder"],
            data=options.data,
            seed=options.seed,
            **chosen.text,
        )
        _once("text encoder", settings, text_encoder.run, found["train"], found["test"])
    text_gan.encoder(names["text_encoder"])  # A missing one is reported before the training.
    settings = robust_image_encoder.Settings(
        output_dir=names["image_encoder"],
        data=options.data,
        seed=options.seed,
        text_encoder=names["text_encoder"],
        **chosen.image,
    )
    _once("image encoder", settings, robust_image_encoder.run, found["train"], found["test"])
    settings = text_encoder.Settings(
        output_dir=names["evaluation_encoder"],
        data=options.data,
        seed=(options.seed + 1) % 2**32,
        **text_encoder.settings_of(len(found["evaluation"])),
    )
    _once("evaluation encoders", settings, text_encoder.run, found["evaluation"], found["test"])
    return names


def _once(what, settings, train, *data):
    """Runs a training unless its log exists. The log is written last."""
    if not (pathlib.Path(settings.output_dir) / "log.json").exists():
        print(f"training the {what}: {settings.epochs} epochs")
        train(settings, *data)


def _write_page(options, folder, chosen, scores, command):
    size = options.size
    found = parts(options.data, source_size(size))
    model = gans.ProjectedTextGAN.from_preset(folder / "preset")
    captions = different_captions(found, 12)
    fakes = model.sample(captions=[caption for caption in captions for _ in range(4)], seed=0)
    rows, edge = [], (source_size(size) - size) // 2
    pool = [
        (captions_of, part, i)
        for part in (found["test"], found["train"])
        for i, captions_of in enumerate(part.captions)
    ]
    for place, caption in enumerate(captions):
        real = [part.images[i] for texts, part, i in pool if caption in texts][:4]
        real = np.stack([image[edge : edge + size, edge : edge + size] for image in real])
        rows.append((caption, images.to_uint8(fakes[4 * place : 4 * place + 4]), real))
    report.captions_page(
        folder,
        title=f"Images of captions of {own_captions.name_of(options.data)}",
        rows=rows,
        scores=scores,
        choices=chosen.reasons,
        stages=[stage.name for stage in chosen.stages],
        command=command,
    )


def command(options: Options) -> None:
    """Runs the recipe and prints the scores."""
    if not options.data:
        raise ValueError("--data must be a folder of images with captions; received none")
    name = f"{own_captions.name_of(options.data)}_{options.preset}"
    folder = pathlib.Path(
        options.folder or recipe.RUNS / recipe.folder_name("text_to_image", name, options.seed)
    ).expanduser()
    if options.dry_run:
        return dry_run(options)
    line = shell_command("zoo.text_to_image", without=("folder",))
    try:
        scores = run(options, folder, line)
    except KeyboardInterrupt:
        console.print_error(f"stopped; the same command resumes {folder}")
        sys.exit(130)
    recipe.print_scores(scores)
    print(f"the preset: {folder / 'preset'}\nthe page: {folder / 'index.html'}")


def dry_run(options: Options) -> None:
    """Prints the choices, the settings of the stages and the generator's parameter count."""
    found = parts(_with_absolute_paths(options).data, source_size(64))
    chosen = plan(found, options.size, options.preset == "quick", options.steps)
    _print_plan(found, chosen)
    for stage in chosen.stages:
        print(f"{stage.name}: " + ", ".join(f"{k} {v}" for k, v in stage.settings.items()))
    dim = chosen.text["dim"]
    if options.text_encoder:
        dim = text_gan.encoder(options.text_encoder).dim
    generator = gans.build_generator(options.size, Settings().width, embedding_dim=dim)
    print(f"generator: {generator.count_params():,} parameters at {options.size} pixels")


def main() -> None:
    cli.main("zoo.text_to_image", Options, command, description=__doc__)


if __name__ == "__main__":
    main()
