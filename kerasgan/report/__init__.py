"""Self-contained HTML pages: styles, images and charts are inside, nothing is loaded.

`run_page` turns a run's folder into its `index.html`, `diagnostics_page` shows the results of
`metrics.diagnostics`, `attributes_page` those of `models.attfind`, `captions_page` samples beside
captions and real images, and `scores_page` the scores of several models. The only script moves the
sliders of `attributes_page`.
"""

from kerasgan.report.attributes import attributes_page
from kerasgan.report.captions import captions_page
from kerasgan.report.diagnostics import diagnostics_page
from kerasgan.report.markup import chart, page
from kerasgan.report.run import run_page
from kerasgan.report.scores import scores_page

__all__ = [
    "attributes_page",
    "captions_page",
    "chart",
    "diagnostics_page",
    "page",
    "run_page",
    "scores_page",
]
