"""HTML pages that need nothing but themselves: style, pictures and curves are inside, no request,
and no script but the few lines behind a slider.

`run_page` turns a run's folder into its index.html, `diagnostics_page` shows what
`metrics.diagnostics` found, `attributes_page` what `models.attfind` did, and `captions_page` samples
beside captions and real images.
"""

from kerasgan.report.attributes import attributes_page
from kerasgan.report.captions import captions_page
from kerasgan.report.diagnostics import diagnostics_page
from kerasgan.report.markup import chart, page
from kerasgan.report.run import run_page

__all__ = [
    "attributes_page",
    "captions_page",
    "chart",
    "diagnostics_page",
    "page",
    "run_page",
]
