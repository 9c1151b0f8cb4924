import json
import os
import warnings

import numpy as np
import pytest
from expected.make_formulas import FILE, inputs

from kerasgan.metrics import frechet
from kerasgan.metrics.frechet import (
    Statistics,
    frechet_distance,
    load_statistics,
    merge,
    save_statistics,
    statistics,
)

RANDOM = np.random.default_rng(0)
DATA = inputs()
TF1 = {"network": "Inception 2015-12-05", "sha256": "6726825d", "resize": "TensorFlow 1"}


@pytest.fixture
def few_images():
    with pytest.warns(UserWarning, match=r"of \d+ images and \d+ features is biased upwards"):
        yield


def test_statistics_are_sample_statistics_in_float64():
    mean, cov, count, protocol, images = statistics(np.array([[1, 0], [3, 0], [5, 6]], "float32"))
    assert mean.dtype == cov.dtype == np.float64
    np.testing.assert_allclose(mean, [3, 2])
    np.testing.assert_allclose(cov, [[4, 6], [6, 12]])
    assert count == 3 and protocol is None and images is None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_statistics_of_a_stream(dtype, monkeypatch, tmp_path):
    features = (RANDOM.normal(size=(101, 6)) * [1, 1, 1, 9, 9, 9] + 1e5 * np.arange(6)).astype(
        dtype
    )
    monkeypatch.setattr(frechet, "BLOCK", 10)  # The last block has one row.
    np.save(tmp_path / "features.npy", features)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    blocks = (features[start : start + 17] for start in range(0, 101, 17))
    for source in (features, mapped, blocks):
        found = statistics(source, TF1)
        np.testing.assert_allclose(found.mean, features.astype("float64").mean(axis=0), rtol=1e-13)
        np.testing.assert_allclose(
            found.covariance, np.cov(features.astype("float64"), rowvar=False), rtol=1e-9
        )
        assert found[2:] == (101, TF1, None)


def test_merged_statistics_equal_those_of_all_images():
    features = RANDOM.normal(size=(60, 5)) + np.arange(60)[:, None]
    whole, merged = (
        statistics(features, TF1),
        merge(statistics(features[:13], TF1), statistics(features[13:], TF1)),
    )
    np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-13)
    np.testing.assert_allclose(merged.covariance, whole.covariance, rtol=1e-12)
    assert merged[2:] == whole[2:]


def test_equals_torch_fidelity(few_images):
    expected, fake = np.load(FILE), statistics(DATA.fake)
    # torch-fidelity loses digits in the eigenvalues of a nonsymmetric product.
    assert frechet_distance(fake, statistics(DATA.real)) == pytest.approx(
        expected["frechet_real"], rel=1e-9
    )
    assert frechet_distance(fake, statistics(DATA.few)) == pytest.approx(
        expected["frechet_few"], rel=1e-7
    )
    single = [statistics(features.astype("float32")) for features in (DATA.fake, DATA.real)]
    assert frechet_distance(*single) == pytest.approx(expected["frechet_real"], rel=1e-5)


def test_one_feature():  # (m1 - m2)^2 + (s1 - s2)^2
    one, other = (Statistics(np.array([m]), np.array([[v]])) for m, v in ((1.0, 4.0), (4.0, 25.0)))
    assert frechet_distance(one, other) == pytest.approx(18)


@pytest.mark.parametrize("rank", [5, 3])
def test_covariances_that_commute(rank):
    basis = np.linalg.qr(RANDOM.normal(size=(5, 5)))[0]
    one, other = RANDOM.uniform(0.1, 9, (2, 5)) * (np.arange(5) < [[5], [rank]])
    mean = RANDOM.normal(size=5)
    pair = Statistics(mean, basis * one @ basis.T), Statistics(mean + 2, basis * other @ basis.T)
    expected = 20 + np.sum((np.sqrt(one) - np.sqrt(other)) ** 2)
    assert frechet_distance(*pair) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(*pair[::-1]) == pytest.approx(expected, rel=1e-12)


def test_two_by_two_that_do_not_commute():
    one, other = np.array([[2.0, 1], [1, 3]]), np.array([[5.0, -2], [-2, 1]])
    # The trace of the square root of a 2 x 2 matrix P is sqrt(tr P + 2 sqrt(det P)).
    root = np.sqrt(np.trace(one @ other) + 2 * np.sqrt(np.linalg.det(one) * np.linalg.det(other)))
    distance = frechet_distance(Statistics(np.zeros(2), one), Statistics(np.zeros(2), other))
    assert distance == pytest.approx(5 + 6 - 2 * root, rel=1e-12)


def test_fewer_images_than_features(few_images):
    features = RANDOM.normal(size=(5, 40))
    singular = statistics(features)
    assert frechet_distance(singular, singular) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(singular, statistics(features + 1)) == pytest.approx(40, rel=1e-9)
    point = Statistics(singular.mean, np.zeros((40, 40)))
    assert frechet_distance(singular, point) == pytest.approx(np.trace(singular.covariance))
    assert frechet_distance(point, point) == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("count", [300, 90])
def test_identical_sets_have_distance_0(count, dtype):
    """Features with a wide spectrum, a dead feature and a duplicate, like those of networks."""
    features = (np.abs(RANDOM.normal(size=(count, 100))) * np.logspace(0, -5, 100)).astype(dtype)
    features[:, 7], features[:, 9] = 0, 2 * features[:, 8]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for taken in (features, features[:, :7]):
            found = statistics(taken)
            assert frechet_distance(found, found) == pytest.approx(0, abs=1e-6)


