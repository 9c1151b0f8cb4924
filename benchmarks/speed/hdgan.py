"""Speed of the training step of HDGAN, and of its input pipeline."""

import concurrent.futures
import dataclasses
import functools
import io
import itertools
import os
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

BATCH_SIZE = 4
STORED = 256  # Number of different images in files.
READ = 32  # Number of batches of 32 images that a step of the cases `hdgan_files*` reads.
FOLDERS: list[tempfile.TemporaryDirectory] = []  # They are removed when the process ends.


def model_and_batch(batch_size: int, width: int, size: int) -> tuple[Any, tuple]:
    """Build a compiled HDGAN at all resolutions up to `size`, and a batch for it."""
    import keras
    import numpy as np

    from kerasgan.models.hdgan import HDGAN, SIZES, build_discriminator, build_generator

    keras.utils.set_random_seed(0)
    sizes = [side for side in SIZES if side <= size]
    model = HDGAN(
        build_generator(sizes, width), {side: build_discriminator(side, width) for side in sizes}
    )
    model.compile(**{player: keras.optimizers.Adam(2e-4, beta_1=0.5) for player in model.players})
    random = np.random.default_rng(0)
    real, mismatched = random.uniform(-1, 1, [2, batch_size, size, size, 3]).astype("float32")
    embeddings = random.normal(size=[batch_size, 1024]).astype("float32")
    return model, (real, mismatched, embeddings)


def step(batch_size: int = BATCH_SIZE, width: int = 128, size: int = 256) -> Callable:
    """Build kerasgan's training step at all resolutions up to `size`.

    TensorFlow runs one operation at a time on all threads. HDGAN's operations are large, so this
    costs little time and saves memory.
    """
    os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    model, batch = model_and_batch(batch_size, width, size)
    return lambda: model.train_on_batch(*batch)


def baseline(compiled: bool = False) -> Callable:
    """Build the training step of the PyTorch baseline, with compiled networks if `compiled`."""
    import torch

    from benchmarks.speed.baselines import hdgan

    return hdgan.training_step(BATCH_SIZE, compiled=torch.compile if compiled else None)


def jax_baseline() -> Callable:
    """Build the training step of the JAX baseline."""
    from benchmarks.speed.baselines import hdgan_jax

    return hdgan_jax.training_step(BATCH_SIZE)


def batches() -> Callable:
    """Build the input pipeline: batches from captioned images of 304 pixels in memory."""
    import numpy as np

    from kerasgan.datasets.captioned import CaptionedBatches, CaptionedImages

    random, count = np.random.default_rng(0), 200
    images = random.integers(0, 256, [count, 304, 304, 3], dtype="uint8")
    embeddings = random.normal(size=[count, 10, 1024]).astype("float32")
    names, captions = [str(i) for i in range(count)], [["a bird"] * 10] * count
    data = CaptionedImages(list(images), np.arange(count) % 50, captions, names, embeddings)
    loader = CaptionedBatches(data, BATCH_SIZE)
    indices = itertools.cycle(range(loader.num_batches))
    return lambda: loader[next(indices)]


def _stored(file_format, count):
    """Prepares `count` birds of 304 pixels in a folder. Returns their batches.

    `STORED` birds are generated and encoded as PNG. A larger set repeats them in other records,
    with other names and embeddings, so that reading and decoding cost as much as with as many
    different ones. The folder is temporary, unless the environment variable
    `KERASGAN_BENCHMARK_FILES` names one, in which later runs find the files.
    """
    import numpy as np
    from PIL import Image

    from kerasgan.datasets import CaptionedBatches, load_prepared, prepare, synthetic_birds

    kept = os.environ.get("KERASGAN_BENCHMARK_FILES")
    if not kept:
        FOLDERS.append(tempfile.TemporaryDirectory())
    folder = pathlib.Path(kept or FOLDERS[-1].name, f"{file_format}_{count}")
    if not (folder / "kerasgan_birds").exists():  # which a complete set is renamed to
        drawn = synthetic_birds("train", min(STORED, count), size=304)
        numbers = np.arange(count) % len(drawn)
        pictures = []
        for image in drawn.images:
            file = io.BytesIO()
            Image.fromarray(image).save(file, "png")
            pictures.append(file.getvalue())
        birds = dataclasses.replace(
            drawn,
            images=[pictures[number] for number in numbers],
            classes=drawn.classes[numbers],
            captions=[drawn.captions[number] for number in numbers],
            names=[str(index) for index in range(count)],
            embeddings=np.random.default_rng(0).normal(size=[count, 4, 1024]).astype("float32"),
            attributes=drawn.attributes[numbers],
        )
        prepare("birds", {"train": birds}, {}, folder, file_format=file_format)
    stored = load_prepared("birds", data_dir=folder, in_memory=False)
    return CaptionedBatches(stored, 32, mismatched=False)


def threads(count: int = STORED) -> Callable:
    """Build the pipeline of TFRecord files that two threads decode, as Keras' workers do.

    A step reads `READ` batches. It begins where the step before ended, with the batches that the
    threads have prepared meanwhile. The untimed step of each block consumes those of the pause.
    """
    batches = _stored("tfrecord", count)
    indices = itertools.cycle(range(batches.num_batches))
    pool = concurrent.futures.ThreadPoolExecutor(2)
    waiting = [pool.submit(batches.__getitem__, next(indices)) for _ in range(4)]

    def step():
        for _ in range(READ):
            waiting.append(pool.submit(batches.__getitem__, next(indices)))
            waiting.pop(0).result()

    return step


def grain(count: int = STORED) -> Callable:
    """Build the pipeline of ArrayRecord files that two worker processes of grain decode.

    A step reads `READ` batches, see `threads`.
    """
    from kerasgan.datasets import GrainWorkers

    batches = GrainWorkers(_stored("array_record", count), processes=2)
    indices = itertools.count()

    def step():
        for index in itertools.islice(indices, READ):
            epoch, index = divmod(index, batches.num_batches)
            batches.set_epoch(epoch)
            batches[index]

    return step


CASES = {
    # 1,024 images of 256 pixels, in batches of 32, from files of 304 pixels.
    "hdgan_files": {"threads": threads, "kerasgan": grain},
    # 1.8 GB for each format.
    "hdgan_files_50000": {
        "threads": functools.partial(threads, 50_000),
        "kerasgan": functools.partial(grain, 50_000),
    },
    "hdgan": {
        "torch": baseline,
        "torch_compiled": functools.partial(baseline, compiled=True),
        "jax": jax_baseline,
        "kerasgan": step,
    },
    # The input pipeline must be faster than the training step that waits for it.
    "hdgan_batches": {"its step": step, "kerasgan": batches},
}
SCALES = {
    "hdgan_by_batch": (
        "images per batch, width 32",
        (2, 4, 8),
        lambda batch_size: step(batch_size, 32),
    ),
    "hdgan_by_width": ("width", (16, 32, 64), lambda width: step(width=width)),
    "hdgan_by_size": (
        "largest image side in pixels, width 32",
        (64, 128, 256),
        lambda size: step(4, 32, size),
    ),
}
