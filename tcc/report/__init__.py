"""The report: one self-contained HTML page, and the videos of aligned clips that it shows. No TensorFlow."""

from tcc.report.aligned_video import write_aligned_video
from tcc.report.alignment_pair import AlignedPair, align_all, align_pair, choose_pair, pair_of_matches
from tcc.report.comparison import as_text, compare_runs, find_run, read_run, write_comparison
from tcc.report.film import WrittenVideo
from tcc.report.grid_video import AlignedGrid, choose_grid, write_grid_video
from tcc.report.page import ReportInputs, without_timing, write_report

__all__ = [
    "AlignedGrid",
    "AlignedPair",
    "ReportInputs",
    "WrittenVideo",
    "align_all",
    "align_pair",
    "as_text",
    "choose_grid",
    "choose_pair",
    "compare_runs",
    "find_run",
    "pair_of_matches",
    "read_run",
    "without_timing",
    "write_aligned_video",
    "write_comparison",
    "write_grid_video",
    "write_report",
]
