"""Which frame of one sequence goes with which of another: nearest neighbors, dynamic time warping. NumPy only."""

from tcc.alignment.confidence import neighbor_confidence, path_confidence
from tcc.alignment.distance import DISTANCES, pairwise_distances
from tcc.alignment.dynamic_time_warping import WarpingPath, dynamic_time_warping, subsequence_time_warping
from tcc.alignment.nearest_neighbor import NearestInEach, nearest_neighbors
from tcc.alignment.phase_transfer import TransferredPhases, transfer_phases

__all__ = [
    "DISTANCES",
    "NearestInEach",
    "TransferredPhases",
    "WarpingPath",
    "dynamic_time_warping",
    "nearest_neighbors",
    "neighbor_confidence",
    "pairwise_distances",
    "path_confidence",
    "subsequence_time_warping",
    "transfer_phases",
]
