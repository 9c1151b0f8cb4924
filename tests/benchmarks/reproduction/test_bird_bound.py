"""The attributes of birds that agree with captions."""

import numpy as np

from benchmarks.reproduction import bird_bound
from kerasgan.datasets.synthetic_birds.attributes import ATTRIBUTES, SPECIES, species


def test_named_attributes_are_kept_and_no_test_species_is_guessed():
    limits = np.array([len(values) for values in ATTRIBUTES.values()])
    unseen = species()[SPECIES["train"] :, :3]
    # Each test species with two of its colors named, and once with all three.
    requested = np.full((2, len(unseen), 7), -1)
    requested[0, :, :2], requested[1, :, :3], requested[:, :, 5] = unseen[:, :2], unseen, 1
    requested = requested.reshape(-1, 7)
    found = bird_bound.completed(requested, 3)
    assert (found >= 0).all() and (found < limits).all()
    np.testing.assert_array_equal(found[requested >= 0], requested[requested >= 0])
    colors = {tuple(each) for each in unseen.tolist()}
    assert not colors & {tuple(each) for each in found[: len(unseen), :3].tolist()}
    assert len({tuple(each) for each in found[:, 3:].tolist()}) > 20
    assert not np.array_equal(found, bird_bound.completed(requested, 4))
