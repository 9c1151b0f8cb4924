import numpy as np
import pytest
from expected.make_formulas import FILE, inputs

from kerasgan.metrics import manifold
from kerasgan.metrics.manifold import density_coverage, precision_recall

DATA = inputs()
TIES = DATA.real_ties, DATA.fake_ties
SETS = {"": (DATA.real, DATA.fake), "_ties": TIES}


@pytest.mark.parametrize("k", [1, 3, 10])
@pytest.mark.parametrize("name", SETS)
def test_precision_and_recall_equal_torch_fidelity(name, k):
    real, fake = SETS[name]
    precision, recall = np.load(FILE)[f"manifold{name}_{k}"]
    assert precision_recall(real, fake, k) == {
        "precision": precision / len(fake),
        "recall": recall / len(real),
    }


def brute_force(real, fake, k):
    """Density and coverage of Naeem et al. from the definition."""
    distances = np.sqrt(np.square(real[:, None] - fake).sum(axis=2))  # [N, M]
    own = np.sqrt(np.square(real[:, None] - real).sum(axis=2))
    radii = np.sort(own, axis=1)[:, k]  # The first is the image itself.
    balls = [sum(distances[i, j] < radii[i] for i in range(len(real))) for j in range(len(fake))]
    covered = [any(distances[i, j] < radii[i] for j in range(len(fake))) for i in range(len(real))]
    return {"density": sum(balls) / (k * len(fake)), "coverage": sum(covered) / len(real)}


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("name", SETS)
def test_density_and_coverage_equal_the_definition(name, k):
    real, fake = (features[:60] for features in SETS[name])
    assert density_coverage(real, fake, k) == brute_force(real, fake, k)


@pytest.mark.parametrize("block", [7, 64])
@pytest.mark.parametrize("name", SETS)
def test_blocks_types_and_memmaps_give_the_same_values(name, block, monkeypatch, tmp_path):
    expected = [formula(*SETS[name]) for formula in (precision_recall, density_coverage)]
    monkeypatch.setattr(manifold, "BLOCK", block)
    features = []
    for side, array in enumerate(SETS[name]):
        np.save(tmp_path / f"{side}.npy", array.astype("float32"))
        features.append(np.load(tmp_path / f"{side}.npy", mmap_mode="r"))
    assert [formula(*features) for formula in (precision_recall, density_coverage)] == expected


def test_repeated_images_do_not_depend_on_rounding():
    """Real images of which three in four occur twice, at values that floats round."""
    random = np.random.default_rng(0)
    real = random.normal(size=(80, 300)) * 1000 + random.normal(size=300) * 1e5
    twice = np.concatenate([real, real[:60]])
    # With k = 1, the ball of a repeated image has radius 0, so copies are on its border.
    assert precision_recall(twice, real, k=1) == {"precision": 1, "recall": 1}
    assert density_coverage(twice, real, k=1) == {"density": 20 / 80, "coverage": 20 / 140}
    # A single point on both sides.
    point = np.repeat(real[:1], 9, axis=0)
    assert precision_recall(point, point[:7]) == {"precision": 1, "recall": 1}
    assert density_coverage(point, point[:7]) == {"density": 0, "coverage": 0}


def test_meaning_of_the_four_measures():
    random = np.random.default_rng(0)
    real, fake = random.normal(size=(2, 400, 4))
    one_mode, spread, far = fake * 0.2, fake * 3, fake + 20
    scores = {
        name: precision_recall(real, x) | density_coverage(real, x)
        for name, x in {"good": fake, "one mode": one_mode, "spread": spread, "far": far}.items()
    }
    assert min(scores["good"].values()) > 0.85
    assert scores["one mode"]["precision"] > 0.95 and scores["one mode"]["recall"] < 0.1
    assert scores["one mode"]["density"] > 1.2 and scores["one mode"]["coverage"] < 0.3
    assert scores["spread"]["precision"] < 0.4 and scores["spread"]["recall"] > 0.9
    assert set(scores["far"].values()) == {0}


def test_an_outlier_does_not_affect_the_other_images():
    real, fake = DATA.real[:100], DATA.fake[:100]
    far = np.full((1, 24), 1e7)
    alone, with_outlier = (
        density_coverage(real, fake),
        density_coverage(real, np.concatenate([fake, far])),
    )
    assert with_outlier == {
        "density": pytest.approx(alone["density"] * 100 / 101),
        "coverage": alone["coverage"],
    }


@pytest.mark.parametrize("formula", [precision_recall, density_coverage])
def test_bad_input(formula):
    some = np.zeros((9, 4))
    with pytest.raises(ValueError, match=r"\[N, F\] and \[M, F\]; received \[9, 4\] and \[9, 3\]"):
        formula(some, some[:, :3])
    for k in (0, 5):
        with pytest.raises(
            ValueError, match=f"both numbers of images; received {k} for 9 and 5 images"
        ):
            formula(some, some[:5], k=k)
    with pytest.raises(ValueError, match="Features must be finite"):
        formula(some, np.full((9, 4), np.inf))
