"""The notes' scores: train (or take a checkpoint), sample, score, and put the number beside the noted one.

    python -m benchmarks scores                              each row: noted, reproduced, or what is missing
    python -m benchmarks scores birds-256-noimg-597 --inception=birds_valid299/model.ckpt
    python -m benchmarks scores birds-256-noimg-597 --checkpoint=FILE --inception=PREFIX
    python -m benchmarks scores birds-256-gl-ncric500 --mode=training      the mistake of the withdrawn rows
    python -m benchmarks scores --scale=drawn                the ladder of rows, small, on drawn birds

Protocol of the noted scores: Inception Score, mean and deviation over 10 splits, of k samples of the first caption of
each test image; birds and flowers by StackGAN's fine-tuned Inception, shuffled, the last partial batch of 64 dropped;
COCO by the Inception of 2015-12-05. No data or no weights: no score, and a line that says what is missing. The drawn
ladder trains the same settings at width 8 for a few epochs, and is scored by the bird judge, in columns of its own.
"""

import csv
import dataclasses
import functools
import importlib
import json
import pathlib
import statistics as averages

import numpy as np
from absl import flags
from keras import ops

from benchmarks import timing
from benchmarks.claims import runner, verdicts
from kerasgan.datasets.image_source import image_source
from kerasgan.datasets.prepared import prepared_folder
from kerasgan.datasets.synthetic_birds import parse_caption, synthetic_birds
from kerasgan.images import to_uint8
from kerasgan.io import checkpoints, files
from kerasgan.metrics.features import inception
from kerasgan.metrics.frechet import frechet_distance, statistics
from kerasgan.metrics.inception_score import inception_score
from kerasgan.metrics.ms_ssim import mean_ms_ssim
from kerasgan.metrics.protocols import bird_attributes
from kerasgan.metrics.protocols.birds import pick
from zoo import evaluate, recipe, text_gan

FLAGS = flags.FLAGS
HERE = pathlib.Path(__file__).parent
NOTED, RESULTS, RUNS = (
    HERE / "noted_scores.csv",
    HERE / "results" / "scores.json",
    pathlib.Path("runs") / "scores",
)
BATCH = 16  # pictures drawn at a time; in training mode it changes them
EACH = {
    "birds": 10,
    "flowers": 26,
    "coco": 1,
}  # samples of a test image, where the note does not give their number
IMAGES = {"birds": 2933, "flowers": 1155, "coco": 40504}  # of the test splits
LAST = {"birds": 600, "flowers": 600, "coco": 261}  # epochs that the drawn ladder's few stand for

# run -> what differs from the preset `noted` of birds_256 or flowers_256, or `paper` of coco_64 or coco_128.
NEVER, ALWAYS = {"critic_epochs": 0}, {"critic_epochs": -1}
CHANGES = {
    "zz_mmgan_plain_gl_disc_birds_256": {},
    "eval_bs_1testing_num_11": {},
    "zz_mmgan_plain_gl_disc_ncric_fulglo_256_birds_256": {"image_loss": "global"},
    "gen_origin_disc_global_no_img_birds_[64, 128, 256]": {"image_loss": "none"},
    "gen_origin_disc_both_birds_[64, 128, 256]": {"image_loss": "both"},
    "zz_mmgan_plain_gl_disc_ncric_single_256_birds_256": {"sizes": "256"},
    "zz_mmgan_plain_gl_disc_ncric_comb_64_256v2_birds_256": {"sizes": "64,256"},
    "zz_mmgan_plain_gl_disc_ncric_comb_128_256_birds_256": {"sizes": "128,256"},
    "zz_mmgan_plain_gl_disc_continue_ncric_birds_256": ALWAYS,
    "balanced disc": NEVER,
    "unbalanced disc (ncric=5)": ALWAYS,
    "zz_mmgan_plain_gl_disc_baldg2_flowers_256": NEVER,
    "zz_mmgan_plain_gl_disc_ncric_flowers_256": {"critic_epochs": 100},
    "zz_mmgan_plain_gl_disc_ncric10_flowers_256": {"critic_epochs": 10},
    "gen_origin_disc_origin_coco_[64]": {"image_loss": "global"},
    "gen_origin_disc_origin_coco_[64, 128]": {"image_loss": "global"},
}
SAME = {
    "eval_bs_1testing_num_11": "zz_mmgan_plain_gl_disc_birds_256"
}  # other samples of a run that is there
# What the noted scores say of each other, which the drawn ladder tests: the first of each pair is the better one.
ORDERINGS = {
    "supervised at 64 and 256, not at 256 alone": ("birds-256-comb64", "birds-256-single"),
    "supervised at 128 and 256, not at 256 alone": ("birds-256-comb128", "birds-256-single"),
    "pairs alone, no image loss, not both": ("birds-256-noimg-597", "birds-256-both-405"),
    "larger outputs: 256, not 64": ("birds-256-gl-ncric500", "birds-256-gl-ncric500-64"),
    "inference mode, not training mode": ("birds-256-gl-ncric400", "birds-256-wrong-400"),
}


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of noted_scores.csv."""

    id: str
    system: str
    dataset: str
    resolution: int
    run: str
    epoch: int  # 500 where the note gives none
    samples: int | None
    mean: float
    deviation: float
    status: str  # valid, withdrawn (scored in training mode) or reference (StackGAN's own)
    remark: str

    @property
    def each(self):
        """Samples of a test image."""
        if self.run.endswith("num_11"):
            return 11
        return round(self.samples / IMAGES[self.dataset]) if self.samples else EACH[self.dataset]

    @property
    def checkpoint(self):
        """The name that the notes give or would give."""
        return f"{self.run}_G_epoch_{self.epoch}.h5"

    @property
    def settings(self):
        """What differs from the recipe's preset."""
        return CHANGES[self.run]

    def recipe(self):
        """The recipe's name, and its preset."""
        if self.dataset == "coco":
            return ("coco_128" if "128" in self.run else "coco_64"), "paper"
        return f"{self.dataset}_256", "noted"


