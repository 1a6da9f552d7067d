"""The report: one self-contained HTML page, and the videos of aligned clips that it shows. No TensorFlow.

A name loads its module when first used: comparing and checking need neither SciPy nor matplotlib.
"""

from __future__ import annotations

from tcc.lazy import names_of

_HOME = {
    "write_aligned_video": "aligned_video",
    "AlignedPair": "alignment_pair",
    "align_all": "alignment_pair",
    "align_pair": "alignment_pair",
    "choose_pair": "alignment_pair",
    "pair_of_matches": "alignment_pair",
    "as_text": "comparison",
    "compare_runs": "comparison",
    "find_run": "comparison",
    "read_run": "comparison",
    "write_comparison": "comparison",
    "without_timing": "document",
    "WrittenVideo": "film",
    "AlignedGrid": "grid_video",
    "choose_grid": "grid_video",
    "write_grid_video": "grid_video",
    "ReportInputs": "page",
    "write_report": "page",
}

__all__ = sorted(_HOME)
__getattr__ = names_of(__name__, _HOME)
