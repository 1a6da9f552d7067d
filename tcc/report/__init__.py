"""The report: one self-contained HTML page, and the video of two aligned clips that it shows. No TensorFlow."""

from tcc.report.aligned_video import AlignedVideo, write_aligned_video
from tcc.report.alignment_pair import AlignedPair, align_pair, choose_pair, pair_of_matches
from tcc.report.page import ReportInputs, without_timing, write_report

__all__ = [
    "AlignedPair",
    "AlignedVideo",
    "ReportInputs",
    "align_pair",
    "choose_pair",
    "pair_of_matches",
    "without_timing",
    "write_aligned_video",
    "write_report",
]
