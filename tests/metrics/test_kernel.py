import numpy as np
import pytest
from expected.make_formulas import FILE, SUBSET_SIZE, SUBSETS, inputs

from kerasgan.metrics import kernel
from kerasgan.metrics.kernel import kernel_distance

DATA = inputs()


def test_equals_torch_fidelity():
    found = kernel_distance(DATA.fake, DATA.real, SUBSETS, SUBSET_SIZE)
    np.testing.assert_allclose(found, np.load(FILE)["kernel"], rtol=1e-10)


def test_equals_a_loop():
    x, y = DATA.fake[:6], DATA.real[:6]

    def k(a, b):
        return (a @ b / 24 + 1) ** 3

    pairs = [(i, j) for i in range(6) for j in range(6)]
    within = sum(k(x[i], x[j]) + k(y[i], y[j]) for i, j in pairs if i != j) / 30
    expected = within - 2 * sum(k(x[i], y[j]) for i, j in pairs) / 36
    assert kernel_distance(x, y, subsets=3, subset_size=6) == pytest.approx(
        (expected, 0), rel=1e-9, abs=1e-9
    )


def test_unbiased():
    """Equal distributions have mean 0; two points have the exact difference of their kernels."""
    one, same = np.random.default_rng(0).normal(size=(2, 5000, 8)).astype("float32")
    mean, deviation = kernel_distance(one, same, subset_size=50)
    assert abs(mean) < 3 * deviation / 10  # 100 subsets.
    biased = (
        2 * np.mean((np.square(one).sum(axis=1) / 8 + 1) ** 3) / 50
    )  # A biased estimate would include the diagonal.
    assert abs(mean) < biased / 5
    points = np.full((10, 2), 1), np.full((10, 2), 2)
    assert kernel_distance(*points, subsets=3, subset_size=10) == (8 + 125 - 2 * 27, 0)


def test_seeds_types_and_memmaps(tmp_path):
    exact = kernel_distance(DATA.fake, DATA.real, 5, 50)
    assert kernel_distance(DATA.fake, DATA.real, 5, 50, seed=1) != exact
    np.save(tmp_path / "features.npy", DATA.fake.astype("float32"))
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    assert kernel_distance(mapped, DATA.real.astype("float32"), 5, 50) == pytest.approx(
        exact, rel=1e-5
    )


@pytest.mark.parametrize(
    ("shapes", "settings", "message"),
    [
        (
            [(30, 4), (999, 4)],
            {},
            "the smaller number of images; received 1000 of 30 and 999 images",
        ),
        ([(30, 4), (30, 4)], {"subset_size": 1}, "between 2 and .*; received 1 of 30 and 30"),
        ([(30, 4), (30, 5)], {}, r"\[N, F\] and \[M, F\]; received \[30, 4\] and \[30, 5\]"),
        ([(30,), (30, 5)], {}, r"\[N, F\] and \[M, F\]; received \[30\]"),
        ([(30, 4), (30, 4)], {"subsets": 0}, "subsets must be at least 1; received 0"),
    ],
)
def test_bad_input(shapes, settings, message):
    with pytest.raises(ValueError, match=message):
        kernel_distance(*map(np.zeros, shapes), **settings)


def test_features_that_are_not_finite():
    with pytest.raises(ValueError, match="Features must be finite"):
        kernel_distance(np.full((3, 2), np.nan), np.zeros((3, 2)), 2, 3)


def test_shared_kernels_give_the_same_values(monkeypatch):
    """Kernels of all images give the same values as the kernels of each pair of subsets."""
    draws = [
        [np.random.default_rng(2 * i + j).permutation(n)[:40] for j, n in enumerate((70, 90))]
        for i in range(5)
    ]
    monkeypatch.setattr(kernel, "BLOCK", 32)
    sets = DATA.fake[:70], DATA.real[:90]
    np.testing.assert_allclose(
        kernel._with_shared_kernels(*sets, draws),
        kernel._with_own_kernels(*sets, draws),
        rtol=1e-10,
    )