def test_symmetric(few_images):
    one = statistics(RANDOM.normal(size=(30, 8)))
    other = statistics(RANDOM.normal(size=(7, 8)) @ RANDOM.normal(size=(8, 8)))
    assert frechet_distance(one, other) == pytest.approx(frechet_distance(other, one), rel=1e-12)


def test_warns_only_about_few_images():
    features = RANDOM.normal(size=(9, 8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frechet_distance(statistics(features), statistics(features))
    with pytest.warns(UserWarning, match="of 8 images and 8 features"):
        frechet_distance(statistics(features), statistics(features[:8]))


def test_different_protocols_are_rejected():
    one, unknown = statistics(DATA.real, TF1), statistics(DATA.fake)
    again = statistics(DATA.fake, json.loads(json.dumps(TF1)))
    assert frechet_distance(one, again) == frechet_distance(one, unknown)
    for key, value in (("resize", "bicubic"), ("layer", "pool 3")):
        other = statistics(DATA.fake, TF1 | {key: value})
        with pytest.raises(ValueError, match=f'one protocol; received {key} .* and "{value}"'):
            frechet_distance(one, other)
        with pytest.raises(ValueError, match=f'one protocol; received {key} .* and "{value}"'):
            merge(one, other)


def test_files_store_all_fields(tmp_path):
    path = tmp_path / "birds.npz"
    found = statistics(DATA.real, TF1)
    save_statistics(path, found)
    loaded = load_statistics(path)
    assert (loaded.mean == found.mean).all() and (loaded.covariance == found.covariance).all()
    assert loaded[2:] == (300, TF1, None) and os.listdir(tmp_path) == ["birds.npz"]
    with np.load(path) as file:  # Like pytorch-fid.
        assert file["mu"].shape == (24,) and file["sigma"].shape == (24, 24)
    with pytest.raises(ValueError, match=r"must end in \.npz; received .*birds.npy"):
        save_statistics(tmp_path / "birds.npy", found)


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "birds.npz"
    save_statistics(path, statistics(DATA.real))
    old = path.read_bytes()

    def full(file, **arrays):
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="no space"):
        save_statistics(path, statistics(DATA.fake))
    assert path.read_bytes() == old and os.listdir(tmp_path) == ["birds.npz"]


def test_plain_files_of_pytorch_fid(tmp_path):
    found = statistics(DATA.real)
    np.savez(tmp_path / "plain.npz", mu=found.mean.astype("float32"), sigma=found.covariance)
    with pytest.warns(UserWarning, match="plain.npz has no protocol"):
        loaded = load_statistics(tmp_path / "plain.npz")
    assert loaded.count is None and loaded.protocol is None and loaded.mean.dtype == np.float64
    assert frechet_distance(loaded, found) == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="need their counts to be merged; received None and 300"):
        merge(loaded, found)


def damaged(folder):
    mean, covariance = np.zeros(3), np.eye(3)
    np.save(folder / "array.npy", mean)
    np.savez(folder / "names.npz", mean=mean)
    np.savez(folder / "shapes.npz", mu=mean, sigma=np.eye(4))
    np.savez(folder / "values.npz", mu=mean, sigma=covariance * np.nan)
    np.savez(folder / "pickle.npz", mu=np.array([os.system], object), sigma=covariance)
    np.savez(folder / "words.npz", mu=np.array(["a", "b", "c"]), sigma=covariance)
    np.savez(folder / "json.npz", mu=mean, sigma=covariance, protocol="{")
    save_statistics(folder / "cut.npz", Statistics(mean, covariance))
    (folder / "cut.npz").write_bytes((folder / "cut.npz").read_bytes()[:300])
    (folder / "text.npz").write_text("mu sigma")
    (folder / "empty.npz").write_bytes(b"")


@pytest.mark.parametrize(
    "name",
    [
        "array.npy",
        *(f"{name}.npz" for name in "names pickle words json cut text empty none".split()),
    ],
)
def test_other_files_are_rejected(name, tmp_path):
    damaged(tmp_path)
    with pytest.raises(ValueError, match=rf"must be an .*\.npz.*{name}.*\)?$") as raised:
        load_statistics(tmp_path / name)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["shapes.npz", "values.npz"])
def test_shapes_and_values_are_checked(name, tmp_path):
    damaged(tmp_path)
    with pytest.raises(
        ValueError, match=rf"Expected finite mu \[F\] and sigma \[F, F\]; received \[3\].*{name}"
    ):
        load_statistics(tmp_path / name)


def test_bad_input():
    with pytest.raises(ValueError, match="at least 2 images; received 1"):
        statistics(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="at least 2 images; received 0"):
        statistics([])
    with pytest.raises(ValueError, match=r"\[N, F\].*; received \[3\]"):
        statistics(np.zeros(3))
    with pytest.raises(ValueError, match=r"equal F in all blocks; received \[2, 4\]"):
        statistics(iter([np.zeros((2, 3)), np.zeros((2, 4))]))
    with pytest.raises(ValueError, match="finite; received others in the first 2 rows"):
        statistics(np.array([[0, np.nan], [0, 1]]))
    with pytest.raises(ValueError, match="same number of features; received 3 and 4"):
        frechet_distance(statistics(np.zeros((9, 3))), statistics(np.zeros((9, 4))))
