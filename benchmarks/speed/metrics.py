"""Speed of metrics and feature extractors on synthetic features, logits and images."""

import functools
import importlib
from collections.abc import Callable

import numpy as np

INCEPTION_IMAGES = 32
FEATURE_ROWS = 2000  # Rows of 2,048 features for metrics of two feature sets.


def inception() -> Callable:
    """Build kerasgan's Inception: features and logits of 32 images of 256 x 256 pixels."""
    from kerasgan.metrics.features.inception import Inception, random_weights

    extractor = Inception(random_weights())
    images = np.random.default_rng(0).integers(
        0, 256, [INCEPTION_IMAGES, 256, 256, 3], dtype="uint8"
    )
    return lambda: extractor(images)


def inception_baseline() -> Callable:
    """Build torch-fidelity's Inception on images of the same shape."""
    from benchmarks.speed.baselines import inception

    return inception.features(INCEPTION_IMAGES, 256)


def frechet_distance(method: str) -> Callable:
    """Build the Fréchet distance of two sets of statistics (10,000 images, 2,048 features).

    Args:
        method: "kerasgan", or the name of a function in `baselines.frechet`.
    """
    from benchmarks.speed.baselines import frechet
    from kerasgan.metrics.frechet import frechet_distance, statistics

    pair = [statistics(frechet.random_features(seed=seed)) for seed in (0, 1)]
    if method == "kerasgan":
        return lambda: frechet_distance(*pair)
    return lambda: getattr(frechet, method)(*(each[:2] for each in pair))


def feature_statistics(baseline: bool) -> Callable:
    """Build mean and covariance of the 2,048 features of 10,000 images."""
    from benchmarks.speed.baselines import frechet
    from kerasgan.metrics.frechet import statistics

    features = frechet.random_features()
    return lambda: (frechet.numpy_statistics if baseline else statistics)(features)


# === Synthetic inputs ===


def two_feature_sets() -> list[np.ndarray]:
    """Return two sets of features `[2000, 2048]`."""
    from benchmarks.speed.baselines import frechet

    return [frechet.random_features(FEATURE_ROWS, seed=seed) for seed in (0, 1)]


def feature_sets(images: int, features: int) -> list[np.ndarray]:
    """Return two sets of features `[images, features]`."""
    from benchmarks.speed.baselines import frechet

    return [frechet.random_features(images, features, seed) for seed in (0, 1)]


def package(name: str, formula: str, images: int, features: int) -> Callable:
    """Build a formula of the package "torch_fidelity" or "clean_fid"."""
    from benchmarks.speed.baselines import packages

    return getattr(packages, name)(formula, *feature_sets(images, features))


def ours(formula: str, images: int, features: int) -> Callable:
    """Build kerasgan's formula on the same features as `package`."""
    from kerasgan.metrics.frechet import frechet_distance, statistics
    from kerasgan.metrics.kernel import kernel_distance
    from kerasgan.metrics.manifold import precision_recall

    one, other = feature_sets(images, features)
    if formula == "kernel_distance":
        return lambda: kernel_distance(one, other, 25)
    if formula == "precision_recall":
        return lambda: precision_recall(one, other)
    return lambda: frechet_distance(statistics(one), statistics(other))


def logits(images: int = 10_000, classes: int = 1008) -> np.ndarray:
    """Return random logits `[images, classes]`."""
    return np.random.default_rng(0).normal(0, 3, [images, classes]).astype("float32")


def image_pairs(count: int = 16, size: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """Return noise images `[count, size, size, 3]`, and the same images with more noise."""
    one, other = np.random.default_rng(0).integers(0, 128, [2, count, size, size, 3], dtype="uint8")
    return one, one + other


def labelled(count: int, shape: list[int], classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random arrays `[count, *shape]` and their labels `[count]`."""
    arrays = np.random.default_rng(0).normal(size=[count, *shape]).astype("float32")
    return arrays, np.arange(count) % classes


def embedding_pairs(count: int = 2000, dim: int = 1024, classes: int = 50) -> tuple:
    """Return image embeddings, similar caption embeddings `[count, dim]` and classes `[count]`."""
    images, labels = labelled(count, [dim], classes)
    return images, images + 4 * labelled(count, [dim], classes)[0][::-1], labels


# Metric -> kerasgan module, framework and module of the baseline, function that makes the
# arguments.
METRICS = {
    # 25 subsets of 1,000 images.
    "kernel_distance": ("kernel", "numpy", "metrics", lambda: (*two_feature_sets(), 25)),
    "precision_recall": ("manifold", "torch", "metrics", two_feature_sets),
    "density_coverage": ("manifold", "numpy", "metrics", two_feature_sets),
    "inception_score": ("inception_score", "torch", "metrics", lambda: [logits()]),
    "ms_ssim": ("ms_ssim", "torch", "ms_ssim", image_pairs),
    "intra_class_diversity": (
        "diversity",
        "torch",
        "metrics",
        lambda: labelled(4000, [28, 28, 1], 10),
    ),
    "r_precision": ("r_precision", "numpy", "metrics", embedding_pairs),
    # The baselines follow dgm-eval and the authors of CMMD.
    "fd_infinity": ("fd_infinity", "scipy", "dgm_eval", lambda: feature_sets(3000, 256)),
    "vendi_score": ("vendi", "scipy", "dgm_eval", lambda: feature_sets(1500, 384)[:1]),
    "authpct": ("authpct", "torch", "dgm_eval", two_feature_sets),
    "memorization": ("memorization", "torch", "dgm_eval", two_feature_sets),
    "cmmd": ("cmmd", "torch", "dgm_eval", lambda: feature_sets(2000, 768)),
}


def metric(module: str, name: str, inputs: Callable) -> Callable:
    """Build the call of the function `name` of `module` with the arguments from `inputs()`."""
    function, arguments = getattr(importlib.import_module(module), name), inputs()
    return lambda: function(*arguments)


# Case -> package, formula, number of images and of features.
PACKAGES = {
    "kid_torch_fidelity": ("torch_fidelity", "kernel_distance", 2000, 2048),
    "kid_clean_fid": ("clean_fid", "kernel_distance", 2000, 2048),
    "prc_torch_fidelity": ("torch_fidelity", "precision_recall", 2000, 2048),
    "fid_clean_fid": ("clean_fid", "frechet_distance", 4000, 512),
}

CASES = {
    "inception": {"torch-fidelity": inception_baseline, "kerasgan": inception},
    "frechet_root": {
        "scipy": lambda: frechet_distance("matrix_root_distance"),
        "kerasgan": lambda: frechet_distance("kerasgan"),
    },
    "frechet_eigenvalues": {
        "numpy": lambda: frechet_distance("product_eigenvalues_distance"),
        "kerasgan": lambda: frechet_distance("kerasgan"),
    },
    "feature_statistics": {
        "numpy": lambda: feature_statistics(baseline=True),
        "kerasgan": lambda: feature_statistics(baseline=False),
    },
    **{
        name: {
            framework: functools.partial(
                metric, f"benchmarks.speed.baselines.{baseline}", name, inputs
            ),
            "kerasgan": functools.partial(metric, f"kerasgan.metrics.{module}", name, inputs),
        }
        for name, (module, framework, baseline, inputs) in METRICS.items()
    },
    **{
        name: {
            used.replace("_", "-"): functools.partial(package, used, formula, images, features),
            "kerasgan": functools.partial(ours, formula, images, features),
        }
        for name, (used, formula, images, features) in PACKAGES.items()
    },
}
