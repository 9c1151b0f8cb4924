"""Images of `FreshBirds` depend on (seed, epoch, index) only, with and without workers."""

import multiprocessing
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest

from kerasgan.datasets import fresh_birds
from kerasgan.datasets.fresh_birds import FreshBirds
from kerasgan.datasets.synthetic_birds import draw_bird

ROOT = pathlib.Path(__file__).parents[2]


def encode(captions):
    return np.array([[len(caption), caption.count("a")] for caption in captions], "float32")


def birds(**changes):
    return FreshBirds(
        **{"count": 12, "batch_size": 4, "text_encoder": encode, "size": 16, "processes": 0}
        | changes
    )


def test_a_batch_is_images_and_embeddings():
    images, embeddings = birds()[0]
    assert images.shape == (4, 16, 16, 3) and images.dtype == np.float32 and abs(images).max() <= 1
    assert embeddings.shape == (4, 2)


def test_one_in_lifetime_birds_is_new_in_each_epoch():
    data = birds(lifetime=3)
    pictures = []
    for epoch in range(4):
        data.set_epoch(epoch)
        pictures.append(data.data.images.copy())
    for before, after in zip(pictures, pictures[1:], strict=False):
        changed = (before != after).any(axis=(1, 2, 3))
        assert changed.sum() == 4
    assert (pictures[0] != pictures[3]).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("split", ["train", "pairs"])
def test_a_resumed_run_sees_what_an_uninterrupted_one_would(split):
    whole, resumed = birds(split=split), birds(split=split)
    for epoch in range(3):
        whole.set_epoch(epoch)
    resumed.set_epoch(2)
    for ours, theirs in zip(whole[1], resumed[1], strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("lifetime", [1, 3])
def test_a_batch_holds_pairs_that_differ_in_one_attribute(lifetime):
    data = birds(split="pairs", lifetime=lifetime, batch_size=4, mirrored=False)
    data.data.embeddings = np.arange(12, dtype="float32")[:, None, None].repeat(10, axis=1)
    for epoch in range(3):
        data.set_epoch(epoch)
        places = np.concatenate([data[i][1][:, 0] for i in range(len(data))]).astype(int)
        assert sorted(places) == list(range(12))
        assert (places[::2] + 1 == places[1::2]).all() and (places[::2] % 2 == 0).all()
        generations = data.generations(epoch)
        assert (generations[::2] == generations[1::2]).all()
    # The same caption is chosen for both birds of a pair.
    data.data.embeddings = np.arange(10, dtype="float32")[None, :, None].repeat(12, axis=0)
    chosen = data[0][1][:, 0]
    assert (chosen[::2] == chosen[1::2]).all()


def test_workers_draw_the_same_pictures():
    alone, helped = birds(), birds(processes=1)
    try:
        for epoch in range(2):
            alone.set_epoch(epoch)
            helped.set_epoch(epoch)
            np.testing.assert_array_equal(alone.data.images, helped.data.images)
    finally:
        helped.close()


def test_the_training_process_helps_instead_of_waiting(monkeypatch):
    drawn, draw = [], fresh_birds.draw_bird
    monkeypatch.setattr(fresh_birds, "draw_bird", lambda *a, **k: drawn.append(0) or draw(*a, **k))
    helped = birds(count=8 * fresh_birds.CHUNK, processes=1)
    try:
        helped.set_epoch(0)
    finally:
        helped.close()
    # The first tasks belong to the worker as soon as they are submitted.
    assert fresh_birds.CHUNK <= len(drawn) < 8 * fresh_birds.CHUNK


@pytest.mark.nightly
@pytest.mark.parametrize("processes, idle", [(1, True), (2, False)])
def test_a_killed_worker_is_replaced_by_the_training_process(processes, idle):
    alone = birds(count=8 * fresh_birds.CHUNK)
    helped = birds(count=8 * fresh_birds.CHUNK, processes=processes)
    try:
        if idle:
            helped.set_epoch(0)
            for *_, future in helped._waiting[1]:
                future.result()
        else:
            helped._submit(next(helped._tasks(0))[2])
        victim = next(iter(helped._pool._processes.values()))
        victim.kill()
        victim.join()
        with pytest.warns(UserWarning, match="its worker processes ended"):
            for epoch in range(3):
                alone.set_epoch(epoch)
                helped.set_epoch(epoch)
                np.testing.assert_array_equal(alone.data.images, helped.data.images)
    finally:
        helped.close()
    assert not multiprocessing.active_children()


def test_captions_and_classes_stay():
    data = birds(lifetime=1)
    captions = [list(each) for each in data.data.captions]
    data.set_epoch(5)
    assert data.data.captions == captions
    assert (data.generations(5) == 5).all()


@pytest.mark.parametrize("mirrored", [True, False])
def test_birds_face_right_if_they_are_not_mirrored(mirrored):
    data = birds(mirrored=mirrored)
    data.set_epoch(0)
    expected = [
        draw_bird(data.data.attributes[i], (0, 0, i, 0), data.side, mirrored=False)
        for i in range(len(data.data))
    ]
    same = [np.array_equal(a, b) for a, b in zip(data.data.images, expected, strict=True)]
    assert all(same) != mirrored and data.flip == mirrored


def test_bad_arguments():
    with pytest.raises(ValueError, match="lifetime must be at least 1"):
        birds(lifetime=0)
    with pytest.raises(ValueError, match="processes must be at least 0"):
        birds(processes=-1)
    with pytest.raises(ValueError, match="multiples of group; received 3, 12 and group 2"):
        birds(split="pairs", batch_size=3)


SCRIPT = """
import os, sys, numpy as np
from kerasgan.datasets.fresh_birds import FreshBirds

def encode(texts):
    return np.zeros((len(texts), 4), "float32")

{guard}
    birds = FreshBirds(70, 8, encode, 32, processes=1)
    birds.set_epoch(0)
    birds.set_epoch(1)
    print("workers", *birds._pool._processes if birds._pool else (), flush=True)
    {end}
"""


def started(tmp_path, guard, end):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(guard=guard, end=end))
    return subprocess.run([sys.executable, path], capture_output=True, text=True, cwd=ROOT)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = pathlib.Path(f"/proc/{pid}/stat")  # A process that nobody waits for is a zombie.
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.nightly
def test_workers_end_with_a_killed_training(tmp_path):
    found = started(tmp_path, "if __name__ == '__main__':", "os.kill(os.getpid(), 9)")
    assert found.returncode == -9, found.stderr
    (worker,) = map(int, found.stdout.split()[1:])
    for _ in range(600):
        if not alive(worker):
            return
        time.sleep(0.1)
    raise AssertionError("the worker outlives the training")


@pytest.mark.nightly
def test_a_script_without_a_guard_trains_without_workers(tmp_path):
    found = started(tmp_path, "if True:", "sys.exit(0)")
    assert found.returncode == 0, found.stderr
    assert found.stdout.split() == ["workers"]
    assert "must keep its own code under `if __name__ == '__main__':`" in found.stderr
