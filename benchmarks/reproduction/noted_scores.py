"""Scores reported in the training notes (noted_scores.csv), and what each of them needs."""

import csv
import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import Any

from zoo import lazy

prepared = lazy.module("kerasgan.datasets.prepared")
inception = lazy.module("kerasgan.metrics.features.inception")

NOTED = pathlib.Path(__file__).parent / "noted_scores.csv"
# Samples per test image of rows that do not give the total.
SAMPLES_PER_IMAGE = {"birds": 10, "flowers": 26, "coco": 1}
# Number of images of the test splits.
TEST_IMAGES = {"birds": 2933, "flowers": 1155, "coco": 40504}

RUNS = pathlib.Path("runs") / "scores"  # Folder of the trainings.
NEVER, ALWAYS = {"critic_epochs": 0}, {"critic_epochs": -1}
# Run -> settings that differ from the preset: `training_notes` of zoo.birds_256 and
# zoo.flowers_256, `paper` of zoo.coco_64 and zoo.coco_128.
CHANGES: dict[str, dict[str, Any]] = {
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
# Run -> other name of the same training.
SAME = {"eval_bs_1testing_num_11": "zz_mmgan_plain_gl_disc_birds_256"}


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of noted_scores.csv.

    Attributes:
        id: Identifier.
        system: Name of the model.
        dataset: "birds", "flowers" or "coco".
        resolution: Image side in pixels.
        run: Name of the run in the training notes.
        epoch: Epoch; 500 if the training notes give none.
        samples: Number of samples, or `None` if the training notes give none.
        mean: Inception Score.
        deviation: Its standard deviation over splits.
        status: "valid", "withdrawn" (scored with batch norm in training mode) or "reference"
            (numbers of StackGAN).
        remark: Remark.
    """

    id: str
    system: str
    dataset: str
    resolution: int
    run: str
    epoch: int
    samples: int | None
    mean: float
    deviation: float
    status: str
    remark: str

    @property
    def samples_per_image(self) -> int:
        """Number of samples per test image."""
        if self.run.endswith("num_11"):
            return 11
        if self.samples:
            return round(self.samples / TEST_IMAGES[self.dataset])
        return SAMPLES_PER_IMAGE[self.dataset]

    @property
    def checkpoint(self) -> str:
        """File name of the generator in the naming scheme of the training notes."""
        return f"{self.run}_G_epoch_{self.epoch}.h5"

    @property
    def settings(self) -> dict:
        """Settings that differ from the recipe's preset."""
        return CHANGES[self.run]

    @property
    def training_mode(self) -> bool:
        """`True` if the score was measured with batch norm in training mode."""
        return self.status == "withdrawn"

    def recipe(self) -> tuple[str, str]:
        """Return the names of the recipe and of its preset."""
        if self.dataset == "coco":
            return ("coco_128" if "128" in self.run else "coco_64"), "paper"
        return f"{self.dataset}_256", "noted"

    def reported(self) -> str:
        """Format the score of the training notes."""
        text = f"{self.mean:.2f} ± {self.deviation:.2f}"
        return f"{text} (withdrawn)" if self.status == "withdrawn" else text


@functools.cache
def rows() -> dict[str, Row]:
    """Read noted_scores.csv: id -> `Row`."""
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


def chosen(ids: Sequence[str]) -> list[Row]:
    """Return the rows `ids`, or all rows.

    Raises:
        ValueError: If an id is not in noted_scores.csv.
    """
    unknown = [name for name in ids if name not in rows()]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not a score of noted_scores.csv")
    return [rows()[name] for name in ids or rows()]


def missing(row: Row, weights: str | None = None, data_dir: str | None = None) -> str | None:
    """Return what this machine lacks to reproduce a row, in one line, or `None`.

    Args:
        row: The row.
        weights: Weights of Inception, or `None`.
        data_dir: Folder of TensorFlow Datasets; `None` for the default.
    """
    if row.status == "reference":
        return "a reference score of StackGAN, which is not part of this project"
    folder = prepared.prepared_folder(row.dataset, data_dir)
    if not (folder / "dataset_info.json").exists():
        return f"the {row.dataset} data: python -m zoo.prepare {row.dataset} --source=FOLDER"
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