@functools.cache
def rows():
    """id -> `Row`."""
    with open(NOTED, newline="") as file:
        return {
            row["id"]: Row(
                row["id"],
                row["system"],
                row["dataset"],
                int(row["resolution"]),
                row["run"],
                int(row["epoch"] or 500),
                int(row["samples"]) if row["samples"] else None,
                float(row["is_mean"]),
                float(row["is_std"]),
                row["note_status"],
                row["remark"],
            )
            for row in csv.DictReader(file)
        }


def chosen(ids):
    """The named rows, or all. Raises ValueError for another name."""
    unknown = [name for name in ids if name not in rows()]
    if unknown:
        raise ValueError(f"a score must be one of noted_scores.csv; received {unknown[0]!r}")
    return [rows()[name] for name in ids or rows()]


def missing(row, weights=None, data_dir=None):
    """What this machine lacks for a row, in a line, or None."""
    if row.status == "reference":
        return "StackGAN's own numbers, for reference; it is not part of this project"
    folder = prepared_folder(row.dataset, data_dir)
    if not (folder / "dataset_info.json").exists():
        return f"the {row.dataset} data: python -m zoo.prepare {row.dataset} --source=DIR"
    if row.dataset == "coco":
        found = weights or any(
            (inception.home() / name).is_file() for name in (inception.CONVERTED, inception.GRAPH)
        )
        return (
            None
            if found
            else "the Inception of 2015-12-05: python -m zoo.prepare inception --weights=FILE"
        )
    if not weights:
        return (
            f"StackGAN's Inception of {row.dataset}: --inception={row.dataset}_valid299/model.ckpt"
        )
    return None


# === The noted protocol ===


