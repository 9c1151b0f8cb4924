"""Evaluation metrics: one formula per file, features and protocols in subpackages."""

from typing import TYPE_CHECKING

from kerasgan.lazy import lazy_exports
from kerasgan.metrics.authpct import authpct as authpct
from kerasgan.metrics.clip_score import Captioned as Captioned, clip_score as clip_score
from kerasgan.metrics.cmmd import cmmd as cmmd
from kerasgan.metrics.fd_infinity import fd_infinity as fd_infinity
from kerasgan.metrics.inception_score import inception_score as inception_score
from kerasgan.metrics.memorization import memorization as memorization
from kerasgan.metrics.ms_ssim import mean_ms_ssim as mean_ms_ssim, ms_ssim as ms_ssim
from kerasgan.metrics.r_precision import r_precision as r_precision
from kerasgan.metrics.scores import scores as scores
from kerasgan.metrics.style_gap import probe_auc as probe_auc, style_gap as style_gap

if TYPE_CHECKING:
    from kerasgan.metrics.classification_accuracy import (
        Classification as Classification,
        gan_test as gan_test,
        gan_train as gan_train,
        keras_fit as keras_fit,
    )
    from kerasgan.metrics.diagnostics import (
        diagnose as diagnose,
    )
    from kerasgan.metrics.diversity import (
        intra_class_diversity as intra_class_diversity,
    )
    from kerasgan.metrics.frechet import (
        Statistics as Statistics,
        frechet_distance as frechet_distance,
        load_statistics as load_statistics,
        save_statistics as save_statistics,
        statistics as statistics,
    )
    from kerasgan.metrics.kernel import (
        kernel_distance as kernel_distance,
    )
    from kerasgan.metrics.labels import (
        classes_covered as classes_covered,
        label_accuracy as label_accuracy,
    )
    from kerasgan.metrics.manifold import (
        density_coverage as density_coverage,
        precision_recall as precision_recall,
    )
    from kerasgan.metrics.spatial import (
        SpatialFeatures as SpatialFeatures,
        spatial_frechet_distance as spatial_frechet_distance,
    )
    from kerasgan.metrics.vendi import (
        vendi_score as vendi_score,
    )

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "kerasgan.metrics.classification_accuracy": (
            "Classification",
            "gan_test",
            "gan_train",
            "keras_fit",
        ),
        "kerasgan.metrics.diagnostics": ("diagnose",),
        "kerasgan.metrics.diversity": ("intra_class_diversity",),
        "kerasgan.metrics.frechet": (
            "Statistics",
            "frechet_distance",
            "load_statistics",
            "save_statistics",
            "statistics",
        ),
        "kerasgan.metrics.kernel": ("kernel_distance",),
        "kerasgan.metrics.labels": (
            "classes_covered",
            "label_accuracy",
        ),
        "kerasgan.metrics.manifold": (
            "density_coverage",
            "precision_recall",
        ),
        "kerasgan.metrics.spatial": ("SpatialFeatures", "spatial_frechet_distance"),
        "kerasgan.metrics.vendi": ("vendi_score",),
    },
)
__all__ += [
    "Captioned",
    "authpct",
    "clip_score",
    "cmmd",
    "fd_infinity",
    "inception_score",
    "memorization",
    "mean_ms_ssim",
    "ms_ssim",
    "r_precision",
    "scores",
    "probe_auc",
    "style_gap",
]
