import pytest

from kerasgan.metrics.ranking import best, direction, ranked_names, ranking

RESULTS = [
    {"frechet_distance": 3.0, "precision": 0.5, "protocol": {}},
    {"frechet_distance": 1.0, "precision": 0.25, "classifier_score_std": 1.0},
    {"precision": 0.75, "frechet_distance": 2.0},
    {"label_accuracy": 1.0},
]


@pytest.mark.parametrize(
    ("expected", "names"),
    [
        (-1, ["frechet_inception_distance", "kernel_distance_mean", "cmmd", "ms_ssim"]),
        (-1, ["spatial_frechet_distance", "memorized", "digit_frechet_ratio", "fd_dinov2"]),
        (1, ["inception_score_mean", "recall", "density", "vendi", "authpct", "gan_train"]),
        (1, ["clip_score_mean", "r_precision_mean", "label_accuracy", "attribute_accuracy"]),
        (0, ["inception_score_std", "digit_frechet_floor", "attribute_chance", "nearest_ratio"]),
    ],
)
def test_directions(names, expected):
    assert [direction(name) for name in names] == [expected] * len(names)


def test_order():
    assert ranked_names(RESULTS) == ["frechet_distance", "precision", "label_accuracy"]
    assert ranking(RESULTS, "frechet_distance") == [1, 2, 0, 3]
    assert ranking(RESULTS, "precision") == [2, 0, 1, 3]
    assert best(RESULTS, "frechet_distance") == [1]
    assert best([{"recall": 0.5}, {"recall": 0.0}, {}, {"recall": 0.5}], "recall") == [0, 3]
    with pytest.raises(ValueError, match="sorted by frechet_distance, .*; received fid"):
        ranking(RESULTS, "fid")
