"""Evaluation metrics: one formula per file, features and protocols in subpackages."""

from typing import TYPE_CHECKING

from kerasgan.lazy import lazy_exports
from kerasgan.metrics.inception_score import inception_score as inception_score
from kerasgan.metrics.ms_ssim import mean_ms_ssim as mean_ms_ssim, ms_ssim as ms_ssim
from kerasgan.metrics.r_precision import r_precision as r_precision
from kerasgan.metrics.scores import scores as scores
from kerasgan.metrics.style_gap import probe_auc as probe_auc, style_gap as style_gap

if TYPE_CHECKING:
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

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
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
    },
)
__all__ += [
    "inception_score",
    "mean_ms_ssim",
    "ms_ssim",
    "r_precision",
    "scores",
    "probe_auc",
    "style_gap",
]
