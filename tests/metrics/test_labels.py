import numpy as np
import pytest

from kerasgan.metrics.labels import classes_covered, label_accuracy

LABELS = np.arange(3).repeat(4)


def test_label_accuracy():
    assert label_accuracy(LABELS, LABELS) == 1
    assert label_accuracy([0, 0, 0, 1] + [1] * 4 + [2] * 4, LABELS) == pytest.approx(11 / 12)


def test_classes_covered():
    assert classes_covered(LABELS[::-1], LABELS) == 3  # All classes occur, under wrong labels.
    assert classes_covered([0] * 12, LABELS) == 1
    assert classes_covered([0] * 6 + [1] * 4 + [2] * 2, LABELS) == 3  # 2 of 4: exactly half.
    assert classes_covered([0] * 7 + [1] * 4 + [2], LABELS) == 2
    assert classes_covered([7] * 12, LABELS) == 0


def test_bad_input():
    with pytest.raises(ValueError, match=r"equal length; received \[2\] and \[3\]"):
        label_accuracy([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match=r"received \[0\] and \[0\]"):
        classes_covered([], [])