def reproduce(row, seed, weights, runs=RUNS, checkpoint=None, training=False, data_dir=None):
    """Trains if there is no checkpoint, samples and scores a row as noted: a dictionary with is_mean and is_std."""
    name, preset = row.recipe()
    kind = importlib.import_module(f"zoo.{name}").RECIPE
    changes = row.settings | {"seed": seed, "data_dir": data_dir or ""}
    path = checkpoint or trained(
        kind, preset, changes, row.epoch, pathlib.Path(runs) / slug(row.run, seed)
    )
    model = checkpoints.load_sampling_model(path)[0]
    test = text_gan.load(
        row.dataset, "val" if row.dataset == "coco" else "test", data_dir or "", 0, 0, ""
    )
    embeddings = np.repeat(
        test.embeddings[:, 0], row.each, axis=0
    )  # the first caption, as the notes' sampler
    noise = model.noise(len(embeddings), latents_seed(row, seed))

    def batches():
        for pictures in drawn(model, embeddings, noise, training):
            yield to_uint8(pictures[row.resolution])

    fine_tuned = row.dataset != "coco"
    by = evaluate.extractor("slim" if fine_tuned else "inception", weights)
    options = {"batch": 64, "shuffle_seed": seed} if fine_tuned else {}
    found = evaluate.evaluate(
        image_source(batches, count=len(embeddings) // BATCH * BATCH),
        None,
        by,
        ["is"],
        splits=10,
        **options,
    )
    mode = f"training mode, batches of {BATCH}" if training else "inference mode"
    return {
        "is_mean": found["inception_score_mean" if not fine_tuned else "classifier_score_mean"],
        "is_std": found["inception_score_std" if not fine_tuned else "classifier_score_std"],
        "protocol": found["protocol"]
        | {"mode": mode, "samples_of_an_image": row.each, "caption": "the first"},
    }


def trained(kind, preset, changes, epoch, folder):
    """The generator's file of a run at an epoch, trained up to it if need be and kept in `folder`/kept."""
    kept = folder / "kept"
    found = checkpoints.latest(kept) if kept.is_dir() else None
    names = [path.name for path in kept.glob(f"*_G_epoch_{epoch}.h5")] if found else []
    if names:
        return kept / names[0]
    with runner.quiet():
        recipe.run(kind, recipe.settings_of(kind, preset, **changes, epochs=epoch), folder)
    path = checkpoints.latest(folder / "checkpoints")
    if not path.stem.endswith(f"_{epoch}"):
        raise ValueError(
            f"{folder} must be at epoch {epoch} or before; its newest checkpoint is {path.name}"
        )
    kept.mkdir(exist_ok=True)
    files.copy(path, kept / path.name)
    return kept / path.name


def slug(run, seed, epochs=""):
    """The folder's name of a run."""
    name = "".join(c if c.isalnum() else "_" for c in SAME.get(run, run)).strip("_")
    return f"{name}_seed{seed}" + (f"_of{epochs}" if epochs else "")


def drawn(model, embeddings, noise, training=False):
    """Batches of pictures, size -> [n, size, size, 3]; a last one that is not full is left out.

    Args:
        model: an HDGAN.
        embeddings: [N, D].
        noise: what `model.noise(N)` returns.
        training: draw with batch norm in training mode, the notes' mistake: pictures then depend on their batch.
    """
    network = model.ema_generator or model.generator
    if training:
        network.trainable = True  # Keras' batch norm of a frozen network, as an averaged one is, knows one mode only
    for start in range(0, len(embeddings) - BATCH + 1, BATCH):
        texts, *parts = (x[start : start + BATCH] for x in (embeddings, *noise))
        if training:
            *images, _, _ = model.frozen_moving_statistics(
                lambda inputs=[texts, *parts]: network(inputs, training=True)
            )
            yield {
                size: ops.convert_to_numpy(x) for size, x in zip(model.sizes, images, strict=True)
            }
        else:
            yield model.sample(texts, tuple(parts))


# === The drawn ladder ===

DRAWN_SCORES = ("attribute_accuracy", "bird_frechet_distance")
BIRDS = 512  # pictures of the test species' captions, and as many true drawings
DRAWN = {
    "width": 8,
    "drawn": 1000,
    "batch_size": 16,
    "data": "synthetic_birds",
    "text_encoder": "synthetic_birds_text",
    "score_every": 0,
}


def reproduce_drawn(row, seed, epochs, runs, training):
    """The row's settings, narrow and for a few epochs on drawn birds, scored at the row's size by the bird judge."""
    kind = dataclasses.replace(ladder(), score=lambda settings: None)
    sizes = row.settings.get(
        "sizes", {"coco_64": "64", "coco_128": "64,128"}.get(row.recipe()[0], "64,128,256")
    )
    changes = (
        {"image_loss": "released", "norm": "batch", "damsm_weight": 0.0} | row.settings | DRAWN
    )
    changes |= {"sizes": sizes, "seed": seed, "redraw": True}
    # The extra steps take as large a share of this short run as of the notes': else they are most of it.
    usual = 100 if row.dataset == "birds" else 0  # of the presets `noted` and, of COCO, `paper`
    updates = epochs * DRAWN["drawn"] // DRAWN["batch_size"]
    changes |= {
        "critic_epochs": row.settings.get("critic_epochs", usual),
        "critic_epoch": max(1, updates // 600),
    }
    epoch = max(1, round(epochs * row.epoch / LAST[row.dataset]))
    folder = pathlib.Path(runs) / "drawn" / slug(row.run, seed, epochs)
    model = checkpoints.load_sampling_model(trained(kind, "small", changes, epoch, folder))[0]
    found = judged(model, "synthetic_birds_text", latents_seed(row, seed), training)
    return {
        "attribute_accuracy": found[f"attribute_accuracy_{row.resolution}"],
        "bird_frechet_distance": found[f"bird_frechet_distance_{row.resolution}"],
        "epoch": epoch,
        "protocol": found["protocol"],
    }


def latents_seed(row, seed):
    """Another one where the notes score a checkpoint a second time."""
    return 1 + seed + (1000 if row.id.endswith("-second") else 0)


@functools.cache
def ladder():
    """The recipe of the drawn ladder, and of the claims about HDGAN."""
    small = text_gan.SMALL | {"sizes": "64", "drawn": 2000}
    return text_gan.text_recipe("drawn_ladder", "HDGAN on drawn birds, small.", {"small": small})


def judged(model, text_encoder, seed=1, training=False, count=BIRDS):
    """What the bird judge says of pictures of each size, and the MS-SSIM of pairs of the smallest.

    Args:
        model: an HDGAN of drawn birds.
        text_encoder: name of the one it was trained with.
        seed: of the latents.
        training: see `drawn`.
        count: pictures.
    """
    judge, info = bird_attributes.shipped()
    captions = pick(_real(64)[0], count)
    ask = np.stack([*map(parse_caption, captions)])
    batches = [
        *drawn(model, text_gan.encoder(text_encoder)(captions), model.noise(count, seed), training)
    ]
    found, smallest, largest = {}, min(model.sizes), max(model.sizes)
    for size in model.sizes:
        pictures = np.concatenate([batch[size] for batch in batches])
        features, heads = bird_attributes.opinions(judge, pictures)
        seen = bird_attributes.values_of(heads)
        accuracy = bird_attributes.shares(seen, ask[: len(seen)])["attribute_accuracy"]
        distance = frechet_distance(statistics(features), _real(size)[1])
        found |= {f"attribute_accuracy_{size}": accuracy, f"bird_frechet_distance_{size}": distance}
        found[f"bird_judge_score_{size}"] = float(
            np.mean([inception_score(head, splits=1)[0] for head in heads])
        )
        if size == smallest:
            found["ms_ssim"] = mean_ms_ssim(to_uint8(pictures[:200]), 100, 0, 3)
    found["gain_with_size"] = (
        found[f"bird_judge_score_{largest}"] - found[f"bird_judge_score_{smallest}"]
    )
    found |= {name: found[f"{name}_{largest}"] for name in (*DRAWN_SCORES, "bird_judge_score")}
    about = {
        "data": "drawn birds, not CUB: captions of the 50 test species",
        "samples": f"{len(batches) * BATCH}, latents of seed {seed}",
        "mode": f"generator in training mode, batches of {BATCH}" if training else "inference mode",
        "frechet_reference": f"{BIRDS} test birds, drawn at the same size",
    }
    return found | {"protocol": bird_attributes.protocol(info) | about}


@functools.cache
def _real(size):
    """Captions of the test birds, and statistics of what the judge sees in their drawings."""
    birds = synthetic_birds("test", BIRDS, seed=0, size=size)
    return birds.captions, statistics(
        bird_attributes.opinions(bird_attributes.shipped()[0], birds.images)[0]
    )


# === The table ===


def run(
    ids=(),
    scale="noted",
    seeds=1,
    epochs=6,
    weights=None,
    checkpoint=None,
    mode=None,
    runs=RUNS,
    data_dir=None,
    results=RESULTS,
):
    """Scores what this machine can of the named rows, or of all, and keeps each as it is done.

    Args:
        ids: of rows.
        scale: "noted", or "drawn" for the small ladder on drawn birds.
        seeds: trainings of a row.
        epochs: of the drawn ladder, in which 600 of the notes' go.
        weights: of the Inception, see `zoo.evaluate --inception`.
        checkpoint: a generator's file in place of a training, for one row.
        mode: "inference" or "training"; by default as the note was scored: withdrawn rows in training mode.
        runs, data_dir, results: folders of trainings and of the data; the file of the results.
    """
    if checkpoint and len(ids) != 1:
        raise ValueError(f"a checkpoint is of one row; received {len(ids) or 'all'} of them")
    if mode not in (None, "inference", "training"):
        raise ValueError(f"mode must be inference or training; received {mode!r}")
    records = read(results)
    for row in sorted(chosen(ids), key=lambda row: row.epoch):  # a run passes its epochs in order
        training = row.status == "withdrawn" if mode is None else mode == "training"
        reason = (
            missing(row, weights, data_dir)
            if scale == "noted" or row.status == "reference"
            else None
        )
        if reason:
            print(f"{row.id:32} noted {noted(row)}; missing: {reason}", flush=True)
            continue
        key = f"{scale}, {'training' if training else 'inference'} mode"
        kept = records.setdefault(row.id, {}).setdefault(key, {"runs": []})
        for seed in range(seeds):
            about = {"seed": seed, "epochs": epochs if scale == "drawn" else row.epoch}
            about["checkpoint"] = pathlib.Path(checkpoint).name if checkpoint else None
            if any(
                about.items() <= ({"checkpoint": None} | found).items() for found in kept["runs"]
            ):
                continue  # delete it from the file to score it once more
            if scale == "drawn":
                found = reproduce_drawn(row, seed, epochs, runs, training)
            else:
                found = reproduce(row, seed, weights, runs, checkpoint, training, data_dir)
            kept["runs"].append(runner.rounded(about | found) | _provenance(row, scale, training))
            runner.write(results, records)
        print(f"{row.id:32} noted {noted(row)}; {key}: {summary(kept['runs'])}", flush=True)


def _provenance(row, scale, training):
    words = [
        f"python -m benchmarks scores {row.id}",
        *(["--scale=drawn"] if scale == "drawn" else []),
    ]
    words += ["--mode=training"] if training and row.status != "withdrawn" else []
    about = timing.provenance() | {"command": " ".join(words), "versions": recipe.versions()}
    return {name: about[name] for name in ("command", "commit", "machine", "versions")}


def read(path=RESULTS):
    """The records: id -> scale and mode -> runs. Raises ValueError for a broken file, which only a person may delete:
    trainings of weeks may be in it."""
    if not path.exists():
        return {}
    try:
        records = json.loads(path.read_text())
        [
            run["seed"]
            for modes in records.values()
            for kept in modes.values()
            for run in kept["runs"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is broken ({str(error).splitlines()[0]}); mend or delete it"
        ) from None
    return records


def noted(row):
    """The noted mean and deviation over splits."""
    text = f"{row.mean:.2f} ± {row.deviation:.2f}"
    return f"{text} (withdrawn)" if row.status == "withdrawn" else text


def summary(runs, names=None):
    """Scores of a row's runs: mean over seeds, with the deviation over splits where there is one, and over seeds.

    Args:
        names: of the scores, without their names in the text; None is all of them.
    """
    parts = []
    for name in names or ("is_mean", *DRAWN_SCORES):
        values = [run[name] for run in runs if name in run]
        if values:
            text = f"{averages.mean(values):.3g}"
            text += (
                f" ± {averages.mean(run['is_std'] for run in runs):.2g} over splits"
                if name == "is_mean"
                else ""
            )
            text += (
                f" ± {averages.stdev(values):.2g} over {len(values)} seeds"
                if len(values) > 1
                else ""
            )
            parts.append(text if names else f"{name} {text}")
    return ", ".join(parts)


def orderings(records):
    """What the drawn ladder says of the notes' orderings: name -> (verdict, finding), where both rows are there."""
    found = {}
    for name, pair in ORDERINGS.items():
        runs = {}
        for row in pair:
            mode = "training" if rows()[row].status == "withdrawn" else "inference"
            scores = records.get(row, {}).get(f"drawn, {mode} mode", {}).get("runs", [])
            runs[row] = [{"measures": score} for score in scores]
        if all(runs.values()):
            paired = (
                len({slug(rows()[row].run, 0) for row in pair}) == 1
            )  # two scorings of one training
            rule = verdicts.Better(
                "bird_frechet_distance", pair[0], pair[1:], log=True, paired=paired
            )
            found[name] = rule.discriminate(runs)
    return found


def shell(arguments):
    run(
        arguments[1:],
        FLAGS.scale,
        FLAGS.seeds,
        FLAGS.epochs,
        FLAGS.inception,
        FLAGS.checkpoint,
        FLAGS.mode,
        FLAGS.runs,
        FLAGS.data_dir,
    )


if __name__ == "__main__":
    flags.DEFINE_enum("scale", "noted", ["noted", "drawn"], "as noted, or small on drawn birds")
    flags.DEFINE_integer("seeds", 1, "trainings of a row", lower_bound=1)
    flags.DEFINE_integer(
        "epochs", 6, "of the drawn ladder, in which 600 of the notes' go", lower_bound=1
    )
    flags.DEFINE_string(
        "inception", None, "weights: a prefix of StackGAN's checkpoint; for COCO see zoo.evaluate"
    )
    flags.DEFINE_string(
        "checkpoint", None, "a generator's file, in place of a training; of one row"
    )
    flags.DEFINE_enum(
        "mode", None, ["inference", "training"], "of batch norm; by default as the note was scored"
    )
    flags.DEFINE_string("runs", str(RUNS), "folder of the trainings")
    flags.DEFINE_string("data_dir", None, "of TensorFlow Datasets")
    recipe.start(shell)
