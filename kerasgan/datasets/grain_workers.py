"""Batches prepared by worker processes of grain, for data that do not fit memory.

Python threads share one interpreter. Worker processes decode, crop and normalize images on other
cores while the training process computes steps.

Reference:
    grain, "Feeding JAX Models", https://github.com/google/grain
"""

from typing import Any

from absl import flags

from kerasgan.datasets.epochs import EpochDataset, Rows, rows_of

ENDLESS = 2**40  # Number of batches of a training that never ends.
# Number of batches that are kept: TensorFlow reads the first two twice, for their shapes.
RECENT = 3


class GrainWorkers(EpochDataset):
    """Prepares the batches of another data set in worker processes.

    The batches are those of the other data set, in the same order. A batch is a function of
    (seed, epoch, index), so the position in the data is the number of finished batches: a run
    resumes within an epoch, and each of several processes reads its own rows only. Batches that are
    not read in order start the workers again, which takes seconds.

    Args:
        data: `EpochDataset` that can be pickled, such as `CaptionedBatches` of
            `load_prepared(..., in_memory=False)`. Each worker has a copy.
        processes: Number of worker processes.
        ahead: Number of batches that each worker prepares in advance.

    Raises:
        ImportError: grain is not installed.
        ValueError: `processes` or `ahead` is below 1.

    Example:
        ```python
        images = load_prepared("birds", in_memory=False)  # their files hold ArrayRecord
        batches = GrainWorkers(CaptionedBatches(images.embed(text_encoder), 32), processes=8)
        gan.fit(batches, epochs=100)
        ```
    """

    def __init__(self, data: EpochDataset, processes: int = 2, ahead: int = 2):
        super().__init__()
        if min(processes, ahead) < 1:
            raise ValueError(
                f"processes and ahead must be at least 1; received {processes} and {ahead}"
            )
        _grain()
        self.data, self.processes, self.ahead = data, processes, ahead
        self._batches: Any = None  # Iterator of grain.
        self._next: tuple[int, Rows] | None = None  # Number and rows of the iterator's next batch.
        self._recent: dict[tuple[int, Rows], Any] = {}

    @property
    def num_batches(self) -> int:
        return self.data.num_batches

    def rows(self, index: int, own: Rows) -> Any:
        number = self.epoch * self.num_batches + index
        if (number, own) in self._recent:
            return self._recent[number, own]
        if self._batches is None or self._next != (number, own):
            self.close()
            self._batches = self._start(number, own)
        batch = next(self._batches)
        self._next = (number + 1, own)
        self._recent = dict([*self._recent.items()][1 - RECENT :]) | {(number, own): batch}
        return batch

    def _start(self, number, own):
        grain = _grain()
        source = grain.MapDataset.source(_Source(self.data, own))[number:]
        options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=1)
        workers = grain.multiprocessing.MultiprocessingOptions(
            num_workers=self.processes, per_worker_buffer_size=self.ahead
        )
        return iter(source.to_iter_dataset(options).mp_prefetch(workers))

    def close(self) -> None:
        """Ends the worker processes. The next batch starts new ones."""
        if self._batches is not None:
            self._batches.close()
        self._batches, self._next, self._recent = None, None, {}


class _Source:
    """Sequence of the batches of all epochs."""

    def __init__(self, data: EpochDataset, own: Rows):
        self.data, self.own = data, own

    def __len__(self) -> int:
        return ENDLESS

    def __getitem__(self, number: int) -> Any:
        self.data.set_epoch(number // self.data.num_batches)
        return rows_of(self.data, number % self.data.num_batches, self.own)


def _grain():
    try:
        import grain
    except ImportError:
        raise ImportError(
            "worker processes need the package grain: pip install kerasgan[grain]"
        ) from None
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # grain reads its options from absl's flags
    return grain
