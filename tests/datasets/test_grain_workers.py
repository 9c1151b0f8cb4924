"""Batches of worker processes equal those of the training process."""

import numpy as np
import pytest

from kerasgan.datasets import captioned
from kerasgan.datasets.epochs import Rows, rows_of
from kerasgan.datasets.grain_workers import GrainWorkers
from kerasgan.datasets.prepared import load_prepared, prepare

pytest.importorskip("grain")
# TensorFlow Datasets and grain open files that they do not close in time.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(scope="module")
def batches(tmp_path_factory):
    """Batches of a prepared data set of ArrayRecord files, which stays on disk."""
    folder, random = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    images = random.integers(0, 256, (12, 20, 20, 3)).astype("uint8")
    data = captioned.CaptionedImages(
        images=images,
        classes=(np.arange(12) % 3).astype("int32"),
        captions=[[f"bird {i}"] for i in range(12)],
        names=[f"{i}" for i in range(12)],
        embeddings=random.normal(size=(12, 1, 4)).astype("float32"),
    )
    prepare("tiny", {"train": data}, {}, folder, file_format="array_record")
    stored = load_prepared("tiny", data_dir=folder, in_memory=False)
    np.testing.assert_array_equal(np.stack(list(stored.images)), images)
    assert list(folder.rglob("*.array_record*"))
    return captioned.CaptionedBatches(stored, 4, size=16, captions=1, seed=3)


def expected(batches, epoch, index, own=Rows()):  # noqa: B008
    batches.set_epoch(epoch)
    return rows_of(batches, index, own)


def assert_equal(found, other):
    for one, two in zip(found, other, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.nightly
def test_workers_prepare_the_batches_of_all_epochs_in_order(batches):
    workers = GrainWorkers(batches, processes=2)
    assert workers.num_batches == 3
    try:
        for epoch in range(2):
            workers.set_epoch(epoch)
            for index in range(3):
                assert_equal(workers[index], expected(batches, epoch, index))
        running = workers._batches
        assert_equal(workers[2], expected(batches, 1, 2))  # again: no restart
        assert workers._batches is running
    finally:
        workers.close()


def test_workers_start_within_an_epoch_and_read_their_rows_only(batches):
    workers = GrainWorkers(batches, processes=1)
    workers.set_epoch(5)
    own = Rows(index=1, processes=2, devices=2)
    try:
        for index in (1, 2):
            found = rows_of(workers, index, own)
            assert len(found[0]) == 2
            assert_equal(found, expected(batches, 5, index, own))
    finally:
        workers.close()


@pytest.mark.parametrize("options", [{"processes": 0}, {"ahead": 0}])
def test_numbers_must_be_positive(batches, options):
    with pytest.raises(ValueError, match="must be at least 1; received"):
        GrainWorkers(batches, **options)
